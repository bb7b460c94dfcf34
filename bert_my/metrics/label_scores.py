"""Scores of single labels, over which other metrics take their means.

In all functions `targets` is int 0 or 1 `[num_examples]`: whether an example has the
label. Precision and recall are 0 where their denominator is 0.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics

from bert_my.metrics.base import NAN


def one_hot(label_ids, num_labels):
    """Returns int `[num_examples, num_labels]` of int `[num_examples]`."""
    return (label_ids[:, None] == np.arange(num_labels)).astype(int)


def mean_over_labels(score, targets, predictions):
    """Returns the mean of a score over the labels for which it is not NaN, or NaN.

    Args:
      score: function of a column of `targets` and one of `predictions`.
      targets, predictions: `[num_examples, num_labels]`.
    """
    values = [score(*columns) for columns in zip(targets.T, predictions.T)]
    defined = [value for value in values if not np.isnan(value)]
    return np.mean(defined) if defined else NAN


def precision_recall_f1(targets, predicted):
    """Returns precision, recall and F1 of a label.

    All are NaN if the label occurs neither in targets nor in predictions.

    predicted: int 0 or 1 `[num_examples]`.
    """
    if not (targets.any() or predicted.any()):
        return NAN, NAN, NAN
    return sklearn_metrics.precision_recall_fscore_support(
        targets, predicted, average="binary", zero_division=0
    )[:3]


def f1(targets, predicted):
    """Returns the F1 of a label; see `precision_recall_f1`."""
    return precision_recall_f1(targets, predicted)[2]


def auc(targets, probabilities):
    """Returns the area under the ROC curve; NaN if all targets are the same."""
    if len(np.unique(targets)) < 2:
        return NAN
    return sklearn_metrics.roc_auc_score(targets, probabilities)


def average_precision(targets, probabilities):
    """Returns the area under the precision-recall curve; NaN without positives."""
    if not targets.any():
        return NAN
    return sklearn_metrics.average_precision_score(targets, probabilities)


def by_label(targets, predicted, labels):
    """Returns precision, recall and F1 of each label, `[num_labels, 3]`.

    Args:
      targets, predicted: int 0 or 1 `[num_examples, num_labels]`.
      labels: names, in the order of the columns.

    Raises:
      ValueError: if there are not as many names as labels.
    """
    if len(labels) != targets.shape[-1]:
        raise ValueError(f"{len(labels)} names for {targets.shape[-1]} labels")
    return [precision_recall_f1(*columns) for columns in zip(targets.T, predicted.T)]
