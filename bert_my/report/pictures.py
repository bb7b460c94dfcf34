"""Pictures of predictions: curves, thresholds, confusion, calibration, scores, errors.

Names in the arguments are those that `plots.shown` returns.
"""

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from sklearn import metrics as sklearn_metrics

from bert_my.report import curves, plots

MAX_CURVES = 10  # of a picture with a curve for each label
MAX_CONFUSION = 50  # labels of a confusion matrix
MAX_WITH_SHARES = 12  # labels up to which its cells also show the share
MAX_BARS = 60
MAX_PANELS = 9  # of a picture with a histogram for each label
PANELS_PER_LINE = 3
ACCURACIES = (0.95, 0.99)  # for which the threshold is marked
UNIT = (-0.01, 1.01)  # limits of an axis from 0 to 1


def _percent(axis):
    axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _inches(names):
    """Returns the width of the widest name in inches."""
    return max(map(plots.width, names)) / plots.COLUMNS_PER_INCH


def _short(count):
    """Returns a count in at most four characters."""
    for unit, size in (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if count < 999.5 * size:
            digits = 0 if unit == "" or count >= 9.95 * size else 1
            return f"{count / size:.{digits}f}{unit}"
    return ">1T"


def _curves(title, many, score_name, x_label, y_label):
    """Returns the figure of a list of (name, `curves.Curve`)."""
    # Few curves have their legend above, many beside them.
    are_few = len(many) < 4
    beside = (6.6 + _inches([name for name, _ in many]), 5.2)
    figure, axes = plots.new(title, (5.6, 5.4) if are_few else beside)
    for name, curve in many:
        curve.display.plot(ax=axes)
        curve.display.line_.set_label(f"{score_name} {curve.score:.4f}  {name}")
    axes.set(xlabel=x_label, ylabel=y_label, xlim=UNIT, ylim=UNIT)
    axes.set_aspect("equal", anchor="W")
    (plots.legend_above if are_few else plots.legend_beside)(axes)
    return figure


@plots.styled
def roc(many, title="ROC curve"):
    """Draws ROC curves, a list of (name, `curves.Curve`)."""
    labels = ("false positive rate", "true positive rate")
    figure = _curves(title, many, "AUC", *labels)
    style = {"color": plots.GREY, "linewidth": 1, "linestyle": ":"}
    figure.axes[0].plot([0, 1], [0, 1], **style)
    return figure


@plots.styled
def precision_recall(many, title="Precision and recall"):
    """Draws precision-recall curves, a list of (name, `curves.Curve`)."""
    return _curves(title, many, "AP", "recall", "precision")


@plots.styled
def confusion(counts, shares, names, label="label", units="rows"):
    """Draws a confusion matrix: colours are shares of a row, cells show counts.

    Args:
      counts: int `[num_labels, num_labels]`, true labels first.
      shares: float of the same shape: counts by the sum of their row.
      names: of the labels.
      label, units: "tokens" have a "tag", "rows" have a "label".
    """
    number = len(names)
    side = min(max(0.72 * number, 3.2), 10.5)  # inches
    widest = _inches(names)
    is_upright = widest < 0.9 * side / number
    below = 0.2 if is_upright else 0.8 * widest
    size = (side + 2.0 + 0.6 * widest, side + 0.9 + below)
    figure, axes = plots.new(f"Confusion matrix ({label}s)", size)
    axes.grid(False)
    display = sklearn_metrics.ConfusionMatrixDisplay(shares, display_labels=names)
    display.plot(ax=axes, cmap="Blues", colorbar=False)
    display.im_.set_clim(0, 1)
    has_shares = number <= MAX_WITH_SHARES
    for cell, text in np.ndenumerate(display.text_):
        count, share = counts[cell], shares[cell]
        content = _short(count) if count else ""
        if has_shares:
            content = f"{count:,}\n" + (
                f"{share:.1%}" if counts[cell[0]].any() else "–"
            )
        text.set(
            text=content,
            color="white" if share > 0.55 else "black",
            fontsize=9 if has_shares else max(5, 9 - number / 12),
        )
    axes.tick_params(labelsize=9 if number <= 25 else 7)
    if not is_upright:
        for name in axes.get_xticklabels():
            name.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
    axes.set(xlabel=f"predicted {label}", ylabel=f"true {label}")
    bar = figure.colorbar(display.im_, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(f"share of the {units} with that true {label}", fontsize=9)
    _percent(bar.ax.yaxis)
    return figure


@plots.styled
def calibration(found, x_label, y_label, units="rows"):
    """Draws a reliability diagram, and below the number of rows in each bin.

    found: `curves.Calibration`.
    units: counted in the bins.
    """
    figure, (axes, below) = plots.new(
        f"Calibration: expected calibration error {found.expected_error:.4f}",
        (5.6, 6.0),
        2,
        sharex=True,
        gridspec_kw={"height_ratios": [3, 1]},
    )
    filled = found.counts > 0
    means, shares = found.mean_probabilities[filled], found.shares[filled]
    axes.plot([0, 1], [0, 1], ":", color=plots.GREY, label="perfect")
    axes.plot(means, shares, "o-", color=plots.COLORS[0], label="this run, by bin")
    axes.set(ylabel=y_label, xlim=UNIT, ylim=(-0.02, 1.02))
    plots.legend_above(axes)
    bin_width = found.edges[1] - found.edges[0]
    centers = found.edges[:-1] + bin_width / 2
    below.bar(centers, found.counts, 0.9 * bin_width, color=plots.COLORS[5])
    for center, count in zip(centers, found.counts):
        below.text(center, count, _short(count), ha="center", va="bottom", fontsize=8)
    below.set(xlabel=x_label, ylabel=f"{units} in the bin")
    below.set_ylim(0, max(found.counts) * 1.25)
    below.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    return figure


def _lines_of_labels(title, names):
    """Returns (figure, axes) with a line for each name, the first one topmost."""
    size = (5.0 + _inches(names), 1.7 + max(0.27 * len(names), 0.6))
    figure, axes = plots.new(title, size)
    axes.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticklabels(names)
    axes.grid(False, axis="y")
    return figure, axes


@plots.styled
def scores_by_label(names, precisions, recalls, f1s, units="label"):
    """Draws F1 as a bar for each label, with precision and recall on the bar.

    The lowest F1 is topmost; of more than `MAX_BARS` labels the lowest are drawn.

    names: strings; the rest float `[num_labels]`.
    """
    order = np.argsort(f1s, kind="stable")[:MAX_BARS]
    title = f"Precision, recall and F1 by {units}"
    figure, axes = _lines_of_labels(title, [names[k] for k in order])
    y = np.arange(len(order))
    axes.barh(y, f1s[order], color=plots.PALE, height=0.7, label="F1")
    for values, label, marker, size, color in (
        (precisions, "precision", "|", 11, plots.COLORS[1]),
        (recalls, "recall", "o", 5, plots.COLORS[0]),
    ):
        style = {"color": color, "markersize": size, "markeredgewidth": 2}
        axes.plot(values[order], y, marker, label=label, clip_on=False, **style)
    axes.set(xlabel="share", xlim=(0, 1))
    plots.legend_above(axes)
    return figure


@plots.styled
def counts_by_label(names, counts):
    """Draws for each label the rows found and missed, and to the left the wrong ones.

    names: strings, the topmost first.
    counts: int `[num_labels, 4]`, see `curves.label_counts`.
    """
    figure, axes = _lines_of_labels("Right and wrong rows by label", names)
    y = np.arange(len(names))
    found, wrong, missed, _ = counts.T
    for values, left, label, color in (
        (-wrong, 0, "wrongly given (FP)", plots.COLORS[1]),
        (found, 0, "found (TP)", plots.COLORS[0]),
        (missed, found, "missed (FN)", "#C8C8C8"),
    ):
        axes.barh(y, values, left=left, color=color, label=label, height=0.7)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="rows")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rows, _: f"{abs(rows):,.0f}"))
    plots.legend_above(axes)
    return figure


