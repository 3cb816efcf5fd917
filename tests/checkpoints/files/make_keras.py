"""Makes the small Keras files beside it. Made with Keras 3.15.1 on TensorFlow 2.21.0.

`keras-order.txt` is how Keras saves Inception V3: line n has the number, in the order in which they
were made, of the convolution that a .weights.h5 calls its n-th.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format

HERE = Path(__file__).parent


def name_of(file: h5py.File, number: int) -> str:
    layer = f"conv2d_{number}" if number else "conv2d"
    return file[f"layers/{layer}/vars"].attrs["name"]


network = keras.applications.InceptionV3(weights=None, include_top=False)
with TemporaryDirectory() as folder:
    path = Path(folder) / "whole.weights.h5"
    network.save_weights(path)
    with h5py.File(path) as file:
        order = [name_of(file, number).partition("_")[2] or "0" for number in range(94)]
(HERE / "keras-order.txt").write_text("\n".join(order) + "\n")

# Two branches, so that the order in the file is not that in which they were made.
picture = keras.Input((8, 8, 3))
short = keras.layers.Conv2D(2, 1, use_bias=False)(picture)
short = keras.layers.BatchNormalization(scale=False)(short)
long = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(picture)
long = keras.layers.BatchNormalization()(long)
long = keras.layers.Conv2D(2, 1)(long)
both = keras.layers.Concatenate()([short, long])
pooled = keras.layers.GlobalAveragePooling2D()(both)
model = keras.Model(picture, keras.layers.Dense(3, name="predictions")(pooled))
layers = sorted((layer for layer in model.layers if layer.weights), key=lambda layer: layer.name)
for number, layer in enumerate(layers):
    shapes = [weight.shape for weight in layer.weights]
    layer.set_weights([np.full(s, 10 * number + i, "float32") for i, s in enumerate(shapes)])
model.save_weights(HERE / "keras-3.weights.h5")
with h5py.File(HERE / "keras-2.h5", "w") as file:
    legacy_h5_format.save_weights_to_hdf5_group(file, model)
model.save(HERE / "keras-2-whole.h5")
