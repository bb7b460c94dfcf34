"""Sniffing: the separator and quotes of a table, and the columns like another's."""

import json

import pytest
from bert_my.data.column_roles import Roles
from bert_my.data.readers import Dialect

from bert_my.common.errors import InputError
from bert_my.data import readers, sniffing

QUOTED_TABS = Dialect("\t", is_quoted=True)
ROLES = Roles("text", None, "label")
NUMBERS = Roles("2", None, "3")
WITH_HEADER = sniffing.Structure(ROLES, True, 3, readers.COMMAS)
WITHOUT = sniffing.Structure(NUMBERS, False, 3, readers.COMMAS)


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8"))
        return str(path)

    return write_file


def long_cells(num_rows):
    return "".join(f'"a, {i}\nb\nc","x"\n' for i in range(num_rows))


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ("a\tb\nc, d\te\n", readers.TABS),
        ('"a\tb\nc"\td\n', readers.TABS),
        ('"a ""b"""\tc\nd\te\n', QUOTED_TABS),
        ('"a\tb"\tc\nd\te\n', QUOTED_TABS),
        ('"text"\t"label"\n"a b"\t"c"\n\t"d"\n', QUOTED_TABS),
        ('"text"\t"label"\n"a b"\tc\n', readers.TABS),
        ('"a"\n"b"\n', readers.TABS),
        ("a,b\nc,d\n", readers.COMMAS),
        ('a,"b, c"\nd,e\n', readers.COMMAS),
        ('a "b" c,d\n"e" f,g\n', Dialect(",", is_quoted=False)),
        ("a, b;c\nd;e\n", Dialect(";", is_quoted=True)),
        ("a|b;c\nd|e\n", Dialect("|", is_quoted=True)),
        ('{"a": "b, c"}\n{"a": "d"}\n', readers.JSON_LINES),
        ("one column\n", readers.TABS),
        (long_cells(3), readers.COMMAS),
        # The sample of 500 lines ends within a cell.
        (long_cells(400), readers.COMMAS),
        # A quote that is never closed.
        ('"a\tb\n' + "c\td\n" * 700, readers.TABS),
        ('"a,b\n' + "c,d\n" * 700, Dialect(",", is_quoted=False)),
    ],
)
def test_dialect(write, content, dialect):
    assert sniffing.likely_dialects(write(content))[0] == dialect
    assert sniffing.likely_dialects(write("\ufeff" + content))[0] == dialect
    windows = content.replace("\n", "\r\n")
    assert sniffing.likely_dialects(write(windows))[0] == dialect


def test_a_json_file_is_never_a_table(write):
    path = write("[\n1, 2\n]\n", "a.json")
    assert sniffing.likely_dialects(path) == [readers.JSON_LINES]


def test_all_separators_that_split_evenly(write):
    path = write("a, b;c\nd, e;f\n")
    assert [each.delimiter for each in sniffing.likely_dialects(path)] == [",", ";"]


@pytest.mark.parametrize(
    ("structure", "content", "delimiter"),
    [
        (WITHOUT, "7,a; b; c,yes\n", ","),
        (WITHOUT._replace(dialect=Dialect(";", True)), "7;a, b, c;yes\n", ";"),
        (WITHOUT, "7;a;yes\n", ";"),
        (WITH_HEADER, "text\na; b\n", ","),
        (WITH_HEADER, "text;label\na, b;c\n", ";"),
        (WITH_HEADER, '{"text": "a, b, c"}\n', None),
    ],
)
def test_files_are_split_like_the_train_file_if_that_fits(
    write, structure, content, delimiter
):
    dialect = sniffing.dialect_like(write(content), structure, needs_label=False)
    assert dialect.delimiter == delimiter


def test_quotes_of_a_file_are_its_own(write):
    structure = WITHOUT._replace(dialect=readers.TABS)
    path = write('7\t"a ""b"""\tyes\n')
    assert sniffing.dialect_like(path, structure, True) == QUOTED_TABS


