"""The HTML page of a sweep, and its plots: metric over the values of a parameter."""

import math
import re
import statistics

from bert_my.report import page, plots

MAX_LINES = len(plots.COLORS)  # in one plot
LOG_RATIO = 10  # a decade: from there on the axis is logarithmic
MAX_TEXT = 40
# Said of the axis, by its kind.
NOTES = {"log": " (logarithmic)", "log with 0": " (logarithmic, 0 apart)"}
SIZE = (9.0, 4.6)  # inches, with a legend beside the axes


def axis_positions(values):
    """Returns where the values of a parameter stand on the axis, and what it is.

    Args:
      values: list of strings, as typed.

    Returns:
      (dict value -> position, kind of axis). Positions on a "log" axis are decadic
      logarithms; 0, which has none, is a decade below the smallest, and the kind then
      "log with 0". The other kinds are "linear" and "categories".
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


def group_points(points, parameter):
    """Splits points by the values of all parameters but one.

    Args:
      points: list of (setting as a dict, value).
      parameter: the one on the axis.

    Returns:
      dict label -> value of the parameter -> list of floats. With more than `MAX_LINES`
      labels there is one only, for all points.
    """
    groups = {}
    for setting, value in points:
        others = [f"{name}={x}" for name, x in setting.items() if name != parameter]
        by_value = groups.setdefault(", ".join(others), {})
        by_value.setdefault(setting[parameter], []).append(value)
    if len(groups) <= MAX_LINES:
        return groups
    together = {}
    for by_value in groups.values():
        for parameter_value, values in by_value.items():
            together.setdefault(parameter_value, []).extend(values)
    return {"all other settings": together}


@plots.styled
def plot(points, parameter, metric):
    """Draws a point for each run, and lines through means with bars of one std.

    Args:
      points: list of (setting as a dict, value), at least one.
      parameter: the one on the axis.
      metric: name of the value.

    Returns:
      `Figure`.
    """
    values = list(dict.fromkeys(setting[parameter] for setting, _ in points))
    positions, kind = axis_positions(values)
    groups = group_points(points, parameter)
    has_legend = any(groups)
    figure, axes = plots.new(
        f"{metric} over {parameter}", size=SIZE if has_legend else plots.SIZE
    )
    places = sorted(positions.values())
    span = places[-1] - places[0] or 1.0
    for index, (label, by_value) in enumerate(groups.items()):
        # Next to each other, so that the bars do not hide one another.
        shift = 0.012 * span * (index - (len(groups) - 1) / 2)
        moved = {value: positions[value] + shift for value in by_value}
        color, style = plots.STYLES[index]
        _plot_group(
            axes,
            by_value,
            moved,
            color=color,
            label=_shown(label),
            # Between categories there is nothing.
            linestyle="" if kind == "categories" else style,
        )
    axes.set_xlim(places[0] - 0.1 * span, places[-1] + 0.1 * span)
    axes.set_xticks([positions[value] for value in values])
    is_crowded = sum(map(len, values)) > 60 or (kind == "linear" and len(values) > 8)
    rotation = {"rotation": 30, "ha": "right"} if is_crowded else {}
    axes.set_xticklabels([_shown(v, MAX_TEXT) for v in values], **rotation)
    axes.set(xlabel=parameter + NOTES.get(kind, ""), ylabel=metric)
    if has_legend:
        plots.legend_beside(axes)
    return figure


def _shown(text, max_length=None):
    """Returns a text as pictures have it: the end of a long one, as paths differ there.

    A dollar would begin a formula.
    """
    is_long = max_length is not None and len(text) > max_length
    return ("…" + text[-max_length:] if is_long else text).replace("$", r"\$")


def _plot_group(axes, by_value, places, **line_style):
    """Draws the points of one line, its means and their standard deviations."""
    ordered = sorted(by_value, key=places.get)
    for value in ordered:
        scores = by_value[value]
        axes.plot(
            [places[value]] * len(scores),
            scores,
            "o",
            color=line_style["color"],
            markersize=4,
            alpha=0.45,
        )
    means = {value: statistics.mean(by_value[value]) for value in ordered}
    axes.plot(
        [places[value] for value in ordered],
        [means[value] for value in ordered],
        marker="_",
        markersize=11,
        **line_style,
    )
    # A single value has no standard deviation, and gets no bar.
    several = [value for value in ordered if len(by_value[value]) > 1]
    axes.errorbar(
        [places[value] for value in several],
        [means[value] for value in several],
        yerr=[statistics.stdev(by_value[value]) for value in several],
        color=line_style["color"],
        linestyle="",
        capsize=4,
    )


def write_page(folder, cells, best, notes, points):
    """Writes index.html with a table and plots.

    Args:
      folder: path, made if missing.
      cells: lists of strings; two header lines, then a line for each setting.
      best: indices of the best settings.
      notes: list of strings, shown under the table.
      points: dict metric -> list of (setting as a dict, value).
    """
    header = [": ".join(filter(None, both)) for both in zip(cells[0], cells[1])]
    rows = [
        [page.BOLD.format(cell) for cell in (f"* {line[0]}", *line[1:])]
        if index in best
        else line
        for index, line in enumerate(cells[2:])
    ]
    table = page.Table(header, rows, classes=["key"])
    sections = {"Settings": [table, *notes]}
    for metric, of_metric in points.items():
        parameters = list(of_metric[0][0]) if of_metric else []
        if parameters:
            pictures = [_picture(of_metric, each, metric) for each in parameters]
            sections[metric] = pictures
    page.write(folder, "output_dir", "Sweep", sections)


def _picture(points, parameter, metric):
    """Returns the `Picture` of a plot."""
    return page.Picture(
        name=re.sub(r"[^\w.-]", "_", f"{parameter}-{metric}"),
        figure=plot(points, parameter, metric),
        alt=f"{metric} over {parameter}: each run, mean and standard deviation",
    )
