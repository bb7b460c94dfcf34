"""`TrainingOps` against the gradients that TensorFlow derives, with equal dropout."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.model import fused
from bert_my.model.ops import InferenceOps, StatelessDropout, TrainingOps

ROWS, WIDTH = 13, 7
# What a compiled program computes in another order, or fuses.
TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}


def source():
    return StatelessDropout(seed=3, tower=0, global_step=tf.constant(5))


def training_ops(use_xla, **fields):
    return TrainingOps(dropout_source=source(), use_xla=use_xla, **fields)


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
    """Returns the factors of the first dropout of a model."""
    draw = fused.draw_by_hash if use_xla else fused.draw_by_philox
    return draw(tf.constant(shape), source().next_seed(), rate)


def check_same(pairs, **tolerance):
    for one, other in run(list(pairs)):
        np.testing.assert_allclose(one, other, **{**TOLERANCE, **tolerance})


@pytest.fixture(params=[False, True], ids=["plain", "xla"])
def use_xla(request):
    if request.param and not fused.supports_jit():
        pytest.skip("TensorFlow 1.15 does not compile functions")
    return request.param


def test_gelu(use_xla):
    x = normal(ROWS, WIDTH, scale=3.0)
    plain = modeling.gelu(x)
    output = training_ops(use_xla).activate(x, modeling.gelu)
    # 1 + tanh(x) has no digits left where x is -4; the sigmoid has all of them.
    check_same(
        [(output, plain), (gradients(output, x)[0], gradients(plain, x)[0])], atol=1e-5
    )


def test_gelu_far_from_zero(use_xla):
    """Neither overflow nor 0 * inf, forwards and backwards."""
    x = tf.constant([-1e4, -40.0, 0.0, 40.0, 1e4])
    output = training_ops(use_xla).activate(x, modeling.gelu)
    y, dx = run([output, tf.gradients(output, x)[0]])
    np.testing.assert_allclose(y, [0.0, 0.0, 0.0, 40.0, 1e4], atol=1e-6)
    np.testing.assert_allclose(dx, [0.0, 0.0, 0.5, 1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_residual_layer_norm(use_xla, rate):
    x, residual = normal(ROWS, WIDTH), normal(ROWS, WIDTH, seed=1)
    gamma, beta = normal(WIDTH, seed=2), normal(WIDTH, seed=3)
    with tf.variable_scope("plain"):
        dropped = x * drawn([ROWS, WIDTH], rate, use_xla) if rate else x
        total = dropped + residual
        mean, variance = tf.nn.moments(total, axes=[-1], keepdims=True)
        plain = (total - mean) * tf.math.rsqrt(variance + 1e-12) * gamma + beta
    inputs = [x, residual, gamma, beta]
    output = training_ops(use_xla).residual_layer_norm(*inputs, rate)
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
    output = training_ops(use_xla).attend(scores, value, addend, rate)
    pairs = zip(gradients(output, [scores, value]), gradients(plain, [scores, value]))
    check_same([(output, plain), *pairs])


def test_dropout(use_xla):
    x = normal(ROWS, WIDTH)
    output = training_ops(use_xla).dropout(x, 0.3)
    mask = drawn([ROWS, WIDTH], 0.3, use_xla)
    check_same(
        [(output, x * mask), (gradients(output, x)[0], gradients(x * mask, x)[0])]
    )


@pytest.mark.parametrize("draw", [fused.draw_by_philox, fused.draw_by_hash])
def test_dropped_elements_are_random(draw):
    """The share, between neighbours, places and steps, and the scale of the rest."""
    if draw is fused.draw_by_hash and not fused.supports_jit():
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
    ops = training_ops(use_xla, dtype=dtype)
    activated = ops.activate(x, modeling.gelu)
    output = ops.residual_layer_norm(activated, residual, gamma, beta, 0.0)
    found = tf.gradients(output, [x, residual, gamma, beta])
    assert output.dtype == dtype
    assert [each.dtype for each in found] == [dtype, dtype, tf.float32, tf.float32]
    total = modeling.gelu(tf.cast(x, tf.float32)) + tf.cast(residual, tf.float32)
    mean, variance = tf.nn.moments(total, axes=[-1], keepdims=True)
    exact = (total - mean) * tf.math.rsqrt(variance)
    found, exact = run([tf.cast(output, tf.float32), exact])
    np.testing.assert_allclose(found, exact, atol=0.03)  # 8 bits


def build_model(ops=None, batch_size=3, seq_length=5, **changes):
    config = modeling.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=11,
        **changes,
    )
    ids = tf.constant(np.arange(batch_size * seq_length).reshape(batch_size, -1) % 20)
    mask = tf.constant([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    model = modeling.BertModel(
        config, True, ids, input_mask=mask, scope="bert", ops=ops
    )
    return gradients(model.get_pooled_output(), tf.trainable_variables()), model


def values_of(found):
    """Converts slices of embeddings, so that gradients can be compared."""
    return [tf.convert_to_tensor(each) for each in found]


def test_model_without_dropout_is_the_plain_one(use_xla):
    tf.set_random_seed(1)
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain, model = build_model(**none)
    with tf.variable_scope("", reuse=True):
        found, other = build_model(training_ops(use_xla), **none)
    pairs = zip(values_of(found), values_of(plain))
    check_same([(other.pooled_output, model.pooled_output), *pairs])


@pytest.mark.parametrize(
    "num_layers", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 12))]
)
def test_recomputed_layers_give_the_same_gradients(use_xla, num_layers):
    """With dropout, which has to be drawn again as it was."""
    tf.set_random_seed(1)
    kept, model = build_model(training_ops(use_xla))
    with tf.variable_scope("", reuse=True):
        ops = training_ops(use_xla, num_recomputed_layers=num_layers)
        found, recomputed_model = build_model(ops)
    pairs = zip(values_of(found), values_of(kept))
    check_same([(recomputed_model.pooled_output, model.pooled_output), *pairs])


def num_computed(tensors, name):
    """Returns the number of operations of a kind that run for tensors.

    Operations that TensorFlow has merged count once.

    Args:
      tensors: list.
      name: end of the kind's name: "MatMul" matches a fused one too.
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
        with tf.Graph().as_default():
            ops = training_ops(False, num_recomputed_layers=num_layers)
            return num_computed(values_of(build_model(ops)[0]), "MatMul")

    # Query, key, value, output, the two of the feed-forward and the two of attention.
    # Operations that only the last product's output needs do not run.
    assert num_products(1) - num_products(0) in (8, 7)


