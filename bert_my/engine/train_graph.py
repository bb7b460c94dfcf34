"""One training step of a task on all towers, as ops.

The order within a step is fixed: reduce, unscale, clip, then apply and count if all
gradients are finite, else skip (see `custom_optimization.apply_if_finite`).
"""

import functools
import re
from typing import Dict, NamedTuple, Optional

import tensorflow.compat.v1 as tf

import custom_optimization
import optimization
from bert_my.common.errors import InputError
from bert_my.data import row_order
from bert_my.engine import accumulation, adversarial, averages, towers
from bert_my.engine.devices import PRECISIONS
from bert_my.model import checkpoints, encoders, fused
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
    with tf.device(devices[0]):
        global_step = tf.train.get_or_create_global_step()
        loss_scale = custom_optimization.LossScale(settings.precision == "fp16")
        data_position = _describe_data(settings, plan)
        optimizer = _create_optimizer(task, global_step, settings, plan)

    model = _Model(task, features, settings, global_step, loss_scale)
    outputs = model.build(settings.seed)
    encoder = encoders.of(task.bert_config)
    trained = freeze(encoder, tf.trainable_variables(), settings.freeze)
    found = _gradients(model, outputs, trained, settings, encoder.word_embeddings)
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
            num_rows = tf.cast(tf.reduce_sum(features["is_real_example"]), tf.int64)
            train_op = tf.group(tf.assign_add(data_position, num_rows))
        return TrainGraph(
            step=step,
            train_op=train_op,
            loss=settings.reduction.add(found.losses),
            monitored=_monitored(found.outputs, settings.reduction),
            work=_work(task, features, settings),
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


class _Model:
    """The model on all towers, in training."""

    def __init__(self, task, features, settings, global_step, loss_scale):
        """Builds nothing yet; see `build_graph` for the arguments."""
        self._task = task
        self._features = features
        self._settings = settings
        self._devices = settings.devices.towers
        self._global_step = global_step
        self._loss_scale = loss_scale

    def build(self, seed):
        """Builds all towers; returns the `TaskOutputs` of each for all its rows.

        Args:
          seed: of the dropout.
        """

        def tower_fn(index, features):
            return self._build_tower(seed, index, self._global_step, features)

        return towers.build(tower_fn, self._features, self._devices)

    def _build_tower(self, seed, index, step, features, weights=None):
        settings = self._settings
        ops = TrainingOps(
            dtype=PRECISIONS[settings.precision],
            weights=weights,
            dropout_source=StatelessDropout(seed, index, step),
            # Loops of control flow v1, as that over parts, cannot hold functions.
            use_xla=_uses_xla(settings) and settings.gradient_accumulation_steps == 1,
            num_recomputed_layers=settings.recompute,
            # On a CPU time is dearer than memory, unless --recompute asks for memory.
            reuses_forward=not settings.devices.has_gpus and not settings.recompute,
        )
        return self._task.build(features, is_training=True, ops=ops)

    def gradients(self, outputs, seed, variables):
        """Returns the `_Gradients` of a step.

        Args:
          outputs: result of `build`.
          seed: seed of `outputs`.
          variables: list of the variables to differentiate for.
        """
        num_parts = self._settings.gradient_accumulation_steps
        reduction = self._settings.reduction
        if num_parts == 1:
            losses = towers.normalized_losses(
                [each.losses for each in outputs], reduction
            )
            scaled = [loss * self._loss_scale.value for loss in losses]
            grads_and_vars = towers.gradients(
                scaled, variables, self._devices, reduction
            )
            return _Gradients(outputs, losses, grads_and_vars, None)
        # Each part of each step draws its own dropout.
        first = tf.cast(self._global_step, tf.int64) * num_parts

        def build(index, part_index, features, weights):
            step = first + part_index
            return self._build_tower(seed, index, step, features, weights)

        sums, grads_and_vars, norm = accumulation.accumulate(
            build,
            outputs,
            self._features,
            num_parts,
            self._loss_scale.value,
            variables,
            self._devices,
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


def _gradients(model, outputs, trained, settings, word_embeddings):
    """Returns the `_Gradients` of a step, with adversarial training if it is set."""
    if not settings.adversarial:
        return model.gradients(outputs, settings.seed, trained)
    (table,) = [v for v in tf.trainable_variables() if v.op.name == word_embeddings]
    # The perturbation needs the gradient of the words, even if they do not train.
    variables = trained if table in trained else [*trained, table]

    def perturbed_gradients():
        seed = f"{settings.seed}/adversarial"
        return model.gradients(model.build(seed), seed, variables).grads_and_vars

    found = model.gradients(outputs, settings.seed, variables)
    grads_and_vars = adversarial.add_fgm(
        found.grads_and_vars,
        table,
        settings.adversarial_epsilon,
        perturbed_gradients,
    )
    return found._replace(grads_and_vars=grads_and_vars[: len(trained)], norm=None)


def _create_optimizer(task, global_step, settings, plan):
    """Returns the optimizer with its schedule, and the rate of each layer."""
    multiplier = None
    if settings.layer_lr_decay != 1 or settings.head_learning_rate is not None:
        head_rate = settings.head_learning_rate or settings.learning_rate
        multiplier = rate_multiplier(
            encoders.of(task.bert_config),
            settings.layer_lr_decay,
            head_rate / settings.learning_rate,
        )
    learning_rate = optimization.learning_rate_at(
        global_step,
        settings.learning_rate,
        plan.num_train_steps,
        plan.num_warmup_steps,
    )
    jit = fused.jit if _uses_xla(settings) else None
    create = functools.partial(optimization.create_adamw, jit=jit)
    if settings.optimizer == "lamb":
        create = functools.partial(optimization.create_lamb, global_step=global_step)
    return create(
        learning_rate,
        weight_decay_rate=settings.weight_decay,
        rate_multiplier=multiplier,
        epsilon=settings.adam_epsilon,
    )


def _uses_xla(settings):
    """Returns whether XLA compiles the fused kernels and the update."""
    return bool(settings.use_xla) and fused.supports_jit()


def _monitored(outputs, reduction):
    """Returns dict name -> mean over the batch.

    Args:
      outputs: for each tower an object with `means`.
      reduction: `towers.Reduction`.
    """
    pairs = reduction.add_pairs([each.means for each in outputs])
    return {name: total / weight for name, (total, weight) in pairs.items()}


def _work(task, features, settings):
    """Returns dict unit -> amount in the batch.

    `tokens`: int32, without padding. `flops`: float32, only if asked for.
    """
    mask = features["input_mask"]
    work = {"tokens": tf.reduce_sum(mask)}
    if settings.report_mfu:
        lengths = tf.cast(tf.reduce_sum(mask, axis=1), tf.float32)
        masked = features.get("masked_lm_weights", tf.zeros([]))
        step_flops = encoders.of(task.bert_config).flops(
            num_tokens=tf.reduce_sum(lengths),
            num_pairs=tf.reduce_sum(tf.square(lengths)),
            num_masked=tf.reduce_sum(tf.cast(masked > 0.0, tf.float32)),
            per_weight=encoders.TRAINING,
        )
        # A second pass runs on the perturbed words.
        work["flops"] = step_flops * (2.0 if settings.adversarial else 1.0)
    return work


def _describe_data(settings, plan):
    """Creates the variables by which a resumed run checks its order of rows.

    Returns:
      the variable that counts consumed rows.
    """
    _counter(checkpoints.GLOBAL_BATCH_SIZE, settings.global_batch_size)
    # Missing in other runs, as in those of versions without such an order.
    if plan.padded_lengths is not None:
        _counter(checkpoints.LENGTH_BUCKETS, 1)
    if isinstance(plan.order, row_order.BlockOrder):
        _counter(checkpoints.ROW_BLOCKS, 1)
    return _counter(checkpoints.DATA_POSITION, 0)


def _counter(name, value):
    """Returns an int64 variable that is saved with the checkpoint."""
    return tf.get_variable(
        name, initializer=tf.constant(value, tf.int64), trainable=False
    )
