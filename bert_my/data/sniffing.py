"""Finds out how an unknown table is built: separator, quotes, header and columns.

What is found is a guess from the table's beginning. It is logged, and where there are
several good guesses the error says which flag decides.
"""

import collections
import csv
import itertools
import os
import re
from typing import NamedTuple, Tuple

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import column_roles, readers
from bert_my.data.column_roles import Roles
from bert_my.data.columns import Columns, check_width

# A quoted cell with more lines is none: a quote that is never closed looks like one.
_LONGEST_CELL = 100
# In the order of preference, if several split the lines evenly.
_DELIMITERS = ("\t", ",", ";", "|")
_QUOTED_TABS = readers.Dialect("\t", is_quoted=True)
_FIELDS = Roles("text_a", "text_b", "label")


class Structure(NamedTuple):
    """What was found about a table.

    roles: names of the header; without a header, numbers from 1 as text.
    label_columns: names of the columns with a 0 or 1 for each label, in the order of
      the labels; empty if one column holds the label.
    """

    roles: Roles
    has_header: bool
    num_columns: int
    dialect: readers.Dialect
    label_columns: Tuple[str, ...] = ()

    def as_dict(self):
        """Returns the same for JSON; see `restore`."""
        parts = {"roles": self.roles._asdict(), "dialect": self.dialect._asdict()}
        return {**self._asdict(), **parts}

    @classmethod
    def restore(cls, saved):
        """Returns the structure of what `as_dict` gave, which may come from JSON."""
        parts = {
            "roles": Roles(**saved["roles"]),
            "dialect": readers.Dialect(**saved["dialect"]),
            "label_columns": tuple(saved["label_columns"]),
        }
        return cls(**{**saved, **parts})


def find_structure(path, wanted, expected=column_roles.Expected()):  # noqa: B008
    """Returns the `Structure` of a table with labels.

    Args:
      path: of the train file.
      wanted: `Roles` as the flags give them; None for what is to be found out.
      expected: `column_roles.Expected`.

    Raises:
      InputError: if a wanted column does not exist or a column cannot be told.
    """
    first_error = None
    # Commas in the texts of a file can split it as evenly as its semicolons do.
    for dialect in likely_dialects(path):
        try:
            cells = sample(path, dialect)
            is_json = dialect.delimiter is None
            roles, has_header = column_roles.find(
                cells, is_json, wanted, path, expected
            )
            return Structure(roles, has_header, len(cells[0]), dialect)
        except InputError as error:
            first_error = first_error or error
    raise first_error


def sample(path, dialect):
    """Returns the cells of the first rows of a table, all as many.

    Raises:
      InputError: if a row has other columns than the first, or a blank before a quote.
    """
    rows = list(_head(readers.read_rows(path, dialect)))
    for row in rows:
        check_width(row, len(rows[0].cells), dialect, path)
        _check_quotes(row, dialect, path)
    return [row.cells for row in rows]


def _check_quotes(row, dialect, path):
    for cell in row.cells if dialect.is_quoted else ():
        if re.fullmatch(r'\s+"[^"]*"', cell):
            raise InputError(
                f"{path}:{row.line}: no blank may stand before the quote of {cell!r}"
            )


def likely_dialects(path):
    """Returns the list of `readers.Dialect`s that split a file's beginning best.

    There are several if all of them split it evenly, the most usual first.

    Raises:
      InputError: if the file is empty or cannot be read.
    """
    lines = _first_lines(path)
    if ".json" in os.path.basename(path) or readers.is_json_object(lines[0]):
        return [readers.JSON_LINES]
    shares = {}
    for delimiter in _DELIMITERS:
        plain, quoted = (
            readers.Dialect(delimiter, is_quoted) for is_quoted in (False, True)
        )
        # Quotes that make no difference are characters, except in a csv, where they
        # enclose cells even if none needs it.
        is_rule = delimiter != "\t" or _cells_are_quoted(lines)
        difference = _even_share(lines, quoted) - _even_share(lines, plain)
        is_quoted = difference > 0 or (difference == 0 and is_rule)
        shares[quoted if is_quoted else plain] = _even_share(
            lines, quoted if is_quoted else plain
        )
    best = max(shares.values())
    if not best:
        return [readers.TABS]
    return [dialect for dialect, share in shares.items() if share == best]


def dialect_like(path, structure, needs_label):
    """Returns the `readers.Dialect` of a file that may be built like the train file.

    It is that of the train file, if that fits; else what the file itself tells.

    Args:
      path, structure, needs_label: see `find_columns`.
    """
    dialect = structure.dialect
    lines = _first_lines(path)
    if dialect.delimiter is None or readers.is_json_object(lines[0]):
        return likely_dialects(path)[0]
    if dialect == readers.TABS and _cells_are_quoted(lines):
        dialect = _QUOTED_TABS
    widths = set(_widths(lines, dialect) or ())
    if structure.has_header:
        # Its columns may be others, as long as the text is there.
        first = next(iter(readers.read_rows(path, dialect)), None) if widths else None
        fits = first and structure.roles.text in [cell.strip() for cell in first.cells]
    else:
        fits = widths <= {
            structure.num_columns,
            structure.num_columns - (not needs_label),
        }
    return dialect if fits and len(widths) == 1 else likely_dialects(path)[0]


def _head(items):
    return itertools.islice(items, readers.SAMPLE_SIZE)


