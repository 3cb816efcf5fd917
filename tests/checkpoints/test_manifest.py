"""What is said of the published networks is well formed, and true where arithmetic can tell."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from dreamvid.checkpoints import foreign, manifest
from dreamvid.checkpoints.manifest import Digest, Published
from dreamvid.checkpoints.store import may_be_called
from dreamvid.errors import UnknownNameError, WeightsError
from dreamvid.paths import digests_of

KNOWN = manifest.known()
HEX_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32, "sha256_prefix": 8}


@pytest.fixture(params=KNOWN.values(), ids=list(KNOWN))
def network(request: pytest.FixtureRequest) -> Published:
    return request.param


def test_its_file_can_be_asked_for(network: Published):
    assert network.addresses
    assert len(set(network.addresses)) == len(network.addresses)
    for address in network.addresses:
        assert urlsplit(address).scheme in ("http", "https")
        assert urlsplit(address).path.rpartition("/")[2]
    assert may_be_called(network.name)


def test_its_file_can_be_read(network: Published):
    (form,) = [form for form in foreign.FORMATS if network.format == form.NAME]
    kinds = {(layout.architecture, layout.family) for layout in form.LAYOUTS}
    assert (network.architecture, network.family) in kinds


def test_its_digest_is_one(network: Published):
    if network.digest:
        assert len(network.digest.value) == HEX_DIGITS[network.digest.kind]
        assert set(network.digest.value) <= set("0123456789abcdef")
        assert network.digest.kind != "sha256_prefix" or network.digest.value in "".join(
            network.addresses
        )


def test_it_has_a_name_for_each_class(network: Published):
    names = network.label_names()
    assert len(names) == (0 if network.labels in ("inside", "") else network.classes)
    assert len(set(names)) == len(names)
    assert all(name == name.strip() != "" for name in names)
    assert (network.labels == "") == (network.classes == 0)


def test_people_are_told_about_it(network: Published):
    for text in (network.licence, network.origin, network.look, network.page):
        assert text
        assert "\n" not in text
    assert len(network.look) < 72
    assert network.size in (0, round(network.megabytes * 1e6))


def as_published(name: str, levels: np.ndarray) -> np.ndarray:
    """What its framework feeds a network, in RGB order, for RGB in 8-bit levels.

    Source: `transform_input` in torchvision's googlenet.py, after the normalisation of its
    presets; `preprocess_input` in keras.applications.inception_v3; IMAGENET_DEFAULT_MEAN and _STD,
    IMAGENET_INCEPTION_MEAN and _STD in timm's data/constants.py; the readme of bvlc_googlenet.
    """
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = (levels / 255 - mean) / deviation
    if name.startswith("torchvision"):
        return normalised * (deviation / 0.5) + (mean - 0.5) / 0.5
    if name.endswith("gluon"):
        return normalised
    if name.startswith("timm"):
        return (levels / 255 - 0.5) / 0.5
    if name.startswith("keras"):
        return levels / 127.5 - 1
    blue_first = {
        "inception5h": [117, 117, 117],
        "bvlc_googlenet": [104, 117, 123],
        "googlenet_places205": [105.417, 113.753, 116.047],
        "googlenet_places365": [104.051, 112.514, 116.676],
    }[name]
    return (levels[..., ::-1] - blue_first)[..., ::-1]


def test_it_sees_what_its_framework_would_show_it(network: Published):
    levels = np.random.default_rng(0).uniform(0, 255, (5, 3))
    ours = (levels - network.mean) * network.scale
    np.testing.assert_allclose(ours, as_published(network.name, levels), rtol=1e-9, atol=1e-12)


def test_digests_of_every_kind_know_a_file(tmp_path: Path):
    (tmp_path / "net").write_bytes(b"dream")
    found = digests_of(tmp_path / "net")
    for kind in ("sha256", "sha1", "md5"):
        value = hashlib.new(kind, b"dream").hexdigest()
        assert Digest(kind, value).matches(found)
        assert not Digest(kind, value[::-1]).matches(found)
    beginning = hashlib.sha256(b"dream").hexdigest()[:8]
    assert Digest("sha256_prefix", beginning).matches(found)
    assert not Digest("sha256_prefix", beginning[::-1]).matches(found)
    with pytest.raises(WeightsError, match="none cannot be read: No such file"):
        digests_of(tmp_path / "none")


def test_a_network_is_known_by_its_digest():
    for network in KNOWN.values():
        if network.digest and network.digest.kind == "sha256":
            found = {"sha256": network.digest.value, "sha1": "", "md5": ""}
            assert manifest.recognise(found) == network
    assert manifest.recognise({"sha256": "0" * 64, "sha1": "0" * 40, "md5": "0" * 32}) is None


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'bvlc_googlenet'"):
        manifest.published("bvlc-googlenet")
