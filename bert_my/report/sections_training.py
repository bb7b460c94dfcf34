"""The parts of the page about training: loss, learning rate, speed, dev metrics."""

import numpy as np

from bert_my.engine import run_folder as run_names
from bert_my.metrics import metrics
from bert_my.report import curves, fonts, page, plots

STEP = "training step"
# Beyond these a picture says no more; the tables have them all.
MAX_METRICS = 7
# Kind of metric -> file, title and label of its picture.
GROUPS = {
    "loss": ("dev_loss", "Loss on the dev set", "loss"),
    "score": ("dev_metrics", "Metrics on the dev set", "score"),
    "other": ("dev_errors", "Errors on the dev set", "value"),
}


def training(runs, names):
    """Returns the parts about the steps of training.

    Args:
      runs: list of `run_files.Run`.
      names: `fonts.Names` of the runs.
    """
    found = [
        (name, run.training)
        for name, run in zip(names.shown, runs)
        if run.training is not None and len(run.training.steps)
    ]
    if not found:
        return [page.sentence(f"There is no {run_names.TRAINING} with steps.")]
    loss = plots.lines(
        "Training loss",
        STEP,
        "loss",
        [_loss_line(name, steps, len(found) == 1) for name, steps in found],
    )
    rates = plots.lines(
        "Learning rate",
        STEP,
        "learning rate",
        [plots.Line(name, each.steps, each.learning_rates) for name, each in found],
    )
    window = curves.smoothing_window(len(found[0][1].steps))
    note = f"Smoothed: mean over {window} steps." if len(found) == 1 else "Smoothed."
    parts = [
        _picture("training_loss", loss, "Training loss by step", names.font, note),
        _picture("learning_rate", rates, "Learning rate by step", names.font),
    ]
    return parts + _speed(found, names.font)


def _picture(name, figure, alt, font, note=""):
    return plots.Picture(name, plots.png(figure, font), alt, note)


def _loss_line(name, steps, is_alone):
    window = curves.smoothing_window(len(steps.steps))
    smoothed = curves.smooth(steps.losses, window)
    if not is_alone:
        return plots.Line(name, steps.steps, smoothed)
    return plots.Line("smoothed", steps.steps, smoothed, steps.losses, "each step")


def _speed(found, font):
    """Returns a picture of the speed; a sentence where no run logged it twice."""
    many = []
    for name, each in found:
        # The first report of a run may have no timed step, which is a speed of 0.
        is_known = np.nan_to_num(each.examples_per_second) > 0
        if is_known.any():
            speed = each.examples_per_second[is_known]
            many.append(plots.Line(name, each.steps[is_known], speed))
    if not many:
        return [page.sentence("The speed of training was not logged.")]
    medians = [f"{np.median(line.y):,.1f}" for line in many]
    if max(len(line.y) for line in many) < 2:
        if len(found) > 1:
            medians = [f"{line.name} {each}" for line, each in zip(many, medians)]
        text = f"Speed of training, logged once: {', '.join(medians)}"
        return [page.sentence(f"{text} examples per second.")]
    top = 1.15 * max(line.y.max() for line in many)
    figure = plots.lines(
        "Speed of training", STEP, "examples per second", many, ylim=(0, top)
    )
    note = ""
    if len(many) == 1:
        note = f"Median of the logged values: {medians[0]} examples per second."
    return [_picture("speed", figure, "Examples per second by step", font, note)]


def evaluations(run, find_font):
    """Returns the parts about the dev metrics of one run during training.

    find_font: see `fonts.Names`.
    """
    if not run.evaluations:
        return [
            page.sentence(
                f"There is no {run_names.EVALUATIONS}: the dev set was not evaluated "
                "during training."
            )
        ]
    names = metrics.in_order(run.evaluations, run.task and run.task.main_metric)
    groups = {group: [] for group in GROUPS}
    for metric in names:
        line = _metric_line(run, metric, metric)
        if line is not None:
            groups[_group_of(metric, line.y)].append(line)
    has_steps = run.training is not None and len(run.training.steps)
    if has_steps and groups["loss"]:
        groups["loss"].append(_loss_line("training, smoothed", run.training, False))
    parts = []
    for group, many in groups.items():
        if many:
            parts.extend(_group_picture(group, many, find_font))
    return parts or [page.sentence("No metric of the evaluations is defined.")]


def _group_picture(group, many, find_font):
    """Returns the picture of some metrics, and what its numbers stand for, if any."""
    file, title, label = GROUPS[group]
    drawn = many[:MAX_METRICS]
    names = fonts.Names([line.name for line in drawn], find_font)
    drawn = [line._replace(name=name) for name, line in zip(names.shown, drawn)]
    figure = plots.lines(title, STEP, label, drawn)
    note = f"{len(many) - len(drawn)} more metrics are left out."
    if len(many) == len(drawn):
        note = ""
    picture = _picture(file, figure, f"{title} by step", names.font, note)
    return [picture, *page.name_legend(names)]


def _group_of(name, values):
    if metrics.is_loss(name):
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


def compared_evaluations(runs, names):
    """Returns a picture for each dev metric, with a line for each run."""
    tables = [each for run in runs for each in run.evaluations or ()]
    main = next((run.task.main_metric for run in runs if run.task), None)
    parts = []
    found = metrics.in_order(tables, main)
    of_all = [name for name in found if not metrics.is_of_label(name)]
    for metric in of_all[:MAX_METRICS]:
        many = [_metric_line(run, metric, n) for n, run in zip(names.shown, runs)]
        many = [line for line in many if line is not None]
        if many:
            figure = plots.lines(f"Dev set: {metric}", STEP, metric, many)
            file = "dev_" + "".join(c if c.isalnum() else "_" for c in metric)
            parts.append(_picture(file, figure, f"{metric} by step", names.font))
    return parts or [
        page.sentence(f"No run has an evaluation in {run_names.EVALUATIONS}.")
    ]
