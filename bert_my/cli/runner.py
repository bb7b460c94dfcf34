"""Runs a task: checks, encodes, trains, evaluates, predicts and exports, in this order.

Wrong input of any kind is found before training starts.
"""

import contextlib
import dataclasses
import logging
import sys

import tokenization
from bert_my.cli import compat, console, flags, jobs, model_files
from bert_my.common import files, progress
from bert_my.common.errors import InputError
from bert_my.engine import devices, hooks, run_folder, run_identity, run_lock
from bert_my.model import checkpoints, pretrained
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
    """Reads the data and does the jobs of a `RunConfig` whose flags are checked."""
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
    jobs.Run(config, task, run_devices, splits, records, kept, identity).do_jobs()
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
