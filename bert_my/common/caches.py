"""Caches: content that can be made again, so that what is damaged need not be used.

Each holds checksums of its content. What does not fit them, or cannot be read, is an
`InputError` for the caller, who makes it anew.
"""

import errno
import hashlib
import json
import logging
import os
import stat

import google_crc32c

from bert_my.common import files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

# Digests of the other files of a folder, see `seal`. Hidden, so that it is no part of
# the folder for programs that list it.
_SEAL = ".checksums.json"


def checksum(data, *about):
    """Returns the CRC-32C of bytes, an int.

    Args:
      data: bytes.
      *about: what the bytes are, as the name of their file and their place there. The
        same bytes in another place have another checksum.
    """
    start = google_crc32c.value(repr(about).encode()) if about else 0
    return google_crc32c.extend(start, data)


def open_file(path):
    """Opens a regular file for reading, without a buffer.

    Raises:
      InputError: if it cannot be read or is something else. A pipe would wait for its
        writer for ever.
    """
    with files.reading(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file")
        return open(descriptor, "rb", buffering=0)


def make_room(path, is_right=os.path.isfile):
    """Moves what is no file, as a folder, out of the place of a file.

    Args:
      path: of the file.
      is_right: function that returns whether a path may stay; `os.path.isdir` for the
        place of a folder.
    """
    if not os.path.lexists(path) or is_right(path):
        return
    with files.writing(path):
        number = 0
        while os.path.lexists(f"{path}.moved-{number}"):
            number += 1
        os.rename(path, f"{path}.moved-{number}")
        logger.warning("%s: moved to %s.moved-%d", path, path, number)


def write_json(path, value):
    """Writes a value as JSON with a checksum of its content."""
    with files.replacing(path) as writer:
        writer.write(as_json(value))


def as_json(value):
    """Returns the text of a file that `read_json` reads."""
    return json.dumps({"checksum": _digest(value), "content": value}, indent=1)


def read_json(path):
    """Returns the value that `write_json` wrote.

    Raises:
      InputError: if the file cannot be read or does not fit its checksum.
    """
    open_file(path).close()
    found = files.read_json(path)
    if not isinstance(found, dict) or found.get("checksum") != _digest(
        found.get("content")
    ):
        raise InputError(f"{path}: its content does not fit its checksum")
    return found["content"]


def _digest(value):
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


def seal(folder):
    """Writes the digests of all files of a folder, for `check_seal`."""
    digests = {
        name: files.digest(os.path.join(folder, name))
        for name in sorted(os.listdir(folder))
        if name != _SEAL
    }
    write_json(os.path.join(folder, _SEAL), digests)


def check_seal(folder):
    """Raises an `InputError` if a file of a sealed folder is missing or was changed."""
    for name, expected in read_json(os.path.join(folder, _SEAL)).items():
        path = os.path.join(folder, name)
        open_file(path).close()
        if files.digest(path) != expected:
            raise InputError(f"{path}: its content does not fit its checksum")


def move_files(source, folder):
    """Moves the files of a folder into another, where they replace older ones.

    One by one, so that a run that has read some of the older files, which are the same
    unless they are damaged, finds the others.
    """
    make_room(folder, os.path.isdir)
    with files.writing(folder):
        os.makedirs(folder, exist_ok=True)
    for name in os.listdir(source):
        path = os.path.join(folder, name)
        make_room(path)
        with files.writing(path):
            os.replace(os.path.join(source, name), path)
