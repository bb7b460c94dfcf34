"""Pictures of predicted numbers."""

import numpy as np

from bert_my.report import curves, plots


def scatter(targets, predicted, scores):
    """Draws predicted against true numbers.

    targets, predicted: float `[num_rows]`; at most some thousands of them are drawn.
    scores: text with the metrics.
    """
    figure, axes = plots.new("Predicted and true values", (5.6, 5.6))
    kept = curves.sample(len(targets))
    low = min(targets.min(), predicted.min())
    high = max(targets.max(), predicted.max())
    margin = 0.03 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=plots.GREY, linestyle=":", label="equal")
    axes.plot(
        targets[kept],
        predicted[kept],
        "o",
        color=plots.COLORS[0],
        markersize=4,
        markeredgewidth=0,
        alpha=0.9 if len(kept) < 100 else 0.35,
        label=scores,
    )
    axes.set(xlabel="true value", ylabel="predicted value", xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    plots.legend_above(axes)
    return figure


def residuals(errors):
    """Draws how far predictions are off, float `[num_rows]`."""
    figure, axes = plots.new("Errors")
    num_bins = int(np.clip(np.sqrt(len(errors)), 5, 50))
    counts, edges = np.histogram(errors, num_bins)
    axes.stairs(counts, edges, fill=True, color="#56B4E9")
    axes.axvline(0, color="black", linewidth=1, label="no error")
    mean = float(np.mean(errors))
    label = f"mean error {mean:.4g}"
    axes.axvline(mean, color=plots.COLORS[1], linestyle="--", label=label)
    axes.set(xlabel="predicted minus true value", ylabel="rows")
    plots.legend_above(axes)
    return figure
