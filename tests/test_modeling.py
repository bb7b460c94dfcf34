"""`modeling` against a numpy reference, real checkpoints and its own promises."""

import inspect
import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.model.ops import InferenceOps, StatelessDropout, TrainingOps
from tests import helpers, reference

BATCH_SIZE, SEQ_LENGTH, VOCAB_SIZE, NUM_HEADS, NUM_SEGMENTS = 13, 7, 99, 4, 3


def make_config(**changes):
    values = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": NUM_HEADS,
        "intermediate_size": 37,
        "max_position_embeddings": 11,
        "type_vocab_size": NUM_SEGMENTS,
        "initializer_range": 0.3,
    }
    return modeling.BertConfig(VOCAB_SIZE, **{**values, **changes})


def make_inputs(seed=0, seq_length=SEQ_LENGTH):
    rng = np.random.RandomState(seed)
    shape = BATCH_SIZE, seq_length
    mask = rng.randint(0, 2, shape)
    mask[:, 0] = 1
    return rng.randint(0, VOCAB_SIZE, shape), mask, rng.randint(0, NUM_SEGMENTS, shape)


def build(config=None, is_training=False, inputs=None, **kwargs):
    ids, mask, segments = inputs or make_inputs()
    return modeling.BertModel(
        config or make_config(),
        is_training,
        tf.constant(ids, tf.int32),
        tf.constant(mask, tf.int32),
        tf.constant(segments, tf.int32),
        **kwargs,
    )


def run(fetches, feed=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feed)


def test_encoder_equals_numpy_reference():
    tf.set_random_seed(1)
    model = build()
    weights = {variable.op.name: variable for variable in tf.global_variables()}
    outputs = [
        model.get_embedding_output(),
        model.get_all_encoder_layers(),
        model.get_sequence_output(),
        model.get_pooled_output(),
    ]
    values, (embedding, layers, sequence, pooled) = run([weights, outputs])
    expected_layers, expected_pooled = reference.encode(
        values, *make_inputs(), num_heads=NUM_HEADS
    )
    # float32 against float64: errors of 1e-7 grow over three layers.
    np.testing.assert_allclose([embedding, *layers], expected_layers, atol=2e-5)
    np.testing.assert_allclose(pooled, expected_pooled, atol=2e-5)
    np.testing.assert_array_equal(sequence, layers[-1])


def test_one_hot_embeddings_are_the_same():
    tf.set_random_seed(1)
    gathered = build().get_sequence_output()
    with tf.variable_scope("", reuse=True):
        one_hot = build(scope="bert", use_one_hot_embeddings=True).get_sequence_output()
    np.testing.assert_allclose(*run([gathered, one_hot]), atol=1e-5)


def test_mask_and_segments_default_to_ones_and_zeros():
    ids, _, _ = make_inputs()
    config, ids = make_config(), tf.constant(ids, tf.int32)
    with tf.variable_scope("m"):
        short = modeling.BertModel(config, False, ids, scope="bert")
    with tf.variable_scope("m", reuse=True):
        full = modeling.BertModel(
            config, False, ids, tf.ones_like(ids), tf.zeros_like(ids), scope="bert"
        )
    np.testing.assert_array_equal(*run([short.pooled_output, full.pooled_output]))


def test_padding_never_changes_real_tokens():
    inputs = make_inputs()
    mask = inputs[1].copy()
    mask[:, 5:] = 0
    other_ids = inputs[0].copy()
    other_ids[:, 5:] = (other_ids[:, 5:] + 1) % VOCAB_SIZE
    first = build(inputs=(inputs[0], mask, inputs[2])).get_sequence_output()
    with tf.variable_scope("", reuse=True):
        second = build(
            inputs=(other_ids, mask, inputs[2]), scope="bert"
        ).get_sequence_output()
    a, b = run([first[:, :5], second[:, :5]])
    np.testing.assert_array_equal(a, b)


def test_free_batch_and_length():
    ids = tf.placeholder(tf.int32, [None, None])
    model = modeling.BertModel(make_config(), False, ids)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for shape in ((1, 11), (5, 3)):
            output = session.run(model.sequence_output, {ids: np.ones(shape, int)})
            assert output.shape == (*shape, 32)
        with pytest.raises(tf.errors.InvalidArgumentError):
            session.run(model.sequence_output, {ids: np.ones((1, 12), int)})


def training_ops(seed=3, tower=0, step=5, **fields):
    source = StatelessDropout(seed, tower, tf.convert_to_tensor(step))
    return TrainingOps(dropout_source=source, **fields)


