"""Gradients of a batch that is too large to be computed at once.

Each tower takes its rows in parts, one after the other, in a loop. That holds the
activations of one part, and one sum for each gradient. The loss of a part is divided by
the weight of the whole batch, so the sums are the gradients of that batch.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import towers


class TowerSums(NamedTuple):
    """What a tower adds up over its parts, or what one part adds.

    losses, means: see `TaskOutputs`.
    gradients: of each variable, dense; None for one that the tower does not use.
    squares: for a variable of which rows are looked up, the squares of their gradients
      as they come, added up; None for the others.
    """

    losses: Dict[str, Tuple[tf.Tensor, tf.Tensor]]
    means: Dict[str, Tuple[tf.Tensor, tf.Tensor]]
    gradients: List[Optional[tf.Tensor]]
    squares: List[Optional[tf.Tensor]]


def accumulate(
    build, outputs, features, num_parts, scale, variables, devices, reduction
):
    """Computes the losses of all towers and their gradients.

    Args:
      build: function `(tower_index, part_index, features, cast_weight)` that builds the
        model and returns `TaskOutputs`; `part_index` is an int64 scalar tensor; for
        `cast_weight` see `computing`.
      outputs: for each tower the `TaskOutputs` of all its rows at once. Only the
        weights of the losses are used. They depend on labels alone, so nothing else of
        that model is ever computed.
      features: dict name -> tensor `[batch_size, ...]`, see `towers.build`.
      num_parts: int, which divides the rows of a tower.
      scale: factor of the losses whose gradients are taken.
      variables: list of the shared variables.
      devices: device of each tower.
      reduction: `towers.Reduction`.

    Returns:
      `(sums, grads_and_vars, norm)`: the `TowerSums` of each tower, the gradients of
      all towers, and their norm.
    """
    weights = reduction.add_weights([each.losses for each in outputs])

    def tower_fn(index, tower_features):
        def compute(part_index, part):
            inside = _WeightsInside()
            scope = tf.get_variable_scope()
            with tf.variable_scope(scope, custom_getter=inside.get):
                part_outputs = build(index, part_index, part, inside.cast)
            loss = towers.normalized_loss(part_outputs.losses, weights)
            return _part_sums(part_outputs, inside.gradients(loss * scale, variables))

        return _run(compute, outputs[index], tower_features, num_parts, variables)

    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        sums = towers.build(tower_fn, features, devices)
    grads_and_vars = reduction.add_gradients(
        [each.gradients for each in sums], variables
    )
    return sums, grads_and_vars, _global_norm(grads_and_vars, sums, reduction)


class _WeightsInside:
    """Gives a loop's body the weights as tensors inside of it.

    Gradients can be taken of nothing else there. A weight comes to the tower's device,
    and is cast, once, before the loop, and not for every part. Layers that are computed
    once more see other tensors, and cast them themselves.
    """

    def __init__(self):
        self._outside = {}  # name of the variable -> tensor
        self._inside = {}
        self._cast = {}

    def get(self, getter, name, *args, **kwargs):
        """A `custom_getter` for variable scopes."""
        if name not in self._inside:
            with tf.control_dependencies(None):  # outside of the loop
                self._outside[name] = tf.identity(getter(name, *args, **kwargs))
            self._inside[name] = tf.identity(self._outside[name])
        return self._inside[name]

    def cast(self, weight, dtype):
        """Returns what `get` returned, in a dtype; see `computing`."""
        names = [name for name, each in self._inside.items() if each is weight]
        if not names or weight.dtype == dtype:
            return tf.cast(weight, dtype)
        if names[0] not in self._cast:
            with tf.control_dependencies(None):
                value = tf.cast(self._outside[names[0]], dtype)
            self._cast[names[0]] = tf.identity(value)
        return tf.cast(self._cast[names[0]], dtype)

    def gradients(self, loss, variables):
        """Returns the gradient of a loss for each variable, None where it has none."""
        names = [variable.op.name for variable in variables]
        cast = {name: self._cast[name] for name in names if name in self._cast}
        tensors = [self._inside[name] for name in names]
        found = tf.gradients(loss, [*tensors, *cast.values()])
        for name, gradient in zip(cast, found[len(names) :]):
            if gradient is not None:
                index, wide = names.index(name), tf.cast(gradient, tf.float32)
                found[index] = wide if found[index] is None else wide + found[index]
        return found[: len(names)]


def _part_sums(outputs, gradients):
    """Returns the `TowerSums` of one part."""
    return TowerSums(
        outputs.losses,
        outputs.means,
        [None if each is None else tf.convert_to_tensor(each) for each in gradients],
        [
            tf.reduce_sum(tf.square(each.values))
            if isinstance(each, tf.IndexedSlices)
            else None
            for each in gradients
        ],
    )


def _run(compute, outputs, features, num_parts, variables):
    """Runs the loop of a tower; returns its `TowerSums`.

    Args:
      compute: function `(part_index, features)` that returns the `TowerSums` of a part.
      outputs: `TaskOutputs` with the names of the losses and means.
      features: dict name -> tensor `[num_rows, ...]`.
      num_parts: int.
      variables: list.
    """
    parts = {name: _split(value, num_parts) for name, value in features.items()}
    zero = tf.zeros([])
    start = TowerSums(
        dict.fromkeys(outputs.losses, (zero, zero)),
        dict.fromkeys(outputs.means, (zero, zero)),
        [tf.zeros(variable.shape) for variable in variables],
        [zero for _ in variables],
    )
    traced = []

    def body(index, sums):
        part = {name: tf.gather(value, index) for name, value in parts.items()}
        added = compute(index, part)
        traced.append(added)
        return index + 1, TowerSums(
            *(tf.nest.map_structure(tf.add, *each) for each in zip(sums[:2], added)),
            *(list(map(_add_to, *each)) for each in zip(sums[2:], added[2:])),
        )

    _, sums = tf.while_loop(
        lambda index, _: index < num_parts,
        body,
        (tf.constant(0, tf.int64), start),
        # Two parts at once would need the memory of two.
        parallel_iterations=1,
    )
    return sums._replace(
        gradients=_without_missing(sums.gradients, traced[0].gradients),
        squares=_without_missing(sums.squares, traced[0].squares),
    )


def _split(value, num_parts):
    """Returns the rows of a feature as `[num_parts, num_rows / num_parts, ...]`."""
    num_rows, *shape = modeling.get_shape_list(value)
    return tf.reshape(value, [num_parts, num_rows // num_parts, *shape])


def _add_to(total, added):
    """Returns a sum of the shape of the total; nothing is added if that is None."""
    if added is None:
        return total
    # Of a table's gradient the number of rows is not known while the graph is built.
    added.set_shape(total.shape)
    return total + added


def _without_missing(sums, parts):
    """Returns the sums, but None for those to which nothing was ever added."""
    return [None if part is None else each for each, part in zip(sums, parts)]


def _global_norm(grads_and_vars, sums, reduction):
    """Returns the norm of all gradients, as clipping counts it.

    That is, each row that was looked up by itself, as if they were still slices.
    """
    norms = []
    for (gradient, _), *squares in zip(
        grads_and_vars, *(each.squares for each in sums)
    ):
        if gradient is not None:
            is_looked_up = squares[0] is not None
            norms.append(tf.sqrt(reduction.add(squares)) if is_looked_up else gradient)
    return tf.linalg.global_norm(norms)
