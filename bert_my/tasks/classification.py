"""The family of tasks that give one or two texts one of several labels."""

import numpy as np

from bert_my import metrics
from bert_my.common.errors import InputError
from bert_my.tasks import labels as labels_lib
from bert_my.tasks.label_tables import LabelTableTask

# With more labels than this their own scores would hide the others.
MAX_SCORED_LABELS = 50


class ClassificationTask(LabelTableTask):
    """Texts with one of several labels."""

    kind = "classification"
    objectives = ("softmax",)
    metrics = (
        metrics.accuracy,
        metrics.precision_recall_f1,
        metrics.f1_averages,
        metrics.auc,
        metrics.average_precision,
        metrics.log_loss,
        metrics.mcc,
    )

    def count_in_cells(self, cells, sample):
        num_examples = sum(cells.values())
        if self.are_too_many(cells, num_examples):
            raise InputError(
                f"task {self.name}: {num_examples} train examples have {len(cells)} "
                f"different labels, such as {min(cells)!r} and {max(cells)!r}; "
                "--label_column names another column, and --task_name=regression "
                "learns numbers"
            )
        return cells

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
        scores = self.scores_of_all(targets, predictions)
        if len(self.label_list) <= MAX_SCORED_LABELS:
            arguments = (targets["label_ids"], predictions["probabilities"])
            scores.update(metrics.per_label(*arguments, self.label_list))
        return scores

    def perfect_scored(self):
        num_labels = len(self.label_list)
        return (
            {"label_ids": np.arange(num_labels)},
            {"probabilities": np.eye(num_labels, dtype=np.float32)},
        )

    def predicted(self, row):
        label_id = int(row["label"])
        return self.label_list[label_id], [label_id]
