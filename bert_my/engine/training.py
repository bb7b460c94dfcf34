"""The training loop: a session that runs a step to the end of the plan."""

import contextlib
import logging

import tensorflow.compat.v1 as tf

import custom_optimization
from bert_my.common import leftovers, progress, signals
from bert_my.common.errors import InputError
from bert_my.data.batches import next_features, train_batches
from bert_my.engine import (
    checkpoint_hook,
    dev_evaluation,
    devices,
    events,
    hooks,
    run_checkpoints,
    run_folder,
    run_history,
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

    Returns:
      bool, whether there was a step left to train.

    Raises:
      InputError: if the initial checkpoint does not fit.
      NonFiniteTrainingError: if too many steps in a row had to be skipped.
      signals.Stopped: after the step in which a signal came, and a checkpoint.
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
            _remove_superseded(plan)
            logger.info("%s", _nothing_left(plan, is_patience_out))
            return False
        restore = _find_values(encoders.of(task.bert_config), plan)
        if restore:
            # Before anything is written, or a run is deleted, for such weights.
            restore.check()
        if not settings.overwrite_output_dir:
            # Found broken before anything is written.
            run_history.read_training(settings.folder)
        if start:
            start()
        with progress.stage("Training"), signals.deferred():
            step = _run(graph, plan, evaluation, restore)
    if signals.requested():
        raise signals.Stopped(signals.requested(), _how_to_go_on(plan, step))
    return True


def _remove_superseded(plan):
    """Removes the checkpoint that a killed run has not deleted any more."""
    settings = plan.settings
    if plan.checkpoint and not plan.is_foreign:
        leftovers.remove(
            run_checkpoints.superseded(
                settings.output_dir, plan.checkpoint, settings.keep_checkpoint_max
            )
        )


def _nothing_left(plan, is_patience_out):
    """Returns the line for a run without a step left, and how to go on."""
    settings, reason = plan.settings, ""
    more = ["--num_train_epochs", "--num_train_steps"][bool(settings.num_train_steps)]
    if is_patience_out:
        reason, more = ", and was stopped early", "--early_stop_patience"
    return (
        f"Nothing left to train: {settings.output_dir} is at step {plan.first_step} of "
        f"{plan.num_train_steps}{reason}; to train on give a larger {more}, to train "
        "anew another --output_dir, or --overwrite_output_dir"
    )


def _how_to_go_on(plan, step):
    """Returns the line for a training that a signal has stopped after a step."""
    settings, name = plan.settings, signals.name_of(signals.requested())
    command = "the same command"
    if settings.overwrite_output_dir:
        command += " without --overwrite_output_dir"
    return (
        f"Stopped by {name} after step {step} of {plan.num_train_steps}, saved in "
        f"{settings.output_dir}; {command} goes on from there"
    )


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


def _find_values(encoder, plan):
    """Returns the `checkpoints.Restore` of a run; None if all weights are random.

    Args:
      encoder: its description, see `encoders`.
      plan: `Plan`.
    """
    settings = plan.settings
    if plan.checkpoint:
        restore, missing = checkpoints.restore_resumed(
            plan.checkpoint,
            tf.global_variables(),
            _starts_anew if plan.is_foreign else None,
        )
        if missing:
            raise InputError(
                f"--output_dir={settings.output_dir}: {plan.checkpoint} is not from "
                f"such a run, it lacks {', '.join(missing[:3])}; to start from its "
                "weights give it as --init_checkpoint and choose another folder"
            )
        logger.info("Resuming from %s", plan.checkpoint)
        if settings.init_checkpoint:
            logger.info(
                "--init_checkpoint=%s is not used: the run in --output_dir goes on "
                "from its own checkpoint",
                settings.init_checkpoint,
            )
        return restore
    if settings.init_checkpoint:
        return checkpoints.restore_initial(
            settings.init_checkpoint,
            tf.trainable_variables(),
            lambda variable: encoder.part_of(variable.op.name) == encoders.HEAD,
            settings.strict_init,
        )
    logger.warning("No --init_checkpoint: training from random weights")
    return None


def _starts_anew(name):
    """Returns whether a variable that upstream does not have starts as in a new run."""
    counters = (*run_folder.Counters._fields, custom_optimization.LossScale.SCOPE)
    return name.split("/")[0] in counters


def _restore(restore, plan, session):
    """Gives the variables of a session their values, which must be those of the plan.

    Raises:
      InputError: if the checkpoint is of another step by now.
    """
    restore.run(session)
    step = int(session.run(tf.train.get_global_step()))
    if step != plan.first_step:
        raise InputError(
            f"--output_dir={plan.settings.output_dir}: step {step} was restored from "
            f"{plan.checkpoint}, which was of step {plan.first_step} before; does "
            "another program write there?"
        )


def _run(graph, plan, evaluation, restore):
    """Runs steps to the end of the plan, or to a signal; saves, and returns the step.

    Args:
      graph: `TrainGraph`.
      plan: `Plan`.
      evaluation: `DevEvaluation` or None.
      restore: `checkpoints.Restore` or None.
    """
    settings, peak_flops = plan.settings, None
    if settings.report_mfu:
        peak_flops = devices.measure_peak(settings.devices, settings.precision)
    restored = {v.op.name for v in restore.variables} if restore else ()
    others = [v for v in tf.global_variables() if v.op.name not in restored]
    # Relative, so that a folder can be copied or moved and still be resumed.
    saver = tf.train.Saver(
        max_to_keep=settings.keep_checkpoint_max, save_relative_paths=True
    )
    if plan.checkpoint and not plan.is_foreign:
        saver.set_last_checkpoints_with_time(
            run_checkpoints.to_rotate(settings.output_dir, plan.checkpoint)
        )
        _remove_superseded(plan)
    scaffold = tf.train.Scaffold(
        init_op=tf.variables_initializer(others),
        init_fn=restore and (lambda _, session: _restore(restore, plan, session)),
        saver=saver,
    )
    history = run_history.TrainingHistory(settings.folder, plan.first_step)
    folder = checkpoints.literal(settings.output_dir)  # which is there by now
    writer = events.EventWriter(folder)
    saving = checkpoint_hook.CheckpointHook(
        folder, settings.save_checkpoints_steps, saver, writer
    )
    # In the order in which they see a step.
    run_hooks = [
        tf.train.StopAtStepHook(last_step=plan.num_train_steps),
        hooks.SkippedStepsHook(graph.step),
        hooks.ProgressHook(graph, plan, history, writer, peak_flops),
        *([evaluation] if evaluation else []),
        # The last hook: a run that is killed resumes from its checkpoint, so the files
        # must hold all steps before a checkpoint is written.
        saving,
    ]
    with contextlib.closing(history), contextlib.closing(writer):
        with progress.stage("Starting the session"):
            session = tf.train.MonitoredTrainingSession(
                scaffold=scaffold,  # restores the checkpoint of the plan
                hooks=run_hooks,
                save_checkpoint_steps=None,
                save_checkpoint_secs=None,
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
                config=settings.devices.session_config(settings.use_xla),
            )
        with session:
            while not session.should_stop() and not signals.requested():
                session.run(graph.train_op)
        return saving.saved_step
