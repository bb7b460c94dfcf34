"""Weights in the dtype of the activations, cast once for many batches.

A forward pass over a set casts nothing but its activations, and on several devices
each has copies of its own.
"""

import tensorflow.compat.v1 as tf


class WeightCopies:
    """The copies of the weights of one tower."""

    def __init__(self, device):
        """Takes the device of the tower; makes nothing yet."""
        self._device = device
        self._copies = {}  # name of the weight -> (copy, op that refreshes it)

    def cast(self, weight, dtype):
        """Returns a weight in a dtype: itself, or what its copy holds.

        Args:
          weight: float32 variable, or what stands for it.
          dtype: of the activations.
        """
        if weight.dtype.base_dtype == dtype:
            return weight
        name = weight.op.name
        if name not in self._copies:
            with tf.device(self._device):
                copy = tf.Variable(
                    tf.zeros(weight.shape, dtype),
                    trainable=False,
                    collections=[],  # neither saved nor initialized with the others
                    use_resource=True,
                    name=f"{name}/copy",
                )
                refresh = tf.assign(copy, tf.cast(weight, dtype))
            self._copies[name] = copy, refresh.op
        return tf.identity(self._copies[name][0])

    @property
    def refresh(self):
        """The list of ops that cast the weights as they are now."""
        return [refresh for _, refresh in self._copies.values()]
