"""Sections about the dev set: its predictions, and the rows predicted most wrongly.

Functions that draw return a `Picture`, or yield it with a table of its numbers. Numbers
are exact, over all rows.
"""

from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from sklearn import metrics as sklearn_metrics

from bert_my import metrics
from bert_my.report import page, plots, run_files
from bert_my.report.page import Picture, Table
from bert_my.text import tag_schemes

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
TOP = "probability of the most probable label"
DECISIONS = "Each label of each row is a decision."
# Name of a picture -> title, score in the legend, axis labels.
CURVES = {
    "roc": ("ROC curve", "AUC", "false positive rate", "true positive rate"),
    "precision_recall": ("Precision and recall", "AP", "recall", "precision"),
}
EAST_ASIAN = "\u2e80"  # first character of the scripts that have no spaces
# Light tints of the colours of `plots`, for types of entities.
TINTS = ("#CFE6F5", "#FBDCC6", "#CDEEDF", "#F3DDEA", "#FBEAC4", "#DDF0FB", "#E6E6E6")
_BEGIN_ENTITY = Markup('<mark style="background:{}">')
_END_ENTITY = Markup("<small>{}</small></mark>")


def build(run):
    """Returns the sections as a dict heading -> list of parts: pictures, then tables.

    run: `run_files.Run` with a task and predictions.
    """
    draw, worst, last_column = KINDS[run.task.kind]
    parts = list(draw(run.task.labels, run.predictions))
    # Pictures stand beside one another only without a table between them.
    parts.sort(key=lambda part: isinstance(part, Table))
    mistakes = ["There are none: every row was predicted right."]
    if run.predictions.mistakes:
        sentence = f"The {worst}, up to {run_files.MAX_MISTAKES}."
        table = _mistakes(run.task, run.predictions.mistakes, last_column)
        mistakes = [sentence, table]
    return {"Dev set": parts, "Mistakes": mistakes}


# Labels.


class EachLabel:
    """Labels and predictions, each label against the rest.

    labels, names: of the labels, names as in pictures.
    is_label: bool `[num_rows, num_labels]`: whether a row has a label.
    probabilities: float of the same shape.
    counts: int `[4, num_labels]`: true and false positives, false and true negatives.
    scores: float `[3, num_labels]`: precision, recall and F1; 0 where a denominator is
      0.
    order: ids of the labels, the lowest F1 first.
    rocs: a `Curve` of each label; None if all or no rows have the label.
    """

    def __init__(self, labels, is_label, is_predicted, probabilities):
        self.labels, self.names = labels, list(map(plots.shown, labels))
        self.is_label, self.probabilities = is_label, probabilities
        matrices = sklearn_metrics.multilabel_confusion_matrix(is_label, is_predicted)
        self.counts = matrices.reshape(-1, 4)[:, [3, 1, 2, 0]].T
        hits, wrong, missed, _ = self.counts
        sums = [hits + wrong, hits + missed, 2 * hits + wrong + missed]
        self.scores = np.array([hits, hits, 2 * hits]) / np.maximum(sums, 1)
        self.order = np.argsort(self.scores[2], kind="stable")
        self.rocs = list(map(roc, is_label.T, probabilities.T))


def _classification(labels, found):
    one_hot = np.eye(len(labels), dtype=bool)
    each = EachLabel(
        labels, one_hot[found.targets], one_hot[found.predicted], found.probabilities
    )
    if len(labels) == 2:
        yield from _binary(each)
    else:
        yield from _curves_by_label(each)
        yield from _top_label(found)
        yield histograms_by_label(each)
    ids = np.arange(len(labels))
    yield from confusion(found.targets, found.predicted, ids, labels)
    yield from _scores_by_label(each)


def _binary(each):
    is_positive, scores = each.is_label[:, 1], each.probabilities[:, 1]
    positive, roc_curve = each.names[1], each.rocs[1]
    if roc_curve is None:
        yield (
            "ROC, threshold and precision-recall curves need rows of both labels; here "
            f"all {len(is_positive)} rows have the label "
            f"{each.labels[int(is_positive[0])]!r}."
        )
    else:
        name = f"label {positive}"
        yield curves("roc", [(name, roc_curve)])
        yield thresholds(is_positive, scores, positive)
        curve = precision_recall(is_positive, scores)
        yield curves("precision_recall", [(name, curve)])
    x_label = f"predicted probability of {positive}"
    y_label = f"share of rows with label {positive}"
    yield calibration(scores, is_positive, x_label, y_label)
    groups = [(f"label {each.names[k]}", scores[each.is_label[:, k]]) for k in (0, 1)]
    yield histograms(groups, "Scores by true label", x_label)


