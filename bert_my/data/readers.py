"""Reads tables (csv, tsv; gzip or not) row by row, keeping every row and its line.

Tab separated files are split at tabs and nothing else: a quote is a character, as in
the GLUE files. Comma separated files follow RFC 4180: a field with commas, quotes or
line ends stands in double quotes. A line ends at "\\n" or "\\r\\n"; other characters
that Unicode counts as line ends (U+2028, U+0085) are text. A byte-order mark is left
out.
"""

import csv
import gzip
import logging
import os
import re
import sys
import zlib
from typing import Iterator, List, NamedTuple, Tuple

from bert_my.data.errors import InputError

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")

csv.field_size_limit(sys.maxsize)


class Row(NamedTuple):
    """One row of a table."""

    line: int  # where the row begins, from 1
    cells: List[str]


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


def open_text(path):
    """Opens a UTF-8 text file, gzip or not; lines end at "\\n" only.

    Raises:
      InputError: if the file cannot be opened.
    """
    try:
        if path.endswith(".gz"):
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
        return open(path, encoding="utf-8-sig", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def read_lines(path) -> Iterator[Tuple[int, str]]:
    """Yields (line number, line without its end).

    Raises:
      InputError: if the file cannot be read or is not UTF-8.
    """
    number = 0
    with open_text(path) as reader:
        try:
            for number, line in enumerate(reader, 1):
                yield number, line[:-1] if line.endswith("\n") else line
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: not UTF-8 after line {number}: {error.reason}"
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error


def detect_delimiter(path):
    """Returns "\\t" or ",": a tab in the first line decides, then the file's name.

    A tab in a quoted field of a .csv does not count.
    """
    for _, line in read_lines(path):
        if ".csv" not in os.path.basename(path):
            return "\t"
        return "\t" if "\t" in re.sub(r'"(?:[^"]|"")*"', "", line) else ","
    raise InputError(f"{path}: the file is empty")


def read_rows(path, delimiter) -> Iterator[Row]:
    """Yields the rows of a table. Empty lines are only allowed at its end.

    Args:
      path: file.
      delimiter: "\\t" or ",".

    Raises:
      InputError: naming file and line, if the file cannot be read, is not UTF-8, has
        an empty line between rows or a quote that is not closed.
    """
    empty_line = None
    rows = _split_at_tabs(path) if delimiter == "\t" else _split_csv(path, delimiter)
    for row in rows:
        if row.cells in ([], [""]):
            empty_line = empty_line or row.line
            continue
        if empty_line:
            raise InputError(f"{path}:{empty_line}: empty line between rows; remove it")
        yield row
    if empty_line:
        logger.warning("%s:%d: the file ends with empty lines", path, empty_line)


def _split_at_tabs(path):
    for number, line in read_lines(path):
        yield Row(number, line.rstrip("\r").split("\t"))


def _split_csv(path, delimiter):
    last_line = 0

    def lines():
        nonlocal last_line
        for number, line in read_lines(path):
            last_line = number
            yield line.rstrip("\r") + "\n"

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
