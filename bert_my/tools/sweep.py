"""Runs a command for every setting of a grid and every seed.

Each run is a process of its own in a folder of its own, so a crash ends only that run.
The folders tell which runs are finished; the same sweep started again does the rest.
"""

import argparse
import collections
import contextlib
import fcntl
import functools
import glob
import hashlib
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional

from bert_my.cli.flags import same_setting
from bert_my.common import files, options, signals
from bert_my.common.errors import InputError
from bert_my.engine.run_folder import RESULTS, RunFolder

RECORD, LOG, LOCK = "sweep_run.json", "log.txt", ".lock"
NOT_RUN, FINISHED, FAILED = "not run yet", "finished", "failed"
STARTED = "not finished"
OTHER_COMMAND, OTHER_DATA = "was another command", "was of other data"
OLD = ".old"  # ending of the folder of a run that was another
# Endings of the files of a folder that is given as data or as a model.
DATA_FILES = re.compile(
    r".*\.(csv|tsv|txt|jsonl?|gz|h5|hdf5|index|safetensors|bin|tfrecord.*|record.*)"
)
# Flags whose folders are written by the runs.
_WRITTEN = ("output_dir", "cache_dir")
MAX_SEEDS = 100  # a single number above is a seed, not a number of seeds
NUM_LOG_LINES = 12  # shown of a failed run
GRACE_SECONDS = 60.0  # for a run that is stopped to save and end by itself


class Run(NamedTuple):
    """One run of a sweep.

    name: folder of the run, relative to the folder of the sweep.
    setting: dict flag -> value as typed, of the grid; the same flags for all runs.
    seed: value of --seed.
    folder: output folder of the run.
    command: command line, as a list of words.
    state: in a word or two.
    scores: metric -> number, None for an undefined metric; None if the run is not
      finished.
    """

    name: str
    setting: Dict[str, str]
    seed: int
    folder: str
    command: List[str]
    state: str = NOT_RUN
    scores: Optional[Dict[str, Optional[float]]] = None


class Plan(NamedTuple):
    """The folder of a sweep and its runs, setting by setting."""

    folder: str
    runs: List[Run]


def parse_seeds(text):
    """Returns the list of seeds: 1 to N for "N", the listed ones for "3,17" or "3,"."""
    if not re.fullmatch("[0-9]{1,19}(, *[0-9]{1,19})*,?", text):
        raise InputError(f"--seeds={text}: it must be a number or a list such as 3,17")
    numbers = [int(number) for number in re.findall("[0-9]+", text)]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds={text}: a seed is listed twice")
    if not all(map(options.seed.holds, numbers)):
        raise InputError(f"--seeds={text}: a seed must {options.seed.must}")
    if "," in text:
        return numbers
    if not 1 <= numbers[0] <= MAX_SEEDS:
        raise InputError(
            f"--seeds={text}: a single number is the number of seeds, 1 to {MAX_SEEDS};"
            f" for the seed {text} alone write --seeds={text},"
        )
    return list(range(1, numbers[0] + 1))


def parse_grid(text):
    """Returns (flag, list of values as typed) of "flag=value,value".

    Values are separated by ";" if there is one, else by ","; a ";" may end the last.
    """
    where = f'--grid "{text}"'
    flag, equals, rest = text.partition("=")
    flag = flag.strip()
    if not equals or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", flag):
        raise InputError(f"{where}: it must be like weight_decay=0,0.01")
    if flag in ("seed", "output_dir"):
        raise InputError(f"{where}: {flag} is set by --seeds and --output_dir")
    separator = ";" if ";" in rest else ","
    rest = rest[:-1] if rest.endswith(";") else rest
    values = [value.strip() for value in rest.split(separator)]
    if not all(values):
        raise InputError(f"{where}: a value is empty")
    if len(set(values)) < len(values):
        raise InputError(f"{where}: a value is listed twice")
    return flag, values


