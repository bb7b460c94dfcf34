"""Operations of the encoder with hand-written gradients, which keep little.

A gradient that TensorFlow derives keeps every intermediate result. These keep their
inputs, or one result, and compute the rest once more. What a dropout dropped is not
kept either: it is drawn again from its seed. With `computing(shares_forward=True)`
TensorFlow may find that it has computed the same before, and keep that.

With XLA each operation is one compiled loop over its elements instead of a dozen passes
over memory. A program is compiled for each shape, so there should be few of them.

Whatever the dtype of what goes in and out, all numbers in between are float32.
"""

import contextlib
import functools
import math

import tensorflow.compat.v1 as tf

from computing import compiled, current, using

LAYER_NORM_EPSILON = 1e-12
_GELU_SCALE = 2.0 * math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715


def _runner():
    """Returns a function that runs others, compiled if that is asked for.

    It takes a function, its tensors, and by name what is the same in every step.
    """

    def run(function, *tensors, **constants):
        return function(*tensors, **constants)

    def run_compiled(function, *tensors, **constants):
        return compiled(function, **constants)(*tensors)

    return run_compiled if current().use_xla else run


def _reader():
    """Returns a function that gives a gradient the tensors that the result was made of.

    It takes the gradient of the result, and the tensors.
    """

    def shared(dy, *tensors):
        return tensors

    return shared if current().shares_forward else _after


def _after(dy, *tensors):
    """Returns tensors that are there only when a gradient is.

    What is computed of them again is neither computed before, nor found to be the same
    as what was computed for the result, and so kept until then.
    """
    with tf.control_dependencies([dy]):
        return [tf.identity(each) for each in tensors]


def gelu(x):
    """`modeling.gelu`; keeps its input."""
    run, again = _runner(), _reader()

    @tf.custom_gradient
    def op(x):
        return run(_gelu, x), lambda dy: run(_gelu_gradient, *again(dy, x), dy)

    return op(x)


def _gelu(x):
    wide = tf.cast(x, tf.float32)
    return tf.cast(wide * tf.sigmoid(_gelu_logit(wide)), x.dtype)


def _gelu_logit(x):
    """Returns what the sigmoid is taken of: (1 + tanh(z)) / 2 is sigmoid(2 z)."""
    return x * (_GELU_SCALE + (_GELU_SCALE * _GELU_CUBIC) * tf.square(x))


def _gelu_gradient(x, dy):
    wide = tf.cast(x, tf.float32)
    sigmoid = tf.sigmoid(_gelu_logit(wide))
    slope = _GELU_SCALE + (3.0 * _GELU_SCALE * _GELU_CUBIC) * tf.square(wide)
    along = tf.raw_ops.SigmoidGrad(y=sigmoid, dy=wide * slope)
    return tf.cast(tf.cast(dy, tf.float32) * (sigmoid + along), x.dtype)


def dropout(x, rate):
    """Sets elements to 0 with probability `rate`, scales the others; keeps nothing."""
    drop = _dropper(rate)

    @tf.custom_gradient
    def op(x):
        return drop(x), lambda dy: drop(dy, dy)

    return op(x) if rate else x


def _dropper(rate):
    """Returns a function that drops the same elements of whatever it is given.

    It takes a tensor and, in a gradient, that of the result.
    """
    if not rate:
        return lambda x, dy=None: x
    run, again, draw, seed = _runner(), _reader(), _draw(), _next_seed(rate)

    def drop(x, dy=None):
        (key,) = [seed] if dy is None else again(dy, seed)
        return run(_dropout, x, key, rate=rate, draw=draw)

    return drop


def _dropout(x, seed, rate, draw):
    scale = draw(tf.shape(x), seed, rate)
    return tf.cast(tf.cast(x, tf.float32) * scale, x.dtype)


