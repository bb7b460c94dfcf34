"""The LSTM: against numpy, with masks of all kinds, dynamic shapes and two towers."""

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.engine import towers
from bert_my.model import recurrent
from tests import helpers

WIDTH, NUM_UNITS = 4, 3
# Full, padded at the end, with holes and padding in front, and without anything real.
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]])
INPUTS = np.random.RandomState(1).randn(*MASK.shape, WIDTH).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def one_direction(weights, scope, inputs):
    """Returns the states over a sequence `[length, width]`, all of it real."""
    state = np.zeros(weights[f"{scope}/recurrent_kernel"].shape[0])
    cell, states = np.zeros_like(state), []
    for vector in inputs:
        gates = vector @ weights[f"{scope}/input_kernel"] + weights[f"{scope}/bias"]
        i, f, g, o = np.split(gates + state @ weights[f"{scope}/recurrent_kernel"], 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
        states.append(state)
    return states


def lstm(weights, inputs, mask, scope="lstm"):
    """The LSTM in numpy, in float64: leaves out what is not real and reads the rest."""
    weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    num_units = weights[f"{scope}/forward/recurrent_kernel"].shape[0]
    outputs = np.zeros((*mask.shape, 2 * num_units))
    for row, is_real in enumerate(mask.astype(bool)):
        real = inputs[row, is_real]
        if len(real):
            forward = one_direction(weights, f"{scope}/forward", real)
            backward = one_direction(weights, f"{scope}/backward", real[::-1])
            outputs[row, is_real] = np.hstack([forward, backward[::-1]])
    return outputs


def build(shape=(None, None)):
    """Returns (inputs, mask, outputs, variables by name)."""
    inputs = tf.placeholder(tf.float32, [*shape, WIDTH])
    mask = tf.placeholder(tf.int32, shape)
    outputs = recurrent.bidirectional_lstm(inputs, mask, NUM_UNITS)
    return inputs, mask, outputs, {v.op.name: v for v in tf.trainable_variables()}


def load_weights(variables, session):
    rng = np.random.RandomState(2)
    for name in sorted(variables):
        shape = variables[name].shape.as_list()
        variables[name].load(rng.randn(*shape), session)


def test_equals_numpy():
    inputs, mask, outputs, variables = build()
    with tf.Session() as session:
        load_weights(variables, session)
        actual, weights = session.run(
            [outputs, variables], {inputs: INPUTS, mask: MASK}
        )
    np.testing.assert_allclose(actual, lstm(weights, INPUTS, MASK), atol=1e-6)


def test_gradients_equal_finite_differences():
    inputs, mask, outputs, variables = build(MASK.shape)
    factors = np.random.RandomState(3).randn(*MASK.shape, 2 * NUM_UNITS)
    names = sorted(variables)
    gradients = tf.gradients(
        tf.reduce_sum(outputs * factors), [variables[name] for name in names]
    )
    with tf.Session() as session:
        load_weights(variables, session)
        feed = {inputs: INPUTS, mask: MASK}
        weights, actual = session.run([variables, gradients], feed)
    for name, gradient in zip(names, actual):
        index = tuple(np.array(gradient.shape) - 1)
        step = np.zeros(gradient.shape)
        step[index] = 1e-5
        above, below = (
            np.sum(lstm({**weights, name: weights[name] + s}, INPUTS, MASK) * factors)
            for s in (step, -step)
        )
        np.testing.assert_allclose(gradient[index], (above - below) / 2e-5, atol=1e-5)
        assert abs(gradient[index]) > 1e-3, name


def test_forget_gate_starts_open():
    variables = build()[-1]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        biases = session.run(
            [variables[f"lstm/{n}/bias"] for n in ("forward", "backward")]
        )
    expected = [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(biases, [expected, expected])


def test_two_towers_give_the_gradients_of_one():
    def gradients(num_towers):
        helpers.reset_graph()
        devices = helpers.cpu_devices(num_towers)

        def tower_fn(_, features):
            outputs = recurrent.bidirectional_lstm(
                features["inputs"], features["mask"], NUM_UNITS
            )
            return tf.reduce_sum(tf.square(outputs))

        with tf.device("/cpu:0"):
            features = {"inputs": tf.constant(INPUTS), "mask": tf.constant(MASK)}
        losses = towers.build(tower_fn, features, devices.towers)
        pairs = towers.gradients(
            losses, tf.trainable_variables(), devices.towers, towers.Reduction()
        )
        variables = {v.op.name: v for v in tf.trainable_variables()}
        with tf.Session(config=devices.session_config()) as session:
            load_weights(variables, session)
            return session.run({v.op.name: gradient for gradient, v in pairs})

    one, two = gradients(1), gradients(2)
    assert len(one) == 6
    helpers.assert_all_close(two, one, atol=1e-5)
