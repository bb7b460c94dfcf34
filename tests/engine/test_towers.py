"""Towers: N of them give the update that one gives for the same batch."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import devices as devices_lib
from bert_my.engine import towers, train_graph, train_plan
from tests import helpers

BATCH_SIZE, SEQ_LENGTH = 12, 7
NUM_EARLY_STEPS = 6


def make_batches(num_steps):
    """Batches with padding inside rows, and with rows that do not count."""
    rng = np.random.RandomState(3)
    batches = []
    for step in range(num_steps):
        lengths = rng.randint(2, SEQ_LENGTH + 1, BATCH_SIZE)
        mask = (np.arange(SEQ_LENGTH) < lengths[:, None]).astype(np.int32)
        is_real = np.ones(BATCH_SIZE, np.float32)
        if step % 2:
            # Uneven: the last towers have few real rows or none.
            is_real[5:] = 0.0
        batches.append(
            {
                "input_ids": (rng.randint(5, 29, mask.shape) * mask).astype(np.int32),
                "input_mask": mask,
                "segment_ids": np.zeros_like(mask),
                "label_ids": rng.randint(0, 2, BATCH_SIZE).astype(np.int32),
                "is_real_example": is_real,
            }
        )
    return batches


def make_plan(settings, num_steps, num_warmup_steps=0):
    return train_plan.Plan(
        settings,
        num_examples=BATCH_SIZE,
        num_rows=BATCH_SIZE * num_steps,
        num_train_steps=num_steps,
        num_warmup_steps=num_warmup_steps,
        checkpoint=None,
        first_step=0,
        first_row=0,
    )


def set_weights(session):
    """Gives the variables the same values in every graph, whatever ops it has."""
    rng = np.random.RandomState(5)
    variables = sorted(tf.trainable_variables(), key=lambda v: v.name)
    values = {
        variable.initializer.inputs[1]: 0.2 * rng.randn(*variable.shape.as_list())
        + ("gamma" in variable.name)
        for variable in variables
    }
    # One run: loading them one by one took a quarter of the time of a test.
    session.run([variable.initializer for variable in variables], values)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """`run_steps` with a tiny model, which remembers what came out for arguments."""
    folder = tmp_path_factory.mktemp("towers")
    model_dir = helpers.write_tiny_model(folder, num_hidden_layers=1)
    return functools.lru_cache(maxsize=None)(functools.partial(run_steps, model_dir))


def run_steps(
    tiny_model,
    num_towers,
    num_steps,
    precision="fp32",
    learning_rate=1e-3,
    devices=None,
):
    """Trains on fixed batches.

    Returns:
      (final weights and slots, losses, weights and slots after `NUM_EARLY_STEPS`).
    """
    task = helpers.make_task(tiny_model, max_seq_length=SEQ_LENGTH, has_dropout=False)
    settings = helpers.train_settings(
        "",
        num_towers,
        train_batch_size=BATCH_SIZE // num_towers,
        learning_rate=learning_rate,
        precision=precision,
    )
    if devices is not None:
        settings = dataclasses.replace(settings, devices=devices)
    plan = make_plan(settings, num_steps, num_warmup_steps=2)
    batches = make_batches(num_steps)
    with tf.Graph().as_default():
        features = {
            name: tf.placeholder(value.dtype, value.shape)
            for name, value in batches[0].items()
        }
        graph = train_graph.build_graph(task, features, plan)
        with tf.Session(config=settings.devices.session_config()) as session:
            session.run(tf.global_variables_initializer())
            set_weights(session)
            steps, early = [], None
            variables = {v.op.name: v for v in tf.global_variables()}
            for batch in batches:
                feeds = {features[name]: value for name, value in batch.items()}
                steps.append(
                    session.run(
                        [graph.loss, graph.step.gradient_norm, graph.train_op], feeds
                    )
                )
                if len(steps) == NUM_EARLY_STEPS:
                    early = session.run(variables)
            values = session.run(variables)
    assert values["global_step"] == num_steps
    # Clipping is at work.
    assert max(norm for _, norm, _ in steps) > 1.0
    return values, [loss for loss, _, _ in steps], early


SLOW_2 = pytest.param(2, marks=pytest.mark.slow)
SLOW_4 = pytest.param(4, marks=pytest.mark.slow)


@pytest.mark.parametrize("num_towers", [SLOW_2, 3, SLOW_4])
def test_n_towers_equal_one(train, num_towers):
    _, expected_losses, expected = train(1, num_steps=20)
    _, losses, actual = train(num_towers, num_steps=20)
    n = NUM_EARLY_STEPS
    np.testing.assert_allclose(losses[:n], expected_losses[:n], atol=1e-6)
    # 6 steps at a learning rate of 0.001 move weights by up to 0.006 each; biases
    # of keys, whose gradients are nothing but rounding, differ the most.
    helpers.assert_all_close(actual, expected, atol=6e-6)


@pytest.mark.once
def test_towers_may_share_a_device(train):
    *_, expected = train(1, num_steps=20)
    shared = helpers.cpu_devices(1)._replace(towers=("/cpu:0", "/cpu:0"))
    *_, actual = train(2, num_steps=20, devices=shared)
    helpers.assert_all_close(actual, expected, atol=6e-6)


@pytest.mark.parametrize("num_towers", [SLOW_2, 3, SLOW_4])
def test_towers_stay_equal_over_twenty_steps(train, num_towers):
    expected, *_ = train(1, num_steps=20)
    actual, *_ = train(num_towers, num_steps=20)
    helpers.assert_all_close(actual, expected, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize(
    # 11 and 8 bits of mantissa, over five steps.
    ("precision", "atol"),
    [("fp16", 1e-2), pytest.param("bf16", 5e-2, marks=pytest.mark.slow)],
)
def test_low_precision_trains_to_about_the_same(train, precision, atol):
    dtype = devices_lib.PRECISIONS[precision]
    if not devices_lib.supports(dtype, helpers.cpu_devices(1)):
        pytest.skip(f"this TensorFlow cannot compute {precision} on a CPU")
    run = {"num_towers": 2, "num_steps": 5, "learning_rate": 1e-2}
    _, expected_losses, _ = train(**run)
    actual, losses, _ = train(precision=precision, **run)
    # The losses go from 0.7 to 1.9 and back: what is compared has moved.
    np.testing.assert_allclose(losses, expected_losses, atol=atol)
    assert losses != expected_losses
    assert actual["loss_scale/num_good_steps"] == (5 if precision == "fp16" else 0)


def test_variables_and_slots_live_on_the_first_tower(tiny_model):
    task = helpers.make_task(tiny_model, max_seq_length=SEQ_LENGTH, has_dropout=False)
    settings = helpers.train_settings("", 3, train_batch_size=4)
    features = {name: tf.constant(v) for name, v in make_batches(1)[0].items()}
    train_graph.build_graph(task, features, make_plan(settings, 1))

    def indices(names):
        return {tf.DeviceSpec.from_string(name).device_index for name in names}

    assert indices(v.device for v in tf.global_variables()) == {0}
    ops = tf.get_default_graph().get_operations()
    assert indices(op.device for op in ops if op.type == "MatMul") == {0, 1, 2}


def test_missing_variable_is_named():
    def tower_fn(index, features):
        return tf.get_variable(f"only_{index}", [1])

    with pytest.raises(ValueError, match="only_1"):
        towers.build(tower_fn, {"x": tf.zeros([2])}, ["/cpu:0", "/cpu:1"])


def test_variables_used_by_some_towers_only_are_named():
    first, second = tf.get_variable("first", [1]), tf.get_variable("second", [1])
    losses = [tf.reduce_sum(first + second), tf.reduce_sum(first)]
    with pytest.raises(ValueError, match="second"):
        towers.gradients(
            losses, [first, second], ["/cpu:0", "/cpu:1"], towers.Reduction()
        )


def test_uneven_batch_is_an_error():
    with pytest.raises(ValueError, match=r"\bx\b.*\b5\b.*\b2\b"):
        towers.build(lambda *args: None, {"x": tf.zeros([5])}, ["/cpu:0", "/cpu:1"])


def test_losses_are_divided_by_the_weight_of_all_towers():
    # Rows 1..5 weigh 1, three rows 0: the mean is 3 on any split.
    losses = [
        {"a": (tf.constant(10.0), tf.constant(4.0)), "b": (tf.constant(0.0),) * 2},
        {"a": (tf.constant(5.0), tf.constant(1.0)), "b": (tf.constant(0.0),) * 2},
    ]
    with tf.Session() as session:
        values = session.run(towers.normalized_losses(losses, towers.Reduction()))
    np.testing.assert_allclose(values, [2.0, 1.0])


def test_sparse_gradients_are_put_together():
    table = tf.get_variable("table", initializer=np.ones([4, 1], np.float32))
    losses = [
        tf.reduce_sum(tf.gather(table, [1, 2])),
        2 * tf.reduce_sum(tf.gather(table, [2])),
    ]
    ((gradient, _),) = towers.gradients(
        losses, [table], ["/cpu:0", "/cpu:0"], towers.Reduction()
    )
    assert isinstance(gradient, tf.IndexedSlices)
    with tf.Session() as session:
        dense = session.run(tf.convert_to_tensor(gradient))
    np.testing.assert_array_equal(dense.ravel(), [0, 1, 3, 0])


def test_towers_reuse_an_encoder_with_a_default_scope():
    config = modeling.BertConfig(30, **helpers.CONFIG)
    inputs = {"ids": tf.ones([4, 3], tf.int32)}
    towers.build(
        lambda _, f: modeling.BertModel(config, False, f["ids"]).pooled_output,
        inputs,
        ["/cpu:0", "/cpu:1"],
    )
    assert all(v.name.startswith("bert/") for v in tf.global_variables())


class Twice(towers.Reduction):
    """Sums over two processes that have the same rows."""

    def add(self, parts):
        return 2 * super().add(parts)

    def add_slices(self, parts):
        return super().add_slices([*parts, *parts])


@pytest.mark.once
@pytest.mark.parametrize("num_parts", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_all_sums_of_a_step_pass_the_reduction(tiny_model, num_parts):
    """The loss of twice the same rows is the loss of these rows."""

    def first_loss(reduction):
        task = helpers.make_task(
            tiny_model, max_seq_length=SEQ_LENGTH, has_dropout=False
        )
        settings = helpers.train_settings(
            "",
            2,
            train_batch_size=BATCH_SIZE // 2 // num_parts,
            gradient_accumulation_steps=num_parts,
            reduction=reduction,
        )
        features = {name: tf.constant(v) for name, v in make_batches(2)[1].items()}
        graph = train_graph.build_graph(task, features, make_plan(settings, 1))
        with tf.Session(config=settings.devices.session_config()) as session:
            session.run(tf.global_variables_initializer())
            set_weights(session)
            return session.run(graph.loss)

    expected = first_loss(towers.Reduction())
    helpers.reset_graph()
    assert first_loss(Twice()) == pytest.approx(expected, rel=1e-6)


def test_gradients_of_twice_the_same_rows_are_those_of_the_rows():
    table = tf.get_variable("table", initializer=np.ones([4, 1], np.float32))
    scale = tf.get_variable("scale", initializer=np.float32(3.0))
    pairs = [
        {
            "loss": (
                tf.reduce_sum(tf.gather(table, [index, 1])) * scale,
                tf.constant(2.0),
            )
        }
        for index in (1, 2)
    ]
    found = []
    for reduction in (towers.Reduction(), Twice()):
        losses = towers.normalized_losses(pairs, reduction)
        grads_and_vars = towers.gradients(
            losses, [table, scale], ["/cpu:0", "/cpu:0"], reduction
        )
        found.append([tf.convert_to_tensor(gradient) for gradient, _ in grads_and_vars])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        (rows, factor), (rows_twice, factor_twice) = session.run(found)
    np.testing.assert_allclose(rows_twice, rows, rtol=1e-6)
    np.testing.assert_allclose(rows.ravel(), [0, 2.25, 0.75, 0])
    assert factor_twice == pytest.approx(factor) == pytest.approx(1.0)
