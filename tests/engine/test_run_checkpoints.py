"""The newest whole checkpoint of a run: found whatever file of it is damaged."""

import functools
import os
import shutil

import pytest
import tensorflow.compat.v1 as tf

from bert_my.common import checkpoint_files
from bert_my.common.errors import InputError
from bert_my.engine import run_checkpoints
from bert_my.engine.run_checkpoints import find
from bert_my.model import checkpoints

DATA = ".data-00000-of-00001"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with checkpoints of the steps 2, 4 and 10."""
    folder = tmp_path_factory.mktemp("saved")
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.assign(tf.get_variable("weights", [30]), tf.fill([30], 2.0)))
        saver = tf.train.Saver(save_relative_paths=True)
        for step in (2, 4, 10):
            saver.save(session, str(folder / run_checkpoints.MODEL), step)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of it."""
    return shutil.copytree(str(saved), str(tmp_path / "run"))


def step_of(path):
    return path and int(path.rsplit("-", 1)[1])


def overwrite(path, content):
    with open(path, "wb") as writer:
        writer.write(content)


def flip(path, place):
    with open(path, "rb") as reader:
        content = bytearray(reader.read())
    content[place] ^= 1
    overwrite(path, bytes(content))


def make_folder(path):
    os.remove(path)
    os.mkdir(path)


def make_link(path):
    os.remove(path)
    os.symlink("nowhere", path)


GONE = b"""model_checkpoint_path: "model.ckpt-9"
all_model_checkpoint_paths: "model.ckpt-10"
"""
LISTS = {
    "empty": lambda path: overwrite(path, b""),
    "cut": lambda path: os.truncate(path, 30),
    "junk": lambda path: overwrite(path, b"junk\n"),
    "binary": lambda path: overwrite(path, bytes(range(256))),
    "zeros": lambda path: overwrite(path, b'model_checkpoint_path: "a\\0b"\n'),
    "missing": os.remove,
    "folder": make_folder,
    "link": make_link,
    "other": lambda path: overwrite(path, b'{"task": "csv"}\n'),
    "gone": lambda path: overwrite(path, GONE),
}


@pytest.mark.parametrize("damage", LISTS.values(), ids=LISTS)
def test_a_damaged_list_is_said_and_the_newest_is_used(folder, caplog, damage):
    damage(os.path.join(folder, checkpoint_files.LIST))
    assert step_of(find(folder).to_use()) == 10
    assert len(caplog.messages) == 1
    assert "checkpoint" in caplog.text and "model.ckpt-10" in caplog.text
    find(folder).to_resume()
    assert len(caplog.messages) == 1


PARTS = {
    "empty": lambda path: overwrite(path, b""),
    "cut": lambda path: os.truncate(path, 100),
    "junk": lambda path: overwrite(path, b"junk\n" * 100),
    "flipped": lambda path: flip(path, 20),
    "missing": os.remove,
    "folder": make_folder,
    "link": make_link,
}


@pytest.mark.parametrize("ending", [".index", DATA])
@pytest.mark.parametrize("damage", PARTS.values(), ids=PARTS)
def test_an_older_whole_checkpoint_is_resumed(folder, caplog, ending, damage):
    damage(os.path.join(folder, f"model.ckpt-10{ending}"))
    assert step_of(find(folder).to_resume()) == 4
    assert "model.ckpt-10 is damaged" in caplog.text


def test_an_older_checkpoint_is_not_used_in_place_of_the_last(folder):
    os.truncate(os.path.join(folder, f"model.ckpt-10{DATA}"), 7)
    message = r"model\.ckpt-10 is damaged.*--init_checkpoint with another --output_dir"
    with pytest.raises(InputError, match=message):
        find(folder).to_use()


