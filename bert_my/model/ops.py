"""Presets for `modeling.BertModel(ops=...)`: the encoder in training and in inference.

A preset is made for one tower, with the tower's state: the places of its dropout and
its weights. It is passed to `Task.build`.
"""

import contextlib
import dataclasses
import hashlib
from typing import Optional

import numpy as np
import tensorflow.compat.v1 as tf

import modeling
from bert_my.model import fused


class StatelessDropout:
    """Source of dropout seeds that depend on (seed, tower, place) and on the step.

    A run that is stopped and resumed draws the same masks as an uninterrupted one,
    unless only one of the two is compiled by XLA, see `fused.draw_by_hash`. A place is
    the position of a dropout in the order in which the graph is built.
    """

    def __init__(self, seed, tower, global_step):
        """Builds a source for one tower.

        Args:
          seed: int or str, of the run.
          tower: int, index of the tower.
          global_step: integer scalar tensor or variable.
        """
        self._prefix = f"{seed}/{tower}"
        self._global_step = global_step
        self._num_places = 0

    def next_seed(self):
        """Returns the int64 `[2]` seed of the next place."""
        place = f"{self._prefix}/{self._num_places}".encode("ascii")
        self._num_places += 1
        digest = hashlib.blake2b(place, digest_size=8).digest()
        key = np.frombuffer(digest, np.int64)[0]
        return tf.stack([tf.constant(key), tf.cast(self._global_step, tf.int64)])

    @property
    def place(self):
        """The number of the next place, for `replay`."""
        return self._num_places

    @contextlib.contextmanager
    def replay(self, place):
        """Draws the dropout of a part that is built again as it was the first time.

        Args:
          place: `place` before the part was built for the first time.
        """
        num_places, self._num_places = self._num_places, place
        try:
            yield
        finally:
            self._num_places = num_places


class HoistedWeights:
    """The weights of one tower as loop invariants, in the dtype of the activations.

    The body of a loop, over the parts of an accumulated batch or the steps of decoding,
    sees a weight as a tensor that enters the loop. So the weight is copied to the
    tower's device and cast once, before the loop, and not in every iteration. The class
    works outside of loops too.

    With a `copy_device` the casts are kept in variables on that device, from one
    `Session.run` to the next: a forward pass over a set casts nothing but activations.
    """

    def __init__(self, copy_device=None):
        """Creates nothing in the graph yet.

        Args:
          copy_device: (optional) device of the variables that keep casts until
            `refresh` is run; None: each `Session.run` casts the weights.
        """
        self._copy_device = copy_device
        self._outside = {}  # name of the variable -> its value before the loop
        self._inside = {}  # name of the variable -> tensor that the body sees
        self._casts = {}  # (name, dtype) -> cast value before the loop
        self._reads = []  # (name, cast tensor that the body sees)
        self._refresh = []

    def getter(self, getter, name, *args, **kwargs):
        """A `custom_getter` for the variable scope of a loop's body.

        In the body gradients can be taken of its own tensors only, see `gradients`.
        """
        if name not in self._inside:
            with tf.control_dependencies(None):  # leaves the loop
                self._outside[name] = tf.identity(getter(name, *args, **kwargs))
            self._inside[name] = tf.identity(self._outside[name])
        return self._inside[name]

    def read(self, weight, dtype):
        """Returns a weight in a dtype.

        Args:
          weight: float32 variable, or a tensor that `getter` returned. Another tensor,
            as a recomputed layer has it, is cast in place.
          dtype: of the activations.
        """
        if weight.dtype.base_dtype == dtype:
            return weight
        name = self._name_of(weight)
        if name is None:
            return tf.cast(weight, dtype)
        if (name, dtype) not in self._casts:
            with tf.control_dependencies(None):
                value = self._outside.get(name, weight)
                self._casts[name, dtype] = self._cast(name, value, dtype)
        tensor = tf.identity(self._casts[name, dtype])
        self._reads.append((name, tensor))
        return tensor

    def _name_of(self, weight):
        """Returns the name of the variable that a weight is the value of, or None."""
        if not isinstance(weight, tf.Tensor):
            return weight.op.name
        names = [name for name, tensor in self._inside.items() if tensor is weight]
        return names[0] if names else None

    def _cast(self, name, value, dtype):
        if self._copy_device is None:
            return tf.cast(value, dtype)
        with tf.device(self._copy_device):
            copy = tf.Variable(
                tf.zeros(value.shape, dtype),
                trainable=False,
                collections=[],  # neither saved nor initialized with the others
                use_resource=True,
                name=f"{name}/copy",
            )
            self._refresh.append(tf.assign(copy, tf.cast(value, dtype)).op)
            return copy.read_value()

    @property
    def refresh(self):
        """The list of ops that cast the weights as they are when the ops run."""
        return list(self._refresh)

    def gradients(self, loss, variables):
        """Returns the gradients of a loss in the body, None where there is none.

        Args:
          loss: scalar of the body, which `getter` and `read` gave all weights.
          variables: list of those to differentiate for.
        """
        names = [variable.op.name for variable in variables]
        casts = [(name, tensor) for name, tensor in self._reads if name in names]
        found = tf.gradients(
            loss, [*map(self._inside.get, names), *(tensor for _, tensor in casts)]
        )
        gradients = dict(zip(names, found))
        for (name, _), gradient in zip(casts, found[len(names) :]):
            if gradient is not None:
                wide, other = tf.cast(gradient, tf.float32), gradients[name]
                gradients[name] = wide if other is None else wide + other
        return [gradients[name] for name in names]


