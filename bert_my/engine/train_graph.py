"""One training step of a task on all towers, as ops.

The order within a step is fixed: reduce, unscale, clip, then apply and count if all
gradients are finite, else skip (see `custom_optimization.apply_if_finite`).
"""

import functools
import re
from typing import Any, Dict, NamedTuple, Optional

import tensorflow.compat.v1 as tf

import custom_optimization
import optimization
from bert_my.common.errors import InputError
from bert_my.data import row_order
from bert_my.engine import accumulation, adversarial, averages, towers
from bert_my.engine.devices import PRECISIONS
from bert_my.engine.train_plan import TrainSettings
from bert_my.model import encoders, fused
from bert_my.model.ops import StatelessDropout, TrainingOps


class TrainGraph(NamedTuple):
    """The ops of a step."""

    step: custom_optimization.TrainStep
    train_op: tf.Operation  # does the step and counts the rows of the data
    loss: tf.Tensor  # float32, of the global batch
    monitored: Dict[str, tf.Tensor]  # float32 scalars that some steps report
    work: Dict[str, tf.Tensor]  # tokens and FLOPs of the step, see `_work`
    learning_rate: tf.Tensor
    global_step: tf.Variable
    trained: list  # of the variables that train
    averages: Optional[averages.Averages]


def build_graph(task, features, settings, plan):
    """Builds a training step of a task on all towers.

    Args:
      task: `Task`.
      features: dict name -> tensor `[global_batch_size, ...]`.
      settings: `TrainSettings`.
      plan: `Plan`.

    Returns:
      `TrainGraph`.
    """
    devices = settings.devices.towers
    encoder = encoders.of(task.bert_config)
    with tf.device(devices[0]):
        global_step = tf.train.get_or_create_global_step()
        loss_scale = custom_optimization.LossScale(settings.precision == "fp16")
        data_position = _create_counters(settings, plan)
        optimizer = _create_optimizer(encoder, global_step, settings, plan)

    model = _Model(task, features, settings, global_step, loss_scale, settings.seed)
    outputs = model.build()
    trained = freeze(encoder, tf.trainable_variables(), settings.freeze)
    if settings.adversarial:
        found = _adversarial_gradients(model, outputs, trained, encoder)
    else:
        found = model.gradients(outputs, trained)
    with tf.device(devices[0]):
        averaged, after_update = None, None
        if settings.ema_decay:
            averaged = averages.Averages(trained, settings.ema_decay)
            after_update = functools.partial(averaged.update, global_step)
        step = custom_optimization.apply_if_finite(
            optimizer,
            found.grads_and_vars,
            global_step,
            loss_scale,
            after_update=after_update,
            gradient_norm=found.norm,
        )
        with tf.control_dependencies([step.op]):
            num_rows = settings.reduction.add(
                [tf.reduce_sum(features["is_real_example"])]
            )
            train_op = tf.group(
                tf.assign_add(data_position, tf.cast(num_rows, tf.int64))
            )
        monitored = settings.reduction.add_pairs([each.means for each in found.outputs])
        return TrainGraph(
            step=step,
            train_op=train_op,
            loss=settings.reduction.add(found.losses),
            monitored={name: total / n for name, (total, n) in monitored.items()},
            work=_work(encoder, features, settings),
            learning_rate=optimizer.learning_rate,
            global_step=global_step,
            trained=trained,
            averages=averaged,
        )


class _Gradients(NamedTuple):
    """Losses and gradients of a step, before any weight changes."""

    outputs: list  # for each tower an object with `losses` and `means`
    losses: list  # each tower's share of the loss
    grads_and_vars: list  # (gradient of the scaled loss of all towers, variable)
    norm: Optional[tf.Tensor]  # of the gradients; None: that of `grads_and_vars`


class _Model(NamedTuple):
    """The model on all towers, in training; see `build_graph` for the fields."""

    task: Any
    features: Dict[str, tf.Tensor]
    settings: TrainSettings
    global_step: tf.Variable
    loss_scale: custom_optimization.LossScale
    seed: Any  # int or str, of the dropout

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
            use_xla=_uses_xla(settings) and settings.gradient_accumulation_steps == 1,
            num_recomputed_layers=settings.recompute,
            # On a CPU time is dearer than memory, unless --recompute asks for memory.
            reuses_forward=not settings.devices.has_gpus and not settings.recompute,
        )
        return self.task.build(features, is_training=True, ops=ops)

    def gradients(self, outputs, variables):
        """Returns the `_Gradients` of a step.

        Args:
          outputs: result of `build`.
          variables: list of the variables to differentiate for.
        """
        reduction, devices = self.settings.reduction, self.settings.devices.towers
        num_parts = self.settings.gradient_accumulation_steps
        if num_parts == 1:
            losses = towers.normalized_losses(
                [each.losses for each in outputs], reduction
            )
            scaled = [loss * self.loss_scale.value for loss in losses]
            grads_and_vars = towers.gradients(scaled, variables, devices, reduction)
            return _Gradients(outputs, losses, grads_and_vars, None)
        # Each part of each step draws its own dropout.
        first = tf.cast(self.global_step, tf.int64) * num_parts

        def build(index, part_index, features, weights):
            return self._build_tower(index, first + part_index, features, weights)

        sums, grads_and_vars, norm = accumulation.accumulate(
            build,
            outputs,
            self.features,
            num_parts,
            self.loss_scale.value,
            variables,
            devices,
            reduction,
        )
        losses = towers.normalized_losses([each.losses for each in sums], reduction)
        return _Gradients(sums, losses, grads_and_vars, norm)


