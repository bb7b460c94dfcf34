"""Metrics: pure functions `(targets, predictions) -> dict` over numpy, on scikit-learn.

Here `targets` are int `[num_examples]` and `predictions` are the probabilities
`[num_examples, num_labels]`.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics


def accuracy(targets, predictions):
    """Share of examples whose most probable label is the right one."""
    return {"eval_accuracy": float(np.mean(np.argmax(predictions, -1) == targets))}


def precision_recall_f1(targets, predictions):
    """Precision, recall and F1: of label 1 of two, or unweighted means over more."""
    num_labels = predictions.shape[-1]
    is_binary = num_labels == 2
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        targets,
        np.argmax(predictions, -1),
        labels=[1] if is_binary else list(range(num_labels)),
        average="macro",
        zero_division=0,
    )
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}


def auc(targets, predictions):
    """Area under the ROC curve: of label 1 of two, or the mean over one-vs-rest.

    NaN if the targets do not hold every label.
    """
    num_labels = predictions.shape[-1]
    if len(np.unique(targets)) < num_labels:
        return {"auc": float("nan")}
    if num_labels == 2:
        return {"auc": float(sklearn_metrics.roc_auc_score(targets, predictions[:, 1]))}
    # Rows of float32 probabilities need not add up to 1 as closely as is asked for.
    normalized = predictions / predictions.sum(-1, keepdims=True, dtype=np.float64)
    value = sklearn_metrics.roc_auc_score(targets, normalized, multi_class="ovr")
    return {"auc": float(value)}
