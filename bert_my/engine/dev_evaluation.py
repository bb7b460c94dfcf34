"""Evaluation of the dev set during training: best weights and early stopping.

The forward pass uses the weights, or their averages, of the training session; no
checkpoint is written and read for it.
"""

import contextlib
import logging
import math
import os

import tensorflow.compat.v1 as tf

from bert_my import metrics
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import evaluation, forward, run_checkpoints, run_folder, run_history
from bert_my.engine.options import EPOCH
from bert_my.model import checkpoints

logger = logging.getLogger(__name__)


class DevEvaluation(tf.train.SessionRunHook):
    """The evaluations of a training run, built into its graph.

    As a hook it evaluates after the steps that the options name, and can stop the run
    (`after_run`).
    """

    def __init__(self, task, records, eval_settings, graph, plan):
        """Builds the forward passes over the dev sets.

        Args:
          task: `Task`.
          records: dict name of a dev set -> its records, see `data.batches`; the first
            one decides which weights are the best.
          eval_settings: `forward.EvalSettings`; its checkpoint is not used.
          graph: `train_graph.TrainGraph`; averages are evaluated in place of weights.
          plan: `train_plan.Plan`.
        """
        self._task = task
        self._records = records
        self._settings = settings = plan.settings
        self.metric = settings.metric_of(task)
        self._graph = graph
        self._plan = plan
        self._step = plan.first_step
        self._folder = settings.folder
        self._entries = []
        if not settings.overwrite_output_dir:
            self._entries = run_history.read_evaluations(self._folder, plan.first_step)
            self._check_entries()
        variables = tf.trainable_variables()
        scope = tf.get_variable_scope()
        averages = graph.averages
        with tf.variable_scope(scope, reuse=True, custom_getter=averages.getter):
            outputs = evaluation.outputs_of(task)
            self._passes = {
                name: forward.build_pass(task, each, eval_settings, outputs)
                for name, each in records.items()
            }
        # Averages are saved under the names of their weights.
        saved = {v.op.name: averages.of(v) for v in variables}
        saved[tf.GraphKeys.GLOBAL_STEP] = tf.train.get_global_step()
        self._eval_settings = eval_settings
        with tf.device("/cpu:0"):
            # Within the checkpoint, so that weights and value cannot disagree. The
            # training does not restore it.
            self._value = tf.get_variable(
                "best_value",
                initializer=tf.constant(math.nan, tf.float64),
                trainable=False,
                collections=[tf.GraphKeys.LOCAL_VARIABLES],
            )
        saved[self._value_name] = self._value
        self._saver = tf.train.Saver(saved, max_to_keep=1, save_relative_paths=True)
        self._kept = self._find_kept() if settings.keep_best else None

    def _check_entries(self):
        """Warns if evaluations are missing that were done before the run was resumed.

        Raises:
          InputError: if the run would be stopped early at another step without them.
        """
        steps = range(self._plan.first_step, 0, -1)
        step = next((each for each in steps if is_due(each, self._plan)), None)
        if step is None or any(entry["step"] == step for entry in self._entries):
            return
        path = self._folder.path_of(run_folder.EVALUATIONS)
        before = self._folder.read_settings() or {}
        flags = ("evaluate_every", "early_stop_patience")
        is_same = all(before.get(x) == getattr(self._settings, x) for x in flags)
        if self._settings.early_stop_patience and is_same:
            raise InputError(
                f"{path}: the evaluation after step {step} is missing, by which "
                "--early_stop_patience decides; put the file back, or leave out that "
                "flag"
            )
        logger.warning("%s: the evaluation after step %d is not in it", path, step)

    @property
    def _value_name(self):
        """Name of the tensor with the metric of the best weights, on which rows."""
        records = next(iter(self._records.values()))
        # The name of a record file changes with its content; shards have none.
        name = os.path.basename(getattr(records, "path", "shards"))
        rows = f"{name}/{records.num_examples}"
        return f"{run_folder.BEST}/{self.metric}/{rows}"

    def _find_kept(self):
        """Returns the metric of the weights that are kept, or None if there are none.

        Weights of a step that this run has yet to do again do not count: the run was
        killed after they were saved and before its next checkpoint.
        """
        if self._settings.overwrite_output_dir:
            return None
        path = self._folder.best_checkpoint()
        best = self._find_best()[0]
        if path is None:
            if best is not None:
                logger.warning(
                    "%s: the weights with the best %s so far, %.4f, are not there; "
                    "those of the next evaluation are kept",
                    self._folder.path_of(run_folder.BEST),
                    self.metric,
                    best,
                )
            return None
        # So that the next ones replace it.
        self._saver.set_last_checkpoints_with_time(
            run_checkpoints.to_rotate(self._folder.path_of(run_folder.BEST), path)
        )
        if run_folder.read_counters(path).global_step > self._plan.first_step:
            return None
        reader = tf.train.load_checkpoint(checkpoints.literal(path))
        if reader.has_tensor(self._value_name):
            return float(reader.get_tensor(self._value_name))
        return self._evaluate_again(path)

    def _evaluate_again(self, checkpoint):
        """Returns the metric of best weights of which it is not known."""
        records = next(iter(self._records.values()))
        settings = self._eval_settings._replace(checkpoint=checkpoint)
        outputs = evaluation.outputs_of(self._task)
        with forward.forward(self._task, records, settings, outputs) as batches:
            value = evaluation.scores(self._task, records, batches)[self.metric]
        logger.info(
            "%s: %s of these best weights on this dev set was not known; it is %s",
            checkpoint,
            self.metric,
            _number(value),
        )
        return value

    def _find_best(self):
        """Returns (best value so far, number of evaluations since)."""
        best, num_since = None, 0
        for entry in self._entries:
            value = entry.get(self.metric)
            if metrics.is_better(self.metric, value, best):
                best, num_since = value, 0
            else:
                num_since += 1
        return best, num_since

    @property
    def is_patience_out(self):
        """True if none of the last `early_stop_patience` evaluations was the best."""
        patience = self._settings.early_stop_patience
        return bool(patience) and self._find_best()[1] >= patience

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._graph.step.is_finite)

    def after_run(self, run_context, run_values):
        if not run_values.results:
            return
        self._step += 1
        is_due_now = is_due(self._step, self._plan)
        if is_due_now and self.run(run_context.session, self._step):
            run_context.request_stop()

    def _describe_best(self, value, so_far, best, is_best):
        """Returns how a value compares with the best one before, for the log."""
        if not is_best:
            return f" (best {_number(best)})"
        if metrics.is_better(self.metric, value, so_far):
            return ", the best so far"
        return f", kept, as the weights with {_number(so_far)} are gone"

    def run(self, session, step):
        """Evaluates after a step; saves the weights if they are the best so far.

        Args:
          session: `tf.Session` of the training graph.
          step: steps done.

        Returns:
          bool, whether training should stop.
        """
        of_sets = {}
        for name, each in self._passes.items():
            try:
                with contextlib.closing(each.batches(session.run)) as batches:
                    records = self._records[name]
                    of_sets[name] = evaluation.scores(self._task, records, batches)
            except forward.NonFinitePrediction as error:
                logger.warning(
                    "The evaluation after step %d does not count: %s", step, error
                )
                of_sets[name] = evaluation.undefined_scores(self._task)
        scores = evaluation.joined(of_sets)
        keep_best, value = self._settings.keep_best, scores[self.metric]
        so_far = self._find_best()[0]
        best = self._kept if keep_best else so_far
        is_best = metrics.is_better(self.metric, value, best)
        if is_best and keep_best:
            folder = self._folder.path_of(run_folder.BEST)
            with files.writing(folder):
                os.makedirs(folder, exist_ok=True)
            path = os.path.join(checkpoints.literal(folder), run_folder.MODEL)
            self._value.load(value, session)
            with checkpoints.saving(f"{path}-{step}"):
                self._saver.save(session, path, step, write_meta_graph=False)
            self._kept = value
        self._entries.append({"step": step, **scores})
        run_history.write_evaluations(self._folder, self._entries)
        others = [metrics.of_set(self.metric, name) for name in list(of_sets)[1:]]
        logger.info(
            "Evaluation after step %d: %s %.4f%s, eval_loss %.4f%s",
            step,
            self.metric,
            value,
            self._describe_best(value, so_far, best, is_best),
            scores["eval_loss"],
            "".join(f", {name} {scores[name]:.4f}" for name in others),
        )
        if self.is_patience_out:
            logger.info(
                "Stopping: %d evaluations without a better %s",
                self._settings.early_stop_patience,
                self.metric,
            )
        return self.is_patience_out


def is_due(step, plan):
    """Returns whether there is an evaluation after a step.

    Args:
      step: steps done.
      plan: `train_plan.Plan`.
    """
    settings = plan.settings
    if step == plan.num_train_steps:
        return True
    if settings.evaluate_every not in (None, EPOCH):
        return step % int(settings.evaluate_every) == 0
    # True if an epoch ended within the step.
    rows, batch_size = step * settings.global_batch_size, settings.global_batch_size
    return rows // plan.num_examples > (rows - batch_size) // plan.num_examples


def _number(value):
    return "undefined" if value is None or math.isnan(value) else f"{value:.4f}"
