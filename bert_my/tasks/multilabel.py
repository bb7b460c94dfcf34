"""The family of tasks that give a text any number of labels.

A row's label cell holds names separated by `,` (or `|`, `;`, or else by blanks), or a
JSON list, or, as the forks have it, a 0 or 1 for each label, as in `1,0,1`. An empty
cell, or `-`, is a row without any label.
"""

import numpy as np

from bert_my.data.errors import InputError
from bert_my.reports import metrics
from bert_my.tasks import base, tables
from bert_my.tasks import labels as labels_lib

NO_LABEL = "-"


class MultiLabelTask(tables.TableTask):
    """Texts with any number of labels.

    metrics: functions `(label ids as 0 and 1, probabilities) -> dict`.
    """

    kind = "multilabel"
    objectives = ("sigmoid",)
    main_metric = "f1_micro"
    labels = ()
    metrics = (
        metrics.multilabel_accuracy,
        metrics.multilabel_f1,
        metrics.multilabel_auc,
        metrics.multilabel_average_precision,
        metrics.multilabel_log_loss,
    )

    def find_labels(self):
        return labels_lib.choose(self, self.labels, self._collect)

    @property
    def label_hint(self):
        return (
            f"any of {', '.join(self.label_list)} separated by commas, or a 0 or 1 for "
            "each of them"
        )

    def _collect(self):
        cells = set(self.labels_in_train_file())
        plain = [cell for cell in cells if labels_lib.parse_list(cell) is None]
        # A blank is part of a name if there is another separator anywhere in the file.
        separator = _separator("".join(plain))
        found = {name for cell in cells for name in _split(cell, separator)}
        if found <= {"0", "1"}:
            raise InputError(
                f"task {self.name}: the train file has a 0 or 1 for each label; give "
                "--num_labels, or --labels with their names"
            )
        if any("," in name for name in found):
            raise InputError(f"task {self.name}: the name of a label has no comma")
        return found

    def make_example(self, values):
        # An empty cell is a set of labels, an absent column is not.
        label = values.get("label")
        if label is not None and not label.strip():
            values = {**values, "label": NO_LABEL}
        return super().make_example(values)

    def labels_of(self, label):
        return [] if label in (None, NO_LABEL) else label.split(",")

    def _names_in(self, cell):
        """Returns the names of labels that a cell of a file stands for."""
        names = self.label_list
        parts = [cell] if cell in names else _split(cell, _separator(cell))
        if len(parts) > 1 and set(parts) <= {"0", "1"}:
            # What could be both, as "0,1" of two labels, is taken for zeros and ones.
            if len(parts) == len(names):
                return [name for name, is_set in zip(names, parts) if is_set == "1"]
            if parts != ["0", "1"]:
                raise ValueError(
                    f"label {cell!r}: {len(parts)} zeros and ones for {len(names)} "
                    "labels"
                )
        return parts

    def check_label(self, label):
        found = set(self._names_in(label))
        unknown = sorted(found - set(self.label_map))
        if unknown:
            raise ValueError(
                f"labels {', '.join(map(repr, unknown))} are not among "
                f"{', '.join(self.label_list)}"
            )
        return ",".join(x for x in self.label_list if x in found) or NO_LABEL

    def label_value(self, label):
        found = set(self.labels_of(label))
        return [int(name in found) for name in self.label_list]

    def score(self, targets, predictions):
        arguments = (targets["label_ids"], predictions["probabilities"])
        scores = {}
        for metric in self.metrics:
            scores.update(metric(*arguments))
        scores.update(metrics.multilabel_per_label(*arguments, self.label_list))
        return scores

    def perfect_scored(self):
        targets = np.eye(len(self.label_list), dtype=np.int32)
        return {"label_ids": targets}, {"probabilities": targets.astype(np.float32)}

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
        predicted = [x for x, is_set in zip(self.label_list, row["label"]) if is_set]
        known = self.known_cells(index, example)
        return {
            "predict.txt": list(row["label"]),
            "test_results.tsv": probabilities,
            "predictions.tsv": [*known, ",".join(predicted), *probabilities],
        }


def _separator(text):
    """Returns what parts the names in a text; None for blanks."""
    return next((char for char in ",|;" if char in text), None)


def _split(cell, separator):
    parts = labels_lib.parse_list(cell)
    if parts is None:
        parts = [part.strip() for part in cell.split(separator)]
    return [part for part in parts if part and part != NO_LABEL]


@base.register("mlabel")
class MlabelTask(MultiLabelTask):
    """Any texts with any number of labels: `--num_labels` or `--labels`.

    Rows are `id,text,labels` or `text,labels`; quote labels that hold commas in a csv.
    """

    column_names = {
        "guid": ("id", "guid", "index"),
        "text_a": ("text", "text_a", "content", "sentence", "title"),
        "label": ("labels", "label", "tags"),
    }
    layouts = (
        ("guid", "text_a", "label"),
        ("text_a", "label"),
        ("guid", "text_a"),
        ("text_a",),
    )
