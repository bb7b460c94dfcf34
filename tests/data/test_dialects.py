"""Dialects: the delimiter and the quotes of a table, by its first lines."""

import pytest

from bert_my.common.errors import InputError
from bert_my.data import tables
from bert_my.data.columns import TableSpec
from bert_my.data.tables import (
    COMMAS,
    JSON_LINES,
    QUOTED_TABS,
    TABS,
    Dialect,
    Table,
)

pytestmark = pytest.mark.once


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes a file and returns its `Table`."""

    def write_file(content, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8"))
        return Table(str(path))

    return write_file


def long_cells(num_rows):
    return "".join(f'"a, {i}\nb\nc","x"\n' for i in range(num_rows))


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ("a\tb\nc, d\te\n", TABS),
        ('"a\tb\nc"\td\n', TABS),
        ('"a ""b"""\tc\nd\te\n', QUOTED_TABS),
        ('"a\tb"\tc\nd\te\n', QUOTED_TABS),
        ('"text"\t"label"\n"a b"\t"c"\n\t"d"\n', QUOTED_TABS),
        ('"text"\t"label"\n"a b"\tc\n', TABS),
        ('"a"\n"b"\n', TABS),
        # Some writers do not quote numbers.
        ('"text"\t"label"\n"a b"\t1\n"c"\t-2.5\n', QUOTED_TABS),
        ('text\tlabel\n"a b"\t1\n"c"\t0\n', QUOTED_TABS),
        ("a,b\nc,d\n", COMMAS),
        ('a,"b, c"\nd,e\n', COMMAS),
        ('a "b" c,d\n"e" f,g\n', Dialect(",", is_quoted=False)),
        ("a, b;c\nd;e\n", Dialect(";", is_quoted=True)),
        ("a|b;c\nd|e\n", Dialect("|", is_quoted=True)),
        ('{"a": "b, c"}\n{"a": "d"}\n', JSON_LINES),
        ("one column\n", TABS),
        (long_cells(3), COMMAS),
        # The sample of 500 lines ends within a cell.
        (long_cells(400), COMMAS),
        # One odd row: a bare CR, text behind a quote, quotes behind backslashes.
        ('"a, b",0\nc\rd,1\n"e",0\n', COMMAS),
        ('"a, b",0\n"c" d,1\n"e",0\n', COMMAS),
        ('"a",0\n"c \\"d\\", e",1\n', COMMAS),
        ('"a"\t"b"\n' * 40 + '"c" d\t"e"\n', QUOTED_TABS),
        # A quote that is never closed.
        ('"a\tb\n' + "c\td\n" * 700, TABS),
        ('"a,b\n' + "c,d\n" * 700, Dialect(",", is_quoted=False)),
    ],
)
def test_dialect(write, content, dialect):
    assert write(content).likely_dialects()[0] == dialect
    assert write("\ufeff" + content).likely_dialects()[0] == dialect
    windows = content.replace("\n", "\r\n")
    assert write(windows).likely_dialects()[0] == dialect


def test_a_json_file_is_never_a_table(write):
    table = write("[\n1, 2\n]\n", "a.json")
    assert table.likely_dialects() == [JSON_LINES]


def test_all_separators_that_split_evenly(write):
    table = write("a, b;c\nd, e;f\n")
    assert [each.delimiter for each in table.likely_dialects()] == [",", ";"]


def in_three(dialect, widths):
    return widths == {3}


@pytest.mark.parametrize(
    ("dialect", "content", "delimiter"),
    [
        (COMMAS, "7,a; b; c,yes\n", ","),
        (Dialect(";", True), "7;a, b, c;yes\n", ";"),
        (COMMAS, "7;a;yes\n", ";"),
        (COMMAS, '{"text": "a, b, c"}\n', None),
    ],
)
def test_a_file_is_split_like_another_if_that_fits(write, dialect, content, delimiter):
    found = write(content).dialect_like(dialect, in_three)
    assert found.delimiter == delimiter


def test_the_quotes_of_a_file_are_its_own(write):
    table = write('7\t"a ""b"""\tyes\n')
    assert table.dialect_like(TABS, in_three) == QUOTED_TABS


