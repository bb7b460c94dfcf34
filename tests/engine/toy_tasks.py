"""A task with two losses and a mean, each with weights of its own."""

import collections

import tensorflow.compat.v1 as tf

import modeling
from tests import helpers
from tests.engine import test_towers

Outputs = collections.namedtuple("Outputs", ["losses", "predictions", "means"])
NUM_WORDS = 29


class GuessTask:
    """Guesses the next word where `weights` is not 0, and a label for each row."""

    postprocessor = None
    writers = {}

    def __init__(self, dropout_prob=0.0):
        self.bert_config = modeling.BertConfig(
            NUM_WORDS,
            **{**helpers.CONFIG, "num_hidden_layers": 1},
            hidden_dropout_prob=dropout_prob,
            attention_probs_dropout_prob=dropout_prob,
        )

    def build(self, features, is_training, ops=None):
        ids = features["input_ids"]
        encoder = modeling.BertModel(
            self.bert_config, is_training, ids, features["input_mask"], ops=ops
        )
        logits = tf.matmul(
            modeling.reshape_to_matrix(encoder.get_sequence_output()),
            encoder.get_embedding_table(),
            transpose_b=True,
        )
        words = tf.reshape(tf.roll(ids, -1, axis=1), [-1])
        weights = tf.reshape(features["weights"], [-1])
        is_right = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), words)
        rows = tf.get_variable("output_weights", [2, helpers.CONFIG["hidden_size"]])
        pooled = encoder.get_pooled_output()
        row_losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=features["label_ids"],
            logits=tf.matmul(pooled, rows, transpose_b=True),
        )
        is_real = features["is_real_example"]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=words, logits=logits
        )
        losses = {
            "word_loss": self._mean(losses, weights),
            "row_loss": self._mean(row_losses, is_real),
        }
        accuracy = self._mean(tf.cast(is_right, tf.float32), weights)
        return Outputs(losses, {}, {**losses, "word_accuracy": accuracy})

    @staticmethod
    def _mean(values, weights):
        return tf.reduce_sum(values * weights), tf.reduce_sum(weights)


def make_batches(num_steps):
    """The batches of `test_towers`, with weights that differ a lot between rows."""
    batches = test_towers.make_batches(num_steps)
    for batch in batches:
        weights = batch["input_mask"] * (batch["input_ids"] % 3 > 0)
        weights[:3] = 0  # a part without any
        batch["weights"] = (weights * batch["is_real_example"][:, None]).astype("f4")
        assert batch["weights"].sum() > 3
    return batches
