"""Arithmetic of the engine's options: steps, warm-up, evaluations during training."""

import pytest

from bert_my.common.errors import InputError
from bert_my.engine import dev_evaluation, devices, options, train_plan
from bert_my.engine.options import DevOptions, ScheduleOptions
from tests import helpers


@pytest.fixture
def task(tiny_model):
    return helpers.make_task(tiny_model)


def test_precisions_are_those_of_the_devices():
    assert set(options.PRECISIONS) == set(devices.PRECISIONS)


@pytest.mark.parametrize(
    ("num_examples", "num_epochs", "rows_and_steps"),
    [
        (11, 1, (11, 3)),
        (11, 0.5, (6, 2)),
        (11, 1.2, (14, 4)),
        (11, 1e-3, (1, 1)),
        # 30 * 0.1 is 3.0000000000000004, and 10 * 0.7 is 7.000000000000001.
        (30, 0.1, (3, 1)),
        (10, 0.7, (7, 2)),
    ],
)
def test_rows_and_steps_of_epochs(num_examples, num_epochs, rows_and_steps):
    schedule = ScheduleOptions(num_train_epochs=num_epochs)
    assert schedule.rows_and_steps(num_examples, 4) == rows_and_steps


@pytest.mark.parametrize(
    ("evaluate_every", "steps"),
    [
        # 11 rows in steps of 4: epochs end within steps 3, 6, 9 and 11.
        (None, [3, 6, 9, 10]),
        ("epoch", [3, 6, 9, 10]),
        ("1", list(range(1, 11))),
        ("4", [4, 8, 10]),
        ("5", [5, 10]),
        ("99", [10]),
    ],
)
def test_steps_after_which_an_evaluation_is_due(evaluate_every, steps):
    settings = helpers.train_settings(
        "", 2, train_batch_size=2, evaluate_every=evaluate_every
    )
    plan = train_plan.Plan(settings, 11, 40, 10, 0, None, 0, 0)
    due = [s for s in range(1, 11) if dev_evaluation.is_due(s, plan)]
    assert due == steps


def test_every_step_ends_an_epoch_that_is_smaller_than_a_step():
    settings = helpers.train_settings("", 2, train_batch_size=2, evaluate_every="epoch")
    plan = train_plan.Plan(settings, 3, 40, 10, 0, None, 0, 0)
    assert all(dev_evaluation.is_due(s, plan) for s in range(1, 11))


@pytest.mark.parametrize(
    ("keep_best", "metric"),
    [(None, "auc"), ("", "auc"), ("auto", "auc"), ("f1", "f1"), ("loss", "loss")],
)
def test_metric_that_is_watched(task, keep_best, metric):
    options = DevOptions(keep_best=keep_best)
    assert options.metric_of(task) == metric


def test_unknown_metric_is_refused_with_those_there_are(task):
    options = DevOptions(keep_best="recal")
    with pytest.raises(InputError, match=r"^--keep_best=recal: .*auc, .*recall"):
        options.metric_of(task)
