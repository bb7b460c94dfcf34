"""Evaluation during training: which weights are the best, and when to stop.

The dev set is run through the weights, or their averages, in the session that trains;
nothing is written and read again for it.
"""

import contextlib
import logging
import math
import os
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

from bert_my import metrics
from bert_my.common.errors import InputError
from bert_my.engine import evaluation, forward, history
from bert_my.model import checkpoints

logger = logging.getLogger(__name__)

EPOCH = "epoch"
AUTO = "auto"


class DevSettings(NamedTuple):
    """Settings of the evaluations during training."""

    output_dir: str
    evaluate_every: Optional[str]  # a number of steps, or "epoch"; None for "epoch"
    keep_best: Optional[str]  # name of a metric, AUTO, or None for not
    early_stop_patience: int  # 0: never

    def metric_of(self, task):
        """Returns the name of the metric by which the best weights are chosen.

        Raises:
          InputError: if the task does not have it.
        """
        if not self.keep_best or self.keep_best == AUTO:
            return task.main_metric
        names = {*task.metric_names, "eval_loss", "loss"}
        if self.keep_best not in names:
            raise InputError(
                f"--keep_best={self.keep_best}: task {task.name} has no such metric; "
                f"it has {', '.join(sorted(names))}"
            )
        return self.keep_best

    def is_due(self, step, plan, settings):
        """Returns whether there is an evaluation after a step.

        Args:
          step: int.
          plan, settings: `Plan` and `TrainSettings` of `train_plan`.
        """
        if step == plan.num_train_steps:
            return True
        if self.evaluate_every not in (None, EPOCH):
            return step % int(self.evaluate_every) == 0
        # Whether an epoch has ended within the step.
        rows, batch_size = step * settings.global_batch_size, settings.global_batch_size
        return rows // plan.num_examples > (rows - batch_size) // plan.num_examples


class DevEvaluation:
    """The evaluations of one training run; built into its graph."""

    def __init__(self, task, records, settings, eval_settings, averages, first_step):
        """Builds the forward pass over the dev set.

        Args:
          task: `Task`.
          records: those of the dev set, see `input_pipeline`.
          settings: `DevSettings`.
          eval_settings: `forward.EvalSettings`; its checkpoint is not used.
          averages: `averages.Averages` to evaluate, or None.
          first_step: steps done so far.
        """
        self._task = task
        self._records = records
        self.settings = settings
        self.metric = settings.metric_of(task)
        self._entries = history.read_evaluations(settings.output_dir, first_step)
        variables = tf.trainable_variables()
        scope = tf.get_variable_scope()
        getter = averages.getter if averages else None
        with tf.variable_scope(scope, reuse=True, custom_getter=getter):
            outputs = evaluation.outputs_of(task)
            self._pass = forward.build_pass(task, records, eval_settings, outputs)
        # Averages are saved under the names of their weights.
        saved = {v.op.name: averages.of(v) if averages else v for v in variables}
        saved[tf.GraphKeys.GLOBAL_STEP] = tf.train.get_global_step()
        self._saver = tf.train.Saver(saved, max_to_keep=1, save_relative_paths=True)
        self._kept = self._find_kept()

    def _find_kept(self):
        """Returns the value of the weights that are kept, or None without any.

        They do not count if they are of a step that this run has yet to do: it was
        killed after it kept them and before its next checkpoint.
        """
        path = checkpoints.best(self.settings.output_dir)
        if path is None:
            return None
        self._saver.recover_last_checkpoints([path])  # so that the next ones replace it
        step = checkpoints.read_counters(path).global_step
        values = {entry["step"]: entry.get(self.metric) for entry in self._entries}
        return values.get(step)

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
        """True if the last `early_stop_patience` evaluations were not the best."""
        patience = self.settings.early_stop_patience
        return bool(patience) and self._find_best()[1] >= patience

    def run(self, session, step):
        """Evaluates after a step; keeps the weights if they are the best so far.

        Args:
          session: `tf.Session` of the training graph.
          step: steps done.

        Returns:
          whether training should stop.
        """
        with contextlib.closing(self._pass.batches(session.run)) as batches:
            scores = evaluation.scores(self._task, self._records, batches)
        keep_best, value = self.settings.keep_best, scores[self.metric]
        best = self._kept if keep_best else self._find_best()[0]
        is_best = metrics.is_better(self.metric, value, best)
        if is_best and keep_best:
            folder = os.path.join(self.settings.output_dir, checkpoints.BEST)
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, "model.ckpt")
            self._saver.save(session, path, step, write_meta_graph=False)
            self._kept = value
        self._entries.append({"step": step, **scores})
        history.write_evaluations(self.settings.output_dir, self._entries)
        logger.info(
            "Evaluation after step %d: %s %.4f%s, eval_loss %.4f",
            step,
            self.metric,
            value,
            ", the best so far" if is_best else f" (best {_number(best)})",
            scores["eval_loss"],
        )
        if self.is_patience_out:
            logger.info(
                "Stopping: %d evaluations without a better %s",
                self.settings.early_stop_patience,
                self.metric,
            )
        return self.is_patience_out


def _number(value):
    return "undefined" if value is None or math.isnan(value) else f"{value:.4f}"
