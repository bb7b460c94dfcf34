"""Metrics of one label per example: values by hand, skewed and undefined cases."""

import numpy as np
import pytest

from bert_my import metrics
from bert_my.tasks.classification import ClassificationTask
from tests.metrics.made_scores import check_perfect, one_hot, scores_of, undefined

# Undefined scores are NaN without a warning.
pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("error::UserWarning"),
]

TARGETS = np.array([1, 0, 1, 1, 0, 0, 0, 1])
POSITIVE = np.array([0.9, 0.2, 0.4, 0.6, 0.7, 0.1, 0.45, 0.8], np.float32)
PROBABILITIES = np.stack([1 - POSITIVE, POSITIVE], -1)
# Label 0 of three is found once of twice; label 2 is never found.
THREE_TARGETS = np.array([0, 0, 1, 2])
THREE_PREDICTED = np.array([0, 1, 1, 1])
SINGLE_LABEL = [
    each for each in ClassificationTask.metrics if each is not metrics.per_label
]


def test_binary_golden_values():
    # Predicted positive: rows 0, 3, 4, 7, three of them right; one positive is missed.
    scores = scores_of(SINGLE_LABEL, TARGETS, PROBABILITIES)
    assert scores["precision"] == pytest.approx(3 / 4)
    assert scores["recall"] == pytest.approx(3 / 4)
    assert scores["f1"] == pytest.approx(3 / 4)
    # Of the 16 pairs of a positive and a negative 13 are in the right order.
    assert scores["auc"] == pytest.approx(13 / 16)
    assert metrics.accuracy(TARGETS, PROBABILITIES) == {"eval_accuracy": 6 / 8}


def test_average_precision_of_label_1():
    # The positives are the first, second, fourth and sixth by probability.
    value = metrics.average_precision(TARGETS, PROBABILITIES)["average_precision"]
    assert value == pytest.approx((1 / 1 + 2 / 2 + 3 / 4 + 4 / 6) / 4)


def test_log_loss_is_of_the_right_label():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], np.float32)
    value = metrics.log_loss(np.array([1, 2]), probabilities)["log_loss"]
    assert value == pytest.approx((np.log(4) - np.log(0.8)) / 2)


def test_log_loss_of_probability_zero_is_finite():
    value = metrics.log_loss(np.array([1]), one_hot([0], 2))["log_loss"]
    assert value == pytest.approx(15 * np.log(10))


def test_mcc_golden_value():
    # 6 true positives, 2 false negatives, 1 false positive, 3 true negatives.
    targets = np.array([1] * 8 + [0] * 4)
    predicted = np.array([1] * 6 + [0] * 2 + [1] + [0] * 3)
    value = metrics.mcc(targets, one_hot(predicted, 2))["mcc"]
    assert value == pytest.approx((6 * 3 - 1 * 2) / np.sqrt(7 * 8 * 4 * 5))


def test_recall_is_not_precision():
    predictions = one_hot([1, 0, 0, 0], 2)
    scores = metrics.precision_recall_f1(np.array([1, 1, 1, 0]), predictions)
    assert scores["precision"] == 1.0
    assert scores["recall"] == pytest.approx(1 / 3)
    assert scores["f1"] == pytest.approx(0.5)


@pytest.mark.parametrize("num_labels", [2, 4])
def test_identical_lists_score_best(num_labels):
    targets = np.arange(20) % num_labels
    check_perfect(scores_of(SINGLE_LABEL, targets, one_hot(targets, num_labels)))


