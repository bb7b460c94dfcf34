"""Heads: a representation of the sequence, and an objective on it.

A representation is a function `(encoder, features, is_training)` that returns float32
`[batch_size, width]`. An objective turns it into logits, losses and predictions.
"""

import tensorflow.compat.v1 as tf

import modeling
from bert_my.data.features import FeatureSpec


def cls(encoder, features, is_training):
    """The pooled output: the vector of [CLS] through the pretrained pooler."""
    return encoder.get_pooled_output()


REPRESENTATIONS = {"cls": cls}


def project(representation, num_outputs, dropout_prob):
    """Linear layer with upstream's variables `output_weights` and `output_bias`.

    Args:
      representation: float32 `[batch_size, width]`.
      num_outputs: int.
      dropout_prob: dropout of the representation; 0 outside of training.

    Returns:
      float32 `[batch_size, num_outputs]`.
    """
    width = representation.shape.as_list()[-1]
    weights = tf.get_variable(
        "output_weights",
        [num_outputs, width],
        initializer=modeling.create_initializer(0.02),
    )
    bias = tf.get_variable(
        "output_bias", [num_outputs], initializer=tf.zeros_initializer()
    )
    representation = modeling.dropout(representation, dropout_prob)
    return tf.nn.bias_add(tf.matmul(representation, weights, transpose_b=True), bias)


class Softmax:
    """One of several labels: cross entropy."""

    label_spec = FeatureSpec("label_ids", (), is_input=False)

    def __init__(self, num_labels, dropout_prob):
        """Builds an objective.

        Args:
          num_labels: int; labels are 0 to `num_labels - 1`.
          dropout_prob: dropout of the representation in training.
        """
        self.num_labels = num_labels
        self.dropout_prob = dropout_prob

    def build(self, encoder, representation, features, is_training):
        """Builds the layers on top of a representation.

        Args:
          encoder: `modeling.BertModel`, for objectives that need more of it.
          representation: float32 `[batch_size, width]`.
          features: dict; `label_ids` int32 `[batch_size]` and `is_real_example` float32
            `[batch_size]` if there is a loss to build.
          is_training: bool.

        Returns:
          `(losses, predictions)`, see `TaskOutputs`. Predictions: `logits` and
          `probabilities` float32 `[batch_size, num_labels]`, `label` int32
          `[batch_size]`.
        """
        dropout_prob = self.dropout_prob if is_training else 0.0
        logits = project(representation, self.num_labels, dropout_prob)
        predictions = {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }
        if self.label_spec.name not in features:
            return {}, predictions
        weights = features["is_real_example"]
        per_example_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=features[self.label_spec.name], logits=logits
        )
        weighted_sum = tf.reduce_sum(per_example_loss * weights)
        return {"loss": (weighted_sum, tf.reduce_sum(weights))}, predictions


OBJECTIVES = {"softmax": Softmax}
