"""Reads the files that a run leaves in its `--output_dir`; any may be missing."""

import csv
import datetime
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.report import dev_predictions

FILES = (
    run_folder.SETTINGS,
    run_folder.TASK,
    run_folder.RESULTS,
    run_folder.TRAINING,
    run_folder.EVALUATIONS,
    run_folder.DEV_PREDICTIONS,
)


class Task(NamedTuple):
    """The task of a run: `task.json`."""

    name: str
    kind: str  # one of `dev_predictions.KINDS`, or `PRETRAINING`
    labels: Tuple[str, ...]
    main_metric: Optional[str]


class Training(NamedTuple):
    """The steps of training, arrays `[num_steps]`, steps ascending and each once."""

    steps: np.ndarray
    losses: np.ndarray
    learning_rates: np.ndarray
    examples_per_second: np.ndarray  # NaN at steps without a line of progress


class Run(NamedTuple):
    """The files of a run; None for one that is missing."""

    folder: str
    settings: Optional[Dict[str, Any]]
    task: Optional[Task]
    training: Optional[Training]
    evaluations: Optional[List[dict]]  # ordered by step, each step once
    results: Optional[Dict[str, Optional[float]]]
    predictions: Optional[dev_predictions.Predictions]
    evaluated_at: Optional[datetime.datetime]  # UTC

    @property
    def main_metric(self):
        """Name of the task's main metric; None without a task."""
        return self.task and self.task.main_metric


def read(folder):
    """Reads a run.

    Args:
      folder: its `--output_dir`.

    Returns:
      `Run`.

    Raises:
      InputError: if there is no such folder, if it holds none of the files, or if one
        of them is broken; the message names it.
    """
    folder = str(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder")
    paths = {name: os.path.join(folder, name) for name in FILES}
    paths = {name: path for name, path in paths.items() if os.path.exists(path)}
    if not paths:
        raise InputError(f"{folder}: holds none of the files of a run: {FILES}")

    def read_with(reader, name):
        return reader(paths[name]) if name in paths else None

    task = read_with(_read_task, run_folder.TASK)
    predictions = None
    if task and run_folder.DEV_PREDICTIONS in paths:
        predictions = dev_predictions.read(
            paths[run_folder.DEV_PREDICTIONS], task.kind, task.labels
        )
    evaluated = paths.get(run_folder.RESULTS) or paths.get(run_folder.DEV_PREDICTIONS)
    return Run(
        folder=folder,
        settings=read_with(_read_object, run_folder.SETTINGS),
        task=task,
        training=read_with(_read_training, run_folder.TRAINING),
        evaluations=read_with(_read_evaluations, run_folder.EVALUATIONS),
        results=read_with(_read_results, run_folder.RESULTS),
        predictions=predictions,
        evaluated_at=evaluated and _changed_at(evaluated),
    )


def _changed_at(path):
    return datetime.datetime.fromtimestamp(
        os.path.getmtime(path), datetime.timezone.utc
    )


def _parse_object(text, where):
    """Returns a JSON object as a dict."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object")
    return value


def _read_object(path):
    return _parse_object("\n".join(line for _, line in files.read_lines(path)), path)


def _read_task(path):
    value = _read_object(path)
    kind, labels = value.get("kind"), value.get("labels", [])
    kinds = (*dev_predictions.KINDS, dev_predictions.PRETRAINING)
    if kind not in kinds:
        raise InputError(f"{path}: kind is {kind!r}, not one of {', '.join(kinds)}")
    if not isinstance(labels, list) or not all(
        isinstance(each, str) for each in labels
    ):
        raise InputError(f"{path}: labels is not a list of strings")
    has_labels = kind in (dev_predictions.CLASSIFICATION, dev_predictions.MULTILABEL)
    if has_labels and not len(set(labels)) == len(labels) > 0:
        raise InputError(f"{path}: labels are missing or not distinct: {labels}")
    return Task(str(value.get("task")), kind, tuple(labels), value.get("main_metric"))


def _check_metrics(values, where):
    """Raises an `InputError` if a value is neither a number nor null."""
    for name, value in values.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not is_number:
            raise InputError(f"{where}: {name} is {value!r}, not a number or null")


def _read_results(path):
    values = _read_object(path)
    _check_metrics(values, path)
    return values


def _read_evaluations(path):
    """Returns the evaluations; a line that was cut off at the end is left out."""
    by_step = {}
    lines = list(files.read_lines(path))
    for number, line in lines:
        where = f"{path}:{number}"
        try:
            values = _parse_object(line, where)
        except InputError:
            if number == len(lines) and not _ends_with_newline(path):
                break
            raise
        _check_metrics(values, where)
        if not isinstance(values.get("step"), int):
            raise InputError(f"{where}: there is no step")
        by_step[values["step"]] = values
    return [by_step[step] for step in sorted(by_step)]


def _ends_with_newline(path):
    with open(path, "rb") as reader:
        return reader.read().endswith(b"\n")


def _read_training(path):
    """Returns `Training`.

    A line without its end is left out: the run was killed, or is writing. Of a step
    that stands twice, after a resume, the later line counts.
    """
    by_step = {}
    lines = list(files.read_lines(path))
    if lines and not _ends_with_newline(path):
        lines.pop()
    if lines and lines[0][1].split(",") != run_folder.TRAINING_HEADER:
        raise InputError(f"{path}:1: the columns are not {run_folder.TRAINING_HEADER}")
    for (number, _), cells in zip(lines[1:], csv.reader(line for _, line in lines[1:])):
        try:
            step, *values = cells
            loss, learning_rate, speed = (float(each or "nan") for each in values)
            by_step[int(step)] = (loss, learning_rate, speed)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {','.join(cells)}: {error}") from error
    steps = sorted(by_step)
    table = np.array([by_step[step] for step in steps], float).reshape(-1, 3)
    table[~np.isfinite(table)] = np.nan
    return Training(np.array(steps, int), *table.T)