def test_more_labels_are_averaged():
    predictions = one_hot(THREE_PREDICTED, 3)
    scores = scores_of(SINGLE_LABEL, THREE_TARGETS, predictions)
    assert scores["precision"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert scores["recall"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert scores["f1_micro"] == scores["eval_accuracy"] == 2 / 4


def test_average_precision_of_more_labels_is_one_vs_rest():
    # Label 0 ranks row 0, then the others at once; label 1 rows 1 to 3; label 2 all.
    value = metrics.average_precision(THREE_TARGETS, one_hot(THREE_PREDICTED, 3))
    by_label = [(1 + 2 / 4) / 2, 1 / 3, 1 / 4]
    assert value["average_precision"] == pytest.approx(np.mean(by_label))


def test_auc_of_more_labels_is_one_vs_rest():
    # A tie counts half. Label 0: 2 + 1 of 4 pairs; label 1: 2 of 3; label 2: 3 halves.
    value = metrics.auc(THREE_TARGETS, one_hot(THREE_PREDICTED, 3))["auc"]
    pairs = [(2 + 2 / 2) / 4, (1 + 2 / 2) / 3, (3 / 2) / 3]
    assert value == pytest.approx(np.mean(pairs))


def test_auc_allows_rows_that_do_not_quite_add_up_to_one():
    predictions = one_hot(THREE_PREDICTED, 3)
    expected = metrics.auc(THREE_TARGETS, predictions)
    assert metrics.auc(THREE_TARGETS, predictions * 1.001) == expected


def test_per_label_scores_have_the_names_of_the_labels():
    predictions = one_hot(THREE_PREDICTED, 3)
    scores = metrics.per_label(THREE_TARGETS, predictions, ("good", "so so", "bad"))
    assert scores == pytest.approx(
        {
            **{"precision_good": 1, "recall_good": 1 / 2, "f1_good": 2 / 3},
            **{"precision_so so": 1 / 3, "recall_so so": 1, "f1_so so": 1 / 2},
            **{"precision_bad": 0, "recall_bad": 0, "f1_bad": 0},
        }
    )


def test_label_that_nobody_has_is_left_out_of_the_mean():
    predictions = one_hot(THREE_PREDICTED, 5)
    scores = metrics.per_label(THREE_TARGETS, predictions, "abcde")
    names = ("precision", "recall", "f1")
    assert undefined(scores) == {f"{name}_{k}" for name in names for k in "de"}
    assert metrics.f1_averages(THREE_TARGETS, predictions) == metrics.f1_averages(
        THREE_TARGETS, predictions[:, :3]
    )


def test_means_are_over_the_labels_that_occur():
    predictions = one_hot(THREE_PREDICTED, 5)
    scores = metrics.precision_recall_f1(THREE_TARGETS, predictions)
    assert scores["f1"] == metrics.f1_averages(THREE_TARGETS, predictions)["f1_macro"]
    assert scores["precision"] == pytest.approx((1 + 1 / 3 + 0) / 3)


def test_scores_of_a_label_called_as_a_mean_have_another_name():
    predictions = one_hot(THREE_PREDICTED, 3)
    means = metrics.f1_averages(THREE_TARGETS, predictions)
    scores = metrics.per_label(THREE_TARGETS, predictions, ("micro", "macro", "f1"))
    assert not set(means) & set(scores)
    assert scores["f1_label_micro"] == pytest.approx(2 / 3)
    assert not any(map(metrics.is_of_label, means))
    assert all(map(metrics.is_of_label, scores))


def test_one_label_in_the_targets_leaves_what_needs_two_undefined():
    predictions = one_hot([0, 1, 0], 2)
    scores = scores_of(SINGLE_LABEL, np.zeros(3, int), predictions)
    assert undefined(scores) == {"auc", "average_precision", "mcc"}


def test_label_missing_in_the_targets_leaves_one_vs_rest_undefined():
    scores = scores_of(SINGLE_LABEL, np.array([0, 1, 1]), one_hot([0, 2, 1], 3))
    assert undefined(scores) == {"auc", "average_precision"}


def test_constant_predicted_label_has_mcc_zero():
    assert metrics.mcc(TARGETS, one_hot([1] * 8, 2)) == {"mcc": 0.0}


def test_names_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="2 names for 3 labels"):
        metrics.per_label(THREE_TARGETS, one_hot(THREE_PREDICTED, 3), ("a", "b"))


@pytest.mark.parametrize("num_examples", [0, 3])
def test_no_example_and_broken_predictions_are_undefined(num_examples):
    broken = np.full((num_examples, 2), np.nan, np.float32)
    ids = np.arange(num_examples) % 2
    scores = scores_of(SINGLE_LABEL, ids, broken)
    scores.update(metrics.per_label(ids, broken, "ab"))
    assert undefined(scores) == set(scores)
