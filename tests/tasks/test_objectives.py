"""Objectives: losses and predictions against numpy formulas, options, bad settings."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.tasks import objectives
from bert_my.tasks.loss_options import LossSettings
from tests import reference

NUM_LABELS = 3
RNG = np.random.RandomState(6)
LOGITS = RNG.randn(5, NUM_LABELS).astype(np.float32) * 2
WEIGHTS = np.array([1.0, 0.5, 1.0, 0.0, 1.0], np.float32)
LABELS = np.array([2, 0, 1, 1, 0])
MULTI_HOT = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]])
TOKEN_LOGITS = RNG.randn(5, 4, NUM_LABELS).astype(np.float32)
# One row without anything to score, and context that is a token but not scored.
TOKEN_LABELS = np.array(
    [[0, 3, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 2, 3, 1]]
)
TOKEN_MASK = np.array(
    [[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
)


def run(objective, logits, labels=None, is_training=False):
    """Returns (losses, predictions) of an objective whose logits are those given."""
    features = {"token_mask": tf.constant(TOKEN_MASK, tf.int32)}
    if labels is not None:
        features["label_ids"] = tf.constant(labels, objective.label_spec.dtype)
        features["is_real_example"] = tf.constant(WEIGHTS)
    outputs = objective.build(tf.constant(logits), features, is_training)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            if variable.op.name == "output_weights":
                variable.load(np.eye(*variable.shape.as_list()), session)
            elif variable.op.name == "crf/transitions":
                variable.load(transition_scores(), session)
        return session.run(outputs)


def transition_scores():
    return np.arange(NUM_LABELS**2).reshape(NUM_LABELS, NUM_LABELS) / 4


def nll(logits, labels):
    probabilities = reference.softmax(logits.astype(np.float64))
    return -np.log(np.take_along_axis(probabilities, labels[..., None], -1)[..., 0])


def binary_nll(logits, labels):
    return np.log1p(np.exp(np.where(labels, -1.0, 1.0) * logits))


def assert_loss(outputs, weighted_sum, weight):
    np.testing.assert_allclose(outputs[0]["loss"], [weighted_sum, weight], rtol=1e-5)


def softmax_loss(**options):
    return run(
        objectives.Softmax(NUM_LABELS, 0.0, LossSettings(**options)),
        LOGITS,
        LABELS,
        is_training=True,
    )


def test_softmax_golden_values():
    outputs = run(objectives.Softmax(NUM_LABELS, 0.1), LOGITS, LABELS)
    assert_loss(outputs, np.sum(nll(LOGITS, LABELS) * WEIGHTS), 3.5)
    np.testing.assert_allclose(outputs[1]["logits"], LOGITS)
    np.testing.assert_allclose(
        outputs[1]["probabilities"], reference.softmax(LOGITS), rtol=1e-5
    )
    np.testing.assert_array_equal(outputs[1]["label"], LOGITS.argmax(-1))


def test_sigmoid_golden_values():
    outputs = run(objectives.Sigmoid(NUM_LABELS, 0.1), LOGITS, MULTI_HOT)
    assert_loss(outputs, np.sum(binary_nll(LOGITS, MULTI_HOT).mean(-1) * WEIGHTS), 3.5)
    probabilities = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_allclose(outputs[1]["probabilities"], probabilities, rtol=1e-5)
    np.testing.assert_array_equal(outputs[1]["label"], probabilities > 0.5)
    assert 0 < outputs[1]["label"].sum() < LOGITS.size


def test_mse_golden_values():
    numbers = np.array([0.5, -1.0, 2.5, 7.0, 0.0], np.float32)
    outputs = run(objectives.Mse(1, 0.1), LOGITS[:, :1], numbers)
    errors = (LOGITS[:, 0] - numbers) ** 2
    assert_loss(outputs, np.sum(errors * WEIGHTS), 3.5)
    np.testing.assert_allclose(outputs[1]["logits"], LOGITS[:, :1])
    np.testing.assert_allclose(outputs[1]["prediction"], LOGITS[:, 0])


def test_token_golden_values():
    outputs = run(objectives.Token(NUM_LABELS, 0.1), TOKEN_LOGITS, TOKEN_LABELS)
    losses = nll(TOKEN_LOGITS, np.maximum(TOKEN_LABELS - 1, 0)) * (TOKEN_LABELS > 0)
    # 2, 1, 0, 2 and 3 scored tokens, with the weights of their rows.
    assert_loss(outputs, losses.sum(-1) @ WEIGHTS, 2 + 0.5 + 3)
    np.testing.assert_allclose(outputs[1]["logits"], TOKEN_LOGITS)
    np.testing.assert_allclose(
        outputs[1]["probabilities"], reference.softmax(TOKEN_LOGITS), rtol=1e-5
    )
    expected = TOKEN_LOGITS.argmax(-1) * TOKEN_MASK
    np.testing.assert_array_equal(outputs[1]["label"], expected)


def test_crf_golden_values():
    outputs = run(objectives.Crf(NUM_LABELS, 0.1), TOKEN_LOGITS, TOKEN_LABELS)
    scores = transition_scores()
    expected = 0.0
    for logits, labels, weight in zip(TOKEN_LOGITS, TOKEN_LABELS, WEIGHTS):
        logits, tags = logits[labels > 0].astype(np.float64), labels[labels > 0] - 1
        if len(tags):
            alpha, score = logits[0], logits[0, tags[0]]
            for place in range(1, len(tags)):
                alpha = np.log(np.exp(alpha) @ np.exp(scores)) + logits[place]
                score += (
                    scores[tags[place - 1], tags[place]] + logits[place, tags[place]]
                )
            expected += weight * (np.log(np.exp(alpha).sum()) - score)
    assert_loss(outputs, expected, 2 + 0.5 + 3)
    np.testing.assert_allclose(outputs[1]["logits"], TOKEN_LOGITS)
    assert set(outputs[1]) == {"logits", "label"}
    # The first row's chain are its positions 1 and 2.
    pairs = TOKEN_LOGITS[0, 1][:, None] + scores + TOKEN_LOGITS[0, 2]
    best = np.unravel_index(pairs.argmax(), pairs.shape)
    np.testing.assert_array_equal(outputs[1]["label"][0], [0, *best, 0])


def test_class_weights():
    weights = np.array([0.5, 2.0, 3.0])[LABELS] * WEIGHTS
    outputs = softmax_loss(class_weights=(0.5, 2.0, 3.0))
    assert_loss(outputs, np.sum(nll(LOGITS, LABELS) * weights), weights.sum())


def test_class_weights_of_tokens():
    settings = LossSettings(class_weights=(0.5, 2.0, 3.0))
    objective = objectives.Token(NUM_LABELS, 0.0, settings)
    outputs = run(objective, TOKEN_LOGITS, TOKEN_LABELS, is_training=True)
    weights = np.array([0.0, 0.5, 2.0, 3.0])[TOKEN_LABELS] * WEIGHTS[:, None]
    losses = nll(TOKEN_LOGITS, np.maximum(TOKEN_LABELS - 1, 0))
    assert_loss(outputs, np.sum(losses * weights), weights.sum())


def test_label_smoothing_of_softmax():
    targets = np.eye(NUM_LABELS)[LABELS] * 0.7 + 0.3 / NUM_LABELS
    losses = -np.sum(targets * np.log(reference.softmax(LOGITS)), -1)
    assert_loss(softmax_loss(label_smoothing=0.3), losses @ WEIGHTS, 3.5)


def test_focal_loss_of_softmax():
    losses = nll(LOGITS, LABELS)
    losses *= (1 - np.exp(-losses)) ** 1.5
    assert_loss(softmax_loss(focal_gamma=1.5), losses @ WEIGHTS, 3.5)


def test_all_options_of_softmax_together():
    targets = np.eye(NUM_LABELS)[LABELS] * 0.9 + 0.1 / NUM_LABELS
    losses = -np.sum(targets * np.log(reference.softmax(LOGITS)), -1)
    losses *= (1 - np.exp(-nll(LOGITS, LABELS))) ** 2
    weights = np.array([1.0, 4.0, 0.25])[LABELS] * WEIGHTS
    outputs = softmax_loss(
        class_weights=(1.0, 4.0, 0.25), focal_gamma=2.0, label_smoothing=0.1
    )
    assert_loss(outputs, losses @ weights, weights.sum())


@pytest.mark.parametrize("pos_weight", [(3.0,), (0.5, 2.0, 4.0)])
def test_pos_weight(pos_weight):
    settings = LossSettings(pos_weight=pos_weight)
    objective = objectives.Sigmoid(NUM_LABELS, 0.0, settings)
    outputs = run(objective, LOGITS, MULTI_HOT, is_training=True)
    losses = binary_nll(LOGITS, MULTI_HOT) * np.where(MULTI_HOT, pos_weight, 1.0)
    assert_loss(outputs, losses.mean(-1) @ WEIGHTS, 3.5)


def test_focal_loss_and_label_smoothing_of_sigmoid():
    settings = LossSettings(focal_gamma=1.5, label_smoothing=0.2)
    objective = objectives.Sigmoid(NUM_LABELS, 0.0, settings)
    outputs = run(objective, LOGITS, MULTI_HOT, is_training=True)
    positive, negative = (binary_nll(LOGITS, side) for side in (1, 0))
    targets = MULTI_HOT * 0.8 + 0.1
    losses = targets * positive + (1 - targets) * negative
    losses *= (1 - np.exp(-np.where(MULTI_HOT, positive, negative))) ** 1.5
    assert_loss(outputs, losses.mean(-1) @ WEIGHTS, 3.5)


ARRAYS = {
    "softmax": (LOGITS, LABELS),
    "sigmoid": (LOGITS, MULTI_HOT),
    "token": (TOKEN_LOGITS, TOKEN_LABELS),
}
OPTIONS = {
    "class_weights": (0.5, 2.0, 3.0),
    "pos_weight": (2.0,),
    "focal_gamma": 2.0,
    "label_smoothing": 0.1,
}


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, objective in objectives.OBJECTIVES.items()
        for option in objective.loss_options
    ],
)
def test_loss_options_act_in_training_only(name, option):
    def weighted_sum_and_weight(settings, is_training):
        tf.reset_default_graph()
        objective = objectives.OBJECTIVES[name](NUM_LABELS, 0.0, settings)
        losses, _ = run(objective, *ARRAYS[name], is_training=is_training)
        return losses["loss"]

    settings = LossSettings(**{option: OPTIONS[option]})
    plain = weighted_sum_and_weight(LossSettings(), is_training=True)
    assert weighted_sum_and_weight(settings, is_training=False) == plain
    changed = weighted_sum_and_weight(settings, is_training=True)
    assert not np.allclose(changed, plain, rtol=1e-3)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_focal_loss_of_a_certain_prediction_has_a_gradient(name):
    # Below 1, gamma has an infinite slope where nothing is left to learn.
    objective = objectives.OBJECTIVES[name](
        NUM_LABELS, 0.0, LossSettings(focal_gamma=0.5)
    )
    certain = tf.constant(1e4 * (2.0 * np.eye(NUM_LABELS) - 1.0), tf.float32)
    labels = np.eye(NUM_LABELS) if name == "sigmoid" else np.arange(NUM_LABELS)
    features = {
        "label_ids": tf.constant(labels, tf.int32),
        "is_real_example": tf.ones([NUM_LABELS]),
    }
    losses, predictions = objective.build(certain, features, is_training=True)
    gradient = tf.gradients(losses["loss"][0], predictions["logits"])
    weights, _ = tf.trainable_variables()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        weights.load(np.eye(NUM_LABELS), session)
        np.testing.assert_array_equal(session.run(gradient)[0], np.zeros((3, 3)))


def test_dropout_acts_in_training_only():
    objective = objectives.Token(NUM_LABELS, 0.9)
    _, predictions = run(objective, TOKEN_LOGITS)
    np.testing.assert_array_equal(predictions["logits"], TOKEN_LOGITS)
    tf.reset_default_graph()
    tf.set_random_seed(1)
    _, predictions = run(objective, TOKEN_LOGITS, is_training=True)
    assert 0 < np.mean(predictions["logits"] == 0.0) < 1


@pytest.mark.parametrize("leading", [(5,), (5, 2)])
def test_projection_golden_values(leading):
    representation = RNG.randn(*leading, 7).astype(np.float32)
    outputs = objectives.project(tf.constant(representation), 4, 0.0)
    variables = {v.op.name: v for v in tf.trainable_variables()}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        variables["output_bias"].load([1.0, 2.0, 3.0, 4.0], session)
        actual, w = session.run([outputs, variables])
    assert w["output_weights"].shape == (4, 7)
    expected = representation @ w["output_weights"].T + w["output_bias"]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted(objectives.OBJECTIVES))
def test_no_labels_no_losses(name):
    objective = objectives.OBJECTIVES[name](1 if name == "mse" else NUM_LABELS, 0.1)
    is_token = bool(objective.input_specs)
    losses, predictions = run(objective, TOKEN_LOGITS if is_token else LOGITS)
    assert losses == {}
    assert "logits" in predictions


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("softmax", (), "int32"),
        ("sigmoid", (NUM_LABELS,), "int32"),
        ("mse", (), "float32"),
        ("token", (None,), "int32"),
        ("crf", (None,), "int32"),
    ],
)
def test_label_specs(name, shape, dtype):
    spec = objectives.OBJECTIVES[name](NUM_LABELS, 0.1).label_spec
    assert spec[:2] == ("label_ids", shape)
    assert spec.dtype == dtype
    assert not spec.is_input
