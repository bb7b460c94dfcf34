"""Finding files, their digests, and writing files whole or not at all."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
from typing import NamedTuple

from bert_my.common.errors import InputError, WriteError


def find(patterns, flag):
    """Returns the paths of files, each once.

    Args:
      patterns: str, paths and globs separated by commas; what matches a glob is sorted.
      flag: name of the flag that gives them, for the error.

    Raises:
      InputError: naming the pattern that matches no file, or what it matches that is
        neither a file nor a folder, as a link to nothing.
    """
    paths = []
    for pattern in filter(None, patterns.split(",")):
        matching = sorted(glob.glob(pattern))
        for path in matching:
            if not os.path.isfile(path) and not os.path.isdir(path):
                raise InputError(f"--{flag}: {path} is no file that can be read")
        found = list(filter(os.path.isfile, matching))
        if not found and os.path.isfile(pattern):  # a name with brackets in it
            found = [pattern]
        if not found:
            raise InputError(f"--{flag}: there is no file {pattern}")
        known = {os.path.realpath(path) for path in paths}
        paths += [path for path in found if os.path.realpath(path) not in known]
    if not paths:
        raise InputError(f"--{flag} is needed: paths or globs, separated by commas")
    return paths


# Digests of files that were read to their end: (identity, hex digest) by path.
_digests = {}


class HashedFile(io.FileIO):
    """A file whose bytes are hashed while they are read."""

    def __init__(self, path):
        super().__init__(path)
        self._path = path
        self._identity = _identity(os.fstat(self.fileno()))
        self._hash = hashlib.blake2b(digest_size=16)

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if count:
            self._hash.update(memoryview(buffer)[:count])
        else:
            _digests[self._path] = self._identity, self._hash.hexdigest()
        return count


def _identity(status):
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def digest(path):
    """Returns the hex digest of a file's bytes.

    A file that this process has read to its end, as `text_files.read_lines` does, is
    not read again unless it has changed since.

    Raises:
      InputError: if the file cannot be read.
    """
    with reading(path):
        identity, found = _digests.get(path, (None, None))
        if identity != _identity(os.stat(path)):
            with HashedFile(path) as raw:
                block = bytearray(1 << 20)
                while raw.readinto(block):
                    pass
            found = _digests[path][1]
        return found


# Files from this size on, in bytes, are not read again if path, size and time are as
# they were.
_LARGE = 1 << 26


class Content(NamedTuple):
    """A file: where it was found, and a digest of its content."""

    path: str
    size: int
    mtime_ns: int
    digest: str


def contents(paths, known=()):
    """Returns the tuple of the `Content`s of files.

    Args:
      paths: list of str.
      known: (optional) `Content`s of earlier runs; a large file is not read again if
        its path, size and time are the same.

    Raises:
      InputError: naming the file that cannot be read.
    """
    states, found = {each[:3]: each for each in known}, []
    for path in paths:
        with reading(path):
            status = os.stat(path)
        state = os.path.abspath(path), status.st_size, status.st_mtime_ns
        if status.st_size < _LARGE or state not in states:
            states[state] = Content(*state, digest(path))
        found.append(states[state])
    return tuple(found)


@contextlib.contextmanager
def reading(path):
    """Turns an `OSError` of reading a file or folder into an `InputError`."""
    with _named(InputError, path, "read"):
        yield


@contextlib.contextmanager
def writing(path):
    """Turns an `OSError` of writing a file or folder into an `InputError`."""
    with _named(WriteError, path, "written"):
        yield


@contextlib.contextmanager
def _named(error_class, path, done, *aliases):
    """Raises an error `PATH: cannot be DONE: REASON` for an `OSError`.

    An error that names another file than `path` and its `aliases` is not changed, and
    neither is that of a pipe that nobody reads.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename not in (None, path, *aliases):
            raise
        reason = error.strerror or error
        raise error_class(f"{path}: cannot be {done}: {reason}") from error


