"""Columns of a table: declared ones, those of another table, and their values."""

import json

import pytest

from bert_my.common.errors import InputError
from bert_my.data import columns, tables
from bert_my.data.columns import Roles, Structure, TableSpec

pytestmark = pytest.mark.once


class Spec(TableSpec):
    column_names = {
        "guid": ("id",),
        "text_a": ("text", "title"),
        "text_b": ("text_b",),
        "label": ("label", "class"),
    }
    layouts = (
        ("guid", "text_a", "label"),
        (None, "label", "text_a", None),
        ("text_a", "label"),
        ("guid", "text_a"),
        ("text_a",),
    )


IS_LABEL = ("yes", "no").__contains__


def detect(row, needs_label=True, is_label=IS_LABEL):
    rows = [tables.Row(1, row)]
    return columns.detect(rows, Spec, None, is_label, "yes or no", needs_label, "a.tsv")


@pytest.mark.parametrize(
    ("row", "fields", "has_header"),
    [
        (["label", "text"], ["label", "text_a"], True),
        ([" Class ", "x", "TITLE", "ID"], ["label", None, "text_a", "guid"], True),
        (["text", "text_b", "label"], ["text_a", "text_b", "label"], True),
        (["7", "a b", "yes"], ["guid", "text_a", "label"], False),
        (["a b", " no "], ["text_a", "label"], False),
        (["x", "no", "a b", "y"], [None, "label", "text_a", None], False),
        # A title that is a name of a column, in a row with a label.
        (["text", "yes"], ["text_a", "label"], False),
        (["label", "text", "yes"], ["guid", "text_a", "label"], False),
    ],
)
def test_with_labels(row, fields, has_header):
    found = detect(row)
    assert (list(found.fields), found.has_header) == (fields, has_header)


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (["a b"], ["text_a"]),
        (["7", "a b"], ["guid", "text_a"]),
        (["7", "a b", ""], ["guid", "text_a", "label"]),
        (["a b", ""], ["text_a", "label"]),
    ],
)
def test_without_labels(row, fields):
    assert list(detect(row, needs_label=False).fields) == fields


def test_labels_that_are_not_known_yet():
    assert list(detect(["a b", "whatever"], is_label=None).fields) == [
        "text_a",
        "label",
    ]
    assert detect(["title", "label"], is_label=None).has_header
    with pytest.raises(InputError):
        detect(["a b", ""], is_label=None)


@pytest.mark.parametrize("text", ["how are you", "你好吗朋友"])
def test_a_text_is_no_id(text):
    with pytest.raises(InputError, match=r"a\.tsv:1: .* yes or no"):
        detect([text, "a b", "yes"])
    assert detect(["2026-01-02 train 7", "a b", "yes"]).fields[0] == "guid"


@pytest.mark.parametrize(
    "row",
    [
        ["7", "a b", "maybe"],
        ["a b", ""],
        ["id", "title"],
        ["text", "title", "label"],
        ["1", "2", "3", "4", "yes"],
    ],
)
def test_a_row_that_fits_nothing_is_refused(row):
    columns_known = (
        r"a\.tsv:1: .*id,text,label .*-,label,text,- .*text,label .*--text_col"
    )
    with pytest.raises(InputError, match=columns_known):
        detect(row)


def test_values():
    found = columns.Columns(["label", None, "text_a", "text_b"], True)
    row = ["yes", "x", "a", "b"]
    assert found.values(row) == {"label": "yes", "text_a": "a", "text_b": "b"}
    # An object of JSON lines may lack a label, but not a text.
    assert found.values([None, "x", "a", ""]) == {"text_a": "a", "text_b": ""}
    with pytest.raises(ValueError, match="text_b"):
        found.values(["yes", "x", "a", None])


def test_values_of_a_column_for_each_label():
    found = columns.Columns(["label", "text_a", "label"], True, [2, 0])
    assert found.values(["1", "a", "0.0"]) == {"text_a": "a", "label": "0,1"}
    assert found.values(["", "a", None]) == {"text_a": "a"}
    for wrong in ("2", "", "x"):
        with pytest.raises(ValueError, match=repr(wrong)):
            found.values(["1", "a", wrong])


def test_width():
    columns.check_width(tables.Row(7, ["a", "b"]), 2, tables.TABS, "a.tsv")
    with pytest.raises(InputError, match=r"a\.tsv:7: 1 .* 2"):
        columns.check_width(tables.Row(7, ["a"]), 2, tables.TABS, "a.tsv")


WITH_HEADER = Structure(Roles("text", None, "label"), True, 3, tables.COMMAS)
WITHOUT = Structure(Roles("2", None, "3"), False, 3, tables.COMMAS)


def columns_like(row, structure, needs_label=False, wanted=Roles()):  # noqa: B008
    return columns.columns_like(row, structure, wanted, needs_label, "a.csv")


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
    assert columns_like(row, structure) == (fields, structure.has_header, [])


def test_names_of_flags_win_over_those_of_an_earlier_run():
    wanted = Roles(text="headline", label="3")
    found = columns_like(["headline", "text"], WITH_HEADER, wanted=wanted)
    assert found.fields == ["text_a", None]


@pytest.mark.parametrize(
    ("structure", "row", "message"),
    [
        (WITH_HEADER, ["id", "text"], r"a\.csv: .*--label_column"),
        (WITH_HEADER, ["id", "label"], r"a\.csv: .* 'text'"),
        (WITHOUT, ["7", "a"], r"a\.csv: .*--label_column"),
        (WITHOUT, ["7"], r"a\.csv: 1 .* 3"),
        (WITHOUT, ["id", "text", "label"], r"a\.csv: .*'text'"),
    ],
)
def test_missing_columns_are_named(structure, row, message):
    with pytest.raises(InputError, match=message):
        columns_like(row, structure, needs_label=True)


@pytest.mark.parametrize("label_columns", [(), ("x", "y")])
def test_a_structure_goes_through_json(label_columns):
    structure = WITH_HEADER._replace(label_columns=label_columns)
    saved = json.loads(json.dumps(structure.as_dict()))
    assert Structure.restore(saved) == structure


def test_columns_of_labels():
    structure = WITH_HEADER._replace(
        roles=Roles("text"), label_columns=("late", "rude", "new")
    )
    names = ["rude", "id", "new", "text", "late"]
    found = columns_like(names, structure, needs_label=True)
    values = found.values(["1", "7", "0.0", "a b", " 1 "])
    assert values == {"guid": "7", "text_a": "a b", "label": "1,1,0"}
    assert columns_like(["text"], structure).values(["a b"]) == {"text_a": "a b"}
    for row, needs_label in ((names[:4], False), (["text"], True)):
        with pytest.raises(InputError, match=r"a\.csv: .* 'late'"):
            columns_like(row, structure, needs_label)
