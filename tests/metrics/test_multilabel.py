"""Metrics of any number of labels: values by hand and undefined cases."""

import numpy as np
import pytest

from bert_my import metrics
from tests.metrics.made_scores import check_perfect, scores_of, undefined

# Undefined scores are NaN without a warning.
pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("error::UserWarning"),
]

MULTI_TARGETS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
MULTI_PROBABILITIES = np.array(
    [[0.9, 0.2, 0.4], [0.6, 0.8, 0.1], [0.7, 0.3, 0.2], [0.1, 0.1, 0.3], [0.8, 0.6, 0]],
    np.float32,
)
MULTI_LABEL = (
    metrics.accuracy,
    metrics.multilabel_f1,
    metrics.multilabel_auc,
    metrics.multilabel_average_precision,
    metrics.multilabel_log_loss,
)


def test_multilabel_golden_values():
    # Given are 0; 0, 1; 0; none; 0, 1: 4 of the 6 are right, and 6 are wanted.
    scores = scores_of(MULTI_LABEL, MULTI_TARGETS, MULTI_PROBABILITIES)
    assert scores["eval_accuracy"] == 1 / 5
    assert scores["precision_micro"] == pytest.approx(4 / 6)
    assert scores["recall_micro"] == pytest.approx(4 / 6)
    assert scores["f1_micro"] == pytest.approx(4 / 6)
    # Label 0: 3 of 4 are right, 3 are wanted; label 1: 1 of 2, and 2; label 2: none.
    assert scores["f1_macro"] == pytest.approx((6 / 7 + 1 / 2 + 0) / 3)
    assert scores["auc"] == pytest.approx((6 / 6 + 5 / 6 + 4 / 4) / 3)
    by_label = [1, (1 / 1 + 2 / 3) / 2, 1]
    assert scores["average_precision"] == pytest.approx(np.mean(by_label))


def test_multilabel_log_loss_is_the_mean_over_all_decisions():
    right = np.array([[0.8, 0.4], [0.9, 0.5], [0.7, 0.99]])
    targets = np.array([[1, 0], [0, 0], [1, 1]])
    predictions = np.where(targets == 1, right, 1 - right)
    value = metrics.multilabel_log_loss(targets, predictions)["log_loss"]
    assert value == pytest.approx(-np.mean(np.log(right)))


def test_multilabel_recall_is_not_precision():
    scores = metrics.multilabel_f1(np.ones((3, 4), int), np.eye(3, 4))
    assert scores["precision_micro"] == 1.0
    assert scores["recall_micro"] == pytest.approx(1 / 4)
    assert scores["f1_micro"] == pytest.approx(2 / 5)


def test_multilabel_identical_lists_score_best():
    predictions = MULTI_TARGETS.astype(np.float32)
    check_perfect(scores_of(MULTI_LABEL, MULTI_TARGETS, predictions))


def test_multilabel_per_label_scores_have_the_names_of_the_labels():
    scores = metrics.per_label(MULTI_TARGETS, MULTI_PROBABILITIES, "abc")
    assert scores == pytest.approx(
        {
            **{"precision_a": 3 / 4, "recall_a": 1, "f1_a": 6 / 7},
            **{"precision_b": 1 / 2, "recall_b": 1 / 2, "f1_b": 1 / 2},
            **{"precision_c": 0, "recall_c": 0, "f1_c": 0},
        }
    )


def test_multilabel_means_leave_undefined_labels_out():
    # A label that none has, and one that all have: that one has an average precision.
    extra = np.array([[0, 1]] * len(MULTI_TARGETS))
    targets = np.concatenate([MULTI_TARGETS, extra], -1)
    predictions = np.concatenate([MULTI_PROBABILITIES, extra * 0.9], -1)
    assert metrics.multilabel_auc(targets, predictions) == pytest.approx(
        metrics.multilabel_auc(MULTI_TARGETS, MULTI_PROBABILITIES)
    )
    scores = scores_of(MULTI_LABEL, targets, predictions)
    assert scores["average_precision"] == pytest.approx((1 + 5 / 6 + 1 + 1) / 4)
    assert scores["f1_macro"] == pytest.approx((6 / 7 + 1 / 2 + 0 + 1) / 4)


def test_multilabel_without_any_label_is_undefined():
    nothing = np.zeros((3, 2), int)
    scores = scores_of(MULTI_LABEL, nothing, nothing.astype(np.float32))
    assert set(scores) - undefined(scores) == {"eval_accuracy", "log_loss"}


def test_probability_at_the_threshold_does_not_give_the_label():
    half = np.full((1, 2), metrics.THRESHOLD, np.float32)
    assert metrics.accuracy(np.zeros((1, 2)), half) == {"eval_accuracy": 1}


def test_names_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="2 names for 3 labels"):
        metrics.per_label(MULTI_TARGETS, MULTI_PROBABILITIES, ("a", "b"))


@pytest.mark.parametrize("num_examples", [0, 3])
def test_no_example_and_broken_predictions_are_undefined(num_examples):
    broken = np.full((num_examples, 2), np.nan, np.float32)
    ids = np.ones((num_examples, 2), int)
    scores = scores_of(MULTI_LABEL, ids, broken)
    scores.update(metrics.per_label(ids, broken, "ab"))
    assert undefined(scores) == set(scores)
