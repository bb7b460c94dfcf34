"""Sections about training: loss, learning rate, speed, metrics of the dev set."""

import numpy as np

from bert_my import metrics
from bert_my.engine import run_folder
from bert_my.report import curves, plots
from bert_my.report.page import Picture

STEP = "training step"
MAX_METRICS = 7  # of a picture, or of a comparison; the tables have them all
# Kind of metric -> name, title and axis of its picture.
GROUPS = {
    "loss": ("dev_loss", "Loss on the dev set", "loss"),
    "score": ("dev_metrics", "Metrics on the dev set", "score"),
    "other": ("dev_errors", "Errors on the dev set", "value"),
}


def training(runs, names):
    """Yields the parts about the steps of training.

    Args:
      runs: list of `run_files.Run`.
      names: of the runs in pictures.
    """
    found = [
        (name, run.training)
        for name, run in zip(names, runs)
        if run.training is not None and len(run.training.steps)
    ]
    if not found:
        yield f"There is no {run_folder.TRAINING} with steps."
        return
    is_alone = len(found) == 1
    losses = [_loss_line(name, steps, is_alone) for name, steps in found]
    window = curves.smoothing_window(len(found[0][1].steps))
    yield Picture(
        "training_loss",
        plots.lines("Training loss", STEP, "loss", losses),
        "Training loss by step",
        f"Smoothed: mean over {window} steps." if is_alone else "Smoothed.",
    )
    rates = [plots.Line(name, each.steps, each.learning_rates) for name, each in found]
    yield Picture(
        "learning_rate",
        plots.lines("Learning rate", STEP, "learning rate", rates),
        "Learning rate by step",
    )
    yield _speed(found)


def _loss_line(name, steps, has_each_step):
    window = curves.smoothing_window(len(steps.steps))
    smoothed = curves.smooth(steps.losses, window)
    if not has_each_step:
        return plots.Line(name, steps.steps, smoothed)
    return plots.Line("smoothed", steps.steps, smoothed, steps.losses, "each step")


def _speed(found):
    """Returns a picture of the speed; a sentence if no run logged its speed twice."""
    many = []
    for name, each in found:
        # The first report of a run may have no timed step, which is a speed of 0.
        is_known = np.nan_to_num(each.examples_per_second) > 0
        if is_known.any():
            speed = each.examples_per_second[is_known]
            many.append(plots.Line(name, each.steps[is_known], speed))
    if not many:
        return "The speed of training was not logged."
    medians = [f"{np.median(line.y):,.1f}" for line in many]
    if max(len(line.y) for line in many) < 2:
        if len(found) > 1:
            medians = [f"{line.name} {each}" for line, each in zip(many, medians)]
        text = f"Speed of training, logged once: {', '.join(medians)}"
        return f"{text} examples per second."
    limits = (0, 1.15 * max(line.y.max() for line in many))
    unit, note = "examples per second", ""
    if len(many) == 1:
        note = f"Median of the logged values: {medians[0]} {unit}."
    figure = plots.lines("Speed of training", STEP, unit, many, ylim=limits)
    return Picture("speed", figure, "Examples per second by step", note)


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
    has_steps = run.training is not None and len(run.training.steps)
    if has_steps and groups["loss"]:
        groups["loss"].append(_loss_line("training, smoothed", run.training, False))
    if not any(groups.values()):
        yield "No metric of the evaluations is defined."
    for group, many in groups.items():
        if many:
            name, title, label = GROUPS[group]
            figure = plots.lines(title, STEP, label, many[:MAX_METRICS])
            num_left_out = len(many) - MAX_METRICS
            note = f"{num_left_out} more metrics are left out."
            note = note if num_left_out > 0 else ""
            yield Picture(name, figure, f"{title} by step", note)


def _group_of(metric, values):
    if metrics.is_loss(metric):
        return "loss"
    return "score" if np.nanmax(np.abs(values)) <= 1 else "other"


def _metric_line(run, metric, name):
    """Returns the `Line` of a metric over the evaluations, None if it is undefined."""
    points = [
        (each["step"], each[metric])
        for each in run.evaluations or ()
        if each.get(metric) is not None and np.isfinite(each[metric])
    ]
    if not points:
        return None
    steps, values = zip(*points)
    return plots.Line(name, np.array(steps), np.array(values, float))


def compared_evaluations(runs, names, main):
    """Yields a picture for each dev metric, with a line for each run.

    runs, names: see `training`.
    main: name of the main metric, or None.
    """
    tables = [each for run in runs for each in run.evaluations or ()]
    found = metrics.in_order(tables, main)
    of_all = [name for name in found if not metrics.is_of_label(name)]
    has_picture = False
    for metric in of_all[:MAX_METRICS]:
        many = [_metric_line(run, metric, name) for name, run in zip(names, runs)]
        many = [line for line in many if line is not None]
        if many:
            has_picture = True
            figure = plots.lines(f"Dev set: {metric}", STEP, metric, many)
            name = "dev_" + "".join(c if c.isalnum() else "_" for c in metric)
            yield Picture(name, figure, f"{metric} by step")
    if not has_picture:
        yield f"No run has an evaluation in {run_folder.EVALUATIONS}."
