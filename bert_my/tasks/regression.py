"""The family of tasks that give one or two texts a number."""

import math

import numpy as np

from bert_my import metrics
from bert_my.tasks import base, tables


class RegressionTask(tables.TableTask):
    """Texts with a number each; the loss is the squared error.

    metrics: functions `(numbers, predictions) -> dict`.
    """

    kind = "regression"
    objectives = ("mse",)
    meaningless_options = ("labels", "num_labels")
    main_metric = "spearman"
    metrics = (metrics.correlations, metrics.errors)
    label_hint = "a number"
    scored_predictions = ("prediction",)

    def check_label(self, label):
        try:
            is_finite = math.isfinite(float(label))
        except ValueError:
            is_finite = False
        if not is_finite:
            raise ValueError(f"label {label!r} is not a number")
        return label

    def label_value(self, label):
        return float(label or 0)

    def score(self, targets, predictions):
        scores = {}
        for metric in self.metrics:
            scores.update(metric(targets["label_ids"], predictions["prediction"]))
        return scores

    def perfect_scored(self):
        numbers = np.arange(3, dtype=np.float32)
        return {"label_ids": numbers}, {"prediction": numbers}

    @property
    def prediction_headers(self):
        return {
            "predict.txt": None,
            "test_results.tsv": None,
            "predictions.tsv": [*self.known_header, "prediction"],
        }

    def format_prediction(self, index, example, row):
        number = repr(float(row["prediction"]))
        return {
            "predict.txt": [number],
            "test_results.tsv": [number],
            "predictions.tsv": [*self.known_cells(index, example), number],
        }


@base.register("regression")
class TableRegressionTask(RegressionTask):
    """Any texts or pairs with a number: a click-through rate, a similarity.

    Rows are `id,text,number`, `text,number`, `id,text_a,text_b,number` or
    `text_a,text_b,number`, or have a header with these names.
    """

    has_pairs = None
    column_names = {
        "guid": ("id", "guid", "index"),
        "text_a": ("text_a", "text", "title", "sentence", "sentence1", "content"),
        "text_b": ("text_b", "sentence2"),
        "label": ("label", "score", "ctr", "target", "value"),
    }
    layouts = (
        ("guid", "text_a", "text_b", "label"),
        ("guid", "text_a", "label"),
        ("text_a", "text_b", "label"),
        ("text_a", "label"),
        ("guid", "text_a", "text_b"),
        ("guid", "text_a"),
        ("text_a", "text_b"),
        ("text_a",),
    )
