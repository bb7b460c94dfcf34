"""Runs a task: checks, encodes, trains, evaluates, predicts and exports, in this order.

Everything that can be wrong with the input is found before training starts.
"""

import dataclasses
import logging
import math
import os
import sys

import tokenization
from bert_my.cli import compat, flags
from bert_my.data import files, record_cache
from bert_my.data.errors import InputError
from bert_my.engine import (
    checkpoints,
    devices,
    evaluation,
    hooks,
    pretrained,
    training,
)
from bert_my.serving import export
from bert_my.tasks import base

logger = logging.getLogger(__name__)


def main(task_name=None, argv=None):
    """Runs a command line; ends the program with one line for input that is wrong.

    Args:
      task_name: default of `--task_name`.
      argv: arguments with the program's name first; default: `sys.argv`.
    """
    compat.use_graph_mode()
    _log_to_stderr()
    try:
        config = _parse(argv or sys.argv, task_name)
        if config is not None:
            run(config)
    except (InputError, hooks.NonFiniteTrainingError) as error:
        sys.exit(f"error: {error}")


def _parse(argv, task_name):
    """Returns the `RunConfig`, with the defaults of the task, or None after --help."""
    task_name = flags.read_task_name(argv) or task_name
    task_defaults = base.get_task_class(task_name).defaults if task_name else {}
    return flags.parse(argv, {"task_name": task_name, **task_defaults})


def _log_to_stderr():
    package_logger = logging.getLogger("bert_my")
    if not package_logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        package_logger.addHandler(handler)
        package_logger.setLevel(logging.INFO)
        package_logger.propagate = False


def run(config):
    """Does the jobs of a `RunConfig`.

    Raises:
      InputError: if something that the user gave is wrong.
    """
    task = load_task(config)
    run_devices = devices.choose_devices(config.n_gpus, config.use_gpu)
    if config.init_checkpoint:
        checkpoints.check_exists(config.init_checkpoint)
    splits = _choose_splits(task, config)
    files.make_folder(config.output_dir, "output_dir")
    records = {
        split: record_cache.load_or_convert(
            task.record_source(split), config.record_dir
        )
        for split in sorted(set(splits.values()))
    }
    # After the records, whose processes are to be started before there is a session.
    config = dataclasses.replace(
        config, precision=devices.choose_precision(config.precision, run_devices)
    )
    _describe_run(task, config)
    if config.do_train:
        training.train(
            task,
            records[splits["do_train"]],
            config.select(training.TrainSettings, devices=run_devices),
        )
    _use(task, config, run_devices, splits, records)


def _use(task, config, run_devices, splits, records):
    """Evaluates, predicts and exports the last checkpoint, as far as asked for."""
    checkpoint = checkpoints.latest(config.output_dir) or config.init_checkpoint
    if checkpoint is None:
        raise InputError(
            f"--output_dir={config.output_dir}: there is no checkpoint; add "
            "--do_train=true or give --init_checkpoint"
        )

    settings = evaluation.EvalSettings(
        checkpoint, run_devices, config.eval_batch_size, config.precision
    )
    if config.do_eval:
        scores = evaluation.evaluate(task, records[splits["do_eval"]], settings)
        _write_eval_results(scores, config.output_dir)
    if config.do_predict:
        split = splits["do_predict"]
        paths = evaluation.predict(
            task,
            records[split],
            task.read_examples(split),
            settings._replace(batch_size=config.predict_batch_size),
            config.output_dir,
        )
        logger.info("Predictions of the %s file: %s", split, ", ".join(paths))
    if config.save_for_serving:
        path = export.export(
            task,
            checkpoint,
            config.vocab_file,
            os.path.join(config.output_dir, "serving"),
        )
        logger.info("SavedModel: %s", path)


def load_task(config):
    """Returns the `Task` of a `RunConfig`, after all checks that need no data."""
    bert_config = pretrained.read_bert_config(config.bert_config_file)
    try:
        tokenization.validate_case_matches_checkpoint(
            config.do_lower_case, config.init_checkpoint
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    if config.max_seq_length > bert_config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={config.max_seq_length} is over max_position_embeddings="
            f"{bert_config.max_position_embeddings} in {config.bert_config_file}"
        )
    task_class = base.get_task_class(config.task_name)
    if config.head not in (None, *task_class.representations):
        raise InputError(
            f"--head={config.head}: for task {task_class.name} it must be one of "
            f"{', '.join(task_class.representations)}"
        )
    return task_class(
        data_dir=config.data_dir,
        tokenizer=pretrained.read_tokenizer(
            config.vocab_file,
            config.do_lower_case,
            bert_config.vocab_size,
            task_class.required_tokens,
        ),
        bert_config=bert_config,
        max_seq_length=config.max_seq_length,
        head=config.head,
    )


def _choose_splits(task, config):
    """Returns a dict job -> split, for the jobs that read data."""
    wanted = {
        "do_train": (base.TRAIN,),
        "do_eval": (base.DEV,),
        "do_predict": (base.TEST, base.DEV),
    }
    splits = {}
    for job, candidates in wanted.items():
        if not getattr(config, job):
            continue
        found = [split for split in candidates if task.find_files(split)]
        if not found:
            raise InputError(
                f"--data_dir={config.data_dir}: --{job}=true needs a "
                f"{' or '.join(candidates)} file of task {task.name} there"
            )
        splits[job] = found[0]
    return splits


def _describe_run(task, config):
    """Writes into the output folder what is needed to use or repeat the run."""

    def path(name):
        return os.path.join(config.output_dir, name)

    with files.replacing(path("bert_config.json")) as writer:
        writer.write(task.bert_config.to_json_string())
    files.copy(config.vocab_file, path("vocab.txt"))
    files.write_json(path("label_map.json"), task.label_map)
    files.write_json(path("run_config.json"), dataclasses.asdict(config))


def _write_eval_results(scores, output_dir):
    lines = [f"{name} = {scores[name]}" for name in sorted(scores)]
    with files.replacing(os.path.join(output_dir, "eval_results.txt")) as writer:
        writer.writelines(line + "\n" for line in lines)
    json_path = os.path.join(output_dir, "eval_results.json")
    # JSON has no NaN: a metric that is not defined is null there.
    finite = {
        name: value if math.isfinite(value) else None for name, value in scores.items()
    }
    files.write_json(json_path, finite)
    logger.info("Evaluation (%s):\n  %s", json_path, "\n  ".join(lines))
