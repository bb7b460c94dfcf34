"""Runs a command for every setting of a grid and every seed.

Each run is a process of its own in a folder of its own, so a crash ends only that run.
The folders tell which runs are finished; the same sweep started again does the rest.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from typing import NamedTuple

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.tools import sweep_plan

RECORD, LOG = "sweep_run.json", "log.txt"
FINISHED, FAILED, STARTED = "finished", "failed", "not finished"
NOT_METRICS = ("global_step", "loss")
POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0  # from the interruption of a run until it is killed
NUM_LOG_LINES = 12  # shown of a run that failed for an unknown reason
# A traceback and the exception in the first line after it that is not indented. An
# exception in a destructor, which is "ignored", ends no run.
TRACEBACK = re.compile(
    r"^(Exception ignored in.*\n)?Traceback \(most recent call last\):\n"
    r"(?:(?: .*)?\n)*(\S.*)",
    re.MULTILINE,
)


def read_record(run):
    """Returns `sweep_run.json` of a run as a dict; {} if the run was never started.

    Raises:
      InputError: if the folder of the run holds files, but none of a sweep.
    """
    path = os.path.join(run.folder, RECORD)
    if not os.path.exists(path):
        names = os.listdir(run.folder) if os.path.isdir(run.folder) else []
        # Writing the first record leaves a partial file if it is cut off.
        if any(not name.startswith(RECORD) for name in names):
            raise InputError(
                f"{run.folder}: holds files, but no {RECORD}: it is not of a sweep; "
                "move it away, or give another --output_dir"
            )
        return {}
    record = files.read_json(path)
    if not isinstance(record, dict) or not {"command", "exit_code"} <= set(record):
        raise InputError(f"{path}: not the record of a run")
    return record


def read_run(run):
    """Returns a `Run` with the state and the scores that are read from its folder."""
    record = read_record(run)
    if not record:
        return run
    if record["exit_code"] is None:
        return run._replace(state=STARTED)
    scores = read_scores(run.folder) if record["exit_code"] == 0 else None
    return run._replace(state=FAILED if scores is None else FINISHED, scores=scores)


def read_scores(folder):
    """Returns the metrics of a run as a dict name -> number, None for undefined ones.

    Returns None if the folder has no readable `eval_results.json`.
    """
    try:
        results = run_folder.RunFolder(folder).read_results()
    except InputError:
        return None
    return results and run_folder.finite(
        {name: x for name, x in results.items() if name not in NOT_METRICS}
    )


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
      metrics: names of the metrics to show; see `sweep_report.choose_metrics`.
      max_parallel: number of runs at a time.
      restart: see `check_folders`.

    Returns:
      The exit status: 0 if all runs are finished, 1 if one failed, 130 after Ctrl-C.

    Raises:
      InputError: before the first run, if a folder cannot be used.
    """
    files.make_folder(plan.folder, "output_dir")
    check_folders(plan, restart)
    waiting = [each for each in plan.runs if read_run(each).state != FINISHED]
    print(f"{len(plan.runs)} runs, {len(waiting)} of them to be done", flush=True)
    is_interrupted = False
    active = []
    try:
        while waiting or active:
            while waiting and len(active) < max_parallel:
                active.append(_start(waiting.pop(0)))
                name = active[-1].run.name
                print(f"{name}: started, {len(waiting)} more to start", flush=True)
            for each in [each for each in active if each.process.poll() is not None]:
                active.remove(each)
                _record_end(each)
                write_table(plan, metrics)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        _stop(active)
    print(write_table(plan, metrics))
    print(f"Table, plots and page: {plan.folder}", flush=True)
    if is_interrupted:
        return 130
    return int(any(read_run(each).state != FINISHED for each in plan.runs))


class _Active(NamedTuple):
    """A run in progress, and when it began, in seconds."""

    run: sweep_plan.Run
    process: subprocess.Popen
    began: float


def _start(run):
    """Starts a run."""
    os.makedirs(run.folder, exist_ok=True)
    # Results of an earlier start must not count for this one.
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(run.folder, run_folder.RESULTS))
    _write_record(run, exit_code=None)
    with open(os.path.join(run.folder, LOG), "ab") as log:
        log.write(_first_line(run).encode())
        log.flush()
        process = subprocess.Popen(
            run.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return _Active(run, process, time.time())


def _write_record(run, **more):
    record = {"command": run.command, **more}
    files.write_json(os.path.join(run.folder, RECORD), record)


def _record_end(active):
    """Records the exit of a run, and shows the reason of a failure."""
    run, exit_code = active.run, active.process.returncode
    seconds = round(time.time() - active.began, 1)
    _write_record(run, exit_code=exit_code, seconds=seconds)
    state = read_run(run).state
    print(f"{run.name}: {state} after {seconds} s", flush=True)
    if state == FINISHED:
        return
    if exit_code == 0:
        print(f"  It left no {run_folder.RESULTS}: is --do_eval missing?")
    path = os.path.join(run.folder, LOG)
    with open(path, encoding="utf-8", errors="replace") as reader:
        log = reader.read().rpartition(_first_line(run))[2]
    reason = find_reason(log)
    if reason:
        print(f"  {reason}\n  Exit code {exit_code}; its log: {path}", flush=True)
    else:
        print(f"  Exit code {exit_code}; the end of {path}:")
        for line in log.splitlines()[-NUM_LOG_LINES:]:
            print(f"  | {line}", flush=True)


def find_reason(log):
    """Returns the line of a log that tells why a run failed, or None.

    The line is the last `error: ...`, by which the scripts refuse wrong input, or else
    the exception of the last traceback.
    """
    lines = re.findall("^error:.*", log, re.MULTILINE) or [
        exception for is_ignored, exception in TRACEBACK.findall(log) if not is_ignored
    ]
    return lines[-1] if lines else None


def _first_line(run):
    """Returns the line of a log with which each start of a run begins."""
    return f"$ {_quote(run.command)}\n"


def _stop(active):
    """Interrupts runs; kills them after `GRACE_SECONDS`."""
    for each in active:
        each.process.send_signal(signal.SIGINT)
    deadline = time.time() + GRACE_SECONDS
    for each in active:
        try:
            each.process.wait(max(deadline - time.time(), 0.0))
        except subprocess.TimeoutExpired:
            each.process.kill()
            each.process.wait()
        if each.process.returncode == 0:
            _record_end(each)


def write_table(plan, metrics=()):
    """Writes the table of the finished runs into the sweep's folder; returns its text.

    metrics: see `sweep_report.choose_metrics`.
    """
    # Imported here, as it takes a second that --help and refusals need not wait for.
    from bert_my.tools import sweep_report

    return sweep_report.write(plan.folder, list(map(read_run, plan.runs)), metrics)
