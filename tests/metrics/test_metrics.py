"""Metrics: values computed by hand, identical lists, skewed and undefined cases."""

import numpy as np
import pytest

from bert_my import metrics

# What is undefined is NaN without a word on the screen.
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

MULTI_TARGETS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
MULTI_PROBABILITIES = np.array(
    [[0.9, 0.2, 0.4], [0.6, 0.8, 0.1], [0.7, 0.3, 0.2], [0.1, 0.1, 0.3], [0.8, 0.6, 0]],
    np.float32,
)

SINGLE_LABEL = (
    metrics.accuracy,
    metrics.precision_recall_f1,
    metrics.f1_averages,
    metrics.auc,
    metrics.average_precision,
    metrics.log_loss,
    metrics.mcc,
)
MULTI_LABEL = (
    metrics.multilabel_accuracy,
    metrics.multilabel_f1,
    metrics.multilabel_auc,
    metrics.multilabel_average_precision,
    metrics.multilabel_log_loss,
)
REGRESSION = (metrics.correlations, metrics.errors)


def scores_of(functions, targets, predictions):
    scores = {}
    for function in functions:
        scores.update(function(targets, predictions))
    assert {type(value) for value in scores.values()} == {float}
    return scores


def one_hot(label_ids, num_labels):
    return np.eye(num_labels, dtype=np.float32)[np.asarray(label_ids)]


def check_perfect(scores):
    for name, value in scores.items():
        best = 0.0 if metrics.is_lower_better(name) else 1.0
        assert value == pytest.approx(best), name


def undefined(scores):
    return {name for name, value in scores.items() if np.isnan(value)}


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


def test_metrics_stand_in_order_with_those_of_labels_last():
    tables = [{"f1_x": 1, "global_step": 3, "loss": 2}, {"eval_loss": 2, "auc": 1}]
    assert metrics.in_order(tables, "auc") == ["auc", "eval_loss", "f1_x"]
    assert metrics.in_order(tables[:1], "auc") == ["loss", "f1_x"]


@pytest.mark.parametrize("function", [metrics.per_label, metrics.multilabel_per_label])
def test_names_that_are_too_few_are_refused(function):
    targets = MULTI_TARGETS if "multi" in function.__name__ else MULTI_TARGETS[:, 0]
    with pytest.raises(ValueError, match="2 names for 3 labels"):
        function(targets, MULTI_PROBABILITIES, ("a", "b"))


def test_one_label_in_the_targets_leaves_what_needs_two_undefined():
    predictions = one_hot([0, 1, 0], 2)
    scores = scores_of(SINGLE_LABEL, np.zeros(3, int), predictions)
    assert undefined(scores) == {"auc", "average_precision", "mcc"}


def test_label_missing_in_the_targets_leaves_one_vs_rest_undefined():
    scores = scores_of(SINGLE_LABEL, np.array([0, 1, 1]), one_hot([0, 2, 1], 3))
    assert undefined(scores) == {"auc", "average_precision"}


def test_constant_predicted_label_has_mcc_zero():
    assert metrics.mcc(TARGETS, one_hot([1] * 8, 2)) == {"mcc": 0.0}


@pytest.mark.parametrize("num_examples", [0, 3])
def test_no_example_and_broken_predictions_are_undefined(num_examples):
    broken = np.full((num_examples, 2), np.nan, np.float32)
    ids, rows = np.arange(num_examples) % 2, np.ones((num_examples, 2), int)
    scores = scores_of(SINGLE_LABEL, ids, broken)
    scores.update(metrics.per_label(ids, broken, "ab"))
    assert undefined(scores) == set(scores)
    scores = scores_of(MULTI_LABEL, rows, broken)
    scores.update(metrics.multilabel_per_label(rows, broken, "ab"))
    assert undefined(scores) == set(scores)
    scores = scores_of(REGRESSION, ids, broken[:, 0])
    scores.update(metrics.ranking(ids, broken[:, 0], ids))
    assert undefined(scores) == set(scores)


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
    scores = metrics.multilabel_per_label(MULTI_TARGETS, MULTI_PROBABILITIES, "abc")
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
    assert metrics.multilabel_accuracy(np.zeros((1, 2)), half) == {"eval_accuracy": 1}


