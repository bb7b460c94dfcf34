"""The lean operations against what TensorFlow derives, with the same dropout."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import computing
import lean_ops
import modeling
from bert_my.engine.devices import compiles_functions

ROWS, WIDTH = 13, 7
# What a compiled program computes in another order, or fuses.
TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}


def source():
    return computing.StatelessDropout(seed=3, tower=0, global_step=tf.constant(5))


def lean(use_xla, **more):
    return computing.computing(
        dropout_source=source(), is_lean=True, use_xla=use_xla, **more
    )


def normal(*shape, seed=0, scale=1.0):
    values = np.random.RandomState(seed).normal(size=shape) * scale
    return tf.constant(values, tf.float32)


def run(tensors):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensors)


def gradients(y, inputs):
    """Gradients of a sum that weights every element differently."""
    weights = normal(*y.shape.as_list(), seed=99)
    return tf.gradients(tf.reduce_sum(tf.cast(y, tf.float32) * weights), inputs)


def drawn(shape, rate, use_xla):
    """Returns what the first dropout of a model multiplies with."""
    draw = lean_ops._draw_by_hash if use_xla else lean_ops._draw_by_philox
    return draw(tf.constant(shape), source().next_seed(), rate)


def check_same(pairs, **tolerance):
    for one, other in run(list(pairs)):
        np.testing.assert_allclose(one, other, **{**TOLERANCE, **tolerance})


@pytest.fixture(params=[False, True], ids=["plain", "xla"])
def use_xla(request):
    if request.param and not compiles_functions():
        pytest.skip("TensorFlow 1.15 does not compile functions")
    return request.param


def test_gelu(use_xla):
    x = normal(ROWS, WIDTH, scale=3.0)
    plain = modeling.gelu(x)
    with lean(use_xla):
        output = modeling.gelu(x)
    # 1 + tanh(x) has no digits left where x is -4; the sigmoid has all of them.
    check_same(
        [(output, plain), (gradients(output, x)[0], gradients(plain, x)[0])], atol=1e-5
    )


def test_gelu_far_from_zero(use_xla):
    """Neither overflow nor 0 * inf, forwards and backwards."""
    x = tf.constant([-1e4, -40.0, 0.0, 40.0, 1e4])
    with lean(use_xla):
        output = modeling.gelu(x)
    y, dx = run([output, tf.gradients(output, x)[0]])
    np.testing.assert_allclose(y, [0.0, 0.0, 0.0, 40.0, 1e4], atol=1e-6)
    np.testing.assert_allclose(dx, [0.0, 0.0, 0.5, 1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_dropout_add_layer_norm(use_xla, rate):
    x, residual = normal(ROWS, WIDTH), normal(ROWS, WIDTH, seed=1)
    gamma, beta = normal(WIDTH, seed=2), normal(WIDTH, seed=3)
    with tf.variable_scope("plain"):
        dropped = x * drawn([ROWS, WIDTH], rate, use_xla) if rate else x
        total = dropped + residual
        mean, variance = tf.nn.moments(total, axes=[-1], keepdims=True)
        plain = (total - mean) * tf.math.rsqrt(variance + 1e-12) * gamma + beta
    with lean(use_xla):
        output = lean_ops.dropout_add_layer_norm(x, residual, gamma, beta, rate)
    inputs = [x, residual, gamma, beta]
    pairs = zip(gradients(output, inputs), gradients(plain, inputs))
    check_same([(output, plain), *pairs])


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_attend(use_xla, rate):
    shape = [2, 3, 5, 5]  # [batch_size, num_attention_heads, from, to]
    scores, value = normal(*shape), normal(2, 3, 5, 4, seed=1)
    addend = tf.constant([0.0, 0.0, 0.0, -1e4, -1e4])
    probs = tf.nn.softmax(scores + addend)
    if rate:
        probs *= drawn(shape, rate, use_xla)
    plain = tf.matmul(probs, value)
    with lean(use_xla):
        output = lean_ops.attend(scores, addend, value, rate)
    pairs = zip(gradients(output, [scores, value]), gradients(plain, [scores, value]))
    check_same([(output, plain), *pairs])


def test_dropout(use_xla):
    x = normal(ROWS, WIDTH)
    with lean(use_xla):
        output = modeling.dropout(x, 0.3)
    mask = drawn([ROWS, WIDTH], 0.3, use_xla)
    check_same(
        [(output, x * mask), (gradients(output, x)[0], gradients(x * mask, x)[0])]
    )


@pytest.mark.parametrize("draw", [lean_ops._draw_by_philox, lean_ops._draw_by_hash])
def test_what_is_dropped_is_random(draw):
    """The share, between neighbours, places and steps, and the scale of the rest."""
    if draw is lean_ops._draw_by_hash and not compiles_functions():
        pytest.skip("only compiled functions draw by hashing")
    size, rate = 40000, 0.2
    masks = run(
        [
            draw(tf.constant([200, 200]), tf.constant(seed, tf.int64), rate)
            for seed in ([7, 0], [7, 1], [8, 0], [-(2**62), 0], [7, 2**33])
        ]
    )
    dropped = [(mask == 0).astype(np.float64).ravel() for mask in masks]
    assert set(np.unique(masks[0])) == {0.0, np.float32(1.25)}
    noise = 5 / np.sqrt(size)  # five standard deviations of a correlation
    for index, one in enumerate(dropped):
        assert abs(one.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / size)
        for distance in (1, 2, 4, 32, 200):
            assert abs(np.corrcoef(one[distance:], one[:-distance])[0, 1]) < noise
        for other in dropped[index + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < noise
            # Nor is a mask another one that has been moved.
            for distance in (1, 3, 200):
                moved = np.corrcoef(one[distance:], other[:-distance])[0, 1]
                assert abs(moved) < noise


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_low_precision_goes_in_and_out(use_xla, dtype):
    x = tf.cast(normal(ROWS, WIDTH), dtype)
    residual = tf.cast(normal(ROWS, WIDTH, seed=1), dtype)
    gamma, beta = tf.ones([WIDTH]), tf.zeros([WIDTH])
    with lean(use_xla):
        output = lean_ops.dropout_add_layer_norm(
            lean_ops.gelu(x), residual, gamma, beta, 0.0
        )
    found = tf.gradients(output, [x, residual, gamma, beta])
    assert output.dtype == dtype
    assert [each.dtype for each in found] == [dtype, dtype, tf.float32, tf.float32]
    total = modeling.gelu(tf.cast(x, tf.float32)) + tf.cast(residual, tf.float32)
    mean, variance = tf.nn.moments(total, axes=[-1], keepdims=True)
    exact = (total - mean) * tf.math.rsqrt(variance)
    found, exact = run([tf.cast(output, tf.float32), exact])
    np.testing.assert_allclose(found, exact, atol=0.03)  # 8 bits


def build_model(batch_size=3, seq_length=5, **changes):
    config = modeling.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=11,
        **changes,
    )
    ids = tf.constant(np.arange(batch_size * seq_length).reshape(batch_size, -1) % 20)
    mask = tf.constant([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    model = modeling.BertModel(config, True, ids, input_mask=mask, scope="bert")
    return gradients(model.get_pooled_output(), tf.trainable_variables()), model


def values_of(found):
    """Converts slices of embeddings, so that gradients can be compared."""
    return [tf.convert_to_tensor(each) for each in found]


def test_model_without_dropout_is_the_plain_one(use_xla):
    tf.set_random_seed(1)
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain, model = build_model(**none)
    with tf.variable_scope("", reuse=True), lean(use_xla):
        found, lean_model = build_model(**none)
    pairs = zip(values_of(found), values_of(plain))
    check_same([(lean_model.pooled_output, model.pooled_output), *pairs])


@pytest.mark.parametrize("num_layers", [1, 3, 12])
def test_recomputed_layers_give_the_same_gradients(use_xla, num_layers):
    """With dropout, which has to be drawn again as it was."""
    tf.set_random_seed(1)
    with lean(use_xla):
        kept, model = build_model()
    with tf.variable_scope("", reuse=True), lean(
        use_xla, num_recomputed_layers=num_layers
    ):
        found, recomputed_model = build_model()
    pairs = zip(values_of(found), values_of(kept))
    check_same([(recomputed_model.pooled_output, model.pooled_output), *pairs])


def num_computed(tensors, name):
    """Returns how often a kind of operation is in a graph that runs for tensors.

    What TensorFlow has found to be the same is there once.

    Args:
      tensors: list.
      name: what the kind's name ends with: "MatMul" is a fused one too.
    """
    metadata = tf.RunMetadata()
    options = tf.RunOptions(output_partition_graphs=True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tensors, options=options, run_metadata=metadata)
    kinds = [node.op for graph in metadata.partition_graphs for node in graph.node]
    return sum(kind.endswith((name, f"{name}V2")) for kind in kinds)


def test_recomputed_layers_are_computed_again():
    def num_products(num_layers):
        with tf.Graph().as_default(), lean(False, num_recomputed_layers=num_layers):
            return num_computed(values_of(build_model()[0]), "MatMul")

    # Query, key, value, output, the two of the feed-forward and the two of attention,
    # in each layer. What only the last product's output needs is left out.
    assert num_products(2) - num_products(0) in (2 * 8, 2 * 7)


@pytest.mark.parametrize("shares", [False, True])
def test_gradients_keep_nothing_that_can_be_computed_again(shares):
    """Also where TensorFlow knows all shapes, and could see what is the same."""
    x = tf.get_variable("x", initializer=normal(ROWS, WIDTH))
    scores = tf.get_variable("scores", initializer=normal(2, 3, 5, 5))
    value = tf.get_variable("value", initializer=normal(2, 3, 5, 4))
    step = tf.get_variable("step", initializer=5)
    with computing.computing(
        dropout_source=computing.StatelessDropout(3, 0, step),
        is_lean=True,
        shares_forward=shares,
    ):
        outputs = [
            lean_ops.gelu(x),
            lean_ops.dropout(x, 0.3),
            lean_ops.dropout_add_layer_norm(x, x, *tf.unstack(x)[:2], 0.3),
            lean_ops.attend(scores, tf.zeros([5]), value, 0.3),
        ]
    inputs = [x, scores, value]
    found = [each for y in outputs for each in tf.gradients(tf.square(y), inputs)]
    found = outputs + [each for each in found if each is not None]
    assert num_computed(found, "Rsqrt") == (1 if shares else 2)
    # oneDNN has x * sigmoid(x) in one.
    num_sigmoids = num_computed(found, "Sigmoid") + num_computed(found, "Swish")
    assert num_sigmoids == (1 if shares else 2)
    assert num_computed(found, "Softmax") == 1  # is kept
    assert num_computed(found, "StatelessRandomUniform") == (3 if shares else 6)
