"""Metrics of numbers: targets and predictions are float `[num_examples]`."""

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from bert_my.metrics.base import NAN, metric


@metric("pearson", "spearman")
def correlations(targets, predictions):
    """Pearson's and Spearman's correlation; NaN if one side is constant."""
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    if not (np.ptp(targets) and np.ptp(predictions)):
        return NAN, NAN
    spearman = stats.spearmanr(targets, predictions)[0]
    return stats.pearsonr(targets, predictions)[0], spearman


@metric("mse", "mae", lower_is_better=True)
def errors(targets, predictions):
    """Mean squared and mean absolute error."""
    # In float32 the squares of large values would lose the digits that differ.
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    return (
        sklearn_metrics.mean_squared_error(targets, predictions),
        sklearn_metrics.mean_absolute_error(targets, predictions),
    )