@pytest.mark.parametrize(
    "num_recomputed_layers", [None, pytest.param(0, marks=pytest.mark.slow), 3]
)
def test_first_token_only_changes_no_result(num_recomputed_layers):
    tf.set_random_seed(1)
    results = []
    for reuse, first_token_only in ((False, False), (True, True)):
        ops = None
        if num_recomputed_layers is not None:
            ops = training_ops(num_recomputed_layers=num_recomputed_layers)
        with tf.variable_scope("", reuse=reuse):
            model = build(scope="bert", first_token_only=first_token_only, ops=ops)
        pooled = model.get_pooled_output()
        gradients = tf.gradients(pooled * pooled, tf.trainable_variables())
        layers = model.get_all_encoder_layers()
        results.append([pooled, *layers[:-1], layers[-1][:, :1]])
        results[-1] += map(tf.convert_to_tensor, gradients)
    assert layers[-1].shape.as_list() == [BATCH_SIZE, 1, 32]
    for expected, values in zip(*run(results)):
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("num_layers", "shape"),
    [
        (2, (5, 7)),
        (12, (None, None)),
        pytest.param(2, (None, None), marks=pytest.mark.slow),
        pytest.param(12, (5, 7), marks=pytest.mark.slow),
    ],
)
def test_tensors_have_upstreams_names(num_layers, shape):
    """Other programs look the tensors up, in frozen graphs for example."""
    ids = tf.placeholder(tf.int32, shape)
    config = make_config(num_hidden_layers=num_layers)
    model = modeling.BertModel(config, False, ids)
    names = {
        "bert/embeddings/LayerNorm/batchnorm/add_1": model.get_embedding_output(),
        "bert/pooler/dense/Tanh": model.get_pooled_output(),
        # The mask and the input of the first layer are reshaped before.
        f"bert/encoder/Reshape_{num_layers + 1}": model.get_sequence_output(),
    }
    for index, layer in enumerate(model.get_all_encoder_layers()):
        names[f"bert/encoder/Reshape_{index + 2}"] = layer
    graph = tf.get_default_graph()
    for name, tensor in names.items():
        assert graph.get_tensor_by_name(f"{name}:0") is tensor, name
    others = ["bert/pooler/Squeeze"]
    for index in range(num_layers):
        scope = f"bert/encoder/layer_{index}"
        others += [
            f"{scope}/attention/self/Softmax",
            f"{scope}/attention/output/add",
            f"{scope}/attention/output/LayerNorm/batchnorm/add_1",
            f"{scope}/output/LayerNorm/batchnorm/add_1",
        ]
    others = [graph.get_tensor_by_name(f"{name}:0") for name in others]
    inner = graph.get_tensor_by_name("bert/encoder/layer_1/intermediate/dense/mul_3:0")
    assert inner.shape.as_list()[1] == 37
    values, first, last, inner = run(
        [others, model.get_sequence_output()[:, 0], layer, inner],
        {ids: np.ones([5, 7])},
    )
    np.testing.assert_array_equal(values[0], first)
    np.testing.assert_array_equal(values[-1], last.reshape(-1, 32))
    # GELU is never below -0.17, unlike the products within it.
    assert inner.min() > -0.18


def test_embeddings_in_training_come_from_the_named_layer_norm():
    embedding = build(is_training=True).get_embedding_output()
    assert embedding.op.name.startswith("bert/embeddings/dropout/")
    name = "bert/embeddings/LayerNorm/batchnorm/add_1:0"
    tf.get_default_graph().get_tensor_by_name(name)


def test_layer_norms_are_model_variables():
    """As `tf.contrib.layers.layer_norm` has it."""
    build()
    kept = {v.op.name for v in tf.model_variables()}
    names = {v.op.name for v in tf.global_variables()}
    assert kept == {name for name in names if "/LayerNorm/" in name}
    assert len(kept) == 2 * (1 + 2 * 3)
    assert {v.op.name for v in tf.trainable_variables()} == names


def test_all_ops_are_reachable_from_the_outputs():
    model = build(is_training=True)
    wanted = [*model.get_all_encoder_layers(), model.pooled_output]
    stack = [tensor.op for tensor in wanted] + [tf.global_variables_initializer()]
    seen = set()
    while stack:
        op = stack.pop()
        if op not in seen:
            seen.add(op)
            stack += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    # Made by TensorFlow for each variable, used by savers and supervisors.
    ignored = ("/Read/ReadVariableOp", "/VarIsInitializedOp", "assert_less_equal/")
    left = [
        op.name
        for op in tf.get_default_graph().get_operations()
        if op not in seen and not any(part in op.name for part in ignored)
    ]
    assert left == []


