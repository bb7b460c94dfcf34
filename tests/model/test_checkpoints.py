"""Checkpoints that are missing, broken or do not fit."""

import os

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


def fits(checkpoint, variables):
    return checkpoints.check_fits(checkpoints.Reader(checkpoint), variables)


def restored(restore, *variables):
    """Returns the values of variables in a session after a restore."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        restore.run(session)
        return session.run(list(variables))


def assert_refused(restore, message):
    """Values are refused wherever they are read."""
    with pytest.raises(InputError, match=message):
        restore.check()
    with tf.Session() as session, pytest.raises(InputError, match=message):
        restore.run(session)
    with pytest.raises(InputError, match=message):
        checkpoints.read_weights(restore.reader.path)


def test_missing_checkpoint(tmp_path, checkpoint):
    checkpoints.check_exists(checkpoint)
    for path in (str(tmp_path / "nothing.ckpt"), checkpoint + ".index"):
        with pytest.raises(InputError, match=r"--init_checkpoint=.*no such checkpoint"):
            checkpoints.check_exists(path)


@pytest.mark.once
def test_a_link_to_nothing_in_the_place_of_the_data_is_named(checkpoint):
    data = f"{checkpoint}.data-00000-of-00001"
    os.remove(data)
    os.symlink("nowhere", data)
    with pytest.raises(
        InputError, match=r"data-00000-of-00001 cannot be read: No such"
    ):
        checkpoints.check_exists(checkpoint)


@pytest.mark.parametrize("ending", [".index", ".meta", ".data-00000-of-00001"])
def test_a_file_of_a_checkpoint_means_the_checkpoint(checkpoint, ending, caplog):
    caplog.set_level("INFO")
    assert checkpoints.resolve(checkpoint + ending) == checkpoint
    assert f"is taken as {checkpoint}" in caplog.text


def test_the_path_of_a_checkpoint_is_not_commented(checkpoint, caplog):
    caplog.set_level("INFO")
    assert checkpoints.resolve(checkpoint) == checkpoint
    assert not caplog.text


def test_a_folder_means_the_checkpoint_that_its_list_names(tmp_path, checkpoint):
    checkpoints.write({"a": np.zeros([1])}, str(tmp_path / "model.ckpt-9"))
    for path in (tmp_path, tmp_path / "checkpoint"):
        assert checkpoints.resolve(str(path)) == checkpoint
    # In a copy of a folder the list has the paths of another machine.
    tf.train.update_checkpoint_state(str(tmp_path), "/elsewhere/model.ckpt-9")
    assert checkpoints.resolve(str(tmp_path)) == str(tmp_path / "model.ckpt-9")
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(InputError, match=r"several.*bert_model.ckpt, model.ckpt-9"):
        checkpoints.resolve(str(tmp_path))


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="it is a folder without a checkpoint"):
        checkpoints.resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["lr[2e-5]", "a\\b", "a*", "[a]?"])
def test_wildcards_in_paths_are_characters(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    values = {"bert/a": np.float32([1.0]), "bert/b": np.float32([2.0])}
    for path in (folder / "model.ckpt", folder / f"{name}.ckpt"):
        checkpoints.write(values, str(path))
        helpers.assert_all_close(checkpoints.read_weights(str(path)), values, atol=0)
    assert os.path.samefile(checkpoints.literal(str(folder)), folder)
    assert not set("[]*?\\") & set(checkpoints.literal(str(folder / "x.ckpt")))


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_floats_of_every_type_become_float32(tmp_path, dtype):
    path, values = str(tmp_path / "model.ckpt"), np.float32([[1.5, -2.0]])
    with tf.Graph().as_default(), tf.Session() as session:
        tensor = tf.cast(values, dtype)
        session.run(
            tf.raw_ops.SaveV2(
                prefix=path, tensor_names=["a"], shape_and_slices=[""], tensors=[tensor]
            )
        )
    assert checkpoints.read_weights(path)["a"].dtype == np.float32
    variable = tf.get_variable("a", [1, 2])
    for restore in (checkpoints.restore_initial, checkpoints.restore_trained):
        (found,) = restored(restore(path, [variable]), variable)
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_named(tmp_path, value):
    path = str(tmp_path / "model.ckpt")
    checkpoints.write({"a": np.zeros([2]), "b": np.float64([0.0, value])}, path)
    restore = checkpoints.restore_trained(
        path, [tf.get_variable(name, [2]) for name in "ab"]
    )
    message = r"model\.ckpt: 1 of the 2 numbers of b are NaN or infinite"
    assert_refused(restore, message)


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
        fits(checkpoint, variables)


def test_missing_variables_are_returned(checkpoint):
    variables = [tf.get_variable("bert/a", [2, 3]), tf.get_variable("new", [1])]
    assert fits(checkpoint, variables)[1] == ["new"]
    with pytest.raises(InputError, match="lacks new"):
        checkpoints.restore_trained(checkpoint, variables)


def test_weights_of_a_quantized_model_are_refused(tmp_path):
    path = str(tmp_path / "model.ckpt")
    checkpoints.write({"a": np.int8([1, 2])}, path)
    with pytest.raises(InputError, match="variable a holds no floats there"):
        fits(path, [tf.get_variable("a", [2])])


def test_a_checkpoint_of_something_else_is_refused(checkpoint):
    with pytest.raises(InputError, match="none of the model's variables"):
        fits(checkpoint, [tf.get_variable("new", [1])])


def change_data(checkpoint, change):
    """Writes the data file anew; `change` is a function of its bytes."""
    path = f"{checkpoint}.data-00000-of-00001"
    with open(path, "rb") as reader:
        content = reader.read()
    with open(path, "wb") as writer:
        writer.write(change(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:20],
        # Of the right size, so that only the checksum tells.
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(checkpoint, change):
    change_data(checkpoint, change)
    variables = [tf.get_variable("bert/a", [2, 3]), tf.get_variable("bert/b", [5])]
    restore = checkpoints.restore_trained(checkpoint, variables)
    message = r"bert/[ab] cannot be read.*\.data-"
    assert_refused(restore, message)


def test_variables_before_the_cut_are_whole(checkpoint):
    """A data file lacks its end, but nothing that the model needs."""
    change_data(checkpoint, lambda content: content[:-1])
    restore, _ = fits(checkpoint, [tf.get_variable("bert/a", [2, 3])])
    restore.check()


def test_a_head_for_other_labels_starts_at_random(checkpoint, caplog):
    same = tf.get_variable("bert/a", [2, 3], initializer=tf.zeros_initializer())
    other = tf.get_variable("bert/b", [4], initializer=tf.zeros_initializer())
    with pytest.raises(InputError, match=r"bert/b has shape \[5\] there and \[4\]"):
        checkpoints.restore_initial(checkpoint, [same, other])
    restore = checkpoints.restore_initial(
        checkpoint, [same, other], lambda each: each is other
    )
    assert "bert/b for other labels" in caplog.text
    found, at_random = restored(restore, same, other)
    assert found.any() and not at_random.any()


def make_layers(numbers):
    """Returns variables of layers, two for each."""
    return [
        tf.get_variable(f"bert/encoder/layer_{number}/{name}", [1])
        for number in numbers
        for name in ("kernel", "bias")
    ]


@pytest.fixture
def of_two_layers(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        make_layers([0, 1])
        tf.get_variable("bert/encoder/layer_1/kernel/adam_m", [1])
        tf.get_variable("cls/bias", [1])
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(tmp_path / "bert_model.ckpt"))


def test_layers_that_a_checkpoint_lacks_are_named(of_two_layers, caplog):
    variables = [*make_layers([0, 1, 2, 10]), tf.get_variable("output_bias", [2])]

    def is_head(variable):
        return variable.op.name == "output_bias"

    checkpoints.restore_initial(of_two_layers, variables, is_head)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "4 of 9 variables start from" in record.message
    assert (
        "layer_2/* (2 variables), bert/encoder/layer_10/* (2 variables) are not in it"
    ) in record.message
    with pytest.raises(InputError, match=r"--strict_init: 4 of 9.*layer_2/\*"):
        checkpoints.restore_initial(of_two_layers, variables, is_head, is_strict=True)


def test_a_head_that_starts_at_random_is_no_warning(of_two_layers, caplog):
    caplog.set_level("INFO")
    variables = [*make_layers([0, 1]), tf.get_variable("output_bias", [2])]
    checkpoints.restore_initial(
        of_two_layers,
        variables,
        lambda variable: variable.op.name == "output_bias",
        is_strict=True,
    )
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.message.endswith("; at random: output_bias")


@pytest.mark.parametrize(
    "restore", [checkpoints.restore_initial, checkpoints.restore_trained]
)
def test_layers_that_a_model_lacks_are_named(of_two_layers, caplog, restore):
    restore(of_two_layers, make_layers([0]))
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "no place for bert/encoder/layer_1/* (2 variables); is" in record.message


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
    helpers.assert_all_close(weights, {"a": values["a"], "b": [8.0]}, atol=0)


@pytest.mark.once
@pytest.mark.parametrize("name", ["bert_model.ckpt", "model.ckpt-3"])
def test_half_a_checkpoint_is_removed(tmp_path, name):
    path, error = str(tmp_path / name), tf.errors.ResourceExhaustedError
    message = f"{name}: cannot be written: No space left"
    with pytest.raises(InputError, match=message), checkpoints.saving(path):
        open(f"{path}.data-00000-of-00001", "w").close()
        raise error(None, None, f"{path}.index; No space left on device")
    assert not list(tmp_path.iterdir())
