"""The table of a sweep: text, csv, and what the page shows.

A sweep runs one command for each setting (a value for every parameter) and each seed.
Its table has a row for each setting, with every metric summed up over the seeds.
"""

import csv
import json
import math
import os
import statistics
from typing import Dict, List, NamedTuple, Optional, Tuple

from bert_my.common import files
from bert_my.engine import run_folder as run_names
from bert_my.metrics import metrics as metrics_lib
from bert_my.tools import sweep_plots

NOT_METRICS = ("global_step", "loss")
MAX_DEFAULT_METRICS = 6
MAX_NAMES = 10  # of runs that are listed


class Run(NamedTuple):
    """One planned run.

    name: what it is called in lists.
    setting: (parameter, value as typed) pairs; all runs have the same parameters.
    seed: int.
    state: "finished", or in a word or two why it is not.
    scores: dict metric -> float, or None where the metric is undefined; None if the run
      is not finished.
    """

    name: str
    setting: Tuple[Tuple[str, str], ...]
    seed: int
    state: str
    scores: Optional[Dict[str, Optional[float]]]


class Summary(NamedTuple):
    """A metric over the seeds of a setting, and over how many of them it is defined.

    best is the highest value, or the lowest where lower is better; std is that of a
    sample (divided by num_values - 1), None for a single value.
    """

    mean: float
    best: float
    std: Optional[float]
    num_values: int


class Row(NamedTuple):
    """A setting: how many of its runs are finished, and metric -> `Summary` or None."""

    setting: Tuple[Tuple[str, str], ...]
    num_finished: int
    num_planned: int
    summaries: Dict[str, Optional[Summary]]


def read_scores(folder):
    """Returns the metrics of a run as a dict name -> float, None where undefined.

    Returns None if the run's folder has no readable `eval_results.json`.
    """
    results = _read_object(os.path.join(folder, run_names.RESULTS))
    if results is None:
        return None
    return {
        name: float(value) if value is not None and math.isfinite(value) else None
        for name, value in results.items()
        if name not in NOT_METRICS and _is_number_or_null(value)
    }


def read_main_metric(folder):
    """Returns the metric that `task.json` in a run's folder names first, or None."""
    return (_read_object(os.path.join(folder, run_names.TASK)) or {}).get("main_metric")


