"""The table of a sweep as text, CSV and page; plots of metrics over parameters."""

import csv
import itertools
import os
import re
import statistics
from typing import Dict, List, NamedTuple, Optional

from bert_my import metrics as metrics_lib
from bert_my import tools
from bert_my.common import files
from bert_my.engine import run_folder
from bert_my.report import page, plots
from bert_my.tools import sweep

NOT_METRICS = {"global_step", "loss"}
MAX_DEFAULT_METRICS = 6
MAX_NAMES = 10  # of runs in a list
MAX_LINES = len(plots.COLORS)  # in one plot
SIZE = (9.0, 4.6)  # inches, with a legend beside the axes
SHIFT = 0.04  # between the lines, of the distance between values


class Summary(NamedTuple):
    """A metric over the seeds of a setting for which it is defined.

    best: the highest value, or the lowest where lower is better.
    std: of a sample (divided by num_values - 1), None for a single value.
    """

    mean: Optional[float]
    best: Optional[float]
    std: Optional[float]
    num_values: int


class Row(NamedTuple):
    """A setting and its runs, see `sweep.Run`."""

    setting: Dict[str, str]
    runs: List[sweep.Run]

    @property
    def num_finished(self):
        """Number of the runs that have scores."""
        return sum(run.scores is not None for run in self.runs)

    def values(self, metric):
        """Returns the values of a metric in the runs for which it is defined."""
        values = [(run.scores or {}).get(metric) for run in self.runs]
        return [value for value in values if value is not None]

    def summary(self, metric):
        """Returns the `Summary` of a metric."""
        values = self.values(metric)
        if not values:
            return Summary(None, None, None, 0)
        std = statistics.stdev(values) if len(values) > 1 else None
        best = metrics_lib.best_of(metric, values)
        return Summary(statistics.mean(values), best, std, len(values))


def tabulate(runs):
    """Returns a `Row` for each setting, in the order of the runs."""
    groups = itertools.groupby(runs, key=lambda run: run.setting)
    return [Row(setting, list(group)) for setting, group in groups]


def known_metrics(runs):
    """Returns the names of the metrics of all finished runs, sorted."""
    names = {name for run in runs for name in run.scores or ()}
    return sorted(names - NOT_METRICS)


def choose_metrics(known, requested, main_metric):
    """Returns the metrics to show; the first one decides which setting is best.

    Args:
      known: names of all metrics.
      requested: list of names; if there are any, they are shown, known or not.
      main_metric: of the task, or None.
    """
    if requested:
        return list(requested)
    others = [name for name in known if name != "eval_loss"]
    losses = [] if main_metric == "eval_loss" else sorted({"eval_loss"} & set(known))
    shown = [main_metric] if main_metric in known else others
    return [*shown[: MAX_DEFAULT_METRICS - len(losses)], *losses]


def find_best(rows, metrics):
    """Returns for each row whether it has the best mean of the first of the metrics.

    There are several where means are equal, and none with a single row.
    """
    if len(rows) < 2 or not metrics:
        return [False] * len(rows)
    means = [row.summary(metrics[0]).mean for row in rows]
    best = metrics_lib.best_of(metrics[0], means)
    return [mean == best for mean in means]


def _best_word(metric):
    return "min" if metrics_lib.is_lower_better(metric) else "max"


def make_cells(rows, is_best, metrics):
    """Returns the table as lists of strings, the header first."""
    forms = [f"{metric}: mean ({_best_word(metric)}) ± std" for metric in metrics]
    cells = [["", *rows[0].setting, "seeds", *forms]]
    for row, best in zip(rows, is_best):
        seeds = f"{row.num_finished} of {len(row.runs)}"
        scores = [_score_cell(row, metric) for metric in metrics]
        cells.append(["*" if best else "", *row.setting.values(), seeds, *scores])
    return cells


def _score_cell(row, metric):
    summary = row.summary(metric)
    if summary.mean is None:
        return "-"
    # The digits that the mean needs, for all three numbers.
    is_plain = summary.mean == 0 or 1e-3 <= abs(summary.mean) < 1e3
    spec = ".4f" if is_plain else ".4g"
    std = "-" if summary.std is None else format(summary.std, spec)
    text = f"{summary.mean:{spec}} ({summary.best:{spec}}) ± {std}"
    is_partial = summary.num_values < row.num_finished
    return text + (f" [defined for {summary.num_values}]" if is_partial else "")


def make_notes(runs, is_best, metrics):
    """Returns the lines under the table; `is_best` is of `find_best`."""
    notes = []
    if any(is_best):
        direction = {"min": "lowest", "max": "highest"}[_best_word(metrics[0])]
        notes.append(f"* {direction} mean of {metrics[0]}")
    known = known_metrics(runs)
    missing = [metric for metric in metrics if metric not in known]
    if missing and known:
        notes.append(f"No metric {', '.join(missing)}; there are {', '.join(known)}.")
    num_finished = sum(run.scores is not None for run in runs)
    progress = f"{num_finished} of {len(runs)} planned runs are in the table"
    for state in (
        sweep.FAILED,
        sweep.STARTED,
        sweep.OTHER_COMMAND,
        sweep.OTHER_DATA,
        sweep.NOT_RUN,
    ):
        names = [run.name for run in runs if run.state == state]
        if len(names) > MAX_NAMES:
            names[MAX_NAMES:] = [f"{len(names) - MAX_NAMES} more"]
        if names:
            progress += f"; {state}: {', '.join(names)}"
    return [*notes, f"{progress}."]


