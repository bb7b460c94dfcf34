"""Infers the dialect of a table, delimiter and quotes, from its first lines."""

import collections
import csv
import os
import re

from bert_my.common.errors import InputError
from bert_my.data import tables
from bert_my.data.tables import COMMAS, JSON_LINES, QUOTED_TABS, TABS, Dialect

# A quoted cell with more lines is none: a quote that is never closed looks like one.
_LONGEST_CELL = 100
# In the order of preference, if several split the lines evenly.
_DELIMITERS = ("\t", ",", ";", "|")


def by_name(table):
    """Returns the `Dialect` that the name of a `Table` and its first line stand for.

    A tab in the first line makes a table tab separated, otherwise its name decides. A
    tab in a quoted field of a .csv does not count.
    """
    name = os.path.basename(table.path)
    if ".json" in name:
        return JSON_LINES
    if ".csv" not in name:
        return TABS
    unquoted = re.sub(r'"(?:[^"]|"")*"', "", table.lines[0])
    return TABS if "\t" in unquoted else COMMAS


def declared(table, spec):
    """Returns the dialect of a `Table` that is as a `columns.TableSpec` declares.

    Without a declared dialect it is the one `by_name`, or that of quoted tabs if all
    cells are quoted. A task that parses rows gets the quotes as characters.
    """
    if spec.table_dialect:
        return spec.table_dialect
    dialect = by_name(table)
    if dialect != TABS or spec.column_names is None:
        return dialect
    _check_lines(table)
    return QUOTED_TABS if _all_are_quoted(table.lines) else TABS


def likely(table):
    """Returns the list of `Dialect`s that split the first lines of a `Table` best.

    There are several if all of them split the lines evenly, the most usual first.

    Raises:
      InputError: if the file is of a format that is no table.
    """
    _check_lines(table)
    if table.is_json:
        return [JSON_LINES]
    shares = {}
    for delimiter in _DELIMITERS:
        plain, quoted = (Dialect(delimiter, is_quoted) for is_quoted in (False, True))
        # Quotes that make no difference are characters, except in a csv, where they
        # enclose cells even if none needs it.
        is_rule = delimiter != "\t" or _cells_are_quoted(table.lines)
        difference = _even_share(table, quoted) - _even_share(table, plain)
        is_quoted = difference > 0 or (difference == 0 and is_rule)
        dialect = quoted if is_quoted else plain
        shares[dialect] = _even_share(table, dialect)
    best = max(shares.values())
    if not best:
        return [TABS]
    return [dialect for dialect, share in shares.items() if share == best]


def like(table, dialect, fits):
    """Returns the `Dialect` of a table that may be built like another one.

    Args:
      table: `Table`.
      dialect: that of the other one.
      fits: function `(number of cells of each row)` that returns whether the rows may
        be those of such a table.
    """
    _check_lines(table)
    if dialect.delimiter is None or tables.is_json_object(table.lines[0]):
        return likely(table)[0]
    if dialect == TABS and _cells_are_quoted(table.lines):
        dialect = QUOTED_TABS
    widths = set(_widths(table, dialect) or ())
    return dialect if len(widths) == 1 and fits(dialect, widths) else likely(table)[0]


def _check_lines(table):
    """Raises an `InputError` for formats that look like a table and are none."""
    path, first = table.path, table.lines[0]
    if re.fullmatch(r'"?sep=.?"?', first):
        raise InputError(f"{path}:1: {first!r} is for spreadsheets; remove the line")
    if first.startswith("__label__") and "\t" not in first:
        raise InputError(
            f"{path}:1: found lines `__label__x text`; write them as x<TAB>text, for "
            f"example: sed -E 's/^__label__([^ ]+) /\\1\\t/' {path}"
        )
    if len(table.lines) == 1 and "\r" in first:
        raise InputError(f"{path}: lines must end with \\n or \\r\\n, not with \\r")


def _widths(table, dialect):
    """Returns the number of cells of each row, or None if the quotes are no quotes."""
    lines = table.lines
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
        is_cut = len(lines) == tables.SAMPLE_SIZE == rows.line_num
        if not is_cut or tables.SAMPLE_SIZE - last_line > _LONGEST_CELL:
            return None
    return widths


def _even_share(table, dialect):
    """Returns the share of rows with the commonest number of cells, 0 for one cell."""
    counts = collections.Counter(_widths(table, dialect))
    if not counts:
        return 0.0
    num_cells, num_rows = counts.most_common(1)[0]
    return num_rows / sum(counts.values()) if num_cells > 1 else 0.0


def _cells_are_quoted(lines):
    """Returns whether the quotes of a tab separated table enclose cells.

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
    """Returns whether all cells of tab separated lines, but empty ones, are quoted."""
    cells = [cell for line in lines for cell in line.split("\t") if cell]
    # A single column may be of quotations.
    return any("\t" in line for line in lines) and all(
        re.fullmatch(r'"(?:[^"]|"")*"', cell) for cell in cells
    )
