"""The training loop: one step on all towers, and the session that repeats it.

The order within a step is fixed: reduce, unscale, clip, then apply and count if all
gradients are finite, else skip (see `custom_optimization.apply_if_finite`).
"""

import logging
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

import custom_optimization
import modeling
import optimization
from bert_my.data import input_pipeline
from bert_my.data.errors import InputError
from bert_my.engine import checkpoints, hooks, towers
from bert_my.engine.devices import PRECISIONS, Devices

logger = logging.getLogger(__name__)


class TrainSettings(NamedTuple):
    """How a task is trained."""

    output_dir: str
    devices: Devices
    init_checkpoint: Optional[str]  # a checkpoint in `output_dir` wins over it
    train_batch_size: int  # rows of one tower
    learning_rate: float  # the highest
    num_train_epochs: float
    warmup_proportion: float  # share of all steps in which the learning rate rises
    weight_decay: float
    precision: str  # key of `devices.PRECISIONS`
    seed: int  # of initial weights, data order and dropout
    save_checkpoints_steps: int  # steps from one to the next
    keep_checkpoint_max: int  # 0 for all
    logging_steps: int  # steps from one line to the next

    @property
    def global_batch_size(self):
        """Rows of one step, on all towers together."""
        return self.train_batch_size * len(self.devices.towers)


class Plan(NamedTuple):
    """What a training run is going to do."""

    num_examples: int
    num_train_steps: int
    num_warmup_steps: int
    checkpoint: Optional[str]  # to resume from
    first_step: int
    first_row: int  # position in the data; skipped steps have moved it on too

    def describe(self, settings, num_parameters):
        """Returns the lines that are printed at the start."""
        facts = [
            ("devices", settings.devices),
            ("towers", len(settings.devices.towers)),
            ("batch size per tower", settings.train_batch_size),
            ("global batch size", settings.global_batch_size),
            ("examples", self.num_examples),
            ("epochs", settings.num_train_epochs),
            ("steps", self.num_train_steps),
            ("warm-up steps", self.num_warmup_steps),
            ("precision", settings.precision),
            ("trainable parameters", f"{num_parameters:,}"),
        ]
        if self.first_step:
            facts.append(("resumes after step", self.first_step))
        return [f"  {name:<21} {value}" for name, value in facts]


def make_plan(num_examples, settings):
    """Returns the `Plan` of a run; it resumes from a checkpoint in `output_dir`.

    Raises:
      InputError: if that checkpoint belongs to a run with other batches.
    """
    num_train_steps = input_pipeline.num_train_steps(
        num_examples, settings.num_train_epochs, settings.global_batch_size
    )
    checkpoint = checkpoints.latest(settings.output_dir)
    counters = checkpoints.Counters(0, 0, 0)
    if checkpoint:
        counters = checkpoints.read_counters(checkpoint)
        if counters.global_batch_size not in (0, settings.global_batch_size):
            raise InputError(
                f"--output_dir={settings.output_dir}: its run has a global batch size "
                f"of {counters.global_batch_size}, and now it would be "
                f"{settings.global_batch_size}; to resume it, choose a "
                "--train_batch_size and --n_gpus whose product is the same"
            )
    return Plan(
        num_examples=num_examples,
        num_train_steps=num_train_steps,
        num_warmup_steps=int(num_train_steps * settings.warmup_proportion),
        checkpoint=checkpoint,
        first_step=counters.global_step,
        first_row=counters.data_position,
    )


class TrainGraph(NamedTuple):
    """The ops of a step. `step`: `custom_optimization.TrainStep`."""

    step: custom_optimization.TrainStep
    train_op: tf.Operation  # does the step and counts the rows of the data
    loss: tf.Tensor  # float32, of the global batch
    learning_rate: tf.Tensor
    global_step: tf.Variable


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
        data_position = _counter(checkpoints.DATA_POSITION, 0)
        _counter(checkpoints.GLOBAL_BATCH_SIZE, settings.global_batch_size)
        learning_rate = optimization.learning_rate_at(
            global_step,
            settings.learning_rate,
            plan.num_train_steps,
            plan.num_warmup_steps,
        )
        optimizer = optimization.create_adamw(learning_rate, settings.weight_decay)

    def tower_fn(index, tower_features):
        dropout = modeling.StatelessDropout(settings.seed, index, global_step)
        with modeling.computing(PRECISIONS[settings.precision], dropout):
            return task.build(tower_features, is_training=True).losses

    losses = towers.normalized_losses(towers.build(tower_fn, features, devices))
    grads_and_vars = towers.gradients(
        [loss * loss_scale.value for loss in losses], tf.trainable_variables(), devices
    )
    with tf.device(devices[0]):
        step = custom_optimization.apply_if_finite(
            optimizer, grads_and_vars, global_step, loss_scale
        )
        with tf.control_dependencies([step.op]):
            num_rows = tf.reduce_sum(features["is_real_example"])
            train_op = tf.group(
                tf.assign_add(data_position, tf.cast(num_rows, tf.int64))
            )
        return TrainGraph(step, train_op, tf.add_n(losses), learning_rate, global_step)