def _threshold_axes(title, x_label):
    figure, axes = plots.new(title, (6.4, 5.2))
    axes.set(xlabel=x_label, ylabel="share", xlim=UNIT, ylim=(-0.02, 1.04))
    return figure, axes


def _threshold_line(axes, thresholds, values, name, end=0.0):
    """Draws values that hold up to their thresholds; the last one up to `end`."""
    x, y = curves.thin((thresholds, values))
    x = np.concatenate([[0], x, [max(x[-1], end)]])
    y = np.concatenate([[y[0]], y, [y[-1]]])
    axes.plot(x, y, label=name, drawstyle="steps-pre")


def _mark(axes, threshold, value, label, color, marker):
    """Draws a point, and a line through it down to the axis of the thresholds."""
    axes.axvline(threshold, color=color, linewidth=1, linestyle=":")
    style = {"color": color, "markeredgecolor": "white", "markersize": 9, "zorder": 5}
    axes.plot([threshold], [value], marker, label=label, **style)


@plots.styled
def thresholds(found, positive, title="Threshold"):
    """Draws rates, accuracy and F1 against the threshold, and marks the best.

    found: `curves.Thresholds`.
    positive: name of the label that is given from the threshold on.
    """
    x_label = f"threshold: probability of {positive} from which it is given"
    figure, axes = _threshold_axes(title, x_label)
    for name, values in (
        ("true positive rate", found.true_positive_rates),
        ("false positive rate", found.false_positive_rates),
        ("accuracy", found.accuracies),
        ("F1", found.f1s),
    ):
        _threshold_line(axes, found.thresholds, values, name, end=1.0)
    for name, values, color, marker in (
        ("accuracy", found.accuracies, plots.COLORS[2], "o"),
        ("F1", found.f1s, plots.COLORS[3], "s"),
    ):
        threshold, value = found.best(values)
        label = f"best {name} {value:.4f} at {threshold:.4f}"
        _mark(axes, threshold, value, label, color, marker)
    plots.legend_above(axes)
    return figure


