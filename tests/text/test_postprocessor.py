"""Postprocessors: results of outputs, and their prediction files."""

import io
import json

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.text import postprocessor
from bert_my.text.postprocessor import AnyLabels, Number, OneLabel, Tags
from bert_my.text.preprocessor import Example, Sentence

EXAMPLE = Example("a\tb", label="N", guid="g")
ONE = {"label": 1, "probabilities": np.array([0.25, 0.75], np.float32)}
ANY = {
    "label": np.array([1, 0, 1]),
    "probabilities": np.array([0.75, 0.25, 0.5], np.float32),
}
SENTENCE = Sentence(("中", " "), ("B", "O"), "g")
# The tokens stand in two rows of 4 and 3 places.
TAGS = [
    {"label": np.array([9, 1, 9, 9]), "positions": [1]},
    {"label": np.array([9, 9, 0]), "positions": [2]},
]


def files_of(each, example, rows, has_pair=False):
    """Returns dict file name -> text of the files of one example, the fourth."""
    found = {}
    for name, writer in each.writers(has_pair).items():
        stream = io.StringIO()
        writer.begin(stream)
        writer.add(stream, 3, example, each(example, rows))
        writer.end(stream)
        found[name] = stream.getvalue()
    return found


def test_one_label():
    each = OneLabel(["N", "Y"])
    result = each(EXAMPLE, [ONE])
    assert result["label"] == "Y"
    assert json.loads(json.dumps(each.as_json(result))) == {
        "label": "Y",
        "probabilities": {"N": 0.25, "Y": 0.75},
    }
    header = "index\tguid\ttext_a\tlabel\tpredicted_label\tprobability_N\tprobability_Y"
    assert files_of(each, EXAMPLE, [ONE]) == {
        "predict.txt": "1\n",
        "test_results.tsv": "0.25\t0.75\n",
        "predictions.tsv": f'{header}\n3\tg\t"a\tb"\tN\tY\t0.25\t0.75\n',
    }


def test_a_pair_without_a_label():
    example = Example("a", None, guid="g")
    found = files_of(OneLabel(["N", "Y"]), example, [ONE], has_pair=True)
    lines = found["predictions.tsv"].split("\n")
    assert lines[0].startswith("index\tguid\ttext_a\ttext_b\tlabel\t")
    assert lines[1] == "3\tg\ta\t\t\tY\t0.25\t0.75"


def test_any_labels():
    each = AnyLabels(["x", "y", "z"])
    example = Example("a", label="x,y", guid="g")
    assert each.as_json(each(example, [ANY])) == {
        "labels": ["x", "z"],
        "probabilities": {"x": 0.75, "y": 0.25, "z": 0.5},
    }
    found = files_of(each, example, [ANY])
    assert found["predict.txt"] == "1\t0\t1\n"
    assert found["test_results.tsv"] == "0.75\t0.25\t0.5\n"
    row = "3\tg\ta\tx,y\tx,z\t0.75\t0.25\t0.5"
    assert found["predictions.tsv"].split("\n")[1] == row


def test_number():
    example = Example("a", label="2", guid="g")
    found = files_of(Number(), example, [{"prediction": np.float32(0.5)}])
    assert found["predict.txt"] == found["test_results.tsv"] == "0.5\n"
    assert found["predictions.tsv"] == (
        "index\tguid\ttext_a\tlabel\tprediction\n3\tg\ta\t2\t0.5\n"
    )


def test_tags_of_all_rows_of_a_sentence():
    each = Tags(["B", "O"])
    assert each(SENTENCE, TAGS) == {"tokens": ["中", " "], "tags": ["O", "B"]}
    found = files_of(each, SENTENCE, TAGS)
    assert found["predict.txt"] == "中\tO\n \tB\n\n"
    rows = found["predictions.tsv"].split("\n")[1:]
    assert rows == ["3\tg\t中\tB\tO", "3\tg\t \tO\tB", ""]


@pytest.mark.parametrize(
    ("each", "example", "rows"),
    [
        (OneLabel(["N", "Y"]), EXAMPLE, [ONE]),
        (AnyLabels(["x", "y", "z"]), EXAMPLE, [ANY]),
        (Number(), EXAMPLE, [{"prediction": np.float32(0.5)}]),
        (Tags(["B", "O"]), SENTENCE, TAGS),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_saved_postprocessor_gives_the_same(tmp_path, each, example, rows):
    each.save(str(tmp_path))
    loaded = postprocessor.load(str(tmp_path))
    found, expected = (x.as_json(x(example, rows)) for x in (loaded, each))
    assert type(loaded) is type(each)
    assert json.dumps(found) == json.dumps(expected)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"kind": "x", "labels": []}'])
def test_a_file_that_cannot_be_used_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "postprocessor.json").write_text(content)
    with pytest.raises(InputError, match=r"postprocessor\.json: "):
        postprocessor.load(str(tmp_path))
