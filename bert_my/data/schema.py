"""`TableSchema`: how the tables of a data set are built, by its train file."""

import collections
import logging
import re
from typing import Dict, NamedTuple, Optional, Tuple

from bert_my.common.errors import InputError
from bert_my.data import columns, dialects, labels, tables
from bert_my.data.columns import Columns, Roles, TableSpec
from bert_my.data.splits import DEV, TEST, TRAIN
from bert_my.data.tables import Dialect, Table
from bert_my.text.preprocessor import Example

logger = logging.getLogger(__name__)


class Structure(NamedTuple):
    """Structure of a table, inferred from its contents.

    roles: names of the header; without a header, numbers from 1 as text.
    label_columns: names of the columns with a 0 or 1 for each label, in the order of
      the labels; empty if one column holds the label.
    """

    roles: Roles
    has_header: bool
    num_columns: int
    dialect: Dialect
    label_columns: Tuple[str, ...] = ()

    def as_dict(self):
        """Returns the same for JSON; see `restore`."""
        parts = {"roles": self.roles._asdict(), "dialect": self.dialect._asdict()}
        return {**self._asdict(), **parts}

    @classmethod
    def restore(cls, saved):
        """Returns the structure of a dict from `as_dict`, possibly through JSON."""
        parts = {
            "roles": Roles(**saved["roles"]),
            "dialect": Dialect(**saved["dialect"]),
            "label_columns": tuple(saved["label_columns"]),
        }
        return cls(**{**saved, **parts})


class LabelCounts(NamedTuple):
    """Number of train examples, or tokens, with each label, and of all.

    A label that no example can be expected to have may have the count None.
    """

    by_label: Dict[str, Optional[int]]
    total: int


class _OpenTable(NamedTuple):
    """A table, its dialect, and its `Columns`; None for rows that a task parses."""

    table: Table
    dialect: Dialect
    columns: Optional[Columns]
    num_columns: int


