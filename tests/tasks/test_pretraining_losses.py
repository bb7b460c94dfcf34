"""Losses of pretraining, against the definition in NumPy."""

import numpy as np
import tensorflow.compat.v1 as tf

import modeling
from bert_my.tasks.options import TaskOptions
from tests import helpers

FEATURES = {
    "input_ids": np.arange(5, 26).reshape(3, 7),
    "input_mask": np.array([[1] * 7, [1] * 5 + [0] * 2, [0] * 7]),
    "segment_ids": np.array([[0] * 4 + [1] * 3, [0] * 7, [0] * 7]),
    "masked_lm_positions": np.array([[2, 5], [3, 0], [0, 0]]),
    "masked_lm_ids": np.array([[7, 9], [11, 0], [0, 0]]),
    "masked_lm_weights": np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
    "next_sentence_labels": np.array([[1], [0], [0]]),
    "is_real_example": np.array([1.0, 1.0, 0.0]),
}


def as_tensors(features):
    return {
        name: tf.constant(value, tf.float32 if value.dtype == float else tf.int32)
        for name, value in features.items()
    }


def log_softmax(logits):
    return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))


def masked_lm_log_probs(vector, variables):
    """Returns log probabilities of the words at one position, in numpy."""
    scope = "cls/predictions/transform"
    hidden = vector @ variables[f"{scope}/dense/kernel"]
    hidden = hidden + variables[f"{scope}/dense/bias"]
    inner = np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)
    hidden = 0.5 * hidden * (1 + np.tanh(inner))
    hidden = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-12)
    hidden = hidden * variables[f"{scope}/LayerNorm/gamma"]
    hidden = hidden + variables[f"{scope}/LayerNorm/beta"]
    table = variables["bert/embeddings/word_embeddings"]
    return log_softmax(hidden @ table.T + variables["cls/predictions/output_bias"])


def test_losses_are_those_of_the_definition(tiny_model):
    features = as_tensors(FEATURES)
    task = helpers.make_task(tiny_model, name="pretraining")
    outputs = task.build(features, is_training=False)
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        encoder = modeling.BertModel(
            task.bert_config,
            False,
            features["input_ids"],
            features["input_mask"],
            features["segment_ids"],
            scope="bert",
        )
    variables = {v.op.name: v for v in tf.trainable_variables()}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for variable in variables.values():  # so that none is 0 or 1
            noise = tf.random.stateless_normal(variable.shape, [len(variable.name), 1])
            session.run(tf.assign_add(variable, 0.3 * noise).op)
        losses, means, values, sequence, pooled = session.run(
            [
                outputs.losses,
                outputs.means,
                variables,
                encoder.get_sequence_output(),
                encoder.get_pooled_output(),
            ]
        )
    masked = [(0, 2, 7), (0, 5, 9), (1, 3, 11)]
    log_probs = [masked_lm_log_probs(sequence[r, p], values) for r, p, _ in masked]
    labels = [label for _, _, label in masked]
    expected = -sum(each[label] for each, label in zip(log_probs, labels))
    right = sum(np.argmax(each) == label for each, label in zip(log_probs, labels))
    np.testing.assert_allclose(losses["masked_lm_loss"], (expected, 3), rtol=1e-4)
    np.testing.assert_allclose(means["masked_lm_accuracy"], (right, 3))
    logits = pooled @ values["cls/seq_relationship/output_weights"].T
    log_probs = log_softmax(logits + values["cls/seq_relationship/output_bias"])
    expected = -(log_probs[0, 1] + log_probs[1, 0])
    right = (log_probs[:2].argmax(axis=1) == [1, 0]).sum()
    np.testing.assert_allclose(losses["next_sentence_loss"], (expected, 2), rtol=1e-4)
    np.testing.assert_allclose(means["next_sentence_accuracy"], (right, 2))


def test_next_sentence_can_be_left_out(tiny_model):
    task = helpers.make_task(
        tiny_model, name="pretraining", options=TaskOptions(next_sentence="none")
    )
    outputs = task.build(as_tensors(FEATURES), is_training=True)
    assert set(outputs.losses) == {"masked_lm_loss"}
    assert task.metric_names == ("masked_lm_loss", "masked_lm_accuracy")
    names = [v.op.name for v in tf.trainable_variables()]
    assert not [name for name in names if name.startswith("cls/seq_relationship")]
