"""A lock of the operating system against a second training in one folder.

The system frees it when the process ends, however it ends. Worker processes do not
inherit it.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket

from bert_my.common import files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

NAME = "training.lock"


@contextlib.contextmanager
def held(folder):
    """Holds the lock of a folder, which is made if need be.

    Args:
      folder: path, of `--output_dir`.

    Raises:
      InputError: naming the process that holds the lock; or if the folder cannot be
        written.
    """
    files.make_folder(folder, "output_dir")
    path = os.path.join(folder, NAME)
    try:
        stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened: {error.strerror}; move it away"
        ) from error
    with stream:
        _lock(stream, folder)
        yield


def _lock(stream, folder):
    """Locks an open file, and writes into it who does."""
    try:
        # No flock: network file systems may keep that to one machine.
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise InputError(
                f"--output_dir={folder}: {_read_holder(stream)} is training there; "
                "wait for its end, or choose another folder"
            ) from error
        logger.warning(
            "%s: there are no locks on this file system (%s), so a second training in "
            "this folder would not be noticed; start none",
            folder,
            error.strerror,
        )
        return
    stream.truncate(0)
    holder = {"pid": os.getpid(), "host": socket.gethostname()}
    stream.write(json.dumps(holder).encode() + b"\n")
    stream.flush()


def _read_holder(stream):
    try:
        holder = json.loads(stream.read().decode())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
