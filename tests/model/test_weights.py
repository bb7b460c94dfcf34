"""Hoisted weights: cast once, before a pass over a set or before a loop."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import devices, forward
from bert_my.model.ops import HoistedWeights, InferenceOps
from bert_my.tasks import base
from tests import helpers


def test_float32_weights_are_used_as_they_are():
    weight = tf.get_variable("w", [3])
    copies = HoistedWeights("/cpu:0")
    assert copies.read(weight, tf.float32) is weight
    assert not copies.refresh


def test_a_copy_is_that_of_the_last_refresh():
    weight = tf.get_variable("w", initializer=[1.0, 2.0, 1.001])
    copies = HoistedWeights("/cpu:0")
    first, second = (tf.cast(copies.read(weight, tf.float16), tf.float32) for _ in "ab")
    assert len(copies.refresh) == 1
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(copies.refresh)
        np.testing.assert_array_equal(
            session.run(first), np.float32(np.float16([1.0, 2.0, 1.001]))
        )
        weight.load([5.0, 6.0, 7.0], session)
        assert session.run(first)[0] == 1.0
        session.run(copies.refresh)
        np.testing.assert_array_equal(session.run(first), [5.0, 6.0, 7.0])
        np.testing.assert_array_equal(session.run(second), [5.0, 6.0, 7.0])


def test_copies_are_neither_saved_nor_trained():
    weight = tf.get_variable("w", [3])
    HoistedWeights("/cpu:0").read(weight, tf.float16)
    assert tf.global_variables() == tf.trainable_variables() == [weight]
    assert not tf.local_variables()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_each_pass_uses_the_weights_as_they_are(
    tiny_model, titles, tmp_path, precision
):
    """On two towers, each with copies on its own device."""
    dtype, cpus = devices.PRECISIONS[precision], helpers.cpu_devices(2)
    if not devices.supports(dtype, cpus):
        pytest.skip(f"this TensorFlow cannot compute {precision} on a CPU")
    task = helpers.make_task(tiny_model, titles)
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")
    settings = forward.EvalSettings(None, cpus, 3, precision)
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        forward_pass = forward.build_pass(task, records, settings, ["logits"])
        copies = [
            op
            for op in tf.get_default_graph().get_operations()
            if op.type == "VarHandleOp" and "/copy" in op.name
        ]
        with tf.Session(config=cpus.session_config()) as session:
            session.run(tf.global_variables_initializer())
            first, again = (logits(forward_pass, session) for _ in "ab")
            name = "bert/encoder/layer_0/output/dense/kernel"
            (kernel,) = [v for v in tf.trainable_variables() if v.op.name == name]
            kernel.load(-session.run(kernel), session)
            other = logits(forward_pass, session)
    assert {op.device for op in copies} == {"/device:CPU:0", "/device:CPU:1"}
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def logits(forward_pass, session):
    return np.concatenate(
        [batch.predictions["logits"] for batch in forward_pass.batches(session.run)]
    )


def test_copies_of_averages_are_of_the_averages():
    """A custom getter that returns the average of a weight has it cast."""
    with tf.variable_scope("averages"):
        average = tf.get_variable("w", initializer=[3.0, 4.0])
    weight = tf.get_variable("w", initializer=[1.0, 2.0])
    copies = HoistedWeights("/cpu:0")
    with tf.variable_scope("", reuse=True, custom_getter=lambda *args, **kw: average):
        found = tf.cast(copies.read(tf.get_variable("w"), tf.float16), tf.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(copies.refresh)
        np.testing.assert_array_equal(session.run(found), [3.0, 4.0])
        average.load([5.0, 6.0], session)
        session.run(copies.refresh)
        np.testing.assert_array_equal(session.run(found), [5.0, 6.0])
    assert weight is not average


def decode(num_steps, in_loop, ops):
    """Appends the most probable word to a row of ids, as often as `num_steps`."""
    config = modeling.BertConfig(29, **{**helpers.CONFIG, "num_hidden_layers": 1})

    def append_word(ids):
        with tf.variable_scope("", reuse=tf.AUTO_REUSE):
            model = modeling.BertModel(config, False, ids, scope="bert", ops=ops)
        last = model.get_sequence_output()[:, -1]
        words = tf.matmul(last, model.get_embedding_table(), transpose_b=True)
        word = tf.argmax(words, axis=-1, output_type=tf.int32)
        return tf.concat([ids, word[:, None]], axis=1)

    ids = tf.constant([[2, 5, 7], [2, 11, 3]])
    if not in_loop:
        for _ in range(num_steps):
            ids = append_word(ids)
        return ids
    _, ids = tf.while_loop(
        lambda step, _: step < num_steps,
        lambda step, ids: (step + 1, append_word(ids)),
        (tf.constant(0), ids),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([2, None])),
    )
    return ids


@pytest.mark.parametrize(
    ("copy_device", "precision"),
    [
        (None, "fp32"),
        (None, "fp16"),
        ("/cpu:0", "fp16"),
        pytest.param("/cpu:0", "fp32", marks=pytest.mark.slow),
        pytest.param(None, "bf16", marks=pytest.mark.slow),
        pytest.param("/cpu:0", "bf16", marks=pytest.mark.slow),
    ],
)
def test_a_decoding_loop(precision, copy_device):
    """The encoder is built in the body: its weights are cast before the loop."""
    dtype, cpu = devices.PRECISIONS[precision], helpers.cpu_devices(1)
    if not devices.supports(dtype, cpu):
        pytest.skip(f"this TensorFlow cannot compute {precision} on a CPU")
    tf.set_random_seed(1)
    weights = HoistedWeights(copy_device)
    ops = InferenceOps(dtype, weights, devices.supports_fused_layer_norm(dtype, cpu))
    looped, unrolled = (decode(3, in_loop, ops) for in_loop in (True, False))
    casts = [
        op
        for op in tf.get_default_graph().get_operations()
        if op.type == "Cast" and op.inputs[0].shape.as_list() == [32, 32]
    ]
    assert bool(casts) == (dtype != tf.float32)
    assert all(op._get_control_flow_context() is None for op in casts)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(weights.refresh)
        found, expected = session.run([looped, unrolled])
    assert found.shape == (2, 6)
    np.testing.assert_array_equal(found, expected)
