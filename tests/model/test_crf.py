"""The CRF against all paths written out, with holes in the mask."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.model import crf

NUM_LABELS = 3
# Full, with holes, one position, none, and two at the end.
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 1]])
RNG = np.random.RandomState(4)
LOGITS = RNG.randn(*MASK.shape, NUM_LABELS).astype(np.float32)
TRANSITIONS = 2 * RNG.randn(NUM_LABELS, NUM_LABELS).astype(np.float32)
# -1 is what a position without a label has.
TAGS = np.where(MASK > 0, RNG.randint(0, NUM_LABELS, MASK.shape), -1)


def score(logits, tags):
    """Returns the score of tags of a chain; logits `[length, num_labels]`."""
    total = sum(float(logits[place, tag]) for place, tag in enumerate(tags))
    return total + sum(float(TRANSITIONS[pair]) for pair in zip(tags, tags[1:]))


def all_paths(logits):
    """Returns dict tags -> probability for a chain."""
    paths = list(itertools.product(range(NUM_LABELS), repeat=len(logits)))
    weights = np.exp([score(logits, path) for path in paths])
    return dict(zip(paths, weights / weights.sum()))


def run(function, *arrays):
    """Runs a function of the CRF with dynamic shapes."""
    feed = {}
    for array in arrays:
        dtype = tf.float32 if array.dtype.kind == "f" else tf.int32
        axes = [None, None, NUM_LABELS][: array.ndim]
        feed[tf.placeholder(dtype, axes)] = array
    with tf.Session() as session:
        return session.run(function(*feed, tf.constant(TRANSITIONS)), feed)


def test_likelihood_equals_that_of_all_paths():
    actual = run(crf.log_likelihood, LOGITS, TAGS, MASK)
    for row, is_in_chain in enumerate(MASK.astype(bool)):
        chain = tuple(TAGS[row, is_in_chain])
        expected = np.log(all_paths(LOGITS[row, is_in_chain])[chain])
        np.testing.assert_allclose(actual[row], expected, atol=1e-5)


def test_gradient_is_that_of_the_marginals():
    def gradient(logits, tags, mask, transitions):
        return tf.gradients(
            crf.log_likelihood(logits, tags, mask, transitions), [logits, transitions]
        )

    to_logits, to_transitions = run(gradient, LOGITS, TAGS, MASK)
    expected_logits, expected_transitions = np.zeros_like(LOGITS), np.zeros((3, 3))
    for row, is_in_chain in enumerate(MASK.astype(bool)):
        places = np.flatnonzero(is_in_chain)
        observed = {tuple(TAGS[row, places]): -1.0}
        for paths in (all_paths(LOGITS[row, places]), observed):
            for path, probability in paths.items():
                for place, tag in zip(places, path):
                    expected_logits[row, place, tag] -= probability
                for pair in zip(path, path[1:]):
                    expected_transitions[pair] -= probability
    np.testing.assert_allclose(to_logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(to_transitions, expected_transitions, atol=1e-5)


def test_viterbi_finds_the_best_of_all_paths():
    actual = run(crf.viterbi, LOGITS, MASK)
    assert actual.dtype == np.int32
    for row, is_in_chain in enumerate(MASK.astype(bool)):
        paths = all_paths(LOGITS[row, is_in_chain])
        expected = np.zeros(MASK.shape[1])
        expected[is_in_chain] = max(paths, key=paths.get)
        np.testing.assert_array_equal(actual[row], expected)


def test_viterbi_is_not_the_best_tag_of_each_position():
    assert np.any(run(crf.viterbi, LOGITS, MASK) != LOGITS.argmax(-1) * MASK)


@pytest.mark.parametrize("is_in_chain", [0, 1])
def test_sequence_of_one_position(is_in_chain):
    mask = np.array([[is_in_chain]])
    logits = LOGITS[:1, :1]
    likelihood = run(crf.log_likelihood, logits, np.array([[2]]), mask)
    expected = logits[0, 0, 2] - np.log(np.exp(logits[0, 0]).sum())
    np.testing.assert_allclose(likelihood, [expected * is_in_chain], atol=1e-6)
    tags = run(crf.viterbi, logits, mask)
    np.testing.assert_array_equal(tags, [[logits.argmax() * is_in_chain]])


def test_large_scores_do_not_overflow():
    logits = np.array([[[1000.0, 0.0, -1000.0], [0.0, 1000.0, 0.0]]], np.float32)
    tags, mask = np.array([[0, 1]]), np.array([[1, 1]])
    # Every other path is at least 900 behind.
    np.testing.assert_allclose(run(crf.log_likelihood, logits, tags, mask), [0.0])
