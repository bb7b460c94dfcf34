"""Reads the files that a run leaves in its `--output_dir`; any may be missing.

The predictions of the dev set may be millions of rows: all numbers are kept, but of the
texts only those of the `MAX_MISTAKES` worst rows.
"""

import array
import csv
import datetime
import functools
import heapq
import itertools
import math
import os
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from bert_my import metrics
from bert_my.common import text_files
from bert_my.common.errors import InputError
from bert_my.data.labels import NO_LABEL
from bert_my.engine import run_folder, run_history, state_files
from bert_my.text.postprocessor import PREDICTIONS, AnyLabels, Number, OneLabel, Tags

OF_EVALUATION = (run_folder.RESULTS, run_folder.DEV_PREDICTIONS)
FILES = (
    run_folder.SETTINGS,
    run_folder.TASK,
    run_folder.TRAINING,
    run_folder.EVALUATIONS,
    *OF_EVALUATION,
)
CLASSIFICATION, MULTILABEL = OneLabel.kind, AnyLabels.kind
REGRESSION, LABELING = Number.kind, Tags.kind
PRETRAINING = "pretraining"  # has no predictions
_POSTPROCESSORS = {each.kind: each for each in (OneLabel, AnyLabels, Number, Tags)}
KINDS = (*_POSTPROCESSORS, PRETRAINING)
MAX_MISTAKES = 20
# A softmax or sigmoid in float32 may leave the interval by its rounding.
TOLERANCE = 1e-6


class Task(NamedTuple):
    """The task of a run: `task.json`."""

    name: str
    kind: str  # one of `KINDS`
    labels: Tuple[str, ...]
    main_metric: Optional[str]


class Training(NamedTuple):
    """The steps of training, arrays `[num_steps]`, steps ascending and each once.

    Values that are not finite are NaN.
    """

    steps: np.ndarray
    losses: np.ndarray
    learning_rates: np.ndarray
    examples_per_second: np.ndarray  # NaN at steps without a line of progress


class Mistake(NamedTuple):
    """A row that was predicted wrongly.

    texts, target, predicted: strings; for labeling tuples of tokens and of their tags.
    probability: of the prediction, for regression the error; None for labeling.
    """

    guid: str
    texts: Tuple[str, ...]
    target: Any
    predicted: Any
    probability: Optional[float]


class Predictions(NamedTuple):
    """Labels and predictions of the dev set.

    targets, predicted: classification: int `[num_rows]`, ids of labels; multilabel:
      bool `[num_rows, num_labels]`; regression: float `[num_rows]`; labeling: a list of
      tags for each sentence.
    probabilities: float `[num_rows, num_labels]`, without columns for the other two.
    mistakes: the worst first.
    """

    targets: Any
    predicted: Any
    probabilities: np.ndarray
    mistakes: List[Mistake]


class Run(NamedTuple):
    """The files of a run; None or empty for one that is missing."""

    folder: str
    settings: Optional[Dict[str, Any]]
    task: Optional[Task]
    training: Training
    evaluations: List[dict]  # ordered by step, each step once
    results: Optional[Dict[str, Optional[float]]]
    predictions: Optional[Predictions]
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
    run = run_folder.RunFolder(folder)
    if not os.path.isdir(run.path):
        raise InputError(f"{run.path}: there is no such folder")
    found = [name for name in FILES if os.path.exists(run.path_of(name))]
    if not found:
        raise InputError(f"{run.path}: holds none of the files of a run: {FILES}")
    task, predictions, evaluated_at = _read_task(run), None, None
    if task and task.kind != PRETRAINING and run_folder.DEV_PREDICTIONS in found:
        predictions = _read_predictions(run.path_of(run_folder.DEV_PREDICTIONS), task)
    evaluated = [name for name in OF_EVALUATION if name in found]
    if evaluated:
        seconds = os.path.getmtime(run.path_of(evaluated[0]))
        evaluated_at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    results = run.read_results()
    state_files.check_numbers(results or {}, run.path_of(run_folder.RESULTS))
    steps = np.array(run_history.read_training(run) or (), float).reshape(-1, 4)
    steps[~np.isfinite(steps)] = np.nan
    return Run(
        folder=run.path,
        settings=run.read_settings(),
        task=task,
        training=Training(*steps.T),
        evaluations=_read_evaluations(run),
        results=results,
        predictions=predictions,
        evaluated_at=evaluated_at,
    )


def _read_task(run):
    value = run.read_task()
    if value is None:
        return None
    path = run.path_of(run_folder.TASK)
    kind, labels = value.get("kind"), value.get("labels", [])
    if kind not in KINDS:
        raise InputError(f"{path}: kind is {kind!r}, not one of {', '.join(KINDS)}")
    if not isinstance(labels, list) or not all(
        isinstance(each, str) for each in labels
    ):
        raise InputError(f"{path}: labels is not a list of strings")
    has_labels = kind in (CLASSIFICATION, MULTILABEL)
    if has_labels and not len(set(labels)) == len(labels) > 0:
        raise InputError(f"{path}: labels are missing or not distinct: {labels}")
    return Task(str(value.get("task")), kind, tuple(labels), value.get("main_metric"))


