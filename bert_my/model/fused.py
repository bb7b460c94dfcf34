"""Fused kernels of the encoder: their forward and backward passes, and XLA compilation.

Each function computes in float32 whatever its inputs' dtype. Compiled by XLA, it is one
loop over the elements instead of a dozen passes over memory. A program is compiled for
each shape, so there should be few shapes.

`ops` puts the functions together to operations with gradients.
"""

import functools
import math

import tensorflow.compat.v1 as tf

from modeling import LAYER_NORM_EPSILON

_GELU_SCALE = 2.0 * math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715
# Key of a graph collection; one that is no string is not exported.
_JITTED = ("functions compiled by XLA",)


def supports_jit():
    """Returns whether this TensorFlow runs `jit` functions; 1.15 inlines them."""
    return hasattr(tf.raw_ops, "StatelessRandomUniformV2")  # which came with it


def jit(function, **constants):
    """Returns a function that XLA compiles once for each shape of its tensors.

    The result is cached per graph: it refers to the graph in which it was first called.

    Args:
      function: of tensors, and of the constants by name.
      **constants: hashable.
    """
    cached = tf.get_collection_ref(_JITTED)
    key = (function, sorted(constants.items()))
    for known, found in cached:
        if known == key:
            return found
    found = tf.function(
        functools.partial(function, **constants),
        autograph=False,
        experimental_compile=True,  # the spelling that both TensorFlows know
    )
    cached.append((key, found))
    return found


def after(dy, *tensors):
    """Returns copies of tensors that exist only once the gradient `dy` does.

    A gradient that recomputes its forward pass from the copies does not start early.
    Nor does TensorFlow merge the recomputation with the forward pass, which would keep
    the intermediate results in memory until the backward pass.
    """
    with tf.control_dependencies([dy]):
        return [tf.identity(each) for each in tensors]


def gelu(x):
    """Returns `modeling.gelu` of `x`, in the dtype of `x`."""
    wide = tf.cast(x, tf.float32)
    return tf.cast(wide * tf.sigmoid(_gelu_logit(wide)), x.dtype)


def gelu_gradient(x, dy):
    """Returns the gradient of `gelu` for `x`."""
    wide = tf.cast(x, tf.float32)
    sigmoid = tf.sigmoid(_gelu_logit(wide))
    slope = _GELU_SCALE + (3.0 * _GELU_SCALE * _GELU_CUBIC) * tf.square(wide)
    along = tf.raw_ops.SigmoidGrad(y=sigmoid, dy=wide * slope)
    return tf.cast(tf.cast(dy, tf.float32) * (sigmoid + along), x.dtype)


def _gelu_logit(x):
    """Returns 2 z for the GELU x (1 + tanh(z)) / 2, which is x sigmoid(2 z)."""
    return x * (_GELU_SCALE + (_GELU_SCALE * _GELU_CUBIC) * tf.square(x))


def dropout(x, seed, rate, draw):
    """Returns `x` after dropout; the gradient is the same function of `dy`.

    Args:
      x: float tensor.
      seed: int64 `[2]`.
      rate: probability of dropping.
      draw: `draw_by_philox` or `draw_by_hash`.
    """
    scale = draw(tf.shape(x), seed, rate)
    return tf.cast(tf.cast(x, tf.float32) * scale, x.dtype)


def layer_norm(x, residual, gamma, beta, seed, rate, draw):
    """Returns the layer normalization of `dropout(x) + residual`.

    Args:
      x, residual: float `[rows, width]`.
      gamma, beta: float32 `[width]`.
      seed, rate, draw: see `dropout`; nothing is drawn if `rate` is 0.

    Returns:
      float `[rows, width]`.
    """
    normalized, _, _ = _normalize(x, residual, seed, rate, draw)
    return tf.cast(normalized * gamma + beta, x.dtype)


