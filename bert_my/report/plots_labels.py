"""Pictures of predicted labels: curves, confusion, calibration, scores by label."""

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bert_my.report import curves, fonts, plots

MAX_CURVES = 10  # of a picture with a curve for each label
MAX_CONFUSION = 50  # labels of a confusion matrix
MAX_WITH_SHARES = 12  # labels up to which its cells also show the share
MAX_BARS = 60


def _square(title, x_label, y_label, num_curves):
    """Returns (figure, axes) of equal sides, both from 0 to 1."""
    # More curves have their legend beside them.
    figure, axes = plots.new(title, (5.6, 5.4) if num_curves < 4 else (7.6, 5.2))
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal", anchor="W")
    return figure, axes


def roc(many, title="ROC curve"):
    """Draws ROC curves.

    many: list of (name, `curves.Roc`).
    """
    labels = ("false positive rate", "true positive rate")
    figure, axes = _square(title, *labels, len(many))
    axes.plot([0, 1], [0, 1], color=plots.GREY, linewidth=1, linestyle=":")
    for (name, roc_), (color, style) in zip(many, plots.styles(len(many))):
        x, y = curves.thin((roc_.false_positive_rates, roc_.true_positive_rates))
        axes.plot(x, y, style, color=color, label=f"AUC {roc_.area:.4f}  {name}")
    _legend(axes, len(many))
    return figure


def precision_recall(many, title="Precision and recall"):
    """Draws precision-recall curves.

    many: list of (name, `curves.PrecisionRecall`).
    """
    figure, axes = _square(title, "recall", "precision", len(many))
    for (name, curve), (color, style) in zip(many, plots.styles(len(many))):
        x, y = curves.thin((curve.recalls, curve.precisions))
        label = f"AP {curve.average_precision:.4f}  {name}"
        # Between two points precision does not go straight: it is that of the next.
        axes.plot(x, y, style, color=color, label=label, drawstyle="steps-post")
    _legend(axes, len(many))
    return figure


def _legend(axes, number):
    if number < 4:
        plots.legend_above(axes)
    else:
        plots.legend_beside(axes)


def _short(count):
    """Returns a count in at most four characters."""
    if count < 1000:
        return str(count)
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if count < 999.5 * size:
            return f"{count / size:.{0 if count >= 9.95 * size else 1}f}{unit}"
    return ">1T"


def confusion(counts, shares, names, label="label", units="rows"):
    """Draws a confusion matrix: colours are shares of a row, cells show counts.

    counts: int `[num_labels, num_labels]`, true labels first.
    shares: float of the same shape, see `curves.row_shares`.
    names: of the labels.
    label, units: what has which of them, as "tokens" have a "tag".
    """
    title = f"Confusion matrix ({label}s)"
    number = len(names)
    side = min(max(0.72 * number, 3.2), 10.5)
    widest = max(map(fonts.width, names)) / plots.COLUMNS_PER_INCH  # inches
    is_upright = widest < 0.9 * side / number
    below = 0.2 if is_upright else 0.8 * widest
    figure, axes = plots.new(title, (side + 2.0 + 0.6 * widest, side + 0.9 + below))
    axes.grid(False)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 9 if number <= MAX_WITH_SHARES else max(5, 9 - number / 12)
    for row, column in np.argwhere((counts > 0) | (number <= MAX_WITH_SHARES)):
        text = _short(counts[row, column])
        if number <= MAX_WITH_SHARES:
            share = f"{shares[row, column]:.1%}" if counts[row].any() else "–"
            text = f"{counts[row, column]:,}\n{share}"
        color = "white" if shares[row, column] > 0.55 else "black"
        settings = {"ha": "center", "va": "center", "fontsize": size, "color": color}
        axes.text(column, row, text, **settings)
    tick_size = 9 if number <= 25 else 7
    rotation = 0 if is_upright else 90
    axes.set_xticks(np.arange(number))
    axes.set_xticklabels(names, rotation=rotation, fontsize=tick_size)
    axes.set_yticks(np.arange(number))
    axes.set_yticklabels(names, fontsize=tick_size)
    axes.set(xlabel=f"predicted {label}", ylabel=f"true {label}")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(f"share of the {units} with that true {label}", fontsize=9)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    bar.ax.tick_params(labelsize=9)
    return figure


