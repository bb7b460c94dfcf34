"""Pictures of predictions, and the numbers behind them.

Functions that draw return a `Picture`; names of labels in their arguments are those
that `plots.shown` returns. Numbers are exact, over all rows; `plots.thin` only chooses
the points to draw.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from sklearn import metrics as sklearn_metrics

from bert_my.report import plots
from bert_my.report.page import Picture

MAX_CURVES = 10  # of a picture with a curve for each label
MAX_CONFUSION = 50  # labels of a confusion matrix
MAX_WITH_SHARES = 12  # labels up to which its cells also show the share
MAX_BARS = 60
MAX_PANELS = 9  # of a picture with a histogram for each label
PANELS_PER_LINE = 3
NUM_BINS = 10  # of a reliability diagram
MAX_POINTS = 5000  # of a scatter plot
ACCURACIES = (0.95, 0.99)  # for which the threshold is marked
UNIT = (-0.01, 1.01)  # limits of an axis from 0 to 1
# Name of a picture -> title, score in the legend, axis labels.
CURVES = {
    "roc": ("ROC curve", "AUC", "false positive rate", "true positive rate"),
    "precision_recall": ("Precision and recall", "AP", "recall", "precision"),
}


class Curve(NamedTuple):
    """A curve that scikit-learn draws, and its score."""

    display: Any  # with `plot`
    score: float


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


def note_of_worst(num_shown, num_labels, score_name):
    """Returns the note of a picture of the worst labels; "" if it shows all labels."""
    if num_shown == num_labels:
        return ""
    return f"The {num_shown} of {num_labels} labels with the lowest {score_name}."


def has_both(is_positive):
    """Returns whether bool `[num_rows]` holds both rows with and without a label."""
    return bool(np.any(is_positive) and not np.all(is_positive))


def roc(is_positive, scores):
    """Returns the ROC `Curve` of bool and float `[num_rows]`.

    The score is the area under the curve. None if a class is missing.
    """
    if not has_both(is_positive):
        return None
    false_positive, true_positive, _ = sklearn_metrics.roc_curve(is_positive, scores)
    area = sklearn_metrics.auc(false_positive, true_positive)
    x, y = plots.thin((false_positive, true_positive))
    return Curve(sklearn_metrics.RocCurveDisplay(fpr=x, tpr=y), float(area))


def precision_recall(is_positive, scores):
    """Returns the precision-recall `Curve` of bool and float `[num_rows]`.

    The score is the average precision; None if no row is positive.
    """
    if not np.any(is_positive):
        return None
    curve = sklearn_metrics.precision_recall_curve(is_positive, scores)
    average = sklearn_metrics.average_precision_score(is_positive, scores)
    display = sklearn_metrics.PrecisionRecallDisplay(*plots.thin(curve[:2]))
    return Curve(display, float(average))


@plots.styled
def curves(kind, many, alt, title=None, note=""):
    """Draws ROC or precision-recall curves.

    Args:
      kind: key of `CURVES`.
      many: list of (name, `Curve`).
      alt, note: see `Picture`.
      title: (optional) in place of that in `CURVES`.
    """
    default_title, score_name, x_label, y_label = CURVES[kind]
    # Few curves have their legend above, many beside them.
    are_few = len(many) < 4
    beside = (6.6 + _inches([name for name, _ in many]), 5.2)
    size = (5.6, 5.4) if are_few else beside
    figure, axes = plots.new(title or default_title, size)
    for name, curve in many:
        curve.display.plot(ax=axes)
        curve.display.line_.set_label(f"{score_name} {curve.score:.4f}  {name}")
    axes.set(xlabel=x_label, ylabel=y_label, xlim=UNIT, ylim=UNIT)
    axes.set_aspect("equal", anchor="W")
    (plots.legend_above if are_few else plots.legend_beside)(axes)
    if kind == "roc":  # curve of a model that guesses
        axes.plot([0, 1], [0, 1], color=plots.GREY, linewidth=1, linestyle=":")
    return Picture(kind, figure, alt, note)


@plots.styled
def confusion(counts, shares, names, label="label", units="rows", note=""):
    """Draws a confusion matrix: colours are shares of a row, cells show counts.

    Args:
      counts: int `[num_labels, num_labels]`, true labels first.
      shares: float of the same shape: counts by the sum of their row.
      names: of the labels.
      label, units: "tokens" have a "tag", "rows" have a "label".
      note: below the picture.
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
    alt = f"Confusion matrix of {number} {label}s"
    return Picture("confusion", figure, alt, note)


