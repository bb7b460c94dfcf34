"""Checkpoints that are missing, broken or do not fit."""

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.model import checkpoints
from tests import helpers


@pytest.fixture
def checkpoint(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("bert/a", [2, 3])
        tf.get_variable("bert/b", [5])
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(tmp_path / "bert_model.ckpt"))


def test_missing_checkpoint(tmp_path, checkpoint):
    checkpoints.check_exists(checkpoint)
    for path in (str(tmp_path / "nothing.ckpt"), checkpoint + ".index"):
        with pytest.raises(InputError, match=r"--init_checkpoint=.*no such checkpoint"):
            checkpoints.check_exists(path)


@pytest.mark.parametrize("ending", [".index", ".meta", ".data-00000-of-00001"])
def test_a_file_of_a_checkpoint_is_not_its_path(checkpoint, ending):
    with pytest.raises(InputError, match=rf"did you mean {re.escape(checkpoint)}\?$"):
        checkpoints.check_exists(checkpoint + ending)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="it is a folder; give it as --model"):
        checkpoints.check_exists(str(tmp_path))


def test_broken_checkpoint(checkpoint):
    with open(checkpoint + ".index", "wb") as writer:
        writer.write(b"not an index at all")
    with pytest.raises(InputError, match=r"--init_checkpoint=.*cannot be read"):
        checkpoints.check_exists(checkpoint)


def test_shapes_that_differ_are_named(checkpoint):
    variables = [tf.get_variable("bert/a", [2, 4])]
    with pytest.raises(
        InputError, match=r"bert/a has shape \[2, 3\] there and \[2, 4\]"
    ):
        checkpoints.check_fits(checkpoint, variables)


def test_missing_variables_are_returned(checkpoint):
    variables = [tf.get_variable("bert/a", [2, 3]), tf.get_variable("new", [1])]
    assert checkpoints.check_fits(checkpoint, variables)[1] == ["new"]
    with pytest.raises(InputError, match="lacks new"):
        checkpoints.saver_for(checkpoint, variables)


def test_a_checkpoint_of_something_else_is_refused(checkpoint):
    with pytest.raises(InputError, match="none of the model's variables"):
        checkpoints.check_fits(checkpoint, [tf.get_variable("new", [1])])


def change_data(checkpoint, change):
    """Writes the data file anew; `change` is a function of its bytes."""
    path = f"{checkpoint}.data-00000-of-00001"
    with open(path, "rb") as reader:
        content = reader.read()
    with open(path, "wb") as writer:
        writer.write(change(content))


def test_a_data_file_that_was_cut_off_is_named(checkpoint):
    change_data(checkpoint, lambda content: content[:20])
    variables = [tf.get_variable("bert/b", [5])]
    with pytest.raises(InputError, match=r"bert/b cannot be read.*\.data-"):
        checkpoints.check_fits(checkpoint, variables)
    with pytest.raises(InputError, match=r"bert/[ab] cannot be read.*\.data-"):
        checkpoints.read_weights(checkpoint)


def test_variables_before_the_cut_are_whole(checkpoint):
    """A data file lacks its end, but nothing that the model needs."""
    change_data(checkpoint, lambda content: content[:-1])
    variables = [tf.get_variable("bert/a", [2, 3])]
    assert checkpoints.check_fits(checkpoint, variables)[1] == []


def test_checks_read_no_values(checkpoint, monkeypatch):
    variables = [tf.get_variable("bert/a", [2, 3]), tf.get_variable("bert/b", [5])]
    reads = []
    monkeypatch.setattr(checkpoints, "_read", lambda *args: reads.append(args))
    assert checkpoints.check_fits(checkpoint, variables)[1] == []
    checkpoints.saver_for(checkpoint, variables)
    checkpoints.initialize_from(checkpoint, variables)
    assert not reads


def test_a_head_for_other_labels_starts_at_random(checkpoint, caplog):
    fits = tf.get_variable("bert/a", [2, 3], initializer=tf.zeros_initializer())
    other = tf.get_variable("bert/b", [4], initializer=tf.zeros_initializer())
    with pytest.raises(InputError, match=r"bert/b has shape \[5\] there and \[4\]"):
        checkpoints.initialize_from(checkpoint, [fits, other])
    checkpoints.initialize_from(checkpoint, [fits, other], lambda each: each is other)
    assert "bert/b for other labels" in caplog.text
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(fits).any() and not session.run(other).any()


def test_a_restore_of_damaged_data_names_the_variable(checkpoint):
    """Of the right size, so that only the restore finds the damage."""
    change_data(checkpoint, lambda content: content[:-1] + bytes([content[-1] ^ 1]))
    variables = [tf.get_variable("bert/a", [2, 3]), tf.get_variable("bert/b", [5])]
    saver = checkpoints.saver_for(checkpoint, variables)
    with tf.Session() as session, pytest.raises(
        InputError, match=r"bert/b cannot be read.*\.data-"
    ), checkpoints.restoring(checkpoint, variables):
        saver.restore(session, checkpoint)


def test_another_error_of_a_restore_stays(checkpoint):
    variables = [tf.get_variable("bert/a", [2, 3])]
    for path in (checkpoint, None):
        with pytest.raises(tf.errors.OpError), checkpoints.restoring(path, variables):
            raise tf.errors.UnknownError(None, None, "of something else")


def test_weights_come_back_without_what_a_run_keeps_beside_them(tmp_path):
    values = {
        "a": np.float32([[1.0, 2.0]]),
        "b": np.float16([3.0]),
        "a/adam_m": np.float32([[4.0, 5.0]]),
        "a/adam_v": np.float32([[6.0, 7.0]]),
        "b/average": np.float16([8.0]),
        "global_step": np.int64(9),
    }
    path = str(tmp_path / "model.ckpt")
    checkpoints.write(values, path)
    weights = checkpoints.read_weights(path)
    assert weights["b"].dtype == np.float16
    helpers.assert_all_close(weights, {"a": values["a"], "b": [8.0]}, atol=0)