def layer_norm_gradient(x, residual, gamma, seed, dy, rate, draw):
    """Returns the gradients of `layer_norm` for x, residual, gamma and beta.

    Source: the derivative of Ba et al. 2016, arXiv:1607.06450, equation 3.
    """
    normalized, inverse, scale = _normalize(x, residual, seed, rate, draw)
    dy = tf.cast(dy, tf.float32)
    slope = dy * gamma
    mean = tf.reduce_mean(slope, axis=-1, keepdims=True)
    along = tf.reduce_mean(slope * normalized, axis=-1, keepdims=True)
    total = inverse * (slope - mean - normalized * along)
    return (
        tf.cast(total * scale, x.dtype),
        tf.cast(total, residual.dtype),
        tf.reduce_sum(dy * normalized, axis=0),
        tf.reduce_sum(dy, axis=0),
    )


def _normalize(x, residual, seed, rate, draw):
    """Returns (normalized sum, 1 / its standard deviation, factors of dropout)."""
    scale = draw(tf.shape(x), seed, rate) if rate else 1.0
    total = tf.cast(x, tf.float32) * scale + tf.cast(residual, tf.float32)
    centered = total - tf.reduce_mean(total, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(variance + LAYER_NORM_EPSILON)
    return centered * inverse, inverse, scale


def onednn_layer_norm(x, gamma, beta):
    """Returns `modeling.layer_norm` by one kernel of oneDNN; it has no gradient.

    TensorFlow uses the kernel by itself only where gamma and beta are constants. Not
    every TensorFlow has it, see `devices.supports_fused_layer_norm`.

    Args:
      x: float `[..., width]`.
      gamma, beta: tensors `[width]` of the dtype of `x`.

    Returns:
      tensor of the shape and dtype of `x`; the sums are float32.
    """
    attributes = {
        "T": tf.AttrValue(type=x.dtype.as_datatype_enum),
        "epsilon": tf.AttrValue(f=LAYER_NORM_EPSILON),
    }
    (output,) = (
        tf.get_default_graph()
        .create_op(
            "_MklLayerNorm",
            [x, gamma, beta],
            [x.dtype],
            attrs=attributes,
            name="layer_norm",
        )
        .outputs
    )
    output.set_shape(x.shape)
    return output


def softmax(scores, addend):
    """Returns the softmax of `scores + addend`, in the dtype of the scores."""
    return tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + addend), scores.dtype)


def softmax_gradient(probs, dprobs):
    """Returns the gradient of `softmax` for the scores, from its result."""
    product = tf.cast(probs, tf.float32) * tf.cast(dprobs, tf.float32)
    along = tf.reduce_sum(product, axis=-1, keepdims=True)
    return tf.cast(product - tf.cast(probs, tf.float32) * along, probs.dtype)


def draw_by_philox(shape, seed, rate):
    """Draws the factors of dropout with TensorFlow's generator.

    Args:
      shape: int32 `[rank]`.
      seed: int64 `[2]`.
      rate: probability of dropping.

    Returns:
      float32 of that shape: 0 or `1 / (1 - rate)`.
    """
    keep = tf.random.stateless_uniform(shape, seed=seed) >= rate
    return tf.cast(keep, tf.float32) * (1.0 / (1.0 - rate))


def draw_by_hash(shape, seed, rate):
    """Draws as `draw_by_philox`, by hashing the index of each element.

    The hash compiles to a few instructions; XLA's own generators took a hundred times
    as long on a CPU. Source of the hash: github.com/skeeto/hash-prospector, the
    constants named "lowbias32".
    """
    key, step = tf.unstack(tf.bitcast(seed, tf.uint32))
    first = _hash(key[0] + step[0] * _uint32(0x9E3779B1), step[1])
    second = _hash(key[1] + first, step[0])
    index = tf.reshape(tf.cast(tf.range(tf.reduce_prod(shape)), tf.uint32), shape)
    keep = _hash(index + first, second) >= _uint32(round(rate * 2**32))
    return tf.cast(keep, tf.float32) * (1.0 / (1.0 - rate))


def _hash(word, key):
    """Returns uint32 whose bits all depend on all bits of a word, and on a key."""
    word = _xor_shifted(word, 16) * _uint32(0x7FEB352D)
    word = _xor_shifted(tf.bitwise.bitwise_xor(word, key), 15) * _uint32(0x846CA68B)
    return _xor_shifted(word, 16)


def _xor_shifted(word, num_bits):
    shifted = tf.bitwise.right_shift(word, _uint32(num_bits))
    return tf.bitwise.bitwise_xor(word, shifted)


def _uint32(value):
    return tf.constant(value, tf.uint32)
