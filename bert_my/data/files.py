"""Writing files so that a reader never finds half of one."""

import contextlib
import json
import os
import shutil
import tempfile

from bert_my.data.errors import InputError


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