@pytest.mark.parametrize("is_training", [True, False])
def test_dropout_only_in_training(is_training):
    output = build(is_training=is_training).get_sequence_output()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        a, b = session.run(output), session.run(output)
    assert np.allclose(a, b) != is_training


def test_dropout_keeps_the_mean_and_drops_the_share():
    ops, ones = training_ops(), tf.ones([200, 211])
    first, second = run([modeling.dropout(ones, 0.2, ops=ops) for _ in range(2)])
    assert set(np.unique(first)) == {0.0, np.float32(1.25)}
    assert abs(np.mean(first == 0) - 0.2) < 0.01
    assert np.mean(first == second) < 0.7  # places draw independently


def test_stateless_dropout_depends_on_seed_tower_step_and_place():
    step = tf.placeholder(tf.int64, [])

    def draw(seed, tower):
        ops = training_ops(seed, tower, step)
        return modeling.dropout(tf.ones([50]), 0.5, ops=ops)

    tensors = [draw(1, 0), draw(1, 0), draw(1, 1), draw(2, 0)]
    with tf.Session() as session:
        same, again, other_tower, other_seed = session.run(tensors, {step: 4})
        other_step = session.run(tensors[0], {step: 5})
        repeated = session.run(tensors[0], {step: 4})
    np.testing.assert_array_equal(same, again)
    np.testing.assert_array_equal(same, repeated)
    for other in (other_tower, other_seed, other_step):
        assert not np.array_equal(same, other)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_low_precision_keeps_variables_and_outputs_in_float32(dtype):
    tf.set_random_seed(1)
    exact = build()
    with tf.variable_scope("", reuse=True):
        model = build(scope="bert", ops=InferenceOps(dtype))
    assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {
        tf.float32
    }
    assert model.sequence_output.dtype == tf.float32
    a, b = run([exact.pooled_output, model.pooled_output])
    # bfloat16 has 8 bits: relative errors of 2^-9 an operation.
    np.testing.assert_allclose(a, b, atol=0.15)
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("name", ["comp_type", "compute_type"])
def test_dtype_of_the_activations_under_the_names_of_forks(name):
    tf.set_random_seed(1)
    exact = build(**{name: tf.float32})
    with tf.variable_scope("", reuse=True):
        model = build(scope="bert", **{name: tf.float16})
    dtypes = {variable.dtype.base_dtype for variable in tf.global_variables()}
    assert dtypes == {tf.float32} == {x.dtype for x in model.get_all_encoder_layers()}
    a, b = run([exact.pooled_output, model.pooled_output])
    # float16 has 11 bits: relative errors of 2^-12 an operation.
    np.testing.assert_allclose(a, b, atol=0.05)
    assert not np.array_equal(a, b)


def test_a_tower_that_reuses_variables_finds_those_of_the_first():
    """bert-ad's scripts call `reuse_variables` after their first tower."""
    tf.set_random_seed(1)
    first = build()
    names = {variable.name for variable in tf.global_variables()}
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        second = build()
    assert {variable.name for variable in tf.global_variables()} == names
    a, b = run([first.pooled_output, second.pooled_output])
    np.testing.assert_array_equal(a, b)


def test_two_models_of_a_scope_are_reused_in_their_order():
    with tf.variable_scope("x"):
        models = [build(), build()]
    with tf.variable_scope("x", reuse=True):
        models += [build(), build()]
    assert [model.embedding_table.name.split("/")[1] for model in models] == [
        "bert",
        "bert_1",
        "bert",
        "bert_1",
    ]
    assert models[3].pooled_output.name == "x_1/bert_1/pooler/dense/Tanh:0"


def test_positions_can_be_left_out():
    tf.set_random_seed(1)
    inputs = [[7, 7]], [[1, 1]], [[0, 0]]
    model = build(inputs=inputs, use_position_embeddings=False)
    assert not [x for x in tf.global_variables() if "position" in x.name]
    states = run(model.sequence_output)
    np.testing.assert_allclose(states[0, 0], states[0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "points"),
    [
        # 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), x Phi(x), max(x, 0), tanh(x)
        ("gelu", [-0.0454023, -0.1588080, 0.0, 0.8411920, 1.9545977]),
        ("gelu_erf", [-0.0455003, -0.1586553, 0.0, 0.8413447, 1.9544997]),
        ("relu", [0.0, 0.0, 0.0, 1.0, 2.0]),
        ("tanh", [-0.9640276, -0.7615942, 0.0, 0.7615942, 0.9640276]),
    ],
)
def test_activations(name, points):
    function = modeling.get_activation(name)
    values = run(function(tf.constant([-2.0, -1.0, 0.0, 1.0, 2.0])))
    np.testing.assert_allclose(values, points, atol=1e-6)


