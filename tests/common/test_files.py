"""Files: lines, digests of what was read, and files that are whole or not there."""

import gzip
import hashlib
import os

import pytest

from bert_my.common import files
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
    assert len(list(files.read_lines(str(path)))) == 70000
    expected = hex_digest(path.read_bytes())
    no_reading()
    assert files.digest(str(path)) == expected


def test_a_file_that_was_not_read_to_its_end_is_read_for_its_digest(tmp_path):
    content = b"x\n" * 70000
    (tmp_path / "a").write_bytes(content)
    lines = files.read_lines(str(tmp_path / "a"))
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


def test_lines_end_at_line_feeds_only(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("\ufeffa\u2028b\r\n\rc\n\nd".encode("utf-8"))
    assert list(files.read_lines(str(path))) == [
        (1, "a\u2028b"),
        (2, "\rc"),
        (3, ""),
        (4, "d"),
    ]
    _, first = next(files.read_lines(str(path), encoding="utf-8"))
    assert first[0] == "\ufeff"


def test_long_lines_come_in_pieces(tmp_path):
    path = tmp_path / "a"
    path.write_text("abcde\nf\n")
    found = list(files.read_lines(str(path), max_length=2))
    assert "".join(piece for _, piece in found) == "abcdef"
    assert max(len(piece) for _, piece in found) == 2


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


def test_keys_of_json_are_sorted_or_left_in_order(tmp_path):
    path = tmp_path / "a.json"
    for sort_keys, order in ((True, ["10", "2"]), (False, ["2", "10"])):
        files.write_json(str(path), {"2": 0, "10": 1}, sort_keys)
        assert list(files.read_json(str(path))) == order


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x05\x06" + bytes(18), "an empty zip archive"),
        (b"\x80\x02]q\x00.", "a pickle"),
        (b"\x93NUMPY\x01\x00v", "numpy"),
        (b"\n<!doctype HTML>\n", "a web page"),
        (b"<?xml version='1.0'?>\n", "XML"),
        (b"a.csv".ljust(257, b"\0") + b"ustar", "a tar archive"),
        (b"ORC" + bytes(20), "a binary file"),
        (bytes(9), "a binary file"),
        ("text,label\n".encode("utf-16-le"), "like utf-16-le; --encoding=utf-16-le"),
        ("text,label\n".encode("utf-32"), "like utf-32; --encoding=utf-32"),
    ],
)
def test_no_text_is_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(files.read_lines(str(path)))


def test_a_text_that_is_called_gz(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("a,b\n")
    with pytest.raises(InputError, match=r"a\.csv\.gz: .*take \.gz off"):
        list(files.read_lines(str(path)))


@pytest.mark.parametrize(
    ("text", "encoding", "advice"),
    [
        ("这部电影很好看，我不喜欢", "gb18030", "--encoding=gb18030"),
        ("這部電影很好看，我不喜歡他們的說話", "gb18030", "--encoding=gb18030"),
        ("café à l’été", "cp1252", "--encoding=cp1252"),
        # No advice is better than a wrong one.
        ("이 영화는 다시 봐도 좋아요 정말로", "euc-kr", "--encoding=NAME"),
        ("この映画は何回見ても良い作品", "shift_jis", "--encoding=NAME"),
        ("この映画は何回見ても良い作品", "euc-jp", "--encoding=NAME"),
        ("這部電影很好看，我不喜歡他們的說話", "big5", "--encoding=NAME"),
        ("этот фильм очень хороший", "cp1251", "--encoding=NAME"),
        ("zażółć gęślą jaźń", "cp1250", "--encoding=NAME"),
    ],
)
def test_the_encoding_that_is_advised(tmp_path, text, encoding, advice):
    path = tmp_path / "a.csv"
    path.write_bytes(f"text,label\n{text},1\n".encode(encoding))
    with pytest.raises(InputError, match=rf"a\.csv:2: not UTF-8: .*{advice} "):
        list(files.read_lines(str(path)))


def test_a_broken_line_among_lines_of_utf8(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("标题,1\n".encode() + b"caf\xe9,1\n")
    with pytest.raises(InputError, match=r"a\.csv:2: .* mend this one"):
        list(files.read_lines(str(path)))


@pytest.mark.parametrize("encoding", ["gbk", "latin-1"])
def test_utf8_is_told_from_the_encoding_of_the_flag(tmp_path, caplog, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("标题,été\n".encode())
    for _ in range(2):
        assert list(files.read_lines(str(path), encoding=encoding)) == [(1, "标题,été")]
    (message,) = caplog.messages
    assert (
        f"a.csv: the file is in UTF-8, and read so, not as --encoding={encoding}"
        in (message)
    )
