"""Reads tables (csv, tsv, JSON lines; gzip or not) row by row, with their line numbers.

Without quotes a file is split at its delimiter and nothing else: a quote is a
character, as in the GLUE files. With quotes it follows RFC 4180: a field with
delimiters, quotes or line ends stands in double quotes. A line ends at "\\n" or
"\\r\\n"; other characters that Unicode counts as line ends (U+2028, U+0085) are text.
A byte-order mark is left out.
"""

import csv
import json
import logging
import os
import re
import sys
from typing import Iterator, List, NamedTuple, Optional

from bert_my.common import files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

_PLAIN_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
SUFFIXES = (*_PLAIN_SUFFIXES, *(suffix + ".gz" for suffix in _PLAIN_SUFFIXES))
# Rows or lines from which it is found out how a file is built.
SAMPLE_SIZE = 500

# JSON may have what no UTF-8 file can.
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")

csv.field_size_limit(sys.maxsize)


class Row(NamedTuple):
    """One row of a table."""

    line: int  # where the row begins, from 1
    cells: List[Optional[str]]


class Dialect(NamedTuple):
    """How the lines of a table are split into cells."""

    delimiter: Optional[str]  # one character; None for a JSON object on each line
    is_quoted: bool

    def __str__(self):
        if self.delimiter is None:
            return "a JSON object on each line"
        names = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
        quotes = "quotes as in RFC 4180" if self.is_quoted else "quotes are characters"
        return f"{names[self.delimiter]} separated, {quotes}"


TABS = Dialect("\t", is_quoted=False)
COMMAS = Dialect(",", is_quoted=True)
JSON_LINES = Dialect(None, is_quoted=False)


def find_file(data_dir, stems):
    """Returns the path of the table with one of these names, or None.

    Args:
      data_dir: folder.
      stems: names without suffix, for example ("eval", "dev").

    Raises:
      InputError: if the folder does not exist or two files could be meant.
    """
    if not os.path.isdir(data_dir):
        raise InputError(f"--data_dir={data_dir}: there is no such folder")
    names = [stem + suffix for stem in stems for suffix in SUFFIXES]
    found = [name for name in names if os.path.isfile(os.path.join(data_dir, name))]
    if len(found) > 1:
        raise InputError(
            f"--data_dir={data_dir}: cannot tell which to read of {', '.join(found)}; "
            "keep one of them"
        )
    return os.path.join(data_dir, found[0]) if found else None


def is_json_object(line):
    """Returns whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def conventional_dialect(path):
    """Returns the `Dialect` that a file's name and its first line stand for.

    A tab in the first line makes a table tab separated, otherwise its name decides. A
    tab in a quoted field of a .csv does not count.
    """
    name = os.path.basename(path)
    if ".json" in name:
        return JSON_LINES
    for _, line in files.read_lines(path):
        if ".csv" not in name:
            return TABS
        return TABS if "\t" in re.sub(r'"(?:[^"]|"")*"', "", line) else COMMAS
    raise InputError(f"{path}: the file is empty")


def read_rows(path, dialect) -> Iterator[Row]:
    """Yields the rows of a table. Empty lines are only allowed at its end.

    The first row of JSON lines holds the keys of all objects. The values of these keys
    follow, as text, lists as JSON; None for a key that an object does not have.

    Args:
      path: file.
      dialect: `Dialect`.

    Raises:
      InputError: naming file and line, if the file cannot be read, is not UTF-8, has
        an empty line between rows, a quote that is not closed or no valid JSON.
    """
    empty_line = None
    if dialect.delimiter is None:
        rows = _read_json_lines(path)
    elif dialect.is_quoted:
        rows = _split_csv(path, dialect.delimiter)
    else:
        rows = _split(path, dialect.delimiter)
    for row in rows:
        if not row.cells:
            empty_line = empty_line or row.line
            continue
        if empty_line:
            raise InputError(f"{path}:{empty_line}: empty line between rows; remove it")
        yield row
    if empty_line:
        logger.warning("%s:%d: the file ends with empty lines", path, empty_line)


def _split(path, delimiter):
    for number, line in files.read_lines(path):
        yield Row(number, line.split(delimiter) if line else [])


def _split_csv(path, delimiter):
    last_line = 0

    def lines():
        nonlocal last_line
        for number, line in files.read_lines(path):
            last_line = number
            yield line + "\n"

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
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


def _read_json_lines(path):
    keys, first = {}, None
    for number, row in _read_objects(path):
        if row is not None:
            first = first or number
            keys.update(dict.fromkeys(row))
    if keys:
        yield Row(first, list(keys))
    num_mended = 0
    for number, row in _read_objects(path):
        has_keys = () if row is None else keys
        cells = [_text_of(row[key]) if key in row else None for key in has_keys]
        mended = [cell and _HALF_CHARACTER.sub("\ufffd", cell) for cell in cells]
        num_mended += mended != cells
        yield Row(number, mended)
    if num_mended:
        logger.warning(
            "%s: in %d rows half a character (a lone surrogate) became U+FFFD",
            path,
            num_mended,
        )


def _read_objects(path):
    """Yields (line number, dict) for each line, None for an empty one."""
    for number, line in files.read_lines(path):
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
