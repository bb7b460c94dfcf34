"""Postprocessors: outputs of the model in, results by name out.

A postprocessor turns an example with the outputs of all its rows into a result: a dict
with label names and probabilities, a number, or tokens and tags. Prediction files,
scores, the predictor and services are fed with results. It is saved with an exported
model, as `postprocessor.json`.
"""

import itertools
import os

from bert_my.common import files
from bert_my.text.writers import Lines, Tsv

SETTINGS = "postprocessor.json"
PREDICTIONS = "predictions.tsv"
LINES = "predict.txt"
UPSTREAM = "test_results.tsv"


class Postprocessor:
    """Base of the postprocessors.

    kind: name of the family of tasks, in files.
    outputs: names of the model's predictions that a result is made of.
    labels: tuple of names in the order of their ids; () without labels.
    """

    kind = None
    outputs = ()

    def __init__(self, labels=()):
        self.labels = tuple(labels)
        self._ids = {label: index for index, label in enumerate(self.labels)}

    def __call__(self, example, rows):
        """Returns the result of an example.

        Args:
          example: see `Preprocessor.example`.
          rows: list with a dict for each row of the example: name -> array of
            `outputs`, and `Encoded.about`.
        """
        raise NotImplementedError

    def as_json(self, result):
        """Returns a result as a JSON-able dict."""
        return result

    def writers(self, has_pair=False):
        """Returns dict file name -> `Writer` of the prediction files.

        Args:
          has_pair: whether examples have two texts.
        """
        raise NotImplementedError

    def save(self, folder):
        """Writes `postprocessor.json`."""
        settings = {"kind": self.kind, "labels": list(self.labels)}
        files.write_json(os.path.join(folder, SETTINGS), settings)


class _OfTexts(Postprocessor):
    """Results of texts, which have one row each."""

    header = ()  # of the cells of a result in predictions.tsv

    def cells(self, result):
        """Returns the cells of a result in predictions.tsv."""
        raise NotImplementedError

    def line(self, result):
        """Returns the cells of a result in predict.txt."""
        raise NotImplementedError

    def numbers(self, result):
        """Returns the cells of a result in test_results.tsv, upstream's file."""
        raise NotImplementedError

    def writers(self, has_pair=False):
        texts = ("text_a", "text_b")[: 1 + has_pair]

        def cells(index, example, result):
            known = [getattr(example, field) or "" for field in texts]
            label = example.label or ""
            yield [index, example.guid, *known, label, *self.cells(result)]

        return {
            LINES: Lines(lambda index, example, result: [self.line(result)]),
            UPSTREAM: Lines(lambda index, example, result: [self.numbers(result)]),
            PREDICTIONS: Tsv(["index", "guid", *texts, "label", *self.header], cells),
        }


class OneLabel(_OfTexts):
    """One of several labels: `label` and `probabilities`, float32 `[num_labels]`."""

    kind = "classification"
    outputs = ("label", "probabilities")

    def __call__(self, example, rows):
        (row,) = rows
        name = self.labels[int(row["label"])]
        return {"label": name, "probabilities": row["probabilities"]}

    def as_json(self, result):
        probabilities = map(float, result["probabilities"])
        return {**result, "probabilities": dict(zip(self.labels, probabilities))}

    @property
    def header(self):
        return ["predicted_label", *(f"probability_{label}" for label in self.labels)]

    def cells(self, result):
        return [result["label"], *self.numbers(result)]

    def line(self, result):
        return [self._ids[result["label"]]]

    def numbers(self, result):
        return [repr(float(each)) for each in result["probabilities"]]


class AnyLabels(OneLabel):
    """Any number of labels: `labels`, a list, and `probabilities`."""

    kind = "multilabel"

    def __call__(self, example, rows):
        (row,) = rows
        names = [name for name, bit in zip(self.labels, row["label"]) if bit]
        return {"labels": names, "probabilities": row["probabilities"]}

    def cells(self, result):
        return [",".join(result["labels"]), *self.numbers(result)]

    def line(self, result):
        return [int(name in result["labels"]) for name in self.labels]


class Number(_OfTexts):
    """A number: `prediction`."""

    kind = "regression"
    outputs = ("prediction",)
    header = ("prediction",)

    def __call__(self, example, rows):
        (row,) = rows
        return {"prediction": float(row["prediction"])}

    def cells(self, result):
        return [repr(result["prediction"])]

    line = numbers = cells


class Tags(Postprocessor):
    """A tag for each token: `tokens` and `tags`, two lists."""

    kind = "labeling"
    outputs = ("label",)

    def __call__(self, example, rows):
        label_ids = (
            row["label"][position] for row in rows for position in row["positions"]
        )
        tags = [self.labels[label_id] for label_id in label_ids]
        return {"tokens": list(example.tokens), "tags": tags}

    def writers(self, has_pair=False):
        def table(index, example, result):
            known = example.tags or [""] * len(example.tokens)
            for token, tag, predicted in zip(result["tokens"], known, result["tags"]):
                yield [index, example.guid, token, tag, predicted]

        def lines(index, example, result):
            pairs, others = zip(result["tokens"], result["tags"]), example.other_lines
            if others is None:
                others = [(len(result["tokens"]), "")]
            num_written = 0
            for place, line in others:
                yield from itertools.islice(pairs, place - num_written)
                num_written = place
                yield [line]
            yield from pairs

        header = ["index", "guid", "token", "label", "predicted_label"]
        return {LINES: Lines(lines), PREDICTIONS: Tsv(header, table)}


def load(folder):
    """Returns the postprocessor that was saved in a folder.

    Raises:
      InputError: if its file is missing or cannot be read.
    """
    saved_class, settings = files.read_saved(
        os.path.join(folder, SETTINGS),
        (OneLabel, AnyLabels, Number, Tags),
        "what their outputs are",
    )
    return saved_class(settings["labels"])
