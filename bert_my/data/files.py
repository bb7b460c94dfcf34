"""Finding files, and writing them so that a reader never finds half of one."""

import contextlib
import glob
import json
import os
import shutil
import tempfile

from bert_my.data.errors import InputError


def find(patterns, flag):
    """Returns the paths of files, each once.

    Args:
      patterns: str, paths and globs separated by commas; what matches a glob is sorted.
      flag: name of the flag that gives them, for the error.

    Raises:
      InputError: naming the pattern that matches no file.
    """
    paths = []
    for pattern in filter(None, patterns.split(",")):
        found = sorted(filter(os.path.isfile, glob.glob(pattern)))
        if not found and os.path.isfile(pattern):  # a name with brackets in it
            found = [pattern]
        if not found:
            raise InputError(f"--{flag}: there is no file {pattern}")
        known = {os.path.realpath(path) for path in paths}
        paths += [path for path in found if os.path.realpath(path) not in known]
    if not paths:
        raise InputError(f"--{flag} is needed: paths or globs, separated by commas")
    return paths


@contextlib.contextmanager
def replacing_path(path):
    """Gives a temporary path; what is written there takes `path` when all went well."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


@contextlib.contextmanager
def replacing(path):
    """Opens a text file for writing that takes its name only when it is complete."""
    with replacing_path(path) as temporary, open(
        temporary, "w", encoding="utf-8", newline=""
    ) as writer:
        yield writer


def make_folder(path, flag):
    """Makes a folder; raises an `InputError` with the flag if it cannot be written."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"--{flag}={path}: cannot be written: {error}") from error


def is_in(path, folder):
    """Whether a file lies directly in a folder."""
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def copy(source, path):
    """Copies a file; a file onto itself is left as it is."""
    if os.path.exists(path) and os.path.samefile(source, path):
        return
    with replacing_path(path) as temporary:
        shutil.copyfile(source, temporary)


def write_json(path, value):
    """Writes a value as indented JSON."""
    with replacing(path) as writer:
        json.dump(value, writer, indent=2, ensure_ascii=False, sort_keys=True)
        writer.write("\n")