def calibration_bins(probabilities, came_true, num_bins=NUM_BINS):
    """Returns the bins of a reliability diagram of float and bool `[num_rows]`.

    The bins are of equal width; a probability on an edge counts to the bin above it.

    Returns:
      (mean probabilities, shares of rows that came true, numbers of rows, expected
      calibration error). The first three are arrays `[num_bins]`; the first two are NaN
      where a bin has no row. The error is the mean over rows of their distance.
    Source: Guo et al. 2017.
    """
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(bins, probabilities, num_bins) / counts
        shares = np.bincount(bins, came_true, num_bins) / counts
    error = np.nansum(np.abs(means - shares) * counts) / len(probabilities)
    return means, shares, counts, float(error)


@plots.styled
def calibration(probabilities, came_true, x_label, y_label, alt, note="", units="rows"):
    """Draws a reliability diagram, and below the number of rows in each bin.

    Args:
      probabilities, came_true: float and bool `[num_rows]`.
      x_label, y_label: of the axes.
      alt, note: see `Picture`.
      units: counted in the bins.
    """
    means, shares, counts, error = calibration_bins(probabilities, came_true)
    figure, (axes, below) = plots.new(
        f"Calibration: expected calibration error {error:.4f}",
        (5.6, 6.0),
        2,
        sharex=True,
        gridspec_kw={"height_ratios": [3, 1]},
    )
    filled = counts > 0
    axes.plot([0, 1], [0, 1], ":", color=plots.GREY, label="perfect")
    style = {"color": plots.COLORS[0], "label": "this run, by bin"}
    axes.plot(means[filled], shares[filled], "o-", **style)
    axes.set(ylabel=y_label, xlim=UNIT, ylim=(-0.02, 1.02))
    plots.legend_above(axes)
    centers = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
    below.bar(centers, counts, 0.9 / NUM_BINS, color=plots.COLORS[5])
    for center, count in zip(centers, counts):
        below.text(center, count, _short(count), ha="center", va="bottom", fontsize=8)
    below.set(xlabel=x_label, ylabel=f"{units} in the bin")
    below.set_ylim(0, max(counts) * 1.25)
    below.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    return Picture("calibration", figure, alt, note)


def _lines_of_labels(title, names):
    """Returns (figure, axes) with a line for each name, the first one topmost."""
    size = (5.0 + _inches(names), 1.7 + max(0.27 * len(names), 0.6))
    figure, axes = plots.new(title, size)
    axes.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticklabels(names)
    axes.grid(False, axis="y")
    return figure, axes


@plots.styled
def scores_by_label(name, names, precisions, recalls, f1s, unit="label"):
    """Draws F1 as a bar for each label, with precision and recall on the bar.

    The lowest F1 is topmost; of more than `MAX_BARS` labels the lowest are drawn.

    Args:
      name: of the picture.
      names: of the labels.
      precisions, recalls, f1s: float `[num_labels]`.
      unit: term for a label.
    """
    order = np.argsort(f1s, kind="stable")[:MAX_BARS]
    title = f"Precision, recall and F1 by {unit}"
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
    alt = f"Precision, recall and F1 of each {unit}"
    note = note_of_worst(len(order), len(names), "F1")
    return Picture(name, figure, alt, note)


