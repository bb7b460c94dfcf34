"""Pictures of predictions: numbers computed by hand, texts and marks."""

import numpy as np
import pytest

from bert_my.report import sections_dev

# Scores descending: + - + + -; 3 positive and 2 negative rows.
IS_POSITIVE = np.array([True, False, True, True, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.4, 0.2])


def texts(axes):
    """Returns the legend of axes."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_roc_golden_values():
    roc = sections_dev.roc(IS_POSITIVE, SCORES)
    # Of the 6 pairs of a positive and a negative row 4 are in the right order.
    assert roc.score == pytest.approx(4 / 6)
    # The corners of the stairs; scikit-learn 1.0 keeps a point on the line 0-0.
    points = set(zip(roc.display.fpr, np.round(roc.display.tpr, 6)))
    assert {(0.0, 0.0), (0.0, 0.333333), (0.5, 0.333333), (0.5, 1.0)} <= points
    assert (1.0, 1.0) in points


@pytest.mark.parametrize("value", [True, False])
def test_roc_needs_both_classes(value):
    assert sections_dev.roc(np.full(5, value), SCORES) is None


def test_precision_recall_golden_values():
    curve = sections_dev.precision_recall(IS_POSITIVE, SCORES)
    # Sum over the positive rows of precision times the recall they add.
    assert curve.score == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    points = set(
        zip(np.round(curve.display.recall, 4), np.round(curve.display.precision, 4))
    )
    assert {(1.0, 0.75), (0.6667, 0.6667), (0.3333, 0.5), (0.3333, 1.0)} <= points


def test_precision_recall_needs_a_positive_row():
    assert sections_dev.precision_recall(np.zeros(5, bool), SCORES) is None


def test_threshold_golden_values():
    found, values = sections_dev.rates_by_threshold(IS_POSITIVE, SCORES)
    np.testing.assert_allclose(found[:-1], [0.2, 0.4, 0.7, 0.8, 0.9])
    assert found[-1] > 0.9
    expected = {
        "true positive rate": np.array([3, 3, 2, 1, 1, 0]) / 3,
        "false positive rate": [1, 0.5, 0.5, 0.5, 0, 0],
        "accuracy": np.array([3, 4, 3, 2, 3, 2]) / 5,
        # 2 tp / (2 tp + fp + fn)
        "F1": [6 / 8, 6 / 7, 4 / 6, 2 / 5, 2 / 4, 0],
    }
    assert set(values) == set(expected)
    for name in expected:
        np.testing.assert_allclose(values[name], expected[name])


def test_best_thresholds_are_marked():
    (axes,) = sections_dev.thresholds(IS_POSITIVE, SCORES, "x").figure.axes
    assert texts(axes)[4:] == [
        "best accuracy 0.8000 at 0.4000",
        "best F1 0.8571 at 0.4000",
    ]


def test_of_equal_accuracies_the_lowest_threshold_is_marked():
    is_positive, scores = np.array([False, True, False]), np.array([0.1, 0.2, 0.3])
    (axes,) = sections_dev.thresholds(is_positive, scores, "x").figure.axes
    # 2 of 3 rows are right from 0.2 on, and if the label is never given.
    assert "best accuracy 0.6667 at 0.2000" in texts(axes)


def test_rows_with_the_same_score_share_a_threshold():
    found, values = sections_dev.rates_by_threshold(
        np.array([True, False, True]), np.array([0.5, 0.5, 0.3])
    )
    np.testing.assert_allclose(found[:2], [0.3, 0.5])
    np.testing.assert_allclose(values["accuracy"], [2 / 3, 1 / 3, 1 / 3])


def test_rows_kept_golden_values():
    probabilities = np.array([0.9, 0.5, 0.7, 0.5, 0.8])
    is_right = np.array([True, False, False, True, True])
    found, shares, accuracies = sections_dev.rows_kept(probabilities, is_right)
    np.testing.assert_allclose(found, [0.5, 0.7, 0.8, 0.9])
    np.testing.assert_allclose(shares, [1, 3 / 5, 2 / 5, 1 / 5])
    np.testing.assert_allclose(accuracies, [3 / 5, 2 / 3, 1, 1])


def test_the_lowest_threshold_that_reaches_an_accuracy_is_marked():
    # From 0.5 on 20 of 21 rows are right, from 0.75 on all.
    probabilities = np.array(20 * [0.25] + 11 * [0.5] + 10 * [0.75])
    is_right = np.array(21 * [False] + 20 * [True])
    (axes,) = sections_dev.kept(probabilities, is_right).figure.axes
    assert texts(axes)[2:] == [
        "95% right from 0.5000 on: 51.2% kept",
        "99% right from 0.7500 on: 24.4% kept",
    ]


def test_an_accuracy_that_is_never_reached_is_not_marked():
    is_right = np.array([True, False, False])
    (axes,) = sections_dev.kept(np.array([0.25, 0.5, 0.5]), is_right).figure.axes
    assert texts(axes) == ["share of rows kept", "accuracy of those"]


def test_calibration_golden_values():
    probabilities = np.array([0.1, 0.3, 0.5, 0.9, 1.0])
    came_true = np.array([False, True, False, True, True])
    means, shares, counts, error = sections_dev.calibration_bins(
        probabilities, came_true, num_bins=2
    )
    np.testing.assert_array_equal(counts, [2, 3])
    np.testing.assert_allclose(means, [0.2, 0.8])
    np.testing.assert_allclose(shares, [1 / 2, 2 / 3])
    assert error == pytest.approx((2 * (0.5 - 0.2) + 3 * (0.8 - 2 / 3)) / 5)


def test_calibration_of_an_empty_bin_is_nan():
    _, shares, counts, error = sections_dev.calibration_bins(
        np.array([0.05, 0.95]), np.array([False, True]), 3
    )
    assert np.isnan(shares[1]) and counts[1] == 0
    assert error == pytest.approx(0.05)


def test_each_label_has_a_panel_of_its_own():
    is_label = np.arange(7)[:, None] < np.arange(1, 6)  # label k has k + 1 rows
    labels = [f"l{k}" for k in range(1, 6)]
    each = sections_dev.EachLabel(labels, is_label, ~is_label, is_label * 0.9)
    figure = sections_dev.histograms_by_label(each).figure
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 5
    assert texts(visible[1]) == ["l2: 2 rows", "the other 5"]


def test_a_single_label_with_rows_is_one_panel():
    is_label = np.array([[True, False]])
    each = sections_dev.EachLabel(["a", "b"], is_label, is_label, np.full((1, 2), 0.5))
    (axes,) = sections_dev.histograms_by_label(each).figure.axes
    assert texts(axes) == ["a: 1 rows", "the other 0"]


def test_of_many_rows_some_are_drawn_always_the_same():
    values = np.arange(6007.0)
    first, second = (sections_dev.scatter(values, values) for _ in range(2))
    assert first.note == "5,000 of 6,007 rows are drawn."
    rows = [each.figure.axes[0].lines[1].get_xdata() for each in (first, second)]
    assert len(set(rows[0])) == 5000
    np.testing.assert_array_equal(*rows)
    assert not sections_dev.scatter(values[:3], values[:3]).note


def test_rows_missed_follow_those_found_and_wrong_ones_go_left():
    # x: 3 found, 2 wrong, 1 missed; y: 5 found, 7 missed, which is the lower F1.
    rows = np.arange(12)[:, None]
    is_label, is_predicted = rows < [4, 12], rows < [3, 5]
    is_predicted[10:, 0] = True
    each = sections_dev.EachLabel(["x", "y"], is_label, is_predicted, is_label * 0.9)
    picture, _ = sections_dev.counts_by_label(each)
    (axes,) = picture.figure.axes
    wrong, found, missed = (
        [(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers
    )
    assert wrong == [(0, 0), (0, -2)]
    assert found == [(0, 5), (0, 3)]
    assert missed == [(5, 7), (3, 1)]


def test_cells_of_a_confusion_matrix_hold_counts_and_shares():
    predicted = np.repeat([0, 1], [1234, 3])
    targets = np.zeros_like(predicted)
    picture, _ = sections_dev.confusion(targets, predicted, [0, 1], ["x", "y"])
    axes = picture.figure.axes[0]
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["1,234\n99.8%", "3\n0.2%", "0\n–", "0\n–"]
    assert axes.texts[0].get_color() == "white" and axes.texts[1].get_color() == "black"


def test_cells_of_many_labels_hold_short_counts_only():
    ids = np.arange(13)
    targets = np.repeat(ids, ids * 777)
    picture, _ = sections_dev.confusion(targets, targets, ids, list("abcdefghijklm"))
    axes = picture.figure.axes[0]
    cells = [text.get_text() for text in axes.texts]
    assert cells[:15] == [""] * 14 + ["777"] and cells[-1] == "9.3k"


@pytest.mark.parametrize("kind,score", [("roc", "AUC"), ("precision_recall", "AP")])
@pytest.mark.parametrize("num_curves", [2, 7])
def test_curves_have_their_scores_in_the_legend(kind, score, num_curves):
    is_positive, scores = np.array([False, True, True]), np.array([0.1, 0.2, 0.3])
    compute = getattr(sections_dev, kind)
    many = [(f"l{k}", compute(is_positive, scores)) for k in range(num_curves)]
    (axes,) = sections_dev.curves(kind, many).figure.axes
    assert texts(axes) == [f"{score} 1.0000  l{k}" for k in range(num_curves)]
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(styles) >= num_curves
