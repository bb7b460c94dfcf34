"""The training loop: one step on all towers, and the session that repeats it.

The order within a step is fixed: reduce, unscale, clip, then apply and count if all
gradients are finite, else skip (see `custom_optimization.apply_if_finite`).
"""

import contextlib
import functools
import logging
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

import custom_optimization
import modeling
import optimization
from bert_my.data import input_pipeline
from bert_my.data.errors import InputError
from bert_my.engine import (
    adversarial,
    averages,
    checkpoints,
    dev_evaluation,
    history,
    hooks,
    layers,
    towers,
)
from bert_my.engine.devices import PRECISIONS, Devices

logger = logging.getLogger(__name__)

WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"


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
    freeze: Optional[str]  # see `layers.freeze`
    layer_lr_decay: float  # see `layers.rate_multiplier`
    head_learning_rate: Optional[float]  # None: `learning_rate`
    ema_decay: float  # see `averages.Averages`; 0 for none
    adversarial: Optional[str]  # one of `adversarial.METHODS`
    adversarial_epsilon: float  # see `adversarial.add_fgm`
    overwrite_output_dir: bool  # begin anew, whatever is in `output_dir`

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

    def describe(self, settings, trained):
        """Returns the lines that are printed at the start.

        Args:
          settings: `TrainSettings`.
          trained: list of the variables that train.
        """
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
            ("trained parameters", f"{checkpoints.num_parameters(trained):,}"),
        ]
        if settings.freeze:
            facts.append(("trained parts", layers.describe(trained)))
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
    checkpoint = None
    if not settings.overwrite_output_dir:
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
    """The ops of a step."""

    step: custom_optimization.TrainStep
    train_op: tf.Operation  # does the step and counts the rows of the data
    loss: tf.Tensor  # float32, of the global batch
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
        data_position = _counter(checkpoints.DATA_POSITION, 0)
        _counter(checkpoints.GLOBAL_BATCH_SIZE, settings.global_batch_size)
        optimizer = _create_optimizer(task, global_step, settings, plan)

    build_losses = functools.partial(
        _build_losses, task, features, settings, global_step
    )
    losses = build_losses(settings.seed)
    trained = layers.freeze(
        tf.trainable_variables(), settings.freeze, task.bert_config.num_hidden_layers
    )
    grads_and_vars = _gradients(losses, build_losses, trained, loss_scale, settings)
    with tf.device(devices[0]):
        averaged, after_update = None, None
        if settings.ema_decay:
            averaged = averages.Averages(trained, settings.ema_decay)
            after_update = functools.partial(averaged.update, global_step)
        step = custom_optimization.apply_if_finite(
            optimizer,
            grads_and_vars,
            global_step,
            loss_scale,
            after_update=after_update,
        )
        with tf.control_dependencies([step.op]):
            num_rows = tf.cast(tf.reduce_sum(features["is_real_example"]), tf.int64)
            train_op = tf.group(tf.assign_add(data_position, num_rows))
        return TrainGraph(
            step=step,
            train_op=train_op,
            loss=tf.add_n(losses),
            learning_rate=optimizer.learning_rate,
            global_step=global_step,
            trained=trained,
            averages=averaged,
        )


def _build_losses(task, features, settings, global_step, dropout_seed):
    """Builds the model on all towers; returns each tower's share of the loss."""

    def tower_fn(index, tower_features):
        source = modeling.StatelessDropout(dropout_seed, index, global_step)
        with modeling.computing(PRECISIONS[settings.precision], source):
            return task.build(tower_features, is_training=True).losses

    devices = settings.devices.towers
    return towers.normalized_losses(towers.build(tower_fn, features, devices))


def _create_optimizer(task, global_step, settings, plan):
    """Returns AdamW with the schedule, and the rate of each layer."""
    rate_multiplier = None
    if settings.layer_lr_decay != 1 or settings.head_learning_rate is not None:
        head_rate = settings.head_learning_rate or settings.learning_rate
        rate_multiplier = layers.rate_multiplier(
            task.bert_config.num_hidden_layers,
            settings.layer_lr_decay,
            head_rate / settings.learning_rate,
        )
    learning_rate = optimization.learning_rate_at(
        global_step,
        settings.learning_rate,
        plan.num_train_steps,
        plan.num_warmup_steps,
    )
    return optimization.create_adamw(
        learning_rate, settings.weight_decay, rate_multiplier
    )