@plots.styled
def counts_by_label(names, found, wrong, missed, note=""):
    """Draws for each label the rows found and missed, and to the left the wrong ones.

    names: of the labels, the topmost first.
    found, wrong, missed: int `[num_labels]`: true positives, false positives and false
      negatives.
    """
    figure, axes = _lines_of_labels("Right and wrong rows by label", names)
    y = np.arange(len(names))
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
    alt = "Rows of each label that are found, missed, and given the label wrongly"
    return Picture("confusion", figure, alt, note)


def _threshold_axes(title, x_label):
    figure, axes = plots.new(title, (6.4, 5.2))
    axes.set(xlabel=x_label, ylabel="share", xlim=UNIT, ylim=(-0.02, 1.04))
    return figure, axes


def _threshold_line(axes, thresholds, values, name, end=0.0):
    """Draws values that hold up to their thresholds; the last one up to `end`."""
    x, y = plots.thin((thresholds, values))
    x = np.concatenate([[0], x, [max(x[-1], end)]])
    y = np.concatenate([[y[0]], y, [y[-1]]])
    axes.plot(x, y, label=name, drawstyle="steps-pre")


def _mark(axes, threshold, value, label, color, marker):
    """Draws a point, and a line through it down to the axis of the thresholds."""
    axes.axvline(threshold, color=color, linewidth=1, linestyle=":")
    style = {"color": color, "markeredgecolor": "white", "markersize": 9, "zorder": 5}
    axes.plot([threshold], [value], marker, label=label, **style)


def rates_by_threshold(is_positive, scores):
    """Returns rates and scores if a label is given from a threshold of its score on.

    Args:
      is_positive, scores: bool and float `[num_rows]`, both classes in the first.

    Returns:
      (thresholds, dict name -> values), all `[num_thresholds]`. Thresholds ascend: the
      distinct scores, and above them one from which the label is never given.
    """
    false_positive, true_positive, thresholds = sklearn_metrics.roc_curve(
        is_positive, scores, drop_intermediate=False
    )
    # scikit-learn's versions differ in the threshold above the highest score.
    thresholds[0] = np.nextafter(thresholds[1], np.inf)
    num_positive = np.count_nonzero(is_positive)
    num_negative = len(is_positive) - num_positive
    hits, false_alarms = true_positive * num_positive, false_positive * num_negative
    values = {
        "true positive rate": true_positive,
        "false positive rate": false_positive,
        "accuracy": (hits + num_negative - false_alarms) / len(is_positive),
        "F1": 2 * hits / (hits + false_alarms + num_positive),
    }
    return thresholds[::-1], {name: each[::-1] for name, each in values.items()}


@plots.styled
def thresholds(is_positive, scores, positive, alt, title="Threshold", note=""):
    """Draws rates, accuracy and F1 against the threshold, and marks the best.

    Args:
      is_positive, scores: see `rates_by_threshold`.
      positive: name of the label that is given from the threshold on.
      alt, title, note: see `Picture`.
    """
    x_label = f"threshold: probability of {positive} from which it is given"
    figure, axes = _threshold_axes(title, x_label)
    x, values = rates_by_threshold(is_positive, scores)
    for name, y in values.items():
        _threshold_line(axes, x, y, name, end=1.0)
    for name, color, marker in (
        ("accuracy", plots.COLORS[2], "o"),
        ("F1", plots.COLORS[3], "s"),
    ):
        best = np.argmax(values[name])  # of equal ones the lowest threshold
        label = f"best {name} {values[name][best]:.4f} at {x[best]:.4f}"
        _mark(axes, x[best], values[name][best], label, color, marker)
    plots.legend_above(axes)
    return Picture("thresholds", figure, alt, note)


def rows_kept(probabilities, is_right):
    """Returns the rows whose highest probability reaches each threshold.

    Args:
      probabilities, is_right: float and bool `[num_rows]`, at least one row.

    Returns:
      (thresholds, shares of all rows, accuracies of the rows kept), all
      `[num_thresholds]`: the distinct probabilities, ascending.
    """
    order = np.argsort(probabilities)
    found, begins = np.unique(probabilities[order], return_index=True)
    num_kept = len(order) - begins
    num_right = np.cumsum(is_right[order][::-1])[::-1][begins]
    return found, num_kept / len(order), num_right / num_kept


