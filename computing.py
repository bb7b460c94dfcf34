"""How a model that is being built is to be computed: dtype, dropout, lean operations.

It is set from outside by a `with` block, without touching code that builds a model. All
of it is off by default, which gives upstream's graph. Variables are float32 always.
"""

import contextlib
import functools
import hashlib
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf


class StatelessDropout:
    """Source of dropout seeds that depend on (seed, tower, place) and on the step.

    A run that is stopped and started again draws the same masks as one that was not, if
    it is compiled as before, or not, see `lean_ops`.
    A place is the position of the dropout in the order in which the graph is built.
    """

    def __init__(self, seed, tower, global_step):
        """Builds a source for one tower.

        Args:
          seed: int, of the run.
          tower: int, index of the tower.
          global_step: integer scalar tensor or variable.
        """
        self._prefix = f"{seed}/{tower}"
        self._global_step = global_step
        self.num_places = 0  # to be set back where a part is built once more

    def next_seed(self):
        """Returns the int64 `[2]` seed of the next place."""
        place = f"{self._prefix}/{self.num_places}".encode("ascii")
        self.num_places += 1
        digest = hashlib.blake2b(place, digest_size=8).digest()
        key = np.frombuffer(digest, np.int64)[0]
        return tf.stack([tf.constant(key), tf.cast(self._global_step, tf.int64)])


class Computing(NamedTuple):
    """See `computing`."""

    dtype: Any = tf.float32
    dropout_source: Optional[StatelessDropout] = None
    cast_weight: Callable = tf.cast
    is_lean: bool = False
    use_xla: bool = False
    num_recomputed_layers: int = 0
    fuses_layer_norm: bool = False
    shares_forward: bool = False


_stack = [Computing()]
# A collection whose key is no string is not exported.
_COMPILED = ("compiled functions",)


def current():
    """Returns the innermost `Computing`."""
    return _stack[-1]


@contextlib.contextmanager
def computing(**settings):
    """Sets how everything built inside the `with` block is computed.

    Args:
      dtype: of the encoder's activations. Variables, the sums of LayerNorm, softmax and
        what the getters of `BertModel` return stay float32.
      dropout_source: `StatelessDropout`, or None for TensorFlow's stateful one.
      cast_weight: function `(variable, dtype)` that returns a weight in the dtype of
        the activations.
      is_lean: use `lean_ops`, whose gradients keep less; needs a dropout source.
      use_xla: compile these; see `lean_ops`.
      num_recomputed_layers: the first so many layers keep only their input, and are
        computed once more for their gradient.
      fuses_layer_norm: normalize in one kernel, for forward passes; see
        `lean_ops.fused_layer_norm`.
      shares_forward: what is not compiled may keep what the result and its gradient
        both need, which takes memory for time. What is dropped only where TensorFlow
        sees that the shapes are the same.
    """
    with using(Computing(**settings)):
        yield


@contextlib.contextmanager
def using(setting):
    """Sets a `Computing` that was the current one before."""
    _stack.append(setting)
    try:
        yield
    finally:
        _stack.pop()


def compiled(function, **constants):
    """Returns a function that XLA compiles, once for each shape of its tensors.

    It is the same one for the whole of a graph, and kept with it, for it refers to it.

    Args:
      function: of tensors, and of the constants by name.
      **constants: hashable.
    """
    kept = tf.get_collection_ref(_COMPILED)
    key = (function, sorted(constants.items()))
    for known, found in kept:
        if known == key:
            return found
    found = tf.function(
        functools.partial(function, **constants),
        autograph=False,
        experimental_compile=True,  # the spelling that both TensorFlows know
    )
    kept.append((key, found))
    return found