@pytest.mark.parametrize(
    ("structure", "row", "fields"),
    [
        (WITH_HEADER, ["label", "x", "text", "id"], ["label", None, "text_a", "guid"]),
        (WITH_HEADER, [" text "], ["text_a"]),
        (WITHOUT, ["7", "a", "yes"], [None, "text_a", "label"]),
        (WITHOUT, ["7", "a"], [None, "text_a"]),
        (
            WITHOUT._replace(roles=Roles("3", "1", "2")),
            ["a", "b"],
            ["text_b", "text_a"],
        ),
    ],
)
def test_columns_like_those_of_the_train_file(structure, row, fields):
    found = sniffing.find_columns(row, structure, Roles(), False, "a.csv")
    assert found == (fields, structure.has_header, [])


def test_names_of_flags_win_over_those_of_an_earlier_run():
    wanted = Roles(text="headline", label="3")
    found = sniffing.find_columns(
        ["headline", "text"], WITH_HEADER, wanted, False, "a.csv"
    )
    assert found.fields == ["text_a", None]


@pytest.mark.parametrize(
    ("structure", "row", "message"),
    [
        (WITH_HEADER, ["id", "text"], r"a\.csv: there is no label column.*--label_col"),
        (WITH_HEADER, ["id", "label"], r"a\.csv: there is no column 'text'; the first"),
        (WITHOUT, ["7", "a"], r"a\.csv: there is no label column"),
        (WITHOUT, ["7"], r"a\.csv: 1 columns, but the train file, .* has 3"),
        (WITHOUT, ["id", "text", "label"], r"a\.csv: .* looks like a header"),
    ],
)
def test_missing_columns_are_named(structure, row, message):
    with pytest.raises(InputError, match=message):
        sniffing.find_columns(row, structure, Roles(), True, "a.csv")


@pytest.mark.parametrize("label_columns", [(), ("x", "y")])
def test_a_structure_goes_through_json(label_columns):
    structure = WITH_HEADER._replace(label_columns=label_columns)
    saved = json.loads(json.dumps(structure.as_dict()))
    assert sniffing.Structure.restore(saved) == structure


def test_columns_of_labels():
    structure = WITH_HEADER._replace(
        roles=Roles("text"), label_columns=("late", "rude", "new")
    )
    names = ["rude", "id", "new", "text", "late"]
    found = sniffing.find_columns(names, structure, Roles(), True, "a.csv")
    values = found.values(["1", "7", "0.0", "a b", " 1 "])
    assert values == {"guid": "7", "text_a": "a b", "label": "1,1,0"}
    found = sniffing.find_columns(["text"], structure, Roles(), False, "a.csv")
    assert found.values(["a b"]) == {"text_a": "a b"}
    with pytest.raises(InputError, match=r"a\.csv: there is no column 'late'"):
        sniffing.find_columns(names[:4], structure, Roles(), False, "a.csv")
    with pytest.raises(InputError, match=r"a\.csv: there is no column 'late'"):
        sniffing.find_columns(["text"], structure, Roles(), True, "a.csv")


def test_lines_of_fasttext_are_named(write):
    path = write("__label__x a, b c\n__label__y d, e\n")
    with pytest.raises(InputError, match=r"a\.csv:1: found lines `__label__x text`.*"):
        sniffing.likely_dialects(path)
    path = write("__label__x\ta b c\n__label__y\td e\n", "b.tsv")
    assert sniffing.likely_dialects(path) == [readers.TABS]


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ('"a"\t"b"\n', QUOTED_TABS),
        # Doubled quotes alone do not make a declared file quoted.
        ('"a ""b"""\tc\n', readers.TABS),
        ('"a"\n', readers.TABS),
    ],
)
def test_dialect_of_declared_columns(write, content, dialect):
    assert sniffing.declared_dialect(write(content, "a.tsv")) == dialect
