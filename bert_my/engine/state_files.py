"""Reading and writing the small files that tell later commands of a run.

Damage is an `InputError` that names the file and how to go on.
"""

import json
import math
import os
import zlib

from bert_my.common import caches, files
from bert_my.common.errors import InputError

_CHECKSUM = "checksum"  # key in files that are JSON
# How to go on with a damaged file.
CORRECT = "correct or delete the file"
REMEDY = "put it back as it was, or delete it if the command line tells the same"


def write_json(path, value):
    """Writes a dict with a checksum, by which damage is noticed."""
    files.write_json(path, {**value, _CHECKSUM: _checksum(value)})


def read_json(path, keys=(), remedy=REMEDY):
    """Returns the dict in a file, without the checksum; None if it is missing.

    Args:
      path: of the file.
      keys: that it must have.
      remedy: how to go on with a damaged file, for the error.

    Raises:
      InputError: if the file is damaged. Files of older versions have no checksum.
    """
    text = _read(path, remedy)
    if text is None:
        return None
    value = parse_object(text, path, remedy)
    checksum = value.pop(_CHECKSUM, None)
    if checksum not in (None, _checksum(value)):
        raise InputError(
            f"{path}: was changed after it was written: its checksum is another; "
            f"{remedy}, or delete the key {_CHECKSUM} if the change was meant"
        )
    for key in keys:
        if key not in value:
            raise InputError(f"{path}: there is no {key}; {remedy}")
    return value


def read_lines(path):
    """Returns a list of (line number, line) of the whole lines, None if missing.

    A last line without its end is left out: its writer was killed, or is writing.
    """
    text = _read(path, REMEDY)
    if text is None:
        return None
    lines = text.split("\n")[:-1]
    return [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1)]


def _read(path, remedy):
    """Returns the text of a file, None if it is missing."""
    if not os.path.lexists(path):
        return None
    try:
        with files.reading(path), caches.open_file(path) as reader:
            return reader.read().decode("utf-8-sig")
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error
    except UnicodeDecodeError as error:
        number = 1 + error.object.count(b"\n", 0, error.start)
        raise InputError(
            f"{path}:{number}: not UTF-8: {error.reason}; {remedy}"
        ) from error


def _checksum(value):
    """Returns 8 hex digits that change with a JSON-able value."""
    text = json.dumps(value, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"


def parse_object(text, where, remedy=CORRECT):
    """Returns a JSON object as a dict; the error names where it stands and a remedy."""
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return value
        reason = "not a JSON object"
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {error}"
    raise InputError(f"{where}: {reason}; {remedy}")


def check_numbers(values, where):
    """Raises an `InputError` if a value of a dict is neither a number nor None.

    Args:
      values: dict name -> value.
      where: file, and line, for the error.
    """
    for name, value in values.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not is_number:
            raise InputError(
                f"{where}: {name} is {value!r}, not a number or null; {CORRECT}"
            )


def finite(values):
    """Returns a dict of numbers with None for those that are not finite.

    JSON has no NaN.
    """
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in values.items()
    }
