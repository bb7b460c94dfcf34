"""The family of tasks that give a text any number of labels.

A row's label cell holds names separated by `,` (or `|`, `;`, or else by blanks), or a
JSON list, or a 0 or 1 for each label, as in `1,0,1`. An empty cell, or `-`, is a row
without any label. Or each label has a column of its own, with a 0 or 1.
"""

import collections

import numpy as np

from bert_my import metrics
from bert_my.common.errors import InputError
from bert_my.data import column_roles, label_columns
from bert_my.tasks import base, tables
from bert_my.tasks import labels as labels_lib
from bert_my.tasks.label_tables import LabelTableTask

NO_LABEL = labels_lib.NONE


class MultiLabelTask(LabelTableTask):
    """Texts with any number of labels; `metrics` are given zeros and ones."""

    kind = "multilabel"
    objectives = ("sigmoid",)
    main_metric = "f1_micro"
    metrics = (
        metrics.multilabel_accuracy,
        metrics.multilabel_f1,
        metrics.multilabel_auc,
        metrics.multilabel_average_precision,
        metrics.multilabel_log_loss,
    )

    def find_labels(self):
        declared = self.labels or self._label_columns
        return labels_lib.choose(self, declared, self.collect_labels)

    @property
    def _label_columns(self):
        """Names of the columns with a 0 or 1 for each label, or none."""
        if self._known_structure is None:
            paths = self.find_files(base.TRAIN)
            self._structure = self._find_label_columns(paths[0]) if paths else None
        return self._structure.label_columns if self._structure else ()

    def _find_label_columns(self, path):
        """Returns the `Structure` of a table with a column for each label, or None."""
        options, names = self.options, self.column_names or {}
        if "task" in self.saved or options.label_column is not None:
            return None
        wanted = label_columns.Wanted(
            labels_lib.named(options),
            options.num_labels,
            options.text_column,
            names.get("text_a", ()),
            names.get("label", ()),
        )
        return label_columns.find(path, wanted)

    def find_structure(self, path):
        return self._find_label_columns(path) or super().find_structure(path)

    def fits_declared(self, path):
        return not self._label_columns and super().fits_declared(path)

    @property
    def label_hint(self):
        return (
            f"any of {', '.join(self.label_list)} separated by commas, or a 0 or 1 for "
            "each of them"
        )

    def count_in_cells(self, cells, sample):
        plain = [cell for cell in cells if labels_lib.parse_list(cell) is None]
        # A blank is part of a name if there is another separator anywhere in the file.
        separator = _separator("".join(plain))
        counts = collections.Counter()
        for cell, count in cells.items():
            for name in _split(cell, separator):
                counts[name] += count
        if set(counts) <= {"0", "1"}:
            raise InputError(
                f"task {self.name}: the train file has a 0 or 1 for each label; give "
                "--num_labels, or --labels with their names"
            )
        if any("," in name for name in counts):
            raise InputError(f"task {self.name}: the name of a label has no comma")
        if not any(self._wanted_roles):
            self._check_collected(counts, sum(cells.values()), sample)
        return counts

    def _check_collected(self, found, num_examples, sample):
        """Refuses what seems to be the text: many names, or sentences."""
        num_words = _num_words([each.label for each in sample])
        num_words_of_texts = _num_words([each.text_a for each in sample])
        is_text = num_words >= column_roles.WORDS_OF_A_TEXT
        are_many = self.are_too_many(found, num_examples)
        if are_many or (is_text and num_words > num_words_of_texts):
            raise InputError(
                f"task {self.name}: {num_examples} train examples have {len(found)} "
                f"different labels, such as {min(found)!r} and {max(found)!r}, in "
                f"cells such as {sample[0].label!r}; if this is the text, give "
                "--label_column and --text_column, as names of the header or as "
                "numbers from 1"
            )

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
        scores = self.scores_of_all(targets, predictions)
        arguments = (targets["label_ids"], predictions["probabilities"])
        scores.update(metrics.multilabel_per_label(*arguments, self.label_list))
        return scores

    def perfect_scored(self):
        targets = np.eye(len(self.label_list), dtype=np.int32)
        return {"label_ids": targets}, {"probabilities": targets.astype(np.float32)}

    def predicted(self, row):
        names = [x for x, is_set in zip(self.label_list, row["label"]) if is_set]
        return ",".join(names), list(row["label"])


def _num_words(cells):
    """Returns the mean number of words; of numbers, too, and Chinese ones by length."""
    mean = sum(len(cell.split()) for cell in cells) / max(len(cells), 1)
    return max(mean, column_roles.num_words(cells))


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
    Or a header names a column for each label, `id,text,toxic,threat`, with a 0 or 1 in
    each row: those of `--labels`, or the `--num_labels` columns behind the text.
    """

    column_names = {
        "guid": ("id", "guid", "index", "idx"),
        "text_a": (
            "text",
            "text_a",
            "content",
            "sentence",
            "title",
            "comment_text",
            "comment",
        ),
        "label": ("labels", "label", "tags"),
    }
    layouts = tables.SINGLE_TEXT_LAYOUTS
