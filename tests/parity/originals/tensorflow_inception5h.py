"""inception5h in TensorFlow: the published graph node for node, with random weights.

Run as: python tensorflow_inception5h.py FOLDER
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import networks

FAMILY = "inception5h"
v1 = tf.compat.v1
LRN = {"depth_radius": 5, "bias": 2.0, "alpha": 1e-4, "beta": 0.5}


def published(weights: dict[str, np.ndarray], lrn: dict[str, float] | None = LRN) -> tf.Graph:
    """The graph, its nodes named and ordered as in the published file; no LRN where None."""
    ops = tf.raw_ops
    graph = tf.Graph()
    with graph.as_default():
        x = image = v1.placeholder(tf.float32, (None, None, None, 3), name="input")
        w = {name: tf.constant(value, name=name) for name, value in weights.items()}

        def conv(name: str, x: tf.Tensor, stride: int = 1) -> tf.Tensor:
            before = f"{name}_pre_relu"
            # The slash at the end: take the name as it is.
            x = ops.Conv2D(
                input=x,
                filter=w[f"{name}_w"],
                strides=[1, stride, stride, 1],
                padding="SAME",
                name=f"{before}/conv/",
            )
            x = ops.BiasAdd(value=x, bias=w[f"{name}_b"], name=f"{before}/")
            return ops.Relu(features=x, name=f"{name}/")

        def max_pool(name: str, x: tf.Tensor, stride: int) -> tf.Tensor:
            strides = [1, stride, stride, 1]
            return ops.MaxPool(
                input=x, ksize=[1, 3, 3, 1], strides=strides, padding="SAME", name=f"{name}/"
            )

        def average(name: str, x: tf.Tensor, side: int, stride: int) -> tf.Tensor:
            sides, strides = [1, side, side, 1], [1, stride, stride, 1]
            return ops.AvgPool(
                value=x, ksize=sides, strides=strides, padding="VALID", name=f"{name}/"
            )

        def normalise(name: str, x: tf.Tensor) -> tf.Tensor:
            if lrn is None:
                return ops.Identity(input=x, name=f"{name}/")
            return ops.LRN(input=x, **lrn, name=f"{name}/")

        def dense(name: str, x: tf.Tensor, key: str) -> tf.Tensor:
            x = ops.MatMul(a=x, b=w[f"{key}_w"], name=f"{name}/matmul/")
            return ops.BiasAdd(value=x, bias=w[f"{key}_b"], name=f"{name}/")

        def flat(name: str, x: tf.Tensor, width: int) -> tf.Tensor:
            shape = tf.constant([-1, width], name=f"{name}/reshape/shape/")
            return ops.Reshape(tensor=x, shape=shape, name=f"{name}/reshape/")

        x = conv("conv2d0", x, 2)
        x = normalise("localresponsenorm0", max_pool("maxpool0", x, 2))
        x = conv("conv2d2", conv("conv2d1", x))
        x = max_pool("maxpool1", normalise("localresponsenorm1", x), 2)
        outputs = {}
        for block in networks.V1_BLOCKS_5H:
            if block in ("mixed4a", "mixed5a"):
                x = max_pool({"mixed4a": "maxpool4", "mixed5a": "maxpool10"}[block], x, 2)
            branches = [
                conv(f"{block}_1x1", x),
                conv(f"{block}_3x3", conv(f"{block}_3x3_bottleneck", x)),
                conv(f"{block}_5x5", conv(f"{block}_5x5_bottleneck", x)),
                conv(f"{block}_pool_reduce", max_pool(f"{block}_pool", x, 1)),
            ]
            channels = tf.constant(3, name=f"{block}/concat_dim/")
            x = ops.Concat(concat_dim=channels, values=branches, name=f"{block}/")
            outputs[block] = x
        pooled = average("avgpool0", x, 7, 1)
        for i, block in (("0", "mixed4a"), ("1", "mixed4d")):
            side = average(f"head{i}_pool", outputs[block], 5, 3)
            side = flat(f"head{i}_bottleneck", conv(f"head{i}_bottleneck", side), 2048)
            side = ops.Relu(features=dense(f"nn{i}_pre_relu", side, f"nn{i}"), name=f"nn{i}/")
            side = dense(f"softmax{i}_pre_activation", flat(f"nn{i}", side, 1024), f"softmax{i}")
            outputs[i] = ops.Softmax(logits=side, name=f"softmax{i}/")
        logits = dense("softmax2_pre_activation", flat("avgpool0", pooled, 1024), "softmax2")
        outputs["2"] = ops.Softmax(logits=logits, name="softmax2/")
        for i, name in (("0", "output"), ("1", "output1"), ("2", "output2")):
            ops.Identity(input=outputs[i], name=f"{name}/")
        assert image.name == "input:0"
    return graph


def run(graph: tf.Graph, picture: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """Nodes of the graph on a picture in 8-bit levels."""
    with v1.Session(graph=graph) as session:
        pixels = picture[None] - 117
        return session.run([f"{name}:0" for name in names], {"input:0": pixels})


def lrn_effect(weights: dict[str, np.ndarray]) -> dict[str, float]:
    """How far the results move, ||without - with|| / ||with||, where there is no LRN, and where
    only its sum over neighbours is left out."""
    names = ["localresponsenorm0", "mixed3a"]
    picture = networks.picture(*networks.SIZES[0])
    right = run(published(weights), picture, names)
    effect = {}
    for what, lrn in (("without LRN", None), ("without its sum", LRN | {"alpha": 0.0})):
        wrong = run(published(weights, lrn), picture, names)
        for name, a, b in zip(names, right, wrong, strict=True):
            effect[f"{what}: {name}"] = float(np.linalg.norm(b - a) / np.linalg.norm(a))
    return effect


def main(folder: Path) -> None:
    facts = networks.FAMILIES[FAMILY]
    weights = networks.inception5h()
    graph = published(weights)
    path = folder / "tensorflow_inception_graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    read = v1.GraphDef.FromString(path.read_bytes())
    layers = [conv.layer for conv in networks.v1_convolutions(networks.V1_BLOCKS_5H, 5)]
    names = [name for layer in layers for name in (f"{layer}_pre_relu", layer)]
    names += networks.V1_BLOCKS_5H
    for size, number in facts.shown.items():
        again = tf.Graph()
        with again.as_default():
            tf.import_graph_def(read, name="")
            chosen = again.get_tensor_by_name(f"{facts.objective}:0")
            score = 0.5 * tf.reduce_sum(tf.square(chosen))
            by = v1.gradients(score, again.get_tensor_by_name("input:0"))[0]
        # Elsewhere than where one window of 7x7 fits, the graph has no one answer to give.
        heads = ["softmax2_pre_activation"] if size == (224, 224) else []
        picture = networks.picture(*size, number)
        *found, gradient = run(again, picture, [*names, *heads, by.op.name])
        acts = dict(zip([*names, *["logits"] * len(heads)], (f[0] for f in found), strict=True))
        if heads:
            acts["logits"] = acts["logits"][None, None]
        networks.save(folder, FAMILY, size, acts, gradient[0] * 255)
    effect = lrn_effect(weights)
    for name, moved in effect.items():
        print(f"{name} moves by {moved:.1%}")
    networks.save_facts(folder, FAMILY, "TensorFlow", tf.__version__, file=path.name, effect=effect)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
