"""Plans: how many rows and steps a run has."""

import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import devices, train_plan
from bert_my.model import fused
from tests import helpers

GPU = devices.Devices(("/gpu:0",), num_cpus=1, has_gpus=True)
TASK = types.SimpleNamespace(
    bert_config=modeling.BertConfig(29, **helpers.CONFIG), max_seq_length=12
)
RECORDS = types.SimpleNamespace(
    num_examples=26, lengths=None, block_starts=np.array([0, 26])
)


def make_plan(records=RECORDS, num_towers=2, train_batch_size=3, **settings):
    return train_plan.make_plan(
        TASK,
        records,
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
    plan = train_plan.make_plan(TASK, RECORDS, settings)
    # 65 rows in batches of 2 x 3.
    assert (plan.num_rows, plan.num_train_steps, plan.num_warmup_steps) == (65, 11, 2)
    text = "\n".join(plan.describe([tf.get_variable("bert/a", [2, 617])]))
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
    lines = train_plan.make_plan(TASK, RECORDS, settings).describe([])
    assert ["epochs", "4.615"] in [line.split() for line in lines]


def with_lengths(lengths, seq_length):
    return types.SimpleNamespace(
        num_examples=len(lengths), lengths=np.array(lengths), seq_length=seq_length
    )


def told_of_buckets(plan):
    lines = plan.describe([])
    (line,) = [line for line in lines if "length buckets" in line]
    return line.split("length buckets")[1].strip()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"use_xla": False}, "no"),
        ({}, "element-wise operations, update"),
        ({"optimizer": "lamb"}, "element-wise operations"),
        ({"gradient_accumulation_steps": 2}, "update"),
        ({"gradient_accumulation_steps": 2, "optimizer": "lamb"}, "nothing"),
        ({"devices": GPU}, "clusters chosen by TensorFlow"),
    ],
)
def test_what_is_compiled(settings, expected, monkeypatch):
    monkeypatch.setattr(fused, "supports_jit", lambda: True)
    settings = helpers.train_settings("nowhere", 1, **{"use_xla": True, **settings})
    lines = train_plan.make_plan(TASK, RECORDS, settings).describe([])
    assert [x for x in lines if "XLA" in x] == [f"  {'compiled by XLA':<21} {expected}"]


def test_length_buckets_of_a_plan():
    # Twelve rows of 9 in two batches and three of 12, and then what is left.
    plan = make_plan(with_lengths([9] * 12 + [12] * 3, 13))
    assert plan.padded_lengths == (9, 12)
    assert 0 < plan.share_of_padding < 0.15
    told = f"2 lengths from 9 to 12, {100 * plan.share_of_padding:.1f} % padding"
    assert told_of_buckets(plan) == told
    plan = make_plan(with_lengths([7] * 12, 13))
    assert told_of_buckets(plan) == "one length of 7, 0.0 % padding"


def test_length_buckets_on_a_gpu_are_multiples_of_8():
    devices = helpers.cpu_devices(2)._replace(has_gpus=True)
    plan = make_plan(with_lengths([3, 9, 12, 17], 20), devices=devices)
    assert plan.padded_lengths == (8, 16, 20)


@pytest.mark.parametrize(
    ("records", "setting"),
    [(RECORDS, "auto"), (RECORDS, "off"), (with_lengths([3, 9], 13), "off")],
)
def test_a_plan_without_length_buckets(records, setting):
    plan = make_plan(records, length_buckets=setting)
    assert plan.padded_lengths is None
    assert told_of_buckets(plan) == "off"


@pytest.mark.parametrize(
    ("settings", "num_parts", "filled_size"),
    [
        ({"train_batch_size": 3}, 1, 6),
        # A step has room for more rows than the run of 52 has.
        ({"train_batch_size": 100000}, 1, 52),
        ({"train_batch_size": 15, "gradient_accumulation_steps": 50}, 2, 52),
        ({"train_batch_size": 5, "gradient_accumulation_steps": 1000}, 6, 60),
        ({"train_batch_size": 50, "num_train_steps": 1}, 1, 100),
    ],
)
def test_a_step_larger_than_the_run_has_no_more_padding_than_it_needs(
    settings, num_parts, filled_size
):
    plan = make_plan(num_train_epochs=2, **settings)
    assert (plan.num_parts, plan.filled_size) == (num_parts, filled_size)


def test_a_step_larger_than_the_train_file_is_a_warning(caplog):
    make_plan(train_batch_size=13)
    assert not caplog.messages
    make_plan(train_batch_size=14, num_train_epochs=2)
    make_plan(train_batch_size=100000, num_train_epochs=2)
    first, second = caplog.messages
    assert "28 rows" in first and "has 26, so a step reads them more" in first
    assert "--train_batch_size=100000" in second
    assert "all 52 rows of the run are one step" in second
