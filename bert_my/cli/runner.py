"""Runs a task: checks, encodes, trains, evaluates, predicts and exports, in this order.

Wrong input of any kind is found before training starts.
"""

import contextlib
import dataclasses
import logging
import os
import sys
from typing import Any, Dict, NamedTuple

import tokenization
from bert_my.cli import compat, console, flags, model_files
from bert_my.common import files, progress
from bert_my.common.errors import InputError, WriteError
from bert_my.engine import (
    devices,
    evaluation,
    forward,
    hooks,
    run_checkpoints,
    run_folder,
    run_identity,
    run_lock,
    train_plan,
    training,
)
from bert_my.model import checkpoints, pretrained
from bert_my.report import report
from bert_my.serving import export
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)

# Kind of tasks -> a script for it.
_SCRIPTS = {
    "classification": "bert_my/run_custom_classifier.py",
    "multilabel": "bert_my/run_classifier_mlabel.py",
    "regression": "bert_my/run_regressor_lr.py",
    "labeling": "bert_my/run_seq_labeling.py",
    "pretraining": "run_pretraining_mgpu.py",
}


def main(task_name=None, argv=None, kind=None, **defaults):
    """Runs a command line; ends the program with one line for input that is wrong.

    Args:
      task_name: default of `--task_name`; tasks of other kinds are refused.
      argv: arguments with the program's name first; default: `sys.argv`.
      kind: (optional) the only kind of tasks, see `Task`, without such a default.
      **defaults: defaults of other flags.
    """
    compat.use_graph_mode()
    with console.command_line(hooks.NonFiniteTrainingError):
        config = parse(argv or sys.argv, task_name, kind, **defaults)
        if config is not None:
            run(config)