def reason_of(message):
    """Returns the operating system's reason in the message of a library's error.

    Without one it is the first line of the message.
    """
    reasons = filter(message.__contains__, map(os.strerror, errno.errorcode))
    return next(reasons, message.strip().partition("\n")[0])


def host():
    """Returns the name of this host as it stands in names of temporary files."""
    return os.uname().nodename.replace(".", "-")[:32]


def _temporary(path):
    """Returns a temporary name, `PATH.HOST.PID.RANDOM.tmp`; see `leftovers`."""
    return f"{path}.{host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


@contextlib.contextmanager
def replacing_path(path, sync=False):
    """Gives a temporary path; what is written there takes `path` when all went well.

    The temporary file, `PATH.HOST.PID.RANDOM.tmp`, exists from the start and is locked
    by `flock` as long as its writer lives.

    Args:
      path: of the file.
      sync: whether file and folder are on the disk at the end, so that a power cut
        leaves the old or the new file; for small files.

    Raises:
      InputError: if the file cannot be written, or `path` is a folder.
    """
    temporary = _temporary(path)
    with _named(WriteError, path, "written", temporary):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
            if sync:
                os.fsync(descriptor)
            os.replace(temporary, path)
            if sync:
                sync_folder(os.path.dirname(path))
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.remove(temporary)


def sync_folder(folder):
    """Waits until the names in a folder are on the disk, where that can be had."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def replacing(path):
    """Opens a text file for writing that takes its name only when it is complete.

    Raises:
      InputError: if the file cannot be written.
    """
    with replacing_path(path, sync=True) as temporary, io.TextIOWrapper(
        io.BufferedWriter(_NamedFile(temporary, "w")), encoding="utf-8", newline=""
    ) as writer:
        yield writer


class _NamedFile(io.FileIO):
    """A file whose errors of writing name it: several may be open at once."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.name
            raise


@contextlib.contextmanager
def temporary_folder(path):
    """Makes a folder with a temporary name beside `path`, and removes it at the end.

    Raises:
      InputError: if the folder cannot be written.
    """
    temporary = _temporary(path)
    with _named(WriteError, path, "written", temporary):
        os.makedirs(temporary)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path, flag):
    """Makes a folder; raises an `InputError` with the flag if it cannot be written."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise WriteError(f"--{flag}={path}: cannot be written: {reason}") from error


def is_in(path, folder):
    """Returns whether a file lies directly in a folder."""
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def copy(source, path):
    """Copies a file; a file onto itself is left as it is."""
    if os.path.exists(path) and os.path.samefile(source, path):
        return
    with replacing_path(path) as temporary:
        shutil.copyfile(source, temporary)


def read_json(path):
    """Returns the value in a JSON file.

    Raises:
      InputError: if the file cannot be read or is not JSON.
    """
    try:
        with reading(path), open(path, encoding="utf-8") as reader:
            return json.load(reader)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error


def read_saved(path, classes, untold):
    """Returns the class that a JSON file names by `kind`, and the other settings.

    Args:
      path: of the file.
      classes: the classes that it may name; each has a `kind`.
      untold: what is not known of a model without the file, for the error.

    Raises:
      InputError: if the file is missing, cannot be read or names no such class.
    """
    if not os.path.exists(path):
        raise InputError(
            f"{path}: there is no such file; models that were trained or exported "
            f"before it was written do not tell {untold}"
        )
    settings = read_json(path)
    kind = settings.pop("kind", None) if isinstance(settings, dict) else None
    found = {each.kind: each for each in classes}
    if kind not in found:
        raise InputError(
            f"{path}: kind is {kind!r}; it must be one of {', '.join(sorted(found))}"
        )
    return found[kind], settings


def write_json(path, value, sort_keys=True):
    """Writes a value as indented JSON."""
    with replacing(path) as writer:
        json.dump(value, writer, indent=2, ensure_ascii=False, sort_keys=sort_keys)
        writer.write("\n")
