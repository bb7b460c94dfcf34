"""The results of a sweep: tables as text and CSV, and a page with plots."""

import csv
import math
import os
import re
import statistics
from typing import Dict, NamedTuple, Optional, Tuple

from matplotlib import transforms

from bert_my import metrics as metrics_lib
from bert_my import tools
from bert_my.common import files
from bert_my.engine import run_folder
from bert_my.report import page, plots

MAX_LINES = len(plots.COLORS)  # in one plot
LOG_RATIO = 10  # largest over smallest value from which the axis is logarithmic
MAX_TEXT = 40  # characters of a tick label
GROUP_DISTANCE = 0.07  # inches, between the points of two groups
SIZE = (9.0, 4.6)  # inches, with a legend beside the axes


class Summary(NamedTuple):
    """A metric over the seeds of a setting for which it is defined.

    best: the highest value, or the lowest where lower is better.
    std: of a sample (divided by num_values - 1), None for a single value.
    """

    mean: Optional[float] = None
    best: Optional[float] = None
    std: Optional[float] = None
    num_values: int = 0


class Row(NamedTuple):
    """A setting, its numbers of runs, and metric -> `Summary`."""

    setting: Tuple[Tuple[str, str], ...]
    num_finished: int
    num_planned: int
    summaries: Dict[str, Summary]


def known_metrics(runs):
    """Returns the names of the metrics of all finished runs, sorted."""
    return sorted({name for run in runs for name in run.scores or ()})


def choose_metrics(runs, requested):
    """Returns the metrics to show; the first one decides which setting is best.

    Args:
      runs: list of `sweep.Run`.
      requested: list of names; if there are any, they are shown, known or not. The
        default is the task's main metric and `eval_loss`, or else all.
    """
    if requested:
        return list(requested)
    known = known_metrics(runs)
    main_metric = None
    for run in runs:
        if run.scores is not None:
            task = run_folder.RunFolder(run.folder).read_task() or {}
            main_metric = main_metric or task.get("main_metric")
    shown = [main_metric] if main_metric in known else known
    others = [name for name in shown if name != "eval_loss"]
    return [*others, *(name for name in known if name == "eval_loss")]


def summarize(values, metric):
    """Returns the `Summary` of a list of floats."""
    if not values:
        return Summary()
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
    means = {
        index: row.summaries[metrics[0]].mean
        for index, row in enumerate(rows)
        if row.summaries.get(metrics[0], Summary()).num_values
    }
    best = metrics_lib.best_of(metrics[0], means.values())
    return [index for index, mean in means.items() if mean == best]


def describe_progress(runs):
    """Returns a sentence with the number of finished runs and the state of others."""
    names = {}
    for run in runs:
        names.setdefault(run.state, []).append(run.name)
    num_finished = sum(run.scores is not None for run in runs)
    parts = [f"{num_finished} of {len(runs)} planned runs are in the table"]
    parts += [f"{x}: {', '.join(names[x])}" for x in sorted(names) if x != "finished"]
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
    summary = row.summaries.get(metric, Summary())
    if not summary.num_values:
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
    marks = ["*" if index - 2 in best else " " for index in range(len(cells))]
    lines = tools.align([[mark, *line] for mark, line in zip(marks, cells)])
    # Without metrics the second header line is empty.
    return "\n".join([*filter(None, lines), "", *notes]) + "\n"


def write(folder, runs, requested=()):
    """Writes the table of a sweep in all its forms into a folder; returns the text.

    `sweep.txt` and `report/` hold the metrics of `choose_metrics`; `sweep.csv` (a line
    for each setting) and `sweep_runs.csv` (a line for each planned run) hold them all.

    Args:
      folder: path of the sweep.
      runs: list of `sweep.Run`, at least one.
      requested: see `choose_metrics`.
    """
    metrics = choose_metrics(runs, requested)
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
    write_page(report, cells, best, notes, runs, metrics)
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
            line += row.summaries[metric]
        yield line


def _run_lines(runs, metrics):
    """Yields the lines of sweep_runs.csv, the header first."""
    yield [*(name for name, _ in runs[0].setting), "seed", "run", "state", *metrics]
    for run in runs:
        values = [value for _, value in run.setting]
        scores = [(run.scores or {}).get(metric) for metric in metrics]
        yield [*values, run.seed, run.name, run.state, *scores]