def _top_label(found):
    """Yields threshold curve, calibration and histogram of the highest probability."""
    is_right = found.targets == found.predicted
    top = found.probabilities.max(axis=1)
    yield kept(top, is_right)
    yield calibration(top, is_right, TOP, "share of rows where it is right")
    groups = [("right", top[is_right]), ("wrong", top[~is_right])]
    yield histograms(groups, "How sure the model is", TOP)


def _multilabel(labels, found):
    each = EachLabel(labels, found.targets, found.predicted, found.probabilities)
    yield from _curves_by_label(each)
    yield from _decisions(found)
    yield histograms_by_label(each)
    yield from counts_by_label(each)
    yield from _scores_by_label(each)


def _decisions(found):
    """Yields thresholds and calibration over all labels of all rows together."""
    is_label, probabilities = found.targets.ravel(), found.probabilities.ravel()
    if has_both(is_label):
        title = "Threshold, the same for all labels"
        note = f"{DECISIONS} Accuracy is the share of right decisions."
        yield thresholds(is_label, probabilities, "a label", title, note)
    else:
        labels = "every label" if is_label.all() else "no label"
        yield f"No threshold curves: all rows have {labels}."
    yield calibration(
        probabilities,
        is_label,
        "predicted probability of a label",
        "share that has the label",
        DECISIONS,
        units="decisions",
    )


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


def _note_of_worst(num_shown, num_labels, score_name):
    """Returns the note of a picture of the worst labels; "" if it shows all labels."""
    if num_shown == num_labels:
        return ""
    return f"The {num_shown} of {num_labels} labels with the lowest {score_name}."


# Curves.


class Curve(NamedTuple):
    """A curve that scikit-learn draws, and its score."""

    display: Any  # with `plot`
    score: float


def has_both(is_positive):
    """Returns whether bool `[num_rows]` holds both rows with and without a label."""
    return bool(np.any(is_positive) and not np.all(is_positive))


def roc(is_positive, scores):
    """Returns the ROC `Curve` of bool and float `[num_rows]`.

    The score is the area under the curve. None if a class is missing.
    """
    if not has_both(is_positive):
        return None
    x, y, _ = sklearn_metrics.roc_curve(is_positive, scores)
    display = sklearn_metrics.RocCurveDisplay(fpr=x, tpr=y)
    return Curve(display, float(sklearn_metrics.auc(x, y)))


def precision_recall(is_positive, scores):
    """Returns the precision-recall `Curve` of bool and float `[num_rows]`.

    The score is the average precision; None if no row is positive.
    """
    if not np.any(is_positive):
        return None
    curve = sklearn_metrics.precision_recall_curve(is_positive, scores)
    average = sklearn_metrics.average_precision_score(is_positive, scores)
    return Curve(sklearn_metrics.PrecisionRecallDisplay(*curve[:2]), float(average))


def curves(kind, many, title=None, note=""):
    """Draws ROC or precision-recall curves.

    Args:
      kind: key of `CURVES`.
      many: list of (name, `Curve`).
      title: (optional) in place of that in `CURVES`.
      note: see `Picture`.
    """
    default_title, score_name, x_label, y_label = CURVES[kind]
    size, add_legend = (5.6, 5.4), plots.legend_above
    if len(many) > 3:
        size = (6.6 + _inches([name for name, _ in many]), 5.2)
        add_legend = plots.legend_beside
    figure, axes = plots.new(title or default_title, size)
    for name, curve in many:
        curve.display.plot(ax=axes)
        curve.display.line_.set_label(f"{score_name} {curve.score:.4f}  {name}")
    axes.set(xlabel=x_label, ylabel=y_label, xlim=UNIT, ylim=UNIT)
    axes.set_aspect("equal", anchor="W")
    add_legend(axes)
    if kind == "roc":  # curve of a model that guesses
        axes.plot([0, 1], [0, 1], color=plots.GREY, linewidth=1, linestyle=":")
    return Picture(kind, figure, note)


