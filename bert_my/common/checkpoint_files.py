"""The files of TensorFlow's checkpoints: their names, and the list of a folder.

Needs no TensorFlow.
"""

import ast
import os
import re
from typing import List, NamedTuple

LIST = "checkpoint"  # name of the file that lists the checkpoints in its folder
INDEX = ".index"  # ending of the file that each checkpoint has
# A file of a checkpoint; `count` is the number of its files with data.
PART = re.compile(
    r"(?P<checkpoint>.*)\.(?P<ending>index|meta|data-\d+-of-(?P<count>\d+))", re.S
)
_LATEST, _ALL = b"model_checkpoint_path", b"all_model_checkpoint_paths"
# A field in the text format of protocol buffers.
_LINE = re.compile(rb'\s*(\w+)\s*:\s*(?:("(?:[^"\\]|\\.)*")|[-+.\w]+)\s*')


class Listed(NamedTuple):
    """The list of the checkpoints in a folder: paths as they stand there.

    latest: of the one that is to be used.
    all_paths: oldest first; the last one was written last.
    """

    latest: str
    all_paths: List[str]

    @property
    def names(self):
        """The set of the names, without folders."""
        return {os.path.basename(path) for path in (self.latest, *self.all_paths)}


def without_ending(path):
    """Returns the path of a checkpoint, given that of one of its files or its own."""
    part = PART.fullmatch(path)
    return part.group("checkpoint") if part else path


def read_list(folder):
    """Returns the `Listed` of a folder, None without a list.

    Raises:
      OSError: if the list cannot be read.
      ValueError: if it is damaged.
    """
    path = os.path.join(folder, LIST)
    if not os.path.lexists(path):
        return None
    with open(path, "rb") as reader:
        data = reader.read()
    found = {_LATEST: [], _ALL: []}
    for line in filter(bytes.strip, data.split(b"\n")):
        match = _LINE.fullmatch(line)
        if not match:
            raise ValueError("it is no list of checkpoints")
        field, text = match.groups()
        if field in found:
            found[field].append(_unquote(text))
    if not found[_LATEST]:
        raise ValueError("it names no checkpoint")
    return Listed(found[_LATEST][-1], found[_ALL])


def _unquote(literal):
    """Returns the text of a string in the text format of protocol buffers."""
    try:
        # Bytes that are no ASCII stand there as they are, or as escapes.
        text = literal.decode("latin-1").encode("ascii", "backslashreplace").decode()
        name = os.fsdecode(ast.literal_eval(f"b{text}"))
    except (AttributeError, ValueError, SyntaxError):
        name = ""
    if not name or "\0" in name:
        raise ValueError("a path in it is none")
    return name
