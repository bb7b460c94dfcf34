"""Files that processes left that were killed while they wrote."""

import contextlib
import fcntl
import os
import re
import shutil

from bert_my.common import checkpoint_files, files

# The names that `files` gives.
_TEMPORARY = re.compile(r".*\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.tmp", re.S)
# The names that TensorFlow gives to files of checkpoints and to their list.
_OF_TENSORFLOW = re.compile(r".*\.tempstate\d+|.+\.tmp[0-9a-f]{32}", re.S)


def of_processes(folder):
    """Returns the temporary files and folders of processes of this host that are gone.

    Args:
      folder: path; it may be missing, and other processes may write into it.
    """
    found = []
    for name, path in _entries(folder):
        match = _TEMPORARY.fullmatch(name)
        if match and _is_left(path, match):
            found.append(path)
    return found


def of_tensorflow(folder):
    """Returns the temporary files that TensorFlow made beside checkpoints.

    Args:
      folder: path, into which no other process writes checkpoints.
    """
    return [path for name, path in _entries(folder) if _OF_TENSORFLOW.fullmatch(name)]


def of_checkpoints(folder, prefix):
    """Returns the files of checkpoints of which other files were never written.

    A checkpoint that was whole once is left, whatever is lost of it: its files may be
    of use when the others come back. Its `.meta` is written last, and the list of
    checkpoints names it.

    Args:
      folder: path, into which no other process writes checkpoints.
      prefix: of the names of the checkpoints; a step follows.
    """
    listed = listed_checkpoints(folder)
    if listed is None:
        return []
    parts = {}
    for name, path in _entries(folder):
        match = checkpoint_files.PART.fullmatch(name)
        checkpoint = match and match.group("checkpoint")
        if match and re.fullmatch(re.escape(prefix) + r"-\d+", checkpoint):
            parts.setdefault(checkpoint, []).append((match, path))
    found = []
    for name, each in parts.items():
        endings = [match.group("ending") for match, _ in each]
        if name in listed or "meta" in endings:
            continue
        counts = [int(match.group("count") or 0) for match, _ in each]
        num_data = sum(map(bool, counts))
        if "index" not in endings or num_data == 0 or num_data < max(counts):
            found += [path for _, path in each]
    return found


def listed_checkpoints(folder):
    """Returns the names of checkpoints in the list that TensorFlow keeps of them.

    Args:
      folder: path.

    Returns:
      set of str, empty without a list; None if the list is damaged.
    """
    try:
        listed = checkpoint_files.read_list(folder)
    except (OSError, ValueError):
        return None
    return listed.names if listed else set()


def temporary(folder):
    """Returns all files and folders named `*.tmp`, but for those of other writers.

    Args:
      folder: path, into which no other process of this host writes for long.
    """
    left = set(of_processes(folder))
    return [
        path
        for name, path in _entries(folder)
        if name.endswith(".tmp") and (path in left or not _TEMPORARY.fullmatch(name))
    ]


def remove(paths):
    """Removes files and folders; returns their size in bytes."""
    return sum(map(_remove, paths))


def _entries(folder):
    try:
        return [(name, os.path.join(folder, name)) for name in os.listdir(folder)]
    except OSError:
        return []


def _is_left(path, match):
    """Returns whether the writer of a temporary file of this host is gone."""
    if match.group("host") != files.host():
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(int(match.group("pid")), 0)
        except (ProcessLookupError, OverflowError):
            return os.path.isdir(path) or not _is_locked(path)
    return False


def _is_locked(path):
    """Returns whether a writer lives, perhaps in a container with other process ids."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as reader:
        try:
            fcntl.flock(reader, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # a file system without locks
    return False


def _remove(path):
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            size = sum(
                os.lstat(os.path.join(parent, name)).st_size
                for parent, _, names in os.walk(path)
                for name in names
            )
            shutil.rmtree(path)
        else:
            size = os.lstat(path).st_size
            os.remove(path)
        return size
    return 0
