"""What all tasks have in common whose texts and labels are the rows of tables."""

import collections
import logging

from bert_my.data import column_roles, columns, readers, sniffing
from bert_my.data import features as features_lib
from bert_my.data.errors import InputError
from bert_my.data.features import Example
from bert_my.tasks import base

logger = logging.getLogger(__name__)


class TableTask(base.Task):
    """Texts, or pairs of texts, with a label each.

    A data set declares its columns, or `parse_row` and `has_header`; otherwise they are
    found out, with the help of `--text_column` and its like.

    has_pairs: whether there is a text_b; None if the columns tell.
    column_names, layouts: see `columns.Layout`.
    has_header: whether the first row is left out, for tasks with a `parse_row`.
    table_dialect: `readers.Dialect` of the files; None if their names tell.
    left_out_labels: labels of rows that are no examples; they are counted and logged.
    leaves_out_broken_rows: whether rows of train and dev files with more or fewer cells
      than the first are no examples either, instead of an error.
    label_aliases: spelling in the files -> label.
    """

    default_head = "cls"
    has_pairs = False
    column_names = None
    layouts = ()
    has_header = False
    table_dialect = None
    left_out_labels = ()
    leaves_out_broken_rows = False
    label_aliases = {}
    scored_predictions = ("probabilities",)

    def check_label(self, label):
        """Returns a label as it is kept.

        Raises:
          ValueError: if it is none.
        """
        raise NotImplementedError

    @property
    def label_hint(self):
        """What a label is, for errors."""
        raise NotImplementedError

    def label_value(self, label):
        """Returns what the feature `label_ids` holds for a label, None for unknown."""
        raise NotImplementedError

    def make_example(self, values):
        """Returns the `Example` of a dict field -> cell, or None to leave it out."""
        label = values.get("label", "").strip()
        label = self.label_aliases.get(label, label) or None
        if label in self.left_out_labels:
            return None
        return Example(**{**values, "label": label})

    def parse_row(self, row):
        """Returns the `Example` of a list of cells."""
        raise NotImplementedError

    def read_file(self, path, split, check_label=None):
        """Yields the `Example` of each row; see `Task.read_file`.

        Args:
          path, split: see there.
          check_label: instead of the method of that name, while labels are collected.
        """
        dialect = self._dialect(path, split != base.TEST)
        parse = None
        num_left_out = 0
        for index, row in enumerate(readers.read_rows(path, dialect)):
            where = f"{path}:{row.line}"
            if parse is None:
                num_columns = len(row.cells)
                parse, has_header, found = self._choose_parser(
                    row.cells, path, split, check_label is None, where
                )
                mark = "; byte-order mark" if readers.has_byte_order_mark(path) else ""
                logger.info("%s: %s; %s%s", path, dialect, found, mark)
                if has_header:
                    continue
            example = None
            may_be_broken = self.leaves_out_broken_rows and split != base.TEST
            if len(row.cells) == num_columns or not may_be_broken:
                columns.check_width(row, num_columns, dialect, path)
                example = self._parse(parse, row.cells, where)
            if example is None:
                num_left_out += 1
                continue
            label = self._checked(
                example.label, check_label or self.check_label, split, where
            )
            guid = example.guid or f"{split}-{index}"
            yield example._replace(label=label, guid=guid)
        if num_left_out:
            logger.warning(
                "%s: %d rows are no examples of task %s and were left out",
                *(path, num_left_out, self.name),
            )

    @property
    def _is_found_out(self):
        """Whether the columns are looked for, not declared."""
        is_declared = self.column_names is not None or (
            type(self).parse_row is not TableTask.parse_row
        )
        return not is_declared or any(self._wanted_roles)

    @property
    def _wanted_roles(self):
        options = self.options
        return column_roles.Roles(
            options.text_column, options.text_pair_column, options.label_column
        )

    def _dialect(self, path, needs_label):
        if self._is_found_out:
            return sniffing.dialect_like(path, self.structure, needs_label)
        return self.table_dialect or readers.conventional_dialect(path)

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
            is_label, hint = None, "any"
            if are_labels_known:
                is_label, hint = self._is_label, self.label_hint
            layout = columns.Layout(self.column_names, self.layouts, is_label, hint)
            found = columns.detect(first_row, layout, needs_label, where)
        self._check_text(found, first_row, are_labels_known, where)
        header = f"with a header ({', '.join(first_row)})"
        header = header if found.has_header else "no header"
        fields = ", ".join(field or "(not read)" for field in found.fields)
        return (
            lambda cells: self.make_example(found.values(cells)),
            found.has_header,
            f"{header}; columns {fields}",
        )

    @property
    def structure(self):
        """`sniffing.Structure` of the train file, or of that of the trained model."""
        if "structure" not in self.saved:
            paths = self.find_files(base.TRAIN)
            if not paths:
                raise InputError(
                    f"task {self.name}: there is no train file to find the columns in; "
                    "give --train_file, or the --output_dir of a trained model"
                )
            self.saved["structure"] = sniffing.find_structure(
                paths[0], self._wanted_roles
            )
        return sniffing.Structure.restore(self.saved["structure"])

    @property
    def description(self):
        description = super().description
        if self._is_found_out:
            description["structure"] = self.structure
        return description

    @property
    def encoding_settings(self):
        settings = super().encoding_settings
        if self._is_found_out:
            settings["columns"] = [self.structure, self._wanted_roles]
        return settings

    @property
    def has_text_b(self):
        """Whether examples have two texts."""
        if self._is_found_out:
            return self.structure.roles.text_pair is not None
        return self.has_pairs

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

    def _is_label(self, cell):
        try:
            self.check_label(self.label_aliases.get(cell, cell))
        except InputError:
            raise
        except ValueError:
            return cell in self.left_out_labels and bool(cell)
        return True

    def _parse(self, parse, cells, where):
        """Returns the example of a row, or None to leave it out."""
        try:
            return parse(cells)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{where}: the {len(cells)} columns are not those of task {self.name}: "
                f"{error}"
            ) from error

    def _checked(self, label, check_label, split, where):
        """Returns a row's label as it is kept, or None in a file that may lack it."""
        if label is None and split != base.TEST:
            raise InputError(f"{where}: the row has no label")
        try:
            return None if label is None else check_label(label)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error

    def count_labels(self):
        counts = collections.Counter()
        total = 0
        for example in self.read_examples(base.TRAIN):
            counts.update(self.labels_of(example.label))
            total += 1
        return counts, total

    def labels_in_train_file(self):
        """Returns the list of the label of each train example, as the file has it."""
        paths = self.find_files(base.TRAIN)
        if not paths:
            raise InputError(
                f"task {self.name}: there is no train file to collect the labels from; "
                "give --labels, or the --output_dir of a trained model"
            )
        examples = self.read_file(paths[0], base.TRAIN, check_label=str)
        return [each.label for each in examples]

    def labels_of(self, label):
        """Returns the list of labels that the label of an example stands for."""
        return [label]

    def encode_batch(self, examples):
        first = self.tokenizer.encode_batch([each.text_a for each in examples])
        second = [None] * len(examples)
        if self.has_text_b:
            texts = [each.text_b or "" for each in examples]
            second = [each.ids for each in self.tokenizer.encode_batch(texts)]
        cls_id, sep_id = self.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
        output = []
        for example, a, ids_b in zip(examples, first, second):
            encoded = features_lib.pack(
                a.ids, ids_b, self.max_seq_length, cls_id, sep_id
            )
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
