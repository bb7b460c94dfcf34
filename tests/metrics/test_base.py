"""Declared names and directions, and the lists of metrics of a task."""

import numpy as np
import pytest

from bert_my import metrics
from bert_my.tasks.classification import ClassificationTask, MultiLabelTask

ROWS, LABELS = np.array([0, 1, 1]), ("no", "yes")
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
MULTI_HOT = np.array([[1, 0], [0, 1], [1, 1]])
TAGS = [["B-x", "I-x", "O"]]
CASES = {
    "classification": (
        ClassificationTask.metrics,
        (ROWS, PROBABILITIES, LABELS),
    ),
    "multilabel": (
        MultiLabelTask.metrics,
        (MULTI_HOT, PROBABILITIES, LABELS),
    ),
    "regression": ((metrics.correlations, metrics.errors), (ROWS, PROBABILITIES[:, 0])),
    "tags": ((metrics.entities,), (TAGS, TAGS, ("B-x", "I-x", "O", "B-y"))),
    "tags without entities": ((metrics.entities,), ([["N"]], [["V"]], ("N", "V"))),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_names_are_known_before_and_in_order(case):
    functions, (targets, predictions, *labels) = CASES[case]
    scores = metrics.score(functions, targets, predictions, *labels)
    assert tuple(scores) == metrics.names_of(functions, *labels)


def test_score_gives_all_metrics():
    functions = (metrics.accuracy, metrics.per_label)
    scores = metrics.score(functions, ROWS, PROBABILITIES, LABELS)
    assert scores == {
        **metrics.accuracy(ROWS, PROBABILITIES),
        **metrics.per_label(ROWS, PROBABILITIES, LABELS),
    }


def test_metric_keeps_its_name_and_docstring():
    assert metrics.accuracy.__name__ == "accuracy"
    assert "most probable" in metrics.accuracy.__doc__


def test_functions_that_declare_no_names_are_refused():
    with pytest.raises(TypeError, match="undeclared"):

        def undeclared(targets, predictions):
            return {}

        metrics.names_of([undeclared])


def test_direction_is_the_declared_one():
    metrics.metric("test_error_rate", lower_is_better=True)
    assert metrics.is_lower_better("test_error_rate")
    with pytest.raises(ValueError, match="test_error_rate"):
        metrics.metric("test_error_rate")


@pytest.mark.parametrize(
    "name,expected",
    [
        ("mse", True),
        ("mae", True),
        ("log_loss", True),
        ("eval_loss", True),
        ("masked_lm_loss", True),
        ("loss", True),
        ("eval_accuracy", False),
        ("f1_bad", False),
        ("masked_lm_accuracy", False),
    ],
)
def test_is_lower_better(name, expected):
    assert metrics.is_lower_better(name) is expected


@pytest.mark.parametrize(
    "name,values,best",
    [("f1", [0.1, None, 0.3, float("nan")], 0.3), ("mse", [float("inf"), 2, 1], 1)],
)
def test_best_of_finite_values(name, values, best):
    assert metrics.best_of(name, values) == best
    assert np.isnan(metrics.best_of(name, [None, float("nan")]))


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


def test_metrics_stand_in_order_with_those_of_labels_last():
    tables = [{"f1_x": 1, "global_step": 3, "loss": 2}, {"eval_loss": 2, "auc": 1}]
    assert metrics.in_order(tables, "auc") == ["auc", "eval_loss", "f1_x"]
    assert metrics.in_order(tables[:1], "auc") == ["loss", "f1_x"]


def test_metrics_of_several_sets():
    names = ["eval_loss", "auc", "f1_x", "eval_loss@b", "auc@b", "f1_x@b", "mse@b"]
    ordered = metrics.in_order([dict.fromkeys(names, 0.5)], "auc")
    assert ordered[:2] == ["auc", "auc@b"]
    assert ordered[-2:] == ["f1_x", "f1_x@b"]
    assert [each for each in names if metrics.is_loss(each)] == names[::3][:2]
    assert metrics.is_lower_better("mse@b")
    assert not metrics.is_lower_better("auc@b")