@plots.styled
def kept(found):
    """Draws the rows kept and the accuracy on them against the lowest top probability.

    found: `curves.Kept`.
    """
    x_label = "threshold: probability of the most probable label"
    figure, axes = _threshold_axes("Rows kept above a threshold", x_label)
    _threshold_line(axes, found.thresholds, found.shares, "share of rows kept")
    _threshold_line(axes, found.thresholds, found.accuracies, "accuracy of those")
    for accuracy, marker in zip(ACCURACIES, "os"):
        reached = found.reaching(accuracy)
        if reached is not None:
            threshold, share = reached
            label = f"{accuracy:.0%} right from {threshold:.4f} on: {share:.1%} kept"
            _mark(axes, threshold, share, label, plots.COLORS[3], marker)
    plots.legend_above(axes)
    return figure


def _draw_shares(axes, groups, num_bins):
    """Draws a histogram in percent for each (text of the legend, values from 0 to 1).

    Histograms have an outline and a pale area.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    for (label, values), (color, style) in zip(groups, plots.STYLES):
        shares = curves.histogram(values, edges)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(shares, edges, color=color, linestyle=style, label=label)
    axes.set_xlim(0, 1)
    _percent(axes.yaxis)


@plots.styled
def histograms(groups, title, x_label):
    """Draws histograms of the values of groups of rows.

    groups: list of (name, float `[num_rows]` from 0 to 1).
    """
    figure, axes = plots.new(title)
    groups = [(f"{name} ({len(values):,} rows)", values) for name, values in groups]
    _draw_shares(axes, groups, num_bins=25)
    axes.set(xlabel=x_label, ylabel="share of the group's rows")
    plots.legend_above(axes)
    return figure


@plots.styled
def histograms_by_label(panels):
    """Draws, in a panel for each label, its probability in rows with and without it.

    panels: list of (name, float `[num_with]`, float `[num_without]`).
    """
    columns = min(len(panels), PANELS_PER_LINE)
    lines = -(-len(panels) // columns)
    size = (1.0 + 3.0 * columns, 0.9 + 2.3 * lines)
    figure, grid = plots.new("Scores of each label", size, lines, columns)
    all_axes = np.atleast_1d(grid).ravel()
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, with_label, without) in zip(all_axes, panels):
        groups = [
            (f"{name}: {len(with_label):,} rows", with_label),
            (f"the other {len(without):,}", without),
        ]
        _draw_shares(axes, groups, num_bins=20)
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0)}
        axes.legend(fontsize=8, handlelength=1.8, **place)
    figure.supxlabel("predicted probability of the label", fontsize=10)
    figure.supylabel("share of the group's rows", fontsize=10)
    return figure


@plots.styled
def scatter(targets, predicted, scores):
    """Draws predicted against true numbers.

    targets, predicted: float `[num_rows]`; at most some thousands of rows are drawn.
    scores: text with the metrics.
    """
    figure, axes = plots.new("Predicted and true values", (5.6, 5.6))
    kept_rows = curves.sample(len(targets))
    low = min(targets.min(), predicted.min())
    high = max(targets.max(), predicted.max())
    margin = 0.03 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=plots.GREY, linestyle=":", label="equal")
    style = {"color": plots.COLORS[0], "markersize": 4, "markeredgewidth": 0}
    alpha = 0.9 if len(kept_rows) < 100 else 0.35
    x, y = targets[kept_rows], predicted[kept_rows]
    axes.plot(x, y, "o", label=scores, alpha=alpha, **style)
    axes.set(xlabel="true value", ylabel="predicted value", xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    plots.legend_above(axes)
    return figure


@plots.styled
def residuals(errors):
    """Draws the histogram of predicted minus true numbers, float `[num_rows]`."""
    figure, axes = plots.new("Errors")
    num_bins = int(np.clip(np.sqrt(len(errors)), 5, 50))
    counts, edges = np.histogram(errors, num_bins)
    axes.stairs(counts, edges, fill=True, color=plots.COLORS[5])
    axes.axvline(0, color="black", linewidth=1, label="no error")
    mean = float(np.mean(errors))
    style = {"color": plots.COLORS[1], "linestyle": "--"}
    axes.axvline(mean, label=f"mean error {mean:.4g}", **style)
    axes.set(xlabel="predicted minus true value", ylabel="rows")
    plots.legend_above(axes)
    return figure