def _read_evaluations(run):
    by_step = {values["step"]: values for values in run_history.read_evaluations(run)}
    return [by_step[step] for step in sorted(by_step)]


def _read_predictions(path, task):
    """Returns the `Predictions` in the file of a task other than pretraining.

    Raises:
      InputError: naming file and line, if the file does not fit that kind of task.
    """
    # A carriage return in a text would end the row, and Python 3.7 refuses NUL. The
    # page shows both as a space anyway.
    texts = (
        line.replace("\r", " ").replace("\0", " ") + "\n"
        for _, line in text_files.read_lines(path)
    )
    lines = csv.reader(texts, delimiter="\t", strict=True)
    targets, predicted, probabilities = [], [], array.array("d")
    try:
        rows = _rows(lines, task)
        if task.kind == LABELING:
            mistakes = _wrong_sentences(rows, task, targets, predicted)
        else:
            mistakes = _wrong_rows(rows, task, targets, predicted, probabilities)
        worst = heapq.nlargest(MAX_MISTAKES, mistakes, key=lambda pair: pair[0])
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}:{lines.line_num}: {error}") from error
    if not targets:
        raise InputError(f"{path}: no rows below the header")
    if task.kind != LABELING:
        targets, predicted = np.array(targets), np.array(predicted)
    probabilities = np.reshape(probabilities, (len(targets), -1))
    return Predictions(targets, predicted, probabilities, [each for _, each in worst])


def _rows(lines, task):
    """Yields the cells of each line, of which the first is the header.

    Yields:
      (index, guid, tuple of texts, list of the label and the predictions).

    Raises:
      ValueError: if the columns or the cells of a line are not the expected ones.
    """
    outputs = _POSTPROCESSORS[task.kind](task.labels)
    expected = [
        outputs.writers(has_pair)[PREDICTIONS].header for has_pair in (False, True)
    ]
    header = next(lines, [])
    if header not in expected:
        raise ValueError(
            f"the columns are {header}, but a run with this task.json has "
            f"{expected[-1]}"
        )
    end = header.index("label")  # of the texts
    for cells in lines:
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} cells, but the header {len(header)}")
        yield cells[0], cells[1], tuple(cells[2:end]), cells[end:]


def _wrong_rows(rows, task, targets, predicted, probabilities):
    """Yields (badness, `Mistake`) of wrong examples; adds all rows to the lists."""
    parse = _parser(task)
    for _, guid, texts, (true_cell, cell, *rest) in rows:
        target, found = parse(true_cell), parse(cell)
        values = list(map(_probability, rest))
        targets.append(target)
        predicted.append(found)
        probabilities.extend(values)
        if target == found:
            continue
        if task.kind == CLASSIFICATION:
            value = values[found]
        elif task.kind == REGRESSION:
            value = found - target
        else:  # the highest probability of a wrong decision
            decisions = zip(values, target, found)
            value = max(abs(v - true) for v, true, given in decisions if true != given)
        yield abs(value), Mistake(guid, texts, true_cell, cell, value)


def _parser(task):
    """Returns the function from a cell to its id, number, or list of a bool by label.

    It raises a ValueError for a cell that is none.
    """
    ids = {label: index for index, label in enumerate(task.labels)}

    def to_id(label):
        if label not in ids:
            raise ValueError(f"label {label!r} is not one of task.json: {list(ids)}")
        return ids[label]

    @functools.lru_cache(maxsize=None)  # one list for all rows with the same labels
    def to_flags(cell):
        is_empty = not cell or (cell == NO_LABEL and cell not in ids)
        chosen = set() if is_empty else set(map(to_id, cell.split(",")))
        return [index in chosen for index in range(len(ids))]

    return {CLASSIFICATION: to_id, MULTILABEL: to_flags, REGRESSION: _number}[task.kind]


def _number(cell):
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(f"{cell} is not a finite number")
    return number


def _probability(cell):
    number = _number(cell)
    if not -TOLERANCE <= number <= 1 + TOLERANCE:
        raise ValueError(f"probability {cell} is not between 0 and 1")
    return min(max(number, 0.0), 1.0)


def _wrong_sentences(rows, task, targets, predicted):
    """Yields (badness, `Mistake`) of wrong sentences, of which each row is a token.

    Adds the tags of all sentences to the lists.
    """
    spans_of = metrics.span_finder(task.labels)
    for _, sentence in itertools.groupby(rows, lambda row: row[0]):
        tokens, target, found = [], [], []
        for _, guid_of_token, (token,), tags in sentence:
            if not all(tags):
                raise ValueError("a token has no tag")
            guid = guid_of_token
            tokens.append(token)
            # Each tag is kept once, however many tokens have it.
            for side, tag in zip((target, found), map(sys.intern, tags)):
                side.append(tag)
        targets.append(target)
        predicted.append(found)
        if target != found:
            wrong = set(spans_of(target)).symmetric_difference(spans_of(found))
            if wrong:
                yield (
                    len(wrong),
                    Mistake(guid, *map(tuple, (tokens, target, found)), None),
                )
