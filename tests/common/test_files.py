"""Files: digests of what was read, and files that are whole or not there."""

import errno
import gzip
import hashlib
import os
import re

import pytest

from bert_my.common import files, text_files
from bert_my.common.errors import InputError


def hex_digest(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.fixture
def no_reading(monkeypatch):
    """Returns a function after whose call no file can be opened by `files`."""

    def refuse(*args, **kwargs):
        raise AssertionError("a file is read again")

    return lambda: monkeypatch.setattr(files, "open", refuse, raising=False)


def test_a_digest_is_that_of_the_bytes(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert files.digest(str(tmp_path / "a")) == hex_digest(content)


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_a_file_that_was_read_is_not_read_again_for_its_digest(
    tmp_path, no_reading, name
):
    path = tmp_path / name
    content = b"x\ty\n" * 70000
    path.write_bytes(gzip.compress(content) if name == "a.gz" else content)
    assert len(list(text_files.read_lines(str(path)))) == 70000
    expected = hex_digest(path.read_bytes())
    no_reading()
    assert files.digest(str(path)) == expected


def test_a_file_that_was_not_read_to_its_end_is_read_for_its_digest(tmp_path):
    content = b"x\n" * 70000
    (tmp_path / "a").write_bytes(content)
    lines = text_files.read_lines(str(tmp_path / "a"))
    next(lines)
    lines.close()
    assert files.digest(str(tmp_path / "a")) == hex_digest(content)


def test_a_file_that_has_changed_has_another_digest(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x\n")
    first = files.digest(str(path))
    path.write_bytes(b"y\n")
    os.utime(str(path), (1, 1))  # whatever the resolution of the clock
    assert files.digest(str(path)) == hex_digest(b"y\n") != first
    path.unlink()
    with pytest.raises(InputError, match=str(path)):
        files.digest(str(path))


def test_a_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(str(path)) as writer:
        writer.write("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with files.replacing(str(path)) as writer:
        writer.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(str(tmp_path)) == ["a"]


def test_globs_and_names_with_brackets(tmp_path):
    for name in ("b1", "b2", "c[1]"):
        (tmp_path / name).write_text("x")
    folder = str(tmp_path)
    patterns = f"{folder}/b?,{folder}/c[1],{folder}/b2"
    names = [os.path.basename(path) for path in files.find(patterns, "input_file")]
    assert names == ["b1", "b2", "c[1]"]
    with pytest.raises(InputError, match=r"^--input_file: .*nothing"):
        files.find(f"{folder}/nothing", "input_file")
    (tmp_path / "b3").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"^--input_file: .*b3 is no file"):
        files.find(f"{folder}/b?", "input_file")


def test_keys_of_json_are_sorted_or_left_in_order(tmp_path):
    path = tmp_path / "a.json"
    for sort_keys, order in ((True, ["10", "2"]), (False, ["2", "10"])):
        files.write_json(str(path), {"2": 0, "10": 1}, sort_keys)
        assert list(files.read_json(str(path))) == order


def test_a_temporary_file_is_named_after_host_and_process(tmp_path):
    path = str(tmp_path / "a")
    with files.replacing_path(path) as temporary, files.replacing_path(path) as other:
        assert os.path.exists(temporary)
        assert temporary != other
        start = re.escape(f"{path}.{files.host()}.{os.getpid()}.")
        assert re.fullmatch(start + r"[0-9a-f]{8}\.tmp", temporary)


@pytest.mark.parametrize("make", [files.replacing, files.replacing_path])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path, make):
    path = str(tmp_path / "none" / "a")
    message = re.escape(f"{path}: cannot be written: No such file or directory")
    with pytest.raises(InputError, match=message), make(path):
        raise AssertionError("there is nothing to write to")


def test_a_full_disk_is_one_line_and_leaves_the_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(InputError) as raised, files.replacing(str(path)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(raised.value) == f"{path}: cannot be written: No space left on device"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError), files.replacing(str(tmp_path / "a")):
        (tmp_path / "b").read_text()


def test_a_folder_in_the_place_of_a_file_is_found_before_the_work(tmp_path):
    message = "cannot be written: Is a directory"
    with pytest.raises(InputError, match=message), files.replacing(str(tmp_path)):
        raise AssertionError("the work was begun")


def test_a_small_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("sync"))
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda *paths: (calls.append("name"), replace(*paths))
    )
    files.write_json(str(tmp_path / "a"), {})
    assert calls == ["sync", "name", "sync"]


def test_a_large_file_that_was_not_touched_is_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LARGE", 2)
    path = tmp_path / "shard"
    path.write_text("abc")
    known = files.contents([str(path)])
    monkeypatch.setattr(files, "digest", lambda path: "read")
    assert files.contents([str(path)], known) == known
    path.write_text("abcd")
    assert files.contents([str(path)], known)[0].digest == "read"
