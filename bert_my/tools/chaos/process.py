"""Starting, disturbing and ending a command, and what came of it."""

import contextlib
import gc
import math
import os
import re
import resource
import runpy
import shlex
import signal
import subprocess
import sys
import time
import traceback
from typing import NamedTuple, Optional

ORPHAN_SECONDS = 5.0  # in which child processes have to end after their parent
_TRACEBACK = "Traceback (most recent call last)"


class Outcome(NamedTuple):
    """The end of a process."""

    code: Optional[int]  # exit code, negative: the signal that ended it; None: it hung
    text: str  # standard output and error
    num_orphans: int  # child processes that outlived it
    seconds: float

    @property
    def errors(self):
        """The lines by which a command line refuses or gives up."""
        return re.findall("^error: .*", self.text, re.MULTILINE)

    def summary(self):
        """Returns the end in a few words."""
        if self.code is None:
            return f"no end after {self.seconds:.0f} s"
        if self.errors:
            return self.errors[-1]
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        return f"exit {self.code}"

    def fault(self):
        """Returns what no end may look like, or None."""
        if self.code is None:
            return "hang"
        if _TRACEBACK in self.text:
            lines = self.text[self.text.index(_TRACEBACK) :].splitlines()
            # The first line after the frames names the exception.
            last = next((x for x in lines[1:] if x[:1] not in (" ", "")), "")
            return f"traceback, {len(lines)} lines: {last}"
        if self.num_orphans:
            return f"{self.num_orphans} child processes outlived it"
        return None

    def refusal_fault(self):
        """Returns why the end is no proper refusal, or None; see `fault`."""
        if self.fault():
            return self.fault()
        if self.code < 0:
            return f"crash: {signal.Signals(-self.code).name}"
        if len(self.errors) != 1:
            return f"exit {self.code} with {len(self.errors)} lines of error"
        return None


class Launcher:
    """Starts commands as processes of their own, or forked from this one.

    A forked start saves the loading of TensorFlow. This process must not make sessions,
    whose threads a forked process lacks.
    """

    def __init__(self, seconds, script=None):
        """Loads what the script needs, if starts are to be forked.

        Args:
          seconds: after which a start counts as hanging, or None.
          script: (optional) (index, path) of the Python script in the command.
        """
        self.seconds = seconds
        self._index = None
        if script:
            self._index, path = script
            sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
            runpy.run_path(path, run_name="loaded_by_chaos")
            # As long as nothing of it is looked at again, forked processes share it.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20000, 5, 5)

    def start(self, words, log, setup=(), max_bytes=None):
        """Starts a command; returns a `Process`, whose block ends it.

        Args:
          words: list of str.
          log: path of the file that its output is added to.
          setup: functions that are called in the new process first.
          max_bytes: (optional) of every file that it writes.
        """
        return Process(words, log, self._index, setup, max_bytes, self.seconds)

    def run(self, *args, **kwargs):
        """Starts a command and waits for its end; returns an `Outcome`."""
        with self.start(*args, **kwargs) as process:
            return process.finish()


class Process:
    """A started command, the leader of a session with all of its child processes."""

    def __init__(self, words, log, script_index, setup, max_bytes, seconds):
        self._log, self._seconds = log, seconds
        self._code, self._copier = None, None
        with open(log, "ab") as stream:
            stream.write(f"$ {' '.join(map(shlex.quote, words))}\n".encode())
            stream.flush()
            self._first_byte = stream.tell()
            output = stream.fileno()
            if max_bytes is not None:
                # The log has to grow beyond the limit: another process writes it.
                self._copier = subprocess.Popen(
                    ["cat"], stdin=subprocess.PIPE, stdout=stream
                )
                output = self._copier.stdin.fileno()
                setup = [*setup, lambda: _limit_files(max_bytes)]
            self._began = time.monotonic()
            self.pid = os.fork()
            if self.pid == 0:
                _start(words, script_index, output, setup)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.send(signal.SIGKILL)
        self._wait(ORPHAN_SECONDS)
        for pid in _members(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._copier:
            self._copier.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._copier.wait(ORPHAN_SECONDS)
            self._copier.kill()

    def is_running(self):
        """Returns whether the command itself has not ended."""
        return self._wait(0) is None

    def send(self, number, to_group=False):
        """Sends a signal to the command, or to all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            if to_group:
                os.killpg(self.pid, number)
            elif self.is_running():
                os.kill(self.pid, number)

    def finish(self):
        """Waits for the end; returns an `Outcome`."""
        self._wait(self._seconds)
        code, seconds = self._code, time.monotonic() - self._began
        if code is None:
            self.send(signal.SIGKILL, to_group=True)
            self._wait(ORPHAN_SECONDS)
        until, orphans = time.monotonic() + ORPHAN_SECONDS, _members(self.pid)
        while orphans and time.monotonic() < until:
            time.sleep(0.05)
            orphans = _members(self.pid)
        self.__exit__()
        with open(self._log, "rb") as stream:
            stream.seek(self._first_byte)
            text = stream.read().decode("utf-8", errors="replace")
        return Outcome(code, text, len(orphans), seconds)

    def _wait(self, seconds):
        """Returns the exit code, None if the command has not ended by then."""
        until = math.inf if seconds is None else time.monotonic() + seconds
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                is_exit = os.WIFEXITED(status)
                self._code = os.WEXITSTATUS(status) if is_exit else -os.WTERMSIG(status)
            elif time.monotonic() >= until:
                break
            else:
                time.sleep(0.01)
        return self._code


def _start(words, script_index, output, setup):
    """Becomes the command; never returns.

    Args: see `Launcher.start`; `script_index` is that of the script to run in this
      process, None to start the program; `output` is a file descriptor.
    """
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        for each in setup:
            each()
        # A job in the background of a script ignores Ctrl-C, and so would its children.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if script_index is None:
            os.execvp(words[0], words)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = words[script_index:]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:  # as Python ends
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _limit_files(num_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of the write instead


def _members(session):
    """Returns the processes of a session that are not zombies."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stream:
            # After the name, which may hold anything: state, parent, group, session.
            state, _, _, its_session = stream.read().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(name))
    return found
