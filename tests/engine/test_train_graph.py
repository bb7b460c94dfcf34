"""Frozen parts, and the learning rate of each layer."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common.errors import InputError
from bert_my.engine import train_graph
from bert_my.model import encoders
from tests import helpers
from tests.engine import test_towers
from tests.engine.step_runs import StepRun, is_weight, weights_after

ENCODER = encoders.of(modeling.BertConfig(29, num_hidden_layers=12))
PARTS = {
    "e": "bert/embeddings/LayerNorm/gamma",
    "0": "bert/encoder/layer_0/output/dense/bias",
    "1": "bert/encoder/layer_1/output/dense/bias",
    "11": "bert/encoder/layer_11/output/dense/bias",
    "p": "bert/pooler/dense/kernel",
    "h": "output_bias",
}


@pytest.fixture(scope="module")
def plain(model_dir):
    """Values of all variables before and after each of two steps without options."""
    run = StepRun(model_dir)
    states = [run.values()]
    for _ in range(2):
        run.step()
        states.append(run.values())
    return states


def make_variables():
    return [tf.get_variable(name, [1]) for name in PARTS.values()]


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        (None, "e 0 1 11 p h"),
        ("", "e 0 1 11 p h"),
        ("embeddings", "0 1 11 p h"),
        ("1", "e 0 11 p h"),
        ("0-10", "e 11 p h"),
        ("embeddings, 0-5", "11 p h"),
        ("pooler,11", "e 0 1 h"),
        ("bert", "h"),
    ],
)
def test_freeze_leaves_the_other_parts(spec, left):
    trained = train_graph.freeze(ENCODER, make_variables(), spec)
    assert [v.op.name for v in trained] == [PARTS[part] for part in left.split()]


@pytest.mark.parametrize(
    "part", ["encoder", "12", "3-12", "5-3", "-1", "1-", "layer_1", "", "Embeddings"]
)
def test_a_part_that_does_not_exist_is_named(part):
    with pytest.raises(InputError, match=f"--freeze=pooler,{part}.*'{part}'"):
        train_graph.freeze(ENCODER, make_variables(), f"pooler,{part}")


def test_nothing_left_to_train_is_refused():
    with pytest.raises(InputError, match="--freeze=bert"):
        train_graph.freeze(ENCODER, make_variables()[:-1], "bert")


def test_plan_says_what_trains():
    settings = helpers.train_settings("", 1, freeze="embeddings,0-5")
    trained = train_graph.freeze(ENCODER, make_variables(), settings.freeze)
    lines = test_towers.make_plan(settings, 1).describe(trained, ENCODER)
    assert lines[-1].split(maxsplit=2) == ["trained", "parts", "layer_11, pooler, head"]
    assert lines[-2].split() == ["trained", "parameters", "3"]


def test_frozen_weights_stay_and_the_others_change(model_dir, plain):
    before, *_ = plain
    after = weights_after(model_dir, 2, num_towers=2, freeze="embeddings,0")
    frozen = ("bert/embeddings/", "bert/encoder/layer_0/")
    for name in filter(is_weight, before):
        is_same = np.array_equal(before[name], after[name])
        assert is_same == name.startswith(frozen), name
    slots = {name for name in after if name.endswith(("/adam_m", "/adam_v"))}
    assert slots == {
        f"{name}/{slot}"
        for name in filter(is_weight, before)
        if not name.startswith(frozen)
        for slot in ("adam_m", "adam_v")
    }


def expected_factors(name):
    """0.5 from layer to layer, and 7 for the head, of a model with two layers."""
    if not name.startswith("bert/"):
        return 7.0
    return {"embeddings": 0.125, "layer_0": 0.25, "layer_1": 0.5, "pooler": 1.0}[
        name.replace("encoder/", "").split("/")[1]
    ]


def test_each_update_is_its_factor_times_the_plain_one(model_dir, plain):
    """Of the first step, in which both runs have the same gradients."""
    before, plain_after, _ = plain
    after = weights_after(model_dir, layer_lr_decay=0.5, head_learning_rate=0.07)
    for name in filter(is_weight, before):
        expected = expected_factors(name) * (plain_after[name] - before[name])
        # Weights of up to 1.6 have rounding errors of 1e-7.
        np.testing.assert_allclose(
            after[name] - before[name], expected, atol=5e-7, err_msg=name
        )
        # Softmax does not see the bias of the keys: its gradient is 0.
        assert np.abs(expected).max() > 1e-3 or name.endswith("key/bias"), name


@pytest.mark.once
def test_weight_decay_has_the_factor_too(model_dir):
    """Positions after the text have no gradient: only the decay changes them."""
    name = "bert/embeddings/position_embeddings"
    rows = slice(test_towers.SEQ_LENGTH, None)
    run = StepRun(model_dir, weight_decay=0.5, layer_lr_decay=0.5)
    before = run.values()[name][rows]
    run.step()
    # The rate is 0.01; see `expected_factors`.
    expected = before * (1 - 0.125 * 0.01 * 0.5)
    np.testing.assert_allclose(run.values()[name][rows], expected, rtol=1e-6)


@pytest.mark.once
def test_factors_of_one_change_nothing(model_dir, plain):
    *_, expected = plain
    actual = weights_after(model_dir, 2, layer_lr_decay=1.0, head_learning_rate=1e-2)
    helpers.assert_all_close(actual, expected, atol=0)
