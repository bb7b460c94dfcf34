"""The numbers behind the pictures, against values computed by hand."""

import numpy as np
import pytest

from bert_my.report import curves

# Scores descending: + - + + -; 3 positive and 2 negative rows.
IS_POSITIVE = np.array([True, False, True, True, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.4, 0.2])
# (true label, predicted label): 0 is right twice and taken for 2 once, ...
TARGETS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
PREDICTED = np.array([0, 0, 2, 1, 0, 2, 2, 2, 1])


def test_roc_golden_values():
    roc = curves.roc(IS_POSITIVE, SCORES)
    # Of the 6 pairs of a positive and a negative row 4 are in the right order.
    assert roc.score == pytest.approx(4 / 6)
    # The corners of the stairs; scikit-learn 1.0 keeps a point on the line 0-0.
    points = set(zip(roc.display.fpr, np.round(roc.display.tpr, 6)))
    assert {(0.0, 0.0), (0.0, 0.333333), (0.5, 0.333333), (0.5, 1.0)} <= points
    assert (1.0, 1.0) in points


@pytest.mark.parametrize("value", [True, False])
def test_roc_needs_both_classes(value):
    assert curves.roc(np.full(5, value), SCORES) is None


def test_threshold_golden_values():
    found = curves.thresholds(IS_POSITIVE, SCORES)
    np.testing.assert_allclose(found.thresholds[:-1], [0.2, 0.4, 0.7, 0.8, 0.9])
    assert found.thresholds[-1] > 0.9
    np.testing.assert_allclose(
        found.true_positive_rates, np.array([3, 3, 2, 1, 1, 0]) / 3
    )
    np.testing.assert_allclose(found.false_positive_rates, [1, 0.5, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(found.accuracies, np.array([3, 4, 3, 2, 3, 2]) / 5)
    # 2 tp / (2 tp + fp + fn)
    f1s = [6 / 8, 6 / 7, 4 / 6, 2 / 5, 2 / 4, 0]
    np.testing.assert_allclose(found.f1s, f1s)


def test_best_thresholds():
    found = curves.thresholds(IS_POSITIVE, SCORES)
    assert found.best(found.f1s) == (0.4, pytest.approx(6 / 7))
    assert found.best(found.accuracies) == (0.4, pytest.approx(4 / 5))
    assert found.best(np.array([1, 3, 2, 3, 0, 0]))[0] == 0.4


def test_rows_with_the_same_score_share_a_threshold():
    found = curves.thresholds(np.array([True, False, True]), np.array([0.5, 0.5, 0.3]))
    np.testing.assert_allclose(found.thresholds[:2], [0.3, 0.5])
    np.testing.assert_allclose(found.accuracies, [2 / 3, 1 / 3, 1 / 3])


def test_precision_recall_golden_values():
    curve = curves.precision_recall(IS_POSITIVE, SCORES)
    # Sum over the positive rows of precision times the recall they add.
    assert curve.score == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    points = set(
        zip(np.round(curve.display.recall, 4), np.round(curve.display.precision, 4))
    )
    assert {(1.0, 0.75), (0.6667, 0.6667), (0.3333, 0.5), (0.3333, 1.0)} <= points


def test_precision_recall_needs_a_positive_row():
    assert curves.precision_recall(np.zeros(5, bool), SCORES) is None


def test_rows_kept_golden_values():
    probabilities = np.array([0.9, 0.5, 0.7, 0.5, 0.8])
    found = curves.kept(probabilities, np.array([True, False, False, True, True]))
    np.testing.assert_allclose(found.thresholds, [0.5, 0.7, 0.8, 0.9])
    np.testing.assert_allclose(found.shares, [1, 3 / 5, 2 / 5, 1 / 5])
    np.testing.assert_allclose(found.accuracies, [3 / 5, 2 / 3, 1, 1])


def test_the_lowest_threshold_that_reaches_an_accuracy():
    found = curves.Kept(*np.array([[0.2, 0.5, 0.6], [1, 0.7, 0.1], [0.5, 0.9, 0.8]]))
    assert found.reaching(0.8) == (0.5, 0.7)
    assert found.reaching(0.91) is None


def test_label_counts_golden_values():
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 0], [1, 0]], bool)
    predicted = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 1]], bool)
    # True and false positives, false and true negatives.
    expected = [[2, 1, 1, 1], [1, 2, 0, 2]]
    np.testing.assert_array_equal(curves.label_counts(targets, predicted), expected)