def test_correlations_of_a_published_set():
    # Anscombe 1973, set I: r = 0.816. Spearman: 1 - 6 sum(d^2) / n (n^2 - 1), no ties.
    x = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    y = np.array(y, np.float32)
    difference = np.argsort(np.argsort(x)) - np.argsort(np.argsort(y))
    scores = metrics.correlations(y, x)
    assert scores["pearson"] == pytest.approx(0.81642, abs=5e-6)
    expected = 1 - 6 * np.sum(difference**2) / (11 * (11**2 - 1))
    assert scores["spearman"] == pytest.approx(expected)


@pytest.mark.parametrize("num_examples", [2, 7])
def test_regression_identical_lists_score_best(num_examples):
    values = np.linspace(0, 5, num_examples).astype(np.float32)
    check_perfect(scores_of(REGRESSION, values, values))


@pytest.mark.parametrize("swapped", [False, True])
def test_correlations_with_a_constant_are_undefined(swapped):
    sides = [np.array([1.0, 2, 4]), np.full(3, 0.1, np.float32)]
    scores = metrics.correlations(*(reversed(sides) if swapped else sides))
    assert undefined(scores) == {"pearson", "spearman"}


def test_errors_golden_values():
    targets = np.array([1, 2, 3, 4], np.float32)
    predictions = np.array([1, 2.5, 1, 4], np.float32)
    expected = {"mse": (0.25 + 4) / 4, "mae": (0.5 + 2) / 4}
    assert metrics.errors(targets, predictions) == pytest.approx(expected)


def test_ranking_golden_values():
    # Question 5 has its relevant ones second and third, question 2 its only one first;
    # question 9 has none and does not count. The rows of the questions lie apart.
    groups = np.array([5, 2, 5, 9, 5, 2, 9, 5])
    targets = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    scores = np.array([0.3, 0.9, 0.8, 0.7, 0.5, 0.2, 0.1, -1], np.float32)
    assert metrics.ranking(targets, scores, groups=groups) == pytest.approx(
        {"mrr": (1 / 2 + 1) / 2, "map": ((1 / 2 + 2 / 3) / 2 + 1) / 2}
    )


def test_ranking_ties_keep_the_order_of_the_rows():
    # Of four alike the third and fourth are relevant; the last row has a better score.
    targets, scores = np.array([0, 0, 1, 1, 0]), np.array([0.5, 0.5, 0.5, 0.5, 0.6])
    assert metrics.ranking(targets, scores, np.zeros(5, int)) == pytest.approx(
        {"mrr": 1 / 4, "map": (1 / 4 + 2 / 5) / 2}
    )


def test_ranking_identical_lists_score_best():
    targets, groups = np.array([0, 1, 1, 0, 1]), np.array([3, 3, 3, 1, 1])
    assert metrics.ranking(targets, targets * 1.0, groups) == {"mrr": 1.0, "map": 1.0}


def test_ranking_without_a_relevant_candidate_is_undefined():
    scores = metrics.ranking(np.zeros(3, int), np.arange(3.0), np.array([0, 0, 1]))
    assert undefined(scores) == {"mrr", "map"}


@pytest.mark.parametrize(
    ("name", "value", "best", "expected"),
    [
        ("eval_accuracy", 0.9, 0.8, True),
        ("eval_accuracy", 0.8, 0.9, False),
        ("eval_loss", 0.9, 0.8, False),
        ("eval_loss", np.float32(0.8), 0.9, True),
        ("log_loss", 0.8, 0.8, False),
        ("f1", 0.8, 0.8, False),
        ("f1", -1.0, None, True),
        ("mse", 3, float("nan"), True),
        ("f1", float("nan"), None, False),
        ("mae", float("inf"), None, False),
        ("f1", None, 0.1, False),
        ("f1", None, None, False),
    ],
)
def test_is_better(name, value, best, expected):
    assert metrics.is_better(name, value, best) is expected
