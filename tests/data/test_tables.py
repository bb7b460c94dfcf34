"""Tables: each row with its line, and errors that name file and line."""

import gzip
import logging

import pytest

from bert_my.common.errors import InputError
from bert_my.data import tables

pytestmark = pytest.mark.once


def write(tmp_path, name, content):
    path = tmp_path / name
    content = content if isinstance(content, bytes) else content.encode("utf-8")
    if name.endswith(".gz"):
        content = gzip.compress(content)
    path.write_bytes(content)
    return str(path)


def rows_of(path):
    table = tables.Table(path)
    rows = [tuple(row) for row in table.rows(table.dialect_by_name())]
    assert rows == [tuple(row) for row in table.head(table.dialect_by_name())]
    return rows


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
    ("name", "content", "where"),
    [
        ("a.tsv", "x\t0\n\ny\t1\n", r"a\.tsv:2: "),
        ("a.csv", "1,x,0\n\n2,y,1\n", r"a\.csv:2: "),
        ("a.csv", '1,"x" y,0\n', r"a\.csv:1: "),
        ("a.csv", '1,x,0\n2,"y,1\n', r"a\.csv:2: "),
        # The encoding that the message gives.
        ("a.tsv", b"x\t0\n\xff\t1\n", r"a\.tsv:2: .*--encoding=cp1252"),
        ("a.csv", "标题,1\n".encode("gb18030"), r"a\.csv:1: .*--encoding=gb18030"),
        (
            "a.csv",
            "x,y\ntr\u00e8s \u00e9mu,1\n".encode("latin-1"),
            r"a\.csv:2: .*=cp1252",
        ),
        ("a.csv", b"x,0\n" * 9000 + b"\xd0,1\n", r"a\.csv:9001: "),
        ("a.csv", "x,1\n".encode("utf-16"), r"a\.csv:1: .*--encoding=utf-16"),
        ("a.tsv", "", r"a\.tsv: "),
        ("a.csv", b"PK\x03\x04\x14", r"a\.csv: .*xlsx"),
        ("a.csv", b"PAR1\x15", r"a\.csv: .*Parquet"),
        ("a.csv", gzip.compress(b"x,1\n"), r"a\.csv: .*gzip .*\.gz"),
        ("a.csv.gz", gzip.compress(b"PK\x03\x04\x14"), r"a\.csv\.gz: .*zip"),
        ("a.json", '{"s": 1}\n{"s":\n', r"a\.json:2: "),
        ("a.json", "[1]\n", r"a\.json:1: "),
        # The filter of the command `jq` that the message gives.
        ("a.json", '[{"s": 1}]\n', r"a\.json:1: .* '\.\[\]' .*a\.json"),
        ("a.json", '[\n{"s": 1}\n]\n', r"a\.json:1: .* '\.\[\]' "),
        ("a.json", '{\n"s": 1\n}\n', r"a\.json:1: .* '\.' "),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, content, where):
    with pytest.raises(InputError, match=where):
        rows_of(write(tmp_path, name, content))


@pytest.mark.parametrize("encoding", ["gb18030", "cp1252", "utf-16"])
def test_other_encodings(tmp_path, encoding):
    text = "très,0\n" if encoding == "cp1252" else "标题,0\n"
    path = write(tmp_path, "a.csv", text.encode(encoding))
    table = tables.Table(path, encoding)
    expected = [tables.Row(1, text.strip().split(","))]
    assert list(table.rows(tables.COMMAS)) == table.head(tables.COMMAS) == expected
    with pytest.raises(InputError, match=r"a\.csv:1: not ascii: .*--encoding="):
        tables.Table(path, "ascii")


def test_broken_gzip_is_named(tmp_path):
    path = write(tmp_path, "a.tsv.gz", "x\t0\n" * 1000)
    with open(path, "rb") as reader:
        content = reader.read()
    with open(path, "wb") as writer:
        writer.write(content[:-12])
    with pytest.raises(InputError, match=r"a\.tsv\.gz: "):
        rows_of(path)
    with open(path, "wb") as writer:
        writer.write(content[:12] + bytes(len(content) - 12))
    with pytest.raises(InputError, match=r"a\.tsv\.gz: "):
        rows_of(path)


def test_empty_lines_at_the_end_are_logged(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        assert len(rows_of(write(tmp_path, "a.txt", "x\ny\n\n"))) == 2
    assert "a.txt:3: " in caplog.text


def test_half_a_character_in_json_is_replaced(tmp_path, caplog):
    content = r"""{"s": "a \ud83d\ude00"}
{"s": "b \ud83d", "t": ["\ude00"]}
"""
    rows = [cells for _, cells in rows_of(write(tmp_path, "a.jsonl", content))]
    assert rows == [["s", "t"], ["a \U0001f600", None], ["b \ufffd", '["\ufffd"]']]
    assert "a.jsonl: in 1 rows" in caplog.text


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_a_short_file_is_read_once_for_its_head(tmp_path, monkeypatch, name):
    """The number of passes over a train file is bounded; see test_passes."""
    content = '{"s": "x", "l": "y"}\n' if name.endswith("l") else "x\ty\n"
    table = tables.Table(write(tmp_path, name, content * 9))
    dialect = table.dialect_by_name()
    (tmp_path / name).unlink()
    assert table.head(dialect)[-1] == (9, ["x", "y"])


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_the_head_of_a_long_file(tmp_path, name):
    lines = [f'{{"s": "{i}", "l": 0}}\n' for i in range(700)]
    if name == "a.tsv":
        lines = [f"{i}\t0\n" for i in range(700)]
    else:
        lines.append('{"later": 1}\n')
    table = tables.Table(write(tmp_path, name, "".join(lines)))
    dialect = table.dialect_by_name()
    head, rows = table.head(dialect), list(table.rows(dialect))
    assert head == rows[: tables.SAMPLE_SIZE]
    if name == "a.jsonl":  # keys of all objects
        assert head[0].cells == ["s", "l", "later"]
        assert head[1].cells == ["0", "0", None]


def test_what_the_first_lines_tell(tmp_path):
    table = tables.Table(write(tmp_path, "a.csv", "\ufefftext,label\nx,y\n"))
    assert table.has_byte_order_mark
    assert table.lines == ["text,label", "x,y"]
    assert table.likely_dialects() == [tables.COMMAS]
    table = tables.Table(write(tmp_path, "b.txt", '{"a": 1}\n'))
    assert table.likely_dialects() == [tables.JSON_LINES]
