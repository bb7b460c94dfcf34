"""Metrics: pure functions `(targets, predictions) -> dict name -> float` over numpy.

They rest on scikit-learn and scipy. What the two arguments are depends on the
kind of the task:

- one of several labels: int `[num_examples]`, and probabilities `[num_examples,
  num_labels]`
- several labels at once, `multilabel_*`: int 0 or 1, and probabilities that are
  independent of one another, both `[num_examples, num_labels]`
- regression: float `[num_examples]`, both
- ranking: int and float `[num_examples]`
- entities: see `entity_metrics`

A metric that is not defined is NaN, quietly; so is every metric over no example, or
over predictions that are not finite.
"""

import functools
import math

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

# A label is given where its probability is above this, by tasks with several at once.
THRESHOLD = 0.5
_ERRORS = frozenset(["mse", "mae"])

_NAN = float("nan")
_AVERAGES = ("macro", "micro")
_SMALLEST_PROBABILITY = 1e-15  # keeps the logarithm of 0 finite


def is_better(name, value, best):
    """Tells whether a value of the metric `name` is better than the best one so far.

    value, best: numbers or None. One that is not finite is never better; one that is
    finite is better than None or NaN. The same value again is not better.
    """
    if value is None or not math.isfinite(value):
        return False
    if best is None or math.isnan(best):
        return True
    return bool(value < best if is_lower_better(name) else value > best)


def is_lower_better(name):
    """Tells whether the lowest value of a metric is its best."""
    return name in _ERRORS or is_loss(name)


def is_loss(name):
    """Tells whether a metric is a loss, of all or of a part of what is learnt."""
    return name == "loss" or name.endswith("_loss")


def best_of(name, values):
    """Returns the best of the values of a metric that are finite; NaN if none is."""
    finite = [each for each in values if each is not None and math.isfinite(each)]
    choose = min if is_lower_better(name) else max
    return choose(finite) if finite else _NAN


def label_metric(score, label):
    """Returns the name of one label's score, such as `f1_<label>`."""
    # `f1_micro` is over all labels, also if one of them is called so.
    return f"{score}_label_{label}" if label in _AVERAGES else f"{score}_{label}"


def is_of_label(name):
    """Tells whether a metric is that of one label."""
    score, _, rest = name.partition("_")
    return score in ("precision", "recall", "f1") and rest not in ("", *_AVERAGES)


def in_order(tables, main):
    """Returns the names of metrics: the main one first, then in order, by label last.

    tables: list of dicts name -> value, which also have what is no metric.
    """
    names = list(dict.fromkeys(name for each in tables for name in each))
    left_out = {"step", "global_step"}
    if "eval_loss" in names:
        left_out.add("loss")  # the same, under the name that Estimator gives it
    names = [name for name in names if name not in left_out]
    return sorted(names, key=lambda name: (name != main, is_of_label(name)))


def _scorable(targets, predictions):
    """Returns both as arrays: those of no example if a prediction is not finite."""
    targets, predictions = np.asarray(targets), np.asarray(predictions)
    if not np.isfinite(predictions).all():
        return targets[:0], predictions[:0]
    return targets, predictions


def _named(*names):
    """Turns a function that returns one or several numbers into a metric.

    The metric returns them by `names`, which are given in the same order.
    """

    def decorate(compute):
        @functools.wraps(compute)
        def metric(targets, predictions, *args, **kwargs):
            targets, predictions = _scorable(targets, predictions)
            values = [_NAN] * len(names)
            if len(targets):
                values = np.atleast_1d(compute(targets, predictions, *args, **kwargs))
            return {name: float(value) for name, value in zip(names, values)}

        return metric

    return decorate


def _one_hot(label_ids, num_labels):
    """Returns int `[num_examples, num_labels]` of int `[num_examples]`."""
    return (label_ids[:, None] == np.arange(num_labels)).astype(int)


def _chosen(predictions):
    """Returns the most probable label of each example, one-hot."""
    return _one_hot(np.argmax(predictions, -1), predictions.shape[-1])


def _mean_over_labels(score, targets, predictions):
    """Returns the mean of a score over the labels for which it is not NaN, or NaN.

    score: function of a column of `targets` and one of `predictions`.
    """
    values = [score(*columns) for columns in zip(targets.T, predictions.T)]
    defined = [value for value in values if not np.isnan(value)]
    return np.mean(defined) if defined else _NAN


