"""`TableSchema`: columns and labels of the tables of a data set, by its train file."""

import collections
import itertools
import logging

from bert_my.common.errors import InputError
from bert_my.data import columns, labels, tables
from bert_my.data.columns import Columns, Roles, Structure
from bert_my.data.labels import LabelCounts
from bert_my.data.splits import DEV, TEST, TRAIN
from bert_my.data.tables import Table
from bert_my.text.preprocessor import Example

logger = logging.getLogger(__name__)


class TableSchema:
    """Columns and labels of the tables of a data set; does not change once it is made.

    spec: `TableSpec`.
    who: name of the task, for errors.
    wanted: `Roles` that flags give.
    labels: `labels.Labels`, with names unless they are numbers.
    structure: `Structure` of the train file, or None if the tables are as declared.
    has_pair: whether examples have two texts.
    counts: `LabelCounts` of the train examples if they were asked for, else None.
    """

    def __init__(self, splits, spec, options, saved, needs_counts):
        """Infers columns and labels that nothing declares from the train file.

        Args:
          splits: `splits.Splits`.
          spec: `TableSpec`.
          options: the user's, see `tasks.options.TaskOptions`.
          saved: description of the trained model, see `description`, or {}.
          needs_counts: True to count the labels of the train set, for class weights.

        Raises:
          InputError: naming the file and the flag that resolves the error.
        """
        self.spec = spec
        self.who = f"task {spec.name}"
        self.wanted = Roles(
            options.text_column, options.text_pair_column, options.label_column
        )
        self.counts = self.has_pair = None
        self._splits = splits
        self._options = options
        self._tables = {}  # path -> `Table`, of files whose first lines were needed
        self._reported = set()  # paths of files whose rows were reported
        self._opened = {}  # arguments of `_open` -> its result
        structure, declared, names = None, spec.labels, ()
        if spec.labels_class is labels.AnyLabels:
            structure = self._find_label_columns(options, saved)
        if structure is not None:
            declared = declared or structure.label_columns
        if spec.labels_class is not labels.Number:
            names = labels.choose(options, saved.get("labels", ()), declared, self.who)
        self.labels = spec.labels_class(names)
        self.structure = structure or self._find_structure(saved)
        self.has_pair = self._find_pair(saved)
        if needs_counts or self.is_label is None:
            self._count(needs_counts)
        elif self._tables and splits.path(TRAIN) in self._tables:
            self._open(splits.path(TRAIN), needs_label=True)

    @property
    def description(self):
        """JSON-able dict of the structure, for the argument `saved`."""
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
        opened = self._open(path, needs_label=split != TEST)
        return self._read(opened, split, self.labels.check)

    def _table(self, path):
        """Returns the `Table` of a file, whose first lines are read once."""
        if path not in self._tables:
            quoting = tables.quoting_by_split(self._options.quoting)
            chosen = quoting.get("")
            if set(quoting) - {""}:
                chosen = quoting.get(self._splits.split_of(path), chosen)
            self._tables[path] = Table(path, self._options.encoding, chosen)
        return self._tables[path]

    def _open(self, path, needs_label):
        """Returns (`Table`, `Dialect`, `Columns`) of a file; logs the last two once."""
        if (path, needs_label) in self._opened:
            return self._opened[path, needs_label]
        table = self._table(path)
        dialect = self._dialect(table, needs_label)
        head = table.head(dialect)
        first = head[0]
        if self.structure is not None:
            found = columns.columns_like(
                first.cells, self.structure, self.wanted, needs_label, path
            )
        elif self.spec.column_names is not None:
            found = self._detect(head, needs_label, path)
        else:
            found = Columns(None, self.spec.has_header)
        self._check_text(found, first, path)
        if not any(path == known for known, _ in self._opened):
            self._report(table, dialect, found)
        self._opened[path, needs_label] = table, dialect, found
        return self._opened[path, needs_label]

    def _report(self, table, dialect, found):
        """Logs the dialect and the columns of a file, a `Columns`."""
        names = table.head(dialect)[0].cells
        logger.info(
            "%s: %s; %s%s; %s%s",
            table.path,
            dialect,
            "with a header" if found.has_header else "no header",
            f" ({', '.join(names)})" if found.has_header and found.fields else "",
            f"columns {found}" if found.fields else f"{len(names)} columns",
            "; byte-order mark" if table.has_byte_order_mark else "",
        )
        table.warn_of_quotes(dialect)
        is_clear = self.structure is not None or self._options.header is not None
        if not (is_clear or found.has_header or self.is_label) and found.fields:
            columns.warn_of_first_row(table.head(dialect), found.fields, table.path)
        self._warn_of_other_dialect(table.path, dialect, len(names))

    def _warn_of_other_dialect(self, path, dialect, num_columns):
        """Warns of a file that is read in another way than those before."""
        known = [self.structure.dialect] if self.structure is not None else []
        known += [each for _, each, _ in self._opened.values()]
        other = next((each for each in known if each.delimiter is not None), dialect)
        # A single column has no delimiter.
        delimiter = dialect.delimiter if num_columns == 1 else other.delimiter
        if dialect.delimiter is None or dialect == other._replace(delimiter=delimiter):
            return
        logger.warning(
            "%s: the file is read as %s, but another file of the run as %s; "
            "--quoting chooses the quotes of all, or of one, as in csv,dev=none",
            path,
            dialect,
            other,
        )

    def _dialect(self, table, needs_label):
        if self.structure is None:
            return table.declared_dialect(self.spec)
        structure = self.structure

        def fits(dialect, widths):
            if structure.has_header:
                # Its columns may be others, as long as the text is there.
                cells = table.head(dialect)[0].cells
                text = structure.roles.text
                names = [cell.strip() for cell in cells]
                return text.isdigit() or bool(columns.find_name(text, names))
            num_columns = structure.num_columns
            return widths <= {num_columns, num_columns - (not needs_label)}

        return table.dialect_like(structure.dialect, fits)

    @property
    def is_label(self):
        """Function that returns whether a cell can be a label; None if not known."""
        is_known = self.labels.names or isinstance(self.labels, labels.Number)
        return self._is_label if is_known else None

    def _is_label(self, cell):
        is_left_out = cell in self.spec.left_out_labels and bool(cell)
        return is_left_out or self._kept(self._name_of(cell)) is not None

    def _kept(self, label):
        """Returns a label as it is kept; None for what is no label."""
        try:
            return self.labels.check(label)
        except ValueError:
            return None

    def _name_of(self, label):
        """Returns a label in the spelling of the known names."""
        alias = self.spec.label_aliases.get(label)
        return (
            alias
            if alias in self.labels.ids and label not in self.labels.ids
            else label
        )

    def _detect(self, rows, needs_label, path):
        """Returns the `Columns` of a table that is as declared, by its first rows.

        Raises:
          InputError: if the table is not as declared, or not like the train file.
        """
        is_label = self.is_label
        hint = self.labels.hint if is_label else "any"
        has_pair = self.has_pair if self.spec.has_pairs is None else None
        return columns.detect(
            rows,
            self.spec,
            has_pair,
            is_label,
            hint,
            needs_label,
            path,
            self._options.header,
        )

    def _check_text(self, found, first, path):
        """Refuses a file without labels and header whose texts would be labels."""
        is_label, fields = self.is_label, found.fields
        if found.has_header or is_label is None or fields is None or "label" in fields:
            return
        text = first.cells[fields.index("text_a")].strip()
        if text and is_label(text):
            raise InputError(
                f"{path}:{first.line}: the text would be {text!r}, which is a label; "
                "the file must have the columns of the train file, without the label "
                "if it has none"
            )

    def _read(self, opened, split, check_label):
        """Yields the examples of a result of `_open`; see `read`.

        Args:
          check_label: function from a label to the label as it is kept.
        """
        table, dialect, found = opened
        rows = table.rows(dialect)
        first = next(rows)
        width = len(first.cells)
        if not found.has_header:
            rows = itertools.chain([first], rows)
        may_be_broken = self.spec.leaves_out_broken_rows and split != TEST
        is_unknown = self._find_placeholders(opened) if split == TEST else None
        may_be_empty = found.fields is not None and "label" in found.fields
        groups, num_left_out, unknown = {}, 0, collections.Counter()
        for index, row in enumerate(rows, int(found.has_header)):
            where = f"{table.path}:{row.line}"
            example = None
            if len(row.cells) == width:
                example = self._parse(row.cells, found, where)
            elif not may_be_broken:
                columns.check_width(row, width, dialect, table.path)
            label = example and example.label
            if is_unknown and example is not None and is_unknown(label):
                if label is not None or may_be_empty:
                    unknown[label or ""] += 1
                label = None
            elif example is None or label in self.spec.left_out_labels:
                num_left_out += 1
                continue
            label = _checked(label, check_label, split, where)
            guid = example.guid or f"{split}-{index}"
            text_a, text_b, _, _, group = example  # `_replace` takes twice the time
            if self.spec.group_field:
                group = groups.setdefault(group or text_a, len(groups))
            yield Example(text_a, text_b, label, guid, group)
        self._report_rows(table.path, num_left_out, unknown)

    def _report_rows(self, path, num_left_out, unknown):
        """Logs the rows of a file that are special; once for each file.

        Args:
          path: of the file.
          num_left_out: number of rows that are no examples.
          unknown: `Counter` of labels that stand for none.
        """
        if path in self._reported:
            return
        self._reported.add(path)
        if num_left_out:
            logger.warning(
                "%s: %d rows are no examples of %s and were left out",
                path,
                num_left_out,
                self.who,
            )
        if unknown:
            logger.info(
                "%s: %d rows have the label %s, which stands for none: they are "
                "predicted and not scored",
                path,
                sum(unknown.values()),
                " or ".join(map(repr, sorted(unknown))),
            )

    def _find_placeholders(self, opened):
        """Returns the function that tells labels of a test file that stand for none."""
        of_all = self._label_of_all(opened)

        def is_unknown(label):
            if label is None or label in self.spec.left_out_labels:
                return True
            kept = self._kept(label)
            if (kept or label) == of_all:
                return kept is None or kept in self.labels.placeholders
            return kept is None and columns.is_placeholder(label)

        return is_unknown

    def _label_of_all(self, opened):
        """Returns the label that all rows of a file have; None if they differ."""
        table, dialect, found = opened
        label_found = None
        if found.fields is not None and "label" not in found.fields:
            return None
        try:
            width = len(table.head(dialect)[0].cells)
            rows = table.rows(dialect)
            for row in itertools.islice(rows, int(found.has_header), None):
                if len(row.cells) != width:
                    return None
                example = self._parse(row.cells, found, table.path)
                label = example and example.label
                label = label and (self._kept(label) or label)
                if not label or label != (label_found or label):
                    return None
                label_found = label
        except InputError:
            return None  # The row is an error when it is read.
        return label_found

    def _parse(self, cells, found, where):
        """Returns the example of a row, with its label as text; None to leave it out.

        Raises:
          InputError: naming file and line, if the row is none of the task's.
        """
        spec = self.spec
        if found.fields is None:
            try:
                return spec.parse_row(cells)
            except (ValueError, IndexError) as error:
                raise InputError(
                    f"{where}: the {len(cells)} columns are not those of {self.who}: "
                    f"{error}"
                ) from error
        try:
            values = found.values(cells)
            if spec.kept_rows:
                field, kept = spec.kept_rows
                if values.pop(field, kept) != kept:
                    return None
            label = self._name_of(self.labels.read(values.pop("label", None)))
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error
        return Example(label=label, **values)

    def _find_label_columns(self, options, saved):
        """Returns the `Structure` of a table with a column for each label, or None."""
        is_given = "task" in saved or options.label_column is not None
        if is_given or self.spec.parse_row is not None:
            return None
        path = self._splits.path(TRAIN)
        for dialect in self._table(path).likely_dialects() if path else ():
            try:
                sample = columns.Sample(self._table(path), dialect)
            except InputError:
                continue
            names = labels.named(options)
            found = columns.infer_label_columns(sample, names, options, self.spec)
            if found is not None:
                return found
        return None

    def _find_structure(self, saved):
        """Returns the `Structure` of the tables, or None if they are as declared."""
        if "structure" in saved:
            return Structure.restore(saved["structure"])
        spec = self.spec
        is_declared = spec.column_names is not None or spec.parse_row is not None
        if any(self.wanted) or not is_declared:
            path = self._splits.train_file(self.who, "columns", "train_file")
            return self._find_by_contents(self._table(path))
        must_be_declared = spec.column_names is None or spec.table_dialect is not None
        if must_be_declared or "task" in saved:
            return None
        path = self._splits.path(TRAIN)
        return path and self._find_undeclared(self._table(path))

    def _find_undeclared(self, table):
        """Returns the `Structure` of a train file that is not as declared, or None.

        Raises:
          InputError: if the file is not as declared and its contents are not clear
            either.
        """
        head = table.head(table.declared_dialect(self.spec))
        try:
            self._detect(head, True, table.path)
            return None
        except InputError as declared:
            try:
                found = self._find_by_contents(table)
            except InputError as error:
                raise InputError(f"{declared}. By its contents: {error}") from error
        logger.warning(
            "%s: the columns are not those that %s declares; by their contents they "
            "are: %s",
            table.path,
            self.who,
            found.roles,
        )
        return found

    def _find_by_contents(self, table):
        """Returns the `Structure` of a table, by flags, known names and contents."""
        first_error = None
        is_label = self.is_label if self.spec.column_names is not None else None
        # Commas in the texts of a file can split it as evenly as its semicolons do.
        for dialect in table.likely_dialects():
            try:
                sample = columns.Sample(table, dialect)
                return columns.infer(
                    sample, self.wanted, self.spec, is_label, self._options.header
                )
            except InputError as error:
                first_error = first_error or error
        raise first_error

    def _find_pair(self, saved):
        """Returns whether examples have two texts."""
        if self.structure is not None:
            return self.structure.roles.text_pair is not None
        if self.spec.has_pairs is not None:
            return self.spec.has_pairs
        if "has_text_b" in saved:
            return saved["has_text_b"]
        for split in (TRAIN, DEV, TEST):
            path = self._splits.path(split)
            if path is None:
                continue
            table = self._table(path)
            head = table.head(table.declared_dialect(self.spec))
            found = self._detect(head, split != TEST, path)
            if found.has_header or "text_b" in found.fields:
                return "text_b" in found.fields
            return self._has_texts_as_ids(head, found.fields)
        return True  # A model without files may be given pairs.

    def _has_texts_as_ids(self, rows, fields):
        """Returns whether ids may as well be the first of two texts, and look so."""
        widths = {len(each) for each in self.spec.layouts if "text_b" in each}
        if "guid" not in fields or len(fields) not in widths:
            return False
        index = fields.index("guid")
        cells = list(filter(None, (row.cells[index].strip() for row in rows)))
        return 2 * sum(map(columns.is_id, cells)) < len(cells)

    def _count(self, needs_counts):
        """Finds the labels, if not known yet, and their counts, if they are needed.

        Both by one pass over the train file.
        """
        path = self._splits.train_file(self.who, "labels", "labels")
        sample, num_empty = [], 0

        def read():
            opened = self._open(path, needs_label=True)
            return self._read(opened, TRAIN, labels.check_is_there)

        def label_of(example):
            nonlocal num_empty
            num_empty += not example.text_a.strip()
            if len(sample) < tables.SAMPLE_SIZE:
                sample.append(example)
            return [example.label]

        cells, train_cells = self._splits.count(read, path, label_of, needs_counts)
        if self.is_label is None:
            counts = self.labels.collect(cells, sample, self.who, any(self.wanted))
            labels.log_counts(counts, num_empty, self.who)
            names = labels.check_enough(labels.in_order(set(counts)), self.who)
            self.labels = type(self.labels)(names)
        if needs_counts:
            self.counts = _label_counts(self.labels, train_cells)


def _checked(label, check_label, split, where):
    """Returns a row's label as it is kept, or None in a file that may lack it."""
    if label is None and split != TEST:
        raise InputError(f"{where}: the row has no label")
    try:
        return None if label is None else check_label(label)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


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
