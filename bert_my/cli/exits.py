"""Exit of a command line whose input is wrong: one line and a status."""

import contextlib
import re
import sys

import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError

# TensorFlow puts errors of Python functions in a graph, with their traceback, into the
# message of its own error.
_WITHIN_GRAPH = re.compile(r"\bInputError: (.*?)\nTraceback ", re.DOTALL)


@contextlib.contextmanager
def one_line_for(*errors):
    """Ends the program with one line for an `InputError` or one of `errors`."""
    try:
        yield
    except (InputError, *errors) as error:
        sys.exit(f"error: {error}")
    except tf.errors.UnknownError as error:
        found = _WITHIN_GRAPH.search(str(error))
        if not found:
            raise
        sys.exit(f"error: {found.group(1)}")