def parse(argv, task_name=None, kind=None, **defaults):
    """Returns the `RunConfig` of a command line, or None after --help; see `main`.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    command = flags.read(argv)
    given = command.given()
    default_task, task_name = task_name, given.get("task_name") or task_name
    task_class = base.get_task_class(task_name) if task_name else None
    if default_task:
        kind = base.get_task_class(default_task).kind
    if task_class and kind:
        _check_kind(task_class, kind)
    task_defaults = task_class.defaults if task_class else {}
    defaults = {"task_name": task_name, **task_defaults, **defaults}
    config = flags.parse(argv, defaults)
    if config is None:
        return None
    console.set_verbosity(config.verbosity)
    for note in command.notes():
        logger.info("%s", note)
    if config.do_train and "do_train" not in given:
        logger.info("No job is named, and flags of training are: --do_train=true")
    defaults.update(model_files.find(config, given))
    # The options of a trained model come before the defaults of its task.
    trained_with = _read_trained_options(config)
    for name, value in trained_with.items():
        if defaults.get(name, value) != value:
            logger.warning(
                "--%s=%s, with which the model in --output_dir was trained, comes "
                "before %s, the default here",
                name,
                value,
                defaults[name],
            )
    config = flags.parse(argv, {**defaults, **trained_with})
    return dataclasses.replace(config, task_name=task_class.name)


def _check_kind(task_class, kind):
    """Raises an `InputError` if a task is not of the kind that a script is for."""
    if task_class.kind != kind:
        raise InputError(
            f"--task_name={task_class.name}: its kind is {task_class.kind}, and this "
            f"script is for {kind}; use {_SCRIPTS[task_class.kind]}, or "
            "run_classifier_mgpu.py, which runs any task"
        )


def _read_identity(config):
    """Returns the `Identity` of the run in the output folder, if that is to go on."""
    return None if config.begins_anew else run_identity.read(config.folder)


def _read_trained_options(config):
    """Returns the options that the model in the output folder was trained with."""
    kept = _read_identity(config)
    if kept is None or kept.task != base.get_task_class(config.task_name).name:
        return {}
    options = {name: kept.options.get(name) for name in run_identity.INHERITED}
    return {name: value for name, value in options.items() if value is not None}


def run(config):
    """Checks, encodes, trains, evaluates, predicts and exports, as a `RunConfig` asks.

    Raises:
      InputError: if something that the user gave is wrong.
    """
    if config.deterministic:
        compat.make_deterministic()
    devices.limit_threads(config)
    _check(config)
    config = _with_checkpoint(config)
    if not config.do_train:
        _do_jobs(config)
        return
    with run_lock.held(config.output_dir):
        _do_jobs(config)


def _do_jobs(config):
    """Does the jobs of a `RunConfig` whose flags are checked."""
    run_devices = devices.choose_devices(config)
    config = _with_added_words(config)
    kept = _read_identity(config)
    with progress.stage("Reading the data"):
        task = load_task(config, kept)
    identity = run_identity.of_task(run_identity.of(config, task.bert_config), task)
    run_identity.check(kept, identity, config)
    if not run_devices.has_gpus:
        devices.keep_freed_memory()
    config = _with_evaluations(task, config)
    splits = _choose_splits(task, config)
    if config.evaluates_in_training:
        config.metric_of(task)  # checks that the task has it
    files.make_folder(config.output_dir, "output_dir")
    config.folder.check_places(task.writers)
    config.folder.remove_leftovers(config.record_dir, config.do_train)
    needed = set(splits.values())
    if config.do_eval or config.evaluates_in_training:
        needed.update(task.dev_splits)
    with progress.stage("Encoding the data"), _told_of_the_run(config, kept):
        records = {
            split: task.load_records(split, config.record_dir)
            for split in sorted(needed)
        }
        doubts = task.check_records(records)
    # After encoding, whose worker processes must be started before any session.
    precision = devices.choose_precision(config.precision, run_devices)
    config = dataclasses.replace(config, precision=precision)
    if config.do_train:
        identity = _with_training(identity, config, task, kept)
        run_identity.check(kept, identity, config)
    this_run = _Run(config, task, run_devices, splits, records, kept, identity)
    if config.do_train:
        this_run.train()
    elif kept is None:
        config.folder.describe_task(task)
    checkpoint = _choose_checkpoint(config)
    if config.do_eval:
        with progress.stage("Evaluating"):
            _use(config, this_run.evaluate, checkpoint)
    if config.do_predict:
        with progress.stage("Predicting"):
            _use(config, this_run.predict, checkpoint)
    if config.save_for_serving:
        with progress.stage("Exporting"):
            _use(config, this_run.export, checkpoint)
    for doubt in doubts:  # again, where the last lines are read
        logger.warning("%s", doubt)


def _with_checkpoint(config):
    """Returns a config with the path of the checkpoint that the flag means."""
    if not config.init_checkpoint:
        return config
    path = checkpoints.resolve(config.init_checkpoint)
    if config.begins_anew:
        config.folder.check_overwrite(path)
    return dataclasses.replace(config, init_checkpoint=path)


@contextlib.contextmanager
def _told_of_the_run(config, kept):
    """Within the block an `InputError` tells of the run whose model reads the data.

    Args:
      config: `RunConfig`.
      kept: `Identity` of the run in the output folder, or None.
    """
    try:
        yield
    except InputError as error:
        # A run that is resumed has its own data, if it is known to be its own.
        if kept is None or (config.do_train and kept.train_files):
            raise
        raise InputError(f"{error} ({kept.describe(config.output_dir)})") from error


def _with_training(identity, config, task, kept):
    """Returns an `Identity` with all that is known before the first step."""
    paths = task.find_files(base.TRAIN)
    return identity._replace(
        options={**identity.options, "precision": config.precision},
        train_files=files.contents(paths, (kept and kept.train_files) or ()),
    )


def _check(config):
    """Raises an `InputError` for flags or a case that do not fit each other."""
    config.check_task(base.get_task_class(config.task_name))
    if config.vocab_file:  # else nothing is tokenized
        try:
            tokenization.validate_case_matches_checkpoint(
                config.do_lower_case, config.init_checkpoint
            )
        except ValueError as error:
            raise InputError(str(error)) from error


def _with_added_words(config):
    """Writes a model with the words of `--vocab_add`; returns a config with it."""
    if not config.vocab_add:
        return config
    for flag in ("vocab_file", "bert_config_file"):
        if files.is_in(getattr(config, flag), config.output_dir):
            raise InputError(
                f"--{flag}={getattr(config, flag)} would be replaced by that with the "
                "added words; choose another --output_dir"
            )
    bert_config = pretrained.read_bert_config(config.bert_config_file)
    tokenizer = _read_tokenizer(config, bert_config)
    added = vocabulary.add_words(tokenizer, config.vocab_add)
    logger.info("%s", added)
    is_resumed = not config.begins_anew and config.folder.latest_checkpoint()
    if is_resumed:
        config.folder.check_vocabulary(added)
    files.make_folder(config.output_dir, "output_dir")
    written = pretrained.write_with_added_words(
        config.folder.path_of(run_folder.WITH_ADDED_WORDS),
        added,
        bert_config,
        # A resumed run starts from its own checkpoint.
        None if is_resumed else config.init_checkpoint,
    )
    return dataclasses.replace(config, **written._asdict())


def _read_tokenizer(config, bert_config):
    """Returns the tokenizer of a run, None if it has no vocabulary."""
    if not config.vocab_file:
        return None
    return vocabulary.read_tokenizer(
        config.vocab_file,
        config.do_lower_case,
        bert_config.vocab_size,
        base.get_task_class(config.task_name).required_tokens,
    )


def load_task(config, kept=None):
    """Returns the `Task` of a `RunConfig`, after all checks that need no data.

    Args:
      config: `RunConfig`.
      kept: (optional) `Identity` of the run in the output folder, which is resumed or
        whose model is used.

    Raises:
      InputError: if options, model config and vocabulary do not fit each other, or not
        that run.
    """
    bert_config = pretrained.read_bert_config(config.bert_config_file)
    asked = run_identity.of(config, bert_config)
    run_identity.check(kept, asked, config)
    if config.max_seq_length > bert_config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={config.max_seq_length} is over max_position_embeddings="
            f"{bert_config.max_position_embeddings} in {config.bert_config_file}, the "
            "most that can be given"
        )
    if config.recompute > bert_config.num_hidden_layers:
        raise InputError(
            f"--recompute={config.recompute}: {config.bert_config_file} has only "
            f"{bert_config.num_hidden_layers} layers"
        )
    inputs = base.TaskInputs(
        config.select(TaskOptions),
        bert_config,
        config.max_seq_length,
        _read_tokenizer(config, bert_config),
        config.data_dir,
        (kept and config.folder.read_task()) or {},
        is_trained=config.do_train,
    )
    if kept and config.do_train:
        _check_train_files(kept, asked, config, inputs)
    trained_length = kept and kept.options.get("max_seq_length")
    if trained_length not in (None, config.max_seq_length):
        logger.warning(
            "--max_seq_length=%d: the model in --output_dir was trained with %d, and "
            "does not know other lengths well",
            config.max_seq_length,
            trained_length,
        )
    with _told_of_the_run(config, kept):
        return base.get_task_class(config.task_name).load(inputs)


def _check_train_files(kept, asked, config, inputs):
    """Raises an `InputError` if a run would be resumed with other train data.

    Args:
      kept: `Identity` of the run.
      asked: `Identity` that the command asks for.
      config: `RunConfig`.
      inputs: `base.TaskInputs`.
    """
    task_class = base.get_task_class(config.task_name)
    paths = task_class.find_train_files(inputs)
    found = files.contents(paths, kept.train_files or ())
    asked = asked._replace(train_files=found)
    if run_identity.is_other_data(kept, asked):
        # The labels, if they can be told, say more than a digest.
        with contextlib.suppress(InputError):
            task = task_class.load(inputs._replace(saved={}))
            asked = asked._replace(labels=task.labels)
        run_identity.check(kept, asked, config)


def _with_evaluations(task, config):
    """Returns a config with the evaluations of `--evaluate_when_saving`."""
    if not (config.evaluate_when_saving and config.do_train) or config.dev_flags:
        return config
    # Pretraining shares its files with the dev set if there is no other.
    is_other = task.find_files(base.DEV) != task.find_files(base.TRAIN)
    if not task.find_files(base.DEV) or not (is_other or config.num_dev_examples):
        return config
    steps = config.save_checkpoints_steps
    logger.info("The dev file is evaluated with each checkpoint, every %d steps", steps)
    return dataclasses.replace(config, evaluate_every=str(steps))


def _choose_splits(task, config):
    """Returns a dict job -> split, for all jobs that read data."""
    wanted = {
        "do_train": (base.TRAIN,),
        "evaluates_in_training": (base.DEV,),
        "do_eval": (base.DEV,),
        "do_predict": (base.TEST, base.DEV),
    }
    splits = {}
    for job, candidates in wanted.items():
        if not getattr(config, job):
            continue
        splits[job] = next(filter(task.find_files, candidates), None)
        if splits[job] is None:
            is_flag = job != "evaluates_in_training"
            name = job if is_flag else ", ".join(config.dev_flags)
            others = [f"--{split}_file" for split in candidates]
            if base.DEV in candidates:
                others.append("--num_dev_examples")
            raise InputError(
                f"--data_dir={config.data_dir or '(not given)'}: {name} needs a "
                f"{' or '.join(candidates)} file of task {task.name} there, or "
                f"{' or '.join(others)}"
            )
    return splits


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
      job: method of a `_Run`.
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


class _Run(NamedTuple):
    """A run whose input is checked and encoded, and its jobs."""

    config: flags.RunConfig
    task: base.Task
    devices: devices.Devices
    splits: Dict[str, str]  # of each job that reads data
    records: Dict[str, Any]  # of each split
    kept: Any  # `Identity` of the run in the folder, or None
    identity: Any  # `Identity` of this run

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
