"""Log output and exit status of command lines. Needs no TensorFlow."""

import contextlib
import logging
import re
import sys

from bert_my.common.errors import InputError

# TensorFlow puts errors of Python functions in a graph, with their traceback, into the
# message of its own error.
_WITHIN_GRAPH = re.compile(r"\bInputError: (.*?)\nTraceback ", re.DOTALL)


def set_verbosity(level):
    """Sets which lines are logged, from "debug" to "error"."""
    logging.getLogger("bert_my").setLevel(level.upper())


@contextlib.contextmanager
def command_line(*errors):
    """Logs to stderr with the time; ends the program with one line for wrong input.

    Args:
      *errors: classes of errors that are one line, besides `InputError`.
    """
    logger = logging.getLogger("bert_my")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    except (InputError, *errors) as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        found = _WITHIN_GRAPH.search(str(error))
        # By its name, so that TensorFlow is not imported for it.
        if not found or type(error).__name__ != "UnknownError":
            raise
        sys.exit(f"error: {found.group(1)}")
