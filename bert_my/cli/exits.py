"""How a command line ends when its input is wrong."""

import contextlib
import re
import sys

import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError

# What functions within a graph raise stands in TensorFlow's error, with a traceback.
_WITHIN_GRAPH = re.compile(r"\bInputError: (.*?)\nTraceback ", re.DOTALL)


@contextlib.contextmanager
def one_line_for(*errors):
    """Ends the program with one line for an `InputError`, or another of these."""
    try:
        yield
    except (InputError, *errors) as error:
        sys.exit(f"error: {error}")
    except tf.errors.UnknownError as error:
        found = _WITHIN_GRAPH.search(str(error))
        if not found:
            raise
        sys.exit(f"error: {found.group(1)}")
