"""Representations: from the outputs of the encoder to the input of an objective.

A representation is a function `(encoder, features)` that returns float32
`[batch_size, width]` for objectives of texts, or `[batch_size, seq_length, width]` for
objectives of tokens. Padding never changes the representation of a real token or text,
and a row of nothing but padding gives finite values.
"""

import tensorflow.compat.v1 as tf

import modeling
from bert_my.model import recurrent

FILTER_WIDTHS = (1, 2, 3, 4)  # tokens that a convolution sees at once
NUM_FILTERS = 256  # for each width
NUM_LSTM_UNITS = 256  # for each direction
NUM_LAST_LAYERS = 4


def cls(encoder, features):
    """Returns the pooled output: the vector of [CLS] through the pretrained pooler."""
    return encoder.get_pooled_output()


def mean_of_tokens(encoder, features):
    """Returns the mean of the last layer over real tokens.

    `[batch_size, hidden_size]`.
    """
    mask = _real_tokens(features)
    total = tf.reduce_sum(encoder.get_sequence_output() * mask, axis=1)
    # A row without real tokens has the mean 0, not 0/0.
    return total / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)


def max_of_tokens(encoder, features):
    """Returns the maximum of the last layer over real tokens.

    `[batch_size, hidden_size]`.
    """
    return _max_over_tokens(encoder.get_sequence_output(), _real_tokens(features))


def cnn(encoder, features):
    """Convolves the last layer; ReLU, and the maximum over real tokens.

    Source: Kim 2014, "Convolutional neural networks for sentence classification".

    Returns:
      float32 `[batch_size, 1024]`: 256 filters for each of the widths 1, 2, 3 and 4.
    """
    mask = _real_tokens(features)
    # Zeros behind the last real token, as an unpadded row has them in `_convolve`.
    values = encoder.get_sequence_output() * mask
    pooled = []
    with tf.variable_scope("cnn"):
        for width in FILTER_WIDTHS:
            with tf.variable_scope(f"width_{width}"):
                filtered = tf.nn.relu(_convolve(values, width, NUM_FILTERS))
            pooled.append(_max_over_tokens(filtered, mask))
    return tf.concat(pooled, axis=-1)


def rcnn(encoder, features):
    """Joins each token with its left and right context; the maximum over real tokens.

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
            joined = tf.concat([contexts, tokens], axis=-1)
            projected = tf.tanh(_convolve(joined, 1, 2 * NUM_LSTM_UNITS))
    return _max_over_tokens(projected, _real_tokens(features))


def last_layers_of_cls(encoder, features):
    """Concatenates the vectors of [CLS] of the last four layers.

    Source: Devlin et al. 2019, section 5.3. A smaller encoder gives all its layers.

    Returns:
      float32 `[batch_size, 4 * hidden_size]`.
    """
    layers = encoder.get_all_encoder_layers()[-NUM_LAST_LAYERS:]
    return tf.concat([layer[:, 0, :] for layer in layers], axis=-1)


def sequence(encoder, features):
    """Returns the last layer: `[batch_size, seq_length, hidden_size]`."""
    return encoder.get_sequence_output()


def lstm(encoder, features):
    """Runs a bidirectional LSTM over the last layer.

    `[batch_size, seq_length, 2 * NUM_LSTM_UNITS]`.
    """
    return recurrent.bidirectional_lstm(
        encoder.get_sequence_output(), features["input_mask"], NUM_LSTM_UNITS
    )


def last_layers(encoder, features):
    """Concatenates the last four layers; a smaller encoder gives all its layers.

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
# Of the last layer these read the vector of [CLS] alone.
OF_FIRST_TOKEN = (cls, last_layers_of_cls)


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


def _convolve(values, width, num_filters):
    """Convolves each token and the `width - 1` tokens behind it, and adds a bias.

    Args:
      values: float32 `[batch_size, seq_length, hidden_size]`.
      width: in tokens.
      num_filters: int.

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
    return tf.nn.bias_add(output, bias)
