"""The family of tasks that give one or two texts one of several labels."""

import numpy as np

from bert_my.data.errors import InputError
from bert_my.reports import metrics
from bert_my.tasks import labels as labels_lib
from bert_my.tasks import tables

# With more labels than this their own scores would hide the others.
MAX_SCORED_LABELS = 50
# With more than this, most labels must come again, or they are something else.
MAX_LABELS_OF_FEW_ROWS = 20


class ClassificationTask(tables.TableTask):
    """Texts with one of several labels.

    labels: in the order of their ids; empty if the train file tells.
    metrics: functions `(label ids, probabilities) -> dict`; see `reports.metrics`.
    """

    kind = "classification"
    objectives = ("softmax",)
    labels = ()
    metrics = (
        metrics.accuracy,
        metrics.precision_recall_f1,
        metrics.f1_averages,
        metrics.auc,
        metrics.average_precision,
        metrics.log_loss,
        metrics.mcc,
    )

    def find_labels(self):
        return labels_lib.choose(self, self.labels, self._collect)

    def _collect(self):
        labels = self.labels_in_train_file()
        found = set(labels)
        if len(found) > max(MAX_LABELS_OF_FEW_ROWS, len(labels) / 2):
            raise InputError(
                f"task {self.name}: {len(labels)} train examples have {len(found)} "
                f"different labels, such as {min(found)!r} and {max(found)!r}; "
                "--label_column names another column, and --task_name=regression "
                "learns numbers"
            )
        return found

    def make_example(self, values):
        items = labels_lib.parse_list(values.get("label", "").strip())
        if items is not None:
            if len(items) != 1:
                raise ValueError(
                    f"there are {len(items)} labels in {values['label']!r}, but one is "
                    "needed; --task_name=mlabel learns any number of them"
                )
            values = {**values, "label": items[0]}
        return super().make_example(values)

    @property
    def label_hint(self):
        return f"one of {', '.join(self.label_list)}"

    def check_label(self, label):
        if label not in self.label_map:
            raise ValueError(
                f"label {label!r} is not one of {', '.join(map(repr, self.label_list))}"
            )
        return label

    def label_value(self, label):
        return self.label_map.get(label, 0)

    def score(self, targets, predictions):
        arguments = (targets["label_ids"], predictions["probabilities"])
        scores = {}
        for metric in self.metrics:
            scores.update(metric(*arguments))
        if 2 < len(self.label_list) <= MAX_SCORED_LABELS:
            scores.update(metrics.per_label(*arguments, self.label_list))
        return scores

    def perfect_scored(self):
        num_labels = len(self.label_list)
        return (
            {"label_ids": np.arange(num_labels)},
            {"probabilities": np.eye(num_labels, dtype=np.float32)},
        )

    @property
    def prediction_headers(self):
        probabilities = [f"probability_{label}" for label in self.label_list]
        return {
            "predict.txt": None,
            "test_results.tsv": None,
            "predictions.tsv": [*self.known_header, "predicted_label", *probabilities],
        }

    def format_prediction(self, index, example, row):
        probabilities = [repr(float(each)) for each in row["probabilities"]]
        label_id = int(row["label"])
        known = self.known_cells(index, example)
        return {
            "predict.txt": [label_id],
            "test_results.tsv": probabilities,
            "predictions.tsv": [*known, self.label_list[label_id], *probabilities],
        }