def split_command(command, flags):
    """Splits `--flag=value`, `--flag value` and `--flag` off a command line.

    A single dash is as good as two, as absl has it.

    Args:
      command: list of words.
      flags: names of the flags.

    Returns:
      (list of the remaining words, dict flag -> its last value or None).
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in flags:
        parser.add_argument(f"--{flag}", nargs="?")
    # argparse would take Python's -u for an abbreviation of -use_xla.
    single_dash = re.compile(f"-({'|'.join(map(re.escape, flags))})(=.*)?", re.DOTALL)
    words = [f"-{word}" if single_dash.fullmatch(word) else word for word in command]
    values, kept = parser.parse_known_args(words)
    return kept, vars(values)


def make_plan(command, grids, seeds, output_dir=None):
    """Returns the `Plan` of a sweep.

    Args:
      command: list of words, the program first.
      grids: list of strings, see `parse_grid`.
      seeds: string, see `parse_seeds`.
      output_dir: folder of the sweep; default: --output_dir of the command.

    Raises:
      InputError: naming the flag that is wrong.
    """
    if shutil.which(command[0]) is None:
        raise InputError(f"{command[0]}: there is no such program")
    values_of, replaced = {}, ["seed", "output_dir"]
    for grid in grids:
        flag, values = parse_grid(grid)
        # Aliases of a flag in the command would contradict the grid.
        names = same_setting(flag)
        if flag in values_of or set(names) & set(values_of):
            raise InputError(f'--grid "{grid}": there is another grid for {names[0]}')
        values_of[flag] = values
        replaced += [name for name in names if name not in replaced]
    base, given = split_command(command, replaced)
    folder = output_dir or given["output_dir"]
    if not folder:
        raise InputError("--output_dir is needed, of the sweep or in its command")
    has_cache = split_command(command, ["cache_dir"])[1]["cache_dir"]
    if not has_cache and "cache_dir" not in values_of:
        # Records are named by their content, so all runs can share them.
        base.append(f"--cache_dir={os.path.join(folder, 'cache')}")
    runs = []
    for values in itertools.product(*values_of.values()):
        setting = dict(zip(values_of, values))
        for seed in parse_seeds(seeds):
            name = os.path.join(_folder_name(setting), f"seed-{seed}")
            path = os.path.join(folder, name)
            flags = {**setting, "seed": seed, "output_dir": path}
            words = [f"--{flag}={value}" for flag, value in flags.items()]
            runs.append(Run(name, setting, seed, path, [*base, *words]))
    return Plan(folder, runs)


def _folder_name(setting):
    """Returns the folder name of a setting; unsafe characters are replaced."""
    text = ",".join(f"{flag}={value}" for flag, value in setting.items())
    safe = re.sub(r"[^\w.,+=-]", "_", text)[:120]
    if safe == text:
        return text
    # The hash tells apart settings that differ in replaced characters only.
    return f"{safe}-{hashlib.sha1(text.encode('utf-8')).hexdigest()[:8]}"


def read_run(run):
    """Returns a `Run` with the state and the scores that its folder tells.

    Raises:
      InputError: if the folder holds files, but none of a sweep.
    """
    path = os.path.join(run.folder, RECORD)
    if not os.path.exists(path):
        names = os.listdir(run.folder) if os.path.isdir(run.folder) else []
        # A sweep that is killed may leave the beginning of a record.
        if not all(name.startswith(RECORD) for name in names):
            raise InputError(
                f"{run.folder}: holds files, but no {RECORD}: it is not of a sweep; "
                "move it away, or give another --output_dir"
            )
        return run
    record = files.read_json(path)
    try:
        command, exit_code = record["command"], record["exit_code"]
        inputs = {
            value: [files.Content(*each) for each in found]
            for value, found in record.get("inputs", {}).items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the record of a run: {error!r}") from error
    if command != run.command:
        return run._replace(state=OTHER_COMMAND)
    if _has_changed(inputs):
        return run._replace(state=OTHER_DATA)
    if exit_code is None:
        return run._replace(state=STARTED)
    scores = None
    if exit_code == 0:
        with contextlib.suppress(InputError):  # a broken file
            scores = RunFolder(run.folder).read_results()
    return run._replace(state=FAILED if scores is None else FINISHED, scores=scores)


def _inputs_of(command):
    """Returns a dict value of a flag -> `files.Content`s of the files that it names.

    Args:
      command: list of words.
    """
    found = {}
    for word, following in itertools.zip_longest(command, command[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        if not flag.startswith("-") or flag.lstrip("-") in _WRITTEN:
            continue
        for part in (value if equals else following).split(","):
            paths = _files_of(part)
            if paths:
                found[part] = files.contents(paths)
    return found


def _files_of(value):
    """Returns the sorted paths of the files that a value of a flag names."""
    paths = glob.glob(f"{glob.escape(value)}.index")  # of a checkpoint
    if os.path.isdir(value):
        # Without the tables of a sweep, which may be in the folder of the data.
        names = [each for each in os.listdir(value) if not each.startswith("sweep")]
        paths = [os.path.join(value, each) for each in names]
        paths = filter(DATA_FILES.fullmatch, paths)
    elif value:
        paths += glob.glob(value) or glob.glob(glob.escape(value))
    return sorted(filter(os.path.isfile, paths))


def _digests(contents):
    return [(each.path, each.digest) for each in contents]


def _has_changed(inputs):
    """Returns whether the files of an earlier start now have another content.

    What is no longer there does not count: the table can be had without the data.
    """
    for value, before in inputs.items():
        now = files.contents(_files_of(value), before)
        if now and _digests(now) != _digests(before):
            return True
    return False


def _quote(command):
    return " ".join(map(shlex.quote, command))


def describe(plan):
    """Returns the commands of a plan, one a line; finished ones are comments."""
    marks = {FINISHED: "# finished: "}
    runs = map(read_run, plan.runs)
    return "\n".join(marks.get(run.state, "") + _quote(run.command) for run in runs)


def say(text):
    """Prints a text."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader, such as tee, has ended; the other runs are done all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(plan, metrics=()):
    """Does all runs that are not finished, and writes the table after every run.

    Args:
      plan: `Plan`.
      metrics: names of the metrics to show; see `sweep_report.choose_metrics`.

    Returns:
      The exit status: 0 if all runs are finished, 1 if one failed, 128 + its number
      after a signal to stop, which the run gets too.

    Raises:
      InputError: before the first run, if a folder cannot be used.
    """
    files.make_folder(plan.folder, "output_dir")
    lock_path = os.path.join(plan.folder, LOCK)
    with open(lock_path, "w") as lock, signals.handled():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{plan.folder}: another sweep, or a run left behind by one, uses it"
            ) from None
        except OSError:
            pass  # a file system without locks
        runs = map(read_run, plan.runs)
        waiting = [each for each in runs if each.state != FINISHED]
        say(f"{len(plan.runs)} runs, {len(waiting)} of them to be done")
        stopped = None
        try:
            for number, each in enumerate(waiting, 1):
                rest = f"{len(waiting) - number} more to start"
                say(f"{each.name}: started, {rest}")
                _run_one(each, lock)
                write_table(plan, metrics)
        except signals.Stopped as error:
            stopped = error
        say(write_table(plan, metrics))
        say(f"Table, plots and page: {plan.folder}")
        if stopped:
            return stopped.code
        return int(any(read_run(each).state != FINISHED for each in plan.runs))