def write(folder, runs, requested=(), main_metric=None):
    """Writes the table of a sweep in all its forms into a folder; returns the text.

    `sweep.txt` and `report/` hold the metrics of `choose_metrics`; `sweep.csv` (a line
    for each setting) and `sweep_runs.csv` (a line for each planned run) hold them all.

    Args:
      folder: path of the sweep.
      runs: list of `sweep.Run`, at least one.
      requested, main_metric: see `choose_metrics`.
    """
    rows, known = tabulate(runs), known_metrics(runs)
    metrics = choose_metrics(known, requested, main_metric)
    is_best = find_best(rows, metrics)
    cells = make_cells(rows, is_best, metrics)
    notes = make_notes(runs, is_best, metrics)
    text = "\n".join([*tools.align(cells), "", *notes]) + "\n"
    with files.replacing(os.path.join(folder, "sweep.txt")) as writer:
        writer.write(text)
    for name, lines in (
        ("sweep.csv", _setting_lines(rows, is_best, known)),
        ("sweep_runs.csv", _run_lines(runs, known)),
    ):
        with files.replacing(os.path.join(folder, name)) as stream:
            csv.writer(stream, lineterminator="\n").writerows(lines)
    sections = {"Settings": [page.Table(cells[0], cells[1:], classes=["key"]), *notes]}
    for metric in metrics:
        scored = [row for row in rows if row.values(metric)]
        if scored and scored[0].setting:
            sections[metric] = [plot(scored, name, metric) for name in rows[0].setting]
    report = os.path.join(folder, run_folder.REPORT)
    page.write(report, "output_dir", "Sweep", sections, with_png=True)
    return text


def _setting_lines(rows, is_best, metrics):
    """Yields the lines of sweep.csv, the header first."""
    header = [*rows[0].setting, "num_finished", "num_planned", "is_best"]
    for metric in metrics:
        names = ("mean", _best_word(metric), "std", "num_values")
        header += [f"{metric}_{name}" for name in names]
    yield header
    for row, best in zip(rows, is_best):
        counts = [row.num_finished, len(row.runs), int(best)]
        summaries = [row.summary(metric) for metric in metrics]
        yield [*row.setting.values(), *counts, *itertools.chain(*summaries)]


def _run_lines(runs, metrics):
    """Yields the lines of sweep_runs.csv, the header first."""
    yield [*runs[0].setting, "seed", "run", "state", *metrics]
    for run in runs:
        scores = [(run.scores or {}).get(metric) for metric in metrics]
        yield [*run.setting.values(), run.seed, run.name, run.state, *scores]


def _lines(rows, parameter, metric):
    """Returns a dict label -> value of the parameter -> list of scores.

    A label is a setting of the other parameters. With more than `MAX_LINES` of them
    all settings are one line.
    """
    lines, together = {}, {}
    for row in rows:
        others = dict(row.setting)
        value = others.pop(parameter)
        label = ", ".join(f"{name}={other}" for name, other in others.items())
        for line in (lines.setdefault(label, {}), together):
            line.setdefault(value, []).extend(row.values(metric))
    return lines if len(lines) <= MAX_LINES else {"all other settings": together}


@plots.styled
def plot(rows, parameter, metric):
    """Draws a point for each run, and lines through means with bars of one std.

    The values of the parameter have equal distances, and numbers are in their order.

    Args:
      rows: list of `Row` with the metric, at least one.
      parameter: flag of the grid, on the axis.
      metric: name of the score.

    Returns:
      `Picture`.
    """
    values = list(dict.fromkeys(row.setting[parameter] for row in rows))
    line_styles = plots.STYLES
    try:
        values.sort(key=float)
    except ValueError:  # a line between names would have no meaning
        line_styles = [(color, "") for color, _ in plots.STYLES]
    lines = _lines(rows, parameter, metric)
    has_legend = any(lines)
    title = f"{metric} over {parameter}"
    figure, axes = plots.new(title, SIZE if has_legend else plots.SIZE)
    for index, (label, line) in enumerate(lines.items()):
        # Side by side, so that the bars do not hide one another.
        shift = SHIFT * (index - (len(lines) - 1) / 2)
        points = [(values.index(x) + shift, line[x]) for x in values if x in line]
        dots = [(place, score) for place, scores in points for score in scores]
        color, style = line_styles[index]
        axes.plot(*zip(*dots), "o", color=color, markersize=4, alpha=0.45)
        axes.errorbar(
            [place for place, _ in points],
            [statistics.mean(scores) for _, scores in points],
            # A single score has no deviation: its bar is hidden by the marker.
            yerr=[statistics.stdev(s) if len(s) > 1 else 0.0 for _, s in points],
            color=color,
            linestyle=style,
            label=label.replace("$", r"\$"),  # a dollar would begin a formula
            marker="_",
            markersize=11,
            capsize=4,
        )
    axes.set(xlabel=parameter, ylabel=metric, xlim=(-0.5, len(values) - 0.5))
    axes.set_xticks(range(len(values)))
    # Long values are mostly paths, which differ at the end.
    ends = [
        x if len(x) <= plots.MAX_WIDTH else "…" + x[1 - plots.MAX_WIDTH :]
        for x in values
    ]
    rotation = {"rotation": 30, "ha": "right"} if sum(map(len, ends)) > 60 else {}
    axes.set_xticklabels(map(plots.shown, ends), **rotation)
    if has_legend:
        plots.legend_beside(axes)
    name = re.sub(r"[^\w.-]", "_", f"{parameter}-{metric}")
    note = "Each run, mean and standard deviation."
    return page.Picture(name, figure, note)
