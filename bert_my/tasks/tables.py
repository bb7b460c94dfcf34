"""What all tasks have in common whose texts and labels are the rows of tables."""

import collections
import itertools
import logging

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import columns, readers, sniffing
from bert_my.data import features as features_lib
from bert_my.data.features import Example
from bert_my.tasks import base
from bert_my.tasks.table_columns import ColumnsTask

logger = logging.getLogger(__name__)

# Rows of one text, with or without an id and, in test files, a label.
SINGLE_TEXT_LAYOUTS = (
    ("guid", "text_a", "label"),
    ("text_a", "label"),
    ("guid", "text_a"),
    ("text_a",),
)


class TableTask(ColumnsTask):
    """Texts, or pairs of texts, with a label each.

    left_out_labels: labels of rows that are no examples but in a test file, where they
      stand for none; what is left out is counted and logged.
    leaves_out_broken_rows: whether rows of train and dev files with more or fewer cells
      than the first are no examples either, instead of an error.
    """

    default_head = "cls"
    leaves_out_broken_rows = False
    scored_predictions = ("probabilities",)

    def label_value(self, label):
        """Returns what the feature `label_ids` holds for a label, None for unknown."""
        raise NotImplementedError

    def make_example(self, values):
        """Returns the `Example` of a dict field -> cell, or None to leave it out."""
        label = values.get("label", "").strip()
        label = self.label_aliases.get(label, label) or None
        return Example(**{**values, "label": label})

    def read_file(self, path, split, check_label=None):
        """Yields the `Example` of each row; see `Task.read_file`.

        Args:
          path, split: see there.
          check_label: instead of the method of that name, while labels are collected.
        """
        dialect = self._dialect(path, split != base.TEST)
        rows = readers.read_rows(path, dialect)
        first = next(rows, None)
        if first is None:
            return
        parse, has_header, found = self._choose_parser(
            first.cells, path, split, check_label is None, f"{path}:{first.line}"
        )
        mark = "; byte-order mark" if files.has_byte_order_mark(path) else ""
        logger.info("%s: %s; %s%s", path, dialect, found, mark)
        rows = rows if has_header else itertools.chain([first], rows)
        num_left_out, width = 0, len(first.cells)
        may_be_broken = self.leaves_out_broken_rows and split != base.TEST
        for index, row in enumerate(rows, int(has_header)):
            where = f"{path}:{row.line}"
            example = None
            if len(row.cells) == width:
                example = self._parse(parse, row.cells, split, where)
            elif not may_be_broken:
                columns.check_width(row, width, dialect, path)
            if example is None:
                num_left_out += 1
                continue
            label = self._checked(
                example.label, check_label or self.check_label, split, where
            )
            guid = example.guid or f"{split}-{index}"
            text_a, text_b, _, _, group = example  # `_replace` takes twice the time
            yield Example(text_a, text_b, label, guid, group)
        if num_left_out:
            logger.warning(
                "%s: %d rows are no examples of task %s and were left out",
                path,
                num_left_out,
                self.name,
            )

    def _choose_parser(self, first_row, path, split, are_labels_known, where):
        """Returns (function from cells to `Example`, has a header, what was found)."""
        needs_label = split != base.TEST
        if self._is_found_out:
            found = sniffing.find_columns(
                first_row, self.structure, self._wanted_roles, needs_label, path
            )
        elif self.column_names is None:
            header = "with a header" if self.has_header else "no header"
            return (
                self.parse_row,
                self.has_header,
                f"{len(first_row)} columns, {header}",
            )
        else:
            has_pair = self.has_text_b if self.has_pairs is None else None
            layout = self._layout(are_labels_known, has_pair)
            found = columns.detect(first_row, layout, needs_label, where)
            if has_pair is not None and ("text_b" in found.fields) != has_pair:
                raise InputError(
                    f"{where}: found {first_row}, but the rows of the train file have "
                    f"{'two texts' if has_pair else 'one text'}"
                )
        self._check_text(found, first_row, are_labels_known, where)
        header = f"with a header ({', '.join(first_row)})"
        header = header if found.has_header else "no header"
        fields = ", ".join(field or "(not read)" for field in found.fields)
        return (
            lambda cells: self.make_example(found.values(cells)),
            found.has_header,
            f"{header}; columns {fields}",
        )

    def _check_text(self, found, first_row, are_labels_known, where):
        """Refuses a file without labels and header whose texts would be labels."""
        if found.has_header or "label" in found.fields or not are_labels_known:
            return
        text = first_row[found.fields.index("text_a")].strip()
        if text and self._is_label(text):
            raise InputError(
                f"{where}: the text would be {text!r}, which is a label; the file must "
                "have the columns of the train file, without the label if it has none"
            )

    def _parse(self, parse, cells, split, where):
        """Returns the example of a row, or None to leave it out."""
        try:
            example = parse(cells)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{where}: the {len(cells)} columns are not those of task {self.name}: "
                f"{error}"
            ) from error
        if example is None or example.label not in self.left_out_labels:
            return example
        # To be predicted a row needs no label.
        return example._replace(label=None) if split == base.TEST else None

    def _checked(self, label, check_label, split, where):
        """Returns a row's label as it is kept, or None in a file that may lack it."""
        if label is None and split != base.TEST:
            raise InputError(f"{where}: the row has no label")
        try:
            return None if label is None else check_label(label)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error

    def count_labels(self):
        counts = collections.Counter()
        total = 0
        for example in self.read_examples(base.TRAIN):
            counts.update(self.labels_of(example.label))
            total += 1
        return counts, total

    def labels_of(self, label):
        """Returns the list of labels that the label of an example stands for."""
        return [label]

    def encode_batch(self, examples):
        encode = self.tokenizer.encode_ids
        first = encode([each.text_a for each in examples])
        second = itertools.repeat(None)
        if self.has_text_b:
            second = encode([each.text_b or "" for each in examples])
        cls_id, sep_id = self.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
        max_length = self.max_seq_length
        output = []
        for example, ids_a, ids_b in zip(examples, first, second):
            encoded = features_lib.pack(ids_a, ids_b, max_length, cls_id, sep_id)
            # A row without a label can only be predicted, where the id is not used.
            encoded.features["label_ids"] = self.label_value(example.label)
            output.append(encoded)
        return output

    def known_cells(self, index, example):
        """Returns the cells of a prediction file that tell which row it was."""
        texts = [example.text_a, example.text_b or ""][: 1 + self.has_text_b]
        return [index, example.guid, *texts, example.label or ""]

    @property
    def known_header(self):
        """The header of `known_cells`."""
        texts = ["text_a", "text_b"][: 1 + self.has_text_b]
        return ["index", "guid", *texts, "label"]
