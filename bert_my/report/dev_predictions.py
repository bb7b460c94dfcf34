"""Reads `dev_predictions.tsv`: labels and predictions of every row, texts of a few.

A reader for each kind of task takes the rows one by one; of the texts it holds only
those of the `MAX_MISTAKES` worst rows, so a file may have millions of rows.
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
NO_LABEL = "-"  # data sets have it for rows without any label
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
    """What was predicted for the dev set.

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


class _Worst:
    """Keeps the items with the largest keys; of equal ones those that came first."""

    def __init__(self):
        self._heap = []
        self._counter = itertools.count(0, -1)

    def add(self, key, make_item):
        """Adds what `make_item()` returns, which is only called where it is kept."""
        order = (key, next(self._counter))
        if len(self._heap) < MAX_MISTAKES:
            heapq.heappush(self._heap, (order, make_item()))
        elif order > self._heap[0][0]:
            heapq.heapreplace(self._heap, (order, make_item()))

    def items(self):
        return [item for _, item in sorted(self._heap, key=lambda each: each[0])[::-1]]


class _Classification:
    """Rows with one of several labels."""

    text_columns = (["text_a"], ["text_a", "text_b"])

    def __init__(self, labels):
        self.labels = labels
        self.columns = ["label", "predicted_label"]
        self.columns += [f"probability_{label}" for label in labels]
        self._ids = {label: index for index, label in enumerate(labels)}
        self._targets, self._predicted = array.array("q"), array.array("q")
        self._probabilities = array.array("d")
        self._worst = _Worst()

    def _id(self, label):
        if label not in self._ids:
            raise ValueError(f"label {label!r} is not one of task.json: {self.labels}")
        return self._ids[label]

    def add(self, index, guid, texts, cells):
        """Takes a row; raises a `ValueError` that says what is wrong with it."""
        target, predicted = self._id(cells[0]), self._id(cells[1])
        probabilities = self._store([target], [predicted], cells[2:])
        if target != predicted:
            confidence = probabilities[predicted]
            self._worst.add(
                confidence,
                lambda: Mistake(guid, texts, cells[0], cells[1], confidence),
            )

    def _store(self, targets, predicted, cells):
        """Keeps the numbers of a row; returns its probabilities."""
        probabilities = [_probability(cell) for cell in cells]
        self._targets.extend(targets)
        self._predicted.extend(predicted)
        self._probabilities.extend(probabilities)
        return probabilities

    def _as_array(self, values):
        return np.array(values, int)

    def result(self):
        """Returns the `Predictions`."""
        targets, predicted = map(self._as_array, (self._targets, self._predicted))
        probabilities = np.array(self._probabilities).reshape(-1, len(self.labels))
        mistakes, num_rows = self._worst.items(), len(probabilities)
        return Predictions(targets, predicted, probabilities, mistakes, num_rows)


class _Multilabel(_Classification):
    """Rows with any number of labels, joined with commas."""

    def _flags(self, cell):
        """Returns a list of 0 and 1, one for each label."""
        flags = [0] * len(self.labels)
        if cell == NO_LABEL and cell not in self._ids:
            cell = ""
        for label in cell.split(",") if cell else ():
            flags[self._id(label)] = 1
        return flags

    def add(self, index, guid, texts, cells):
        targets, predicted = self._flags(cells[0]), self._flags(cells[1])
        probabilities = self._store(targets, predicted, cells[2:])
        if targets != predicted:
            # How sure the model was of the label on which it was most wrong.
            confidence = max(
                p if is_predicted else 1 - p
                for p, target, is_predicted in zip(probabilities, targets, predicted)
                if target != is_predicted
            )
            self._worst.add(
                confidence,
                lambda: Mistake(guid, texts, cells[0], cells[1], confidence),
            )

    def _as_array(self, values):
        return np.array(values, bool).reshape(-1, len(self.labels))


