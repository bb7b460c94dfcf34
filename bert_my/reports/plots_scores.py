"""Pictures of how sure a model is: histograms of scores, and rows kept by threshold."""

import numpy as np
from matplotlib.ticker import FuncFormatter

from bert_my.reports import curves, plots

MAX_PANELS = 9  # of a picture with a histogram for each label
PANELS_PER_LINE = 3
ACCURACIES = (0.95, 0.99)  # for which the threshold is marked


def histograms(groups, title, x_label, num_bins=25):
    """Draws how values between 0 and 1 are spread in each group.

    groups: list of (name, float `[num_rows]`).
    """
    figure, axes = plots.new(title)
    edges = np.linspace(0, 1, num_bins + 1)
    for (name, values), (color, style) in zip(groups, plots.styles(len(groups))):
        shares = curves.histogram(values, edges)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
        label = f"{name} ({len(values):,} rows)"
        axes.stairs(
            *(shares, edges), color=color, linestyle=style, linewidth=1.8, label=label
        )
    axes.set(xlabel=x_label, ylabel="share of the group's rows", xlim=(0, 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    plots.legend_above(axes)
    return figure


def histograms_by_label(panels, num_bins=20):
    """Draws, for each label by itself, its probability in rows with and without it.

    panels: list of (name, float `[num_with]`, float `[num_without]`).
    """
    columns = min(len(panels), PANELS_PER_LINE)
    lines = -(-len(panels) // columns)
    figure, grid = plots.new(
        "Scores of each label",
        (1.0 + 3.0 * columns, 0.9 + 2.3 * lines),
        *(lines, columns),
    )
    edges = np.linspace(0, 1, num_bins + 1)
    all_axes = np.atleast_1d(grid).ravel()
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, with_label, without) in zip(all_axes, panels):
        for values, text, style in (
            (with_label, f"{name}: {len(with_label):,} rows", "-"),
            (without, f"the other {len(without):,}", "--"),
        ):
            shares = curves.histogram(values, edges)
            color = plots.COLORS[0 if values is with_label else 1]
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
            axes.stairs(
                *(shares, edges),
                color=color,
                linestyle=style,
                linewidth=1.5,
                label=text,
            )
        axes.set(xlim=(0, 1))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            **{"frameon": False, "fontsize": 8, "handlelength": 1.8},
            borderaxespad=0,
        )
    figure.supxlabel("predicted probability of the label", fontsize=10)
    figure.supylabel("share of the group's rows", fontsize=10)
    return figure


def kept(found):
    """Draws the rows kept and the accuracy on them against the lowest top probability.

    found: `curves.Kept`.
    """
    figure, axes = plots.new("Rows kept above a threshold", (6.4, 5.2))
    series = (
        ("share of rows kept", found.shares, plots.COLORS[0], "-"),
        ("accuracy of those", found.accuracies, plots.COLORS[2], "--"),
    )
    for name, values, color, style in series:
        # Up to a threshold all are as at it.
        x, y = curves.thin((found.thresholds, values))
        x, y = np.concatenate([[0], x]), np.concatenate([[y[0]], y])
        axes.plot(x, y, style, color=color, label=name, drawstyle="steps-pre")
    for accuracy, marker in zip(ACCURACIES, "os"):
        reached = found.reaching(accuracy)
        if reached is None:
            continue
        threshold, share = reached
        axes.axvline(threshold, color=plots.COLORS[1], linewidth=1, linestyle=":")
        label = f"{accuracy:.0%} right from {threshold:.4f} on: {share:.1%} kept"
        axes.plot(
            *([threshold], [share], marker),
            **{"color": plots.COLORS[1], "label": label, "markeredgecolor": "white"},
            **{"markersize": 9, "zorder": 5},
        )
    axes.set(
        xlabel="threshold: probability of the most probable label",
        ylabel="share",
        xlim=(-0.01, 1.01),
        ylim=(-0.02, 1.04),
    )
    plots.legend_above(axes)
    return figure
