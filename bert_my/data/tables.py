"""Reads tables (csv, tsv, JSON lines; gzip or not) row by row, with their line numbers.

The dialect of a table, delimiter and quotes, is inferred from its first lines.

Without quoting a line is split at its delimiter and nothing else: a quote is a
character, as in the GLUE files. With quoting a table follows RFC 4180: a cell with
delimiters, quotes or line ends stands in double quotes. Lines end at "\\n" or "\\r\\n";
other characters that Unicode counts as line ends (U+2028, U+0085) are text.
"""

import collections
import csv
import itertools
import json
import logging
import os
import re
import sys
from typing import List, NamedTuple, Optional

from bert_my.common import files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

# Number of lines, or rows, from which the structure of a file is inferred.
SAMPLE_SIZE = 500

# A quoted cell with more lines is none: a quote that is never closed looks like one.
_LONGEST_CELL = 100
# In the order of preference, if several split the lines evenly.
_DELIMITERS = ("\t", ",", ";", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
# JSON strings may hold lone surrogates, which UTF-8 cannot encode.
_SURROGATE = re.compile("[\ud800-\udfff]")

csv.field_size_limit(sys.maxsize)


class Row(NamedTuple):
    """One row of a table."""

    line: int  # where the row begins, from 1
    cells: List[Optional[str]]


class Dialect(NamedTuple):
    """Delimiter and quoting, by which the lines of a table are split into cells."""

    delimiter: Optional[str]  # one character; None for a JSON object on each line
    is_quoted: bool

    def __str__(self):
        if self.delimiter is None:
            return "a JSON object on each line"
        names = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
        quotes = "quotes as in RFC 4180" if self.is_quoted else "quotes are characters"
        return f"{names[self.delimiter]} separated, {quotes}"


TABS = Dialect("\t", is_quoted=False)
QUOTED_TABS = Dialect("\t", is_quoted=True)
COMMAS = Dialect(",", is_quoted=True)
JSON_LINES = Dialect(None, is_quoted=False)


class Table:
    """A table file: its first lines, from which its dialect is inferred, and its rows.

    path: str.
    lines: the first `SAMPLE_SIZE` lines, without their ends.
    has_byte_order_mark: bool; `lines` begin after the mark.
    """

    def __init__(self, path):
        """Reads the first lines.

        Raises:
          InputError: if the file is empty or cannot be read.
        """
        self.path = path
        lines = files.read_lines(path, encoding="utf-8")
        self.lines = [line for _, line in itertools.islice(lines, SAMPLE_SIZE)]
        self._is_whole = next(lines, None) is None
        lines.close()
        self.has_byte_order_mark = bool(self.lines) and self.lines[0][:1] == "\ufeff"
        if self.has_byte_order_mark:
            self.lines[0] = self.lines[0][1:]
        if not any(self.lines):
            raise InputError(f"{path}: the file is empty")
        self._keys = None
        self._heads = {}

    def rows(self, dialect):
        """Yields the `Row`s of the file. Empty lines are only allowed at its end.

        The first row of JSON lines holds the keys of all objects. The values of these
        keys follow, as text, lists as JSON; None for a key that an object lacks.

        Raises:
          InputError: naming file and line, if the file cannot be read, is not UTF-8,
            has an empty line between rows, a quote that is not closed or no valid JSON.
        """
        return self._split(files.read_lines(self.path), dialect)

    def head(self, dialect):
        """Returns the first `SAMPLE_SIZE` rows; see `rows`.

        The file is not opened again if its first lines hold them all, and once for
        each dialect otherwise.
        """
        if dialect not in self._heads:
            rows = self._split(self._numbered_lines(), dialect)
            self._heads[dialect] = list(itertools.islice(rows, SAMPLE_SIZE))
            if not self._heads[dialect]:
                raise InputError(f"{self.path}: the file is empty")
        return self._heads[dialect]

    def _numbered_lines(self):
        """Returns an iterator over (line number, line); may read the file again."""
        if self._is_whole:
            return enumerate(self.lines, 1)
        return files.read_lines(self.path)

    def _find_keys(self):
        """Returns dict key -> line of the first object with it; keys of all objects."""
        if self._keys is None:
            keys = {}
            for number, row in _objects(self._numbered_lines(), self.path):
                for key in row or ():
                    keys.setdefault(key, number)
            self._keys = keys
        return self._keys

    def _split(self, lines, dialect):
        """Yields the `Row`s of (line number, line) pairs; see `rows`."""
        if dialect.delimiter is None:
            rows = _split_json(lines, self._find_keys(), self.path)
        elif dialect.is_quoted:
            rows = _split_csv(lines, dialect.delimiter, self.path)
        else:
            rows = (
                Row(number, line.split(dialect.delimiter) if line else [])
                for number, line in lines
            )
        empty_line = None
        for row in rows:
            if not row.cells:
                empty_line = empty_line or row.line
                continue
            if empty_line:
                raise InputError(
                    f"{self.path}:{empty_line}: empty line between rows; remove it"
                )
            yield row
        if empty_line:
            logger.warning(
                "%s:%d: the file ends with empty lines", self.path, empty_line
            )

    def dialect_by_name(self):
        """Returns the `Dialect` that the file's name and its first line stand for.

        A tab in the first line makes a table tab separated, otherwise its name decides.
        A tab in a quoted field of a .csv does not count.
        """
        name = os.path.basename(self.path)
        if ".json" in name:
            return JSON_LINES
        if ".csv" not in name:
            return TABS
        return TABS if "\t" in _QUOTED.sub("", self.lines[0]) else COMMAS

    def declared_dialect(self, spec):
        """Returns the `Dialect` of a table that is as a `columns.TableSpec` declares.

        Without a declared dialect it is that of its name, or that of quoted tabs if all
        cells are quoted. A task that parses rows gets the quotes as characters.
        """
        if spec.table_dialect:
            return spec.table_dialect
        dialect = self.dialect_by_name()
        if dialect != TABS or spec.column_names is None:
            return dialect
        self._check_lines()
        return QUOTED_TABS if self._all_are_quoted() else TABS

    def likely_dialects(self):
        """Returns the list of `Dialect`s that split the first lines best.

        There are several if all of them split the lines evenly, the most usual first.

        Raises:
          InputError: if the file is of a format that is no table.
        """
        self._check_lines()
        if ".json" in os.path.basename(self.path) or is_json_object(self.lines[0]):
            return [JSON_LINES]
        shares = {}
        for delimiter in _DELIMITERS:
            choices = [Dialect(delimiter, is_quoted) for is_quoted in (False, True)]
            # Quotes that make no difference are characters, except in a csv, where they
            # enclose cells even if none needs it.
            if delimiter != "\t" or self._cells_are_quoted():
                choices.reverse()
            dialect = max(choices, key=self._even_share)
            shares[dialect] = self._even_share(dialect)
        best = max(shares.values())
        if not best:
            return [TABS]
        return [dialect for dialect, share in shares.items() if share == best]

    def dialect_like(self, dialect, fits):
        """Returns the `Dialect` of a table that may be built like another one.

        Args:
          dialect: that of the other one.
          fits: function `(dialect, set of the numbers of cells of the rows)` that
            returns whether the rows may be those of such a table.
        """
        self._check_lines()
        if dialect.delimiter is not None and not is_json_object(self.lines[0]):
            if dialect == TABS and self._cells_are_quoted():
                dialect = QUOTED_TABS
            widths = set(self._widths(dialect) or ())
            if len(widths) == 1 and fits(dialect, widths):
                return dialect
        return self.likely_dialects()[0]

    def _check_lines(self):
        """Raises an `InputError` for formats that look like a table and are none."""
        path, first = self.path, self.lines[0]
        if re.fullmatch(r'"?sep=.?"?', first):
            raise InputError(
                f"{path}:1: {first!r} is for spreadsheets; remove the line"
            )
        if first.startswith("__label__") and "\t" not in first:
            raise InputError(
                f"{path}:1: found lines `__label__x text`; write them as x<TAB>text, "
                f"for example: sed -E 's/^__label__([^ ]+) /\\1\\t/' {path}"
            )
        if len(self.lines) == 1 and "\r" in first:
            raise InputError(f"{path}: lines must end with \\n or \\r\\n, not with \\r")

    def _widths(self, dialect):
        """Returns the number of cells of each row, or None if quotes are no quotes."""
        if not dialect.is_quoted:
            return [len(line.split(dialect.delimiter)) for line in self.lines if line]
        widths, last_line = [], 0
        ended_lines = (line + "\n" for line in self.lines)
        rows = csv.reader(ended_lines, delimiter=dialect.delimiter, strict=True)
        try:
            for row in rows:
                last_line = rows.line_num
                if row:
                    widths.append(len(row))
        except csv.Error:
            # The sample may end within a quoted cell.
            is_cut = len(self.lines) == SAMPLE_SIZE == rows.line_num
            if not is_cut or SAMPLE_SIZE - last_line > _LONGEST_CELL:
                return None
        return widths

    def _even_share(self, dialect):
        """Returns the share of rows with the commonest number of cells, 0 for one."""
        counts = collections.Counter(self._widths(dialect))
        if not counts:
            return 0.0
        num_cells, num_rows = counts.most_common(1)[0]
        return num_rows / sum(counts.values()) if num_cells > 1 else 0.0

    def _cells_are_quoted(self):
        """Returns whether the quotes of a tab separated table enclose cells.

        A writer that quotes doubles the quotes within, or quotes all cells; a text that
        only begins with a quote has single ones.
        """
        cells = [cell for cell in self._tab_cells() if '"' in cell]
        return self._all_are_quoted() or (
            all(map(_QUOTED.fullmatch, cells))
            and any('""' in cell[1:-1] for cell in cells)
        )

    def _all_are_quoted(self):
        """Returns whether all cells of a tab separated table, but empty ones, are."""
        # A single column may be of quotations.
        return any("\t" in line for line in self.lines) and all(
            map(_QUOTED.fullmatch, filter(None, self._tab_cells()))
        )

    def _tab_cells(self):
        """Returns the cells of the first lines, separated at their tabs."""
        return [cell for line in self.lines for cell in line.split("\t")]


def is_json_object(line):
    """Returns whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _split_csv(lines, delimiter, path):
    ended_lines = (line + "\n" for _, line in lines)
    reader = csv.reader(ended_lines, delimiter=delimiter, strict=True)
    first_line = 1
    try:
        for cells in reader:
            yield Row(first_line, cells)
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}:{first_line}: not valid csv ({error}); a field that begins "
            "with a quote must be quoted as a whole, and quotes in it doubled"
        ) from error


def _split_json(lines, keys, path):
    if keys:
        yield Row(next(iter(keys.values())), list(keys))
    num_mended = 0
    for number, row in _objects(lines, path):
        has_keys = () if row is None else keys
        cells = [_text_of(row[key]) if key in row else None for key in has_keys]
        mended = [cell and _SURROGATE.sub("\ufffd", cell) for cell in cells]
        num_mended += mended != cells
        yield Row(number, mended)
    if num_mended:
        logger.warning(
            "%s: in %d rows half a character (a lone surrogate) became U+FFFD",
            path,
            num_mended,
        )


def _objects(lines, path):
    """Yields (line number, dict) for each line, None for an empty one."""
    for number, line in lines:
        if not line.strip():
            yield number, None
            continue
        # An array, or an object over several lines, can be made one object a line.
        start = line.strip()
        command = ".[]" if start[0] == "[" else "." if start == "{" else None
        hint = f"; jq -c '{command}' {path} writes such lines" if command else ""
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{path}:{number}: not valid JSON: {error}; expected a JSON "
                f"object on each line{hint}"
            ) from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}:{number}: expected a JSON object on each line, found "
                f"{line[:40]!r}{hint}"
            )
        yield number, row


def _text_of(value):
    """Returns a JSON value as a cell."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