def _scores_of_label(targets, predicted):
    """Returns precision, recall and F1 of a label: int 0 or 1 `[num_examples]`, both.

    A share of nothing counts as 0, but all are NaN if nobody has or is given the label.
    """
    if not (targets.any() or predicted.any()):
        return _NAN, _NAN, _NAN
    return sklearn_metrics.precision_recall_fscore_support(
        targets, predicted, average="binary", zero_division=0
    )[:3]


def _f1_of_label(targets, predicted):
    return _scores_of_label(targets, predicted)[2]


def _auc_of_label(targets, probabilities):
    if len(np.unique(targets)) < 2:
        return _NAN
    return sklearn_metrics.roc_auc_score(targets, probabilities)


def _average_precision_of_label(targets, probabilities):
    if not targets.any():
        return _NAN
    return sklearn_metrics.average_precision_score(targets, probabilities)


def _scores_by_label(targets, predicted, labels):
    """Returns a dict with precision, recall and F1 of each label, by its name.

    targets, predicted: int 0 or 1 `[num_examples, num_labels]`.

    Raises:
      ValueError: if there are not as many names as labels.
    """
    if len(labels) != targets.shape[-1]:
        raise ValueError(f"{len(labels)} names for {targets.shape[-1]} labels")
    scores = {}
    for label, *columns in zip(labels, targets.T, predicted.T):
        names = [label_metric(score, label) for score in ("precision", "recall", "f1")]
        scores.update(zip(names, map(float, _scores_of_label(*columns))))
    return scores


@_named("eval_accuracy")
def accuracy(targets, predictions):
    """Share of examples whose most probable label is the right one."""
    return np.mean(np.argmax(predictions, -1) == targets)


@_named("precision", "recall", "f1")
def precision_recall_f1(targets, predictions):
    """Precision, recall and F1: of label 1 of two, or unweighted means over more.

    The means are over the labels that occur in targets or predictions. A share of
    nothing counts as 0.
    """
    return sklearn_metrics.precision_recall_fscore_support(
        targets,
        np.argmax(predictions, -1),
        labels=[1] if predictions.shape[-1] == 2 else None,
        average="macro",
        zero_division=0,
    )[:3]


@_named("f1_macro", "f1_micro")
def f1_averages(targets, predictions):
    """F1 as a mean over labels, and over all decisions (which is the accuracy).

    The first is over the labels that occur in targets or predictions: the mean of what
    `per_label` tells.
    """
    targets, predicted = _one_hot(targets, predictions.shape[-1]), _chosen(predictions)
    macro = _mean_over_labels(_f1_of_label, targets, predicted)
    return macro, _f1_of_label(targets.ravel(), predicted.ravel())


def per_label(targets, predictions, labels):
    """Precision, recall and F1 of each label, by the names of `label_metric`.

    labels: names, in the order of the columns of `predictions`. A share of nothing
      counts as 0; a label that occurs neither in targets nor in predictions has NaN.
    """
    targets, predictions = _scorable(targets, predictions)
    targets = _one_hot(targets, predictions.shape[-1])
    return _scores_by_label(targets, _chosen(predictions), labels)


@_named("auc")
def auc(targets, predictions):
    """Area under the ROC curve: of label 1 of two, or the mean over one-vs-rest.

    NaN if the targets do not hold every label.
    """
    num_labels = predictions.shape[-1]
    if num_labels == 2:
        return _auc_of_label(targets, predictions[:, 1])
    if len(np.unique(targets)) < num_labels:
        return _NAN
    # Rows of float32 probabilities need not add up to 1 as closely as is asked for.
    normalized = predictions / predictions.sum(-1, keepdims=True, dtype=np.float64)
    return sklearn_metrics.roc_auc_score(targets, normalized, multi_class="ovr")


@_named("average_precision")
def average_precision(targets, predictions):
    """Area under the precision-recall curve, as a sum of steps.

    Of label 1 of two, or the mean over one-vs-rest; NaN if one of those labels is not
    in the targets.
    """
    targets = _one_hot(targets, predictions.shape[-1])
    if predictions.shape[-1] == 2:
        targets, predictions = targets[:, 1:], predictions[:, 1:]
    if not targets.any(0).all():
        return _NAN
    return _mean_over_labels(_average_precision_of_label, targets, predictions)