def write_page(folder, cells, best, notes, runs, metrics):
    """Writes index.html, which holds its plots, and each plot as a PNG by itself.

    Args:
      folder: path, made if missing.
      cells: lists of strings; two header lines, then a line for each setting.
      best: indices of the best settings.
      notes: list of strings, shown under the table.
      runs: list of `sweep.Run`.
      metrics: list of the names of the metrics to plot.
    """
    header = [": ".join(filter(None, both)) for both in zip(cells[0], cells[1])]
    rows = [
        [page.BOLD.format(cell) for cell in (f"* {line[0]}", *line[1:])]
        if index in best
        else line
        for index, line in enumerate(cells[2:])
    ]
    sections = {"Settings": [page.Table(header, rows, classes=["key"]), *notes]}
    for metric in metrics:
        scored = [run for run in runs if (run.scores or {}).get(metric) is not None]
        parameters = [name for name, _ in scored[0].setting] if scored else []
        if parameters:
            sections[metric] = [
                page.Picture(
                    name=re.sub(r"[^\w.-]", "_", f"{parameter}-{metric}"),
                    figure=plot(scored, parameter, metric),
                    alt=f"{metric} over {parameter}: each run, mean and standard "
                    "deviation",
                )
                for parameter in parameters
            ]
    page.write(folder, "output_dir", "Sweep", sections, with_png=True)


def axis_positions(values):
    """Returns the positions of the values of a parameter on its axis.

    Args:
      values: list of strings, as typed.

    Returns:
      (dict value -> position, whether the values are numbers). Values that are not all
      finite numbers are numbered.
    """
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        numbers = {}
    if numbers and all(map(math.isfinite, numbers.values())):
        return numbers, True
    return {value: float(index) for index, value in enumerate(values)}, False


def group_scores(runs, parameter, metric):
    """Groups the scores of runs by the values of all parameters but one.

    Args:
      runs: list of `sweep.Run` with the metric.
      parameter: flag of the grid, on the axis.
      metric: name of the score.

    Returns:
      dict label -> value of the parameter -> list of floats. With more than `MAX_LINES`
      labels all runs are one group.
    """
    groups, together = {}, {}
    for run in runs:
        setting = dict(run.setting)
        value = setting.pop(parameter)
        label = ", ".join(f"{name}={x}" for name, x in setting.items())
        for by_value in (groups.setdefault(label, {}), together):
            by_value.setdefault(value, []).append(run.scores[metric])
    return groups if len(groups) <= MAX_LINES else {"all other settings": together}


@plots.styled
def plot(runs, parameter, metric):
    """Draws a point for each run, and lines through means with bars of one std.

    Args:
      runs, parameter, metric: see `group_scores`; at least one run.

    Returns:
      `Figure`.
    """
    values = list(dict.fromkeys(dict(run.setting)[parameter] for run in runs))
    positions, are_numbers = axis_positions(values)
    groups = group_scores(runs, parameter, metric)
    has_legend = any(groups)
    figure, axes = plots.new(
        f"{metric} over {parameter}", size=SIZE if has_legend else plots.SIZE
    )
    drawn = []
    for index, (label, by_value) in enumerate(groups.items()):
        group = sorted((positions[value], scores) for value, scores in by_value.items())
        color, style = plots.STYLES[index]
        points = [(place, score) for place, scores in group for score in scores]
        dots = axes.plot(*zip(*points), "o", color=color, markersize=4, alpha=0.45)
        bars = axes.errorbar(
            [place for place, _ in group],
            [statistics.mean(scores) for _, scores in group],
            # A single value has no standard deviation: the marker hides its bar.
            yerr=[statistics.stdev(s) if len(s) > 1 else 0.0 for _, s in group],
            color=color,
            marker="_",
            markersize=11,
            capsize=4,
            label=_shown(label),
            # A line between values without an order would have no meaning.
            linestyle=style if are_numbers else "",
        )
        drawn.append([*dots, *bars.get_children()])
    positive = [place for place in positions.values() if place > 0]
    is_log = (
        are_numbers
        and min(positions.values()) >= 0
        and len(positive) > 0
        and max(positive) / min(positive) >= LOG_RATIO
    )
    if is_log:
        # 0 is put a decade below the smallest value.
        axes.set_xscale("symlog", linthresh=min(positive))
        axes.minorticks_off()
    axes.margins(x=0.1)
    axes.autoscale_view()
    axes.autoscale(False)  # the limits do not follow the shifts
    for index, artists in enumerate(drawn):
        # Side by side, so that the bars do not hide one another.
        shift = GROUP_DISTANCE * (index - (len(drawn) - 1) / 2)
        transform = transforms.offset_copy(axes.transData, figure, shift)
        for artist in artists:
            artist.set_transform(transform)
    axes.set_xticks([positions[value] for value in values])
    is_crowded = sum(map(len, values)) > 60 or len(values) > 8
    rotation = {"rotation": 30, "ha": "right"} if is_crowded else {}
    # Long values are mostly paths, which differ at the end.
    labels = [v if len(v) <= MAX_TEXT else "…" + v[-MAX_TEXT:] for v in values]
    axes.set_xticklabels(map(_shown, labels), **rotation)
    axes.set(xlabel=parameter + " (logarithmic)" * is_log, ylabel=metric)
    if has_legend:
        plots.legend_beside(axes)
    return figure


def _shown(text):
    """Returns a text for a picture, where a dollar would begin a formula."""
    return text.replace("$", r"\$")
