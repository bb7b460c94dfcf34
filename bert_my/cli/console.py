"""Log output and exit status of command lines. Needs no TensorFlow."""

import contextlib
import logging
import os
import re
import sys
import tempfile
import warnings

from bert_my.common import progress
from bert_my.common.errors import InputError

# TensorFlow puts errors of Python functions in a graph, with their traceback, into the
# message of its own error.
_WITHIN_GRAPH = re.compile(r"\bInputError: (.*?)\nTraceback ", re.DOTALL)


# Lines of TensorFlow's libraries that are no errors, though some are marked E.
_OF_LIBRARIES = re.compile(
    rb"WARNING: All log messages before absl|[IW]\d{4} |.*Unable to register cu|"
    rb"\d{4}-\d\d-\d\d [\d:.]+: [IW] "
)


def is_debugging():
    """Returns whether the program was started with `--verbosity=debug`.

    TensorFlow's libraries have to know it when they are loaded, before flags are read.
    """
    words = " ".join(sys.argv[1:]).replace(" ", "=")
    return "--verbosity=debug" in words


@contextlib.contextmanager
def without_library_lines():
    """Keeps lines of TensorFlow's libraries off stderr while they are loaded.

    They write to the file descriptor. All other lines are written at the end.
    """
    if is_debugging() or os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1"):
        yield
        return
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            for line in kept:
                if not _OF_LIBRARIES.match(line):
                    os.write(2, line)


def set_verbosity(level):
    """Sets which lines are logged, from "debug" to "error"."""
    logging.getLogger("bert_my").setLevel(level.upper())


@contextlib.contextmanager
def _without_warnings():
    """Keeps warnings of libraries, as of numpy, off stderr, as their lines are."""
    with warnings.catch_warnings():
        if not is_debugging():
            warnings.simplefilter("ignore")
        yield


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
        with progress.heartbeat(), _without_warnings():
            yield
    except (InputError, *errors) as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # nobody reads on, as in "... | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        found = _WITHIN_GRAPH.search(str(error))
        # By its name, so that TensorFlow is not imported for it.
        if not found or type(error).__name__ != "UnknownError":
            raise
        sys.exit(f"error: {found.group(1)}")