def test_lines_of_fasttext_are_named(write):
    table = write("__label__x a, b c\n__label__y d, e\n")
    with pytest.raises(InputError, match=r"a\.csv:1: .*__label__"):
        table.likely_dialects()
    table = write("__label__x\ta b c\n__label__y\td e\n", "b.tsv")
    assert table.likely_dialects() == [TABS]


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ('"a"\t"b"\n', QUOTED_TABS),
        # Doubled quotes alone do not make a declared file quoted.
        ('"a ""b"""\tc\n', TABS),
        ('"a"\n', TABS),
    ],
)
def test_dialect_of_declared_columns(write, content, dialect):
    spec = TableSpec()
    spec.column_names = {"text_a": ("text",)}
    assert write(content, "a.tsv").declared_dialect(spec) == dialect


@pytest.mark.parametrize("quoting", ["csv", "none"])
def test_quoting_by_hand(tmp_path, quoting):
    path = tmp_path / "a.csv"
    path.write_text('"a" b,0\n"c, d",1\n')
    table = Table(str(path), quoting=quoting)
    is_quoted = quoting == "csv"
    assert table.likely_dialects() == [Dialect(",", is_quoted)]
    assert table.declared_dialect(TableSpec()) == Dialect(",", is_quoted)


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        ("csv", {"": "csv"}),
        ("csv,dev=none", {"": "csv", "dev": "none"}),
        ("test=csv,train=none", {"test": "csv", "train": "none"}),
        (None, {}),
    ],
)
def test_quoting_of_single_files(listed, chosen):
    assert tables.quoting_by_split(listed) == chosen
    assert listed is None or tables.is_quoting(listed)


@pytest.mark.parametrize("listed", ["all", "csv,none", "csv,eval=none", "dev=", "csv,"])
def test_wrong_choices_of_quoting(listed):
    assert not tables.is_quoting(listed)


def test_a_declared_dialect_is_that_of_tabs(write):
    spec = TableSpec()
    spec.table_dialect = TABS
    assert write('"a"\t"b"\n', "a.tsv").declared_dialect(spec) == TABS
    assert write('"a, b",c\n', "a.csv").declared_dialect(spec) == COMMAS
    assert write('{"a": "b"}\n', "a.jsonl").declared_dialect(spec) == JSON_LINES


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ('sentence\tlabel\tidx\n"a ""b"" c"\t1\t0\n', QUOTED_TABS),
        ('sentence\tlabel\tidx\n"a" b "c"\t1\t0\n', TABS),
        ('sentence\tlabel\n"a ""b"" c"\t1\n', TABS),
    ],
)
def test_the_quotes_of_an_export_are_inferred(write, content, dialect):
    spec = TableSpec()
    spec.column_names, spec.table_dialect = {"text_a": ("sentence",)}, TABS
    spec.export_names = ("idx",)
    assert write(content, "a.tsv").declared_dialect(spec) == dialect


@pytest.mark.parametrize(
    ("content", "dialect", "said"),
    [
        ("text,label\n'a b',1\n'c d',0\n", COMMAS, "double ones"),
        ('text\tlabel\n"a ""b"" c"\t1\n', TABS, "--quoting=csv"),
        ("text,label\n'a b' or c,1\nd 'e',0\n", COMMAS, ""),
        ('text\tlabel\n"a" b\t1\n', TABS, ""),
    ],
)
def test_quotes_that_are_read_as_characters(write, caplog, content, dialect, said):
    write(content).warn_of_quotes(dialect)
    assert bool(caplog.text) == bool(said)
    assert said in caplog.text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('"c" d,1', r"behind a closing quote.*'\"c\" d,1'"),
        ("c\rd,1", "bare CR"),
        (r'"c \"d\", e",1', "backslash.* sed 's"),
        ('"c, d,1', "not closed"),
    ],
)
def test_the_odd_row_is_named(write, row, reason):
    table = write('"a, b",0\n' * 20 + row + "\n" + '"e",0\n' * 20)
    with pytest.raises(InputError, match=rf"a\.csv:21: .*{reason}.*--quoting=none"):
        list(table.rows(table.likely_dialects()[0]))


@pytest.mark.parametrize(
    ("name", "content", "dialect"),
    [
        ("a.csv", "a,b\n", COMMAS),
        ("a.csv", "a\tb, c\n", TABS),
        ("a.csv", '"a\tb",c\n', COMMAS),
        ("a.txt", "a,b\n", TABS),
        ("a.jsonl", "a,b\n", JSON_LINES),
    ],
)
def test_dialect_by_name(write, name, content, dialect):
    assert write(content, name).dialect_by_name() == dialect
