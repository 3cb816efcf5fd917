"""bvlc_googlenet in OpenCV 4's dnn, which follows Caffe's rules: activations, and the .caffemodel.

There is no Caffe here to save the file, so protobufs.py writes it, once with V1 `layers` and the
blobs' four old sizes (as published) and once with V2 `layer`; OpenCV reads both by its own
definition of the format.

Run as: python opencv_googlenet.py FOLDER
"""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "checkpoints"))
import networks
import protobufs

FAMILY = "bvlc_googlenet"
MEAN = (104, 117, 123)  # blue, green, red


def prototxt(size: tuple[int, int], head: bool, alpha: float = 1e-4) -> str:
    """The network's definition in Caffe's text format; `head` adds the classifier."""
    lines = ['name: "GoogleNet"']

    def layer(kind: str, name: str, bottoms: str, top: str, more: str = "") -> str:
        below = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
        lines.append(f'layer {{ name: "{name}" type: "{kind}" {below} top: "{top}" {more} }}')
        return top

    def conv(name: str, below: str, relu: str, outputs: int, kernel: int, stride: int = 1) -> str:
        shape = f"num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} stride: {stride}"
        layer("Convolution", name, below, name, f"convolution_param {{ {shape} }}")
        return layer("ReLU", relu, name, relu)  # not in place, to keep what comes before

    def pool(name: str, below: str, stride: int = 2, pad: int = 0) -> str:
        window = f"pool: MAX kernel_size: 3 stride: {stride} pad: {pad}"
        return layer("Pooling", name, below, name, f"pooling_param {{ {window} }}")

    def normalise(name: str, below: str) -> str:
        lrn = f"local_size: 5 alpha: {alpha:.9f} beta: 0.75"
        return layer("LRN", name, below, name, f"lrn_param {{ {lrn} }}")

    shape = f"input_param {{ shape {{ dim: 1 dim: 3 dim: {size[0]} dim: {size[1]} }} }}"
    x = layer("Input", "data", "", "data", shape)
    x = conv("conv1/7x7_s2", x, "conv1/relu_7x7", 64, 7, 2)
    x = normalise("pool1/norm1", pool("pool1/3x3_s2", x))
    x = conv("conv2/3x3_reduce", x, "conv2/relu_3x3_reduce", 64, 1)
    x = conv("conv2/3x3", x, "conv2/relu_3x3", 192, 3)
    x = pool("pool2/3x3_s2", normalise("conv2/norm2", x))
    for block, widths in networks.V1_BLOCKS.items():
        at = networks.caffe_name(block).removesuffix("output")
        if block in ("mixed4a", "mixed5a"):
            x = pool(f"pool{int(block[5]) - 1}/3x3_s2", x)
        width = dict(zip(networks.CAFFE_BRANCHES, widths, strict=True))

        def branch(kind: str, below: str, kernel: int, at=at, width=width) -> str:
            name = networks.CAFFE_BRANCHES[kind]
            return conv(at + name, below, f"{at}relu_{name}", width[kind], kernel)

        tops = [
            branch("1x1", x, 1),
            branch("3x3", branch("3x3_bottleneck", x, 1), 3),
            branch("5x5", branch("5x5_bottleneck", x, 1), 5),
            branch("pool_reduce", pool(f"{at}pool", x, 1, 1), 1),
        ]
        x = layer("Concat", f"{at}output", " ".join(tops), f"{at}output")
    if head:
        window = "pooling_param { pool: AVE kernel_size: 7 stride: 1 }"
        x = layer("Pooling", "pool5/7x7_s1", x, "pool5/7x7_s1", window)
        name = "loss3/classifier"
        layer("InnerProduct", name, x, name, "inner_product_param { num_output: 1000 }")
    return "\n".join(lines) + "\n"


def run(
    path: Path, picture: np.ndarray, names: list[str], head: bool, alpha: float = 1e-4
) -> list[np.ndarray]:
    """Blobs of the network on a picture in 8-bit levels, (channels, h, w) each."""
    definition = path.with_suffix(".prototxt")
    definition.write_text(prototxt(picture.shape[:2], head, alpha))
    net = cv2.dnn.readNetFromCaffe(str(definition), str(path))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.enableFusion(False)  # keeps convolutions apart from rectifiers
    net.enableWinograd(False)  # exact rather than quick
    levels = picture[..., ::-1] - np.array(MEAN, np.float32)
    net.setInput(np.ascontiguousarray(levels.transpose(2, 0, 1)[None]))
    return [blob[0] for blob in net.forward(names)]


def main(folder: Path) -> None:
    facts = networks.FAMILIES[FAMILY]
    weights = networks.bvlc_googlenet()
    path, second = (folder / f"{FAMILY}{more}.caffemodel" for more in ("", "-v2"))
    layers = {"data": ()} | weights  # one without blobs, as training leaves some
    path.write_bytes(protobufs.net(layers, version=1, legacy=True))
    second.write_bytes(protobufs.net(layers, version=2))
    wanted = {}
    for conv in networks.v1_convolutions(networks.V1_BLOCKS, 5):
        at, _, name = networks.caffe_name(conv.layer).rpartition("/")
        wanted[f"{conv.layer}_pre_relu"] = f"{at}/{name}"
        wanted[conv.layer] = f"{at}/relu_{name.removesuffix('_s2')}"
    wanted |= {block: networks.caffe_name(block) for block in networks.V1_BLOCKS}
    for size, number in facts.shown.items():
        # Elsewhere than where one window of 7x7 fits, the network has no one answer to give.
        head = {"logits": "loss3/classifier"} if size == (224, 224) else {}
        picture = networks.picture(*size, number)
        found = run(path, picture, list((wanted | head).values()), bool(head))
        acts = dict(zip(wanted, (blob.transpose(1, 2, 0) for blob in found), strict=False))
        if head:
            acts["logits"] = found[-1][None, None]
        name = f"{FAMILY}-{size[0]}x{size[1]}-opencv.npz"
        np.savez(folder / name, **acts)  # type: ignore[arg-type]
    picture = networks.picture(*networks.SIZES[0])
    names = ["pool1/norm1", "conv2/norm2", "inception_3a/output"]
    right, again, wrong = (
        run(p, picture, names, False, alpha)
        for p, alpha in ((path, 1e-4), (second, 1e-4), (path, 0.0))
    )
    assert all(np.array_equal(a, b) for a, b in zip(right, again, strict=True))
    ours = ("localresponsenorm0", "localresponsenorm1", "mixed3a")
    moved = {
        f"without LRN: {name}": float(np.linalg.norm(b - a) / np.linalg.norm(a))
        for name, a, b in zip(ours, right, wrong, strict=True)
    }
    networks.save_facts(
        folder, FAMILY, "OpenCV", cv2.__version__, file=path.name, also=[second.name], effect=moved
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
