"""The training loop: a session that runs a step to the end of the plan."""

import contextlib
import logging

import tensorflow.compat.v1 as tf

import custom_optimization
from bert_my.common import progress
from bert_my.common.errors import InputError
from bert_my.data.batches import next_features, train_batches
from bert_my.engine import (
    dev_evaluation,
    devices,
    hooks,
    run_folder,
    train_graph,
    train_plan,
)
from bert_my.model import checkpoints, encoders

logger = logging.getLogger(__name__)


def train(task, records, settings, dev=None, start=None):
    """Trains a task to the end of its plan, from the last checkpoint if there is one.

    Args:
      task: `Task`.
      records: of the train split, see `batches`.
      settings: `TrainSettings`.
      dev: (optional) `(records, EvalSettings)` of the dev sets, see `DevEvaluation`.
      start: (optional) function to call after all checks and before the first step; not
        called if no step is left. With `overwrite_output_dir` it has to delete the run
        in `output_dir`.

    Raises:
      InputError: if the initial checkpoint does not fit.
      NonFiniteTrainingError: if too many steps in a row had to be skipped.
    """
    plan = train_plan.make_plan(task, records, settings)
    with tf.Graph().as_default():
        tf.set_random_seed(settings.seed)
        with progress.stage("Building the graph of a training step"):
            _, graph = build(task, records, plan)
            evaluation = dev and dev_evaluation.DevEvaluation(task, *dev, graph, plan)
        lines = plan.describe(graph.trained, encoders.of(task.bert_config))
        logger.info("Training plan:\n%s", "\n".join(lines))
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
        encoder = encoders.of(task.bert_config)
        _initialize(
            tf.trainable_variables(),
            plan,
            lambda variable: encoder.part_of(variable.op.name) == encoders.HEAD,
        )
        if settings.overwrite_output_dir and settings.init_checkpoint:
            # Before a run is deleted for weights that cannot be read.
            checkpoints.check_readable(
                settings.init_checkpoint, tf.trainable_variables()
            )
        if start:
            start()
        with progress.stage("Training"):
            _run(graph, plan, evaluation)


def build(task, records, plan):
    """Builds a training step on the remaining batches of a run.

    Returns:
      (dict name -> tensor of the step's features, `TrainGraph`).
    """
    dataset = train_batches(
        records,
        plan.order,
        plan.settings.global_batch_size,
        plan.num_rows,
        plan.first_row,
        plan.padded_lengths,
        plan.filled_size,
    )
    with tf.device("/cpu:0"):
        features, initializer = next_features(dataset)
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, initializer)
    return features, train_graph.build_graph(task, features, plan)


def _initialize(variables, plan, is_head):
    """Sets the initial values of the weights, before a session is made.

    `is_head`: see `checkpoints.initialize_from`.
    """
    settings = plan.settings
    if plan.checkpoint:
        # The session restores the checkpoint; this names variables that do not fit.
        _, missing = checkpoints.check_fits(
            plan.checkpoint, tf.global_variables(), "output_dir"
        )
        if plan.is_foreign:
            missing = checkpoints.resume_from(
                plan.checkpoint, tf.global_variables(), _starts_anew
            )
        if missing:
            raise InputError(
                f"--output_dir={settings.output_dir}: {plan.checkpoint} is not from "
                f"such a run, it lacks {', '.join(missing[:3])}; to start from its "
                "weights give it as --init_checkpoint and choose another folder"
            )
        logger.info("Resuming from %s", plan.checkpoint)
    elif settings.init_checkpoint:
        checkpoints.initialize_from(settings.init_checkpoint, variables, is_head)
    else:
        logger.warning("No --init_checkpoint: training from random weights")


def _starts_anew(name):
    """Returns whether a variable that upstream does not have starts as in a new run."""
    counters = (*run_folder.Counters._fields, custom_optimization.LossScale.SCOPE)
    return name.split("/")[0] in counters


def _run(graph, plan, evaluation):
    """Runs steps to the end of the plan; `evaluation` is a `DevEvaluation` or None."""
    settings, peak_flops = plan.settings, None
    if settings.report_mfu:
        peak_flops = devices.measure_peak(settings.devices, settings.precision)
    scaffold = tf.train.Scaffold(
        # Relative, so that a folder can be copied or moved and still be resumed.
        saver=tf.train.Saver(
            max_to_keep=settings.keep_checkpoint_max, save_relative_paths=True
        )
    )
    history = run_folder.TrainingHistory(settings.folder, plan.first_step)
    # In the order in which they see a step.
    run_hooks = [
        tf.train.StopAtStepHook(last_step=plan.num_train_steps),
        hooks.SkippedStepsHook(graph.step),
        hooks.ProgressHook(graph, plan, history, peak_flops),
        *([evaluation] if evaluation else []),
        # The last hook: a run that is killed resumes from its checkpoint, so the files
        # must hold all steps before a checkpoint is written.
        tf.train.CheckpointSaverHook(
            settings.output_dir,
            save_steps=settings.save_checkpoints_steps,
            scaffold=scaffold,
        ),
    ]
    checkpoint, flag = settings.init_checkpoint, "init_checkpoint"
    if plan.checkpoint:
        checkpoint, flag = plan.checkpoint, "output_dir"
    with contextlib.closing(history):
        with checkpoints.restoring(
            checkpoint, tf.global_variables(), flag
        ), progress.stage("Starting the session"):
            session = tf.train.MonitoredTrainingSession(
                # Else all is restored; see `_initialize` for foreign checkpoints.
                checkpoint_dir=None if plan.is_foreign else settings.output_dir,
                scaffold=scaffold,
                hooks=run_hooks,
                save_checkpoint_steps=None,
                save_checkpoint_secs=None,
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
                config=settings.devices.session_config(settings.use_xla),
            )
        with session:
            while not session.should_stop():
                session.run(graph.train_op)
