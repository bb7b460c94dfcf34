"""Ways in which a file is damaged."""

import os
import shutil


def _flip(path, place):
    with open(path, "rb+") as file:
        file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 64]))


def _put(path, content):
    with open(path, "wb") as writer:
        writer.write(content)


def _double(path):
    with open(path, "rb") as reader:
        content = reader.read()
    _put(path, content * 2)


def _make_folder(path):
    os.remove(path)
    os.mkdir(path)
    _put(os.path.join(path, "kept"), b"")


def _link(path):
    os.remove(path)
    os.symlink(f"{path}.gone", path)


def _pipe(path):
    os.remove(path)
    os.mkfifo(path)


# Name of each way -> function of the path of a file that is not empty.
WAYS = {
    "empty": lambda path: os.truncate(path, 0),
    "cut in half": lambda path: os.truncate(path, os.path.getsize(path) // 2),
    "cut by a byte": lambda path: os.truncate(path, os.path.getsize(path) - 1),
    "first byte flipped": lambda path: _flip(path, 0),
    "middle byte flipped": lambda path: _flip(path, os.path.getsize(path) // 2),
    "last byte flipped": lambda path: _flip(path, -1),
    "text": lambda path: _put(path, b"junk\n" * 20),
    "binary": lambda path: _put(path, bytes(range(256))),
    "zeros": lambda path: _put(path, bytes(os.path.getsize(path))),
    "longer": _double,
    "folder": _make_folder,
    "broken link": _link,
    "pipe": _pipe,
    "gone": os.remove,
}


def copy_over(source, path):
    """Puts the content of another file into a file."""
    shutil.copyfile(source, path)
