"""Representations: what an objective sees of an encoded text, or of its tokens.

A representation is a function `(encoder, features)` that returns float32
`[batch_size, width]` for a text, or `[batch_size, seq_length, width]` for its tokens.
Padding never changes what is real, and a row of padding only gives finite values.
"""

import tensorflow.compat.v1 as tf

import modeling
from bert_my.model import encoders, recurrent

FILTER_WIDTHS = (1, 2, 3, 4)  # tokens that a convolution sees at once
NUM_FILTERS = 256  # for each width
NUM_LSTM_UNITS = 256  # for each direction
NUM_LAST_LAYERS = 4


def cls(encoder, features):
    """The pooled output: the vector of [CLS] through the pretrained pooler."""
    return encoder.get_pooled_output()


def mean_of_tokens(encoder, features):
    """The mean of the last layer over real tokens: `[batch_size, hidden_size]`."""
    mask = _real_tokens(features)
    total = tf.reduce_sum(encoder.get_sequence_output() * mask, axis=1)
    # A row without real tokens has the mean 0, not 0/0.
    return total / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)


def max_of_tokens(encoder, features):
    """The maximum of the last layer over real tokens: `[batch_size, hidden_size]`."""
    return _max_over_tokens(encoder.get_sequence_output(), _real_tokens(features))


def cnn(encoder, features):
    """Convolutions over the last layer, ReLU, and the maximum over real tokens.

    Source: Kim 2014, "Convolutional neural networks for sentence classification".

    Returns:
      float32 `[batch_size, 1024]`: 256 filters for each of the widths 1, 2, 3 and 4.
    """
    mask = _real_tokens(features)
    # Without padding a filter would see zeros behind the last token, so with it too.
    values = encoder.get_sequence_output() * mask
    pooled = []
    with tf.variable_scope("cnn"):
        for width in FILTER_WIDTHS:
            with tf.variable_scope(f"width_{width}"):
                found = _convolve(values, width, NUM_FILTERS, tf.nn.relu)
            pooled.append(_max_over_tokens(found, mask))
    return tf.concat(pooled, axis=-1)


def rcnn(encoder, features):
    """Each token with its left and right context, and the maximum over real tokens.

    The contexts are the states of a bidirectional LSTM; they and the token's vector go
    through one layer with tanh. Source: Lai et al. 2015, "Recurrent convolutional
    neural networks for text classification".

    Returns:
      float32 `[batch_size, 512]`.
    """
    tokens = encoder.get_sequence_output()
    with tf.variable_scope("rcnn"):
        contexts = lstm(encoder, features)
        with tf.variable_scope("projection"):
            # A convolution of width 1 is a dense layer on every token.
            projected = _convolve(
                tf.concat([contexts, tokens], axis=-1),
                width=1,
                num_filters=2 * NUM_LSTM_UNITS,
                activation=tf.tanh,
            )
    return _max_over_tokens(projected, _real_tokens(features))


def last_layers_of_cls(encoder, features):
    """The vectors of [CLS] of the last four layers, side by side.

    Source: Devlin et al. 2019, section 5.3. A smaller encoder gives all its layers.

    Returns:
      float32 `[batch_size, 4 * hidden_size]`.
    """
    layers = encoder.get_all_encoder_layers()[-NUM_LAST_LAYERS:]
    return tf.concat([layer[:, 0, :] for layer in layers], axis=-1)


def sequence(encoder, features):
    """The last layer: `[batch_size, seq_length, hidden_size]`."""
    return encoder.get_sequence_output()


def lstm(encoder, features):
    """A bidirectional LSTM over the last layer: `[batch_size, seq_length, 512]`."""
    return recurrent.bidirectional_lstm(
        encoder.get_sequence_output(), features["input_mask"], NUM_LSTM_UNITS
    )


def last_layers(encoder, features):
    """The last four layers, side by side; a smaller encoder gives all its layers.

    Source: Devlin et al. 2019, section 5.3.

    Returns:
      float32 `[batch_size, seq_length, 4 * hidden_size]`.
    """
    return tf.concat(encoder.get_all_encoder_layers()[-NUM_LAST_LAYERS:], axis=-1)


TEXT_REPRESENTATIONS = {
    "cls": cls,
    "mean": mean_of_tokens,
    "max": max_of_tokens,
    "cnn": cnn,
    "rcnn": rcnn,
    "last4": last_layers_of_cls,
}
TOKEN_REPRESENTATIONS = {"sequence": sequence, "lstm": lstm, "last4": last_layers}
# These look at nothing of the last layer but [CLS].
_OF_FIRST_TOKEN = (cls, last_layers_of_cls)


def build(bert_config, features, is_training, represent, objective, ops=None):
    """Builds an encoder with a head on it.

    Args:
      bert_config: `modeling.BertConfig`.
      features: dict with `input_ids`, `input_mask` and `segment_ids`, int32
        `[batch_size, seq_length]`, and what the objective needs.
      is_training: bool; False switches all dropout off.
      represent: a representation, see the top of this file.
      objective: one of `objectives.OBJECTIVES`, with the rank of that representation.
      ops: (optional) see `modeling.BertModel`.

    Returns:
      `(losses, predictions)`, see `base.TaskOutputs`.
    """
    encoder = encoders.of(bert_config).build(
        features, is_training, first_token_only=represent in _OF_FIRST_TOKEN, ops=ops
    )
    representation = represent(encoder, features)
    return objective.build(representation, features, is_training, ops)


def _real_tokens(features):
    """Returns float32 `[batch_size, seq_length, 1]`: 1 for real tokens, else 0."""
    return tf.cast(tf.expand_dims(features["input_mask"], axis=-1), tf.float32)


def _max_over_tokens(values, mask):
    """Returns `[batch_size, width]`; 0 for a row without real tokens.

    Args:
      values: float32 `[batch_size, seq_length, width]`.
      mask: see `_real_tokens`.
    """
    largest = tf.reduce_max(tf.where_v2(mask > 0, values, tf.float32.min), axis=1)
    return largest * tf.reduce_max(mask, axis=1)


def _convolve(values, width, num_filters, activation):
    """Convolution over each token and the `width - 1` tokens behind it.

    Args:
      values: float32 `[batch_size, seq_length, hidden_size]`.
      width: in tokens.
      num_filters: int.
      activation: function.

    Returns:
      float32 `[batch_size, seq_length, num_filters]`.
    """
    kernel = tf.get_variable(
        "kernel",
        [width, values.shape.as_list()[-1], num_filters],
        initializer=modeling.create_initializer(0.02),
    )
    bias = tf.get_variable("bias", [num_filters], initializer=tf.zeros_initializer())
    values = tf.pad(values, [[0, 0], [0, width - 1], [0, 0]])
    output = tf.nn.conv1d(values, kernel, stride=1, padding="VALID")
    return activation(tf.nn.bias_add(output, bias))
