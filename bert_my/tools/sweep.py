"""Runs a command for every setting of a grid and every seed.

Each run is a process of its own in a folder of its own, so a crash ends only that run.
The folders tell which runs are finished; the same sweep started again does the rest.
"""

import contextlib
import fcntl
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.tools import sweep_plan

RECORD, LOG, LOCK = "sweep_run.json", "log.txt", ".lock"
FINISHED, FAILED, STARTED = "finished", "failed", "not finished"
NOT_METRICS = ("global_step", "loss")
POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0  # from the interruption of a run until it is killed
MAX_LOG_BYTES = 200000  # at the end of a log, searched for the reason of a failure
NUM_LOG_LINES = 12  # shown of a failed run
TRACEBACK = "Traceback (most recent call last):"
# Messages of TensorFlow's libraries below the level of an error.
CHATTER = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |WARNING:tensorflow:")


def read_record(run):
    """Returns `sweep_run.json` of a run as a dict; {} if the run was never started.

    Raises:
      InputError: if the folder of the run holds files, but none of a sweep.
    """
    path = os.path.join(run.folder, RECORD)
    try:
        with open(path, encoding="utf-8") as reader:
            record = json.load(reader)
        record["command"], record["exit_code"]
        return record
    except FileNotFoundError:
        names = os.listdir(run.folder) if os.path.isdir(run.folder) else []
        # Writing the first record leaves a partial file if it is cut off.
        if any(not name.startswith(RECORD) for name in names):
            raise InputError(
                f"{run.folder}: holds files, but no {RECORD}: it is not of a sweep; "
                "move it away, or give another --output_dir"
            ) from None
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not the record of a run: {error!r}") from error


def read_run(run):
    """Returns a `Run` with the state and the scores that its folder tells."""
    record = read_record(run)
    if not record:
        return run
    if record["exit_code"] is None:
        return run._replace(state=STARTED)
    scores = read_scores(run.folder) if record["exit_code"] == 0 else None
    return run._replace(state=FAILED if scores is None else FINISHED, scores=scores)


def read_scores(folder):
    """Returns the metrics of a run as a dict name -> float, None for undefined ones.

    Returns None if the folder has no readable `eval_results.json`.
    """
    results = _read_object(os.path.join(folder, run_folder.RESULTS))
    if results is None:
        return None
    return {
        name: float(value) if value is not None and math.isfinite(value) else None
        for name, value in results.items()
        if name not in NOT_METRICS
        and (value is None or type(value) in (int, float))  # bool is no number
    }


def read_main_metric(folder):
    """Returns the main metric in `task.json` of a run's folder, or None."""
    return (_read_object(os.path.join(folder, run_folder.TASK)) or {}).get(
        "main_metric"
    )


def _read_object(path):
    """Returns the dict in a JSON file, or None if there is none."""
    try:
        with open(path, encoding="utf-8") as reader:
            value = json.load(reader)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def check_folders(plan, restart):
    """Checks that the existing folders were made by the planned commands.

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
    """Returns the commands of a plan, one a line; finished ones are comments."""
    lines = []
    for run in plan.runs:
        is_same = read_record(run).get("command") == run.command
        is_finished = is_same and read_run(run).state == FINISHED
        lines.append(("# finished: " if is_finished else "") + _quote(run.command))
    return "\n".join(lines)


def _quote(command):
    return " ".join(map(shlex.quote, command))


def run(plan, metrics=(), max_parallel=1, restart=False):
    """Does all runs that are not finished, and writes the table after every run.

    Args:
      plan: `Plan`.
      metrics: names of the metrics to show; see `sweep_table.choose_metrics`.
      max_parallel: number of runs at a time.
      restart: see `check_folders`.

    Returns:
      The exit status: 0 if all runs are finished, 1 if one failed, 130 after Ctrl-C.

    Raises:
      InputError: before the first run, if a folder cannot be used.
    """
    files.make_folder(plan.folder, "output_dir")
    with _locked(plan.folder) as lock, _counted_signals() as signals:
        check_folders(plan, restart)
        _run_all(plan, metrics, max_parallel, lock, signals)
        _say(write_table(plan, metrics))
        _say(f"Table, plots and page: {plan.folder}")
        if signals:
            return 130
        return int(any(read_run(each).state != FINISHED for each in plan.runs))


def _run_all(plan, metrics, max_parallel, lock, signals):
    """Starts runs and records the end of each, until all are done or a signal came."""
    waiting = [each for each in plan.runs if read_run(each).state != FINISHED]
    _say(f"{len(plan.runs)} runs, {len(waiting)} of them to be done")
    active, first_failures = [], {}
    try:
        while (waiting or active) and not signals:
            while waiting and len(active) < max_parallel:
                active.append(_start(waiting.pop(0), lock))
                name = active[-1].run.name
                _say(f"{name}: started, {len(waiting)} more to start")
            ended = [each for each in active if each.process.poll() is not None]
            for each in ended:
                active.remove(each)
                _record_end(each, first_failures)
                write_table(plan, metrics)
            if not ended:
                time.sleep(POLL_SECONDS)
    finally:
        _stop(active, signals)
        for each in active:
            if each.process.returncode == 0:
                _record_end(each, first_failures)
            else:
                _say(f"{each.run.name}: stopped")


def _say(text):
    """Prints a text."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader, such as tee, has ended; the table is to be written all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Active(NamedTuple):
    """A run in progress, and when it began, in seconds."""

    run: sweep_plan.Run
    process: subprocess.Popen
    began: float


