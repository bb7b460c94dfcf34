"""The cases of a campaign, drawn at random, and the table of what came of them."""

import csv
import itertools
import random
import shlex

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.tools import sweep
from bert_my.tools.chaos import cases, damage, disk, poison, results
from bert_my.tools.chaos.campaign import Row
from bert_my.tools.chaos.command import EVALUATE, RUN, TRAIN

TABLE = "chaos.csv"
# Cases of each kind if none is asked for.
DEFAULTS = {
    "kills": "10",
    "damage": "30",
    "full_disk": "6",
    "signals": "3",
    "second_run": "2",
    "nan": "6",
}
ALL = 10**9  # cases of damage or NaN: every one that there is
_SIGNALS = ("TERM", "INT", "HUP", "INT+INT", "TERM+TERM")


def make(campaign, numbers, seed):
    """Returns the list of cases; the same seed draws the same ones.

    Args:
      campaign: `Campaign`.
      numbers: dict with keys of `DEFAULTS` -> number of cases; of kills, kills.
      seed: int or str.
    """
    makers = {
        "kills": _kills,
        "damage": _damage,
        "full_disk": _full_disk,
        "signals": _signals,
        "second_run": _second_run,
        "nan": _nan,
    }
    return [
        case
        for name, number in numbers.items()
        if number
        for case in makers[name](campaign, number, random.Random(f"{seed} {name}"))
    ]


def _moment(rng, units="ct", first=0.0, last=1.0):
    """Returns a moment of a run in the form of `Campaign.wait`."""
    return f"{rng.choice(units)}{rng.uniform(first, last):.3f}"


def _kills(campaign, number, rng):
    while number > 0:
        size = min(number, rng.choice((1, 1, 2, 3)))
        number -= size
        yield "kill:" + "+".join(_moment(rng) for _ in range(size))


def _signals(campaign, number, rng):
    for names in itertools.islice(itertools.cycle(_SIGNALS), number):
        # Not so late that the run has ended when it comes.
        yield f"signal:{names}:{_moment(rng, 'c', last=0.95)}"


def _full_disk(campaign, number, rng):
    ways = ["full_disk:file", "read_only", "vanished"]
    if disk.can_mount():
        ways = ["full_disk:disk", *ways, "full_disk:disk"]
    for way in itertools.islice(itertools.cycle(ways), number):
        is_full = way.startswith("full_disk")
        yield f"{way}:{rng.random():.3f}" if is_full else f"{way}:{_moment(rng, 'c')}"


def _second_run(campaign, number, rng):
    verbs = [verb for verb in (RUN, EVALUATE) if verb in campaign.verbs]
    for verb in itertools.islice(itertools.cycle(verbs), number):
        yield f"second_run:{verb}:{_moment(rng, 'c', 0.3, 0.9)}"


def _damage(campaign, number, rng):
    # The half-finished run may have left temporary files, under names of their own.
    known = set(results.all_files(campaign.reference.folder))
    found = [
        f"damage:{verb}:{way}:{name}"
        for verb in campaign.verbs
        for name in results.all_files(
            campaign.half_finished if verb == RUN else campaign.trained
        )
        if name in known
        for way in damage.WAYS
    ]
    return _draw(found, number, rng)


def _nan(campaign, number, rng):
    tensors = campaign.reference.results.get(results.WEIGHTS, {})
    found = [
        f"nan:{verb}:{name}"
        for verb in (TRAIN, *campaign.verbs)
        for name in poison.kinds(tensors)
        # Training from another run's checkpoint leaves the slots of its optimizer.
        if verb != TRAIN or not poison.is_slot(name, tensors)
    ]
    return _draw(found, number, rng)


def _draw(found, number, rng):
    """Returns that many of a list, in its order."""
    chosen = set(rng.sample(found, min(number, len(found))))
    return [each for each in found if each in chosen]


def run(campaign, planned, repeat):
    """Runs cases, prints a line of each, and writes the table.

    Args:
      campaign: `Campaign`.
      planned: list of cases.
      repeat: words that repeat a case, before `--case=...` and the command.

    Returns:
      The exit status: 0 if no case has failed, else 1; 130 after Ctrl-C.
    """
    rows, is_interrupted = [], False
    sweep.say(f"{len(planned)} cases")
    try:
        for case in planned:
            row = campaign.run(case)
            rows.append(row)
            sweep.say(describe(row))
            _write(campaign.path_of(TABLE), rows)
    except KeyboardInterrupt:
        is_interrupted = True
    sweep.say("\n".join(_summary(campaign, rows, repeat)))
    if is_interrupted:
        return 130
    return int(any(row.fault for row in rows))


def describe(row):
    """Returns the line of a case."""
    state = "FAILED" if row.fault else "ok"
    return f"{state:<6} {row.seconds:5.1f} s  {row.case}: {row.fault or row.happened}"


def _write(path, rows):
    with files.replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


def _summary(campaign, rows, repeat):
    """Yields the lines of the number of cases and faults of each kind, and failures."""
    yield f"{'kind':<12}{'cases':>6}{'failed':>8}"
    for kind in cases.KINDS:
        of_kind = [row for row in rows if row.case.partition(":")[0] == kind]
        if of_kind:
            num_failed = sum(bool(row.fault) for row in of_kind)
            yield f"{kind:<12}{len(of_kind):>6}{num_failed:>8}"
    for row in rows:
        if row.fault:
            words = [*repeat, f"--case={row.case}", "--", *campaign.command.given]
            yield f"{describe(row)}\n  folder and log: {campaign.folder_of(row.case)}"
            yield f"  repeat: {' '.join(map(shlex.quote, words))}"
    yield f"Table: {campaign.path_of(TABLE)}"


def parse_number(name, text):
    """Returns the number of cases that a flag gives; `all` is every one.

    Raises:
      InputError: if it is no such number.
    """
    if text == "all":
        return ALL
    if not text.isdigit():
        raise InputError(f"--{name}={text}: it must be a number, or all")
    return int(text)
