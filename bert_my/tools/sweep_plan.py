"""Plans a sweep: the runs that a grid, some seeds and a command make."""

import hashlib
import itertools
import os
import re
import shutil
from typing import List, NamedTuple, Tuple

from bert_my.cli import aliases
from bert_my.common.errors import InputError

MAX_SEEDS = 100  # a single number over that is a seed, not how many there are


class Run(NamedTuple):
    """One planned run: its (flag, value) pairs, seed, folder and whole command.

    name is its folder inside that of the sweep.
    """

    name: str
    setting: Tuple[Tuple[str, str], ...]
    seed: int
    folder: str
    command: List[str]


class Plan(NamedTuple):
    """The folder of a sweep and its runs, setting by setting."""

    folder: str
    runs: List[Run]


def parse_seeds(text):
    """Returns the list of seeds: 1 to N for "N", those listed for "3,17" or "3,"."""
    is_list = "," in text
    parts = [part.strip() for part in text.rstrip(",").split(",")]
    if not all(re.fullmatch("[0-9]+", part) for part in parts):
        raise InputError(f"--seeds={text}: it must be a number or a list such as 3,17")
    numbers = [int(part) for part in parts]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds={text}: a seed stands there twice")
    if is_list:
        return numbers
    if not 1 <= numbers[0] <= MAX_SEEDS:
        raise InputError(
            f"--seeds={text}: a single number is how many seeds, 1 to {MAX_SEEDS}; for "
            f"the seed {text} alone write --seeds={text},"
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
        raise InputError(f"{where}: a value stands there twice")
    return flag, values


def without_flags(command, flags):
    """Returns a command without some flags, in all forms in which they can be given."""
    name = "|".join(map(re.escape, flags))
    kept, is_value = [], False
    for word in command:
        if is_value and (not word.startswith("-") or _is_number(word)):
            is_value = False
            continue
        is_value = bool(re.fullmatch(f"--?({name})", word))
        if not is_value and not re.fullmatch(
            f"--?(({name})=.*|no({name}))", word, re.S
        ):
            kept.append(word)
    return kept


def _is_number(word):
    """Whether a word that begins with a dash is a negative number, not a flag."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def find_value(command, flag):
    """Returns the last value of a flag in a command; None without it."""
    value = None
    for word, following in itertools.zip_longest(command, command[1:]):
        given, equals, text = word.lstrip("-").partition("=")
        if word.startswith("-") and given == flag:
            value = text if equals else following
    return value


def make_plan(command, grids, seeds, output_dir=None):
    """Returns the `Plan` of a sweep.

    Args:
      command: list of words, the program first.
      grids: list of strings, see `parse_grid`.
      seeds: string, see `parse_seeds`.
      output_dir: folder of the sweep; default: the command's own.

    Raises:
      InputError: naming the flag that is wrong.
    """
    if not command or command[0].startswith("-"):
        raise InputError("after -- there must be a command, its program first")
    if shutil.which(command[0]) is None:
        raise InputError(f"{command[0]}: there is no such program")
    values_of = _values_by_flag(grids)
    folder = output_dir or find_value(command, "output_dir")
    if not folder:
        raise InputError("--output_dir is needed, of the sweep or in its command")
    # The command's other names of a setting would contradict the grid.
    replaced = [name for flag in values_of for name in aliases.same_setting(flag)]
    base = without_flags(command, ["seed", "output_dir", *replaced])
    if find_value(command, "cache_dir") is None and "cache_dir" not in values_of:
        # Records are named by their content: runs can share them.
        base.append(f"--cache_dir={os.path.join(folder, 'cache')}")
    settings = [
        tuple(zip(values_of, values))
        for values in itertools.product(*values_of.values())
    ]
    numbers = parse_seeds(seeds)
    return Plan(
        folder,
        [
            _make_run(base, folder, *each)
            for each in itertools.product(settings, numbers)
        ],
    )


def _values_by_flag(grids):
    """Returns flag -> values; raises an `InputError` if two set the same."""
    values_of, known = {}, {}
    for grid in grids:
        flag, values = parse_grid(grid)
        setting = aliases.same_setting(flag)[0]
        if setting in known:
            other = known[setting]
            raise InputError(f'--grid "{grid}": there is another grid for {other}')
        values_of[flag], known[setting] = values, flag
    return values_of


def _make_run(base, folder, setting, seed):
    """Returns a `Run`, whose flags follow those of the command `base`."""
    name = os.path.join(*filter(None, [_folder_name(setting), f"seed-{seed}"]))
    flags = [*setting, ("seed", seed), ("output_dir", os.path.join(folder, name))]
    command = [*base, *(f"--{flag}={value}" for flag, value in flags)]
    return Run(name, setting, seed, os.path.join(folder, name), command)


def _folder_name(setting):
    """Returns a setting as the name of a folder; what is safe in one stays as typed."""
    text = ",".join(f"{flag}={value}" for flag, value in setting)
    safe = re.sub(r"[^\w.,+=-]", "_", text)[:120]
    if safe == text:
        return text
    # Two settings that differ only in what was replaced must not share a folder.
    return f"{safe}-{hashlib.sha1(text.encode('utf-8')).hexdigest()[:8]}"
