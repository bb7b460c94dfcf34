"""The plan of a sweep: one run for every setting of a grid and every seed."""

import hashlib
import itertools
import os
import re
import shutil
from typing import Dict, List, NamedTuple, Optional, Tuple

from bert_my.cli.flags import same_setting
from bert_my.common.errors import InputError

MAX_SEEDS = 100  # a single number above is a seed, not a number of seeds
NOT_RUN = "not run yet"


class Run(NamedTuple):
    """One run of a sweep.

    name: folder of the run, relative to the folder of the sweep.
    setting: (flag, value as typed) pairs from the grid, the same flags for all runs.
    seed: value of --seed.
    folder: output folder of the run.
    command: command line, as a list of words.
    state: in a word or two, see `sweep.read_run`.
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
