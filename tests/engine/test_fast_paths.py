"""Fast paths against plain ones: the same weights, and the same numbers, come out."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import devices, forward
from bert_my.model import fused
from bert_my.model.ops import InferenceOps
from tests import helpers
from tests.engine import step_runs, test_towers

NUM_STEPS = 3
needs_compiler = pytest.mark.skipif(
    not fused.supports_jit(), reason="this TensorFlow does not compile"
)


@pytest.fixture(scope="module")
def train(model_dir):
    """A function that trains with settings once, and remembers what came out."""
    results = {}

    def train(has_dropout=False, model_dir=model_dir, **settings):
        """Returns (losses, values of all variables) after some steps."""
        key = (has_dropout, model_dir, *sorted(settings.items()))
        if key not in results:
            make_task = helpers.make_task if has_dropout else step_runs.make_task
            task = make_task(model_dir, max_seq_length=test_towers.SEQ_LENGTH)
            assert (task.bert_config.hidden_dropout_prob > 0) == has_dropout
            run = step_runs.StepRun(
                model_dir, task=task, **{"learning_rate": 1e-3, **settings}
            )
            batches = test_towers.make_batches(NUM_STEPS)
            results[key] = [run.step(**batch) for batch in batches], run.values()
        return results[key]

    return train


def name_of(settings):
    return ",".join(settings) or "plain"


RECOMPUTE, XLA = {"recompute": 2}, {"use_xla": True}
BOTH = {"use_xla": True, "recompute": 1}
SETTINGS = [
    {},
    {"num_towers": 3},
    {"gradient_accumulation_steps": 3},
    {"num_towers": 2, "gradient_accumulation_steps": 2, "freeze": "embeddings"},
    {"optimizer": "lamb"},
    {"layer_lr_decay": 0.5, "head_learning_rate": 1e-2, "ema_decay": 0.5},
    {"adversarial": "fgm"},
]
# Each fast path with what it has most to do with; the others are slow.
TELLING = [(SETTINGS[3], RECOMPUTE), (SETTINGS[6], BOTH)]
CASES = [
    pytest.param(
        settings,
        fast,
        id=f"{name_of(settings)}-{name_of(fast)}",
        marks=[
            *([needs_compiler] if "use_xla" in fast else []),
            *([] if (settings, fast) in TELLING else [pytest.mark.slow]),
        ],
    )
    for settings in SETTINGS
    for fast in (XLA, RECOMPUTE, BOTH)
]


@pytest.mark.once
@pytest.mark.parametrize(("settings", "fast"), CASES)
def test_the_same_weights(train, settings, fast):
    losses, values = train(**settings)
    fast_losses, fast_values = train(**settings, **fast)
    assert fast_losses == pytest.approx(losses, abs=1e-5)
    # Adam's first steps are as long as the learning rate, 1e-3, whatever the gradient:
    # where it is nearly 0, a sum in another order moves them.
    helpers.assert_all_close(fast_values, values, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_towers": 2, "gradient_accumulation_steps": 2},
        pytest.param({"num_towers": 3}, marks=pytest.mark.slow),
        pytest.param({"gradient_accumulation_steps": 3}, marks=pytest.mark.slow),
        pytest.param({"adversarial": "fgm"}, marks=pytest.mark.slow),
        pytest.param({"use_xla": True}, marks=needs_compiler),
    ],
    ids=name_of,
)
def test_recomputed_layers_drop_the_same_again(train, small_model_dir, settings):
    """In every tower, every part of a batch and every step."""
    settings = {**settings, "model_dir": small_model_dir}
    losses, values = train(has_dropout=True, **settings)
    again, values_again = train(has_dropout=True, recompute=1, **settings)
    assert again == pytest.approx(losses, abs=1e-5)
    helpers.assert_all_close(values_again, values, atol=2e-5)
    without, _ = train(**settings)
    assert np.abs(np.subtract(without, losses)).min() > 1e-3


@needs_compiler
@pytest.mark.parametrize(
    # 11 and 8 bits of mantissa.
    ("precision", "atol"),
    [("fp16", 1e-2), pytest.param("bf16", 5e-2, marks=pytest.mark.slow)],
)
def test_compiled_steps_in_low_precision(train, precision, atol):
    losses, _ = train()
    found, values = train(precision=precision, use_xla=True)
    assert found == pytest.approx(losses, abs=atol)
    assert values["global_step"] == NUM_STEPS


@needs_compiler
def test_a_compiled_step_that_is_not_finite_changes_nothing(small_model_dir):
    run = step_runs.StepRun(small_model_dir, use_xla=True)
    name = "bert/encoder/layer_0/output/dense/bias"
    run.load(name, run.values()[name] * float("inf"))
    before = run.values()
    run.step()
    after = run.values()
    assert after["loss_scale/num_skipped_steps"] == 1
    for unchanged in ("global_step", "bert/encoder/layer_0/output/dense/kernel"):
        assert (after[unchanged] == before[unchanged]).all()


def executed(fetch):
    """Returns the set of the kinds of operations that a run needed."""
    metadata = tf.RunMetadata()
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(fetch, options=options, run_metadata=metadata)
    labels = [
        node.timeline_label.split(" = ")[-1]
        for each in metadata.step_stats.dev_stats
        for node in each.node_stats
    ]
    return {label.split("(")[0] for label in labels}


@pytest.mark.parametrize(
    # 8 bits of mantissa, of numbers up to about 8.
    ("dtype", "atol"),
    [(tf.float32, 1e-5), (tf.bfloat16, 0.04)],
)
def test_fused_layer_norm_is_the_plain_one(dtype, atol):
    """Of a deviation around a mean ten times as large too, and of a row of zeros."""
    if not devices.supports_fused_layer_norm(dtype, helpers.cpu_devices(1)):
        pytest.skip("this TensorFlow has no such kernel")
    random = np.random.RandomState(4)
    rows = random.randn(3, 5, 64) + np.array([0.0, 0.0, 10.0])[:, None, None]
    rows[1, 2] = 0.0
    x = tf.cast(tf.constant(rows, tf.float32), dtype)
    with tf.variable_scope("LayerNorm"):
        tf.get_variable("gamma", initializer=tf.random.normal([64], seed=1) + 1.0)
        tf.get_variable("beta", initializer=tf.random.normal([64], seed=2))
    results = []
    for fuses in (True, False):
        ops = InferenceOps(dtype, fuses_layer_norm=fuses)
        with tf.variable_scope("", reuse=True):
            results.append(modeling.layer_norm(x, name="LayerNorm", ops=ops))
        assert results[-1].dtype == dtype
        assert results[-1].shape.as_list() == [3, 5, 64]
    assert "_MklLayerNorm" in executed(results[0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        fused, plain = session.run([tf.cast(each, tf.float32) for each in results])
    np.testing.assert_allclose(fused, plain, atol=atol)
    assert np.abs(plain).max() > 1


def test_layer_norm_is_not_fused_on_a_gpu():
    gpu = devices.Devices(("/gpu:0",), num_cpus=1, has_gpus=True)
    assert not devices.supports_fused_layer_norm(tf.float32, gpu)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_forward_passes_fuse_layer_norm(model_dir, tmp_path, precision):
    dtype = devices.PRECISIONS[precision]
    if not devices.supports_fused_layer_norm(dtype, helpers.cpu_devices(1)):
        pytest.skip("this TensorFlow has no such kernel")
    helpers.write_titles(tmp_path)
    task = helpers.make_task(model_dir, tmp_path)
    records = helpers.make_records(task, "dev", tmp_path / "cache")
    settings = forward.EvalSettings(None, helpers.cpu_devices(2), 4, precision)
    forward_pass = forward.build_pass(task, records, settings, ["probabilities"])
    kinds = {op.type for op in tf.get_default_graph().get_operations()}
    assert "_MklLayerNorm" in kinds
    with tf.Session(config=settings.devices.session_config()) as session:
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        batches = list(forward_pass.batches(session.run))
    assert sum(len(batch.predictions["probabilities"]) for batch in batches) == 13


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_gelu_is_fused_with_the_product_before_it(dtype):
    """In a forward pass, where TensorFlow is built with oneDNN and uses it."""
    layer = modeling.transformer_model(
        tf.cast(tf.random.uniform([3, 5, 16], seed=1), dtype),
        attention_mask=tf.ones([3, 1, 5]),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    if not devices.supports(dtype, helpers.cpu_devices(1)):
        pytest.skip("this TensorFlow cannot compute it")
    kinds = executed(tf.reduce_sum(tf.cast(layer, tf.float32)))
    if "_MklNativeFusedMatMul" not in kinds:
        pytest.skip("this TensorFlow does not use oneDNN")
    assert "Tanh" not in kinds
