"""Export: the SavedModel gives the checkpoint's probabilities, here and elsewhere."""

import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.engine import forward
from bert_my.serving import export, predictor
from bert_my.tasks import base
from tests import helpers

LABELS = {"0": 0, "1": 1}


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    return helpers.write_tiny_model(path, num_hidden_layers=1)


@pytest.fixture(scope="module")
def titles(tmp_path_factory):
    return helpers.write_titles(tmp_path_factory.mktemp("titles"))


@pytest.fixture(scope="module")
def trained(tiny_model, titles, tmp_path_factory):
    """Output folder of a short run with an export."""
    output_dir = tmp_path_factory.mktemp("trained") / "out"
    jobs = ("do_train", "save_for_serving")
    helpers.run(helpers.command(tiny_model, titles, output_dir, *jobs, n_gpus=2))
    return output_dir


def dev_rows(model_dir, titles, output_dir):
    """Returns (features, probabilities) of the dev set by the training code."""
    task = helpers.make_task(model_dir, titles)
    records = helpers.make_records(task, base.DEV, output_dir / "cache")
    checkpoint = tf.train.latest_checkpoint(str(output_dir))
    devices = helpers.cpu_devices(1)
    settings = forward.EvalSettings(checkpoint, devices, 13, "fp32")
    outputs = ("probabilities", "logits", "label")
    with forward.forward(task, records, settings, outputs) as batches:
        (batch,) = batches
    features = records.gather(range(records.num_examples))
    del features["label_ids"]
    return features, batch.predictions


def test_saved_model_equals_the_checkpoint(tiny_model, titles, trained):
    features, expected = dev_rows(tiny_model, titles, trained)
    with predictor.Predictor(helpers.version_folder(trained)) as model:
        actual = model.predict(features)
        assert set(model.inputs) == {"input_ids", "input_mask", "segment_ids"}
        assert set(actual) == {"probabilities", "logits", "label"}
        assert model.label_map == LABELS
        for name in actual:
            np.testing.assert_allclose(actual[name], expected[name], atol=1e-6)
        # Batch and length are free.
        short = {name: value[:2, :9] for name, value in features.items()}
        is_short = features["input_mask"][:2].sum(-1) <= 9
        np.testing.assert_allclose(
            model.predict(short)["probabilities"][is_short],
            expected["probabilities"][:2][is_short],
            atol=1e-6,
        )


def test_old_clients_may_send_labels(tiny_model, titles, trained):
    features, expected = dev_rows(tiny_model, titles, trained)
    features["label_ids"] = np.zeros(13, np.int32)
    folder = helpers.version_folder(trained)
    with predictor.Predictor(folder, base.WITH_LABEL_IDS) as model:
        actual = model.predict(features)
    np.testing.assert_allclose(
        actual["probabilities"], expected["probabilities"], atol=1e-6
    )


def test_what_the_folder_holds(tiny_model, trained):
    folder = helpers.version_folder(trained)
    assert os.path.basename(folder).isdigit()
    vocab = os.path.join(folder, "assets.extra", "vocab.txt")
    with open(vocab, "rb") as reader:
        assert reader.read() == (tiny_model / "vocab.txt").read_bytes()
    names = [
        name
        for name, _ in tf.train.list_variables(
            os.path.join(folder, "variables", "variables")
        )
    ]
    assert "output_weights" in names
    assert not [name for name in names if "adam" in name or "step" in name]


@pytest.mark.once
def test_a_finished_run_is_not_exported_again(tiny_model, titles, trained):
    version = helpers.version_folder(trained)
    jobs = ("do_train", "save_for_serving")
    helpers.run(helpers.command(tiny_model, titles, trained, *jobs, n_gpus=2))
    assert helpers.version_folder(trained) == version


@pytest.mark.once
def test_a_damaged_export_does_not_count(tiny_model, titles, trained, tmp_path, caplog):
    caplog.set_level("WARNING", "bert_my")
    task = helpers.make_task(tiny_model, titles)
    checkpoint = tf.train.latest_checkpoint(str(trained))
    serving = tmp_path / "serving"
    shutil.copytree(str(trained / "serving"), str(serving))
    version = export.find(task, checkpoint, str(serving))
    assert version
    extra = os.path.join(version, "assets.extra")
    # As for a server: a file of somebody else is none of the export's.
    open(os.path.join(extra, "tf_serving_warmup_requests"), "wb").close()
    assert export.find(task, checkpoint, str(serving)) == version
    assert not caplog.messages
    open(os.path.join(version, "saved_model.pb"), "wb").close()
    assert export.find(task, checkpoint, str(serving)) is None
    assert "saved_model.pb: is not as it was exported" in caplog.text
    for text in ("[]", "{}", ""):
        with open(os.path.join(extra, export.SOURCE), "w") as writer:
            writer.write(text)
        assert export.find(task, checkpoint, str(serving)) is None


def test_versions_do_not_collide(tiny_model, titles, trained, tmp_path):
    output_dir = tmp_path / "out"
    shutil.copytree(str(trained), str(output_dir))
    argv = helpers.command(tiny_model, titles, output_dir, "save_for_serving")
    helpers.run(argv)
    helpers.run(argv)
    folders = sorted(path.name for path in (output_dir / "serving").iterdir())
    assert len(folders) == 3
    assert all(name.isdigit() for name in folders)


def other_python():
    """Returns the interpreter of the other environment, or None."""
    other = ".venv-tf1" if tf.__version__.startswith("2.") else ".venv"
    path = helpers.ROOT / other / "bin" / "python"
    return str(path) if path.exists() else None


@pytest.mark.skipif(other_python() is None, reason="one environment only")
def test_the_other_tensorflow_loads_it(tiny_model, titles, trained, tmp_path):
    """Exported on the other TensorFlow, loaded on this one; the tests run on both."""
    argv = helpers.command(
        tiny_model,
        titles,
        tmp_path / "other",
        "do_predict",
        "save_for_serving",
        init_checkpoint=tf.train.latest_checkpoint(str(trained)),
    )
    helpers.run_script("bert_my/run_classifier_lr.py", argv, python=other_python())
    features, expected = dev_rows(tiny_model, titles, trained)
    with predictor.Predictor(helpers.version_folder(tmp_path / "other")) as model:
        actual = model.predict(features)
    np.testing.assert_allclose(
        actual["probabilities"], expected["probabilities"], atol=1e-5
    )