def _counter(name, value):
    """Returns an int64 variable that is saved with the checkpoint."""
    return tf.get_variable(
        name, initializer=tf.constant(value, tf.int64), trainable=False
    )


def train(task, records, settings, more_hooks=()):
    """Trains a task to the end of its plan, from the last checkpoint if there is one.

    Args:
      task: `Task`.
      records: `record_cache.Records` of the train split.
      settings: `TrainSettings`.
      more_hooks: `tf.train.SessionRunHook`s to run beside the usual ones.

    Raises:
      InputError: if the initial checkpoint does not fit.
      NonFiniteTrainingError: if too many steps in a row had to be skipped.
    """
    plan = make_plan(records.num_examples, settings)
    with tf.Graph().as_default():
        tf.set_random_seed(settings.seed)
        with tf.device("/cpu:0"):
            features = input_pipeline.next_features(
                input_pipeline.train_batches(
                    records,
                    settings.global_batch_size,
                    settings.num_train_epochs,
                    settings.seed,
                    plan.first_row,
                )
            )
        graph = build_graph(task, features, settings, plan)
        variables = tf.trainable_variables()
        logger.info(
            "Training plan:\n%s",
            "\n".join(plan.describe(settings, checkpoints.num_parameters(variables))),
        )
        if plan.first_step >= plan.num_train_steps:
            logger.info(
                "Nothing left to train: %s is at step %d of %d",
                settings.output_dir,
                plan.first_step,
                plan.num_train_steps,
            )
            return
        _initialize(variables, settings, plan)
        _run(graph, settings, plan, more_hooks)


def _initialize(variables, settings, plan):
    """Decides where the weights start, before a session is made."""
    if plan.checkpoint:
        # The session restores it by itself; this names what does not fit.
        missing = checkpoints.check_fits(
            plan.checkpoint, tf.global_variables(), "output_dir"
        )
        if missing:
            raise InputError(
                f"--output_dir={settings.output_dir}: {plan.checkpoint} is not from "
                f"such a run, it lacks {', '.join(missing[:3])}; to start from its "
                "weights give it as --init_checkpoint and choose another folder"
            )
        logger.info("Resuming from %s", plan.checkpoint)
    elif settings.init_checkpoint:
        checkpoints.initialize_from(settings.init_checkpoint, variables)
    else:
        logger.warning("No --init_checkpoint: training from random weights")


def _run(graph, settings, plan, more_hooks):
    scaffold = tf.train.Scaffold(
        # Relative, so that a folder can be copied or moved and still be resumed.
        saver=tf.train.Saver(
            max_to_keep=settings.keep_checkpoint_max, save_relative_paths=True
        )
    )
    progress = hooks.ProgressHook(
        graph,
        num_train_steps=plan.num_train_steps,
        global_batch_size=settings.global_batch_size,
        num_examples=plan.num_examples,
        logging_steps=settings.logging_steps,
        output_dir=settings.output_dir,
    )
    with tf.train.MonitoredTrainingSession(
        checkpoint_dir=settings.output_dir,
        scaffold=scaffold,
        hooks=[
            tf.train.StopAtStepHook(last_step=plan.num_train_steps),
            hooks.SkippedStepsHook(graph.step),
            progress,
            *more_hooks,
        ],
        save_checkpoint_steps=settings.save_checkpoints_steps,
        save_summaries_steps=None,
        save_summaries_secs=None,
        log_step_count_steps=None,
        config=settings.devices.session_config(),
    ) as session:
        while not session.should_stop():
            session.run(graph.train_op)
