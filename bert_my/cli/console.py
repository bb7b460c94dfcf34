"""Log output and exit status of command lines. Needs no TensorFlow."""

import atexit
import contextlib
import logging
import os
import re
import sys
import tempfile
import traceback
import warnings

from bert_my.common import progress, signals
from bert_my.common.errors import InputError

# TensorFlow puts errors of Python functions in a graph, with their traceback, into the
# message of its own error.
_WITHIN_GRAPH = re.compile(r"\bInputError: (.*?)\nTraceback ", re.DOTALL)

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
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
    try:
        kept = tempfile.TemporaryFile()  # noqa: SIM115
    except OSError:  # no folder for temporary files can be written
        yield
        return
    stderr = os.dup(2)
    with kept, warnings.catch_warnings():
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


def is_script():
    """Returns whether the program is one of this project's scripts."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return False
    folder, root = os.path.dirname(os.path.abspath(path)), _ROOT
    return folder in (root, *(os.path.join(root, x) for x in ("bert_my", "scripts")))


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


def _leave(status):
    """Ends the process with a status, and without the end of the interpreter.

    Threads of a `tf.data` pipeline that is not at its end call Python; once the
    interpreter ends, they wait for ever or abort the process. It ends after some tenths
    of a second, in which a signal would have no handler any more.
    """
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads on, or a full disk
        status = status or 1
    os._exit(status or 0)


@contextlib.contextmanager
def command_line(*errors):
    """Runs a command line as `_reporting` does; a script ends with the block."""
    if not is_script():
        with _reporting(*errors):
            yield
        return
    status = None
    try:
        with _reporting(*errors):
            yield
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
        status = 1
    _leave(status)


@contextlib.contextmanager
def _reporting(*errors):
    """Logs to stderr with the time; ends the program with one line for wrong input.

    So it does for files that cannot be read or written, and for signals, see
    `signals.handled`.

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
        with signals.handled(), progress.heartbeat(), _without_warnings():
            yield
    except signals.Stopped as stopped:
        with contextlib.suppress(OSError):  # a terminal that is gone
            print(stopped.message, file=sys.stderr, flush=True)
        raise
    except (InputError, *errors) as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # nobody reads on, as in "... | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if is_debugging():
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        sys.exit(f"error: {where}{error.strerror or error}")
    except Exception as error:
        found = _WITHIN_GRAPH.search(str(error))
        # By its name, so that TensorFlow is not imported for it.
        if not found or type(error).__name__ != "UnknownError":
            raise
        sys.exit(f"error: {found.group(1)}")
