"""Pictures of how sure a model is: histograms of scores."""

import numpy as np
from matplotlib.ticker import FuncFormatter

from bert_my.report import curves, plots

MAX_PANELS = 9  # of a picture with a histogram for each label
PANELS_PER_LINE = 3


def histograms(groups, title, x_label, num_bins=25):
    """Draws how values between 0 and 1 are spread in each group.

    groups: list of (name, float `[num_rows]`).
    """
    figure, axes = plots.new(title)
    edges = np.linspace(0, 1, num_bins + 1)
    for (name, values), (color, style) in zip(groups, plots.styles(len(groups))):
        label = f"{name} ({len(values):,} rows)"
        _draw_shares(axes, values, edges, color, style, label)
    axes.set(xlabel=x_label, ylabel="share of the group's rows", xlim=(0, 1))
    plots.legend_above(axes)
    return figure


def _draw_shares(axes, values, edges, color, style, label):
    """Draws a histogram as an outline and a pale area, in percent."""
    shares, label = curves.histogram(values, edges), plots.in_legend(label)
    axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
    axes.stairs(shares, edges, color=color, linestyle=style, linewidth=1.6, label=label)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))


def histograms_by_label(panels, num_bins=20):
    """Draws, for each label by itself, its probability in rows with and without it.

    panels: list of (name, float `[num_with]`, float `[num_without]`).
    """
    columns = min(len(panels), PANELS_PER_LINE)
    lines = -(-len(panels) // columns)
    figure, grid = plots.new(
        "Scores of each label",
        (1.0 + 3.0 * columns, 0.9 + 2.3 * lines),
        lines,
        columns,
    )
    edges = np.linspace(0, 1, num_bins + 1)
    all_axes = np.atleast_1d(grid).ravel()
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, with_label, without) in zip(all_axes, panels):
        label = f"{name}: {len(with_label):,} rows"
        _draw_shares(axes, with_label, edges, plots.COLORS[0], "-", label)
        label = f"the other {len(without):,}"
        _draw_shares(axes, without, edges, plots.COLORS[1], "--", label)
        axes.set(xlim=(0, 1))
        style = {**plots.LEGEND, "fontsize": 8, "handlelength": 1.8}
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), **style)
    figure.supxlabel("predicted probability of the label", fontsize=10)
    figure.supylabel("share of the group's rows", fontsize=10)
    return figure
