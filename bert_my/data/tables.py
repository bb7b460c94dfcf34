"""Reads tables (csv, tsv, JSON lines; gzip or not) row by row, with their line numbers.

Without quoting a line is split at its delimiter and nothing else: a quote is a
character, as in the GLUE files. With quoting a table follows RFC 4180: a cell with
delimiters, quotes or line ends stands in double quotes. Lines end at "\\n" or "\\r\\n";
other characters that Unicode counts as line ends (U+2028, U+0085) are text.
"""

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

    @property
    def is_json(self):
        """True if the file holds JSON lines, by its name or its first line."""
        return ".json" in os.path.basename(self.path) or is_json_object(self.lines[0])

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
            lines = enumerate(self.lines, 1)
            if not self._is_whole:
                lines = files.read_lines(self.path)
            rows = self._split(lines, dialect)
            self._heads[dialect] = list(itertools.islice(rows, SAMPLE_SIZE))
            if not self._heads[dialect]:
                raise InputError(f"{self.path}: the file is empty")
        return self._heads[dialect]

    def _find_keys(self):
        """Returns the dict key -> line of the first object; keys of all objects."""
        if self._keys is None:
            lines = enumerate(self.lines, 1)
            if not self._is_whole:
                lines = files.read_lines(self.path)
            keys, first = {}, None
            for number, row in _objects(lines, self.path):
                if row is not None:
                    first = first or number
                    keys.update(dict.fromkeys(row))
            self._keys = dict.fromkeys(keys, first)
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


def is_json_object(line):
    """Returns whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _split_csv(lines, delimiter, path):
    last_line = 0

    def counted():
        nonlocal last_line
        for number, line in lines:
            last_line = number
            yield line + "\n"

    reader = csv.reader(counted(), delimiter=delimiter, strict=True)
    while True:
        first_line = last_line + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}:{first_line}: not valid csv ({error}); a field that begins "
                "with a quote must be quoted as a whole, and quotes in it doubled"
            ) from error
        yield Row(first_line, cells)


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