@_named("log_loss")
def log_loss(targets, predictions):
    """Mean negative natural logarithm of the right label's probability.

    A probability counts as 1e-15 at least, so that 0 does not make it infinite.
    """
    # Clipped here, since the bound of scikit-learn differs between its versions.
    probabilities = np.maximum(predictions.astype(np.float64), _SMALLEST_PROBABILITY)
    probabilities /= probabilities.sum(-1, keepdims=True)
    label_ids = list(range(predictions.shape[-1]))
    return sklearn_metrics.log_loss(targets, probabilities, labels=label_ids)


@_named("mcc")
def mcc(targets, predictions):
    """Matthews correlation coefficient of the right and the most probable label.

    NaN if the targets hold one label only; 0 if the predictions do, as GLUE has it.
    Source: Matthews 1975; Gorodkin 2004 for more than two labels.
    """
    if len(np.unique(targets)) < 2:
        return _NAN
    return sklearn_metrics.matthews_corrcoef(targets, np.argmax(predictions, -1))


@_named("eval_accuracy")
def multilabel_accuracy(targets, predictions):
    """Share of examples that are given exactly the right labels."""
    return np.mean(np.all((predictions > THRESHOLD) == targets, -1))


@_named("f1_micro", "f1_macro", "precision_micro", "recall_micro")
def multilabel_f1(targets, predictions):
    """Precision, recall and F1 over all decisions, and F1 as a mean over labels.

    The mean is over the labels that occur in targets or predictions. A share of nothing
    counts as 0; all are NaN if there is no label in targets and predictions.
    """
    predicted = (predictions > THRESHOLD).astype(int)
    precision, recall, f1 = _scores_of_label(targets.ravel(), predicted.ravel())
    return f1, _mean_over_labels(_f1_of_label, targets, predicted), precision, recall


def multilabel_per_label(targets, predictions, labels):
    """Precision, recall and F1 of each label; see `per_label`."""
    targets, predictions = _scorable(targets, predictions)
    return _scores_by_label(targets, (predictions > THRESHOLD).astype(int), labels)


@_named("auc")
def multilabel_auc(targets, predictions):
    """Area under the ROC curve, as a mean over the labels that some examples have.

    Labels that all or none of them have are left out; NaN if none is left.
    """
    return _mean_over_labels(_auc_of_label, targets, predictions)


@_named("average_precision")
def multilabel_average_precision(targets, predictions):
    """Area under the precision-recall curve, as a mean over labels; see `auc`.

    Labels that no example has are left out; NaN if none is left.
    """
    return _mean_over_labels(_average_precision_of_label, targets, predictions)


@_named("log_loss")
def multilabel_log_loss(targets, predictions):
    """Mean over labels and examples of the cross entropy; see `log_loss`."""

    def of_label(targets, probabilities):
        probabilities = probabilities.astype(np.float64)
        both = np.stack([1 - probabilities, probabilities], -1)  # [num_examples, 2]
        return log_loss(targets, both)["log_loss"]

    return _mean_over_labels(of_label, targets, predictions)


@_named("pearson", "spearman")
def correlations(targets, predictions):
    """Pearson's and Spearman's correlation; NaN if one side is constant."""
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    if not (np.ptp(targets) and np.ptp(predictions)):
        return _NAN, _NAN
    spearman = stats.spearmanr(targets, predictions)[0]
    return stats.pearsonr(targets, predictions)[0], spearman


@_named("mse", "mae")
def errors(targets, predictions):
    """Mean squared and mean absolute error."""
    # In float32 the squares of large values would lose what sets runs apart.
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    return (
        sklearn_metrics.mean_squared_error(targets, predictions),
        sklearn_metrics.mean_absolute_error(targets, predictions),
    )


@_named("mrr", "map")
def ranking(targets, predictions, groups):
    """Mean reciprocal rank and mean average precision of ranked candidates.

    Means are over the questions that have a relevant candidate, as in trec_eval and in
    the evaluation of NLPCC-DBQA; NaN if none has. Candidates with the same score rank
    in the order in which they are given (trec_eval goes by their names).

    targets: int `[num_examples]`, 1 for a relevant candidate.
    predictions: float `[num_examples]`, the highest ranks first.
    groups: int `[num_examples]`, the candidate's question; its rows may lie apart.
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
        return _NAN, _NAN
    return np.mean(reciprocal_ranks), np.mean(average_precisions)