@plots.styled
def kept(probabilities, is_right):
    """Draws the rows kept and the accuracy on them against the lowest top probability.

    probabilities, is_right: see `rows_kept`.
    """
    x_label = "threshold: probability of the most probable label"
    figure, axes = _threshold_axes("Rows kept above a threshold", x_label)
    thresholds, shares, accuracies = rows_kept(probabilities, is_right)
    _threshold_line(axes, thresholds, shares, "share of rows kept")
    _threshold_line(axes, thresholds, accuracies, "accuracy of those")
    for accuracy, marker in zip(ACCURACIES, "os"):
        reaching = np.flatnonzero(accuracies >= accuracy)
        if len(reaching):
            x, y = thresholds[reaching[0]], shares[reaching[0]]
            label = f"{accuracy:.0%} right from {x:.4f} on: {y:.1%} kept"
            _mark(axes, x, y, label, plots.COLORS[3], marker)
    plots.legend_above(axes)
    return Picture(
        "thresholds",
        figure,
        "Share of the rows kept, and accuracy on them, by lowest probability kept",
        "Rows less sure than the threshold are put aside, for example for a person.",
    )


def _draw_shares(axes, groups, num_bins):
    """Draws a histogram in percent for each (text of the legend, values from 0 to 1).

    Histograms have an outline and a pale area.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    for (label, values), (color, style) in zip(groups, plots.STYLES):
        shares = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(shares, edges, color=color, linestyle=style, label=label)
    axes.set_xlim(0, 1)
    _percent(axes.yaxis)


@plots.styled
def histograms(groups, title, x_label, alt):
    """Draws histograms of the values of groups of rows.

    Args:
      groups: list of (name, float `[num_rows]` from 0 to 1).
      title, alt: see `Picture`.
      x_label: of the axis.
    """
    figure, axes = plots.new(title)
    groups = [(f"{name} ({len(values):,} rows)", values) for name, values in groups]
    _draw_shares(axes, groups, num_bins=25)
    axes.set(xlabel=x_label, ylabel="share of the group's rows")
    plots.legend_above(axes)
    return Picture("scores", figure, alt)


@plots.styled
def histograms_by_label(panels, note=""):
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
    alt = "Histograms of the probability of a label, for rows with and without it"
    return Picture("score_histograms", figure, alt, note)


@plots.styled
def scatter(targets, predicted, scores):
    """Draws predicted against true numbers.

    targets, predicted: float `[num_rows]`. Of more than `MAX_POINTS` rows that many are
      drawn, the same ones each time.
    scores: text with the metrics.
    """
    figure, axes = plots.new("Predicted and true values", (5.6, 5.6))
    rows, note = np.arange(len(targets)), ""
    if len(rows) > MAX_POINTS:
        rows = np.random.RandomState(0).choice(len(rows), MAX_POINTS, replace=False)
        note = f"{MAX_POINTS:,} of {len(targets):,} rows are drawn."
    low = min(targets.min(), predicted.min())
    high = max(targets.max(), predicted.max())
    margin = 0.03 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=plots.GREY, linestyle=":", label="equal")
    style = {"color": plots.COLORS[0], "markersize": 4, "markeredgewidth": 0}
    alpha = 0.9 if len(rows) < 100 else 0.35
    x, y = targets[rows], predicted[rows]
    axes.plot(x, y, "o", label=scores, alpha=alpha, **style)
    axes.set(xlabel="true value", ylabel="predicted value", xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    plots.legend_above(axes)
    alt = f"Predicted against true values: {scores}"
    return Picture("scatter", figure, alt, note)


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
    return Picture("residuals", figure, "Histogram of the errors")