@pytest.mark.once
def test_a_checkpoint_is_read_once_and_once_to_restore_it(folder, monkeypatch):
    names, read = [], checkpoints.Reader.read
    monkeypatch.setattr(
        checkpoints.Reader, "read", lambda self, x: names.append(x) or read(self, x)
    )
    path = find(folder).path
    with run_checkpoints.held(lambda: find(folder).path) as link:
        reader = checkpoints.Reader(link)
        checkpoints.Restore(reader, [("weights", None)]).check()
        assert names == ["weights"]
        flip(f"{path}{DATA}", 7)  # the link is one to the same file
        os.utime(f"{path}{DATA}")
        assert "weights cannot be read" in run_checkpoints.damage_of(path)


def test_parts_of_two_checkpoints_are_none(folder):
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.assign(tf.get_variable("weights", [30]), tf.fill([30], 3.0)))
        other = tf.train.Saver().save(session, os.path.join(folder, "other"))
    os.replace(f"{other}{DATA}", os.path.join(folder, f"model.ckpt-10{DATA}"))
    assert step_of(find(folder).path) == 4


def test_without_a_whole_checkpoint_nothing_is_begun(folder):
    for step in (2, 4, 10):
        os.truncate(os.path.join(folder, f"model.ckpt-{step}{DATA}"), 7)
    message = "no whole checkpoint.*ckpt-10 .*variable weights.*--overwrite_output_dir"
    with pytest.raises(InputError, match=message):
        find(folder)


def test_a_list_of_checkpoints_that_are_gone_is_no_new_run(folder):
    for name in os.listdir(folder):
        if name.startswith("model.ckpt-"):
            os.remove(os.path.join(folder, name))
    with pytest.raises(InputError, match=r"no file model\.ckpt-10\.index"):
        find(folder)


@pytest.mark.parametrize("num_bytes", [0, 60])
def test_an_interrupted_first_save_is_no_checkpoint(folder, num_bytes):
    for name in os.listdir(folder):
        if not name.startswith("model.ckpt-2.") or name.endswith(".meta"):
            os.remove(os.path.join(folder, name))
    os.truncate(os.path.join(folder, "model.ckpt-2.index"), num_bytes)
    assert find(folder).path is None


def test_the_list_decides_and_newer_checkpoints_are_said(folder, caplog):
    path = os.path.join(folder, checkpoint_files.LIST)
    with open(path) as reader:
        text = reader.read()
    first, rest = text.split("\n", 1)
    overwrite(path, f"{first.replace('10', '4')}\n{rest}".encode())
    assert step_of(find(folder).to_use()) == 4
    assert "model.ckpt-10 was written later" in caplog.text
    assert os.path.join(folder, "model.ckpt-4") in caplog.text


def test_no_folder_and_an_empty_one_have_none(tmp_path):
    assert find(str(tmp_path)).path is None
    assert find(str(tmp_path / "none")).path is None


def test_checkpoints_up_to_the_restored_one_are_rotated(folder):
    paths = [os.path.join(folder, f"model.ckpt-{step}") for step in (2, 4, 10)]

    def rotated(checkpoint):
        return [path for path, _ in run_checkpoints.to_rotate(folder, checkpoint)]

    assert rotated(paths[2]) == paths
    assert rotated(paths[1]) == paths[:2]
    os.remove(os.path.join(folder, checkpoint_files.LIST))
    os.remove(f"{paths[0]}.index")
    assert rotated(paths[2]) == paths[1:]


def test_a_checkpoint_that_was_about_to_be_deleted_is_superseded(folder):
    left = {os.path.join(folder, f"model.ckpt-1.{each}") for each in ("index", "meta")}
    for path in left:
        open(path, "w").close()
    superseded = functools.partial(run_checkpoints.superseded, folder)
    newest, older = (os.path.join(folder, f"model.ckpt-{step}") for step in (10, 1))
    assert set(superseded(newest, 3)) == left
    assert not superseded(newest, 4)  # kept on purpose
    assert not superseded(older, 3)  # what is listed is damaged
    os.remove(os.path.join(folder, checkpoint_files.LIST))
    assert not superseded(newest, 3)