class TableSchema(NamedTuple):
    """Structure and labels of the tables of a data set; immutable, see `inspect`.

    spec: `TableSpec`.
    labels: `labels.Labels`, with names unless they are numbers.
    has_pair: whether examples have two texts.
    structure: `Structure` of the train file, or None if the tables are as declared.
    wanted: `Roles` that flags give.
    counts: `LabelCounts` of the train examples if they were asked for, else None.
    train: the train file, if it was looked at.
    who: name of the task, for errors.
    """

    spec: TableSpec
    labels: labels.Labels
    has_pair: bool
    structure: Optional[Structure]
    wanted: Roles
    who: str
    counts: Optional[LabelCounts] = None
    train: Optional[_OpenTable] = None

    @classmethod
    def inspect(
        cls, splits, spec, labels_class, declared, options, saved, who, needs_counts
    ):
        """Tells how the tables of a data set are built, by the train file if need be.

        Args:
          splits: `splits.Splits`.
          spec: `TableSpec`.
          labels_class: subclass of `labels.Labels`.
          declared: names of the labels that the data set declares, or ().
          options: the user's, see `tasks.options.TaskOptions`.
          saved: description of the trained model, see `description`, or {}.
          who: name of the task, for errors.
          needs_counts: whether `counts` are needed.

        Raises:
          InputError: naming the file and the flag that tells more.
        """
        inspection = _Inspection(splits, spec, labels_class, options, saved, who)
        return inspection.run(declared, needs_counts)

    @property
    def description(self):
        """JSON-able dict of the structure; `inspect` takes it as `saved`."""
        if self.structure is not None:
            return {"structure": self.structure.as_dict()}
        if self.spec.has_pairs is None:
            return {"has_text_b": self.has_pair}
        return {}

    @property
    def settings(self):
        """JSON-able dict of all that the examples of a file depend on."""
        if self.structure is None:
            return {}
        return {"columns": [self.structure, self.wanted]}

    def read(self, path, split):
        """Yields the `Example` of each row of a file; `label` is None if unknown.

        Args:
          path: str.
          split: the examples of all splits but `TEST` must have labels.

        Raises:
          InputError: naming file and line, if a row is wrong.
        """
        opened = self.train
        if opened is None or opened.table.path != path or split == TEST:
            opened = self.open(Table(path), needs_label=split != TEST)
        return self._read(opened, split, self.labels.check)

    def open(self, table, needs_label):
        """Returns the `_OpenTable` of a `Table`."""
        dialect = self._dialect(table, needs_label)
        first = self.first_row(table, dialect)
        found = None
        if self.structure is not None:
            found = columns.columns_like(
                first.cells, self.structure, self.wanted, needs_label, table.path
            )
        elif self.spec.column_names is not None:
            found = self._declared_columns(first, needs_label, table.path)
        if found is not None:
            self._check_text(found, first, table.path)
        return _OpenTable(table, dialect, found, len(first.cells))

    @staticmethod
    def first_row(table, dialect):
        """Returns the first `tables.Row` of a `Table`."""
        return table.head(dialect)[0]

    def _dialect(self, table, needs_label):
        if self.structure is None:
            return declared_dialect(table, self.spec)
        structure = self.structure

        def fits(dialect, widths):
            if structure.has_header:
                # Its columns may be others, as long as the text is there.
                cells = self.first_row(table, dialect).cells
                return structure.roles.text in [cell.strip() for cell in cells]
            num_columns = structure.num_columns
            return widths <= {num_columns, num_columns - (not needs_label)}

        return dialects.like(table, structure.dialect, fits)

    @property
    def knows_labels(self):
        """True if `is_label` can tell labels from other cells."""
        return bool(self.labels.names) or isinstance(self.labels, labels.Number)

    def is_label(self, cell):
        """Returns whether a cell may stand where a label does."""
        try:
            self.labels.check(self.spec.label_aliases.get(cell, cell))
        except ValueError:
            return cell in self.spec.left_out_labels and bool(cell)
        return True

    def detect(self, first, needs_label, path, layouts=None):
        """Returns the `Columns` of a table that is as declared, by its first row.

        Raises:
          InputError: if the table is not as declared.
        """
        spec = self.spec._replace(layouts=layouts or self.spec.layouts)
        is_label, hint = None, "any"
        if self.knows_labels:
            is_label, hint = self.is_label, self.labels.hint
        where = f"{path}:{first.line}"
        return columns.detect(first.cells, spec, is_label, hint, needs_label, where)

    def _declared_columns(self, first, needs_label, path):
        """Returns the `Columns` of a table with as many texts as the train file."""
        if self.spec.has_pairs is not None:
            return self.detect(first, needs_label, path)
        layouts = [x for x in self.spec.layouts if ("text_b" in x) == self.has_pair]
        found = self.detect(first, needs_label, path, layouts)
        if ("text_b" in found.fields) != self.has_pair:
            raise InputError(
                f"{path}:{first.line}: found {first.cells}, but the rows of the train "
                f"file have {'two texts' if self.has_pair else 'one text'}"
            )
        return found

    def _check_text(self, found, first, path):
        """Refuses a file without labels and header whose texts would be labels."""
        if found.has_header or "label" in found.fields or not self.knows_labels:
            return
        text = first.cells[found.fields.index("text_a")].strip()
        if text and self.is_label(text):
            raise InputError(
                f"{path}:{first.line}: the text would be {text!r}, which is a label; "
                "the file must have the columns of the train file, without the label "
                "if it has none"
            )

    def _read(self, opened, split, check_label):
        """Yields the examples of an `_OpenTable`; see `read`.

        Args:
          check_label: function from a label to the label as it is kept.
        """
        table, dialect, found, width = opened
        rows = table.rows(dialect)
        has_header = self.spec.has_header if found is None else found.has_header
        header = "no header"
        if has_header:
            first = next(rows)
            header = "with a header"
            if found is not None:
                header += f" ({', '.join(first.cells)})"
        told = f"{header}; columns {found}" if found else f"{width} columns, {header}"
        mark = "; byte-order mark" if table.has_byte_order_mark else ""
        logger.info("%s: %s; %s%s", table.path, dialect, told, mark)
        may_be_broken = self.spec.leaves_out_broken_rows and split != TEST
        groups, num_left_out = {}, 0
        for index, row in enumerate(rows, int(has_header)):
            where = f"{table.path}:{row.line}"
            example = None
            if len(row.cells) == width:
                example = self._parse(row.cells, found, split, where)
            elif not may_be_broken:
                columns.check_width(row, width, dialect, table.path)
            if example is None:
                num_left_out += 1
                continue
            label = _checked(example.label, check_label, split, where)
            guid = example.guid or f"{split}-{index}"
            text_a, text_b, _, _, group = example  # `_replace` takes twice the time
            if self.spec.group_field:
                group = groups.setdefault(group or text_a, len(groups))
            yield Example(text_a, text_b, label, guid, group)
        if num_left_out:
            logger.warning(
                "%s: %d rows are no examples of %s and were left out",
                table.path,
                num_left_out,
                self.who,
            )

    def _parse(self, cells, found, split, where):
        """Returns the example of a row, or None to leave it out."""
        spec = self.spec
        try:
            if found is None:
                example = spec.parse_row(cells)
            else:
                values = found.values(cells)
                if spec.kept_rows:
                    field, kept = spec.kept_rows
                    if values.pop(field, kept) != kept:
                        return None
                label = self.labels.read(values.pop("label", None))
                label = spec.label_aliases.get(label, label)
                example = Example(label=label, **values)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{where}: the {len(cells)} columns are not those of {self.who}: "
                f"{error}"
            ) from error
        if example is None or example.label not in spec.left_out_labels:
            return example
        # To be predicted a row needs no label.
        return example._replace(label=None) if split == TEST else None