@pytest.mark.parametrize("function", [modeling.gelu, modeling.gelu_erf])
def test_gelu_of_numbers(function):
    outputs = [function(x) for x in ([-1.0, 2.0], np.float32([-1.0, 2.0]))]
    tensor = function(tf.constant([-1.0, 2.0]))
    expected, *values = run([tensor, *outputs])
    np.testing.assert_array_equal(values, [expected] * 2)
    assert run(function(2.0)) == expected[1]


def test_get_activation_of_other_values():
    assert modeling.get_activation(None) is None
    assert modeling.get_activation("linear") is None
    assert modeling.get_activation(tf.sigmoid) is tf.sigmoid
    with pytest.raises(ValueError, match="swish"):
        modeling.get_activation("swish")


def test_config_round_trip(tmp_path):
    config = modeling.BertConfig.from_dict({"vocab_size": 99, "directionality": "bidi"})
    path = tmp_path / "bert_config.json"
    path.write_text(config.to_json_string())
    read = modeling.BertConfig.from_json_file(str(path))
    assert read.to_dict() == config.to_dict() == json.loads(path.read_text())
    assert (read.vocab_size, read.directionality, read.hidden_size) == (99, "bidi", 768)


def test_config_of_a_subclass():
    """Upstream's `from_dict` gives a `BertConfig` whatever class it is called on."""

    class Other(modeling.BertConfig):
        def __init__(self, vocab_size, num_labels):
            super().__init__(vocab_size)
            self.num_labels = num_labels

    config = Other.from_dict({"vocab_size": 7, "hidden_size": 5})
    assert type(config) is modeling.BertConfig
    assert (config.vocab_size, config.hidden_size) == (7, 5)


def test_attention_mask_from_input_mask():
    mask = tf.constant([[1, 1, 0], [1, 0, 0]])
    spread = modeling.create_attention_mask_from_input_mask(tf.zeros([2, 5]), mask)
    expected = np.repeat([[[1, 1, 0]], [[1, 0, 0]]], 5, axis=1)
    np.testing.assert_array_equal(run(spread), expected)


def test_attention_layer_over_another_sequence():
    rng = np.random.RandomState(2)
    from_tensor = rng.randn(2, 3, 10).astype(np.float32)
    to_tensor = rng.randn(2, 5, 9).astype(np.float32)
    mask = rng.randint(0, 2, [2, 3, 5])
    flat = modeling.attention_layer(
        tf.reshape(from_tensor, [6, 10]),
        tf.reshape(to_tensor, [10, 9]),
        attention_mask=tf.constant(mask),
        num_attention_heads=2,
        size_per_head=4,
        query_act=tf.tanh,
        initializer_range=0.5,
        do_return_2d_tensor=True,
        batch_size=2,
        from_seq_length=3,
        to_seq_length=5,
    )
    variables = {v.op.name: v for v in tf.global_variables()}
    w, value = run([variables, flat])

    def project(x, name):
        return (x @ w[f"{name}/kernel"] + w[f"{name}/bias"]).reshape(2, -1, 2, 4)

    q, k, v = (
        np.tanh(project(from_tensor, "query")),
        project(to_tensor, "key"),
        project(to_tensor, "value"),
    )
    scores = np.einsum("bfnh,btnh->bnft", q, k) / 2.0 - 1e4 * (1 - mask[:, None])
    expected = np.einsum("bnft,btnh->bfnh", reference.softmax(scores), v)
    np.testing.assert_allclose(value, expected.reshape(6, 8), atol=1e-5)


def test_attention_layer_needs_sizes_of_2d_inputs():
    with pytest.raises(ValueError, match="batch_size"):
        modeling.attention_layer(tf.zeros([6, 8]), tf.zeros([6, 8]))


def test_hidden_size_must_be_a_multiple_of_heads():
    with pytest.raises(ValueError, match="num_attention_heads"):
        build(make_config(hidden_size=30))


