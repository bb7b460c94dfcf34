"""Pictures of what a threshold of the probability does."""

import numpy as np

from bert_my.report import curves, plots

ACCURACIES = (0.95, 0.99)  # for which the threshold is marked


def thresholds(found, positive, title="Threshold"):
    """Draws rates, accuracy and F1 against the threshold, and marks the best.

    found: `curves.Thresholds`.
    positive: name of the label that is given from the threshold on.
    """
    series = {
        "true positive rate": found.true_positive_rates,
        "false positive rate": found.false_positive_rates,
        "accuracy": found.accuracies,
        "F1": found.f1s,
    }
    x_label = f"threshold: probability of {positive} from which it is given"
    figure, axes = _new(title, x_label)
    for (name, values), (color, style) in zip(series.items(), plots.styles(7)):
        _draw(axes, found.thresholds, values, name, color, style, end=1.0)
    for name, color, marker in (("accuracy", 2, "o"), ("F1", 3, "s")):
        threshold, value = found.best(series[name])
        label = f"best {name} {value:.4f} at {threshold:.4f}"
        _mark(axes, threshold, value, label, plots.COLORS[color], marker)
    plots.legend_above(axes)
    return figure


def kept(found):
    """Draws the rows kept and the accuracy on them against the lowest top probability.

    found: `curves.Kept`.
    """
    x_label = "threshold: probability of the most probable label"
    figure, axes = _new("Rows kept above a threshold", x_label)
    arguments = axes, found.thresholds
    _draw(*arguments, found.shares, "share of rows kept", plots.COLORS[0], "-")
    _draw(*arguments, found.accuracies, "accuracy of those", plots.COLORS[2], "--")
    for accuracy, marker in zip(ACCURACIES, "os"):
        reached = found.reaching(accuracy)
        if reached is None:
            continue
        threshold, share = reached
        label = f"{accuracy:.0%} right from {threshold:.4f} on: {share:.1%} kept"
        _mark(axes, threshold, share, label, plots.COLORS[1], marker)
    plots.legend_above(axes)
    return figure


def _new(title, x_label):
    """Returns (figure, axes) with thresholds from left to right."""
    figure, axes = plots.new(title, (6.4, 5.2))
    axes.set(xlabel=x_label, ylabel="share", xlim=(-0.01, 1.01), ylim=(-0.02, 1.04))
    return figure, axes


def _draw(axes, found, values, name, color, style, end=0.0):
    """Draws values that hold up to their thresholds, which rise, and then to `end`."""
    x, y = curves.thin((found, values))
    # Up to the lowest all are as at it.
    x = np.concatenate([[0], x, [max(x[-1], end)]])
    y = np.concatenate([[y[0]], y, [y[-1]]])
    axes.plot(x, y, style, color=color, label=name, drawstyle="steps-pre")


def _mark(axes, threshold, value, label, color, marker):
    """Draws a point, and a line through it to the axis of the thresholds."""
    axes.axvline(threshold, color=color, linewidth=1, linestyle=":")
    axes.plot(
        [threshold],
        [value],
        marker,
        color=color,
        label=label,
        markeredgecolor="white",
        markersize=9,
        zorder=5,
    )
