"""Sections about training: loss, learning rate, speed, metrics of the dev set."""

from typing import NamedTuple, Optional

import numpy as np
from matplotlib.ticker import MaxNLocator

from bert_my import metrics
from bert_my.engine import run_folder
from bert_my.report import plots
from bert_my.report.page import Picture

MAX_METRICS = 7  # of a picture, or of a comparison; the tables have them all
# Kind of metric -> name, title and axis of its picture.
GROUPS = {
    "loss": ("dev_loss", "Loss on the dev set", "loss"),
    "score": ("dev_metrics", "Metrics on the dev set", "score"),
    "other": ("dev_errors", "Errors on the dev set", "value"),
}


class Line(NamedTuple):
    """A line of a picture; x and y are arrays of one length."""

    name: str
    x: np.ndarray
    y: np.ndarray
    each_step: Optional[np.ndarray] = None  # y before smoothing, behind the line


def draw_lines(name, title, y_label, many, note="", **axes_settings):
    """Draws lines over training steps.

    Args:
      name, title, note: see `Picture`.
      y_label: with the unit.
      many: list of `Line`. Lines of few points have markers, for a single point has no
        line.
      axes_settings: for `Axes.set`, such as `ylim`.

    Returns:
      `Picture`.
    """
    figure, axes = plots.new(title)
    for line in many:
        marker = "o" if len(line.x) <= 30 else None
        style = {"label": line.name, "marker": marker, "markersize": 4}
        (drawn,) = axes.plot(line.x, line.y, **style)
        if line.each_step is not None:
            style = {"color": drawn.get_color(), "alpha": 0.35, "linewidth": 0.8}
            axes.plot(line.x, line.each_step, "-", label="each step", zorder=1, **style)
    axes.set(xlabel="training step", ylabel=y_label, **axes_settings)
    # A single step has a tick only if one tick is enough.
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    if max(np.nan_to_num(np.abs(line.y)).max() for line in many) < 1e-3:
        axes.yaxis.set_major_formatter("{x:g}")
    if len(axes.lines) > 1:
        plots.legend_above(axes)
    return Picture(name, figure, note)


def smooth(values, window):
    """Returns the mean of the values around each, float `[num_values]`.

    Values that are not finite do not count. At the ends the window is cut off.

    values: float `[num_values]`.
    window: odd number of values.
    """
    half = window // 2
    is_finite = np.isfinite(values)
    sums = np.append(0, np.cumsum(np.where(is_finite, values, 0)))
    counts = np.append(0, np.cumsum(is_finite))
    positions = np.arange(len(values))
    begin = np.maximum(positions - half, 0)
    end = np.minimum(positions + half + 1, len(values))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[end] - sums[begin]) / (counts[end] - counts[begin])


def smoothing_window(num_values):
    """Returns an odd window for `smooth`: a twentieth of the values."""
    return max(num_values // 40, 1) * 2 + 1


def training(runs, names):
    """Yields the parts about the steps of training.

    Args:
      runs: list of `run_files.Run`.
      names: of the runs in pictures.
    """
    found = [pair for pair in zip(names, runs) if len(pair[1].training.steps)]
    found = [(name, run.training) for name, run in found]
    if not found:
        yield f"There is no {run_folder.TRAINING} with steps."
        return
    losses = [_loss_line(*pair) for pair in found]
    note = "Smoothed."
    if len(found) == 1:
        ((_, each),) = found
        losses = [losses[0]._replace(name="smoothed", each_step=each.losses)]
        note = f"Smoothed: mean over {smoothing_window(len(each.steps))} steps."
    yield draw_lines("training_loss", "Training loss", "loss", losses, note)
    rates = [Line(name, each.steps, each.learning_rates) for name, each in found]
    yield draw_lines("learning_rate", "Learning rate", "learning rate", rates)
    yield _speed(found)


def _loss_line(name, each):
    smoothed = smooth(each.losses, smoothing_window(len(each.steps)))
    return Line(name, each.steps, smoothed)


def _speed(found):
    """Returns a picture of the speed; a sentence if no run logged its speed twice."""
    many = []
    for name, each in found:
        # The first report of a run may have no timed step, which is a speed of 0.
        is_known = np.nan_to_num(each.examples_per_second) > 0
        if is_known.any():
            speed = each.examples_per_second[is_known]
            many.append(Line(name, each.steps[is_known], speed))
    if not many:
        return "The speed of training was not logged."
    unit, note = "examples per second", ""
    medians = [f"{line.name} {np.median(line.y):,.1f}".strip() for line in many]
    if max(len(line.y) for line in many) < 2:
        return f"Speed of training, logged once: {', '.join(medians)} {unit}."
    if len(many) == 1:
        note = f"Median of the logged values: {medians[0]} {unit}."
    limits = (0, 1.15 * max(line.y.max() for line in many))
    return draw_lines("speed", "Speed of training", unit, many, note, ylim=limits)


def evaluations(run):
    """Yields the parts about the dev metrics of one run during training."""
    if not run.evaluations:
        yield (
            f"There is no {run_folder.EVALUATIONS}: the dev set was not evaluated "
            "during training."
        )
        return
    groups = {group: [] for group in GROUPS}
    for metric in metrics.in_order(run.evaluations, run.main_metric):
        line = _metric_line(run, metric, plots.shown(metric))
        if line is not None:
            groups[_group_of(metric, line.y)].append(line)
    if len(run.training.steps) and groups["loss"]:
        # First, as more lines than a picture holds are left out from the end.
        groups["loss"].insert(0, _loss_line("training, smoothed", run.training))
    if not any(groups.values()):
        yield "No metric of the evaluations is defined."
    for group, many in groups.items():
        if many:
            num_left_out = len(many) - MAX_METRICS
            note = f"{num_left_out} more metrics are left out."
            note = note if num_left_out > 0 else ""
            yield draw_lines(*GROUPS[group], many[:MAX_METRICS], note)


def _group_of(metric, values):
    if metrics.is_loss(metric):
        return "loss"
    return "score" if np.nanmax(np.abs(values)) <= 1 else "other"


def _metric_line(run, metric, name):
    """Returns the `Line` of a metric over the evaluations, None if it is undefined."""
    steps = np.array([each["step"] for each in run.evaluations])
    values = np.array([each.get(metric) for each in run.evaluations], float)
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return None
    return Line(name, steps[is_finite], values[is_finite])


def compared_evaluations(runs, names, main):
    """Yields a picture for each dev metric, with a line for each run.

    runs, names: see `training`.
    main: name of the main metric, or None.
    """
    tables = [each for run in runs for each in run.evaluations]
    found = metrics.in_order(tables, main)
    of_all = [name for name in found if not metrics.is_of_label(name)]
    has_picture = False
    for metric in of_all[:MAX_METRICS]:
        many = [_metric_line(run, metric, name) for name, run in zip(names, runs)]
        many = [line for line in many if line is not None]
        if many:
            has_picture = True
            name = "dev_" + "".join(c if c.isalnum() else "_" for c in metric)
            yield draw_lines(name, f"Dev set: {metric}", metric, many)
    if not has_picture:
        yield f"No run has an evaluation in {run_folder.EVALUATIONS}."
