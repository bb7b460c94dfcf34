"""What all tasks have in common whose texts and labels are the rows of tables."""

import collections
import itertools
import logging

from bert_my.data import column_roles, columns, readers, sniffing
from bert_my.data import features as features_lib
from bert_my.data.errors import InputError
from bert_my.data.features import Example
from bert_my.tasks import base
from bert_my.tasks import labels as labels_lib

logger = logging.getLogger(__name__)

# Rows of one text, with or without an id and, in test files, a label.
SINGLE_TEXT_LAYOUTS = (
    ("guid", "text_a", "label"),
    ("text_a", "label"),
    ("guid", "text_a"),
    ("text_a",),
)


class TableTask(base.Task):
    """Texts, or pairs of texts, with a label each.

    A data set declares its columns, or `parse_row` and `has_header`; otherwise they are
    found out, with the help of `--text_column` and its like. They are found out as well
    if the train file does not have the declared ones and there is no `table_dialect`.

    has_pairs: whether there is a text_b; None if the columns tell.
    knows_labels: whether it can tell a label before the train file has been read.
    column_names, layouts: see `columns.Layout`.
    has_header: whether the first row is left out, for tasks with a `parse_row`.
    table_dialect: `readers.Dialect` of the files; None if their names tell.
    left_out_labels: labels of rows that are no examples but in a test file, where they
      stand for none; what is left out is counted and logged.
    leaves_out_broken_rows: whether rows of train and dev files with more or fewer cells
      than the first are no examples either, instead of an error.
    label_aliases: spelling in the files -> label.
    """

    default_head = "cls"
    has_pairs = False
    knows_labels = True
    column_names = None
    layouts = ()
    has_header = False
    table_dialect = None
    left_out_labels = ()
    leaves_out_broken_rows = False
    label_aliases = {}
    scored_predictions = ("probabilities",)
    # What has been found out so far.
    _found_out = None
    _structure = None
    _has_text_b = None

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
        rows = readers.read_rows(path, dialect)
        first = next(rows, None)
        if first is None:
            return
        parse, has_header, found = self._choose_parser(
            first.cells, path, split, check_label is None, f"{path}:{first.line}"
        )
        mark = "; byte-order mark" if readers.has_byte_order_mark(path) else ""
        logger.info("%s: %s; %s%s", path, dialect, found, mark)
        rows = rows if has_header else itertools.chain([first], rows)
        num_left_out = 0
        may_be_broken = self.leaves_out_broken_rows and split != base.TEST
        for index, row in enumerate(rows, int(has_header)):
            where = f"{path}:{row.line}"
            example = None
            if len(row.cells) == len(first.cells) or not may_be_broken:
                columns.check_width(row, len(first.cells), dialect, path)
                example = self._parse(parse, row.cells, split, where)
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
                path,
                num_left_out,
                self.name,
            )

    @property
    def _is_found_out(self):
        """Whether the columns are looked for, not declared."""
        if self._found_out is None:
            self._found_out = self._must_find_out()
        return self._found_out

    def _must_find_out(self):
        has_columns = self.column_names is not None
        is_declared = has_columns or type(self).parse_row is not TableTask.parse_row
        if any(self._wanted_roles) or not is_declared:
            return True
        if not has_columns or self.table_dialect is not None:
            return False
        if "task" in self.saved:
            return "structure" in self.saved
        paths = self.find_files(base.TRAIN)
        return bool(paths) and not self.fits_declared(paths[0])

    def fits_declared(self, path):
        """Returns whether a train file has the declared columns; else finds others.

        Raises:
          InputError: if it has not, and others cannot be told either.
        """
        first, layout = self._first_row(path), self._layout(self.knows_labels)
        try:
            columns.detect(first.cells, layout, True, f"{path}:{first.line}")
        except InputError as declared:
            try:
                self._structure = self.find_structure(path)
            except InputError as found:
                raise InputError(f"{declared}. By its contents: {found}") from found
            roles = self._structure.roles._asdict().items()
            logger.warning(
                "%s: the columns are not those that task %s declares; by what is in "
                "them they are: %s",
                path,
                self.name,
                ", ".join(f"{k} {v!r}" for k, v in roles if v),
            )
            return False
        return True

    def _first_row(self, path):
        """Returns the first `readers.Row` of a file with declared columns."""
        row = next(readers.read_rows(path, self._declared_dialect(path)), None)
        if row is None:
            raise InputError(f"{path}: the file is empty")
        return row

    def _layout(self, are_labels_known, has_pair=None):
        """Returns the declared `columns.Layout`, of pairs only or without, if told."""
        is_label, hint = None, "any"
        if are_labels_known:
            is_label, hint = self._is_label, self.label_hint
        layouts = [
            fields
            for fields in self.layouts
            if has_pair is None or ("text_b" in fields) == has_pair
        ]
        return columns.Layout(self.column_names, layouts, is_label, hint)

    @property
    def _wanted_roles(self):
        options = self.options
        return column_roles.Roles(
            options.text_column, options.text_pair_column, options.label_column
        )

    def _dialect(self, path, needs_label):
        if self._is_found_out:
            return sniffing.dialect_like(path, self.structure, needs_label)
        return self._declared_dialect(path)

    def _declared_dialect(self, path):
        if self.column_names is None:
            return self.table_dialect or readers.conventional_dialect(path)
        return self.table_dialect or sniffing.declared_dialect(path)

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

    @property
    def structure(self):
        """`sniffing.Structure` of the train file, or of that of the trained model."""
        if self._known_structure is None:
            path = labels_lib.train_file(self, "columns", "train_file")
            self._structure = self.find_structure(path)
        return self._structure

    @property
    def _known_structure(self):
        """`structure`, or None if it has not been found out yet."""
        if self._structure is None and "structure" in self.saved:
            self._structure = sniffing.Structure.restore(self.saved["structure"])
        return self._structure

    def find_structure(self, path):
        """Returns the `sniffing.Structure` of a train file."""
        wanted, expected = self._wanted_roles, column_roles.Expected()
        if self.column_names is not None:
            is_label = self._is_label if self.knows_labels else None
            has_pair = None if any(wanted) else self.has_pairs
            names = {name for each in self.column_names.values() for name in each}
            expected = column_roles.Expected(is_label, has_pair, names)
        return sniffing.find_structure(path, wanted, expected)

    @property
    def description(self):
        description = super().description
        if self._is_found_out:
            description["structure"] = self.structure.as_dict()
        elif self.has_pairs is None:
            description["has_text_b"] = self.has_text_b
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
        if self.has_pairs is not None:
            return self.has_pairs
        if self._has_text_b is None:
            self._has_text_b = self.saved.get("has_text_b")
        if self._has_text_b is None:
            self._has_text_b = self._find_text_b()
        return self._has_text_b

    def _find_text_b(self):
        """Whether the first file that there is has two texts in a row."""
        for split in (base.TRAIN, base.DEV, base.TEST):
            for path in self.find_files(split):
                first, layout = self._first_row(path), self._layout(True)
                where = f"{path}:{first.line}"
                needs_label = split != base.TEST
                found = columns.detect(first.cells, layout, needs_label, where)
                if found.has_header or "text_b" in found.fields:
                    return "text_b" in found.fields
                return self._has_texts_as_ids(path, found.fields)
        return True  # A model without files may be given pairs.

    def _has_texts_as_ids(self, path, fields):
        """Whether ids may as well be the first of two texts, and most look so."""
        widths = {len(each) for each in self.layouts if "text_b" in each}
        if "guid" not in fields or len(fields) not in widths:
            return False
        index = fields.index("guid")
        rows = readers.read_rows(path, self._declared_dialect(path))
        sample = itertools.islice(rows, readers.SAMPLE_SIZE)
        cells = list(filter(None, (row.cells[index].strip() for row in sample)))
        return 2 * sum(map(columns.is_id, cells)) < len(cells)

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
        except ValueError:
            return cell in self.left_out_labels and bool(cell)
        return True

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