def normalize(x):
    """Returns (x less its mean over its deviation, one over that) along the last axis.

    Source: Ba et al. 2016, arXiv:1607.06450; epsilon 1e-12.
    """
    centered = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(variance + LAYER_NORM_EPSILON)
    return centered * inverse, inverse


def fused_layer_norm(x, gamma, beta):
    """`modeling.layer_norm` in one kernel of oneDNN; it has no gradient.

    TensorFlow puts it in by itself only where gamma and beta are constants. Not every
    TensorFlow has it, see `devices.fuses_layer_norm`.

    Args:
      x: float `[..., width]`.
      gamma, beta: float32 variables `[width]`.

    Returns:
      tensor of the shape and dtype of x; what is summed up is float32.
    """
    cast = current().cast_weight
    inputs = [x, *(tf.identity(cast(weight, x.dtype)) for weight in (gamma, beta))]
    attributes = {
        "T": tf.AttrValue(type=x.dtype.as_datatype_enum),
        "epsilon": tf.AttrValue(f=LAYER_NORM_EPSILON),
    }
    (output,) = (
        tf.get_default_graph()
        .create_op(
            "_MklLayerNorm", inputs, [x.dtype], attrs=attributes, name="layer_norm"
        )
        .outputs
    )
    output.set_shape(x.shape)
    return output


def dropout_add_layer_norm(x, residual, gamma, beta, rate):
    """Layer normalization of `dropout(x) + residual`; keeps its inputs.

    Args:
      x, residual: float `[rows, width]`.
      gamma, beta: float32 `[width]`.
      rate: probability of dropping.

    Returns:
      float `[rows, width]`.
    """
    run, again = functools.partial(_runner(), rate=rate, draw=_draw()), _reader()
    seed = _next_seed(rate)

    @tf.custom_gradient
    def op(x, residual, gamma, beta):
        def gradient(dy):
            return run(_layer_norm_gradient, *again(dy, x, residual, gamma, seed), dy)

        return run(_layer_norm, x, residual, gamma, beta, seed), gradient

    return op(x, residual, gamma, beta)


def _normalized(x, residual, seed, rate, draw):
    """Returns (normalized sum, what it was divided by, inverted, scale of dropout)."""
    scale = draw(tf.shape(x), seed, rate) if rate else 1.0
    total = tf.cast(x, tf.float32) * scale + tf.cast(residual, tf.float32)
    return (*normalize(total), scale)


def _layer_norm(x, residual, gamma, beta, seed, rate, draw):
    normalized, _, _ = _normalized(x, residual, seed, rate, draw)
    return tf.cast(normalized * gamma + beta, x.dtype)


def _layer_norm_gradient(x, residual, gamma, seed, dy, rate, draw):
    """Returns the gradients of x, residual, gamma and beta.

    Source: the derivative of Ba et al. 2016, arXiv:1607.06450, equation 3.
    """
    normalized, inverse, scale = _normalized(x, residual, seed, rate, draw)
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


def attend(scores, addend, value, rate):
    """Dropout of the softmax of scores, times the values; keeps the softmax.

    Args:
      scores: `[batch_size, num_attention_heads, from_seq_length, to_seq_length]`.
      addend: float32 that is added to them, of a shape that broadcasts; it has no
        gradient.
      value: `[batch_size, num_attention_heads, to_seq_length, size_per_head]`.
      rate: probability of dropping.

    Returns:
      `[batch_size, num_attention_heads, from_seq_length, size_per_head]`.
    """
    run, drop = _runner(), _dropper(rate)

    @tf.custom_gradient
    def op(scores, value):
        probs = run(_softmax, scores, addend)

        def gradient(dy):
            kept = drop(*_after(dy, probs), dy)
            dprobs = drop(tf.matmul(dy, value, transpose_b=True), dy)
            dscores = run(_softmax_gradient, probs, dprobs)
            return dscores, tf.matmul(kept, dy, transpose_a=True)

        return tf.matmul(drop(probs), value), gradient

    return op(scores, value)


