"""TensorFlow 2's DeepDream tutorial: its step and its compiled loop, on the same network.

The network is built of Keras layers with the folded weights, since the tutorial's own is another
one. Source of step and loop: TensorFlow's tutorial "DeepDream", `DeepDream.__call__`.
"""
# pyright: reportMissingImports=false

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# isort: split
import keras
import numpy as np
import tensorflow as tf
import worker
from keras import layers

STEP = 0.01
"""In a range from -1 to 1."""


def network(weights: dict[str, np.ndarray], size: tuple[int, int], last: str) -> keras.Model:
    """torchvision's GoogLeNet up to a layer, for pictures (1, h, w, 3) in [-1, 1]."""

    def convolve(name: str, x):
        kernel = weights[f"{name}/kernel"]
        padding, stride = "same", 1
        if len(kernel) == 7:
            # "same" would pad unevenly at this stride.
            x, padding, stride = layers.ZeroPadding2D(3)(x), "valid", 2
        made = layers.Conv2D(kernel.shape[3], kernel.shape[:2], stride, padding, activation="relu")
        y = made(x)
        made.set_weights([kernel, weights[f"{name}/bias"]])
        return y

    def halve(x, side: int = 3):
        # Rounded up; what is padded with is the least that a rectifier leaves.
        rows, columns = ((n - side) % 2 for n in x.shape[1:3])
        x = layers.ZeroPadding2D(((0, rows), (0, columns)))(x)
        return layers.MaxPooling2D(side, 2)(x)

    given = keras.Input((*size, 3), batch_size=1)
    mean, scale = weights["mean"], weights["scale"]
    x = (127.5 * (given + 1.0) - mean) * scale
    x = convolve("conv2d1", halve(convolve("conv2d0", x)))
    x = halve(convolve("conv2d2", x))
    for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        if block in ("4a", "5a"):
            x = halve(x, 3 if block == "4a" else 2)
        name = f"mixed{block}"
        three = convolve(f"{name}/3x3", convolve(f"{name}/3x3_bottleneck", x))
        five = convolve(f"{name}/5x5", convolve(f"{name}/5x5_bottleneck", x))
        pooled = convolve(f"{name}/pool_reduce", layers.MaxPooling2D(3, 1, "same")(x))
        x = layers.Concatenate()([convolve(f"{name}/1x1", x), three, five, pooled])
        if name == last:
            break
    return keras.Model(given, x)


class Tutorial:
    """The mean of a layer, a gradient over its deviation, no shifts."""

    def __init__(self, task: worker.Task):
        tf.config.threading.set_intra_op_parallelism_threads(task.threads)
        tf.config.threading.set_inter_op_parallelism_threads(task.threads)
        self.versions = {"TensorFlow": tf.__version__, "Keras": keras.__version__}
        self._task = task
        self._image = self._dreamed = tf.constant(2 * task.picture - 1)
        # Of fixed size, as what is padded depends on it.
        self._network = functools.cache(lambda size: network(task.weights, size, task.layer))
        self._network(tuple(task.picture.shape[:2]))
        kinds = [tf.TensorSpec((*task.picture.shape[:2], 3)), tf.TensorSpec((), tf.int32)]
        self._steps = tf.function(self._climb, input_signature=kinds)

    def burst(self, count: int) -> None:
        """See `Contender`."""
        self._dreamed = self._steps(self._image, tf.constant(count))
        self._dreamed.numpy()

    def gradient(self, number: int) -> np.ndarray:
        """See `Contender`."""
        return 2 * self._slope(tf.constant(2 * self._task.view(number) - 1)).numpy()

    def dreamed(self) -> np.ndarray:
        """See `Contender`."""
        return (self._dreamed.numpy() + 1) / 2

    def _climb(self, image: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(count):
            gradient = self._slope(image)
            gradient /= tf.math.reduce_std(gradient) + 1e-8
            image = tf.clip_by_value(image + STEP * gradient, -1.0, 1.0)
        return image

    def _slope(self, image: tf.Tensor) -> tf.Tensor:
        network = self._network(tuple(image.shape[:2]))
        with tf.GradientTape() as tape:
            tape.watch(image)
            score = tf.reduce_mean(network(image[None], training=False))
        return tape.gradient(score, image)


if __name__ == "__main__":
    worker.serve(Tutorial)
