"""Weights that are read and cast outside of the control flow that uses them."""

import tensorflow.compat.v1 as tf


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
