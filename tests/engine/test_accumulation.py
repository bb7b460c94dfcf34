"""Accumulated gradients: small batches give the update of the large one."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import devices, train_graph, training
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from tests import helpers
from tests.engine import test_towers, toy_tasks
from tests.engine.step_runs import StepRun, is_weight, make_task

NUM_STEPS = 2
# Gradients below do not count: that of the keys' bias is made of rounding errors.
SMALL = 1e-4


def run_steps(small_model_dir, batches, num_towers, k, task=None, **settings):
    """Returns (values of all variables after the steps, losses, monitored values)."""
    run = StepRun(
        small_model_dir,
        num_towers,
        batches[0],
        task=task,
        gradient_accumulation_steps=k,
        learning_rate=1e-3,
        adam_epsilon=SMALL,
        **settings,
    )
    graph = run.graph
    losses, monitored, norms = [], [], []
    for batch in batches:
        loss, values, norm, _ = run.fetch(
            [graph.loss, graph.monitored, graph.step.gradient_norm, graph.train_op],
            **batch,
        )
        losses.append(loss)
        monitored.append(values)
        norms.append(norm)
    return run.values(), losses, monitored, norms


def check_equal(small_model_dir, batches, task=None, splits=((2, 3),), **settings):
    """Compares one tower that takes the whole batch at once with others.

    Args:
      splits: (number of towers, number of parts of each tower's batch).
    """
    expected = run_steps(small_model_dir, batches, 1, 1, task, **settings)
    for num_towers, k in splits:
        actual = run_steps(small_model_dir, batches, num_towers, k, task, **settings)
        # Weights move by up to 0.001 in a step.
        helpers.assert_all_close(actual[0], expected[0], atol=1e-6)
        for actual_values, expected_values in zip(actual[1:], expected[1:]):
            for value, expected_value in zip(actual_values, expected_values):
                assert value == pytest.approx(expected_value, rel=1e-5)
    return expected


@pytest.mark.parametrize(
    "settings",
    [
        {
            "splits": [(2, 3)],
            "adversarial": "fgm",
            "freeze": "embeddings",
            "ema_decay": 0.5,
        },
        pytest.param(
            {
                "splits": [(1, 4)],
                "optimizer": "lamb",
                "layer_lr_decay": 0.5,
                "head_learning_rate": 1e-2,
                "freeze": "pooler",
            },
            marks=pytest.mark.once,
        ),
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                {},
                {"adversarial": "fgm", "freeze": "embeddings"},
                {"adversarial": "fgm", "ema_decay": 0.5},
                {"layer_lr_decay": 0.5, "head_learning_rate": 1e-2, "freeze": "pooler"},
                {"optimizer": "lamb"},
            )
        ),
    ],
)
def test_parts_equal_the_whole(small_model_dir, settings):
    """With looked-up words, rows that do not count, and clipping."""
    settings = {"splits": [(2, 3), (1, 4)], **settings}
    batches = test_towers.make_batches(NUM_STEPS)
    *_, norms = check_equal(small_model_dir, batches, **settings)
    assert max(norms) > 1


@pytest.mark.parametrize(
    ("precision", "recompute"),
    [
        ("fp16", 1),
        pytest.param("bf16", 0, marks=pytest.mark.once),
        pytest.param("fp16", 0, marks=pytest.mark.slow),
        pytest.param("bf16", 1, marks=pytest.mark.slow),
    ],
)
def test_parts_in_low_precision_cast_weights_once(
    small_model_dir, precision, recompute
):
    dtype = devices.PRECISIONS[precision]
    if not devices.supports(dtype, helpers.cpu_devices(1)):
        pytest.skip(f"this TensorFlow cannot compute {precision} on a CPU")
    batches = test_towers.make_batches(NUM_STEPS)
    settings = {"precision": precision, "recompute": recompute}
    values, losses, _, norms = run_steps(small_model_dir, batches, 2, 3, **settings)
    expected, expected_losses, _, expected_norms = run_steps(
        small_model_dir, batches, 1, 1
    )
    assert losses == pytest.approx(expected_losses, abs=0.02)
    assert norms == pytest.approx(expected_norms, rel=0.05)
    values, expected = (
        {name: value for name, value in each.items() if is_weight(name)}
        for each in (values, expected)
    )
    # Where a gradient is rounded to 0, a weight stays behind by two steps.
    helpers.assert_all_close(values, expected, atol=2.1e-3)
    run = StepRun(
        small_model_dir, batch=batches[0], gradient_accumulation_steps=3, **settings
    )
    with run.tf_graph.as_default():
        kernels = {tuple(v.shape.as_list()) for v in tf.trainable_variables()}
    of_kernels = [
        op._get_control_flow_context() is not None
        for op in run.tf_graph.get_operations()
        if op.type == "Cast"
        and op.outputs[0].dtype == dtype
        and tuple(op.inputs[0].shape.as_list() or ()) in kernels
        and op.inputs[0].shape.ndims == 2
    ]
    # All are before the loop, but for those of layers that are computed once more.
    assert any(of_kernels) == bool(recompute)
    assert not all(of_kernels)


def test_losses_with_weights_of_their_own(small_model_dir):
    task = toy_tasks.GuessTask()
    batches = toy_tasks.make_batches(NUM_STEPS)
    _, losses, monitored, _ = check_equal(small_model_dir, batches, task)
    names = {"word_loss", "row_loss", "word_accuracy"}
    for loss, values in zip(losses, monitored):
        assert set(values) == names
        assert loss == pytest.approx(values["word_loss"] + values["row_loss"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("info", {"head": "rcnn"}),
        pytest.param("info", {"head": "mean"}, marks=pytest.mark.slow),
    ],
)
def test_loops_inside_of_the_loop(small_model_dir, name, options):
    """And a pooler that is not used, which has no gradient."""
    task = make_task(small_model_dir, name=name, options=TaskOptions(**options))
    batches = test_towers.make_batches(NUM_STEPS)
    check_equal(small_model_dir, batches, task, splits=[(1, 3)])


@pytest.mark.once
def test_a_chain_of_tags(small_model_dir):
    options = TaskOptions(labels="O,B-X,I-X", objective="crf")
    task = make_task(small_model_dir, name="ner", options=options)
    batches = test_towers.make_batches(NUM_STEPS)
    rng = np.random.RandomState(1)
    for batch in batches:
        mask = batch["input_mask"]
        batch["token_mask"] = mask
        batch["label_ids"] = (rng.randint(0, 4, mask.shape) * mask).astype(np.int32)
    check_equal(small_model_dir, batches, task, splits=[(1, 3)])


def test_one_bad_part_skips_the_whole_step(small_model_dir):
    run = StepRun(
        small_model_dir,
        2,
        toy_tasks.make_batches(1)[0],
        task=toy_tasks.GuessTask(),
        precision="fp16",
        gradient_accumulation_steps=3,
    )
    run.load("loss_scale/scale", 16.0)
    run.step()
    before = run.values()
    weights = run.batch["weights"].copy()
    weights[4, 1] = np.inf  # one part of the first tower
    run.step(weights=weights)
    after = run.values()
    assert after["loss_scale/num_skipped_steps"] == 1
    assert after["loss_scale/scale"] == 8
    for name in before:
        if not name.startswith(("loss_scale", "data_position")):
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    run.step()
    assert run.values()["global_step"] == 2


def test_each_part_and_step_has_dropout_of_its_own():
    """The gradient of a sum of kept elements tells which ones were kept."""
    k, size = 4, 64

    class KeptTask:
        bert_config = modeling.BertConfig(1, num_hidden_layers=1)

        def build(self, features, is_training, ops):
            weights = tf.get_variable(
                "w", [k, size], initializer=tf.zeros_initializer()
            )
            rows = tf.gather(weights, features["row"])
            kept = tf.reduce_sum(modeling.dropout(rows + 1.0, 0.5, ops=ops))
            return toy_tasks.Outputs({"loss": (kept, tf.ones([]))}, {}, {})

    batch = {
        "row": np.arange(k, dtype=np.int32),
        "input_mask": np.ones([k, 1], np.int32),
        "is_real_example": np.ones([k], np.float32),
    }

    def masks():
        with tf.Graph().as_default():
            settings = helpers.train_settings(
                "", 1, train_batch_size=1, gradient_accumulation_steps=k
            )
            features = {name: tf.constant(value) for name, value in batch.items()}
            plan = test_towers.make_plan(settings, 9)
            graph = train_graph.build_graph(KeptTask(), features, plan)
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                slots = []
                for _ in range(2):
                    session.run(graph.train_op)
                    slots.append(session.run(helpers.variable("w/adam_m")))
        return np.concatenate([slots[0] > 0, slots[1] > 0.9 * slots[0] + 1e-6])

    rows = masks()
    # Of 64 elements about half are kept, and no two rows keep the same.
    assert 0.35 < rows.mean() < 0.65
    assert len({row.tobytes() for row in rows}) == 2 * k
    np.testing.assert_array_equal(rows, masks())


@pytest.mark.slow  # a run without parts is resumed in `test_training`
def test_resumed_run_equals_an_uninterrupted_one(tiny_model, titles, tmp_path):
    task = helpers.make_task(tiny_model, titles)
    records = helpers.make_records(task, base.TRAIN, tmp_path / "cache")

    def train(name, num_train_steps):
        settings = helpers.train_settings(
            tmp_path / name,
            1,
            train_batch_size=4,
            gradient_accumulation_steps=2,
            num_train_steps=num_train_steps,
            warmup_proportion=0.0,
            learning_rate=1e-3,
        )
        # The learning rate is the same, wherever the run ends.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "optimization.learning_rate_at", lambda *args: tf.constant(1e-3)
            )
            training.train(task, records, settings)
        return helpers.read_checkpoint(tmp_path / name)

    whole = train("whole", 5)
    # 26 examples, of which a step takes 8: into the second epoch.
    assert whole["data_position"] == 40
    assert train("parts", 3)["global_step"] == 3
    helpers.assert_all_close(train("parts", 5), whole, atol=1e-6)


def test_weights_come_to_a_tower_once_and_not_for_each_part(small_model_dir):
    run = StepRun(small_model_dir, 3, gradient_accumulation_steps=2)
    ops = run.tf_graph.get_operations()
    entries = [op for op in ops if op.type == "Enter" and op.inputs[0].shape.ndims]
    towers = {tf.DeviceSpec.from_string(op.device).device_index for op in entries}
    assert towers == {0, 1, 2}
    for op in entries:
        assert op.inputs[0].op.device == op.device, op.name