def calibration(found, x_label, y_label, what="rows"):
    """Draws a reliability diagram over the number of rows in each bin.

    found: `curves.Calibration`.
    what: the bins hold these.
    """
    title = f"Calibration: expected calibration error {found.expected_error:.4f}"
    figure, (axes, below) = plots.new(
        title,
        (5.6, 6.0),
        2,
        sharex=True,
        gridspec_kw={"height_ratios": [3, 1]},
    )
    filled = found.counts > 0
    axes.plot([0, 1], [0, 1], color=plots.GREY, linestyle=":", label="perfect")
    axes.plot(
        found.mean_probabilities[filled],
        found.shares[filled],
        "o-",
        color=plots.COLORS[0],
        label="this run, by bin",
    )
    axes.set(ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    plots.legend_above(axes)
    width = found.edges[1] - found.edges[0]
    below.bar(found.edges[:-1] + width / 2, found.counts, 0.9 * width, color="#56B4E9")
    for edge, count in zip(found.edges, found.counts):
        below.annotate(
            _short(count),
            (edge + width / 2, count),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    below.set(xlabel=x_label, ylabel=f"{what} in the bin")
    below.set_ylim(0, max(found.counts) * 1.25)
    below.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    return figure


def scores_by_label(names, precisions, recalls, f1s, what="label"):
    """Draws F1 as a bar for each label, with precision and recall on it.

    names: strings; the rest float `[num_labels]`. The lowest F1 stands above; of more
      than `MAX_BARS` the lowest are drawn.
    """
    order = np.argsort(f1s, kind="stable")[:MAX_BARS]
    height = 1.7 + max(0.27 * len(order), 0.6)
    figure, axes = plots.new(f"Precision, recall and F1 by {what}", (6.4, height))
    y = np.arange(len(order))
    axes.barh(y, f1s[order], color="#A6CEE8", height=0.7, label="F1")
    for values, label, marker, color in (
        (precisions, "precision", "|", plots.COLORS[1]),
        (recalls, "recall", "o", plots.COLORS[0]),
    ):
        axes.plot(
            values[order],
            y,
            marker,
            color=color,
            label=label,
            clip_on=False,
            markersize=11 if marker == "|" else 5,
            markeredgewidth=2,
        )
    axes.set_yticks(y)
    axes.set_yticklabels([names[k] for k in order])
    axes.set(xlabel="share", xlim=(0, 1), ylim=(len(order) - 0.4, -0.6))
    axes.grid(False, axis="y")
    plots.legend_above(axes)
    return figure


def counts_by_label(names, counts):
    """Draws for each label the rows found and missed, and to the left the wrong ones.

    names: strings, the topmost first.
    counts: int `[num_labels, 4]`, see `curves.label_counts`.
    """
    height = 1.7 + max(0.27 * len(names), 0.6)
    figure, axes = plots.new("Right and wrong rows by label", (6.4, height))
    y = np.arange(len(names))
    found, wrong, missed, _ = counts.T
    bar = {"height": 0.7}
    axes.barh(y, -wrong, color=plots.COLORS[1], label="wrongly given (FP)", **bar)
    axes.barh(y, found, color=plots.COLORS[0], label="found (TP)", **bar)
    axes.barh(y, missed, left=found, color="#C8C8C8", label="missed (FN)", **bar)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(y)
    axes.set_yticklabels(names)
    axes.set(xlabel="rows", ylim=(len(names) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rows, _: f"{abs(rows):,.0f}"))
    axes.grid(False, axis="y")
    plots.legend_above(axes)
    return figure