def _softmax(scores, addend):
    return tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + addend), scores.dtype)


def _softmax_gradient(probs, dprobs):
    product = tf.cast(probs, tf.float32) * tf.cast(dprobs, tf.float32)
    along = tf.reduce_sum(product, axis=-1, keepdims=True)
    return tf.cast(product - tf.cast(probs, tf.float32) * along, probs.dtype)


def recomputed(build, x):
    """Builds a part of a model that keeps its input, and computes the rest once more.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    Args:
      build: function from a tensor to a tensor. Its variables come from
        `tf.get_variable`, and it is not changed by being called twice.
      x: its argument.
    """
    setting, scope = current(), tf.get_variable_scope()
    source = setting.dropout_source
    first_place = source.num_places if source else 0
    weights = {}  # name -> tensor

    def read(getter, name, *args, **kwargs):
        if name not in weights:
            weights[name] = tf.identity(getter(name, *args, **kwargs))
        return weights[name]

    with tf.variable_scope(scope, custom_getter=read):
        y = build(x)

    @tf.custom_gradient
    def op(x, *tensors):
        given = dict(zip(weights, tensors))

        def read_again(getter, name, *args, **kwargs):
            return given[name]

        def gradient(dy):
            with tf.control_dependencies([dy]), using(setting), tf.variable_scope(
                scope, custom_getter=read_again
            ), _places_from(source, first_place):
                inputs = _after(dy, x, *tensors)
                given.update(zip(weights, inputs[1:]))
                again = build(inputs[0])
            return tf.gradients(again, inputs, dy)

        return tf.identity(y), gradient

    return op(x, *weights.values())


@contextlib.contextmanager
def _places_from(source, first_place):
    """Draws the dropout of a part that is built once more as it was the first time."""
    if source is None:
        yield
        return
    num_places, source.num_places = source.num_places, first_place
    yield
    source.num_places = num_places


def _next_seed(rate):
    """Returns the int64 `[2]` seed of a dropout; of none, one that is not used."""
    if rate:
        return current().dropout_source.next_seed()
    return tf.zeros([2], tf.int64)


def _draw():
    """Returns the function that draws what a dropout keeps.

    Of `(shape, seed, rate)`: float32 of that shape, 0 or `1 / (1 - rate)`.
    """
    return _draw_by_hash if current().use_xla else _draw_by_philox


def _draw_by_philox(shape, seed, rate):
    keep = tf.random.stateless_uniform(shape, seed=seed) >= rate
    return tf.cast(keep, tf.float32) * (1.0 / (1.0 - rate))


def _draw_by_hash(shape, seed, rate):
    """Hashes the number of each element, which compiles to a few instructions.

    XLA's own generators took a hundred times as long on a CPU. Source of the hash:
    github.com/skeeto/hash-prospector, the constants named "lowbias32".
    """
    key, step = tf.unstack(tf.bitcast(seed, tf.uint32))
    first = _mixed(key[0] + step[0] * _uint32(0x9E3779B1), step[1])
    second = _mixed(key[1] + first, step[0])
    index = tf.reshape(tf.cast(tf.range(tf.reduce_prod(shape)), tf.uint32), shape)
    keep = _mixed(index + first, second) >= _uint32(round(rate * 2**32))
    return tf.cast(keep, tf.float32) * (1.0 / (1.0 - rate))


def _mixed(word, key):
    """Returns uint32 whose bits all depend on all bits of a word, and on a key."""
    word = _shifted(word, 16) * _uint32(0x7FEB352D)
    word = _shifted(tf.bitwise.bitwise_xor(word, key), 15) * _uint32(0x846CA68B)
    return _shifted(word, 16)


def _shifted(word, num_bits):
    shifted = tf.bitwise.right_shift(word, _uint32(num_bits))
    return tf.bitwise.bitwise_xor(word, shifted)


def _uint32(value):
    return tf.constant(value, tf.uint32)