def _read_object(path):
    """Returns the dict in a JSON file, or None if there is none."""
    try:
        with open(path, encoding="utf-8") as reader:
            value = json.load(reader)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _is_number_or_null(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or is_number


def known_metrics(runs):
    """Returns the names of the metrics that any finished run has, sorted."""
    return sorted({name for run in runs for name in run.scores or ()})


def choose_metrics(runs, requested, main_metric):
    """Returns the metrics to show, the one that decides which setting is best first.

    Args:
      runs: list of `Run`.
      requested: list of names; if there are any, they are shown, known or not.
      main_metric: of the task, or None.
    """
    if requested:
        return list(requested)
    known = known_metrics(runs)
    others = [name for name in known if name != "eval_loss"]
    shown = [main_metric] if main_metric in known else others
    losses = [name for name in known if name == "eval_loss" and name not in shown]
    return [*shown[: MAX_DEFAULT_METRICS - len(losses)], *losses]


def summarize(values, metric):
    """Returns the `Summary` of a list of floats, or None if the list is empty."""
    if not values:
        return None
    return Summary(
        mean=statistics.mean(values),
        best=metrics_lib.best_of(metric, values),
        std=statistics.stdev(values) if len(values) > 1 else None,
        num_values=len(values),
    )


def tabulate(runs):
    """Returns a `Row` for each setting, in the order of the runs."""
    by_setting = {}
    for run in runs:
        by_setting.setdefault(run.setting, []).append(run)
    metrics = known_metrics(runs)
    rows = []
    for setting, members in by_setting.items():
        finished = [run.scores for run in members if run.scores is not None]
        summaries = {
            metric: summarize(
                [s[metric] for s in finished if s.get(metric) is not None], metric
            )
            for metric in metrics
        }
        rows.append(Row(setting, len(finished), len(members), summaries))
    return rows


def find_best(rows, metrics):
    """Returns the indices of the rows with the best mean of the first of the metrics.

    There are several where means are equal, and none if there is no choice.
    """
    if len(rows) < 2 or not metrics:
        return []
    metric = metrics[0]
    means = {
        index: row.summaries[metric].mean
        for index, row in enumerate(rows)
        if row.summaries.get(metric)
    }
    best = metrics_lib.best_of(metric, means.values())
    return [index for index, mean in means.items() if mean == best]


def describe_progress(runs):
    """Returns a sentence: how many runs are in the table, which are not, and why."""
    num_finished = sum(run.scores is not None for run in runs)
    parts = [f"{num_finished} of {len(runs)} planned runs are in the table"]
    by_state = {}
    for run in runs:
        if run.scores is None:
            by_state.setdefault(run.state, []).append(run.name)
    for state, names in sorted(by_state.items()):
        more = len(names) - MAX_NAMES
        listed = ", ".join(names[:MAX_NAMES]) + (
            f" and {more} more" if more > 0 else ""
        )
        parts.append(f"{state}: {listed}")
    return "; ".join(parts) + "."


def _cells(rows, metrics):
    """Returns the table as lists of strings, two header lines first."""
    parameters = [name for name, _ in rows[0].setting]
    best = [
        "min" if metrics_lib.is_lower_better(metric) else "max" for metric in metrics
    ]
    cells = [
        [*parameters, "seeds", *metrics],
        [*("" for _ in parameters), "", *(f"mean ({word}) ± std" for word in best)],
    ]
    for row in rows:
        values = [value for _, value in row.setting]
        scores = [_score_cell(row, metric) for metric in metrics]
        cells.append([*values, f"{row.num_finished} of {row.num_planned}", *scores])
    return cells


def _score_cell(row, metric):
    summary = row.summaries.get(metric)
    if summary is None:
        return "-"
    # As many digits for all three, those that the mean needs.
    is_plain = summary.mean == 0 or 1e-3 <= abs(summary.mean) < 1e3
    spec = ".4f" if is_plain else ".4g"
    std = "-" if summary.std is None else format(summary.std, spec)
    text = f"{summary.mean:{spec}} ({summary.best:{spec}}) ± {std}"
    is_partial = summary.num_values < row.num_finished
    return text + (f" [defined for {summary.num_values}]" if is_partial else "")


def _notes(runs, best, metrics):
    """Returns the lines under the table."""
    notes = []
    if best:
        direction = "lowest" if metrics_lib.is_lower_better(metrics[0]) else "highest"
        notes.append(f"* {direction} mean of {metrics[0]}")
    known = known_metrics(runs)
    missing = [metric for metric in metrics if metric not in known]
    if missing and known:
        notes.append(f"No metric {', '.join(missing)}; there are {', '.join(known)}.")
    return [*notes, describe_progress(runs)]


class Table(NamedTuple):
    """The table of a sweep.

    rows: list of `Row`, one for each setting.
    cells: the rows as lists of strings, two header lines first.
    best: indices of the best rows.
    notes: lines under the table.
    """

    rows: List[Row]
    cells: List[List[str]]
    best: List[int]
    notes: List[str]


def make_table(runs, metrics):
    """Returns the `Table` of a list of `Run`; the first of the metrics decides."""
    rows = tabulate(runs)
    best = find_best(rows, metrics)
    return Table(rows, _cells(rows, metrics), best, _notes(runs, best, metrics))


def to_text(table):
    """Returns a `Table` and the lines under it, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*table.cells)]
    lines = []
    for index, line in enumerate(table.cells):
        mark = "*" if index - 2 in table.best else " "
        padded = [cell.ljust(width) for cell, width in zip(line, widths)]
        lines.append("  ".join([mark, *padded]).rstrip())
    lines = list(filter(None, lines))  # without metrics a header is empty
    return "\n".join([*lines, "", *table.notes]) + "\n"


def write(folder, runs, requested=(), main_metric=None):
    """Writes the table of a sweep in all its forms into a folder; returns the text.

    `sweep.txt` and `report/` hold the metrics of `choose_metrics`; `sweep.csv` (a line
    for each setting) and `sweep_runs.csv` (a line for each planned run) hold them all.

    Args:
      folder: path of the sweep.
      runs: list of `Run`, at least one.
      requested, main_metric: see `choose_metrics`.
    """
    metrics = choose_metrics(runs, requested, main_metric)
    table = make_table(runs, metrics)
    text = to_text(table)
    with files.replacing(os.path.join(folder, "sweep.txt")) as writer:
        writer.write(text)
    _write_csv(os.path.join(folder, "sweep.csv"), _setting_lines(runs, table))
    _write_csv(os.path.join(folder, "sweep_runs.csv"), _run_lines(runs))
    sweep_plots.write_page(
        os.path.join(folder, run_names.REPORT),
        cells=table.cells,
        best=table.best,
        notes=table.notes,
        points=_points(runs, metrics),
    )
    return text


def _write_csv(path, lines):
    with files.replacing(path) as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def _setting_lines(runs, table):
    """Yields the lines of sweep.csv, the header first."""
    known = known_metrics(runs)
    header = [name for name, _ in runs[0].setting]
    header += ["num_finished", "num_planned", "is_best"]
    for metric in known:
        word = "min" if metrics_lib.is_lower_better(metric) else "max"
        header += [f"{metric}_{what}" for what in ("mean", word, "std", "num_values")]
    yield header
    for index, row in enumerate(table.rows):
        line = [value for _, value in row.setting]
        line += [row.num_finished, row.num_planned, int(index in table.best)]
        for metric in known:
            line += row.summaries[metric] or (None, None, None, 0)
        yield line


def _run_lines(runs):
    """Yields the lines of sweep_runs.csv, the header first."""
    known = known_metrics(runs)
    yield [*(name for name, _ in runs[0].setting), "seed", "run", "state", *known]
    for run in runs:
        values = [value for _, value in run.setting]
        scores = [(run.scores or {}).get(metric) for metric in known]
        yield [*values, run.seed, run.name, run.state, *scores]


def _points(runs, metrics):
    """Returns metric -> list of (setting as a dict, value)."""
    return {
        metric: [
            (dict(run.setting), run.scores[metric])
            for run in runs
            if (run.scores or {}).get(metric) is not None
        ]
        for metric in metrics
    }
