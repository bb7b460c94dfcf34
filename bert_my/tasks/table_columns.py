"""Which column of a task's tables holds what: declared by the task, or found out."""

import itertools
import logging

from bert_my.common.errors import InputError
from bert_my.data import column_roles, columns, readers, sniffing
from bert_my.tasks import base, text_task
from bert_my.tasks import labels as labels_lib

logger = logging.getLogger(__name__)


class ColumnsTask(text_task.TextTask):
    """Texts, or pairs of texts, and labels in columns.

    A data set declares its columns, or `parse_row` and `has_header`; otherwise they are
    found out, with the help of `--text_column` and its like. They are found out as well
    if the train file does not have the declared ones and there is no `table_dialect`.

    has_pairs: whether there is a text_b; None if the columns tell.
    knows_labels: whether it can tell a label before the train file has been read.
    column_names, layouts: see `columns.Layout`.
    has_header: whether the first row is left out, for tasks with a `parse_row`.
    table_dialect: `readers.Dialect` of the files; None if their names tell.
    label_aliases: spelling in the files -> label.
    left_out_labels: what else may stand where a label does.
    """

    has_pairs = False
    knows_labels = True
    column_names = None
    layouts = ()
    has_header = False
    table_dialect = None
    label_aliases = {}
    left_out_labels = ()
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

    def parse_row(self, row):
        """Returns the `Example` of a list of cells."""
        raise NotImplementedError

    def _is_label(self, cell):
        try:
            self.check_label(self.label_aliases.get(cell, cell))
        except ValueError:
            return cell in self.left_out_labels and bool(cell)
        return True

    @property
    def _is_found_out(self):
        """Whether the columns are looked for, not declared."""
        if self._found_out is None:
            self._found_out = self._must_find_out()
        return self._found_out

    def _must_find_out(self):
        has_columns = self.column_names is not None
        is_declared = has_columns or type(self).parse_row is not ColumnsTask.parse_row
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