def _gradients(losses, build_losses, trained, loss_scale, settings):
    """Returns (gradient of the scaled loss, variable) of the variables that train."""
    devices = settings.devices.towers

    def gradients_of(tower_losses, variables):
        scaled = [loss * loss_scale.value for loss in tower_losses]
        return towers.gradients(scaled, variables, devices)

    if not settings.adversarial:
        return gradients_of(losses, trained)
    (table,) = [v for v in tf.trainable_variables() if v.op.name == WORD_EMBEDDINGS]
    # The perturbation needs the gradient of the words, even if they do not train.
    variables = trained if table in trained else [*trained, table]
    grads_and_vars = adversarial.add_fgm(
        gradients_of(losses, variables),
        table,
        settings.adversarial_epsilon,
        lambda: gradients_of(build_losses(f"{settings.seed}/adversarial"), variables),
    )
    return grads_and_vars[: len(trained)]


def _counter(name, value):
    """Returns an int64 variable that is saved with the checkpoint."""
    return tf.get_variable(
        name, initializer=tf.constant(value, tf.int64), trainable=False
    )


def train(task, records, settings, dev=None, start=None):
    """Trains a task to the end of its plan, from the last checkpoint if there is one.

    Args:
      task: `Task`.
      records: `record_cache.Records` of the train split.
      settings: `TrainSettings`.
      dev: (optional) `(Records, DevSettings, EvalSettings)` for evaluations.
      start: (optional) function to call when all is checked, before the first step,
        if there is one. With `overwrite_output_dir` it has to delete the run in
        `output_dir`.

    Raises:
      InputError: if the initial checkpoint does not fit.
      NonFiniteTrainingError: if too many steps in a row had to be skipped.
    """
    plan = make_plan(records.num_examples, settings)
    with tf.Graph().as_default():
        tf.set_random_seed(settings.seed)
        with tf.device("/cpu:0"):
            features, initializer = input_pipeline.next_features(
                input_pipeline.train_batches(
                    records,
                    settings.global_batch_size,
                    settings.num_train_epochs,
                    settings.seed,
                    plan.first_row,
                )
            )
            tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, initializer)
        graph = build_graph(task, features, settings, plan)
        evaluation = dev and dev_evaluation.DevEvaluation(
            task, *dev, graph.averages, plan.first_step
        )
        logger.info(
            "Training plan:\n%s", "\n".join(plan.describe(settings, graph.trained))
        )
        is_patience_out = evaluation and evaluation.is_patience_out
        is_done = plan.first_step >= plan.num_train_steps or is_patience_out
        if is_done:
            logger.info(
                "Nothing left to train: %s is at step %d of %d%s",
                settings.output_dir,
                plan.first_step,
                plan.num_train_steps,
                ", and was stopped early" if is_patience_out else "",
            )
            return
        _initialize(tf.trainable_variables(), settings, plan)
        if start:
            start()
        _run(graph, settings, plan, evaluation)


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


def _run(graph, settings, plan, evaluation):
    scaffold = tf.train.Scaffold(
        # Relative, so that a folder can be copied or moved and still be resumed.
        saver=tf.train.Saver(
            max_to_keep=settings.keep_checkpoint_max, save_relative_paths=True
        )
    )
    training_history = history.TrainingHistory(settings.output_dir, plan.first_step)
    run_hooks = _create_hooks(graph, settings, plan, evaluation, training_history)
    # The last of all: a checkpoint must not be ahead of what is written of its step,
    # for a run that is killed between the two goes on from the checkpoint.
    run_hooks.append(
        tf.train.CheckpointSaverHook(
            settings.output_dir,
            save_steps=settings.save_checkpoints_steps,
            scaffold=scaffold,
        )
    )
    with contextlib.closing(training_history), tf.train.MonitoredTrainingSession(
        checkpoint_dir=settings.output_dir,
        scaffold=scaffold,
        hooks=run_hooks,
        save_checkpoint_steps=None,
        save_checkpoint_secs=None,
        save_summaries_steps=None,
        save_summaries_secs=None,
        log_step_count_steps=None,
        config=settings.devices.session_config(),
    ) as session:
        while not session.should_stop():
            session.run(graph.train_op)


def _create_hooks(graph, settings, plan, evaluation, training_history):
    """Returns the list of hooks, in the order in which they see a step."""
    run_hooks = [
        tf.train.StopAtStepHook(last_step=plan.num_train_steps),
        hooks.SkippedStepsHook(graph.step),
        hooks.ProgressHook(
            graph,
            training_history,
            num_train_steps=plan.num_train_steps,
            global_batch_size=settings.global_batch_size,
            num_examples=plan.num_examples,
            logging_steps=settings.logging_steps,
            output_dir=settings.output_dir,
        ),
    ]
    if evaluation:
        run_hooks.append(
            hooks.EvaluationHook(
                graph.step,
                plan.first_step,
                evaluation.run,
                is_due=lambda step: evaluation.settings.is_due(step, plan, settings),
            )
        )
    return run_hooks
