"""Runs a command for every setting of a grid and every seed, and keeps a table of it.

A run is a process of its own, in a folder of its own, so a crash is that run's alone.
What has been run stands in the folders; the same sweep started again runs the rest.
"""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder as run_names
from bert_my.tools import sweep_failures, sweep_plan

RECORD, LOG, LOCK = "sweep_run.json", "log.txt", ".lock"
FINISHED, FAILED, STARTED, NOT_RUN = "finished", "failed", "not finished", "not run yet"
POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0  # for a run to end after it was interrupted
MAX_LOG_BYTES = 200000  # at the end of a log, of which a failure is told


def read_record(run):
    """Returns what `sweep_run.json` says about a run as a dict; {} if it was not run.

    Raises:
      InputError: if the folder of the run is used, but not by a sweep.
    """
    path = os.path.join(run.folder, RECORD)
    try:
        with open(path, encoding="utf-8") as reader:
            record = json.load(reader)
        record["command"], record["exit_code"]
        return record
    except FileNotFoundError:
        names = os.listdir(run.folder) if os.path.isdir(run.folder) else []
        # A half-written record is there if the first one was cut off.
        if any(not name.startswith(RECORD) for name in names):
            raise InputError(
                f"{run.folder}: holds files, but no {RECORD}: it is not of a sweep; "
                "move it away, or give another --output_dir"
            ) from None
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not the record of a run: {error!r}") from error


def get_state(run):
    """Returns one of the four states of a run, from what is in its folder."""
    record = read_record(run)
    if not record:
        return NOT_RUN
    if record["exit_code"] is None:
        return STARTED
    return FINISHED if record["exit_code"] == 0 and _has_results(run) else FAILED


def _has_results(run):
    """Whether there is a readable file of results."""
    path = os.path.join(run.folder, run_names.RESULTS)
    try:
        with open(path, encoding="utf-8") as reader:
            return isinstance(json.load(reader), dict)
    except (OSError, ValueError):
        return False


def check_folders(plan, restart):
    """Makes sure that what is in the folders was run with the planned commands.

    Args:
      plan: `Plan`.
      restart: whether to delete the folders of other commands, instead of an error.
    """
    for run in plan.runs:
        record = read_record(run)
        if not record or record["command"] == run.command:
            continue
        if not restart:
            changed = set(record["command"]) ^ set(run.command)
            raise InputError(
                f"{run.folder}: was run with another command, which differs in "
                f"{_quote(sorted(changed))}; add --restart to delete such runs and "
                "run them anew, or give another --output_dir"
            )
        shutil.rmtree(run.folder)


def describe(plan):
    """Returns the commands of a plan, one a line; what is finished is a comment."""
    lines = []
    for run in plan.runs:
        is_same = read_record(run).get("command") == run.command
        is_finished = is_same and get_state(run) == FINISHED
        lines.append(("# finished: " if is_finished else "") + _quote(run.command))
    return "\n".join(lines)


def _quote(command):
    return " ".join(map(shlex.quote, command))


def run(plan, metrics=(), max_parallel=1, restart=False):
    """Runs what is not finished yet, and writes the table after every run.

    Args:
      plan: `Plan`.
      metrics: names of the metrics to show; see `sweeps.choose_metrics`.
      max_parallel: how many runs may be at work at once.
      restart: see `check_folders`.

    Returns:
      The exit status: 0 if all runs are finished, 1 if one failed, 130 after Ctrl-C.

    Raises:
      InputError: before anything is run, if a folder cannot be used.
    """
    files.make_folder(plan.folder, "output_dir")
    with _locked(plan.folder) as lock, _counted_signals() as signals:
        check_folders(plan, restart)
        _run_all(plan, metrics, max_parallel, lock, signals)
        _say(write_table(plan, metrics))
        _say(f"Table, plots and page: {plan.folder}")
        if signals:
            return 130
        return int(any(get_state(each) != FINISHED for each in plan.runs))