def _run_one(run, lock):
    """Does a run, whose process holds the lock too, and shows why it failed."""
    if run.state in (OTHER_COMMAND, OTHER_DATA):
        shutil.rmtree(run.folder + OLD, ignore_errors=True)
        os.replace(run.folder, run.folder + OLD)
        say(f"{run.name}: {run.state}, and is now {run.name}{OLD}")
    os.makedirs(run.folder, exist_ok=True)
    results = os.path.join(run.folder, RESULTS)
    if os.path.exists(results):  # those of an earlier start must not count for this one
        os.remove(results)
    record_path, log_path = (os.path.join(run.folder, name) for name in (RECORD, LOG))
    inputs = _inputs_of(run.command)
    record = {"command": run.command, "exit_code": None, "inputs": inputs}
    files.write_json(record_path, record)
    began = time.time()
    with open(log_path, "a+b") as log:
        log.write(f"$ {_quote(run.command)}\n".encode())
        log.flush()
        first_byte = log.tell()
        # In a session of its own, so that Ctrl-C reaches only the sweep.
        process = subprocess.Popen(
            run.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        try:
            record["exit_code"] = process.wait()
        except signals.Stopped as stopped:
            _stop(process, stopped.number)
            say(f"{run.name}: stopped")
            raise
        record["seconds"] = round(time.time() - began, 1)
        files.write_json(record_path, record)
        state = read_run(run).state
        say(f"{run.name}: {state} after {record['seconds']} s")
        if state == FAILED:
            log.seek(first_byte)
            say("\n".join(f"  {line}" for line in _reason(log, record["exit_code"])))
            say(f"  Exit code {record['exit_code']}; its log: {log_path}")


def _stop(process, number):
    """Gives a run a signal, and kills what then remains of it and of its children.

    The run has `GRACE_SECONDS` to end; a second signal to stop cuts them short. A child
    process left alive would hold the lock of the sweep.
    """
    kill = functools.partial(os.killpg, process.pid, signal.SIGKILL)
    with signals.when_leaving(kill):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            kill()
        process.wait()


def _reason(log, exit_code):
    """Returns the lines of a log that tell why a run failed.

    These are the last `error: ...`, by which the scripts refuse wrong input, or else
    the last lines.
    """
    if exit_code == 0:
        return [f"It left no {RESULTS}: is --do_eval missing?"]
    last, error = collections.deque(maxlen=NUM_LOG_LINES), []
    for line in log:
        last.append(line.decode("utf-8", errors="replace").rstrip())
        if last[-1].startswith("error:"):
            error = [last[-1]]
    return error or [f"| {line}" for line in last]


def write_table(plan, metrics=()):
    """Writes the table of the finished runs into the sweep's folder; returns its text.

    metrics: see `sweep_report.choose_metrics`.
    """
    # Imported here, as it takes a second that --help and refusals need not wait for.
    from bert_my.tools import sweep_report

    runs = list(map(read_run, plan.runs))
    return sweep_report.write(plan.folder, runs, metrics, _main_metric(runs))


def _main_metric(runs):
    """Returns the main metric of the task; None if no finished run tells it."""
    for run in runs:
        task = None
        with contextlib.suppress(InputError):  # a broken file
            task = run.scores and RunFolder(run.folder).read_task()
        if task:
            return task.get("main_metric")
    return None
