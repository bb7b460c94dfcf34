"""Metrics of one label per example, and of any number of labels, after scikit-learn.

One label: targets are int `[num_examples]`, the label ids; predictions are float
`[num_examples, num_labels]`, the probabilities.

Any number of labels (`multilabel_...`): targets are int 0 or 1
`[num_examples, num_labels]`; predictions are float of the same shape, probabilities
independent of one another.

`accuracy` and `per_label` take both. `ranking` is of one label of two, by whose
probability the candidates of a question are ranked.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics

from bert_my.metrics.base import NAN, metric

# Labels with a probability above this are predicted, of any number of labels.
THRESHOLD = 0.5
_SMALLEST_PROBABILITY = 1e-15  # keeps the logarithm of 0 finite


def _one_hot(label_ids, num_labels):
    """Returns int `[num_examples, num_labels]` of int `[num_examples]`."""
    return (label_ids[:, None] == np.arange(num_labels)).astype(int)


def _decisions(targets, predictions):
    """Returns the labels of examples and the predicted ones.

    The most probable label is predicted, or of any number of labels each with a
    probability above `THRESHOLD`. Both are int 0 or 1 `[num_examples, num_labels]`.
    """
    if targets.ndim == 2:
        return targets, (predictions > THRESHOLD).astype(int)
    num_labels = predictions.shape[-1]
    return _one_hot(targets, num_labels), _one_hot(predictions.argmax(-1), num_labels)


def _mean(values):
    """Returns the mean of the scores of labels that are not NaN; NaN without any."""
    defined = [value for value in values if not np.isnan(value)]
    return np.mean(defined) if defined else NAN


def _by_label(targets, predicted):
    """Returns precision, recall and F1 of each label, float `[3, num_labels]`.

    NaN for a label that occurs neither in targets nor in predictions; precision and
    recall are 0 where their denominator is 0.

    targets, predicted: int 0 or 1 `[num_examples, num_labels]`.
    """
    scores = sklearn_metrics.precision_recall_fscore_support(
        targets,
        predicted,
        # scikit-learn takes a single column for one label per example: 0 or 1.
        labels=[1] if targets.shape[-1] == 1 else None,
        average=None,
        zero_division=0,
    )
    occurs = targets.any(0) | predicted.any(0)
    return np.where(occurs, scores[:3], NAN)


def _over_decisions(targets, predicted):
    """Returns precision, recall and F1, each label of each example being a decision."""
    return _by_label(targets.reshape(-1, 1), predicted.reshape(-1, 1))[:, 0]


@metric("eval_accuracy")
def accuracy(targets, predictions):
    """Share of examples that are predicted right.

    The most probable label is the right one, or exactly the right labels are predicted.
    """
    targets, predicted = _decisions(targets, predictions)
    return np.mean(np.all(targets == predicted, -1))


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
    both = _decisions(targets, predictions)
    return _mean(_by_label(*both)[2]), _over_decisions(*both)[2]


@metric("f1_micro", "f1_macro", "precision_micro", "recall_micro")
def multilabel_f1(targets, predictions):
    """Precision, recall and F1 over all decisions, and F1 as a mean over labels.

    The mean is over the labels that occur in targets or predictions. Precision and
    recall are 0 where their denominator is 0; all are NaN if there is no label in
    targets and predictions.
    """
    both = _decisions(targets, predictions)
    precision, recall, f1 = _over_decisions(*both)
    return f1, _mean(_by_label(*both)[2]), precision, recall


@metric("precision", "recall", "f1", is_by_label=True)
def per_label(targets, predictions, labels):
    """Precision, recall and F1 of each label, by the names of `label_metric`.

    NaN for a label that occurs neither in targets nor in predictions; precision and
    recall are 0 where their denominator is 0.

    labels: names, in the order of the columns of `predictions`.

    Raises:
      ValueError: if there are not as many names of labels as columns.
    """
    num_labels = predictions.shape[-1]
    if len(labels) != num_labels:
        raise ValueError(f"{len(labels)} names for {num_labels} labels")
    return _by_label(*_decisions(targets, predictions)).T


def _auc(targets, probabilities):
    """Returns the area under the ROC curve; NaN if all targets are the same."""
    if len(np.unique(targets)) < 2:
        return NAN
    return sklearn_metrics.roc_auc_score(targets, probabilities)


@metric("auc")
def auc(targets, predictions):
    """Area under the ROC curve: of label 1 of two, or the mean over one-vs-rest.

    NaN if the targets do not hold every label.
    """
    num_labels = predictions.shape[-1]
    if num_labels == 2:
        return _auc(targets, predictions[:, 1])
    if len(np.unique(targets)) < num_labels:
        return NAN
    # Rows of float32 probabilities may miss the sum of 1 by more than sklearn allows.
    normalized = predictions / predictions.sum(-1, keepdims=True, dtype=np.float64)
    return sklearn_metrics.roc_auc_score(targets, normalized, multi_class="ovr")


@metric("auc")
def multilabel_auc(targets, predictions):
    """Area under the ROC curve, as a mean over the labels that some examples have.

    Labels of all or of no examples are left out; NaN if none is left.
    """
    return _mean(map(_auc, targets.T, predictions.T))


@metric("average_precision")
def average_precision(targets, predictions):
    """Area under the precision-recall curve, as a sum of steps.

    Of label 1 of two, or the mean over one-vs-rest; NaN if one of those labels is not
    in the targets.
    """
    targets = _one_hot(targets, predictions.shape[-1])
    if predictions.shape[-1] == 2:
        targets, predictions = targets[:, 1:], predictions[:, 1:]
    if not targets.any(0).all():
        return NAN
    return _mean(map(sklearn_metrics.average_precision_score, targets.T, predictions.T))


@metric("average_precision")
def multilabel_average_precision(targets, predictions):
    """Area under the precision-recall curve, as a mean over labels.

    Labels of no example are left out; NaN if none is left.
    """
    columns = zip(targets.T, predictions.T)
    return _mean(
        sklearn_metrics.average_precision_score(*each)
        for each in columns
        if each[0].any()
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


@metric("log_loss", lower_is_better=True)
def multilabel_log_loss(targets, predictions):
    """Mean over labels and examples of the cross entropy; see `log_loss`."""
    predictions = predictions.astype(np.float64)
    both = np.stack([1 - predictions, predictions], -1)  # [num_examples, num_labels, 2]
    columns = zip(targets.T, both.transpose(1, 0, 2))
    return _mean(log_loss(*each)["log_loss"] for each in columns)


@metric("mcc")
def mcc(targets, predictions):
    """Matthews correlation coefficient of the right and the most probable label.

    NaN if the targets hold one label only; 0 if the predictions do, as in GLUE.
    Source: Matthews 1975; Gorodkin 2004 for more than two labels.
    """
    if len(np.unique(targets)) < 2:
        return NAN
    return sklearn_metrics.matthews_corrcoef(targets, np.argmax(predictions, -1))


@metric("mrr", "map")
def ranking(targets, predictions, groups):
    """Mean reciprocal rank and mean average precision of ranked candidates.

    Means are over the questions that have a relevant candidate, as in trec_eval and in
    the evaluation of NLPCC-DBQA; NaN if none has. Candidates with equal scores rank in
    the order of their rows (trec_eval sorts them by name).

    targets: int `[num_examples]`, 1 for a relevant candidate.
    predictions: float `[num_examples]`, the highest ranks first.
    groups: int `[num_examples]`, the candidate's question; the rows of a question need
      not be neighbours.
    """
    groups = np.asarray(groups)
    order = np.lexsort((-predictions, groups))  # by question, then score; stable
    starts = np.unique(groups[order], return_index=True)[1]
    reciprocal_ranks, average_precisions = [], []
    for is_relevant in np.split(targets[order] == 1, starts[1:]):
        ranks = np.flatnonzero(is_relevant) + 1
        if len(ranks):
            reciprocal_ranks.append(1 / ranks[0])
            average_precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    if not reciprocal_ranks:
        return NAN, NAN
    return np.mean(reciprocal_ranks), np.mean(average_precisions)
