"""Reads `dev_predictions.tsv`: labels and predictions of every row, texts of a few.

A file may have millions of rows: all numbers are kept, but of the texts only those of
the `MAX_MISTAKES` worst rows.
"""

import array
import csv
import heapq
import itertools
import math
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from bert_my import metrics
from bert_my.common import files
from bert_my.common.errors import InputError

CLASSIFICATION, MULTILABEL = "classification", "multilabel"
REGRESSION, LABELING = "regression", "labeling"
PRETRAINING = "pretraining"  # has no predictions
NO_LABEL = "-"  # cell of rows without any label in some data sets
MAX_MISTAKES = 20
# A softmax or sigmoid in float32 may leave the interval by its rounding.
TOLERANCE = 1e-6


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
    num_rows: rows of the data set: examples or sentences.
    """

    targets: Any
    predicted: Any
    probabilities: Optional[np.ndarray]
    mistakes: List[Mistake]
    num_rows: int


class _Row(NamedTuple):
    """A line of the file."""

    index: str
    guid: str
    texts: Tuple[str, ...]
    cells: List[str]  # of the label and the predictions


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
        for row in rows:
            target, found = (parse(cell, ids) for cell in row.cells[:2])
            values = [_probability(cell) for cell in row.cells[2:]]
            targets.extend(target)
            predicted.extend(found)
            probabilities.extend(values)
            if target != found:
                value = to_probability(target, found, values)
                yield abs(value), Mistake(row.guid, row.texts, *row.cells[:2], value)

    worst = _worst(mistakes())
    targets, predicted = np.array(targets), np.array(predicted)
    if kind == MULTILABEL:
        shape = (-1, len(labels))
        targets = targets.reshape(shape).astype(bool)
        predicted = predicted.reshape(shape).astype(bool)
    shaped = None
    if kind != REGRESSION:
        shaped = np.array(probabilities).reshape(-1, len(labels))
    return Predictions(targets, predicted, shaped, worst, len(targets))


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
        for _, sentence in itertools.groupby(rows, lambda row: row.index):
            tokens, target, found, guid = [], [], [], ""
            for row in sentence:
                if not all(row.cells):
                    raise ValueError("a token has no tag")
                guid = guid or row.guid
                tokens += row.texts
                for tags, cell in zip((target, found), row.cells):
                    tags.append(known.setdefault(cell, cell))
            targets.append(target)
            predicted.append(found)
            if target != found:
                wrong = set(spans_of(target)).symmetric_difference(spans_of(found))
                if wrong:
                    sides = map(tuple, (tokens, target, found))
                    yield len(wrong), Mistake(guid, *sides, None)

    worst = _worst(mistakes())
    return Predictions(targets, predicted, None, worst, len(targets))


KINDS = (CLASSIFICATION, MULTILABEL, REGRESSION, LABELING)


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


def _lines(path, last_line):
    """Yields the lines for `csv.reader`, and puts the number of each in `last_line`.

    A carriage return in a text would end the row, and Python 3.7 refuses NUL; the page
    shows both as a space anyway.
    """
    for number, line in files.read_lines(path):
        last_line[0] = number
        yield line.replace("\r", " ").replace("\0", " ") + "\n"


def read(path, kind, labels):
    """Reads the file of a run.

    Args:
      path: file.
      kind: one of `KINDS`.
      labels: names of the labels in the order of their ids; empty without.

    Returns:
      `Predictions`.

    Raises:
      InputError: naming file and line, if the file does not fit that kind of task.
    """
    last_line = [0]
    lines = csv.reader(_lines(path, last_line), delimiter="\t", strict=True)
    try:
        rows = _rows(lines, kind, labels)
        if kind == LABELING:
            predictions = _labeling(rows, labels)
        else:
            predictions = _examples(rows, labels, kind)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}:{last_line[0]}: {error}") from error
    if not predictions.num_rows:
        raise InputError(f"{path}: no rows below the header")
    return predictions


def _rows(lines, kind, labels):
    """Yields the `_Row`s of the cells of each line, of which the first is the header.

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
        yield _Row(cells[0], cells[1], tuple(cells[2:end]), cells[end:])
