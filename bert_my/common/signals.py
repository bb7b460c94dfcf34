"""Ctrl-C, SIGTERM and SIGHUP: the first ends the program in order, the second at once.

A signal that is ignored when the program starts, as SIGHUP is under nohup, stays so.
"""

import contextlib
import os
import signal
import threading
import time

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Signals that come within this time of one another count once: `timeout` sends its
# signal to the process and then to its group, and others send SIGHUP after SIGTERM.
_SECONDS_OF_ONE = 0.1

_received = None  # the number of the first signal
_num_deferring = 0  # blocks of `deferred` that are open
_is_handling = False
_when_leaving = []  # functions to call at the second signal


class Stopped(SystemExit):
    """A signal ends the program, with the exit status 128 + its number.

    number: of the signal.
    message: the line that is shown.
    """

    def __init__(self, number, message=""):
        super().__init__(128 + number)
        self.number = number
        self.message = message or f"Stopped by {name_of(number)}"


def name_of(number):
    """Returns the name of a signal."""
    return signal.Signals(number).name


def requested():
    """Returns the number of the signal that came, or None."""
    return _received


def check():
    """Raises `Stopped` if a signal came and the `Stopped` of its handler was lost.

    Python loses exceptions of handlers that run within callbacks and destructors.
    """
    if _received and not _num_deferring:
        raise Stopped(_received)


@contextlib.contextmanager
def handled():
    """Within the block the first signal raises `Stopped`, in the main thread.

    The second one ends the process at once, also within code of libraries.
    """
    global _received, _is_handling
    if _is_handling or threading.current_thread() is not threading.main_thread():
        yield
        return
    _received, _is_handling = None, True
    before = _set(_receive)
    try:
        with _second_leaves():
            yield
    finally:
        _received, _is_handling = None, False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred():
    """Within the block a signal raises nothing; the block has to ask `requested`."""
    global _num_deferring
    _num_deferring += 1
    try:
        yield
    finally:
        _num_deferring -= 1


@contextlib.contextmanager
def when_leaving(function):
    """Within the block a second signal calls a function, from a thread."""
    _when_leaving.append(function)
    try:
        yield
    finally:
        _when_leaving.remove(function)


def leave_at_once():
    """Makes a signal end the process with one line, until `handled` takes over.

    For the time in which a script loads its libraries: there is nothing to save.
    """
    stderr = os.dup(2)  # of which library lines are not taken

    def leave(number, _):
        os.write(stderr, f"{Stopped(number).message}\n".encode())
        os._exit(128 + number)

    _set(leave)


def _set(handler):
    """Sets a handler of the signals that are not ignored; returns those before."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    before = {number: each for number, each in before.items() if each != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    return before


def _receive(number, _):
    global _received
    if _received is None:
        _received = number
        check()


@contextlib.contextmanager
def _second_leaves():
    """Ends the process at the second signal of the block.

    A handler in Python has to wait until a call of a library returns; the thread that
    reads the bytes that signals leave in a pipe need not.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(reader,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writer, b"\0")
        thread.join()
        os.close(reader)
        os.close(writer)


def _watch(reader):
    """Reads numbers of signals, each a byte, until a 0 comes."""
    first_at = None
    for number in iter(lambda: os.read(reader, 1)[0], 0):
        if number not in STOPPING:
            continue
        now = time.monotonic()
        if first_at is None:
            first_at = now
        elif now - first_at > _SECONDS_OF_ONE:
            for function in _when_leaving:
                with contextlib.suppress(OSError):
                    function()
            os._exit(128 + number)


def _forget_in_child():
    """Keeps signals of forked processes out of the pipe of their parent."""
    if _is_handling:
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_in_child)


def leave_to_parent():
    """Ignores the signals of a terminal in this forked process."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
