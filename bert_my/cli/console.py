"""What a command line shows."""

import contextlib
import logging
import re
import sys

import tensorflow.compat.v1 as tf

from bert_my.data.errors import InputError

# What functions within a graph raise stands in TensorFlow's error, with a traceback.
_WITHIN_GRAPH = re.compile(r"\bInputError: (.*?)\nTraceback ", re.DOTALL)


def log_to_stderr():
    """Shows what is logged, with the time."""
    logger = logging.getLogger("bert_my")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


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