def freeze(encoder, variables, spec):
    """Returns the variables that train.

    Args:
      encoder: description of the encoder, see `encoders`.
      variables: list of variables.
      spec: names of parts, layers and ranges of layers separated by commas, for
        example "embeddings,0-5"; None for none.

    Raises:
      InputError: if a part does not exist, or nothing is left to train.
    """
    frozen = set()
    for name in spec.split(",") if spec else ():
        frozen.update(_parts_named(encoder, name.strip(), spec))
    left = [v for v in variables if encoder.part_of(v.op.name) not in frozen]
    if not left:
        raise InputError(f"--freeze={spec}: nothing is left to train")
    return left


def _parts_named(encoder, name, spec):
    """Returns the parts of an encoder that a piece of `--freeze` names."""
    names = (encoders.EMBEDDINGS, encoders.POOLER, encoder.scope)
    if name == encoder.scope:
        return encoder.parts
    if name in names:
        return [name]
    num_layers = encoder.config.num_hidden_layers
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", name)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not 0 <= first <= last < num_layers:
        raise InputError(
            f"--freeze={spec}: {name!r} is none of {', '.join(names)}, a layer from 0 "
            f"to {num_layers - 1}, or a range of layers such as 0-{num_layers - 1}"
        )
    return [f"layer_{index}" for index in range(first, last + 1)]


def rate_multiplier(encoder, layer_lr_decay, head_factor):
    """Returns the function from a variable's name to the factor of its learning rate.

    Args:
      encoder: description of the encoder, see `encoders`.
      layer_lr_decay: factor from each layer to the one below; the pooler has 1. Source:
        Howard and Ruder 2018, 3.2; Clark et al. 2020 for BERT.
      head_factor: factor of variables outside of the encoder.
    """
    factors = {encoders.HEAD: head_factor}
    for distance, part in enumerate(reversed(encoder.parts)):
        factors[part] = layer_lr_decay**distance
    return lambda name: factors[encoder.part_of(name)]


def _adversarial_gradients(model, outputs, trained, encoder):
    """Returns the `_Gradients` of a step with adversarial training.

    Args:
      model: `_Model`.
      outputs: result of `model.build`.
      trained: list of the variables that train.
      encoder: description of the encoder, see `encoders`.
    """
    settings, words = model.settings, encoder.word_embeddings
    (table,) = [v for v in tf.trainable_variables() if v.op.name == words]
    # The perturbation needs the gradient of the words, even if they do not train.
    variables = trained if table in trained else [*trained, table]
    found = model.gradients(outputs, variables)

    def perturbed_gradients():
        perturbed = model._replace(seed=f"{settings.seed}/adversarial")
        return perturbed.gradients(perturbed.build(), variables).grads_and_vars

    grads_and_vars = adversarial.add_fgm(
        found.grads_and_vars, table, settings.adversarial_epsilon, perturbed_gradients
    )
    return found._replace(grads_and_vars=grads_and_vars[: len(trained)], norm=None)


def _create_optimizer(encoder, global_step, settings, plan):
    """Returns the optimizer with its schedule, and the rate of each layer."""
    multiplier = None
    if settings.layer_lr_decay != 1 or settings.head_learning_rate is not None:
        head_rate = settings.head_learning_rate or settings.learning_rate
        multiplier = rate_multiplier(
            encoder,
            settings.layer_lr_decay,
            head_rate / settings.learning_rate,
        )
    learning_rate = optimization.learning_rate_at(
        global_step,
        settings.learning_rate,
        plan.num_train_steps,
        plan.num_warmup_steps,
    )
    common = {
        "weight_decay_rate": settings.weight_decay,
        "epsilon": settings.adam_epsilon,
        "exclude_from_weight_decay": optimization.NOT_DECAYED,
        "rate_multiplier": multiplier,
    }
    if settings.optimizer == "lamb":
        return optimization.LAMBOptimizer(
            learning_rate, global_step=global_step, **common
        )
    jit = fused.jit if _uses_xla(settings) else None
    return optimization.AdamWeightDecayOptimizer(learning_rate, jit=jit, **common)


def _uses_xla(settings):
    """Returns whether XLA compiles the fused kernels and the update."""
    return bool(settings.use_xla) and fused.supports_jit()


def _work(encoder, features, settings):
    """Returns dict unit -> amount in the batch.

    `tokens`: int32, without padding. `flops`: float32, only if asked for.
    """
    mask, add = features["input_mask"], settings.reduction.add
    work = {"tokens": add([tf.reduce_sum(mask)])}
    if settings.report_mfu:
        lengths = tf.cast(tf.reduce_sum(mask, axis=1), tf.float32)
        masked = features.get("masked_lm_weights", tf.zeros([]))
        step_flops = encoder.flops(
            num_tokens=tf.reduce_sum(lengths),
            num_pairs=tf.reduce_sum(tf.square(lengths)),
            num_masked=tf.reduce_sum(tf.cast(masked > 0.0, tf.float32)),
            per_weight=encoders.TRAINING,
        )
        # A second pass runs on the perturbed words.
        work["flops"] = add([step_flops * (2.0 if settings.adversarial else 1.0)])
    return work


def _create_counters(settings, plan):
    """Creates the `run_folder.Counters` that a resumed run continues or checks.

    Returns:
      the variable `data_position`.
    """
    values = {"global_batch_size": settings.global_batch_size}
    if plan.padded_lengths is not None:
        values["length_buckets"] = 1
    if isinstance(plan.order, row_order.BlockOrder):
        values["row_blocks"] = 1
    values["data_position"] = 0
    counters = {
        name: tf.get_variable(
            name, initializer=tf.constant(value, tf.int64), trainable=False
        )
        for name, value in values.items()
    }
    return counters["data_position"]
