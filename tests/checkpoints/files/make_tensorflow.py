"""Writes frozen.pb, a graph of constants as TensorFlow itself serialises them.

Run as: python make_tensorflow.py, where TensorFlow is installed. The file kept here is 2.21.0's.
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false

from pathlib import Path

import numpy as np
import tensorflow as tf

ramp = np.linspace(-1, 1, 54)
graph = tf.Graph()
with graph.as_default():
    image = tf.compat.v1.placeholder(tf.float32, (None, None, None, 3), name="input")
    kernel = tf.constant(ramp.reshape(3, 3, 3, 2), tf.float32, name="kernel")
    tf.nn.conv2d(image, kernel, 1, "SAME", name="conv")
    tf.constant(ramp.reshape(6, 9), tf.float64, name="doubles")
    tf.constant(ramp.reshape(6, 9), tf.float16, name="halves")
    tf.constant(0.5, tf.float32, name="scalar")
    # One value for all of the shape, as TensorFlow 1 wrote it.
    tf.compat.v1.constant(0.25, tf.float32, (2, 3), name="repeated")
    tf.compat.v1.constant(0.25, tf.float16, (2, 3), name="repeated_half")
    tf.constant([-1, 1024], tf.int32, name="integers")
    tf.constant("TensorFlow " + tf.__version__, name="text")
written = graph.as_graph_def().SerializeToString(deterministic=True)
(Path(__file__).parent / "frozen.pb").write_bytes(written)
