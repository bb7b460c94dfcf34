"""The one error for input that is not as it should be."""

import re


class InputError(Exception):
    """Says which file, row, variable or flag is wrong; shown without a traceback."""


def message_within(text):
    """Returns what an `InputError` says that was raised while a graph ran, or None.

    Args:
      text: of TensorFlow's error, which holds its traceback.
    """
    found = re.search(r"\bInputError: (.*?)\nTraceback ", text, re.DOTALL)
    return found and found.group(1)