class _Regression:
    """Rows with a number."""

    text_columns = _Classification.text_columns
    columns = ("label", "prediction")

    def __init__(self, labels):
        self._targets, self._predicted = array.array("d"), array.array("d")
        self._worst = _Worst()

    def add(self, index, guid, texts, cells):
        target, predicted = map(_number, cells)
        self._targets.append(target)
        self._predicted.append(predicted)
        error = predicted - target
        if error:
            self._worst.add(
                abs(error), lambda: Mistake(guid, texts, cells[0], cells[1], error)
            )

    def result(self):
        targets = np.array(self._targets)
        predicted = np.array(self._predicted)
        return Predictions(
            targets, predicted, None, self._worst.items(), len(self._targets)
        )


class _Labeling:
    """Sentences with a tag for each token, a line for each token."""

    text_columns = (["token"],)
    columns = ("label", "predicted_label")

    def __init__(self, labels):
        self._spans_of = metrics.span_finder(labels)
        self._targets, self._predicted = [], []
        self._worst = _Worst()
        self._tags = {}  # each tag once, however many tokens have it
        self._index = self._guid = None
        self._tokens = []

    def add(self, index, guid, texts, cells):
        if index != self._index:
            self._end_sentence()
            self._index, self._guid = index, guid
            self._targets.append([])
            self._predicted.append([])
        self._tokens.append(texts[0])
        for tags, cell in zip((self._targets[-1], self._predicted[-1]), cells):
            if not cell:
                raise ValueError("a token has no tag")
            tags.append(self._tags.setdefault(cell, cell))

    def _end_sentence(self):
        if not self._tokens:
            return
        target, predicted = tuple(self._targets[-1]), tuple(self._predicted[-1])
        num_wrong = 0
        if target != predicted:
            true_spans, found = set(self._spans_of(target)), self._spans_of(predicted)
            num_wrong = len(true_spans.symmetric_difference(found))
        if num_wrong:
            guid, tokens = self._guid, tuple(self._tokens)
            self._worst.add(
                num_wrong, lambda: Mistake(guid, tokens, target, predicted, None)
            )
        self._tokens = []

    def result(self):
        self._end_sentence()
        return Predictions(
            self._targets,
            self._predicted,
            None,
            self._worst.items(),
            len(self._targets),
        )


# A kind of task whose rows have no predictions of their own.
PRETRAINING = "pretraining"
KINDS = {
    CLASSIFICATION: _Classification,
    MULTILABEL: _Multilabel,
    REGRESSION: _Regression,
    LABELING: _Labeling,
}


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

    A carriage return in a text would end the row, and Python 3.7 takes no NUL; both are
    shown as a space anyway.
    """
    for number, line in files.read_lines(path):
        last_line[0] = number
        yield line.replace("\r", " ").replace("\0", " ") + "\n"


def read(path, kind, labels):
    """Reads the file of a run.

    Args:
      path: file.
      kind: key of `KINDS`.
      labels: names of the labels in the order of their ids; empty without.

    Returns:
      `Predictions`.

    Raises:
      InputError: naming file and line, if the file is not as that kind of task has it.
    """
    reader = KINDS[kind](labels)
    last_line = [0]
    rows = csv.reader(_lines(path, last_line), delimiter="\t", strict=True)
    try:
        header = next(rows, [])
        num_texts = _num_texts(header, reader)
        for cells in rows:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells, but the header {len(header)}")
            texts = tuple(cells[2 : 2 + num_texts])
            reader.add(cells[0], cells[1], texts, cells[2 + num_texts :])
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}:{last_line[0]}: {error}") from error
    result = reader.result()
    if not result.num_rows:
        raise InputError(f"{path}: no rows below the header")
    return result


def _num_texts(header, reader):
    """Returns how many columns of texts there are; raises a `ValueError` if wrong."""
    expected = [
        ["index", "guid", *texts, *reader.columns] for texts in reader.text_columns
    ]
    for texts, columns in zip(reader.text_columns, expected):
        if header == columns:
            return len(texts)
    raise ValueError(
        f"the columns are {header}, but a run with this task.json has {expected[-1]}"
    )
