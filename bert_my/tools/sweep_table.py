"""The table of a sweep, as text and CSV: each metric of a setting over its seeds."""

import csv
import os
import statistics
from typing import Dict, NamedTuple, Optional, Tuple

from bert_my import metrics as metrics_lib
from bert_my.common import files
from bert_my.engine import run_folder
from bert_my.tools import sweep_page

MAX_DEFAULT_METRICS = 6
MAX_NAMES = 10  # of runs in a list


class Summary(NamedTuple):
    """A metric over the seeds of a setting for which it is defined.

    best: the highest value, or the lowest where lower is better.
    std: of a sample (divided by num_values - 1), None for a single value.
    """

    mean: float
    best: float
    std: Optional[float]
    num_values: int


class Row(NamedTuple):
    """A setting, its numbers of runs, and metric -> `Summary`, None if undefined."""

    setting: Tuple[Tuple[str, str], ...]
    num_finished: int
    num_planned: int
    summaries: Dict[str, Optional[Summary]]


def known_metrics(runs):
    """Returns the names of the metrics of all finished runs, sorted."""
    return sorted({name for run in runs for name in run.scores or ()})


def choose_metrics(runs, requested, main_metric):
    """Returns the metrics to show; the first one decides which setting is best.

    Args:
      runs: list of `sweep_plan.Run`.
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
    metrics = known_metrics(runs)
    rows = []
    for setting in dict.fromkeys(run.setting for run in runs):
        scores = [run.scores for run in runs if run.setting == setting]
        finished = [each for each in scores if each is not None]
        summaries = {
            metric: summarize(
                [each[metric] for each in finished if each.get(metric) is not None],
                metric,
            )
            for metric in metrics
        }
        rows.append(Row(setting, len(finished), len(scores), summaries))
    return rows


def find_best(rows, metrics):
    """Returns the indices of the rows with the best mean of the first of the metrics.

    There are several where means are equal, and none with a single row.
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
    """Returns a sentence with the number of finished runs and the state of others."""
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


def _best_word(metric):
    return "min" if metrics_lib.is_lower_better(metric) else "max"


def make_cells(rows, metrics):
    """Returns the table as lists of strings, two header lines first."""
    parameters = [name for name, _ in rows[0].setting]
    forms = [f"mean ({_best_word(metric)}) ± std" for metric in metrics]
    cells = [[*parameters, "seeds", *metrics], [*[""] * (len(parameters) + 1), *forms]]
    for row in rows:
        values = [value for _, value in row.setting]
        scores = [_score_cell(row, metric) for metric in metrics]
        cells.append([*values, f"{row.num_finished} of {row.num_planned}", *scores])
    return cells


def _score_cell(row, metric):
    summary = row.summaries.get(metric)
    if summary is None:
        return "-"
    # The digits that the mean needs, for all three numbers.
    is_plain = summary.mean == 0 or 1e-3 <= abs(summary.mean) < 1e3
    spec = ".4f" if is_plain else ".4g"
    std = "-" if summary.std is None else format(summary.std, spec)
    text = f"{summary.mean:{spec}} ({summary.best:{spec}}) ± {std}"
    is_partial = summary.num_values < row.num_finished
    return text + (f" [defined for {summary.num_values}]" if is_partial else "")


def make_notes(runs, best, metrics):
    """Returns the lines under the table; `best` is of `find_best`."""
    notes = []
    if best:
        direction = {"min": "lowest", "max": "highest"}[_best_word(metrics[0])]
        notes.append(f"* {direction} mean of {metrics[0]}")
    known = known_metrics(runs)
    missing = [metric for metric in metrics if metric not in known]
    if missing and known:
        notes.append(f"No metric {', '.join(missing)}; there are {', '.join(known)}.")
    return [*notes, describe_progress(runs)]


def to_text(cells, best, notes):
    """Returns the table and the lines under it, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = []
    for index, line in enumerate(cells):
        mark = "*" if index - 2 in best else " "
        padded = [cell.ljust(width) for cell, width in zip(line, widths)]
        lines.append("  ".join([mark, *padded]).rstrip())
    lines = list(filter(None, lines))  # without metrics a header is empty
    return "\n".join([*lines, "", *notes]) + "\n"


def write(folder, runs, requested=(), main_metric=None):
    """Writes the table of a sweep in all its forms into a folder; returns the text.

    `sweep.txt` and `report/` hold the metrics of `choose_metrics`; `sweep.csv` (a line
    for each setting) and `sweep_runs.csv` (a line for each planned run) hold them all.

    Args:
      folder: path of the sweep.
      runs: list of `sweep_plan.Run`, at least one.
      requested, main_metric: see `choose_metrics`.
    """
    metrics = choose_metrics(runs, requested, main_metric)
    rows = tabulate(runs)
    best = find_best(rows, metrics)
    cells, notes = make_cells(rows, metrics), make_notes(runs, best, metrics)
    text = to_text(cells, best, notes)
    with files.replacing(os.path.join(folder, "sweep.txt")) as writer:
        writer.write(text)
    for name, lines in (
        ("sweep.csv", _setting_lines(rows, best, known_metrics(runs))),
        ("sweep_runs.csv", _run_lines(runs, known_metrics(runs))),
    ):
        with files.replacing(os.path.join(folder, name)) as stream:
            csv.writer(stream, lineterminator="\n").writerows(lines)
    report = os.path.join(folder, run_folder.REPORT)
    sweep_page.write(report, cells, best, notes, runs, metrics)
    return text


def _setting_lines(rows, best, metrics):
    """Yields the lines of sweep.csv, the header first."""
    header = [name for name, _ in rows[0].setting]
    header += ["num_finished", "num_planned", "is_best"]
    for metric in metrics:
        names = ("mean", _best_word(metric), "std", "num_values")
        header += [f"{metric}_{name}" for name in names]
    yield header
    for index, row in enumerate(rows):
        line = [value for _, value in row.setting]
        line += [row.num_finished, row.num_planned, int(index in best)]
        for metric in metrics:
            line += row.summaries[metric] or (None, None, None, 0)
        yield line


def _run_lines(runs, metrics):
    """Yields the lines of sweep_runs.csv, the header first."""
    yield [*(name for name, _ in runs[0].setting), "seed", "run", "state", *metrics]
    for run in runs:
        values = [value for _, value in run.setting]
        scores = [(run.scores or {}).get(metric) for metric in metrics]
        yield [*values, run.seed, run.name, run.state, *scores]
