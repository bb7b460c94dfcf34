"""Writers of prediction files: what is written is read back."""

import csv
import io
import json

import pytest

from bert_my.text.writers import Json, Lines, Tsv

STRANGE = ["a\tb", 'a "b"', '"a"', "a\nb", "a\rb", "a\r\nb", "", " ", "a\u2028b", "你"]


def write(writer, results):
    """Returns the text that a writer makes of results."""
    stream = io.StringIO(newline="")
    writer.begin(stream)
    for index, result in enumerate(results):
        writer.add(stream, index, f"example {index}", result)
    writer.end(stream)
    return stream.getvalue()


def cells(index, example, result):
    yield [index, example, result]


def test_lines():
    text = write(Lines(cells), ["x", "y"])
    assert text == "0\texample 0\tx\n1\texample 1\ty\n"


def test_an_example_may_have_several_lines_or_an_empty_one():
    writer = Lines(lambda index, example, result: [*result, []])
    assert write(writer, [[["x", 1], ["y", 2]], []]) == "x\t1\ny\t2\n\n\n"


def test_tables_hold_any_text():
    text = write(Tsv(["index", "example", "text"], cells), STRANGE)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    assert rows[0] == ["index", "example", "text"]
    assert rows[1:] == [[str(i), f"example {i}", x] for i, x in enumerate(STRANGE)]


def test_cells_are_only_quoted_where_they_must_be():
    text = write(Tsv(["n"], lambda *_: [["plain, text"]]), [0])
    assert text == "n\nplain, text\n"


@pytest.mark.parametrize("num_examples", [0, 1, 3])
def test_one_json_object_for_all_examples(num_examples):
    writer = Json(lambda index, example, result: (f"id-{index}", {"text": result}))
    results = STRANGE[:num_examples]
    found = json.loads(write(writer, results))
    assert found == {f"id-{i}": {"text": x} for i, x in enumerate(results)}
