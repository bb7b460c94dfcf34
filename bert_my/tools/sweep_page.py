"""The HTML page of a sweep, and its plots: a metric over the values of a parameter."""

import math
import re
import statistics

from bert_my.report import page, plots

MAX_LINES = len(plots.COLORS)  # in one plot
LOG_RATIO = 10  # largest over smallest value from which the axis is logarithmic
MAX_TEXT = 40  # characters of a tick label
# Kind of axis -> addition to its label.
NOTES = {"log": " (logarithmic)", "log with 0": " (logarithmic, 0 apart)"}
SIZE = (9.0, 4.6)  # inches, with a legend beside the axes


def axis_positions(values):
    """Returns the positions of the values of a parameter on its axis.

    Args:
      values: list of strings, as typed.

    Returns:
      (dict value -> position, kind of axis). Positions on a "log" axis are decadic
      logarithms; 0 is put a decade below the smallest, and the kind is then "log with
      0". The other kinds are "linear" and "categories".
    """
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        numbers = {}
    if not numbers or not all(map(math.isfinite, numbers.values())):
        return {value: float(i) for i, value in enumerate(values)}, "categories"
    positive = [number for number in numbers.values() if number > 0]
    is_wide = bool(positive) and max(positive) / min(positive) >= LOG_RATIO
    if min(numbers.values()) < 0 or not is_wide:
        return numbers, "linear"
    zero = math.log10(min(positive)) - 1
    return {
        value: math.log10(number) if number else zero
        for value, number in numbers.items()
    }, "log" if min(numbers.values()) else "log with 0"


def group_scores(runs, parameter, metric):
    """Groups the scores of runs by the values of all parameters but one.

    Args:
      runs: list of `sweep_plan.Run` with the metric.
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
    positions, kind = axis_positions(values)
    groups = group_scores(runs, parameter, metric)
    has_legend = any(groups)
    figure, axes = plots.new(
        f"{metric} over {parameter}", size=SIZE if has_legend else plots.SIZE
    )
    places = sorted(positions.values())
    span = places[-1] - places[0] or 1.0
    for index, (label, by_value) in enumerate(groups.items()):
        # Side by side, so that the bars do not hide one another.
        shift = 0.012 * span * (index - (len(groups) - 1) / 2)
        color, style = plots.STYLES[index]
        _plot_group(
            axes,
            sorted((positions[x] + shift, scores) for x, scores in by_value.items()),
            color=color,
            label=_shown(label),
            # A line between categories would have no meaning.
            linestyle="" if kind == "categories" else style,
        )
    axes.set_xlim(places[0] - 0.1 * span, places[-1] + 0.1 * span)
    axes.set_xticks([positions[value] for value in values])
    is_crowded = sum(map(len, values)) > 60 or (kind == "linear" and len(values) > 8)
    rotation = {"rotation": 30, "ha": "right"} if is_crowded else {}
    # Long values are mostly paths, which differ at the end.
    labels = [v if len(v) <= MAX_TEXT else "…" + v[-MAX_TEXT:] for v in values]
    axes.set_xticklabels(map(_shown, labels), **rotation)
    axes.set(xlabel=parameter + NOTES.get(kind, ""), ylabel=metric)
    if has_legend:
        plots.legend_beside(axes)
    return figure


def _shown(text):
    """Returns a text for a picture, where a dollar would begin a formula."""
    return text.replace("$", r"\$")


def _plot_group(axes, group, color, **line_style):
    """Draws the points of one line, their means and standard deviations.

    group: sorted list of (position on the axis, list of floats).
    """
    points = [(place, score) for place, scores in group for score in scores]
    axes.plot(*zip(*points), "o", color=color, markersize=4, alpha=0.45)
    axes.errorbar(
        [place for place, _ in group],
        [statistics.mean(scores) for _, scores in group],
        # A single value has no standard deviation: its bar is hidden by the marker.
        yerr=[statistics.stdev(s) if len(s) > 1 else 0.0 for _, s in group],
        color=color,
        marker="_",
        markersize=11,
        capsize=4,
        **line_style,
    )


def write(folder, cells, best, notes, runs, metrics):
    """Writes index.html, which holds its plots, and each plot as a PNG by itself.

    Args:
      folder: path, made if missing.
      cells: lists of strings; two header lines, then a line for each setting.
      best: indices of the best settings.
      notes: list of strings, shown under the table.
      runs: list of `sweep_plan.Run`.
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
            sections[metric] = [_picture(scored, each, metric) for each in parameters]
    page.write(folder, "output_dir", "Sweep", sections, with_png=True)


def _picture(runs, parameter, metric):
    """Returns the `Picture` of a plot."""
    return page.Picture(
        name=re.sub(r"[^\w.-]", "_", f"{parameter}-{metric}"),
        figure=plot(runs, parameter, metric),
        note="Each run, mean and standard deviation.",
    )
