"""Lines of text files: their ends, encodings, and formats that are no text."""

import pytest

from bert_my.common import text_files
from bert_my.common.errors import InputError


def test_lines_end_at_line_feeds_only(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("\ufeffa\u2028b\r\n\rc\n\nd".encode("utf-8"))
    assert list(text_files.read_lines(str(path))) == [
        (1, "a\u2028b"),
        (2, "\rc"),
        (3, ""),
        (4, "d"),
    ]
    _, first = next(text_files.read_lines(str(path), encoding="utf-8"))
    assert first[0] == "\ufeff"


def test_long_lines_come_in_pieces(tmp_path):
    path = tmp_path / "a"
    path.write_text("abcde\nf\n")
    found = list(text_files.read_lines(str(path), max_length=2))
    assert "".join(piece for _, piece in found) == "abcdef"
    assert max(len(piece) for _, piece in found) == 2


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
        list(text_files.read_lines(str(path)))


def test_a_text_that_is_called_gz(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("a,b\n")
    with pytest.raises(InputError, match=r"a\.csv\.gz: .*take \.gz off"):
        list(text_files.read_lines(str(path)))


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
        list(text_files.read_lines(str(path)))


def test_a_broken_line_among_lines_of_utf8(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("标题,1\n".encode() + b"caf\xe9,1\n")
    with pytest.raises(InputError, match=r"a\.csv:2: .* mend this one"):
        list(text_files.read_lines(str(path)))


@pytest.mark.parametrize("encoding", ["gbk", "latin-1"])
def test_utf8_is_told_from_the_encoding_of_the_flag(tmp_path, caplog, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("标题,été\n".encode())
    for _ in range(2):
        assert list(text_files.read_lines(str(path), encoding=encoding)) == [
            (1, "标题,été")
        ]
    (message,) = caplog.messages
    assert (
        f"a.csv: the file is in UTF-8, and read so, not as --encoding={encoding}"
        in (message)
    )
