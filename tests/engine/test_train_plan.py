"""Plans: how many rows and steps a run has."""

import pytest
import tensorflow.compat.v1 as tf

from bert_my.engine import train_plan
from tests import helpers


def make_plan(num_examples=26, num_towers=2, train_batch_size=3, **settings):
    return train_plan.make_plan(
        num_examples,
        helpers.train_settings(
            "nowhere", num_towers, train_batch_size=train_batch_size, **settings
        ),
    )


def test_plan():
    settings = helpers.train_settings(
        "nowhere",
        2,
        train_batch_size=3,
        num_train_epochs=2.5,
        warmup_proportion=0.2,
        gradient_accumulation_steps=1,
    )
    plan = train_plan.make_plan(26, settings)
    # 65 rows in batches of 2 x 3.
    assert (plan.num_rows, plan.num_train_steps, plan.num_warmup_steps) == (65, 11, 2)
    text = "\n".join(plan.describe(settings, [tf.get_variable("bert/a", [2, 617])]))
    for words in ("/cpu:0, /cpu:1", "towers 2", "per tower 3", "global batch size 6"):
        assert words in " ".join(text.split())
    assert "1,234" in text


@pytest.mark.parametrize(
    ("settings", "num_rows", "num_train_steps", "num_warmup_steps"),
    [
        # Fewer and more rows than the epochs have, and more than one epoch has.
        ({"num_train_steps": 2, "warmup_proportion": 0.5}, 12, 2, 1),
        ({"num_train_steps": 100}, 600, 100, 10),
        ({"num_train_steps": 100, "num_warmup_steps": 0}, 600, 100, 0),
        ({"num_warmup_steps": 7}, 78, 13, 7),
        # 12 rows of each tower and step.
        ({"gradient_accumulation_steps": 4}, 78, 4, 0),
        ({"gradient_accumulation_steps": 4, "num_train_steps": 5}, 120, 5, 0),
    ],
)
def test_steps_come_before_epochs(
    settings, num_rows, num_train_steps, num_warmup_steps
):
    plan = make_plan(**settings)
    assert plan.num_rows == num_rows
    assert plan.num_train_steps == num_train_steps
    assert plan.num_warmup_steps == num_warmup_steps


def test_epochs_of_a_run_of_steps_are_told():
    settings = helpers.train_settings(
        "nowhere", 2, train_batch_size=3, num_train_steps=20
    )
    lines = train_plan.make_plan(26, settings).describe(settings, [])
    assert ["epochs", "4.615"] in [line.split() for line in lines]
