"""Metrics of one label per example, after scikit-learn.

targets: int `[num_examples]`, the label ids.
predictions: float `[num_examples, num_labels]`, the probabilities.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics

from bert_my.metrics import label_scores
from bert_my.metrics.base import NAN, metric

_SMALLEST_PROBABILITY = 1e-15  # keeps the logarithm of 0 finite


def _predicted(predictions):
    """Returns the most probable label of each example, one-hot."""
    return label_scores.one_hot(np.argmax(predictions, -1), predictions.shape[-1])


@metric("eval_accuracy")
def accuracy(targets, predictions):
    """Share of examples whose most probable label is the right one."""
    return np.mean(np.argmax(predictions, -1) == targets)


@metric("precision", "recall", "f1")
def precision_recall_f1(targets, predictions):
    """Precision, recall and F1: of label 1 of two, or unweighted means over more.

    The means are over the labels that occur in targets or predictions. Precision and
    recall are 0 where their denominator is 0.
    """
    return sklearn_metrics.precision_recall_fscore_support(
        targets,
        np.argmax(predictions, -1),
        labels=[1] if predictions.shape[-1] == 2 else None,
        average="macro",
        zero_division=0,
    )[:3]


@metric("f1_macro", "f1_micro")
def f1_averages(targets, predictions):
    """F1 as a mean over labels, and over all decisions (which is the accuracy).

    The first is over the labels that occur in targets or predictions: the mean of the
    F1 scores of `per_label`.
    """
    targets = label_scores.one_hot(targets, predictions.shape[-1])
    predicted = _predicted(predictions)
    macro = label_scores.mean_over_labels(label_scores.f1, targets, predicted)
    return macro, label_scores.f1(targets.ravel(), predicted.ravel())


@metric("precision", "recall", "f1", is_by_label=True)
def per_label(targets, predictions, labels):
    """Precision, recall and F1 of each label, by the names of `label_metric`.

    NaN for a label that occurs neither in targets nor in predictions; precision and
    recall are 0 where their denominator is 0.

    labels: names, in the order of the columns of `predictions`.
    """
    targets = label_scores.one_hot(targets, predictions.shape[-1])
    return label_scores.by_label(targets, _predicted(predictions), labels)


@metric("auc")
def auc(targets, predictions):
    """Area under the ROC curve: of label 1 of two, or the mean over one-vs-rest.

    NaN if the targets do not hold every label.
    """
    num_labels = predictions.shape[-1]
    if num_labels == 2:
        return label_scores.auc(targets, predictions[:, 1])
    if len(np.unique(targets)) < num_labels:
        return NAN
    # Rows of float32 probabilities may miss the sum of 1 by more than sklearn allows.
    normalized = predictions / predictions.sum(-1, keepdims=True, dtype=np.float64)
    return sklearn_metrics.roc_auc_score(targets, normalized, multi_class="ovr")


@metric("average_precision")
def average_precision(targets, predictions):
    """Area under the precision-recall curve, as a sum of steps.

    Of label 1 of two, or the mean over one-vs-rest; NaN if one of those labels is not
    in the targets.
    """
    targets = label_scores.one_hot(targets, predictions.shape[-1])
    if predictions.shape[-1] == 2:
        targets, predictions = targets[:, 1:], predictions[:, 1:]
    if not targets.any(0).all():
        return NAN
    return label_scores.mean_over_labels(
        label_scores.average_precision, targets, predictions
    )


@metric("log_loss", lower_is_better=True)
def log_loss(targets, predictions):
    """Mean negative natural logarithm of the right label's probability.

    A probability counts as 1e-15 at least, so that 0 does not make it infinite.
    """
    # Clipped here, since the bound of scikit-learn differs between its versions.
    probabilities = np.maximum(predictions.astype(np.float64), _SMALLEST_PROBABILITY)
    probabilities /= probabilities.sum(-1, keepdims=True)
    label_ids = list(range(predictions.shape[-1]))
    return sklearn_metrics.log_loss(targets, probabilities, labels=label_ids)


@metric("mcc")
def mcc(targets, predictions):
    """Matthews correlation coefficient of the right and the most probable label.

    NaN if the targets hold one label only; 0 if the predictions do, as in GLUE.
    Source: Matthews 1975; Gorodkin 2004 for more than two labels.
    """
    if len(np.unique(targets)) < 2:
        return NAN
    return sklearn_metrics.matthews_corrcoef(targets, np.argmax(predictions, -1))