def _start(run, lock):
    """Starts a run; its process holds the lock of the sweep as well."""
    os.makedirs(run.folder, exist_ok=True)
    # Results of an earlier start must not count for this one.
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(run.folder, run_folder.RESULTS))
    _write_record(run, exit_code=None)
    with open(os.path.join(run.folder, LOG), "ab") as log:
        log.write(_first_line(run).encode())
        log.flush()
        # In a session of its own, so that Ctrl-C reaches only the sweep.
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


def _record_end(active, first_failures):
    """Records the exit of a run, and shows the reason of a failure.

    first_failures: see `describe_failure`.
    """
    run, exit_code = active.run, active.process.returncode
    seconds = round(time.time() - active.began, 1)
    _write_record(run, exit_code=exit_code, seconds=seconds)
    state = read_run(run).state
    _say(f"{run.name}: {state} after {seconds} s")
    if state == FINISHED:
        return
    if exit_code == 0:
        _say(f"  It left no {run_folder.RESULTS}: is --do_eval missing?")
    said = describe_failure(run, exit_code, _read_log(run), first_failures)
    _say("\n".join(f"  {line}" for line in said))


def describe_failure(run, exit_code, log_lines, first_failures):
    """Returns lines about a failed run; the same reason is shown only once.

    Args:
      run: `Run`.
      exit_code: of its process.
      log_lines: list of strings, the log or the end of a long one.
      first_failures: dict (exit code, reason) -> name of the first run with them;
        extended here.
    """
    path = os.path.join(run.folder, LOG)
    reason = find_reason(log_lines)
    # Messages with the name of the run's folder in them count as the same.
    key = (exit_code, (reason or "").replace(run.folder, ""))
    first = first_failures.setdefault(key, run.name)
    if reason and first != run.name:
        return [f"Exit code {exit_code}, like {first}; its log: {path}"]
    said = [reason] if reason else []
    if reason and reason.startswith("error:"):
        return [*said, f"Exit code {exit_code}; its log: {path}"]
    shown = [line for line in log_lines if not CHATTER.match(line)][-NUM_LOG_LINES:]
    said.append(f"Exit code {exit_code}; the end of {path}:")
    return [*said, *(f"| {line}" for line in shown)]


def find_reason(log_lines):
    """Returns the line of a log that tells why a run failed, or None.

    The line is the last `error: ...`, by which the scripts refuse wrong input, or else
    the exception of the last traceback.
    """
    errors = [line for line in log_lines if line.startswith("error:")]
    if errors:
        return errors[-1]
    reason = None
    for index, line in enumerate(log_lines):
        # An exception in a destructor ends no run.
        is_ignored = index and log_lines[index - 1].startswith("Exception ignored in")
        if line == TRACEBACK and not is_ignored:
            after = (each for each in log_lines[index + 1 :] if each.strip())
            reason = next((each for each in after if each[0] != " "), reason)
    return reason


def _read_log(run):
    """Returns the lines of the last start of a run; of a long log only the end."""
    path = os.path.join(run.folder, LOG)
    with open(path, "rb") as reader:
        reader.seek(max(0, os.path.getsize(path) - MAX_LOG_BYTES))
        text = reader.read().decode("utf-8", errors="replace")
    return text.rpartition(_first_line(run))[2].splitlines()


def _first_line(run):
    """Returns the line of a log with which each start of a run begins."""
    return f"$ {_quote(run.command)}\n"


def _stop(active, signals):
    """Interrupts runs; kills them after `GRACE_SECONDS` or at a second signal."""
    _send(active, signal.SIGINT)
    deadline = time.time() + GRACE_SECONDS
    while any(each.process.poll() is None for each in active):
        if time.time() > deadline or len(signals) > 1:
            _send(active, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _send(active, number):
    """Sends a signal to the processes of runs and to all that they started."""
    for each in active:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, number)


@contextlib.contextmanager
def _counted_signals():
    """Gives a list to which each signal to stop is added, instead of an exception.

    An exception could come between the start of a process and the record of it.
    """
    received = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # Ignored signals, as under nohup, stay ignored.
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
                f"{folder}: another sweep, or a run left behind by one, uses it"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield stream.fileno()


def write_table(plan, metrics=()):
    """Writes the table of the finished runs into the sweep's folder; returns its text.

    metrics: see `sweep_table.choose_metrics`.
    """
    # Imported here, as it takes a second that --help and refusals need not wait for.
    from bert_my.tools import sweep_table

    runs = [read_run(each) for each in plan.runs]
    folders = [each.folder for each in runs if each.state == FINISHED]
    main_metric = next(filter(None, map(read_main_metric, folders)), None)
    return sweep_table.write(plan.folder, runs, metrics, main_metric)