def _first_lines(path):
    lines = [line for _, line in _head(files.read_lines(path))]
    if not any(lines):
        raise InputError(f"{path}: the file is empty")
    if re.fullmatch(r'"?sep=.?"?', lines[0]):
        raise InputError(f"{path}:1: {lines[0]!r} is for spreadsheets; remove the line")
    if lines[0].startswith("__label__") and "\t" not in lines[0]:
        raise InputError(
            f"{path}:1: found lines `__label__x text`; write them as x<TAB>text, for "
            f"example: sed -E 's/^__label__([^ ]+) /\\1\\t/' {path}"
        )
    if len(lines) == 1 and "\r" in lines[0]:
        raise InputError(f"{path}: lines must end with \\n or \\r\\n, not with \\r")
    return lines


def _widths(lines, dialect):
    """Returns the number of cells of each row, or None if the quotes are no quotes."""
    if not dialect.is_quoted:
        return [len(line.split(dialect.delimiter)) for line in lines if line]
    widths, last_line = [], 0
    rows = csv.reader(
        (line + "\n" for line in lines), delimiter=dialect.delimiter, strict=True
    )
    try:
        for row in rows:
            last_line = rows.line_num
            if row:
                widths.append(len(row))
    except csv.Error:
        # The sample may end within a quoted cell.
        is_cut = len(lines) == readers.SAMPLE_SIZE == rows.line_num
        if not is_cut or readers.SAMPLE_SIZE - last_line > _LONGEST_CELL:
            return None
    return widths


def _even_share(lines, dialect):
    """Returns the share of rows with the commonest number of cells, 0 for one cell."""
    counts = collections.Counter(_widths(lines, dialect))
    if not counts:
        return 0.0
    num_cells, num_rows = counts.most_common(1)[0]
    return num_rows / sum(counts.values()) if num_cells > 1 else 0.0


def _cells_are_quoted(lines):
    """Whether the quotes of a tab separated table enclose cells.

    A writer that quotes doubles the quotes within, or quotes all cells; a text that
    only begins with a quote has single ones.
    """
    cells = [cell for line in lines for cell in line.split("\t") if '"' in cell]
    if _all_are_quoted(lines):
        return True
    inner = [
        cell[1:-1] for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == '"'
    ]
    is_doubled = [text.count('"') == 2 * text.count('""') for text in inner]
    has_quote = ['"' in text for text in inner]
    return len(inner) == len(cells) > 0 and all(is_doubled) and any(has_quote)


def _all_are_quoted(lines):
    """Whether all cells of a tab separated table, but empty ones, are quoted."""
    cells = [cell for line in lines for cell in line.split("\t") if cell]
    # A single column may be of quotations.
    return any("\t" in line for line in lines) and all(
        re.fullmatch(r'"(?:[^"]|"")*"', cell) for cell in cells
    )


def declared_dialect(path):
    """Returns `readers.conventional_dialect`, or that of tabs with all cells quoted."""
    dialect = readers.conventional_dialect(path)
    is_quoted = dialect == readers.TABS and _all_are_quoted(_first_lines(path))
    return _QUOTED_TABS if is_quoted else dialect


def find_columns(first_row, structure, wanted, needs_label, path):
    """Returns the `Columns` of a table that is built like the train file.

    Args:
      first_row: list of cells.
      structure: `Structure` of the train file.
      wanted: `Roles` as the flags give them; their names win over those of a train file
        that was read in an earlier run.
      needs_label: whether the label may be missing if False.
      path: for the error.

    Raises:
      InputError: if a column is missing.
    """
    names = [cell.strip() for cell in first_row]
    find = _by_name if structure.has_header else _by_number
    indices = find(names, structure, wanted, path)
    label_indices = _label_indices(names, structure, needs_label, path)
    if indices.label is None and needs_label and not label_indices:
        raise InputError(
            f"{path}: there is no label column; the first row is {names}; "
            "--label_column names it"
        )
    fields = [None] * len(names)
    for field, index in zip(_FIELDS, indices):
        if index is not None:
            fields[index] = field
    if structure.has_header:
        guids = [
            i for i, name in enumerate(names) if name.lower() in column_roles.ID_NAMES
        ]
        if guids and fields[guids[0]] is None:
            fields[guids[0]] = "guid"
    for index in label_indices:
        fields[index] = _FIELDS.label
    return Columns(fields, structure.has_header, label_indices)


def _label_indices(names, structure, needs_label, path):
    """Returns the list of the columns with a 0 or 1 for each label, or none."""
    is_absent = not any(name in names for name in structure.label_columns)
    if is_absent and not needs_label:
        return []
    find = column_roles.index_of_name
    return [find(name, names, path) for name in structure.label_columns]


def _by_name(names, structure, wanted, path):
    """Returns `Roles` of indices in a table with a header."""
    indices = {}
    for field, saved, given in zip(Roles._fields, structure.roles, wanted):
        name = saved if given is None or given.isdigit() else given
        if name is None or (field == "label" and name not in names):
            indices[field] = None
        else:
            indices[field] = column_roles.index_of_name(name, names, path)
    return Roles(**indices)


def _by_number(names, structure, wanted, path):
    """Returns `Roles` of indices in a table without a header."""
    roles = structure.roles
    indices = Roles(*[None if role is None else int(role) - 1 for role in roles])
    if len(names) == structure.num_columns - 1:
        label = indices.label
        indices = Roles(
            *[i if i is None or i < label else i - 1 for i in indices[:2]], None
        )
    elif len(names) != structure.num_columns:
        raise InputError(
            f"{path}: {len(names)} columns, but the train file, which has no header, "
            f"has {structure.num_columns}; the first row is {names}"
        )
    if column_roles.is_text_name(names[indices.text]):
        raise InputError(
            f"{path}: the first row {names} looks like a header, but the train file "
            "has none; all files must be alike"
        )
    return indices
