"""Gradient accumulation: a batch that is too large for memory, in parts.

Each tower runs its parts one after the other in a loop, which holds the activations of
one part and one sum for each gradient. The loss of a part is divided by the weight of
the whole batch, so the sums are the gradients of the whole batch.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import towers
from bert_my.model.ops import HoistedWeights


class TowerSums(NamedTuple):
    """Sums of a tower over its parts, or the values of one part.

    losses, means: see `TaskOutputs`.
    gradients: of each variable, dense; None for one that the tower does not use.
    squares: for a variable with looked-up rows, the sum of the squares of their
      gradients, each occurrence of a row by itself; None for the others.
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
      build: function `(tower_index, part_index, features, weights)` that builds the
        model and returns `TaskOutputs`; `part_index` is an int64 scalar tensor,
        `weights` a `HoistedWeights`.
      outputs: for each tower the `TaskOutputs` of all its rows at once. Only the
        weights of the losses are used. They depend on labels alone, so the rest of that
        model is never computed.
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
            hoisted = HoistedWeights()
            scope = tf.get_variable_scope()
            with tf.variable_scope(scope, custom_getter=hoisted.getter):
                part_outputs = build(index, part_index, part, hoisted)
            loss = towers.normalized_loss(part_outputs.losses, weights)
            return _part_sums(part_outputs, hoisted.gradients(loss * scale, variables))

        return _run(compute, outputs[index], tower_features, num_parts, variables)

    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        sums = towers.build(tower_fn, features, devices)
    grads_and_vars = reduction.add_gradients(
        [each.gradients for each in sums], variables
    )
    return sums, grads_and_vars, _global_norm(grads_and_vars, sums, reduction)


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
    """Returns the sum, in the shape of the total; `added` may be None."""
    if added is None:
        return total
    # The static shape of a table's gradient lacks the number of rows.
    added.set_shape(total.shape)
    return total + added


def _without_missing(sums, parts):
    """Returns the sums, with None for those whose parts are None."""
    return [None if part is None else each for each, part in zip(sums, parts)]


def _global_norm(grads_and_vars, sums, reduction):
    """Returns the norm of all gradients, as clipping counts it.

    Each looked-up row counts by itself, as if gradients were `tf.IndexedSlices`.
    """
    norms = []
    for (gradient, _), *squares in zip(
        grads_and_vars, *(each.squares for each in sums)
    ):
        if gradient is not None:
            is_looked_up = squares[0] is not None
            norms.append(tf.sqrt(reduction.add(squares)) if is_looked_up else gradient)
    return tf.linalg.global_norm(norms)
