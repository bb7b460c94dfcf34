"""Progress of long work: bars on a terminal, lines elsewhere, never a long silence."""

import contextlib
import logging
import math
import sys
import threading
import time

from tqdm import tqdm

from bert_my.common import signals

logger = logging.getLogger(__name__)

SECONDS = 10.0  # between lines, at most
# Before a line would come too late.
_HEARTBEAT_SECONDS = SECONDS - 0.5

_stages = []  # functions without arguments to the text of what is done, the inner last


class Bar(tqdm):
    """A bar of `tqdm`; if stderr is no terminal, a line every `SECONDS`."""

    def __init__(self, what, unit, total=None, **more):
        """Begins at 0.

        Args:
          what: is done, for example "Encoding".
          unit: of `update`, for example "rows".
          total: (optional) number of units at the end.
          **more: arguments of `tqdm`.
        """
        super().__init__(
            desc=what,
            unit=f" {unit}",
            total=total,
            disable=not sys.stderr.isatty(),
            **more,
        )
        self._what, self._unit, self._total = what, unit, total
        self._done, self._logged_at = 0, time.monotonic()
        self._stage = lambda: self._beat()
        _stages.append(self._stage)

    def update(self, n=1):
        """Counts units that are done."""
        signals.check()
        super().update(n)
        self._done += n
        if self.disable and time.monotonic() - self._logged_at >= SECONDS:
            logger.info("%s", self._beat())

    def close(self):
        """Ends the bar."""
        if self._stage in _stages:
            _stages.remove(self._stage)
        super().close()

    def _beat(self):
        """Returns the text of a line that is shown now."""
        self._logged_at = time.monotonic()
        of = f" of {self._total:,}" if self._total else ""
        return f"{self._what}: {self._done:,}{of} {self._unit}"


@contextlib.contextmanager
def stage(what):
    """Names what is done in a block, for the lines of `heartbeat`; may be nested."""
    began = time.monotonic()

    def line():
        return f"{what}, {time.monotonic() - began:.0f} s"

    _stages.append(line)
    try:
        yield
    finally:
        _stages.remove(line)


class _LastLine(logging.Handler):
    """Keeps the first line of the last message, and when anything was shown."""

    def __init__(self):
        super().__init__()
        self.message, self.began = "Start", time.monotonic()
        self.shown_at = self.began

    def emit(self, record):
        self.message = record.getMessage().partition("\n")[0].rstrip(":")
        self.began = self.shown_at = time.monotonic()


_last = _LastLine()


def _silence():
    """Returns the seconds since a line was shown, or a bar has moved on a terminal."""
    with tqdm.get_lock():
        moved_at = [bar.last_print_t for bar in tqdm._instances]
    since_move = time.time() - max(moved_at) if moved_at else math.inf
    return min(time.monotonic() - _last.shown_at, since_move)


@contextlib.contextmanager
def heartbeat(seconds=_HEARTBEAT_SECONDS):
    """Writes a line to stderr whenever none was logged for some seconds in a block.

    The line is that of the inner `stage` or `Bar`, else the last message with the time
    since then. It comes from a thread, which sleeps in between and does not disturb
    timings. There is none if the log shows warnings only.
    """
    ended, log = threading.Event(), logging.getLogger("bert_my")
    is_inner = _last in log.handlers

    def repeat():
        while not ended.wait(seconds - _silence()):
            if _silence() < seconds:
                continue
            _last.shown_at = time.monotonic()
            text = _stages[-1]() if _stages else _since_last()
            if log.level <= logging.INFO:
                now = time.strftime("%H:%M:%S")
                sys.stderr.write(f"{now} {text}\n")
                sys.stderr.flush()

    _last.shown_at = time.monotonic()
    log.addHandler(_last)
    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(1.0)  # a signal may have left the lock of `tqdm` closed
        if not is_inner:
            log.removeHandler(_last)


def _since_last():
    return f"{_last.message}, {time.monotonic() - _last.began:.0f} s"