def _curves_by_label(each):
    """Yields for either kind the curves of the labels with the lowest scores.

    A sentence says which labels lack the rows without which there is no curve.
    """
    by_recall = list(map(precision_recall, each.is_label.T, each.probabilities.T))
    for kind, found, score_name, needed in (
        ("roc", each.rocs, "AUC", "rows with and without it"),
        ("precision_recall", by_recall, "average precision", "rows with it"),
    ):
        title = f"{CURVES[kind][0]}, each label against the rest"
        undefined = [label for label, curve in zip(each.labels, found) if not curve]
        defined = [pair for pair in zip(each.names, found) if pair[1]]
        worst = sorted(defined, key=lambda pair: pair[1].score)[:MAX_CURVES]
        note = _note_of_worst(len(worst), len(defined), score_name)
        if undefined:
            more = ", …" if len(undefined) > 10 else ""
            note += (
                f" {title}: none for {len(undefined)} labels, which would need "
                f"{needed}: {', '.join(undefined[:10])}{more}"
            )
        yield curves(kind, worst, title, note) if worst else note


# Thresholds.


def _by_threshold(title, x_label, thresholds, lines, marks, note):
    """Draws shares against a threshold up to which they hold, and marked points.

    Args:
      title, note: see `Picture`.
      x_label: of the axis.
      thresholds: float `[num_thresholds]`, ascending.
      lines: dict name -> float `[num_thresholds]`.
      marks: list of (threshold, share, text of the legend, colour, marker). A line
        leads from the point down to the axis.
    """
    figure, axes = plots.new(title, (6.4, 5.2))
    for name, shares in lines.items():
        x, y = np.append(0, thresholds), np.append(shares[0], shares)
        axes.plot(x, y, label=name, drawstyle="steps-pre")
    style = {"markeredgecolor": "white", "markersize": 9, "zorder": 5}
    for x, y, label, color, marker in marks:
        axes.axvline(x, color=color, linewidth=1, linestyle=":")
        axes.plot([x], [y], marker, label=label, color=color, **style)
    axes.set(xlabel=f"threshold: probability of {x_label}", ylabel="share")
    axes.set(xlim=UNIT, ylim=(-0.02, 1.04))
    plots.legend_above(axes)
    return Picture("thresholds", figure, note)


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


def thresholds(is_positive, scores, positive, title="Threshold", note=""):
    """Draws rates, accuracy and F1 against the threshold, and marks the best.

    Args:
      is_positive, scores: see `rates_by_threshold`.
      positive: name of the label that is given from the threshold on.
      title, note: see `Picture`.
    """
    x, values = rates_by_threshold(is_positive, scores)
    marks = []
    for name, color, marker in (
        ("accuracy", plots.COLORS[2], "o"),
        ("F1", plots.COLORS[3], "s"),
    ):
        best = np.argmax(values[name])  # of equal ones the lowest threshold
        value = values[name][best]
        label = f"best {name} {value:.4f} at {x[best]:.4f}"
        marks.append((x[best], value, label, color, marker))
    x[-1] = max(x[-1], 1.0)
    x_label = f"{positive} from which it is given"
    return _by_threshold(title, x_label, x, values, marks, note)


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


def kept(probabilities, is_right):
    """Draws the rows kept and the accuracy on them against the lowest top probability.

    probabilities, is_right: see `rows_kept`.
    """
    x, shares, accuracies = rows_kept(probabilities, is_right)
    marks = []
    for accuracy, marker in zip(ACCURACIES, "os"):
        reaching = np.flatnonzero(accuracies >= accuracy)
        if len(reaching):
            x_reached, y = x[reaching[0]], shares[reaching[0]]
            label = f"{accuracy:.0%} right from {x_reached:.4f} on: {y:.1%} kept"
            marks.append((x_reached, y, label, plots.COLORS[3], marker))
    return _by_threshold(
        "Rows kept above a threshold",
        "the most probable label",
        x,
        {"share of rows kept": shares, "accuracy of those": accuracies},
        marks,
        "Rows less sure than the threshold are put aside, for example for a person.",
    )


# Calibration and histograms.


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