def _run_all(plan, metrics, max_parallel, lock, signals):
    """Starts runs and sees to those that end, until none is left or a signal came."""
    waiting = [each for each in plan.runs if get_state(each) != FINISHED]
    _say(f"{len(plan.runs)} runs, {len(waiting)} of them to be done")
    active, failures = [], sweep_failures.Failures()
    try:
        while (waiting or active) and not signals:
            while waiting and len(active) < max_parallel:
                active.append(_start(waiting.pop(0), lock))
                name = active[-1].run.name
                _say(f"{name}: started, {len(waiting)} more to start")
            ended = [each for each in active if each.process.poll() is not None]
            for each in ended:
                active.remove(each)
                _record_end(each, failures)
                write_table(plan, metrics)
            if not ended:
                time.sleep(POLL_SECONDS)
    finally:
        _stop(active, signals, failures)


def _say(text):
    """Prints a text."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Who read it, such as tee, was stopped: that must not cost the table.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Active(NamedTuple):
    """A run at work, and when it began in seconds."""

    run: sweep_plan.Run
    process: subprocess.Popen
    began: float


def _start(run, lock):
    """Starts a run; its process holds the lock of the sweep as well."""
    os.makedirs(run.folder, exist_ok=True)
    # Results are of this start, or there are none.
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(run.folder, run_names.RESULTS))
    _write_record(run, exit_code=None)
    with open(os.path.join(run.folder, LOG), "ab") as log:
        log.write(_first_line(run).encode())
        log.flush()
        # A session of its own: Ctrl-C comes here, and is passed on once.
        process = subprocess.Popen(
            run.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )
    return _Active(run, process, time.time())


def _write_record(run, **more):
    record = {"command": run.command, **more}
    files.write_json(os.path.join(run.folder, RECORD), record)


def _record_end(active, failures):
    """Notes how a run ended; shows why if it failed."""
    run, exit_code = active.run, active.process.returncode
    seconds = round(time.time() - active.began, 1)
    _write_record(run, exit_code=exit_code, seconds=seconds)
    state = get_state(run)
    _say(f"{run.name}: {state} after {seconds} s")
    if state == FINISHED:
        return
    if exit_code == 0:
        _say(f"  It left no {run_names.RESULTS}: is --do_eval missing?")
    path = os.path.join(run.folder, LOG)
    said = failures.describe(run, exit_code, path, _read_log(path, run))
    _say("\n".join(f"  {line}" for line in said))


def _read_log(path, run):
    """Returns the lines of the last start of a run, of a long log those at the end."""
    with open(path, "rb") as reader:
        reader.seek(max(0, os.path.getsize(path) - MAX_LOG_BYTES))
        text = reader.read().decode("utf-8", errors="replace")
    return text.rpartition(_first_line(run))[2].splitlines()


def _first_line(run):
    """Returns the line of a log with which a start of a run begins."""
    return f"$ {_quote(run.command)}\n"


def _stop(active, signals, failures):
    """Interrupts runs, and kills them if they do not end or a second signal comes."""
    _send(active, signal.SIGINT)
    deadline = time.time() + GRACE_SECONDS
    while any(each.process.poll() is None for each in active):
        if time.time() > deadline or len(signals) > 1:
            _send(active, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    for each in active:
        if each.process.returncode == 0:
            _record_end(each, failures)
        else:
            _say(f"{each.run.name}: stopped")


def _send(active, number):
    """Sends a signal to the processes of runs and to all that they started."""
    for each in active:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, number)


@contextlib.contextmanager
def _counted_signals():
    """Gives a list that grows with every signal to stop, instead of an exception.

    An exception could come between the start of a process and the note of it.
    """
    received = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored, as under nohup, stays ignored.
    before = {n: signal.getsignal(n) for n in numbers}
    before = {n: handler for n, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda signum, frame: received.append(signum))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _locked(folder):
    """Holds the lock of a sweep's folder; gives its file descriptor."""
    with open(os.path.join(folder, LOCK), "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another sweep, or a run that one left behind, is at work"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield stream.fileno()


def write_table(plan, metrics=()):
    """Writes the table of what is finished into the sweep's folder; returns it."""
    # Here, because it takes a second: --help and a wrong flag need not wait for it.
    from bert_my.tools import sweeps

    rows, main_metric = [], None
    for each in plan.runs:
        state = get_state(each)
        scores = sweeps.read_scores(each.folder) if state == FINISHED else None
        if state == FINISHED:
            main_metric = main_metric or sweeps.read_main_metric(each.folder)
        rows.append(sweeps.Run(each.name, each.setting, each.seed, state, scores))
    return sweeps.write(plan.folder, rows, metrics, main_metric)