def test_assert_rank_names_the_tensor():
    matrix = tf.zeros([2, 3], name="matrix")
    with pytest.raises(ValueError, match=r"my_ids has rank 2.* wanted is rank 3$"):
        modeling.assert_rank(matrix, 3, name="my_ids")
    with tf.variable_scope("inner"), pytest.raises(
        ValueError, match=r"matrix:0 has .* rank 1 or 3 \(in variable scope inner\)"
    ):
        modeling.assert_rank(matrix, [1, 3])
    modeling.assert_rank(matrix, [2, 3])


def test_other_faults_of_shape_name_the_argument():
    matrix, cube = tf.zeros([2, 8]), tf.zeros([2, 3, 8])
    with pytest.raises(ValueError, match="rank 1"):
        modeling.reshape_to_matrix(tf.zeros([4]))
    with pytest.raises(ValueError, match="from_tensor of rank 2"):
        modeling.attention_layer(matrix, cube)
    with pytest.raises(ValueError, match="token_type_ids"):
        modeling.embedding_postprocessor(cube, use_token_type=True)
    with pytest.raises(ValueError, match="hidden_size=12"):
        modeling.transformer_model(cube, hidden_size=12)


@pytest.mark.parametrize("first_token_only", [False, True])
def test_no_layers_leave_the_input(first_token_only):
    cube = tf.random.uniform([2, 3, 8])
    sizes = {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 0,
        "first_token_only": first_token_only,
    }
    output = modeling.transformer_model(cube, **sizes)
    layers = modeling.transformer_model(cube, do_return_all_layers=True, **sizes)
    assert layers == []
    np.testing.assert_array_equal(*run([cube, output]))


def test_shape_list_mixes_static_and_dynamic():
    tensor = tf.placeholder(tf.float32, [None, 5])
    shape = modeling.get_shape_list(tensor, expected_rank=2)
    assert shape[1] == 5
    assert run(shape[0], {tensor: np.zeros([3, 5])}) == 3


def test_reshape_there_and_back():
    tensor = tf.reshape(tf.range(30), [2, 3, 5])
    matrix = modeling.reshape_to_matrix(tensor)
    assert matrix.shape.as_list() == [6, 5]
    back = modeling.reshape_from_matrix(matrix, [2, 3, 5])
    np.testing.assert_array_equal(*run([tensor, back]))


def test_assignment_map(tmp_path):
    tf.get_variable("bert/a", [2])
    tf.get_variable("other", [3])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "bert_model.ckpt"))
    helpers.reset_graph()
    variables = [tf.get_variable("bert/a", [2]), tf.get_variable("new", [1])]
    for find in (
        modeling.get_assignment_map_from_checkpoint,
        modeling.get_assigment_map_from_checkpoint,
    ):
        mapping, names = find(variables, path)
        assert dict(mapping) == {"bert/a": "bert/a"}
        assert names == {"bert/a": 1, "bert/a:0": 1}


def test_positional_arguments_are_those_of_upstream():
    # Upstream's signatures, as its callers use them.
    expected = {
        modeling.BertModel.__init__: "self config is_training input_ids input_mask "
        "token_type_ids use_one_hot_embeddings scope",
        modeling.embedding_lookup: "input_ids vocab_size embedding_size "
        "initializer_range word_embedding_name use_one_hot_embeddings",
        modeling.transformer_model: "input_tensor attention_mask hidden_size "
        "num_hidden_layers num_attention_heads intermediate_size intermediate_act_fn "
        "hidden_dropout_prob attention_probs_dropout_prob initializer_range "
        "do_return_all_layers",
        modeling.layer_norm_and_dropout: "input_tensor dropout_prob name",
    }
    for function, names in expected.items():
        positional = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind == parameter.POSITIONAL_OR_KEYWORD
        ]
        assert positional == names.split()


@pytest.mark.once
@pytest.mark.skipif(
    not helpers.SHARED_DATA.exists(), reason="the folder of real data is not there"
)
def test_variables_are_those_of_real_checkpoints():
    folder = helpers.SHARED_DATA / "weights/google_chinese_L-12_H-768_A-12_index_only"
    config = modeling.BertConfig.from_json_file(str(folder / "bert_config.json"))
    modeling.BertModel(config, False, tf.zeros([1, 2], tf.int32))
    ours = {v.op.name: str(v.shape.as_list()) for v in tf.global_variables()}
    rows = (folder / "tensors.tsv").read_text().splitlines()[1:]
    real = {row.split("\t")[0]: row.split("\t")[2] for row in rows}
    assert ours == {k: v for k, v in real.items() if k.startswith("bert/")}