def test_most_confused_counts_both_directions():
    # Wrong rows that touch each label: 2, 3, 1.
    counts = np.array([[9, 2, 0], [0, 5, 1], [0, 0, 8]])
    np.testing.assert_array_equal(curves.most_confused(counts, 2), [0, 1])
    np.testing.assert_array_equal(curves.most_confused(counts, 1), [1])


def test_calibration_golden_values():
    probabilities = np.array([0.1, 0.3, 0.5, 0.9, 1.0])
    came_true = np.array([False, True, False, True, True])
    found = curves.calibration(probabilities, came_true, num_bins=2)
    np.testing.assert_array_equal(found.counts, [2, 3])
    np.testing.assert_allclose(found.mean_probabilities, [0.2, 0.8])
    np.testing.assert_allclose(found.shares, [1 / 2, 2 / 3])
    expected_error = (2 * (0.5 - 0.2) + 3 * (0.8 - 2 / 3)) / 5
    assert found.expected_error == pytest.approx(expected_error)


def test_calibration_of_an_empty_bin_is_nan():
    found = curves.calibration(np.array([0.05, 0.95]), np.array([False, True]), 3)
    assert np.isnan(found.shares[1]) and found.counts[1] == 0
    assert found.expected_error == pytest.approx(0.05)


def test_label_scores_golden_values():
    scores = curves.label_scores(TARGETS, PREDICTED, np.eye(3)[PREDICTED])
    np.testing.assert_allclose(scores.precisions, [2 / 3, 1 / 2, 3 / 4])
    np.testing.assert_allclose(scores.recalls, [2 / 3, 1 / 2, 3 / 4])
    np.testing.assert_array_equal(scores.counts, [3, 2, 4])
    # Label 1 has 1 of 2 rows right, and 1 of the 7 others wrong: (1/2 + 6/7) / 2.
    assert scores.areas[1] == pytest.approx((1 / 2 + 6 / 7) / 2)


def test_label_scores_of_several_labels_at_once():
    targets = np.array([[1, 0], [1, 1], [0, 0]], bool)
    predicted = np.array([[1, 0], [0, 0], [1, 0]], bool)
    probabilities = np.array([[0.9, 0.2], [0.4, 0.3], [0.8, 0.1]])
    scores = curves.label_scores(targets, predicted, probabilities)
    np.testing.assert_allclose(scores.precisions, [1 / 2, 0])
    np.testing.assert_allclose(scores.recalls, [1 / 2, 0])
    np.testing.assert_allclose(scores.areas, [1 / 2, 1])


def test_smooth_cuts_the_window_off_at_the_ends():
    smoothed = curves.smooth(np.array([3.0, 6.0, 0.0, 12.0]), 3)
    np.testing.assert_allclose(smoothed, [4.5, 3, 6, 6])


def test_smooth_leaves_out_nan():
    smoothed = curves.smooth(np.array([1.0, np.nan, 3.0, np.nan, np.nan, np.nan]), 3)
    np.testing.assert_allclose(smoothed, [1, 2, 3, 3, np.nan, np.nan])


@pytest.mark.parametrize("num_values,window", [(1, 3), (137, 7), (1000, 51)])
def test_smoothing_window_is_odd(num_values, window):
    assert curves.smoothing_window(num_values) == window


def test_histogram_of_nothing_is_zero():
    np.testing.assert_array_equal(curves.histogram(np.array([]), [0, 0.5, 1]), [0, 0])
    shares = curves.histogram(np.array([0.1, 0.5, 1.0]), [0, 0.5, 1])
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3])


def test_thin_keeps_the_ends():
    x, y = curves.thin((np.arange(5003), -np.arange(5003)), max_points=11)
    assert len(x) == 11 and x[0] == 0 and x[-1] == 5002
    np.testing.assert_array_equal(y, -x)


def test_sample_is_always_the_same_and_has_no_row_twice():
    rows = curves.sample(977, max_rows=101)
    assert len(set(rows)) == 101 and max(rows) < 977
    np.testing.assert_array_equal(rows, curves.sample(977, max_rows=101))
    np.testing.assert_array_equal(curves.sample(3), [0, 1, 2])
