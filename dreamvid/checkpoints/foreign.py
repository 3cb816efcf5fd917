"""Networks from other frameworks' files: finds out what a file is, and converts it."""

from pathlib import Path
from typing import Protocol

import numpy as np

from dreamvid.checkpoints import caffe, keras, manifest, pytorch, tensorflow, timm
from dreamvid.checkpoints.conversion import Contents, Layout
from dreamvid.checkpoints.manifest import Published
from dreamvid.errors import WeightsError
from dreamvid.models import ModelSpec
from dreamvid.models.network import shapes
from dreamvid.paths import check_is_file


class Format(Protocol):
    """What a module that reads a format offers."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constants
        """What the manifest calls it."""
        ...

    @property
    def LAYOUTS(self) -> tuple[Layout, ...]:  # noqa: N802
        """The networks that come in it."""
        ...

    def claims(self, path: Path, start: bytes) -> bool:
        """Whether a file whose first 512 bytes are `start` is of this format."""
        ...

    def read(self, path: Path) -> Contents:
        """Its tensors; raises WeightsError where it is damaged or not to be trusted."""
        ...


FORMATS: tuple[Format, ...] = (timm, keras, pytorch, tensorflow, caffe)
"""Asked in this order; the last two have nothing to be known by at once."""
FIRST_KERNEL = "conv2d0/kernel"
HEAD = "head/kernel", "head/bias"


def read(path: Path, like: str | None = None) -> tuple[ModelSpec, dict[str, np.ndarray]]:
    """The network in a file that another framework wrote.

    Args:
      path: The file; it is known by its content.
      like: The published network whose facts (input, labels, licence) hold. None takes input and
        labels of the first one in the manifest that has the same architecture, family and number of
        classes.

    Returns:
      The spec, and tensors for `Model.from_tensors`, float32.

    Raises:
      WeightsError: It is no file of a known format, damaged, or holds another network; the message
        names the first tensor that is missing or has another shape.
      UnknownNameError: There is no published network called `like`.
    """
    form = format_of(path)
    return convert(form.read(path), form, like)


def convert(
    contents: Contents, form: Format, like: str | None = None
) -> tuple[ModelSpec, dict[str, np.ndarray]]:
    """The network among the tensors of a foreign file.

    Args:
      contents: The tensors.
      form: The module of the format that they come from.
      like: As in `read`.

    Returns:
      As `read` does.

    Raises:
      WeightsError: A tensor is missing or has another shape, or `like` is another network.
      UnknownNameError: There is no published network called `like`.
    """
    facts = None if like is None else manifest.published(like)
    marked = (one for one in form.LAYOUTS if one.mark in contents.tensors)
    layout = next(marked, form.LAYOUTS[0])  # whose first tensor will be missed by name
    if facts and (facts.architecture, facts.family) != (layout.architecture, layout.family):
        raise WeightsError(
            f"{contents.path} holds {layout.architecture} of the {layout.family} family, but "
            f"{like} is {facts.architecture} of the {facts.family} family: "
            "import it under another name"
        )
    needed = _shapes(layout)
    tensors = {}
    for name, shape in needed.items():
        path, _, kind = name.rpartition("/")
        if kind == "kernel" and name != HEAD[0]:
            layer = path.replace("/", "_", 1)
            with np.errstate(all="ignore"):
                kernel, bias = layout.convolution(contents, layer, shape)
            if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
                raise contents.refusal(f"the batch norm of {layer} leaves no finite numbers")
            tensors |= {name: kernel, f"{path}/bias": bias}
    head = layout.head(contents, needed[HEAD[0]][0])
    classes = 0
    if head is not None:
        tensors |= dict(zip(HEAD, head, strict=True))
        classes = head[1].size
    known = facts or _nearest(layout, classes)
    if known.channels == "bgr":
        tensors[FIRST_KERNEL] = np.ascontiguousarray(tensors[FIRST_KERNEL][:, :, ::-1])
    spec = ModelSpec(
        layout.architecture,
        layout.family,
        layout.widths,
        known.mean,
        known.scale,
        licence=facts.licence if facts else "unknown",
        origin=facts.origin if facts else contents.path.name,
        labels=_labels(contents.labels, known.label_names(), classes),
    )
    return spec, tensors


def format_of(path: Path) -> Format:
    """What reads a file.

    Raises:
      WeightsError: There is no such file, it is too large, it cannot be read, or no format claims
        it.
      MediaError: The path cannot be followed.
    """
    check_is_file(path, "network", WeightsError, missing="file")
    try:
        if path.stat().st_size > manifest.LARGEST_FILE:
            raise WeightsError(
                f"{path} is no Inception: it has more than {manifest.LARGEST_FILE} bytes"
            )
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    for form in FORMATS:
        if form.claims(path, start):
            return form
    raise WeightsError(
        f"{path} is no network: dreamvid reads frozen TensorFlow graphs (.pb), .caffemodel, "
        "PyTorch's .pth, Keras's .h5, and .safetensors"
    )


def _shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """The tensors of a network of one class, by our names."""
    none = (0.0, 0.0, 0.0)
    spec = ModelSpec(layout.architecture, layout.family, layout.widths, none, none, labels=("",))
    return shapes(spec)


def _nearest(layout: Layout, classes: int) -> Published:
    """Whose input and labels a network most likely has that nobody has named."""
    kin = [
        one
        for one in manifest.known().values()
        if (one.architecture, one.family) == (layout.architecture, layout.family)
    ]
    return next((one for one in kin if one.classes == classes), kin[0])


def _labels(inside: tuple[str, ...], published: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """One name for each class; those of a fine-tuned network nobody has told us."""
    # A file's own may end early: inception5h has outputs that stand for nothing.
    names = inside[:classes] if inside else published if len(published) == classes else ()
    return (*names, *(f"class {index}" for index in range(len(names), classes)))
