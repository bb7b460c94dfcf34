"""One training step of a task on all towers, as ops.

The order within a step is fixed: reduce, unscale, clip, then apply and count if all
gradients are finite, else skip (see `custom_optimization.apply_if_finite`).
"""

import dataclasses
import functools
import re
from typing import Dict, NamedTuple

import tensorflow.compat.v1 as tf

import custom_optimization
import optimization
from bert_my.common.errors import InputError
from bert_my.data import row_order
from bert_my.engine.gradients import Model, uses_xla
from bert_my.model import checkpoints, encoders, fused


class Averages:
    """Exponential moving averages of the weights, kept in variables.

    They stand for the weights in evaluation, prediction and export. Source: Polyak and
    Juditsky 1992; Tarvainen and Valpola 2017, 3.
    """

    def __init__(self, variables, decay):
        """Creates the variables of the averages.

        Args:
          variables: list of variables.
          decay: of the average, per step, 0 to 1; lower in the first steps, so that the
            average forgets the initial weights.
        """
        self._decay = decay
        self._variables = variables
        self._averages = {}
        for variable in variables:
            with tf.device(variable.device):
                self._averages[variable.op.name] = tf.get_variable(
                    checkpoints.average_name(variable.op.name),
                    variable.shape.as_list(),
                    initializer=tf.zeros_initializer(),
                    trainable=False,
                )

    def update(self, global_step):
        """Returns the op to run after a step, once the weights have changed.

        Args:
          global_step: integer scalar, steps done before this one.
        """
        step = tf.cast(global_step, tf.float32)
        # At first the average follows the weights closely, by the rule of TensorFlow's
        # ExponentialMovingAverage(num_updates): (1 + n) / (10 + n).
        decay = tf.minimum(self._decay, step / (step + 9.0))
        updates = []
        for variable in self._variables:
            average = self._averages[variable.op.name]
            with tf.device(variable.device):
                difference = variable.read_value() - average.read_value()
                updates.append(tf.assign_add(average, (1.0 - decay) * difference))
        return tf.group(*updates)

    def of(self, variable):
        """Returns the average of a variable, or the variable if it has none."""
        return self._averages.get(variable.op.name, variable)

    def getter(self, getter, name, *args, **kwargs):
        """A `custom_getter` for scopes that use averages in place of weights."""
        return self.of(getter(name, *args, **kwargs))


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
    averages: Averages  # empty unless --ema_decay is set


def build_graph(task, features, plan):
    """Builds a training step of a task on all towers.

    Args:
      task: `Task`.
      features: dict name -> tensor `[filled_size, ...]`, see `Plan`.
      plan: `Plan`.

    Returns:
      `TrainGraph`.
    """
    settings = dataclasses.replace(
        plan.settings, gradient_accumulation_steps=plan.num_parts
    )
    devices = settings.devices.towers
    encoder = encoders.of(task.bert_config)
    with tf.device(devices[0]):
        global_step = tf.train.get_or_create_global_step()
        loss_scale = custom_optimization.LossScale(settings.precision == "fp16")
        data_position = _create_counters(plan)
        optimizer = _create_optimizer(encoder, global_step, plan)

    model = Model(task, features, settings, global_step, loss_scale, settings.seed)
    outputs = model.build()
    trained = freeze(encoder, tf.trainable_variables(), settings.freeze)
    if settings.adversarial:
        found = model.adversarial_gradients(outputs, trained, encoder.word_embeddings)
    else:
        found = model.gradients(outputs, trained)
    with tf.device(devices[0]):
        averages = Averages(trained if settings.ema_decay else (), settings.ema_decay)
        step = custom_optimization.apply_if_finite(
            optimizer,
            found.grads_and_vars,
            global_step,
            loss_scale,
            after_update=functools.partial(averages.update, global_step),
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
            averages=averages,
        )


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


def _create_optimizer(encoder, global_step, plan):
    """Returns the optimizer with its schedule, and the rate of each layer."""
    settings, multiplier = plan.settings, None
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
    jit = fused.jit if uses_xla(settings) else None
    return optimization.AdamWeightDecayOptimizer(learning_rate, jit=jit, **common)


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


def _create_counters(plan):
    """Creates the `run_folder.Counters` that a resumed run continues or checks.

    Returns:
      the variable `data_position`.
    """
    values = {"global_batch_size": plan.settings.global_batch_size}
    if plan.padded_lengths is not None:
        values["length_buckets"] = 1
    if isinstance(plan.order, row_order.BlockOrder):
        values["row_blocks"] = 1
    values["data_position"] = plan.first_row
    counters = {
        name: tf.get_variable(
            name, initializer=tf.constant(value, tf.int64), trainable=False
        )
        for name, value in values.items()
    }
    return counters["data_position"]
