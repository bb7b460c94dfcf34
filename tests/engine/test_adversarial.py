"""Adversarial training against gradients that are put together by hand."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import custom_optimization
from bert_my.engine import gradients as gradients_lib
from tests import helpers
from tests.engine import test_towers
from tests.engine.step_runs import StepRun, is_weight, weights_after

EPSILON = 0.75
TABLE = "bert/embeddings/word_embeddings"
FGM = {"adversarial": "fgm", "adversarial_epsilon": EPSILON}


class Gradients:
    """The plain gradients of the task at any word embeddings."""

    def __init__(self, small_model_dir):
        task = helpers.make_task(
            small_model_dir, max_seq_length=test_towers.SEQ_LENGTH, has_dropout=False
        )
        batch = test_towers.make_batches(1)[0]
        with tf.Graph().as_default():
            features = {name: tf.constant(value) for name, value in batch.items()}
            outputs = task.build(features, is_training=True)
            total, weight = outputs.losses["loss"]
            self._loss = total / weight
            variables = tf.trainable_variables()
            gradients = tf.gradients(self._loss, variables)
            self._gradients = {
                v.op.name: tf.convert_to_tensor(g) for g, v in zip(gradients, variables)
            }
            self._table = helpers.variable(TABLE)
            self._session = tf.Session()
            self._session.run(tf.global_variables_initializer())
            test_towers.set_weights(self._session)
            self.words, self.loss = self._session.run([self._table, self._loss])

    def at(self, words):
        """Returns a dict variable name -> gradient."""
        self._table.load(words, self._session)
        return self._session.run(self._gradients)


@pytest.fixture(scope="module")
def plain(small_model_dir):
    """The `Gradients` of the task."""
    return Gradients(small_model_dir)


@pytest.fixture(scope="module")
def expected(plain):
    """The gradients at the words and at the perturbed words, added."""
    first = plain.at(plain.words)
    norm = np.sqrt(np.sum(np.square(first[TABLE])))
    second = plain.at(plain.words + EPSILON * first[TABLE] / norm)
    return {name: first[name] + second[name] for name in first}


@pytest.fixture(scope="module")
def step(small_model_dir):
    """(loss of a step with FGM, values of all variables after it)."""
    run = StepRun(small_model_dir, **FGM)
    return run.step(), run.values()


def clipped(gradients):
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
    assert norm > 1  # so that it is
    return {name: gradient / norm for name, gradient in gradients.items()}


def gradients_of(values):
    """Returns the gradients, clipped, of the step that gave the first Adam slots."""
    return {
        name: values[f"{name}/adam_m"] / 0.1
        for name in filter(is_weight, values)
        if f"{name}/adam_m" in values
    }


def test_gradients_are_those_of_both_embeddings_added(step, expected, plain):
    actual = gradients_of(step[1])
    helpers.assert_all_close(actual, clipped(expected), atol=1e-6)
    # The perturbation matters: twice the plain gradients are not the same.
    twice = clipped({name: 2 * g for name, g in plain.at(plain.words).items()})
    assert np.abs(actual["output_weights"] - twice["output_weights"]).max() > 1e-2


def test_loss_is_that_of_the_words_as_they_are(step, plain):
    assert step[0] == pytest.approx(plain.loss, abs=1e-6)


def test_frozen_embeddings_are_perturbed_too(small_model_dir, expected):
    both = {n: g for n, g in expected.items() if not n.startswith("bert/embed")}
    run = StepRun(small_model_dir, freeze="embeddings", **FGM)
    before = run.values()[TABLE]
    run.step()
    values = run.values()
    helpers.assert_all_close(gradients_of(values), clipped(both), atol=1e-6)
    np.testing.assert_array_equal(values[TABLE], before)


@pytest.mark.slow  # `test_accumulation` compares two towers with one, too
def test_two_towers_equal_one(small_model_dir):
    one, two = (
        weights_after(small_model_dir, 4, num_towers=number, learning_rate=1e-3, **FGM)
        for number in (1, 2)
    )
    # 4 steps at a learning rate of 0.001 move weights by up to 0.004 each.
    helpers.assert_all_close(two, one, atol=1e-6)


def test_loss_scale_does_not_matter(small_model_dir, expected, monkeypatch):
    """With a dynamic scale of 2^15, as fp16 has, but computed in fp32."""
    loss_scale = custom_optimization.LossScale
    monkeypatch.setattr(custom_optimization, "LossScale", lambda _: loss_scale(True))
    values = weights_after(small_model_dir, **FGM)
    assert values["loss_scale/num_good_steps"] == 1
    helpers.assert_all_close(gradients_of(values), clipped(expected), atol=1e-6)


def toy_gradients(slope):
    """Returns the gradients of `slope * sum(table^2)` at [[3, 0], [0, 4]] with FGM."""
    values = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)

    def gradients():
        words = tf.get_variable("table", initializer=values)
        rows = tf.gather(tf.convert_to_tensor(words), [0, 1])
        loss = slope * tf.reduce_sum(tf.square(rows))
        table = helpers.variable("table")
        return [(tf.gradients(loss, table)[0], table)]

    pairs = gradients()
    (pair,) = gradients_lib.add_fgm(pairs, helpers.variable("table"), 0.5, gradients)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(pair[0])


def test_perturbation_has_the_length_epsilon_over_the_whole_table():
    # The gradient is [[6, 0], [0, 8]], so the table moves by [[0.3, 0], [0, 0.4]].
    np.testing.assert_allclose(
        toy_gradients(1.0), [[6 + 6.6, 0], [0, 8 + 8.8]], rtol=1e-6
    )


def test_gradient_of_zero_has_no_direction():
    np.testing.assert_array_equal(toy_gradients(0.0), np.zeros([2, 2]))


def test_gradient_that_is_not_finite_stays_so():
    assert not np.isfinite(toy_gradients(np.inf)).all()