@dataclasses.dataclass(frozen=True, eq=False)
class _Preset(modeling.ReferenceOps):
    """Fields of both presets.

    dtype: of the activations.
    weights: (optional) `HoistedWeights`; None: weights are cast where they are used.
    """

    dtype: tf.DType = tf.float32
    weights: Optional[HoistedWeights] = None

    def __post_init__(self):
        if not self.dtype.is_floating:
            raise ValueError(f"activations are floating-point, not {self.dtype.name}")

    def read(self, weight, dtype):
        if self.weights is None:
            return super().read(weight, dtype)
        return self.weights.read(weight, dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class InferenceOps(_Preset):
    """Forward passes, without dropout and gradients.

    In plain TensorFlow oneDNN finds products with bias and GELU to fuse, which a
    hand-written gradient would hide.

    fuses_layer_norm: use `fused.onednn_layer_norm`.
    """

    fuses_layer_norm: bool = False

    def layer_norm(self, x, gamma, beta):
        if not self.fuses_layer_norm:
            return super().layer_norm(x, gamma, beta)
        weights = (tf.identity(self.read(weight, x.dtype)) for weight in (gamma, beta))
        return fused.onednn_layer_norm(x, *weights)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingOps(_Preset):
    """Training steps: hand-written gradients that save little for the backward pass.

    A gradient that TensorFlow derives saves every intermediate result. These save
    inputs, or one result, and recompute the rest; dropout is drawn again from its seed.

    dropout_source: `StatelessDropout`.
    use_xla: compile the fused kernels.
    num_recomputed_layers: so many layers, from the first, save their input only, and
      are recomputed for their gradient.
    reuses_forward: let TensorFlow merge a gradient's recomputation with the forward
      pass, and keep intermediate results where it sees that the shapes are the same:
      faster, with more memory. Kernels compiled by XLA are not merged.
    """

    dropout_source: Optional[StatelessDropout] = None
    use_xla: bool = False
    num_recomputed_layers: int = 0
    reuses_forward: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.dropout_source is None:
            raise ValueError(
                "TrainingOps needs a dropout_source: gradients draw dropout again"
            )
        if self.use_xla and not fused.supports_jit():
            raise ValueError(f"use_xla: TensorFlow {tf.__version__} compiles nothing")
        if self.num_recomputed_layers < 0:
            raise ValueError(f"num_recomputed_layers={self.num_recomputed_layers}")
        if self.num_recomputed_layers and self.reuses_forward:
            raise ValueError("reuses_forward would keep what layers are to recompute")

    def activate(self, x, activation):
        if activation is not modeling.gelu:
            return super().activate(x, activation)

        @tf.custom_gradient
        def op(x):
            def gradient(dy):
                return self._run(fused.gelu_gradient, *self._reread(dy, x), dy)

            return self._run(fused.gelu, x), gradient

        return op(x)

    def dropout(self, x, rate):
        drop = self._dropper(rate)

        @tf.custom_gradient
        def op(x):
            return drop(x), lambda dy: drop(dy, dy)

        return op(x)

    def residual_layer_norm(self, x, residual, gamma, beta, rate):
        constants = {"rate": rate, "draw": self._draw}
        # Without dropout nothing is drawn from the seed.
        seed = self.dropout_source.next_seed() if rate else tf.zeros([2], tf.int64)

        @tf.custom_gradient
        def op(x, residual, gamma, beta):
            def gradient(dy):
                inputs = self._reread(dy, x, residual, gamma, seed)
                return self._run(fused.layer_norm_gradient, *inputs, dy, **constants)

            inputs = (x, residual, gamma, beta, seed)
            return self._run(fused.layer_norm, *inputs, **constants), gradient

        return op(x, residual, gamma, beta)

    def attention(self, query, key, value, addend, rate):
        scores = tf.matmul(query, key, transpose_b=True)
        return self.attend(scores, value, addend, rate)

    def attend(self, scores, value, addend, rate):
        """Dropout of the softmax of scores, times the values; saves the softmax.

        Args:
          scores: `[batch_size, num_attention_heads, from_seq_length, to_seq_length]`.
          value, addend, rate: see `attention`; `addend` has no gradient.
        """
        drop = self._dropper(rate)

        @tf.custom_gradient
        def op(scores, value):
            probs = self._run(fused.softmax, scores, addend)

            def gradient(dy):
                dropped = drop(*fused.after(dy, probs), dy)
                dprobs = drop(tf.matmul(dy, value, transpose_b=True), dy)
                dscores = self._run(fused.softmax_gradient, probs, dprobs)
                return dscores, tf.matmul(dropped, dy, transpose_a=True)

            return tf.matmul(drop(probs), value), gradient

        return op(scores, value)

    def run_layer(self, index, build_layer, layer_input):
        if index >= self.num_recomputed_layers:
            return build_layer(layer_input)
        return _recompute(build_layer, layer_input, self.dropout_source)

    def _run(self, function, *tensors, **constants):
        """Runs a function of `fused`, compiled if XLA is in use."""
        if self.use_xla:
            return fused.jit(function, **constants)(*tensors)
        return function(*tensors, **constants)

    def _reread(self, dy, *tensors):
        """Returns the forward inputs as a gradient reads them; see `reuses_forward`."""
        return tensors if self.reuses_forward else fused.after(dy, *tensors)

    @property
    def _draw(self):
        return fused.draw_by_hash if self.use_xla else fused.draw_by_philox

    def _dropper(self, rate):
        """Returns a function that drops the same elements of whatever it is given.

        Its arguments are a tensor and, in a gradient, the gradient of the result.
        """
        if not rate:
            return lambda x, dy=None: x
        seed, draw = self.dropout_source.next_seed(), self._draw

        def drop(x, dy=None):
            (key,) = [seed] if dy is None else self._reread(dy, seed)
            return self._run(fused.dropout, x, key, rate=rate, draw=draw)

        return drop


def _recompute(build, x, dropout_source):
    """Builds a part of a model that saves its input and is recomputed backwards.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    Args:
      build: function from a tensor to a tensor. Its variables come from
        `tf.get_variable`, and a second call builds the same.
      x: its argument.
      dropout_source: `StatelessDropout` of `build`.
    """
    scope, place = tf.get_variable_scope(), dropout_source.place
    weights = {}  # name -> tensor

    def read(getter, name, *args, **kwargs):
        if name not in weights:
            weights[name] = tf.identity(getter(name, *args, **kwargs))
        return weights[name]

    with tf.variable_scope(scope, custom_getter=read):
        y = build(x)

    @tf.custom_gradient
    def op(x, *tensors):
        given = {}

        def read_again(getter, name, *args, **kwargs):
            return given[name]

        def gradient(dy):
            inputs = fused.after(dy, x, *tensors)
            given.update(zip(weights, inputs[1:]))
            with tf.control_dependencies([dy]), tf.variable_scope(
                scope, custom_getter=read_again
            ), dropout_source.replay(place):
                again = build(inputs[0])
            return tf.gradients(again, inputs, dy)

        return tf.identity(y), gradient

    return op(x, *weights.values())
