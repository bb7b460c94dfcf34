"""The error for wrong input of users: files, rows, flags."""

import difflib
import os


class InputError(Exception):
    """Names the wrong file, row, variable or flag; shown without a traceback."""


class WriteError(InputError):
    """Names a file or folder that cannot be written."""


def did_you_mean(word, known, form="{}"):
    """Returns "; did you mean ...?" with the known word that is the most alike, or "".

    Args:
      word: as it was typed.
      known: iterable of words.
      form: format string of the word that is shown.
    """
    by_lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), by_lowered, n=1, cutoff=0.7)
    return f"; did you mean {form.format(by_lowered[near[0]])}?" if near else ""


def no_such_path(path, what):
    """Returns the reason for a path that does not exist, with a near one if there is.

    Args:
      path: str.
      what: "file" or "folder".
    """
    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(folder):
        return f"there is no such {what}, and no folder {folder}"
    is_wanted = os.path.isfile if what == "file" else os.path.isdir
    names = [x for x in os.listdir(folder) if is_wanted(os.path.join(folder, x))]
    near = did_you_mean(name, names, os.path.join(os.path.dirname(path), "{}"))
    return f"there is no such {what}{near}"
