"""One member comes out of an archive, and nothing hostile does."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_file_refused, assert_no_damage_surprises

from dreamvid.checkpoints import archives

WEIGHTS = np.random.default_rng(0).bytes(300_000)


unpacked = partial(archives.content, suffix=".pb")


def zipped(path: Path, members: Mapping[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            if member.isreg():
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def plain(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), data


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zips_member_is_found_by_its_suffix(tmp_path: Path, packed: int):
    members = {
        "LICENSE": b"free",
        "net/graph.pb": WEIGHTS,
        "__MACOSX/net/._graph.pb": b"of no use",
        "net/label_strings.txt": b"cat\ndog\n",
    }
    path = zipped(tmp_path / "net.zip", members, packed)
    assert unpacked(path) == WEIGHTS
    assert archives.find(path, "label_strings.txt") == {"net/label_strings.txt": b"cat\ndog\n"}
    assert archives.find(path, ".md") == {}
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_tars_member_is_found_by_its_suffix(tmp_path: Path):
    folder = tarfile.TarInfo("places/")
    folder.type = tarfile.DIRTYPE
    members = (
        (folder, b""),
        plain("places/a.prototxt", b"{}"),
        plain("places/a.caffemodel", WEIGHTS),
    )
    path = tarred(tmp_path / "places.tar.gz", *members)
    assert archives.content(path, ".caffemodel") == WEIGHTS
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_plain_file_is_its_own_content(tmp_path: Path):
    path = tmp_path / "graph.pb"
    path.write_bytes(WEIGHTS)
    assert unpacked(path) == WEIGHTS
    assert archives.find(path, ".pb") == {}


def test_one_member_is_wanted_and_no_other_number(tmp_path: Path):
    path = zipped(tmp_path / "net.zip", {"a.pb": b"a", "b.pb": b"b"})
    assert_file_refused(
        path,
        r"holds several \.pb files, 'a\.pb' and 'b\.pb': unpack it",
        unpacked,
    )
    assert_file_refused(
        path,
        r"holds no \.caffemodel file: unpack it",
        partial(archives.content, suffix=".caffemodel"),
    )
    assert_file_refused(
        tmp_path / "none.pb",
        "cannot be read: No such file",
        unpacked,
    )
    assert_file_refused(tmp_path, "cannot be read: Is a directory", unpacked)


@pytest.mark.parametrize(
    "name", ["../net.pb", "/net.pb", "a/../../net.pb", "..\\net.pb", "C:\\n.pb"]
)
def test_members_that_would_leave_their_folder_condemn_the_archive(tmp_path: Path, name: str):
    path = zipped(tmp_path / "net.zip", {"good.pb": WEIGHTS, name: b"evil"})
    assert_file_refused(
        path,
        "is not to be trusted: its member '.*' would be unpacked outside",
        unpacked,
    )
    path = tarred(tmp_path / "net.tar.gz", plain("good.pb", WEIGHTS), plain(name, b"evil"))
    assert_file_refused(
        path,
        "is not to be trusted: its member '.*' would be unpacked outside",
        unpacked,
    )


def test_links_condemn_the_archive(tmp_path: Path):
    path = tmp_path / "net.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("net.pb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert_file_refused(path, "its member 'net.pb' is a link", unpacked)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        link = tarfile.TarInfo("net.pb")
        link.type, link.linkname = kind, "/etc/passwd"
        path = tarred(tmp_path / "net.tar.gz", (link, b""))
        assert_file_refused(
            path,
            "its member 'net.pb' is a link or no plain file",
            unpacked,
        )


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path):
    path = zipped(tmp_path / "bomb.zip", {"net.pb": bytes(40 << 20)})
    assert_file_refused(
        path,
        "'net.pb' unpacks to 41943040 bytes, far more than a network needs",
        unpacked,
    )
    # Well packed, but small: whoever looks for bombs only by their ratio would refuse it.
    path = zipped(tmp_path / "zeros.zip", {"net.pb": bytes(1 << 20)})
    assert unpacked(path) == bytes(1 << 20)


def test_small_bombs_are_counted_together(tmp_path: Path):
    zeros = WEIGHTS + bytes(20 << 20)
    path = zipped(tmp_path / "net.zip", {f"{n}.pb": zeros for n in range(7)})
    assert_file_refused(path, "unpacks to far more than a network needs", unpacked)


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path: Path):
    path = zipped(tmp_path / "bomb.zip", {"net.pb": bytes(40 << 20)})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2")
    data[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    assert_file_refused(path, "is damaged or cut off", unpacked)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_no_published_file_uses_are_refused(tmp_path: Path, method: int):
    path = zipped(tmp_path / "net.zip", {"net.pb": WEIGHTS}, method)
    assert_file_refused(
        path,
        "'net.pb' is packed neither plainly nor by deflate",
        unpacked,
    )


def test_an_encrypted_member_is_refused(tmp_path: Path):
    path = zipped(tmp_path / "net.zip", {"net.pb": WEIGHTS})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert_file_refused(path, "member 'net.pb' is encrypted", unpacked)


def test_an_archive_of_very_many_members_is_refused(tmp_path: Path):
    path = zipped(tmp_path / "net.zip", {f"{n}.pb": b"" for n in range(archives.MOST_MEMBERS + 1)})
    assert_file_refused(path, "too many members", unpacked)
    path = tarred(
        tmp_path / "net.tar.gz", *(plain(f"{n}.pb", b"") for n in range(archives.MOST_MEMBERS + 1))
    )
    assert_file_refused(path, "too many members", unpacked)
    # So many that even listing them would take long.
    entries = (b"PK\1\2" + bytes(42)) * 400_000
    path = tmp_path / "many.zip"
    for count in (bytes(4), b"PK\5\6"):  # the second looks like another end
        end = b"PK\5\6" + bytes(4) + count + len(entries).to_bytes(4, "little") + bytes(6)
        path.write_bytes(b"PK\3\4" + entries + end)
        assert_file_refused(path, "too many members", unpacked)
        path.write_bytes(b"PK\3\4" + entries + end[:-2] + b"\5\0hello")
        assert_file_refused(path, "too many members|damaged", unpacked)


def test_a_zip_ends_where_its_directory_is_looked_for(tmp_path: Path):
    path = zipped(tmp_path / "net.zip", {"net.pb": WEIGHTS})
    for comment in (b"made by hand", b"x" * 0xFFFF):
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = comment
        assert archives.content(path, ".pb") == WEIGHTS
    path.write_bytes(path.read_bytes() + b"more than the comment")
    assert_file_refused(path, "is damaged or cut off", unpacked)
    # PyTorch writes the larger end, which must lie both where it is told and where it should.
    whole = (Path(__file__).parent / "files" / "zip.pth").read_bytes()
    path.write_bytes(whole)
    assert archives.content(path, "byteorder") == b"little"
    path.write_bytes(whole[:-42] + bytes(20) + whole[-42:])
    assert_file_refused(path, "is damaged or cut off", unpacked)


def test_an_endless_gzip_is_given_up(tmp_path: Path):
    path = tmp_path / "net.tar.gz"
    header = tarfile.TarInfo("net.pb")
    header.size = 1 << 40
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf())
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert_file_refused(path, "'net.pb' unpacks to 1099511627776 bytes", unpacked)
    assert_file_refused(
        path, "unpacks to far more than a network needs", partial(archives.content, suffix=".txt")
    )


def test_a_sparse_member_is_refused(tmp_path: Path):
    sparse = tarfile.TarInfo("net.pb")
    sparse.type = tarfile.GNUTYPE_SPARSE
    path = tarred(tmp_path / "net.tar.gz", (sparse, b""))
    assert_file_refused(path, "'net.pb' is a link or no plain file", unpacked)


@pytest.mark.parametrize("kept", [4, 40, 0.3, 0.9, -9, -1])
def test_a_truncated_archive_is_refused(tmp_path: Path, kept: float):
    for path in (
        zipped(tmp_path / "net.zip", {"net.pb": WEIGHTS}),
        tarred(tmp_path / "net.tar.gz", plain("net.pb", WEIGHTS)),
    ):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
        assert_file_refused(path, "is damaged or cut off", unpacked)


def test_a_huge_file_is_refused_unread(tmp_path: Path):
    path = tmp_path / "net.pb"
    with path.open("wb") as file:
        file.truncate(archives.LARGEST_FILE + 1)  # a hole, which takes no room
    assert_file_refused(path, "takes 134217729 bytes, more than any", unpacked)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_no_damage_surprises(tmp_path: Path, suffix: str):
    path = tmp_path / f"net{suffix}"
    if suffix == ".zip":
        zipped(path, {"net.pb": WEIGHTS[:500], "LICENSE": b"free"})
    else:
        tarred(path, plain("net.pb", WEIGHTS[:500]), plain("LICENSE", b"free"))
    assert_no_damage_surprises(path, unpacked, tries=300)
