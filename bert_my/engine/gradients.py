"""The gradients of a training step: of a batch, of its parts, of perturbed words.

Gradient accumulation: a batch that is too large for memory, in parts. Each tower runs
its parts one after the other in a loop, which holds the activations of one part and
one sum for each gradient. The loss of a part is divided by the weight of the whole
batch, so the sums are the gradients of the whole batch.

Adversarial training adds the gradients of an adversarial perturbation of the batch.
Source: Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text
Classification" (the fast gradient method, on the word embeddings).
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

import custom_optimization
import modeling
from bert_my.engine import towers
from bert_my.engine.devices import PRECISIONS
from bert_my.engine.train_plan import TrainSettings
from bert_my.model import fused
from bert_my.model.ops import HoistedWeights, StatelessDropout, TrainingOps


class Gradients(NamedTuple):
    """Losses and gradients of a step, before any weight changes."""

    outputs: list  # for each tower an object with `losses` and `means`
    losses: list  # each tower's share of the loss
    grads_and_vars: list  # (gradient of the scaled loss of all towers, variable)
    norm: Optional[tf.Tensor]  # of the gradients; None: that of `grads_and_vars`


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


class Model(NamedTuple):
    """The model on all towers, in training.

    features: dict name -> tensor `[filled_size, ...]`, see `Plan`.
    settings: `TrainSettings`; its `gradient_accumulation_steps` divide the rows of a
      tower.
    seed: int or str, of the dropout.
    """

    task: Any
    features: Dict[str, tf.Tensor]
    settings: TrainSettings
    global_step: tf.Variable
    loss_scale: custom_optimization.LossScale
    seed: Any

    def build(self):
        """Builds all towers; returns the `TaskOutputs` of each for all its rows."""

        def tower_fn(index, features):
            return self._build_tower(index, self.global_step, features)

        return towers.build(tower_fn, self.features, self.settings.devices.towers)

    def _build_tower(self, index, step, features, weights=None):
        settings = self.settings
        ops = TrainingOps(
            dtype=PRECISIONS[settings.precision],
            weights=weights,
            dropout_source=StatelessDropout(self.seed, index, step),
            # Loops of control flow v1, as that over parts, cannot hold functions.
            use_xla=uses_xla(settings) and settings.gradient_accumulation_steps == 1,
            num_recomputed_layers=settings.recompute,
            # On a CPU time is dearer than memory, unless --recompute asks for memory.
            reuses_forward=not settings.devices.has_gpus and not settings.recompute,
        )
        return self.task.build(features, is_training=True, ops=ops)

    def gradients(self, outputs, variables):
        """Returns the `Gradients` of a step.

        Args:
          outputs: result of `build`. Of accumulated batches only the weights of the
            losses are used. They depend on labels alone, so the rest of that model is
            never computed.
          variables: list of the variables to differentiate for.
        """
        settings, reduction, norm = self.settings, self.settings.reduction, None
        is_whole = settings.gradient_accumulation_steps == 1
        if not is_whole:
            outputs = self._accumulate(outputs, variables)
        losses = towers.normalized_losses([each.losses for each in outputs], reduction)
        if is_whole:
            scaled = [loss * self.loss_scale.value for loss in losses]
            grads_and_vars = towers.gradients(
                scaled, variables, settings.devices.towers, reduction
            )
        else:
            grads_and_vars = reduction.add_gradients(
                [each.gradients for each in outputs], variables
            )
            norm = _global_norm(grads_and_vars, outputs, reduction)
        return Gradients(outputs, losses, grads_and_vars, norm)

    def _accumulate(self, outputs, variables):
        """Returns the `TowerSums` of each tower; see `gradients`."""
        settings = self.settings
        num_parts = settings.gradient_accumulation_steps
        weights = settings.reduction.add_weights([each.losses for each in outputs])
        # Each part of each step draws its own dropout.
        first = tf.cast(self.global_step, tf.int64) * num_parts

        def tower_fn(index, features):
            def compute(part_index, part):
                hoisted = HoistedWeights()
                scope = tf.get_variable_scope()
                with tf.variable_scope(scope, custom_getter=hoisted.getter):
                    built = self._build_tower(index, first + part_index, part, hoisted)
                loss = towers.normalized_loss(built.losses, weights)
                scaled = loss * self.loss_scale.value
                return _part_sums(built, hoisted.gradients(scaled, variables))

            return _run(compute, outputs[index], features, num_parts, variables)

        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            return towers.build(tower_fn, self.features, settings.devices.towers)

    def adversarial_gradients(self, outputs, variables, words):
        """Returns the `Gradients` of a step with adversarial training.

        Args:
          outputs, variables: see `gradients`.
          words: name of the variable of the word embeddings.
        """
        (table,) = [v for v in tf.trainable_variables() if v.op.name == words]
        # The perturbation needs the gradient of the words, even if they do not train.
        needed = variables if table in variables else [*variables, table]
        found = self.gradients(outputs, needed)

        def perturbed_gradients():
            perturbed = self._replace(seed=f"{self.seed}/adversarial")
            return perturbed.gradients(perturbed.build(), needed).grads_and_vars

        epsilon = self.settings.adversarial_epsilon
        both = add_fgm(found.grads_and_vars, table, epsilon, perturbed_gradients)
        return found._replace(grads_and_vars=both[: len(variables)], norm=None)


def uses_xla(settings):
    """Returns whether XLA compiles the fused kernels and the update."""
    return bool(settings.use_xla) and fused.supports_jit()


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


def add_fgm(grads_and_vars, table, epsilon, gradients_of):
    """Adds the gradients at perturbed word embeddings to the gradients of a batch.

    The perturbation goes along the gradient of the word embedding table; its Euclidean
    norm over the whole table is `epsilon`.

    Args:
      grads_and_vars: list of (gradient, variable), including the table's.
      table: the variable of the word embeddings.
      epsilon: float.
      gradients_of: function that builds the model again, in a scope that reuses the
        variables, and returns its list of (gradient, variable).

    Returns:
      list of (gradient, variable).
    """
    by_name = {variable.op.name: gradient for gradient, variable in grads_and_vars}
    # The table's gradient as a whole: a word that occurs twice has one perturbation.
    direction = tf.convert_to_tensor(by_name[table.op.name])
    norm = tf.norm(direction)
    # A gradient of 0 has no direction. With one that is not finite the step is skipped.
    perturbation = tf.stop_gradient(tf.math.divide_no_nan(direction, norm) * epsilon)

    def perturbed(getter, name, *args, **kwargs):
        value = getter(name, *args, **kwargs)
        return value + perturbation if name == table.op.name else value

    scope = tf.get_variable_scope()
    with tf.variable_scope(scope, reuse=True, custom_getter=perturbed):
        more = gradients_of()
    return [
        (_add(gradient, by_name[variable.op.name]), variable)
        for gradient, variable in more
    ]


def _add(a, b):
    if a is None or b is None:
        return a if b is None else b
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)
