"""Averages of the weights: the recurrence, and where they stand for the weights."""

import numpy as np
import pytest
import safetensors.numpy
import tensorflow.compat.v1 as tf

from bert_my.engine import forward
from bert_my.model import checkpoints, hf_checkpoints
from bert_my.serving import export, predictor
from bert_my.tasks import base
from tests import helpers
from tests.engine.step_runs import StepRun, is_weight

DECAY = 0.25


@pytest.fixture(scope="module")
def trained(small_model_dir):
    """(values of all variables after each of five steps, path of a checkpoint)."""
    run = StepRun(small_model_dir, num_towers=2, ema_decay=DECAY)
    states = []
    for _ in range(5):
        run.step()
        states.append(run.values())
    return states, run.save(small_model_dir / "trained.ckpt")


@pytest.fixture(scope="module")
def replaced(small_model_dir, trained):
    """Path of a checkpoint with the averages in place of the weights, and no others."""
    states, _ = trained
    with tf.Graph().as_default(), tf.Session() as session:
        for name in filter(is_weight, states[-1]):
            tf.get_variable(name, initializer=states[-1][f"{name}/average"])
        tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(small_model_dir / "replaced.ckpt"))


def test_averages_follow_the_recurrence(trained):
    states, _ = trained
    # 0, 1/10, 2/11, 3/12, and from then on the decay, which is less than 4/13.
    decays = [0, 0.1, 2 / 11, 0.25, 0.25]
    for name in filter(is_weight, states[0]):
        expected = np.zeros_like(states[0][name], np.float64)
        for decay, state in zip(decays, states):
            expected = decay * expected + (1 - decay) * state[name]
            # The rounding of float32 for weights of up to 1.7.
            np.testing.assert_allclose(
                state[f"{name}/average"], expected, atol=5e-7, err_msg=name
            )
        if not name.endswith("key/bias"):  # whose gradient is 0
            assert np.abs(expected - states[-1][name]).max() > 1e-4, name


def test_skipped_step_leaves_the_averages(small_model_dir):
    run = StepRun(small_model_dir, precision="fp16", ema_decay=DECAY)
    run.load("loss_scale/scale", 16.0)
    run.step()
    before = run.values()
    run.load("loss_scale/scale", 1e38)
    run.step()
    after = run.values()
    assert (before["global_step"], after["global_step"]) == (1, 1)
    assert after["loss_scale/num_skipped_steps"] == 1
    names = [name for name in before if is_weight(name) or name.endswith("/average")]
    for name in names:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    run.load("loss_scale/scale", 16.0)
    run.step()
    last = run.values()
    assert not np.array_equal(last["output_bias/average"], after["output_bias/average"])


def test_frozen_weights_need_no_average(small_model_dir):
    run = StepRun(small_model_dir, ema_decay=DECAY, freeze="bert")
    run.step()
    values = run.values()
    assert [name for name in values if name.endswith("/average")] == [
        "output_weights/average",
        "output_bias/average",
    ]


def probabilities(task, records, checkpoint):
    settings = forward.EvalSettings(checkpoint, helpers.cpu_devices(2), 3, "fp32")
    with forward.forward(task, records, settings, ["probabilities"]) as batches:
        rows = [batch.predictions["probabilities"] for batch in batches]
    return np.concatenate(rows)


def test_evaluation_and_export_use_the_averages(
    small_model_dir, titles, tmp_path, trained, replaced
):
    _, checkpoint = trained
    task = helpers.make_task(small_model_dir, titles)
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")
    expected = probabilities(task, records, replaced)
    np.testing.assert_array_equal(probabilities(task, records, checkpoint), expected)
    vocab_file = str(small_model_dir / "vocab.txt")
    folder = export.export(task, checkpoint, vocab_file, str(tmp_path))
    text = next(task.read_examples(base.DEV)).text_a
    with predictor.Predictor(folder) as model:
        (result,) = model.predict_texts([text])
    # The exported model sees no padding; over it float32 rounds to 1e-6.
    found = list(result["probabilities"].values())
    np.testing.assert_allclose(found, expected[0], atol=1e-6)


def test_names_in_a_checkpoint(trained):
    _, checkpoint = trained
    variables = [tf.get_variable(name, [2]) for name in ("output_bias", "other")]
    restore, missing = checkpoints.check_fits(checkpoints.Reader(checkpoint), variables)
    assert restore.sources == [("output_bias/average", variables[0])]
    assert missing == ["other"]


def test_a_run_starts_from_the_averages_of_another(trained):
    states, checkpoint = trained
    variable = tf.get_variable("output_bias", [2])
    with tf.Session() as session:
        checkpoints.restore_initial(checkpoint, [variable]).run(session)
        value = session.run(variable)
    np.testing.assert_array_equal(value, states[-1]["output_bias/average"])


def test_hugging_face_weights_are_the_averages(
    small_model_dir, tmp_path, trained, replaced
):
    def convert(checkpoint, name):
        files = (small_model_dir / "bert_config.json", small_model_dir / "vocab.txt")
        report = hf_checkpoints.to_hf(
            checkpoint, *map(str, files), str(tmp_path / name)
        )
        path = tmp_path / name / "model.safetensors"
        return report, safetensors.numpy.load_file(str(path))

    report, actual = convert(trained[1], "trained")
    plain_report, expected = convert(replaced, "replaced")
    helpers.assert_all_close(actual, expected, atol=0)
    assert "averages of the weights" in str(report)
    assert "averages" not in str(plain_report)
    left = {name for name in report.not_converted if not name.startswith("loss_scale")}
    assert left == {"global_step", "data_position", "global_batch_size"}