@pytest.mark.parametrize("reuses", [False, True])
def test_gradients_recompute_unless_the_forward_pass_is_reused(reuses):
    """Also where TensorFlow knows all shapes, and could merge equal operations."""
    x = tf.get_variable("x", initializer=normal(ROWS, WIDTH))
    scores = tf.get_variable("scores", initializer=normal(2, 3, 5, 5))
    value = tf.get_variable("value", initializer=normal(2, 3, 5, 4))
    step = tf.get_variable("step", initializer=5)
    dropout_source = StatelessDropout(3, 0, step)
    ops = TrainingOps(dropout_source=dropout_source, reuses_forward=reuses)
    outputs = [
        ops.activate(x, modeling.gelu),
        ops.dropout(x, 0.3),
        ops.residual_layer_norm(x, x, *tf.unstack(x)[:2], 0.3),
        ops.attend(scores, value, tf.zeros([5]), 0.3),
    ]
    inputs = [x, scores, value]
    found = [each for y in outputs for each in tf.gradients(tf.square(y), inputs)]
    found = outputs + [each for each in found if each is not None]
    assert num_computed(found, "Rsqrt") == (1 if reuses else 2)
    # oneDNN has x * sigmoid(x) in one.
    num_sigmoids = num_computed(found, "Sigmoid") + num_computed(found, "Swish")
    assert num_sigmoids == (1 if reuses else 2)
    assert num_computed(found, "Softmax") == 1  # is kept
    assert num_computed(found, "StatelessRandomUniform") == (3 if reuses else 6)


@pytest.mark.parametrize(
    ("preset", "fields", "name"),
    [
        (TrainingOps, {}, "dropout_source"),
        (TrainingOps, {"num_recomputed_layers": -1}, "num_recomputed_layers"),
        (
            TrainingOps,
            {"num_recomputed_layers": 1, "reuses_forward": True},
            "reuses_forward",
        ),
        (TrainingOps, {"dtype": tf.int32}, "int32"),
        (InferenceOps, {"dtype": tf.int32}, "int32"),
    ],
)
def test_an_invalid_preset_is_refused(preset, fields, name):
    if len(fields) and preset is TrainingOps:
        fields = {"dropout_source": source(), **fields}
    with pytest.raises(ValueError, match=name):
        preset(**fields)


def test_xla_is_refused_where_tensorflow_does_not_compile(monkeypatch):
    monkeypatch.setattr(fused, "supports_jit", lambda: False)
    with pytest.raises(ValueError, match="use_xla"):
        training_ops(use_xla=True)


def test_presets_are_immutable():
    for ops in (InferenceOps(), training_ops(use_xla=False)):
        with pytest.raises(AttributeError):
            ops.dtype = tf.float16
