"""The jobs of a run whose input is checked: training, and uses of its model."""

import dataclasses
import logging
import os
from typing import Any, Dict, NamedTuple

from bert_my.cli import flags
from bert_my.common import files, progress
from bert_my.common.errors import InputError, WriteError
from bert_my.engine import (
    devices,
    evaluation,
    forward,
    run_checkpoints,
    run_folder,
    run_identity,
    train_plan,
    training,
)
from bert_my.model import checkpoints
from bert_my.report import report
from bert_my.serving import export
from bert_my.tasks import base

logger = logging.getLogger(__name__)


def _choose_checkpoint(config):
    """Returns the checkpoint to evaluate, to predict with and to export.

    See `RunFolder.trained_checkpoint`.
    """
    folder = config.folder
    keeps_best = (folder.read_settings() or {}).get("keep_best")
    used = folder.trained_checkpoint()
    if used and config.init_checkpoint and not config.do_train:
        logger.warning(
            "--init_checkpoint=%s is not used: --output_dir has a model of its own",
            config.init_checkpoint,
        )
    if used and files.is_in(used, folder.path_of(run_folder.BEST)):
        logger.info("The best weights of the run are used: %s", used)
        return used
    last = used or config.init_checkpoint
    if last is None:
        raise InputError(
            f"--output_dir={config.output_dir}: there is no checkpoint; add "
            "--do_train=true or give --model or --init_checkpoint"
        )
    has_older = os.path.isdir(folder.path_of(run_folder.BEST))
    if has_older or keeps_best:
        why = "there are none in best/" if keeps_best else "those in best/ are older"
        logger.warning("The last weights are used, for %s: %s", why, last)
    return last


def _use(config, job, checkpoint):
    """Does a job with a checkpoint, or with a newer one if it is deleted meanwhile.

    A training in the same folder deletes old checkpoints.

    Args:
      config: `RunConfig`.
      job: method of a `Run`.
      checkpoint: path.
    """
    try:
        job(checkpoint)
        return
    except InputError:
        if checkpoints.exists(checkpoint):
            raise
    logger.warning("%s was deleted before it was read: once more", checkpoint)
    with run_checkpoints.held(lambda: _choose_checkpoint(config)) as newer:
        job(newer)


class Run(NamedTuple):
    """A run whose input is checked and encoded, and its jobs."""

    config: flags.RunConfig
    task: base.Task
    devices: devices.Devices
    splits: Dict[str, str]  # of each job that reads data
    records: Dict[str, Any]  # of each split
    kept: Any  # `Identity` of the run in the folder, or None
    identity: Any  # `Identity` of this run

    def do_jobs(self):
        """Does the jobs that the flags name, in this order."""
        config = self.config
        if config.do_train:
            self.train()
        elif self.kept is None:
            config.folder.describe_task(self.task)
        checkpoint = _choose_checkpoint(config)
        if config.do_eval:
            with progress.stage("Evaluating"):
                _use(config, self.evaluate, checkpoint)
        if config.do_predict:
            with progress.stage("Predicting"):
                _use(config, self.predict, checkpoint)
        if config.save_for_serving:
            with progress.stage("Exporting"):
                _use(config, self.export, checkpoint)

    def train(self):
        """Trains to the end of the plan; a run in the folder is resumed or replaced."""
        config, dev = self.config, None
        if config.evaluates_in_training:
            dev = self._evaluated(None)
        is_trained = training.train(
            self.task,
            self.records[self.splits["do_train"]],
            config.select(train_plan.TrainSettings, devices=self.devices),
            dev,
            self.describe,
        )
        changes = self._changes()
        if changes and not is_trained:
            logger.warning(
                "--output_dir=%s: nothing was trained, so these are without effect: %s",
                config.output_dir,
                changes,
            )

    def describe(self):
        """Writes the description of the run, over an earlier run if so asked."""
        config = self.config
        if config.begins_anew:
            config.folder.clear(self.task.writers)
        changes = self._changes()
        if changes:
            logger.info("The run in --output_dir goes on with %s", changes)
        settings = dataclasses.asdict(config)
        config.folder.describe(self.task, config.vocab_file, settings, self.identity)

    def _changes(self):
        """Returns the options with which the run in the folder goes on, as text."""
        old = (self.kept and self.config.folder.read_settings()) or {}
        return ", ".join(run_identity.changes(old, self.config))

    def evaluate(self, checkpoint):
        """Scores a checkpoint on the dev set; writes metrics and the report."""
        records, settings = self._evaluated(checkpoint)
        scores = evaluation.evaluate(
            self.task, records, settings, self.config.output_dir
        )
        self.config.folder.write_results(scores)
        try:
            logger.info("Report: %s", report.write(self.config.output_dir))
        except WriteError:
            raise
        except InputError as error:  # a run that diverged must not fail for its sake
            logger.warning("There is no report: %s", error)

    def predict(self, checkpoint):
        """Writes the prediction files of the test set, or else of the dev set."""
        split = self.splits["do_predict"]
        paths, scores = evaluation.predict(
            self.task,
            self.records[split],
            self._eval_settings(checkpoint, self.config.predict_batch_size),
            self.config.output_dir,
        )
        logger.info("Predictions of the %s file: %s", split, ", ".join(paths))
        if scores and split == base.TEST:
            self.config.folder.write_results(scores, run_folder.TEST_RESULTS)

    def export(self, checkpoint):
        """Writes a SavedModel; a run that is started again has the one it wrote."""
        folder = self.config.folder.path_of(run_folder.SERVING)
        path = None
        if self.config.do_train:
            path = export.find(self.task, checkpoint, folder)
        if path is None:
            path = export.export(self.task, checkpoint, self.config.vocab_file, folder)
        logger.info("SavedModel: %s", path)

    def _eval_settings(self, checkpoint, batch_size):
        return forward.EvalSettings(
            checkpoint, self.devices, batch_size, self.config.precision
        )

    def _evaluated(self, checkpoint):
        """Returns (dict split -> records that are evaluated, `EvalSettings`)."""
        settings = self._eval_settings(checkpoint, self.config.eval_batch_size)
        return {
            split: self._head(self.records[split], settings)
            for split in self.task.dev_splits
        }, settings

    def _head(self, records, settings):
        """Returns the records that `--max_eval_steps` leaves."""
        num_steps = self.config.max_eval_steps
        num_rows = num_steps * settings.global_batch_size
        if 0 < num_rows < records.num_examples:
            logger.info(
                "--max_eval_steps=%d: %d of %d rows are evaluated",
                num_steps,
                num_rows,
                records.num_examples,
            )
            return records.head(num_rows)
        return records
