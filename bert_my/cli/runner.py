"""Runs a task: checks, encodes, trains, evaluates, predicts and exports, in this order.

Everything that can be wrong with the input is found before training starts.
"""

import dataclasses
import logging
import os
import sys

import tokenization
from bert_my.cli import checks, compat, console, exits, flags, run_folder
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import (
    dev_evaluation,
    devices,
    evaluation,
    forward,
    hooks,
    train_plan,
    training,
)
from bert_my.model import added_words, checkpoints, pretrained
from bert_my.report import report
from bert_my.serving import export
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)


def main(task_name=None, argv=None, **defaults):
    """Runs a command line; ends the program with one line for input that is wrong.

    Args:
      task_name: default of `--task_name`.
      argv: arguments with the program's name first; default: `sys.argv`.
      **defaults: defaults of other flags.
    """
    compat.use_graph_mode()
    console.log_to_stderr()
    with exits.one_line_for(hooks.NonFiniteTrainingError):
        config = parse(argv or sys.argv, task_name, **defaults)
        if config is not None:
            run(config)


def parse(argv, task_name=None, **defaults):
    """Returns the `RunConfig` of a command line, or None after --help; see `main`.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    task_name = flags.read_task_name(argv) or task_name
    task_defaults = base.get_task_class(task_name).defaults if task_name else {}
    defaults = {"task_name": task_name, **task_defaults, **defaults}
    config = flags.parse(argv, defaults)
    trained_with = config and run_folder.read_description(config)
    if trained_with:
        # What a model was trained with comes before what its task usually has.
        for name in {"head", "objective", "num_dev_examples"} & set(trained_with):
            if defaults.get(name, trained_with[name]) != trained_with[name]:
                logger.warning(
                    "--%s=%s, with which the model in --output_dir was trained, comes "
                    "before %s, the default here",
                    name,
                    trained_with[name],
                    defaults[name],
                )
            defaults[name] = trained_with[name]
        config = flags.parse(argv, defaults)
    return config


def run(config):
    """Does the jobs of a `RunConfig`.

    Raises:
      InputError: if something that the user gave is wrong.
    """
    if config.deterministic:
        compat.make_deterministic()
    devices.limit_threads(config.intra_op_threads, config.inter_op_threads)
    checks.check_task(config, base.get_task_class(config.task_name))
    _check_case(config)
    if config.init_checkpoint:
        checkpoints.check_exists(config.init_checkpoint)
        if config.begins_anew:
            run_folder.check_overwrite(config)
    config = _with_added_words(config)
    task = load_task(config)
    run_devices = _set_up_devices(config)
    splits = _choose_splits(task, config)
    dev_settings = _dev_settings(task, config)
    files.make_folder(config.output_dir, "output_dir")
    records = {
        split: task.load_records(split, config.record_dir)
        for split in sorted(set(splits.values()))
    }
    # After the records, whose processes are to be started before there is a session.
    config = dataclasses.replace(
        config, precision=devices.choose_precision(config.precision, run_devices)
    )

    def start():
        if config.begins_anew:
            run_folder.clear(config.output_dir, task)
        run_folder.describe(task, config)

    if config.do_train:
        training.train(
            task,
            records[splits["do_train"]],
            config.select(train_plan.TrainSettings, devices=run_devices),
            _dev_evaluation(config, dev_settings, run_devices, splits, records),
            start,
        )
    else:
        start()
    _use(task, config, run_devices, splits, records)


def _set_up_devices(config):
    """Returns the `Devices` of a run, for which this process is set up."""
    chosen = choose_devices(config)
    if not chosen.has_gpus:
        devices.keep_freed_memory()
    return chosen


def choose_devices(config):
    """Returns the `Devices` of a `RunConfig`."""
    return devices.choose_devices(
        config.n_gpus,
        config.use_gpu,
        intra_op_threads=config.intra_op_threads,
        inter_op_threads=config.inter_op_threads,
    )


def _check_case(config):
    """Raises an `InputError` if a published model needs text of the other case."""
    if not config.vocab_file:
        return  # nothing is tokenized
    try:
        tokenization.validate_case_matches_checkpoint(
            config.do_lower_case, config.init_checkpoint
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _with_added_words(config):
    """Returns the config with the files of a model that knows `--vocab_add`."""
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
    is_resumed = not config.begins_anew and checkpoints.latest(config.output_dir)
    if is_resumed:
        run_folder.check_vocabulary(config.output_dir, added)
    files.make_folder(config.output_dir, "output_dir")
    written = added_words.write_model(
        os.path.join(config.output_dir, "with_added_words"),
        added,
        bert_config,
        # A run that is resumed has weights of its own.
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


def _choose_checkpoint(config):
    """Returns the checkpoint to evaluate, to predict with and to export.

    The best one, unless the last training was without `--keep_best`: then an older one
    made it, and what was trained since would be of no use.
    """
    best = checkpoints.best(config.output_dir)
    trained_with = run_folder.read_trained_with(config.output_dir)
    if best and trained_with.get("keep_best"):
        logger.info("The best weights of the run are used: %s", best)
        return best
    last = checkpoints.latest(config.output_dir) or config.init_checkpoint
    if last is None:
        raise InputError(
            f"--output_dir={config.output_dir}: there is no checkpoint; add "
            "--do_train=true or give --init_checkpoint"
        )
    if best or trained_with.get("keep_best"):
        why = "those in best/ are older" if best else "no weights were the best"
        logger.warning("The last weights are used, for %s: %s", why, last)
    return last


def _use(task, config, run_devices, splits, records):
    """Evaluates, predicts and exports, as far as asked for."""
    checkpoint = _choose_checkpoint(config)
    settings = forward.EvalSettings(
        checkpoint, run_devices, config.eval_batch_size, config.precision
    )
    if config.do_eval:
        split = splits["do_eval"]
        scores = evaluation.evaluate(
            task,
            _evaluated(records[split], config, settings),
            settings,
            config.output_dir,
        )
        run_folder.write_eval_results(scores, config.output_dir)
        _write_report(config.output_dir)
    if config.do_predict:
        split = splits["do_predict"]
        paths = evaluation.predict(
            task,
            records[split],
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


def _write_report(output_dir):
    """Writes the report; a run that diverged must not fail for its sake."""
    try:
        logger.info("Report: %s", report.write(output_dir))
    except InputError as error:
        logger.warning("There is no report: %s", error)


def _dev_settings(task, config):
    """Returns the checked `DevSettings`, or None without evaluation in training."""
    if not config.evaluates_in_training:
        return None
    settings = config.select(dev_evaluation.DevSettings)
    settings.metric_of(task)
    return settings


def _dev_evaluation(config, settings, run_devices, splits, records):
    """Returns what `training.train` needs to evaluate, or None."""
    if settings is None:
        return None
    eval_settings = forward.EvalSettings(
        None, run_devices, config.eval_batch_size, config.precision
    )
    found = _evaluated(records[splits["evaluates_in_training"]], config, eval_settings)
    return found, settings, eval_settings


def _evaluated(records, config, settings):
    """Returns the records that are evaluated, see `--max_eval_steps`."""
    num_rows = config.max_eval_steps * settings.global_batch_size
    if not 0 < num_rows < records.num_examples:
        return records
    logger.info(
        "--max_eval_steps=%d: %d of %d rows are evaluated",
        config.max_eval_steps,
        num_rows,
        records.num_examples,
    )
    return records._replace(num_examples=num_rows)


def load_task(config, bert_config=None):
    """Returns the `Task` of a `RunConfig`, after all checks that need no data.

    Args:
      config: `RunConfig`.
      bert_config: (optional) `modeling.BertConfig` instead of that of the file.

    Raises:
      InputError: if they do not fit each other, or the vocabulary.
    """
    bert_config = bert_config or pretrained.read_bert_config(config.bert_config_file)
    if config.max_seq_length > bert_config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={config.max_seq_length} is over max_position_embeddings="
            f"{bert_config.max_position_embeddings} in {config.bert_config_file}"
        )
    if config.recompute > bert_config.num_hidden_layers:
        raise InputError(
            f"--recompute={config.recompute}: {config.bert_config_file} has only "
            f"{bert_config.num_hidden_layers} layers"
        )
    return base.get_task_class(config.task_name).load(
        data_dir=config.data_dir,
        tokenizer=_read_tokenizer(config, bert_config),
        bert_config=bert_config,
        max_seq_length=config.max_seq_length,
        options=config.select(TaskOptions),
        saved=run_folder.read_description(config),
        do_train=config.do_train,
    )


def _choose_splits(task, config):
    """Returns a dict job -> split, for the jobs that read data."""
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
        found = [split for split in candidates if task.find_files(split)]
        if not found:
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
        splits[job] = found[0]
    return splits
