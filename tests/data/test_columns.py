"""Declared columns: headers, numbers of columns, and what is neither."""

import pytest

from bert_my.common.errors import InputError
from bert_my.data import columns, readers

LAYOUT = columns.Layout(
    names={
        "guid": ("id",),
        "text_a": ("text", "title"),
        "text_b": ("text_b",),
        "label": ("label", "class"),
    },
    without_header=(
        ("guid", "text_a", "label"),
        (None, "label", "text_a", None),
        ("text_a", "label"),
        ("guid", "text_a"),
        ("text_a",),
    ),
    is_label=("yes", "no").__contains__,
    label_hint="yes or no",
)


def detect(row, needs_label=True, **changes):
    return columns.detect(row, LAYOUT._replace(**changes), needs_label, "a.tsv:1")


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
    with pytest.raises(InputError, match=r"a\.tsv:1: found .* with label yes or no"):
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
def test_what_fits_nothing_is_refused(row):
    message = r"id,text,label or -,label,text,- or text,label or a header .*--text_col"
    with pytest.raises(InputError, match=message):
        detect(row)


def test_values():
    found = columns.Columns(["label", None, "text_a", "text_b"], True)
    row = ["yes", "x", "a", "b"]
    assert found.values(row) == {"label": "yes", "text_a": "a", "text_b": "b"}
    # An object of JSON lines may lack a label, but not a text.
    assert found.values([None, "x", "a", ""]) == {"text_a": "a", "text_b": ""}
    with pytest.raises(ValueError, match="there is no text_b"):
        found.values(["yes", "x", "a", None])


def test_values_of_a_column_for_each_label():
    found = columns.Columns(["label", "text_a", "label"], True, [2, 0])
    assert found.values(["1", "a", "0.0"]) == {"text_a": "a", "label": "0,1"}
    assert found.values(["", "a", None]) == {"text_a": "a"}
    for wrong in ("2", "", "x"):
        with pytest.raises(ValueError, match=f"holds {wrong!r} instead of 0 or 1"):
            found.values(["1", "a", wrong])


def test_width():
    columns.check_width(readers.Row(7, ["a", "b"]), 2, readers.TABS, "a.tsv")
    message = r"a\.tsv:7: 1 columns, but the first row .* has 2; it is read as tab sep"
    with pytest.raises(InputError, match=message):
        columns.check_width(readers.Row(7, ["a"]), 2, readers.TABS, "a.tsv")
