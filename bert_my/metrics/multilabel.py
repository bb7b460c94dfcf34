"""Metrics of any number of labels per example.

targets: int 0 or 1 `[num_examples, num_labels]`.
predictions: float `[num_examples, num_labels]`, probabilities independent of one
  another.
"""

import numpy as np

from bert_my.metrics import classification, label_scores
from bert_my.metrics.base import metric

# Labels with a probability above this are predicted.
THRESHOLD = 0.5


@metric("eval_accuracy")
def multilabel_accuracy(targets, predictions):
    """Share of examples that are given exactly the right labels."""
    return np.mean(np.all((predictions > THRESHOLD) == targets, -1))


@metric("f1_micro", "f1_macro", "precision_micro", "recall_micro")
def multilabel_f1(targets, predictions):
    """Precision, recall and F1 over all decisions, and F1 as a mean over labels.

    The mean is over the labels that occur in targets or predictions. Precision and
    recall are 0 where their denominator is 0; all are NaN if there is no label in
    targets and predictions.
    """
    predicted = (predictions > THRESHOLD).astype(int)
    precision, recall, f1 = label_scores.precision_recall_f1(
        targets.ravel(), predicted.ravel()
    )
    macro = label_scores.mean_over_labels(label_scores.f1, targets, predicted)
    return f1, macro, precision, recall


@metric("precision", "recall", "f1", is_by_label=True)
def multilabel_per_label(targets, predictions, labels):
    """Precision, recall and F1 of each label; see `per_label`."""
    predicted = (predictions > THRESHOLD).astype(int)
    return label_scores.by_label(targets, predicted, labels)


@metric("auc")
def multilabel_auc(targets, predictions):
    """Area under the ROC curve, as a mean over the labels that some examples have.

    Labels of all or of no examples are left out; NaN if none is left.
    """
    return label_scores.mean_over_labels(label_scores.auc, targets, predictions)


@metric("average_precision")
def multilabel_average_precision(targets, predictions):
    """Area under the precision-recall curve, as a mean over labels.

    Labels of no example are left out; NaN if none is left.
    """
    return label_scores.mean_over_labels(
        label_scores.average_precision, targets, predictions
    )


@metric("log_loss", lower_is_better=True)
def multilabel_log_loss(targets, predictions):
    """Mean over labels and examples of the cross entropy; see `log_loss`."""

    def of_label(targets, probabilities):
        probabilities = probabilities.astype(np.float64)
        both = np.stack([1 - probabilities, probabilities], -1)  # [num_examples, 2]
        return classification.log_loss(targets, both)["log_loss"]

    return label_scores.mean_over_labels(of_label, targets, predictions)
