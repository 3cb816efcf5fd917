"""Keras's InceptionV3 with random weights, saved in both of Keras's formats.

The .h5 is without the classifier, as the published file that dreams are made with; the .weights.h5
has it.

Run as: python keras_inception_v3.py FOLDER
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
import h5py
import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import networks

FAMILY = "keras_inception_v3"
application = keras.applications.inception_v3


def build(size: tuple[int, int], top: bool) -> keras.Model:
    """A network with our weights, its layers numbered from the beginning as in a fresh session."""
    keras.backend.clear_session()
    model = application.InceptionV3(
        include_top=top, weights=None, input_shape=(*size, 3), classifier_activation=None
    )
    weights = networks.keras_inception_v3()
    for layer in model.layers:
        own = [(variable, f"{layer.name}/{variable.name}") for variable in layer.weights]
        for variable, name in own:
            variable.assign(weights.pop(name))
    assert not [name for name in weights if top or not name.startswith("predictions")]
    return model


def names(model: keras.Model) -> dict[str, str]:
    """{our name of the layer: Keras's}."""
    found = {}
    for i, conv in enumerate(networks.v3_convolutions()):
        number = f"_{i}" if i else ""
        found[conv.layer] = f"activation{number}"
        found[f"{conv.layer}_pre_relu"] = f"batch_normalization{number}"
    return found | {f"mixed{i}": f"mixed{i}" for i in range(11)} | {"logits": "predictions"}


def main(folder: Path) -> None:
    facts = networks.FAMILIES[FAMILY]
    with h5py.File(folder / f"{FAMILY}.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, build((299, 299), top=False))
    build((299, 299), top=True).save_weights(folder / f"{FAMILY}.weights.h5")
    for size, number in facts.shown.items():
        model = build(size, top=True)
        wanted = names(model)
        outputs = {ours: model.get_layer(theirs).output for ours, theirs in wanted.items()}
        every = keras.Model(model.inputs, outputs)
        with tf.GradientTape() as tape:
            image = tf.constant(networks.picture(*size, number)[None] / 255)
            tape.watch(image)
            found = every(application.preprocess_input(image * 255), training=False)
            score = 0.5 * tf.reduce_sum(tf.square(found[facts.objective]))
        by = tape.gradient(score, image)
        layers = {name: value[0].numpy() for name, value in found.items()}
        layers["logits"] = layers["logits"][None, None]
        networks.save(folder, FAMILY, size, layers, np.asarray(by)[0])
    versions = f"{keras.__version__} on TensorFlow {tf.__version__}"
    files = [f"{FAMILY}.h5", f"{FAMILY}.weights.h5"]
    networks.save_facts(folder, FAMILY, "Keras", versions, file=files[1], also=files[:1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
