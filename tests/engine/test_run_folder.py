"""The files of a run: complete, whatever ended the run before."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder, state_files
from bert_my.engine.run_folder import RunFolder
from tests import helpers


@pytest.mark.parametrize(
    "name", [run_folder.SETTINGS, run_folder.TASK, run_folder.RESULTS]
)
@pytest.mark.parametrize(
    "text", ["{", "[1]", "", "\0\1\2" * 9, "2" * 9, '{"a":' * 99999]
)
def test_a_broken_file_is_named(tmp_path, name, text):
    folder = RunFolder(tmp_path)
    readers = {
        run_folder.SETTINGS: folder.read_settings,
        run_folder.TASK: folder.read_task,
        run_folder.RESULTS: folder.read_results,
    }
    assert readers[name]() is None
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        readers[name]()


def test_results_are_written_as_text_and_as_json(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_results({"loss": float("inf"), "auc": 0.25})
    assert helpers.read_lines(tmp_path / run_folder.RESULTS_AS_TEXT) == [
        "auc = 0.25",
        "loss = inf",
    ]
    assert folder.read_results() == {"auc": 0.25, "loss": None}


def save(path, step):
    """Writes a checkpoint that holds nothing but the step; returns its path."""
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.assign(tf.train.get_or_create_global_step(), step))
        path.mkdir(parents=True, exist_ok=True)
        return tf.train.Saver().save(session, str(path / run_folder.MODEL), step)


def test_checkpoints(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.latest_checkpoint() is None and folder.best_checkpoint() is None
    best = save(tmp_path / run_folder.BEST, 2)
    latest = save(tmp_path, 5)
    assert (folder.latest_checkpoint(), folder.best_checkpoint()) == (latest, best)


@pytest.mark.once
def test_best_weights_are_used_without_a_last_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    assert not folder.has_checkpoint() and folder.checkpoint_to_resume() is None
    save(tmp_path / run_folder.BEST, 2)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"')
    assert folder.has_checkpoint()
    (tmp_path / run_folder.BEST / "checkpoint").unlink()
    for path in (tmp_path / run_folder.BEST).glob("*.index"):
        path.write_text("")
    with pytest.raises(InputError, match=r"best/model\.ckpt-2 is damaged"):
        folder.has_checkpoint()


@pytest.mark.once
def test_best_weights_alone_are_not_replaced_by_a_new_training(tmp_path):
    save(tmp_path / run_folder.BEST, 2)
    assert RunFolder(tmp_path).has_checkpoint()
    with pytest.raises(
        InputError, match=r"best/model\.ckpt-2 .*--overwrite_output_dir"
    ):
        RunFolder(tmp_path).checkpoint_to_resume()


def test_counters_of_a_foreign_checkpoint(tmp_path):
    assert run_folder.read_counters(save(tmp_path, 7)) == (7, None, 0, 0, 0)
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.get_variable("a", initializer=1.0).initializer)
        path = tf.train.Saver().save(session, str(tmp_path / "other.ckpt"))
    assert run_folder.read_counters(path) == (0, None, 0, 0, 0)


def test_a_list_of_checkpoints_that_points_elsewhere(tmp_path):
    checkpoint = save(tmp_path, 1)
    other = tmp_path / "copy"
    other.mkdir()
    (other / "checkpoint").write_text(f'model_checkpoint_path: "{checkpoint}"\n')
    with pytest.raises(InputError, match=r"--output_dir=.*copy"):
        RunFolder(other).latest_checkpoint()


SETTINGS = {"task_name": "info", "max_seq_length": 12, "do_lower_case": True}


def test_a_changed_letter_of_the_settings_is_noticed(tmp_path):
    folder, path = RunFolder(tmp_path), tmp_path / run_folder.SETTINGS
    state_files.write_json(str(path), {**SETTINGS, "keep_best": None})
    assert folder.read_settings() == {**SETTINGS, "keep_best": None}
    path.write_text(path.read_text().replace("12", "16"))
    with pytest.raises(InputError, match=r"run_config\.json: was changed.*checksum"):
        folder.read_settings()


def test_settings_of_an_older_version_have_no_checksum(tmp_path):
    (tmp_path / run_folder.SETTINGS).write_text(json.dumps(SETTINGS))
    assert RunFolder(tmp_path).read_settings() == SETTINGS


def test_another_file_in_the_place_of_the_settings_is_named(tmp_path):
    (tmp_path / run_folder.SETTINGS).write_text('{"task": "info", "kind": "x"}')
    with pytest.raises(InputError, match=r"run_config\.json: there is no task_name"):
        RunFolder(tmp_path).read_settings()


@pytest.mark.parametrize(
    "name", ["checkpoint", "training.csv", "predict.txt", "model.ckpt-4.index"]
)
def test_a_folder_in_the_place_of_a_file_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: it is no file"):
        RunFolder(tmp_path).check_places(["predict.txt"])


@pytest.mark.parametrize("name", ["best", "report", "serving"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, name):
    RunFolder(tmp_path).check_places([])
    (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=f"{name}: it is no folder"):
        RunFolder(tmp_path).check_places([])


def test_best_weights_of_an_unknown_training_are_not_used(tmp_path):
    save(tmp_path / run_folder.BEST, 2)
    with pytest.raises(InputError, match=r"run_config\.json is missing"):
        RunFolder(tmp_path).trained_checkpoint()


@pytest.mark.parametrize("is_training", [True, False])
def test_what_killed_runs_left_is_removed(tmp_path, is_training):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    of_process = f".{files.host()}.{process.pid}.01234567.tmp"
    data = ".data-00000-of-00001"
    of_process = [f"{x}{of_process}" for x in ("task.json", "cache/a.rows", "best/b")]
    of_trainings = [
        "task.json.12.tmp",
        f"model.ckpt-4{data}",
        f"model.ckpt-5{data}.tempstate12",
        "best/model.ckpt-2.index",
        f"best/model.ckpt-2{data}",
        "serving/temporary-12/saved_model.pb",
    ]
    others = [
        "task.json",
        *("model.ckpt-3.index", f"model.ckpt-3{data}"),
        *("best/checkpoint", "best/model.ckpt-20.index", f"best/model.ckpt-20{data}"),
        f"cache/b.rows.elsewhere.{process.pid}.01234567.tmp",
        "serving/12/saved_model.pb",
    ]
    for name in (*of_process, *of_trainings, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('model_checkpoint_path: "model.ckpt-20"')
    RunFolder(tmp_path).remove_leftovers(str(tmp_path / "cache"), is_training)
    found = [str(x.relative_to(tmp_path)) for x in tmp_path.rglob("*") if x.is_file()]
    assert sorted(found) == sorted(others + ([] if is_training else of_trainings))


def test_best_weights_are_kept_if_their_list_is_damaged(tmp_path):
    names = ["model.ckpt-2.index", "model.ckpt-2.data-00000-of-00001", "checkpoint"]
    (tmp_path / "best").mkdir()
    for name in names:
        (tmp_path / "best" / name).write_text("")
    RunFolder(tmp_path).remove_leftovers(str(tmp_path / "cache"), True)
    assert sorted(os.listdir(str(tmp_path / "best"))) == sorted(names)
