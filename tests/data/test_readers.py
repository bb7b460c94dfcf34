"""Readers: every row, its line, and one clear error."""

import gzip
import logging

import pytest

from bert_my.common.errors import InputError
from bert_my.data import readers


def write(tmp_path, name, content):
    path = tmp_path / name
    content = content if isinstance(content, bytes) else content.encode("utf-8")
    if name.endswith(".gz"):
        content = gzip.compress(content)
    path.write_bytes(content)
    return str(path)


def rows_of(path):
    dialect = readers.conventional_dialect(path)
    return [tuple(row) for row in readers.read_rows(path, dialect)]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", "1,x,0\n2,y,1\n", [(1, ["1", "x", "0"]), (2, ["2", "y", "1"])]),
        ("a.csv", '1,"a, ""b""",0\n', [(1, ["1", 'a, "b"', "0"])]),
        ("a.csv", '1,"a\nb",0\n2,c,1', [(1, ["1", "a\nb", "0"]), (3, ["2", "c", "1"])]),
        ("a.csv", "1\tx, y\t0\n", [(1, ["1", "x, y", "0"])]),
        ("a.tsv", '"x\t0\ny"\t1\n', [(1, ['"x', "0"]), (2, ['y"', "1"])]),
        ("a.tsv", "x\t0\r\ny\t1\r\n\n\n", [(1, ["x", "0"]), (2, ["y", "1"])]),
        ("a.tsv", "\ufeffx\t0\n", [(1, ["x", "0"])]),
        ("a.tsv", "a\u2028b\x85c\x0bd\t0\n", [(1, ["a\u2028b\x85c\x0bd", "0"])]),
        ("a.csv", "1,a\u2028b\x85c,0\n", [(1, ["1", "a\u2028b\x85c", "0"])]),
        ("a.tsv.gz", "x\t0\n", [(1, ["x", "0"])]),
        ("a.csv.gz", "1,x,0\n", [(1, ["1", "x", "0"])]),
        ("a.txt", "only text, no tab\n", [(1, ["only text, no tab"])]),
        ("a.tsv", "\t1\nx\t0\n", [(1, ["", "1"]), (2, ["x", "0"])]),
        ("a.tsv", "x\t0\n\t\n", [(1, ["x", "0"]), (2, ["", ""])]),
        ("a.csv", "x,0\n,\n", [(1, ["x", "0"]), (2, ["", ""])]),
        ("a.csv", '1,"a\tb",0\n', [(1, ["1", "a\tb", "0"])]),
        (
            "a.jsonl",
            '{"s": "x\\ty", "n": 1, "l": null}\n{"l": ["a", 2], "s": "", "more": 1}\n',
            [
                (1, ["s", "n", "l", "more"]),
                (1, ["x\ty", "1", "", None]),
                (2, ["", None, '["a", 2]', "1"]),
            ],
        ),
    ],
)
def test_rows(tmp_path, name, content, rows):
    assert rows_of(write(tmp_path, name, content)) == rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "x\t0\n\ny\t1\n", r"a\.tsv:2: empty line"),
        ("a.csv", "1,x,0\n\n2,y,1\n", r"a\.csv:2: empty line"),
        ("a.csv", '1,"x" y,0\n', r"a\.csv:1: not valid csv"),
        ("a.csv", '1,x,0\n2,"y,1\n', r"a\.csv:2: not valid csv"),
        ("a.tsv", b"x\t0\n\xff\t1\n", r"a\.tsv:2: not UTF-8.* iconv -f gb18030 -t"),
        ("a.csv", "标题,1\n".encode("gb18030"), r"a\.csv:1: not UTF-8.* -f gb18030 -t"),
        ("a.csv", b"x,0\n" * 9000 + b"\xd0,1\n", r"a\.csv:9001: not UTF-8"),
        (
            "a.csv",
            "x,1\n".encode("utf-16"),
            r"a\.csv:1: not UTF-8.* iconv -f utf-16 -t",
        ),
        ("a.tsv", "", r"a\.tsv: the file is empty"),
        ("a.json", '{"s": 1}\n{"s":\n', r"a\.json:2: not valid JSON"),
        ("a.json", "[1]\n", r"a\.json:1: expected a JSON object on each line"),
        ("a.json", '[{"s": 1}]\n', r"a\.json:1: .*; jq -c '\.\[\]' .*a\.json writes"),
        ("a.json", '[\n{"s": 1}\n]\n', r"a\.json:1: not valid .*; jq -c '\.\[\]' "),
        ("a.json", '{\n"s": 1\n}\n', r"a\.json:1: not valid JSON.*; jq -c '\.' "),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        rows_of(write(tmp_path, name, content))


def test_broken_gzip_is_named(tmp_path):
    path = write(tmp_path, "a.tsv.gz", "x\t0\n" * 1000)
    with open(path, "rb") as reader:
        content = reader.read()
    with open(path, "wb") as writer:
        writer.write(content[:-12])
    with pytest.raises(InputError, match=r"a\.tsv\.gz: cannot be read"):
        rows_of(path)
    with open(path, "wb") as writer:
        writer.write(content[:12] + bytes(len(content) - 12))
    with pytest.raises(InputError, match=r"a\.tsv\.gz: cannot be read"):
        rows_of(path)


def test_empty_lines_at_the_end_are_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        assert len(rows_of(write(tmp_path, "a.txt", "x\ny\n\n"))) == 2
    assert "a.txt:3: the file ends with empty lines" in caplog.text


def test_half_a_character_in_json_is_replaced(tmp_path, caplog):
    content = r"""{"s": "a \ud83d\ude00"}
{"s": "b \ud83d", "t": ["\ude00"]}
"""
    rows = [cells for _, cells in rows_of(write(tmp_path, "a.jsonl", content))]
    assert rows == [["s", "t"], ["a \U0001f600", None], ["b \ufffd", '["\ufffd"]']]
    assert "in 1 rows half a character" in caplog.text


def test_find_file(tmp_path):
    write(tmp_path, "dev.tsv.gz", "x\t0\n")
    folder = str(tmp_path)
    assert readers.find_file(folder, ("eval", "dev")) == f"{folder}/dev.tsv.gz"
    assert readers.find_file(folder, ("test",)) is None
    write(tmp_path, "eval.csv", "x,0\n")
    with pytest.raises(InputError, match=r"eval\.csv, dev\.tsv\.gz"):
        readers.find_file(folder, ("eval", "dev"))
    with pytest.raises(InputError, match="--data_dir=nowhere"):
        readers.find_file("nowhere", ("dev",))
