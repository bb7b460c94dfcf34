"""Files that killed processes left: which ones are removed."""

import fcntl
import os
import subprocess
import sys

import pytest

from bert_my.common import files, leftovers


@pytest.fixture(scope="module")
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names_of(paths):
    return sorted(map(os.path.basename, paths))


def write(folder, *names):
    for name in names:
        (folder / name).write_text("x" * 10)


def test_files_of_this_host_are_left_if_their_process_is_gone(tmp_path, gone):
    left = f"a.rows.{files.host()}.{gone}.01234567.tmp"
    others = [
        f"a.rows.{files.host()}.{os.getpid()}.01234567.tmp",
        f"a.rows.elsewhere.{gone}.01234567.tmp",
        f"a.rows.{gone}.tmp",
        "a.rows",
    ]
    write(tmp_path, left, *others)
    found = leftovers.of_processes(str(tmp_path))
    assert names_of(found) == [left]
    assert leftovers.remove(found) == 10
    assert sorted(os.listdir(str(tmp_path))) == sorted(others)


def test_a_file_that_is_locked_has_a_writer(tmp_path, gone):
    """Its process has another number in another container."""
    write(tmp_path, f"a.{files.host()}.{gone}.01234567.tmp")
    with open(str(next(tmp_path.iterdir()))) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert leftovers.of_processes(str(tmp_path)) == []


def test_in_a_folder_of_ones_own_any_temporary_file_is_left(tmp_path):
    kept = [f"a.{host}.1.01234567.tmp" for host in (files.host(), "elsewhere")]
    write(tmp_path, "task.json.12.tmp", "b.tmp", "b.txt", *kept)
    found = leftovers.temporary(str(tmp_path))
    assert names_of(found) == ["b.tmp", "task.json.12.tmp"]


def test_checkpoints_that_were_never_whole(tmp_path):
    write(
        tmp_path,
        *("model.ckpt-4.index", "model.ckpt-4.data-00000-of-00001"),
        *("model.ckpt-5.index", "model.ckpt-5.data-00000-of-00002"),
        "model.ckpt-6.data-00000-of-00001",
        *("model.ckpt-7.data-00000-of-00001", "model.ckpt-7.meta"),
        "model.ckpt-9.data-00000-of-00001",
        "bert_model.ckpt.index",
        "model.ckpt-8.data-00000-of-00001.tempstate123",
        f"checkpoint.tmp{'0a' * 16}",
    )
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-9"\n')
    found = leftovers.of_checkpoints(str(tmp_path), "model.ckpt")
    assert names_of(found) == [
        "model.ckpt-5.data-00000-of-00002",
        "model.ckpt-5.index",
        "model.ckpt-6.data-00000-of-00001",
    ]
    assert names_of(leftovers.of_tensorflow(str(tmp_path))) == [
        f"checkpoint.tmp{'0a' * 16}",
        "model.ckpt-8.data-00000-of-00001.tempstate123",
    ]


def test_none_beside_a_damaged_list(tmp_path):
    write(tmp_path, "model.ckpt-6.data-00000-of-00001")
    (tmp_path / "checkpoint").write_text("junk")
    assert leftovers.of_checkpoints(str(tmp_path), "model.ckpt") == []


def test_a_folder_that_is_missing_has_none(tmp_path):
    assert leftovers.of_processes(str(tmp_path / "none")) == []
