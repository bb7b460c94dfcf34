"""The numbers behind the pictures of the report, over numpy, on scikit-learn.

Numbers are exact, over all rows; `thin` and `sample` choose points to draw.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn import metrics as sklearn_metrics

NUM_BINS = 10


class Curve(NamedTuple):
    """A curve that scikit-learn draws, and its score."""

    display: Any  # with `plot`
    score: float


class Thresholds(NamedTuple):
    """Rates and scores if a label is given from a threshold of its score on.

    All `[num_thresholds]`, thresholds ascending: the distinct scores, and above them
    one from which the label is never given.
    """

    thresholds: np.ndarray
    true_positive_rates: np.ndarray
    false_positive_rates: np.ndarray
    accuracies: np.ndarray
    f1s: np.ndarray

    def best(self, values):
        """Returns (threshold, value) of the highest; of equal ones the lowest."""
        index = int(np.argmax(values))
        return float(self.thresholds[index]), float(values[index])


class Kept(NamedTuple):
    """Rows whose highest probability reaches a threshold, for each distinct one.

    All `[num_thresholds]`, thresholds ascending.
    """

    thresholds: np.ndarray
    shares: np.ndarray  # of all rows
    accuracies: np.ndarray  # of the rows kept

    def reaching(self, accuracy):
        """Returns (threshold, share) of the most rows with an accuracy, or None."""
        indices = np.flatnonzero(self.accuracies >= accuracy)
        if not len(indices):
            return None
        return float(self.thresholds[indices[0]]), float(self.shares[indices[0]])


class Calibration(NamedTuple):
    """A reliability diagram; arrays `[num_bins]`, NaN where a bin has no row.

    expected_error: mean over rows of the distance, in their bin, between mean
      probability and share of positive rows. Source: Guo et al. 2017.
    """

    edges: np.ndarray  # [num_bins + 1]
    mean_probabilities: np.ndarray
    shares: np.ndarray
    counts: np.ndarray
    expected_error: float


class LabelScores(NamedTuple):
    """Scores of each label, arrays `[num_labels]`; 0 where a denominator is 0."""

    precisions: np.ndarray
    recalls: np.ndarray
    f1s: np.ndarray
    counts: np.ndarray  # rows that have the label
    areas: np.ndarray  # under the ROC curve; NaN where all or no rows have the label


def has_both(is_positive):
    """Returns whether bool `[num_rows]` holds both rows with and without a label."""
    return bool(np.any(is_positive) and not np.all(is_positive))


def roc(is_positive, scores):
    """Returns the ROC `Curve` of bool and float `[num_rows]`.

    The score is the area under the curve. None if a class is missing.
    """
    if not has_both(is_positive):
        return None
    false_positive, true_positive, _ = sklearn_metrics.roc_curve(is_positive, scores)
    area = sklearn_metrics.auc(false_positive, true_positive)
    x, y = thin((false_positive, true_positive))
    return Curve(sklearn_metrics.RocCurveDisplay(fpr=x, tpr=y), float(area))


def thresholds(is_positive, scores):
    """Returns the `Thresholds` of bool and float `[num_rows]`, both classes in it."""
    false_positive, true_positive, values = sklearn_metrics.roc_curve(
        is_positive, scores, drop_intermediate=False
    )
    # scikit-learn's versions differ in the threshold above the highest score.
    values[0] = np.nextafter(values[1], np.inf)
    num_positive = np.count_nonzero(is_positive)
    num_negative = len(is_positive) - num_positive
    hits, false_alarms = true_positive * num_positive, false_positive * num_negative
    ascending = slice(None, None, -1)
    return Thresholds(
        values[ascending],
        true_positive[ascending],
        false_positive[ascending],
        ((hits + num_negative - false_alarms) / len(is_positive))[ascending],
        (2 * hits / (hits + false_alarms + num_positive))[ascending],
    )


def precision_recall(is_positive, scores):
    """Returns the precision-recall `Curve` of bool and float `[num_rows]`.

    The score is the average precision; None if no row is positive.
    """
    if not np.any(is_positive):
        return None
    curve = sklearn_metrics.precision_recall_curve(is_positive, scores)
    average = sklearn_metrics.average_precision_score(is_positive, scores)
    display = sklearn_metrics.PrecisionRecallDisplay(*thin(curve[:2]))
    return Curve(display, float(average))


def kept(probabilities, is_right):
    """Returns the `Kept` of float and bool `[num_rows]`, at least one row."""
    order = np.argsort(probabilities)
    found, begins = np.unique(probabilities[order], return_index=True)
    num_kept = len(order) - begins
    num_right = np.cumsum(is_right[order][::-1])[::-1][begins]
    return Kept(found, num_kept / len(order), num_right / num_kept)


def label_counts(targets, predicted):
    """Counts rows by true and predicted label, for each label against the rest.

    targets, predicted: bool `[num_rows, num_labels]`.

    Returns:
      int `[num_labels, 4]`: true and false positives, false and true negatives.
    """
    pairs = (targets & predicted, ~targets & predicted, targets & ~predicted)
    counts = [each.sum(axis=0) for each in (*pairs, ~(targets | predicted))]
    return np.stack(counts, axis=1)


def most_confused(counts, num_labels):
    """Returns the ids of the labels with the most wrong rows, ascending.

    counts: int `[all_labels, all_labels]`, true labels first.
    """
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:num_labels])


def calibration(probabilities, came_true, num_bins=NUM_BINS):
    """Returns the `Calibration` of float and bool `[num_rows]`.

    The bins are of equal width; a probability on an edge counts to the bin above it.
    """
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(bins, probabilities, num_bins) / counts
        shares = np.bincount(bins, came_true, num_bins) / counts
    error = np.nansum(np.abs(means - shares) * counts) / len(probabilities)
    edges = np.linspace(0, 1, num_bins + 1)
    return Calibration(edges, means, shares, counts, float(error))


def label_scores(targets, predicted, probabilities):
    """Returns the `LabelScores`, each label against the rest.

    targets, predicted: int `[num_rows]`, or bool `[num_rows, num_labels]`.
    probabilities: float `[num_rows, num_labels]`.
    """
    num_labels = probabilities.shape[1]
    scores = sklearn_metrics.precision_recall_fscore_support(
        targets, predicted, labels=np.arange(num_labels), zero_division=0
    )
    found = [roc(has_label(targets, k), probabilities[:, k]) for k in range(num_labels)]
    areas = [np.nan if each is None else each.score for each in found]
    return LabelScores(*scores, np.array(areas))


def has_label(targets, label):
    """Returns bool `[num_rows]`: which rows have a label; see `label_scores`."""
    return targets[:, label] if targets.ndim == 2 else targets == label


def smooth(values, window):
    """Returns the mean of the values around each, float `[num_values]`.

    NaN do not count. At the ends the window is cut off.

    values: float `[num_values]`.
    window: odd number of values.
    """
    half = window // 2
    is_finite = np.isfinite(values)
    sums = np.cumsum(np.concatenate([[0.0], np.where(is_finite, values, 0.0)]))
    counts = np.cumsum(np.concatenate([[0], is_finite]))
    begin = np.maximum(np.arange(len(values)) - half, 0)
    end = np.minimum(np.arange(len(values)) + half + 1, len(values))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[end] - sums[begin]) / (counts[end] - counts[begin])


def smoothing_window(num_values):
    """Returns an odd window for `smooth`: a twentieth of the values."""
    return max(num_values // 40, 1) * 2 + 1


def histogram(values, edges):
    """Returns the share of the values in each bin, float `[num_bins]`; 0 of none."""
    counts, _ = np.histogram(values, edges)
    return counts / max(len(values), 1)


def thin(arrays, max_points=2000):
    """Returns every n-th point of arrays of one length; the last one stays."""
    num_points = len(arrays[0])
    if num_points <= max_points:
        return list(arrays)
    kept = np.linspace(0, num_points - 1, max_points).astype(int)
    return [np.asarray(each)[kept] for each in arrays]


def sample(num_rows, max_rows=5000):
    """Returns row numbers to draw: all, or `max_rows` at random but always the same."""
    if num_rows <= max_rows:
        return np.arange(num_rows)
    return np.random.RandomState(0).choice(num_rows, max_rows, replace=False)