def calibration(probabilities, came_true, x_label, y_label, note="", units="rows"):
    """Draws a reliability diagram, and below the number of rows in each bin.

    Args:
      probabilities, came_true: float and bool `[num_rows]`.
      x_label, y_label: of the axes.
      note: see `Picture`.
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
    bars = below.bar(centers, counts, 0.9 / NUM_BINS, color=plots.COLORS[5])
    below.bar_label(bars, list(map(_short, counts)), fontsize=8)
    below.set(xlabel=x_label, ylabel=f"{units} in the bin")
    below.set_ylim(0, max(counts) * 1.25)
    below.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    return Picture("calibration", figure, note)


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
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def histograms(groups, title, x_label):
    """Draws histograms of the values of groups of rows.

    Args:
      groups: list of (name, float `[num_rows]` from 0 to 1).
      title: see `Picture`.
      x_label: of the axis.
    """
    figure, axes = plots.new(title)
    groups = [(f"{name} ({len(values):,} rows)", values) for name, values in groups]
    _draw_shares(axes, groups, num_bins=25)
    axes.set(xlabel=x_label, ylabel="share of the group's rows")
    plots.legend_above(axes)
    return Picture("scores", figure)


def histograms_by_label(each):
    """Draws, in a panel for each label, its probability in rows with and without it.

    Of many labels those with the lowest F1 are drawn. Returns a sentence if no row has
    a label.

    each: `EachLabel`.
    """
    order = [k for k in each.order if each.is_label[:, k].any()]
    if not order:
        return "No score histograms: no row has a label."
    shown = order[:MAX_PANELS]
    columns = min(len(shown), PANELS_PER_LINE)
    lines = -(-len(shown) // columns)
    size = (1.0 + 3.0 * columns, 0.9 + 2.3 * lines)
    figure, grid = plots.new("Scores of each label", size, lines, columns)
    all_axes = np.ravel(grid)
    for axes in all_axes[len(shown) :]:
        axes.set_visible(False)
    for axes, k in zip(all_axes, shown):
        has_label, values = each.is_label[:, k], each.probabilities[:, k]
        with_label, without = values[has_label], values[~has_label]
        groups = [
            (f"{each.names[k]}: {len(with_label):,} rows", with_label),
            (f"the other {len(without):,}", without),
        ]
        _draw_shares(axes, groups, num_bins=20)
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0)}
        axes.legend(fontsize=8, handlelength=1.8, **place)
    figure.supxlabel("predicted probability of the label", fontsize=10)
    figure.supylabel("share of the group's rows", fontsize=10)
    note = _note_of_worst(len(shown), len(order), "F1")
    return Picture("score_histograms", figure, note)


# Right and wrong rows, and scores, of each label.


def most_confused(counts, num_labels):
    """Returns the ids of the labels with the most wrong rows, ascending.

    counts: int `[all_labels, all_labels]`, true labels first.
    """
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:num_labels])


def confusion(targets, predicted, values, labels, label="label", units="rows"):
    """Yields the confusion matrix as a picture and as a table.

    Colours are shares of a row, cells show counts. Of more than `MAX_CONFUSION` labels
    those with the most wrong rows are shown.

    Args:
      targets, predicted: `[num_rows]`.
      values, labels: the value of each label in the rows, and its name.
      label, units: "tokens" have a "tag", "rows" have a "label".
    """
    counts = sklearn_metrics.confusion_matrix(targets, predicted, labels=values)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    note = f"Share of each row in colour, number of {units} in the cells."
    shown = most_confused(counts, MAX_CONFUSION)
    if len(shown) < len(labels):
        note = (
            f"The {len(shown)} of {len(labels)} {label}s with the most wrong {units}."
        )
    labels = [labels[k] for k in shown]
    counts, shares = counts[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    figure = _draw_confusion(counts, shares, labels, label, units)
    yield Picture("confusion", figure, note)
    rows = [
        [page.BOLD.format(name)]
        + [f"{n:,} ({share:.1%})" if n else "" for n, share in zip(*row)]
        for name, *row in zip(labels, counts, shares)
    ]
    header = ["true \\ predicted", *labels]
    yield Table(header, rows, "The confusion matrix as a table")


def _draw_confusion(counts, shares, labels, label, units):
    number, names = len(labels), list(map(plots.shown, labels))
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
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _lines_of_labels(title, names):
    """Returns (figure, axes) with a line for each name, the first one topmost."""
    size = (5.0 + _inches(names), 1.7 + max(0.27 * len(names), 0.6))
    figure, axes = plots.new(title, size)
    axes.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticklabels(names)
    axes.grid(False, axis="y")
    return figure, axes


def draw_scores(name, names, scores, unit="label"):
    """Draws F1 as a bar for each label, with precision and recall on the bar.

    The lowest F1 is topmost; of more than `MAX_BARS` labels the lowest are drawn.

    Args:
      name: of the picture.
      names: of the labels.
      scores: float `[3, num_labels]`: precision, recall and F1.
      unit: term for a label.
    """
    order = np.argsort(scores[2], kind="stable")[:MAX_BARS]
    title = f"Precision, recall and F1 by {unit}"
    figure, axes = _lines_of_labels(title, [names[k] for k in order])
    y = np.arange(len(order))
    precisions, recalls, f1s = scores[:, order]
    axes.barh(y, f1s, color=plots.PALE, height=0.7, label="F1")
    for values, label, marker, size, color in (
        (precisions, "precision", "|", 11, plots.COLORS[1]),
        (recalls, "recall", "o", 5, plots.COLORS[0]),
    ):
        style = {"color": color, "markersize": size, "markeredgewidth": 2}
        axes.plot(values, y, marker, label=label, clip_on=False, **style)
    axes.set(xlabel="share", xlim=(0, 1))
    plots.legend_above(axes)
    return Picture(name, figure, _note_of_worst(len(order), len(names), "F1"))


def _scores_by_label(each):
    yield draw_scores("scores_by_label", each.names, each.scores)
    areas = [curve and curve.score for curve in each.rocs]
    rows = list(zip(each.labels, each.is_label.sum(axis=0), *each.scores, areas))
    header = ["label", "rows", "precision", "recall", "F1", "AUC"]
    yield Table(header, rows, "Scores by label as a table")


def counts_by_label(each):
    """Yields the rows of each label found, missed and, to the left, wrongly given it.

    The lowest F1 is topmost; the picture has the lowest `MAX_BARS`, the table all.

    each: `EachLabel`.
    """
    shown = each.order[:MAX_BARS]
    title = "Right and wrong rows by label"
    figure, axes = _lines_of_labels(title, [each.names[k] for k in shown])
    y = np.arange(len(shown))
    found, wrong, missed, _ = each.counts[:, shown]
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
    note = _note_of_worst(len(shown), len(each.names), "F1")
    yield Picture("confusion", figure, note)
    kinds = ("true positives", "false positives", "false negatives", "true negatives")
    rows = [(each.labels[k], *each.counts[:, k]) for k in each.order]
    yield Table(["label", *kinds], rows, "Right and wrong rows of each label")


# Numbers.


def _regression(labels, found):
    yield scatter(found.targets, found.predicted)
    yield residuals(found.predicted - found.targets)


def scatter(targets, predicted):
    """Draws predicted against true numbers.

    targets, predicted: float `[num_rows]`. Of more than `MAX_POINTS` rows that many are
      drawn, the same ones each time.
    """
    scores = metrics.score((metrics.correlations, metrics.errors), targets, predicted)
    text = ", ".join(
        f"{title} {page.number(scores[title.lower()])}"
        for title in ("Pearson", "Spearman", "MSE")
    )
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
    axes.plot(x, y, "o", label=text, alpha=alpha, **style)
    axes.set(xlabel="true value", ylabel="predicted value", xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    plots.legend_above(axes)
    return Picture("scatter", figure, note)


def residuals(errors):
    """Draws the histogram of predicted minus true numbers, float `[num_rows]`."""
    figure, axes = plots.new("Errors")
    num_bins = int(np.clip(np.sqrt(len(errors)), 5, 50))
    axes.hist(errors, num_bins, histtype="stepfilled", color=plots.COLORS[5])
    axes.axvline(0, color="black", linewidth=1, label="no error")
    mean = float(np.mean(errors))
    style = {"color": plots.COLORS[1], "linestyle": "--"}
    axes.axvline(mean, label=f"mean error {mean:.4g}", **style)
    axes.set(xlabel="predicted minus true value", ylabel="rows")
    plots.legend_above(axes)
    return Picture("residuals", figure)


# Tags.


def _labeling(labels, found):
    scheme, types = tag_schemes.find_scheme(labels)
    scores = metrics.entities(found.targets, found.predicted)
    types = [kind for kind in types if metrics.label_metric("f1", kind) in scores]
    if types:
        by_type = np.array(
            [
                [scores[metrics.label_metric(name, kind)] for kind in types]
                for name in ("precision", "recall", "f1")
            ]
        )
        names = list(map(plots.shown, types))
        yield draw_scores("entities", names, by_type, "type of entity")
        yield Table(["type", "precision", "recall", "F1"], list(zip(types, *by_type)))
    else:
        missing = "types of entities" if scheme else "entities"
        yield f"The tags mark no {missing}."
    sides = list(map(np.concatenate, (found.targets, found.predicted)))
    tags = np.unique(sides)
    yield from confusion(*sides, tags, tags, "tag", "tokens")


# Mistakes.


def _mistakes(task, mistakes, last_column):
    """Returns the table of the rows that were predicted most wrongly.

    Args:
      task: `run_files.Task`.
      mistakes: list of `run_files.Mistake`.
      last_column: name of the column of `Mistake.probability`.
    """
    header, classes = ["no.", "guid"], ["number", "value"]
    if task.kind == run_files.LABELING:
        header += ["true tags", "predicted tags"]
        classes += ["text"]
        cells = _sentences(task, mistakes)
    else:
        header += ["text", "true", "predicted", last_column]
        classes += ["text", "value", "value", "number"]
        cells = _texts(task, mistakes)
    rows = [
        [number, mistake.guid, *row]
        for number, (mistake, row) in enumerate(zip(mistakes, cells), 1)
    ]
    return Table(header, rows, classes=classes, is_stacked=True)


def _texts(task, mistakes):
    """Yields the cells of texts: themselves, label, prediction and probability."""
    for mistake in mistakes:
        predicted, probability = mistake.predicted, f"{mistake.probability:.4f}"
        if task.kind == run_files.REGRESSION:
            predicted = f"{float(predicted):.4g}"
            probability = f"{mistake.probability:+.4g}"
        texts = Markup("<hr>").join(mistake.texts)
        yield texts, mistake.target or "(none)", predicted or "(none)", probability


def _sentences(task, mistakes):
    """Returns the cells of sentences; the spans that their tags mark are in colour."""
    spans_of = metrics.span_finder(task.labels)
    spans = [[spans_of(each.target), spans_of(each.predicted)] for each in mistakes]
    types = sorted({span[0] for pair in spans for each in pair for span in each})
    tints = {kind: TINTS[k % len(TINTS)] for k, kind in enumerate(types)}
    return [
        [_marked(mistake.texts, each, tints) for each in pair]
        for mistake, pair in zip(mistakes, spans)
    ]


def _marked(tokens, spans, tints):
    """Returns a sentence with its entities in colour.

    Args:
      tokens: list of strings.
      spans: see `metrics.entity_spans`.
      tints: dict type of entity -> colour.
    """
    first = {begin: kind for kind, begin, _ in spans}
    last = {end - 1: kind for kind, _, end in spans}
    output, before = [], EAST_ASIAN
    for position, token in enumerate(tokens):
        if max(before[-1:], token[:1]) < EAST_ASIAN:
            output.append(" ")
        if position in first:
            output.append(_BEGIN_ENTITY.format(tints[first[position]]))
        output.append(token)
        if position in last:
            output.append(_END_ENTITY.format(last[position]))
        before = token
    return Markup("").join(output)


# Kind of task -> function (labels, `run_files.Predictions`) that yields the parts about
# them, the rows that are shown as mistakes, name of the column of their probability.
KINDS = {
    run_files.CLASSIFICATION: (
        _classification,
        "wrong rows of whose label the model was most sure",
        "probability",
    ),
    run_files.MULTILABEL: (
        _multilabel,
        "wrong rows where the model was most sure of a wrong decision",
        "probability of the wrong decision",
    ),
    run_files.REGRESSION: (_regression, "rows with the largest errors", "error"),
    run_files.LABELING: (
        _labeling,
        "sentences with the most wrong or missing entities, or wrong tags if they mark "
        "no entities",
        None,
    ),
}
