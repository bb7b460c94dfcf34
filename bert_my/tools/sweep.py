"""Runs a command for every setting of a grid and every seed.

Each run is a process of its own in a folder of its own, so a crash ends only that run.
The folders tell which runs are finished; the same sweep started again does the rest.
"""

import contextlib
import hashlib
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from bert_my.cli.flags import same_setting
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder

MAX_SEEDS = 100  # a single number above is a seed, not a number of seeds
RECORD, LOG = "sweep_run.json", "log.txt"
NOT_RUN, STARTED = "not run yet", "not finished"
FINISHED, FAILED = "finished", "failed"
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


class Run(NamedTuple):
    """One run of a sweep.

    name: folder of the run, relative to the folder of the sweep.
    setting: (flag, value as typed) pairs from the grid, the same flags for all runs.
    seed: value of --seed.
    folder: output folder of the run.
    command: command line, as a list of words.
    state: in a word or two, see `read_run`.
    scores: metric -> float, None for an undefined metric; None if the run is not
      finished.
    """

    name: str
    setting: Tuple[Tuple[str, str], ...]
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
    parts = [part.strip() for part in text.rstrip(",").split(",")]
    if not all(re.fullmatch("[0-9]+", part) for part in parts):
        raise InputError(f"--seeds={text}: it must be a number or a list such as 3,17")
    numbers = [int(part) for part in parts]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds={text}: a seed is listed twice")
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
    """Splits some flags off a command line.

    `--flag=value`, `--flag value`, `--flag` and `--noflag` are recognized, with one
    dash or two.

    Args:
      command: list of words.
      flags: names of the flags.

    Returns:
      (list of the remaining words, dict flag -> its last value, None without a value).
    """
    names = "|".join(map(re.escape, flags))
    pattern = re.compile(f"--?(?:({names})(?:=(.*))?|no({names}))", re.DOTALL)
    kept, values, awaiting = [], {}, None
    for word in command:
        # A dash and a digit begin a negative number, not a flag.
        if awaiting and not re.match("-[^0-9.]", word):
            values[awaiting], awaiting = word, None
            continue
        found = pattern.fullmatch(word)
        if found:
            flag, value, negated = found.groups()
            values[flag or negated] = value
            awaiting = flag if value is None else None
        else:
            kept.append(word)
            awaiting = None
    return kept, values


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
    if not command or command[0].startswith("-"):
        raise InputError("after -- there must be a command, its program first")
    if shutil.which(command[0]) is None:
        raise InputError(f"{command[0]}: there is no such program")
    values_of = _values_by_flag(grids)
    # Aliases of a flag in the command would contradict the grid.
    replaced = [name for flag in values_of for name in same_setting(flag)]
    base, given = split_command(command, ["seed", "output_dir", *replaced])
    folder = output_dir or given.get("output_dir")
    if not folder:
        raise InputError("--output_dir is needed, of the sweep or in its command")
    has_cache = "cache_dir" in split_command(command, ["cache_dir"])[1]
    if not has_cache and "cache_dir" not in values_of:
        # Records are named by their content, so all runs can share them.
        base.append(f"--cache_dir={os.path.join(folder, 'cache')}")
    settings = [
        tuple(zip(values_of, values))
        for values in itertools.product(*values_of.values())
    ]
    pairs = itertools.product(settings, parse_seeds(seeds))
    return Plan(folder, [_make_run(base, folder, *pair) for pair in pairs])


def _values_by_flag(grids):
    """Returns flag -> values; raises an `InputError` if two flags are one setting."""
    values_of, known = {}, {}
    for grid in grids:
        flag, values = parse_grid(grid)
        setting = same_setting(flag)[0]
        if setting in known:
            other = known[setting]
            raise InputError(f'--grid "{grid}": there is another grid for {other}')
        values_of[flag], known[setting] = values, flag
    return values_of


def _make_run(base, folder, setting, seed):
    """Returns a `Run`; its flags follow those of the command `base`."""
    name = os.path.join(*filter(None, [_folder_name(setting), f"seed-{seed}"]))
    path = os.path.join(folder, name)
    flags = [*setting, ("seed", seed), ("output_dir", path)]
    command = [*base, *(f"--{flag}={value}" for flag, value in flags)]
    return Run(name, setting, seed, path, command)


def _folder_name(setting):
    """Returns the folder name of a setting; unsafe characters are replaced."""
    text = ",".join(f"{flag}={value}" for flag, value in setting)
    safe = re.sub(r"[^\w.,+=-]", "_", text)[:120]
    if safe == text:
        return text
    # The hash tells apart settings that differ in replaced characters only.
    return f"{safe}-{hashlib.sha1(text.encode('utf-8')).hexdigest()[:8]}"


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
        {
            name: value
            for name, value in results.items()
            if name not in NOT_METRICS
            and (value is None or type(value) in (int, float))  # bool is no number
        }
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

    run: Run
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
