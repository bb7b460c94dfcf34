"""Model FLOPs of a training step, and how many a device can do in that time.

Their quotient is the model FLOPs utilization (MFU). Source: Chowdhery et al. 2022,
"PaLM: Scaling Language Modeling with Pathways", appendix B.
"""

import logging
import statistics
import time

import tensorflow.compat.v1 as tf

from bert_my.engine.devices import PRECISIONS

logger = logging.getLogger(__name__)

# For each number and input of a matrix product: an addition and a multiplication, once
# forward and, in training, twice backward.
FORWARD, TRAINING = 2, 6
# Matrices of so many rows and columns keep a device busy, and do not take a CPU long.
_SIZES = {True: 8192, False: 1024}  # by whether it is a GPU
_NUM_PRODUCTS = 8  # of a run, one after the other
_NUM_RUNS = 5


def of_step(bert_config, lengths, num_masked):
    """Returns the FLOPs of the encoder, and of the words to guess, in a training step.

    Embeddings, pooler and the other heads do not count: they are a small share.

    Args:
      bert_config: `modeling.BertConfig`.
      lengths: float32 `[batch_size]`, of each row in tokens, without padding.
      num_masked: float32 scalar, words to guess: each goes through a layer and the word
        embeddings.

    Returns:
      float32 scalar.
    """
    return of_tokens(
        bert_config,
        tf.reduce_sum(lengths),
        tf.reduce_sum(tf.square(lengths)),
        num_masked,
        TRAINING,
    )


def of_tokens(bert_config, num_tokens, num_pairs, num_masked, per_weight):
    """Returns the FLOPs of some rows, as `of_step`.

    Args:
      bert_config: `modeling.BertConfig`.
      num_tokens: of all rows; a number or a tensor, as the others.
      num_pairs: of a token and one of its row: the sum of the squared lengths.
      num_masked: words to guess.
      per_weight: `FORWARD` or `TRAINING`: for each weight and token.
    """
    hidden_size = bert_config.hidden_size
    # Query, key, value and output; and the two of the feed-forward layer.
    layer = 4 * hidden_size**2 + 2 * hidden_size * bert_config.intermediate_size
    encoder = bert_config.num_hidden_layers * layer
    guess = hidden_size**2 + hidden_size * bert_config.vocab_size
    # Each token's products with the keys and with the values of its row.
    attention = 2 * bert_config.num_hidden_layers * hidden_size
    return per_weight * (
        encoder * num_tokens + attention * num_pairs + guess * num_masked
    )


def measure_peak(devices, precision):
    """Returns the FLOPs per second of all devices together, in matrix products.

    Only the first tower's device is measured.

    Args:
      devices: `Devices`.
      precision: key of `PRECISIONS`.
    """
    size = _SIZES[devices.has_gpus]
    with tf.Graph().as_default(), tf.device(devices.towers[0]):
        # The products neither grow nor vanish.
        initial = tf.random.stateless_normal([size, size], seed=[0, 0]) * size**-0.5
        variable = tf.get_variable("matrix", initializer=initial)
        matrix = product = tf.cast(variable, PRECISIONS[precision])
        for _ in range(_NUM_PRODUCTS):
            product = tf.matmul(product, matrix)
        # A number, so that the run does not end before it is computed.
        result = tf.cast(product[0, 0], tf.float32)
        with tf.Session(config=devices.session_config()) as session:
            session.run(tf.global_variables_initializer())
            seconds = [_seconds(session, result) for _ in range(_NUM_RUNS + 1)][1:]
    per_device = _NUM_PRODUCTS * 2 * size**3 / statistics.median(seconds)
    # Logical CPU devices are all the same one.
    num_devices = len(set(devices.towers)) if devices.has_gpus else 1
    logger.info(
        "Peak: %.4g TFLOP/s in %s matrix products, on each of %d device(s)",
        per_device / 1e12,
        precision,
        num_devices,
    )
    return per_device * num_devices


def _seconds(session, tensor):
    began = time.time()
    session.run(tensor)
    return time.time() - began
