"""The output folder of a run: what is written there besides the model."""

import dataclasses
import glob
import json
import logging
import os
import shutil

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import run_names
from bert_my.engine import history
from bert_my.model import checkpoints

logger = logging.getLogger(__name__)

# What a training run writes, for `clear`.
_OF_A_RUN = (
    "checkpoint",
    "model.ckpt-*",
    "graph.pbtxt",
    "events.out.tfevents.*",
    checkpoints.BEST,
    run_names.TRAINING,
    run_names.EVALUATIONS,
    run_names.TASK,
    run_names.RESULTS,
    run_names.RESULTS_AS_TEXT,
    run_names.DEV_PREDICTIONS,
    run_names.REPORT,
)


def check_overwrite(config):
    """Raises an `InputError` if a run would delete what it is to start from."""
    checkpoint = os.path.realpath(f"{config.init_checkpoint}.index")
    for path in map(os.path.realpath, _paths_of_a_run(config.output_dir)):
        if os.path.commonpath([path, checkpoint]) == path:
            raise InputError(
                f"--overwrite_output_dir: --init_checkpoint={config.init_checkpoint} "
                "is part of the run that would be deleted"
            )


def _paths_of_a_run(output_dir, names=()):
    folder = glob.escape(output_dir)
    patterns = [os.path.join(folder, name) for name in (*_OF_A_RUN, *names)]
    return [path for pattern in patterns for path in glob.glob(pattern)]


def clear(output_dir, task):
    """Deletes a run from its folder; exported models and other files stay.

    Args:
      output_dir: folder.
      task: `Task`, for the names of its prediction files.
    """
    paths = _paths_of_a_run(output_dir, task.writers)
    for path in paths:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
    if paths:
        logger.warning("%s: the run in it was deleted", output_dir)


def read_description(config):
    """Returns what the run in the output folder wrote of its task, or None.

    Raises:
      InputError: if its model was trained on text of another case.
    """
    path = os.path.join(config.output_dir, run_names.TASK)
    if config.begins_anew or not os.path.exists(path):
        return None
    # Only a trained model binds what comes after it.
    if checkpoints.latest(config.output_dir) is None:
        return None
    case = read_trained_with(config.output_dir).get("do_lower_case")
    if case not in (None, config.do_lower_case):
        raise InputError(
            f"--do_lower_case={config.do_lower_case}: the model in --output_dir was "
            f"trained with --do_lower_case={case}"
        )
    with open(path, encoding="utf-8") as reader:
        saved = json.load(reader)
    return saved if saved["task"] == config.task_name.lower() else None


def check_vocabulary(output_dir, added):
    """Raises an `InputError` if the run in a folder has other words.

    Args:
      output_dir: folder.
      added: `vocabulary.AddedWords`.
    """
    path = os.path.join(output_dir, run_names.VOCAB)
    if os.path.exists(path) and not added.is_in(path):
        raise InputError(
            f"--vocab_add: the run in --output_dir has the vocabulary {path}, and it "
            "would be another one now; to go on with other words choose another folder "
            "and give the run's model as --init_checkpoint"
        )


def read_trained_with(output_dir):
    """Returns the settings of the last training in a folder, as a dict."""
    path = os.path.join(output_dir, run_names.SETTINGS)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as reader:
        return json.load(reader)


def describe(task, config):
    """Writes what is needed to use or repeat the run.

    The settings of a training are kept when its model is used later.
    """

    def path(name):
        return os.path.join(config.output_dir, name)

    with files.replacing(path("bert_config.json")) as writer:
        writer.write(task.bert_config.to_json_string())
    if config.vocab_file:
        files.copy(config.vocab_file, path(run_names.VOCAB))
    files.write_json(path(run_names.LABEL_MAP), task.label_map)
    if task.preprocessor:
        task.preprocessor.save(config.output_dir)
    files.write_json(path(run_names.TASK), task.description)
    if config.do_train or not os.path.exists(path(run_names.SETTINGS)):
        files.write_json(path(run_names.SETTINGS), dataclasses.asdict(config))


def write_eval_results(scores, output_dir):
    """Writes metrics as upstream does, and as JSON."""
    lines = [f"{name} = {scores[name]}" for name in sorted(scores)]
    with files.replacing(os.path.join(output_dir, run_names.RESULTS_AS_TEXT)) as writer:
        writer.writelines(line + "\n" for line in lines)
    json_path = os.path.join(output_dir, run_names.RESULTS)
    files.write_json(json_path, history.finite(scores))
    logger.info("Evaluation (%s):\n  %s", json_path, "\n  ".join(lines))
