"""Forward passes: every row once, in order, for any batch size and number of towers."""

import collections
import csv
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.engine import evaluation, forward
from bert_my.model import checkpoints
from bert_my.tasks import base
from tests import helpers
from tests.engine import toy_tasks


@pytest.fixture(scope="module")
def checkpoint(task, tmp_path_factory):
    """A checkpoint of random weights."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(2)
        ids = tf.ones([1, 3], tf.int32)
        inputs = {"input_ids": ids, "input_mask": ids, "segment_ids": ids}
        task.build(inputs, is_training=False)
        step = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(step, 17))
        # Far apart, so that rows can be told from their probabilities.
        weights = helpers.variable("output_weights")
        session.run(tf.assign(weights, 10.0 * weights))
        folder = tmp_path_factory.mktemp("checkpoint")
        return tf.train.Saver().save(session, str(folder / "model.ckpt"))


@pytest.fixture(scope="module")
def expected_test(task, checkpoint, tmp_path_factory):
    """Probabilities `[11, 2]` of the test set."""
    folder = tmp_path_factory.mktemp("cache")
    records = helpers.make_records(task, base.TEST, folder)
    return probabilities(task, records, settings(checkpoint))


def settings(checkpoint, num_towers=2, batch_size=3):
    devices = helpers.cpu_devices(num_towers)
    return forward.EvalSettings(checkpoint, devices, batch_size, "fp32")


def probabilities(task, records, settings):
    with forward.forward(task, records, settings, ["probabilities"]) as batches:
        rows = [batch.predictions["probabilities"] for batch in batches]
    return np.concatenate(rows)


def read_table(path):
    with open(str(path), encoding="utf-8", newline="") as reader:
        return list(csv.DictReader(reader, delimiter="\t"))


@pytest.mark.once
def test_every_batch_size_and_tower_count_gives_the_same_rows(
    task, checkpoint, tmp_path
):
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")
    expected = probabilities(task, records, settings(checkpoint, 1, 13))
    assert expected.shape == (13, 2)
    assert len(np.unique(expected[:, 0])) > 8
    for num_towers, batch_size in ((1, 1), (1, 5), (2, 3), (3, 2), (4, 7)):
        actual = probabilities(
            task, records, settings(checkpoint, num_towers, batch_size)
        )
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_scores_equal_those_of_the_rows(task, checkpoint, tmp_path):
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")
    scores = evaluation.evaluate(
        task, {"dev": records}, settings(checkpoint), str(tmp_path)
    )
    rows = probabilities(task, records, settings(checkpoint))
    labels = np.array([int(e.label) for e in task.read_examples(base.DEV)])
    assert scores["eval_accuracy"] == np.mean(rows.argmax(-1) == labels)
    loss = -np.mean(np.log(rows[np.arange(13), labels]))
    assert scores["eval_loss"] == scores["loss"] == pytest.approx(loss, rel=1e-4)
    assert scores["global_step"] == 17
    assert {"auc", "precision", "recall", "f1"} <= set(scores)
    predicted = read_table(tmp_path / "dev_predictions.tsv")
    assert [int(row["label"]) for row in predicted] == labels.tolist()
    assert [float(row["probability_1"]) for row in predicted] == pytest.approx(
        rows[:, 1].tolist(), abs=1e-6
    )


@pytest.mark.parametrize(
    "batch_size",
    [
        3,
        pytest.param(6, marks=pytest.mark.once),
        *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 2, 4, 5)),
    ],
)
def test_predict_writes_a_line_for_each_row(
    task, checkpoint, expected_test, tmp_path, batch_size
):
    records = helpers.make_records(task, base.TEST, tmp_path / "cache")
    evaluation.predict(
        task, records, settings(checkpoint, 2, batch_size), str(tmp_path)
    )
    expected = expected_test
    classes = (tmp_path / "predict.txt").read_text().splitlines()
    assert classes == [str(c) for c in expected.argmax(-1)]
    shares = np.loadtxt(str(tmp_path / "test_results.tsv"))
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    rows = read_table(tmp_path / "predictions.tsv")
    examples = list(task.read_examples(base.TEST))
    assert [row["text_a"] for row in rows] == [e.text_a for e in examples]
    assert [row["guid"] for row in rows] == [e.guid for e in examples]
    assert [row["label"] for row in rows] == [e.label for e in examples]
    assert [row["predicted_label"] for row in rows] == classes
    assert [int(row["index"]) for row in rows] == list(range(11))
    assert not list(tmp_path.glob("*.tmp"))


def test_a_prediction_that_is_not_finite_is_named(task, checkpoint, tmp_path):
    """The weights of a head are finite, and the logits of rows are not."""
    values = helpers.read_checkpoint(os.path.dirname(checkpoint))
    values["output_weights"] = np.full_like(values["output_weights"], 3e38)
    path = str(tmp_path / "model.ckpt")
    checkpoints.write(values, path)
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")
    run = evaluation.evaluate, evaluation.predict
    for job, sets in zip(run, ({"dev": records}, records)):
        with pytest.raises(InputError, match=r"row 1 \(eval0 '.*'\) are NaN or inf"):
            job(task, sets, settings(path), str(tmp_path))
    assert not list(tmp_path.glob("*.t*"))


def test_an_untrained_checkpoint_is_refused(task, tmp_path):
    tf.get_variable("output_bias", [2])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "other.ckpt"))
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")
    with pytest.raises(InputError, match=r"bert/.*--do_train"):
        probabilities(task, records, settings(path))


def test_means_are_scores():
    """Of all batches together; a mean without any weight is undefined, and no error."""
    batches = [
        ({"a": (6.0, 3.0), "b": (1.0, 2.0)}, {"accuracy": (2.0, 3.0), "none": (0, 0)}),
        ({"a": (2.0, 1.0), "b": (0.0, 0.0)}, {"accuracy": (1.0, 1.0), "none": (0, 0)}),
    ]
    found = [forward.Batch({}, *pairs) for pairs in batches]
    scores = evaluation.scores(toy_tasks.GuessTask(), None, found)
    assert np.isnan(scores.pop("none"))
    assert scores == {
        "accuracy": 0.75,
        "eval_loss": 2.5,
        "loss": 2.5,
    }


def test_a_loss_alone_has_no_score_of_its_own():
    found = [forward.Batch({}, {"loss": (0.0, 0.0)}, {})]
    scores = evaluation.scores(toy_tasks.GuessTask(), None, found)
    assert set(scores) == {"eval_loss", "loss"}
    assert np.isnan(scores["loss"])


def test_a_task_without_predictions_is_evaluated(tmp_path, monkeypatch):
    task = toy_tasks.GuessTask()
    batch = toy_tasks.make_batches(1)[0]

    def eval_batches(records, order):
        return tf.data.Dataset.from_tensor_slices(batch).batch(
            order.sizes[0], drop_remainder=True
        )

    monkeypatch.setattr(forward, "eval_batches", eval_batches)
    with tf.Graph().as_default(), tf.Session() as session:
        features = {name: tf.constant(value) for name, value in batch.items()}
        outputs = task.build(features, is_training=False)
        tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        pairs = session.run({**outputs.losses, **outputs.means})
    records = collections.namedtuple("Records", ["num_examples", "lengths"])(12, None)
    output_dir = tmp_path / "out"
    output_dir.mkdir()
    scores = evaluation.evaluate(
        task, {"dev": records}, settings(path, 2, 2), str(output_dir)
    )
    expected = {name: total / weight for name, (total, weight) in pairs.items()}
    assert expected.keys() == {"word_loss", "row_loss", "word_accuracy"}
    expected["loss"] = expected["word_loss"] + expected["row_loss"]
    expected.update({"eval_loss": expected["loss"], "global_step": 0})
    assert scores == pytest.approx(expected, rel=1e-5)
    assert not list(output_dir.iterdir())
