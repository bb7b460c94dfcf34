"""Reads the files that a run leaves in its `--output_dir`; any may be missing.

The predictions of the dev set may be millions of rows: all numbers are kept, but of the
texts only those of the `MAX_MISTAKES` worst rows.
"""

import array
import csv
import datetime
import heapq
import itertools
import math
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from bert_my import metrics
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data.labels import NO_LABEL
from bert_my.engine import run_folder
from bert_my.text import postprocessor

FILES = (
    run_folder.SETTINGS,
    run_folder.TASK,
    run_folder.RESULTS,
    run_folder.TRAINING,
    run_folder.EVALUATIONS,
    run_folder.DEV_PREDICTIONS,
)
CLASSIFICATION, MULTILABEL = postprocessor.OneLabel.kind, postprocessor.AnyLabels.kind
REGRESSION, LABELING = postprocessor.Number.kind, postprocessor.Tags.kind
PRETRAINING = "pretraining"  # has no predictions
KINDS = (CLASSIFICATION, MULTILABEL, REGRESSION, LABELING, PRETRAINING)
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
    probabilities: float `[num_rows, num_labels]`, or None for the other two.
    mistakes: the worst first.
    """

    targets: Any
    predicted: Any
    probabilities: Optional[np.ndarray]
    mistakes: List[Mistake]

    @property
    def num_rows(self):
        """Number of examples or sentences."""
        return len(self.targets)


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
    paths = {name: run.path_of(name) for name in FILES}
    paths = {name: path for name, path in paths.items() if os.path.exists(path)}
    if not paths:
        raise InputError(f"{run.path}: holds none of the files of a run: {FILES}")
    task, predictions = _read_task(run), None
    if task and run_folder.DEV_PREDICTIONS in paths:
        predictions = _read_predictions(paths[run_folder.DEV_PREDICTIONS], task)
    evaluated = paths.get(run_folder.RESULTS) or paths.get(run_folder.DEV_PREDICTIONS)
    utc = datetime.timezone.utc
    results = run.read_results()
    _check_metrics(results or {}, run.path_of(run_folder.RESULTS))
    steps = np.array(run.read_training() or (), float).reshape(-1, 4)
    steps[~np.isfinite(steps)] = np.nan
    return Run(
        folder=run.path,
        settings=run.read_settings(),
        task=task,
        training=Training(*steps.T),
        evaluations=_read_evaluations(run),
        results=results,
        predictions=predictions,
        evaluated_at=evaluated
        and datetime.datetime.fromtimestamp(os.path.getmtime(evaluated), utc),
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


def _check_metrics(values, where):
    """Raises an `InputError` if a value is neither a number nor null."""
    for name, value in values.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not is_number:
            raise InputError(f"{where}: {name} is {value!r}, not a number or null")


def _read_evaluations(run):
    by_step = {}
    for number, values in enumerate(run.read_evaluations(), 1):
        where = f"{run.path_of(run_folder.EVALUATIONS)}:{number}"
        _check_metrics(values, where)
        if not isinstance(values.get("step"), int):
            raise InputError(f"{where}: there is no step")
        by_step[values["step"]] = values
    return [by_step[step] for step in sorted(by_step)]


def _worst(mistakes):
    """Returns the worst of an iterable of (badness, `Mistake`), the worst first."""
    worst = heapq.nlargest(MAX_MISTAKES, mistakes, key=lambda pair: pair[0])
    return [mistake for _, mistake in worst]


def _examples(rows, labels, kind):
    """Returns the `Predictions` of rows that are examples, not tokens."""
    parse, to_probability, typecode = _EXAMPLES[kind]
    ids = {label: index for index, label in enumerate(labels)}
    targets, predicted = array.array(typecode), array.array(typecode)
    probabilities = array.array("d")

    def mistakes():
        for _, guid, texts, (true_cell, cell, *rest) in rows:
            target, found = parse(true_cell, ids), parse(cell, ids)
            values = list(map(_probability, rest))
            targets.extend(target)
            predicted.extend(found)
            probabilities.extend(values)
            if target != found:
                value = to_probability(target, found, values)
                yield abs(value), Mistake(guid, texts, true_cell, cell, value)

    worst = _worst(mistakes())
    targets, predicted = np.array(targets), np.array(predicted)
    if kind == REGRESSION:
        return Predictions(targets, predicted, None, worst)
    shape = (-1, len(labels))
    if kind == MULTILABEL:
        targets = targets.reshape(shape).astype(bool)
        predicted = predicted.reshape(shape).astype(bool)
    return Predictions(targets, predicted, np.reshape(probabilities, shape), worst)


def _to_id(cell, ids):
    return [_id(cell, ids)]


def _to_multi_hot(cell, ids):
    if cell == NO_LABEL and cell not in ids:
        cell = ""
    chosen = {_id(label, ids) for label in cell.split(",") if cell}
    return [int(index in chosen) for index in range(len(ids))]


def _to_number(cell, ids):
    return [_number(cell)]


def _of_decision(target, found, values):
    """Returns the highest probability of a wrong decision."""
    return max(
        value if is_found else 1 - value
        for value, is_target, is_found in zip(values, target, found)
        if is_target != is_found
    )


# Kind of task -> function from a cell and the ids of labels to numbers, function from
# the numbers and probabilities of a wrong row to `Mistake.probability`, type of array.
_EXAMPLES = {
    CLASSIFICATION: (_to_id, lambda target, found, values: values[found[0]], "q"),
    MULTILABEL: (_to_multi_hot, _of_decision, "b"),
    REGRESSION: (_to_number, lambda target, found, values: found[0] - target[0], "d"),
}


def _labeling(rows, labels):
    """Returns the `Predictions` of sentences, of which each row is a token."""
    spans_of = metrics.span_finder(labels)
    targets, predicted = [], []
    known = {}  # each tag once, however many tokens have it

    def mistakes():
        for _, sentence in itertools.groupby(rows, lambda row: row[0]):
            tokens, target, found, guid = [], [], [], ""
            for _, guid_of_token, texts, cells in sentence:
                if not all(cells):
                    raise ValueError("a token has no tag")
                guid = guid or guid_of_token
                tokens += texts
                for tags, cell in zip((target, found), cells):
                    tags.append(known.setdefault(cell, cell))
            targets.append(target)
            predicted.append(found)
            if target != found:
                wrong = set(spans_of(target)).symmetric_difference(spans_of(found))
                if wrong:
                    sides = map(tuple, (tokens, target, found))
                    yield len(wrong), Mistake(guid, *sides, None)

    worst = _worst(mistakes())
    return Predictions(targets, predicted, None, worst)


def _id(label, ids):
    if label not in ids:
        raise ValueError(f"label {label!r} is not one of task.json: {list(ids)}")
    return ids[label]


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


def _read_predictions(path, task):
    """Returns the `Predictions` in the file of a task other than pretraining.

    Raises:
      InputError: naming file and line, if the file does not fit that kind of task.
    """
    # A carriage return in a text would end the row, and Python 3.7 refuses NUL. The
    # page shows both as a space anyway.
    texts = (
        line.replace("\r", " ").replace("\0", " ") + "\n"
        for _, line in files.read_lines(path)
    )
    lines = csv.reader(texts, delimiter="\t", strict=True)
    try:
        rows = _rows(lines, task.kind, task.labels)
        if task.kind == LABELING:
            predictions = _labeling(rows, task.labels)
        else:
            predictions = _examples(rows, task.labels, task.kind)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}:{lines.line_num}: {error}") from error
    if not predictions.num_rows:
        raise InputError(f"{path}: no rows below the header")
    return predictions


def _rows(lines, kind, labels):
    """Yields the cells of each line, of which the first is the header.

    Yields:
      (index, guid, tuple of texts, list of the label and the predictions).

    Raises:
      ValueError: if the columns or the cells of a line are not the expected ones.
    """
    header = next(lines, [])
    texts = [["text_a"], ["text_a", "text_b"]]
    found = ["label", "predicted_label"]
    if kind == REGRESSION:
        found = ["label", "prediction"]
    elif kind == LABELING:
        texts = [["token"]]
    else:
        found += [f"probability_{label}" for label in labels]
    expected = [["index", "guid", *each, *found] for each in texts]
    if header not in expected:
        raise ValueError(
            f"the columns are {header}, but a run with this task.json has "
            f"{expected[-1]}"
        )
    end = len(header) - len(found)  # of the texts
    for cells in lines:
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} cells, but the header {len(header)}")
        yield cells[0], cells[1], tuple(cells[2:end]), cells[end:]
