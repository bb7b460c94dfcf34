"""Heads: shapes, gradients, losses, and rows that do not see one another or padding."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.tasks import heads
from tests import helpers

NUM_LABELS = 3
IDS = np.array([[2, 6, 9, 3, 0, 0, 0], [2, 7, 3, 0, 0, 0, 0], [2, 5, 6, 7, 8, 9, 3]])


def features(length=7, weights=(1.0, 1.0, 1.0)):
    ids = tf.constant(IDS[:, :length], tf.int32)
    return {
        "input_ids": ids,
        "input_mask": tf.cast(ids > 0, tf.int32),
        "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant([2, 0, 1]),
        "is_real_example": tf.constant(weights),
    }


def build(head, objective, inputs, is_training=False):
    config = modeling.BertConfig(30, **helpers.CONFIG)
    encoder = modeling.BertModel(
        config,
        is_training,
        inputs["input_ids"],
        inputs["input_mask"],
        inputs["segment_ids"],
        scope="bert",
    )
    representation = heads.REPRESENTATIONS[head](encoder, inputs, is_training)
    return heads.OBJECTIVES[objective](NUM_LABELS, dropout_prob=0.1).build(
        encoder, representation, inputs, is_training
    )


def run(fetches):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches)


@pytest.mark.parametrize("objective", sorted(heads.OBJECTIVES))
@pytest.mark.parametrize("head", sorted(heads.REPRESENTATIONS))
def test_padding_never_changes_a_rows_logits(head, objective):
    tf.set_random_seed(1)
    long = {
        **features(),
        "input_ids": tf.pad(features()["input_ids"], [[0, 0], [0, 5]]),
    }
    for name in ("input_mask", "segment_ids"):
        long[name] = tf.pad(long[name], [[0, 0], [0, 5]])
    _, short_outputs = build(head, objective, features())
    with tf.variable_scope("", reuse=True):
        _, long_outputs = build(head, objective, long)
    a, b = run([short_outputs["logits"], long_outputs["logits"]])
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("objective", sorted(heads.OBJECTIVES))
@pytest.mark.parametrize("head", sorted(heads.REPRESENTATIONS))
def test_every_variable_gets_a_gradient(head, objective):
    losses, _ = build(head, objective, features(), is_training=True)
    total = tf.add_n([loss for loss, _ in losses.values()])
    variables = tf.trainable_variables()
    gradients = run(list(map(tf.convert_to_tensor, tf.gradients(total, variables))))
    for variable, gradient in zip(variables, gradients):
        # The softmax of the attention takes no notice of the key's bias.
        is_zero = "key/bias" in variable.name
        assert (np.abs(gradient).max() > 1e-6) != is_zero, variable.name


def test_softmax_golden_values():
    rng = np.random.RandomState(0)
    representation = rng.randn(3, 5).astype(np.float32)
    objective = heads.Softmax(NUM_LABELS, dropout_prob=0.1)
    losses, predictions = objective.build(
        None, tf.constant(representation), features(weights=(1.0, 0.5, 0.0)), False
    )
    variables = {v.op.name: v for v in tf.global_variables()}
    w, (weighted_sum, weight), outputs = run([variables, losses["loss"], predictions])
    logits = representation @ w["output_weights"].T + w["output_bias"]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-6)
    np.testing.assert_allclose(outputs["probabilities"], probabilities, atol=1e-6)
    np.testing.assert_array_equal(outputs["label"], logits.argmax(-1))
    nll = -np.log([probabilities[0, 2], probabilities[1, 0]])
    np.testing.assert_allclose(weighted_sum, nll[0] + 0.5 * nll[1], rtol=1e-6)
    assert weight == 1.5
    assert w["output_weights"].shape == (NUM_LABELS, 5)


def test_no_labels_no_losses():
    inputs = features()
    del inputs["label_ids"], inputs["is_real_example"]
    losses, predictions = build("cls", "softmax", inputs)
    assert losses == {}
    assert set(predictions) == {"logits", "probabilities", "label"}