def declared_dialect(table, spec):
    """Returns the `Dialect` of a table that is as declared."""
    if spec.table_dialect:
        return spec.table_dialect
    return (
        dialects.by_name(table)
        if spec.column_names is None
        else dialects.declared(table)
    )


def _checked(label, check_label, split, where):
    """Returns a row's label as it is kept, or None in a file that may lack it."""
    if label is None and split != TEST:
        raise InputError(f"{where}: the row has no label")
    try:
        return None if label is None else check_label(label)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


class _Inspection:
    """The steps of `TableSchema.inspect`; the train file is opened if it is needed."""

    def __init__(self, splits, spec, labels_class, options, saved, who):
        self._splits = splits
        self._spec = spec
        self._labels_class = labels_class
        self._options = options
        self._saved = saved
        self._who = who
        self._wanted = Roles(
            options.text_column, options.text_pair_column, options.label_column
        )
        self._table = None

    def run(self, declared, needs_counts):
        """Returns the `TableSchema`."""
        structure = self._find_label_columns()
        if structure is not None:
            declared = declared or structure.label_columns
        names = ()
        if self._labels_class is not labels.Number:
            saved = self._saved.get("labels", ())
            names = labels.choose(self._options, saved, declared, self._who)
        # As far as it is known yet; the next steps complete it.
        schema = TableSchema(
            self._spec,
            self._labels_class(names),
            bool(self._spec.has_pairs),
            structure,
            self._wanted,
            self._who,
        )
        schema = schema._replace(structure=structure or self._find_structure(schema))
        schema = schema._replace(has_pair=self._find_pair(schema))
        are_collected = not schema.knows_labels
        if are_collected or needs_counts:
            self._needed_train("labels", "labels")
        if self._table is not None:
            schema = schema._replace(train=schema.open(self._table, needs_label=True))
        if are_collected or needs_counts:
            schema = self._count(schema, are_collected, needs_counts)
        return schema

    def _train(self):
        """Returns the `Table` of the train file, or None without one."""
        path = self._splits.path(TRAIN)
        if self._table is None and path is not None:
            self._table = Table(path)
        return self._table

    def _needed_train(self, needed, flag):
        """Returns the `Table` of the train file, by which something is to be told."""
        if self._train() is None:
            raise InputError(
                f"{self._who}: there is no train file to find the {needed} in; give "
                f"--{flag}, or the --output_dir of a trained model"
            )
        return self._table

    def _find_label_columns(self):
        """Returns the `Structure` of a table with a column for each label, or None."""
        options, is_parsed = self._options, self._spec.parse_row is not None
        if self._labels_class is not labels.AnyLabels or is_parsed:
            return None
        if "task" in self._saved or options.label_column is not None:
            return None
        table = self._train()
        for dialect in dialects.likely(table) if table else ():
            try:
                cells = _sample(table, dialect)
            except InputError:
                continue
            found = columns.find_label_columns(
                cells,
                labels.named(options),
                options.num_labels,
                options.text_column,
                self._spec,
                table.path,
            )
            if found is not None:
                text, names = found
                return Structure(Roles(text), True, len(cells[0]), dialect, names)
        return None

    def _find_structure(self, schema):
        """Returns the `Structure` of the tables, or None if they are as declared."""
        spec = self._spec
        is_declared = spec.column_names is not None or spec.parse_row is not None
        if not any(self._wanted) and is_declared:
            if spec.column_names is None or spec.table_dialect is not None:
                return None
            if "task" in self._saved and "structure" not in self._saved:
                return None
            if "task" not in self._saved:
                table = self._train()
                return table and self._find_undeclared(schema, table)
        if "structure" in self._saved:
            return Structure.restore(self._saved["structure"])
        table = self._needed_train("columns", "train_file")
        return self._find_by_contents(schema, table)

    def _find_undeclared(self, schema, table):
        """Returns the `Structure` of a train file that is not as declared, or None.

        Raises:
          InputError: if the file is not as declared and its contents do not tell
            either.
        """
        first = schema.first_row(table, declared_dialect(table, self._spec))
        try:
            schema.detect(first, True, table.path)
            return None
        except InputError as declared:
            try:
                found = self._find_by_contents(schema, table)
            except InputError as error:
                raise InputError(f"{declared}. By its contents: {error}") from error
        logger.warning(
            "%s: the columns are not those that %s declares; by their contents they "
            "are: %s",
            table.path,
            self._who,
            found.roles,
        )
        return found

    def _find_by_contents(self, schema, table):
        """Returns the `Structure` of a table, by flags, known names and contents."""
        first_error = None
        is_label = schema.is_label if schema.knows_labels else None
        if self._spec.column_names is None:
            is_label = None
        # Commas in the texts of a file can split it as evenly as its semicolons do.
        for dialect in dialects.likely(table):
            try:
                cells = _sample(table, dialect)
                roles, has_header = columns.find_roles(
                    cells,
                    dialect.delimiter is None,
                    self._wanted,
                    table.path,
                    self._spec,
                    is_label,
                )
                return Structure(roles, has_header, len(cells[0]), dialect)
            except InputError as error:
                first_error = first_error or error
        raise first_error

    def _find_pair(self, schema):
        """Returns whether examples have two texts."""
        if schema.structure is not None:
            return schema.structure.roles.text_pair is not None
        if self._spec.has_pairs is not None:
            return self._spec.has_pairs
        if "has_text_b" in self._saved:
            return self._saved["has_text_b"]
        for split in (TRAIN, DEV, TEST):
            path = self._splits.path(split)
            if path is None:
                continue
            table = self._train() if split == TRAIN else Table(path)
            dialect = declared_dialect(table, self._spec)
            first = schema.first_row(table, dialect)
            found = schema.detect(first, split != TEST, path)
            if found.has_header or "text_b" in found.fields:
                return "text_b" in found.fields
            return self._has_texts_as_ids(table.head(dialect), found.fields)
        return True  # A model without files may be given pairs.

    def _has_texts_as_ids(self, rows, fields):
        """Returns whether ids may as well be the first of two texts, and look so."""
        widths = {len(each) for each in self._spec.layouts if "text_b" in each}
        if "guid" not in fields or len(fields) not in widths:
            return False
        index = fields.index("guid")
        cells = list(filter(None, (row.cells[index].strip() for row in rows)))
        return 2 * sum(map(columns.is_id, cells)) < len(cells)

    def _count(self, schema, are_collected, needs_counts):
        """Returns the schema with labels and their counts, by a pass over the file."""
        cells, train_cells = collections.Counter(), collections.Counter()
        sample, num_empty = [], 0

        def all_examples():
            nonlocal num_empty
            for example in schema._read(schema.train, TRAIN, str):
                cells[example.label] += 1
                num_empty += not example.text_a.strip()
                if len(sample) < tables.SAMPLE_SIZE:
                    sample.append(example)
                yield example

        examples = all_examples()
        if needs_counts:
            path = schema.train.table.path
            for example in self._splits.select(TRAIN, examples, path):
                train_cells[example.label] += 1
        # The rows behind the train examples count for the labels as well.
        collections.deque(examples, maxlen=0)
        if are_collected:
            is_column_given = any(self._wanted)
            counts = self._labels_class.collect(
                cells, sample, self._who, is_column_given
            )
            labels.log_counts(counts, num_empty, self._who)
            names = labels.check_enough(labels.in_order(set(counts)), self._who)
            schema = schema._replace(labels=self._labels_class(names))
        if needs_counts:
            schema = schema._replace(counts=_label_counts(schema.labels, train_cells))
        return schema


def _sample(table, dialect):
    """Returns the cells of the first rows of a table, all as many.

    Raises:
      InputError: if a row has other columns than the first, or a blank before a quote.
    """
    rows = table.head(dialect)
    for row in rows:
        columns.check_width(row, len(rows[0].cells), dialect, table.path)
        for cell in row.cells if dialect.is_quoted else ():
            if re.fullmatch(r'\s+"[^"]*"', cell):
                raise InputError(
                    f"{table.path}:{row.line}: no blank may stand before the quote of "
                    f"{cell!r}"
                )
    return [row.cells for row in rows]


def _label_counts(known, cells):
    """Returns `LabelCounts` of a `Counter` of label cells.

    A cell that is no label does not count; when its row is encoded it is an error.
    """
    by_label = collections.Counter()
    for cell, count in cells.items():
        try:
            names = known.names_of(known.check(cell))
        except ValueError:
            continue
        by_label.update(dict.fromkeys(names, count))
    return LabelCounts(by_label, sum(cells.values()))
