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

from bert_my.common import text_files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

# Number of lines, or rows, from which the structure of a file is inferred.
SAMPLE_SIZE = 500
# Names in a header of a column that only numbers the rows.
ID_NAMES = ("id", "guid", "index", "idx")

# A quoted cell with more lines is none: a quote that is never closed looks like one.
_LONGEST_CELL = 100
# Share of the quotes of a tab separated table that enclose cells, if quotes do.
_MOST = 0.9
_QUOTING = {"none": False, "csv": True}  # whether quotes enclose cells
# In the order of preference, if several split the lines evenly.
_DELIMITERS = ("\t", ",", ";", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_NUMBER = re.compile(r"[-+]?(\d+\.?|\d*\.\d+)([eE][-+]?\d+)?")
_LETTER = re.compile(r"[^\W\d_]")
# JSON strings may hold lone surrogates, which UTF-8 cannot encode.
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_SHOWN = 80  # characters of a line, in errors

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

    def __init__(self, path, encoding=None, quoting=None):
        """Reads the first lines.

        Args:
          path: of the file.
          encoding: name of a codec; None for UTF-8.
          quoting: "csv" if quotes enclose cells, "none" if they are characters,
            whatever the contents; None to infer it.

        Raises:
          InputError: if the file is empty or cannot be read.
        """
        self.path = path
        self._encoding = encoding
        self._quoting = _QUOTING.get(quoting)
        lines = text_files.read_lines(path, encoding=encoding or "utf-8")
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
        self._warned = set()
        self._rows_by_delimiter = {}

    def rows(self, dialect):
        """Yields the `Row`s of the file. Empty lines are only allowed at its end.

        The first row of JSON lines holds the keys of all objects. The values of these
        keys follow, as text, lists as JSON; None for a key that an object lacks. A
        header that has no name for the index gets an empty one.

        Raises:
          InputError: naming file and line, if the file cannot be read, is not UTF-8,
            has an empty line between rows, a quote that is not closed or no valid JSON.
        """
        _, lacks_a_name = self._read_head(dialect)
        rows = self._split(self._all_lines(), dialect)
        if lacks_a_name:
            yield _with_a_name(next(rows))
        yield from rows

    def head(self, dialect):
        """Returns the first `SAMPLE_SIZE` rows; see `rows`.

        The file is not opened again if its first lines hold them all, and once for
        each dialect otherwise.
        """
        return self._read_head(dialect)[0]

    def _read_head(self, dialect):
        """Returns (`head`, whether the file's header lacks a name, see `rows`)."""
        if dialect not in self._heads:
            rows = self._split(self._numbered_lines(), dialect)
            head = list(itertools.islice(rows, SAMPLE_SIZE))
            if not head:
                raise InputError(f"{self.path}: the file is empty")
            is_certain = self._writer_quotes(dialect) or _are_counted(head)
            lacks_a_name = is_certain and _lacks_a_name(head)
            if lacks_a_name:
                logger.info(
                    "%s: the first row has no name for the first column, an index",
                    self.path,
                )
                head[0] = _with_a_name(head[0])
            self._heads[dialect] = head, lacks_a_name
        return self._heads[dialect]

    def _writer_quotes(self, dialect):
        """Returns whether the file's writer would quote a delimiter within a text."""
        if dialect.delimiter in (None, "\t"):
            return True
        return dialect.is_quoted and self._quoted_rows(dialect.delimiter)[1] > 0

    def _all_lines(self):
        """Returns an iterator over (line number, line); reads the file again."""
        return text_files.read_lines(
            self.path, encoding=self._encoding or text_files.UTF8
        )

    def _numbered_lines(self):
        """Returns the same; does not read a file again that the first lines hold."""
        return enumerate(self.lines, 1) if self._is_whole else self._all_lines()

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
            rows = _split_json(lines, self._find_keys(), self.path, self._warn)
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
            self._warn("%s:%d: the file ends with empty lines", empty_line)

    def _warn(self, message, number):
        """Logs a warning with path and number, though a file is read some times."""
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, self.path, number)

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

        The name decides. A table of tabs is of the declared dialect, if there is one,
        else of quoted tabs if all cells are quoted. A task that parses rows gets the
        quotes as characters. Of an export, see `TableSpec`, the quotes are inferred.
        """
        dialect = self.dialect_by_name()
        if dialect.delimiter is None:
            return dialect
        if dialect == TABS and spec.table_dialect:
            dialect = spec.table_dialect
        if self._quoting is not None:
            return dialect._replace(is_quoted=self._quoting)
        if dialect != TABS or spec.column_names is None:
            return dialect
        self._check_lines()
        is_quoted = self._all_are_quoted()
        if spec.table_dialect:
            names = self.lines[0].lower().split("\t")
            is_export = any(name.strip(' "') in spec.export_names for name in names)
            is_quoted = is_export and self.cells_are_quoted
        return QUOTED_TABS if is_quoted else TABS

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
            choices = self._quoting_choices(delimiter)
            dialect = max(choices, key=self._even_share)
            shares[dialect] = self._even_share(dialect)
        best = max(shares.values())
        if not best:
            return [TABS]
        return [dialect for dialect, share in shares.items() if share == best]

    def _quoting_choices(self, delimiter):
        """Returns the `Dialect`s of a delimiter, the preferred one first.

        One row does not decide how the quotes of all others are read: where most quotes
        enclose cells, a row in which they do not is an error when it is read.
        """
        plain, quoted = (Dialect(delimiter, is_quoted) for is_quoted in (False, True))
        if self._quoting is not None:
            return [quoted if self._quoting else plain]
        if delimiter == "\t":
            return [quoted] if self.cells_are_quoted else [plain, quoted]
        _, num_quoted, num_odd = self._quoted_rows(delimiter)
        if num_quoted + num_odd:
            return [quoted if num_quoted >= num_odd else plain]
        # Quotes that make no difference enclose cells.
        return [quoted, plain]

    def dialect_like(self, dialect, fits):
        """Returns the `Dialect` of a table that may be built like another one.

        Args:
          dialect: that of the other one.
          fits: function `(dialect, set of the numbers of cells of the rows)` that
            returns whether the rows may be those of such a table.
        """
        self._check_lines()
        if dialect.delimiter is not None and not is_json_object(self.lines[0]):
            if self._quoting is not None:
                dialect = dialect._replace(is_quoted=self._quoting)
            elif dialect == TABS and self.cells_are_quoted:
                dialect = QUOTED_TABS
            widths = set(self._widths(dialect)) - {None}
            if len(widths) == 1 and fits(dialect, widths):
                return dialect
        return self.likely_dialects()[0]

    def warn_of_quotes(self, dialect):
        """Warns of quotes that seem to enclose cells, but are read as characters."""
        if dialect.delimiter is None:
            return
        advice = None
        cells = [cell for row in self.head(dialect)[1:] for cell in row.cells]
        texts = [cell for cell in cells if _LETTER.search(cell)]
        num_single = sum(bool(re.fullmatch("'.*'", text)) for text in texts)
        if texts and num_single >= _MOST * len(texts):
            advice = "in csv the quotes are double ones"
        elif dialect == TABS and self._quoting is None and self.cells_are_quoted:
            advice = "--quoting=csv takes them off"
        if advice:
            logger.warning(
                "%s: the cells seem to be in quotes, which are read as part of them; "
                "%s",
                self.path,
                advice,
            )

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
            raise InputError(
                f"{path}: lines must end with \\n or \\r\\n, not with \\r: "
                f"tr '\\r' '\\n' < {path} > new.csv"
            )

    def _widths(self, dialect):
        """Returns the number of cells of each row, None for one that is no csv."""
        if dialect.is_quoted:
            return self._quoted_rows(dialect.delimiter)[0]
        return [len(line.split(dialect.delimiter)) for line in self.lines if line]

    def _quoted_rows(self, delimiter):
        """Returns (widths, number of rows with quoted cells, number of odd rows).

        In an odd row a cell begins with a quote that does not enclose it; its width is
        None. A row with a bare CR, or with quotes behind backslashes, has no width
        either, but is one of a table in which quotes enclose cells.
        """
        if delimiter not in self._rows_by_delimiter:
            self._rows_by_delimiter[delimiter] = self._read_quoted_rows(delimiter)
        return self._rows_by_delimiter[delimiter]

    def _read_quoted_rows(self, delimiter):
        widths, num_quoted, num_odd, begin = [], 0, 0, 0
        while begin < len(self.lines):
            lines = [line + "\n" for line in self.lines[begin : begin + _LONGEST_CELL]]
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            try:
                row = next(reader)
                num_lines = reader.line_num
                widths += [len(row)] if row else []
                num_quoted += any(
                    line.startswith('"') or f'{delimiter}"' in line
                    for line in lines[:num_lines]
                )
            except csv.Error as error:
                is_end = reader.line_num == len(lines) < _LONGEST_CELL
                if is_end and not self._is_whole:
                    break  # The sample ends within a quoted cell.
                num_lines = 1
                widths.append(None)
                if '\\"' in lines[0]:
                    num_quoted += 1
                else:
                    num_odd += "new-line" not in str(error)
            begin += num_lines
        return widths, num_quoted, num_odd

    def _even_share(self, dialect):
        """Returns the share of rows with the commonest number of cells, 0 for one."""
        widths = self._widths(dialect)
        counts = collections.Counter(width for width in widths if width is not None)
        if not counts:
            return 0.0
        num_cells, num_rows = counts.most_common(1)[0]
        return num_rows / len(widths) if num_cells > 1 else 0.0

    @property
    def cells_are_quoted(self):
        """True if the quotes of a tab separated table seem to enclose cells.

        A writer that quotes doubles the quotes within, or quotes all cells; a text that
        only begins with a quote has single ones.
        """
        cells = [cell for cell in _tab_cells(self.lines) if '"' in cell]
        return self._all_are_quoted() or (
            _are_enclosed(cells)
            and any('""' in cell[1:-1] for cell in cells if _QUOTED.fullmatch(cell))
        )

    def _all_are_quoted(self):
        """Returns whether the cells of a tab separated table are quoted.

        Some writers leave out empty cells and numbers.
        """
        # A single column may be of quotations, and a header without quotes.
        lines = self.lines[1:] or self.lines
        cells = [x for x in _tab_cells(lines) if x and not _NUMBER.fullmatch(x)]
        return any("\t" in line for line in lines) and _are_enclosed(cells)


def quoting_by_split(listed):
    """Returns dict split -> "csv" or "none" of `--quoting`; "" for other splits.

    Args:
      listed: the flag's value, as `csv` or `csv,dev=none`; None for no choice.
    """
    parts = listed.split(",") if listed else ()
    return dict(part.rpartition("=")[::2] for part in parts)


def is_quoting(listed):
    """Returns whether `--quoting` may have a value, see `quoting_by_split`."""
    chosen = quoting_by_split(listed)
    return (
        set(chosen) <= {"", "train", "dev", "test"}
        and set(chosen.values()) <= set(_QUOTING)
        and len(chosen) == listed.count(",") + 1
    )


def _tab_cells(lines):
    return [cell for line in lines for cell in line.split("\t")]


def _are_enclosed(cells):
    """Returns whether most cells of a list, if not all, are in quotes as csv has it."""
    num_quoted = sum(bool(_QUOTED.fullmatch(cell)) for cell in cells)
    return bool(cells) and num_quoted >= _MOST * len(cells)


def _lacks_a_name(rows):
    """Returns whether a header has no name for the index before the other columns.

    R writes such files, and so does pandas with `index_label=False`.

    Args:
      rows: the first `Row`s of a table.
    """
    first, *others = rows
    return (
        bool(others)
        and {len(row.cells) for row in others} == {len(first.cells) + 1}
        and all(row.cells[0].isdecimal() for row in others)
        and all(map(_LETTER.search, first.cells))
    )


def _are_counted(rows):
    """Returns whether first cells count the rows behind a header that names no ids.

    Args:
      rows: the first `Row`s of a table.
    """
    name, *counts = (row.cells[0].strip() for row in rows)
    begin = int(counts[0]) if counts and counts[0].isdecimal() else 0
    are_counted = counts == [
        str(number) for number in range(begin, begin + len(counts))
    ]
    return are_counted and len(counts) > 1 and name.lower() not in ID_NAMES


def _with_a_name(header):
    return Row(header.line, ["", *header.cells])


def is_json_object(line):
    """Returns whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _split_csv(lines, delimiter, path):
    lines_of_row = []

    def ended_lines():
        for _, line in lines:
            lines_of_row.append(line)
            yield line + "\n"

    reader = csv.reader(ended_lines(), delimiter=delimiter, strict=True)
    first_line = 1
    try:
        for cells in reader:
            yield Row(first_line, cells)
            first_line = reader.line_num + 1
            lines_of_row.clear()
    except csv.Error as error:
        reason = _reason(str(error), lines_of_row[0], path)
        raise InputError(
            f"{path}:{first_line}: not valid csv: {reason}; mend the row, or, if all "
            "quotes of the file are characters, give --quoting=none"
        ) from error


def _reason(error, line, path):
    """Returns the reason for an error of the module csv, and what mends the row.

    Args:
      error: message of the module.
      line: the row's first line.
      path: of the file.
    """
    shown = line if len(line) <= _LONGEST_SHOWN else line[:_LONGEST_SHOWN] + "..."
    if '\\"' in line:
        return (
            f"{shown} has a quote behind a backslash; in csv quotes are doubled, as "
            f'sed \'s/\\\\"/""/g\' {path} writes them'
        )
    if "new-line" in error:
        return f"{shown!r} has a bare CR (\\r) within the line"
    if "expected after" in error:
        return (
            f"there is text behind a closing quote, or a quote is not closed, in "
            f"{shown!r}; a cell that begins with a quote is quoted as a whole, and "
            "quotes in it are doubled"
        )
    if "unexpected end" in error:
        return f"a quote is not closed in {shown!r}"
    return f"{error}, in {shown!r}"


def _split_json(lines, keys, path, warn):
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
        warn(
            "%s: in %d rows half a character (a lone surrogate) became U+FFFD",
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
