"""Multi-label tasks: what a cell of labels may look like, scores, a whole run."""

import json

import numpy as np
import pytest

from bert_my.data.errors import InputError
from bert_my.data.features import Example
from bert_my.tasks import base
from tests import helpers


@pytest.fixture
def read(make_named_task):
    """Returns a function from a train file and flags to the rows' lists of 0 and 1."""

    def read_rows(content, suffix="tsv", **flags):
        task = make_named_task("mlabel", suffix=suffix, train=content, **flags)
        examples = task.read_examples(base.TRAIN)
        return [task.label_value(each.label) for each in examples]

    return read_rows


@pytest.mark.parametrize(
    "cells",
    [
        ("1,0,1", "0,0,0", "0,1,0"),
        ("1 0 1", "0 0 0", "0 1 0"),
        ("1|0|1", "0;0;0", "0, 1, 0"),
        ("[1, 0, 1]", "[0, 0, 0]", "[0, 1, 0]"),
        ("0,2", "", "1"),
        ("2,0", "-", "1"),
        ("2 0", "[]", '["1"]'),
    ],
)
def test_num_labels(read, cells):
    content = "".join(f"a text\t{cell}\n" for cell in cells)
    assert read(content, num_labels=3) == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    "cells",
    [
        ("sport,war", "", "new york"),
        ("war, sport,", "-", "new york"),
        ("war|sport", "", "new york"),
        ('["sport", "war"]', "[]", '["new york"]'),
        ("['war', 'sport']", "[]", "['new york']"),
    ],
)
def test_names(make_named_task, read, cells):
    content = "".join(f"a text\t{cell}\n" for cell in cells)
    expected = [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert read(content) == expected
    assert read(content, labels="new york,sport,war") == expected
    task = make_named_task("mlabel", train=content)
    assert task.label_list == ("new york", "sport", "war")


def test_names_between_blanks(read):
    assert read("a\tx y\nb\tz\nc\ty x\n") == [[1, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_lists_in_json_lines(read):
    rows = [(["x", "new york"], "a"), ([], "b"), (["new york"], "c"), (None, "d")]
    content = "".join(json.dumps({"labels": x, "text": t}) + "\n" for x, t in rows)
    assert read(content, "jsonl") == [[1, 1], [0, 0], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    "content",
    [
        'id,text,labels\n7,the cat,"x,y"\n8,a dog,\n',
        'the cat,"x,y"\na dog,\n',
        '7,the cat,"x,y"\n8,a dog,-\n',
        'labels,other,text\n"x,y",0,the cat\n,0,a dog\n',
        '\ufeff"text","labels"\r\n"the cat","x|y"\r\n"a dog",""\r\n',
    ],
)
def test_columns(make_named_task, content):
    task = make_named_task("mlabel", suffix="csv", train=content)
    examples = task.read_examples(base.TRAIN)
    found = [(each.text_a, each.label) for each in examples]
    assert found == [("the cat", "x,y"), ("a dog", "-")]


def test_flags_name_the_columns(read):
    content = "n,headline,tags of it\n1,the cat,x|y\n2,a dog,y\n3,a tree,x\n"
    flags = {"text_column": "headline", "label_column": "tags of it"}
    assert read(content, "csv", **flags) == [[1, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    "test", ["the cat\na dog\n", "7\tthe cat\n8\ta dog\n", "the cat\tx,y\na dog\t\n"]
)
def test_a_test_file_may_lack_the_labels(make_named_task, test):
    task = make_named_task("mlabel", test=test, labels="x,y")
    examples = list(task.read_examples(base.TEST))
    assert [each.text_a for each in examples] == ["the cat", "a dog"]
    assert examples[0].label in (None, "x,y")


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (
            "a\t1,0,1\nb\t1,0\n",
            {"num_labels": 3},
            r"tsv:2: label '1,0': 2 zeros and ones",
        ),
        ("a\t1\nb\t1,0,1,1\n", {"num_labels": 3}, "4 zeros and ones for 3 labels"),
        (
            "a\t1\nb\t1,0,2\n",
            {"num_labels": 2},
            r"tsv:2: labels '2' are not among 0, 1",
        ),
        ("a\tx\nb\tx,q\n", {"labels": "x,y"}, r"tsv:2: labels 'q' are not among x, y"),
        ("a\t1,0\nb\t0,0\n", {}, "give --num_labels, or --labels with their names"),
        ("a\tx\nb\tx\n", {}, "at least two different labels are needed, found x"),
        (
            "a\tx\n",
            {"num_labels": 3, "labels": "x,y"},
            "--num_labels=3, but --labels has",
        ),
        ("a\t['x,y', 'z']\n", {}, "the name of a label has no comma"),
        (
            "text\tother\na\tx,y\n",
            {"labels": "x,y"},
            r"tsv:1: found \['text', 'other'\].* with label any of x, y separated",
        ),
    ],
)
def test_errors(read, content, flags, message):
    with pytest.raises(InputError, match=message):
        read(content, **flags)


def test_labels_must_be_those_of_the_trained_model(make_named_task):
    saved = {"labels": ["x", "y"]}
    task = make_named_task("mlabel", saved=saved, labels="y,x")
    with pytest.raises(InputError, match="was trained with the labels x, y; now"):
        task.label_list  # noqa: B018
    assert make_named_task("mlabel", saved=saved).label_list == ("x", "y")


def test_score(make_named_task):
    task = make_named_task("mlabel", labels="x,y")
    targets = np.array([[1, 0], [1, 1], [0, 0]])
    probabilities = np.array([[0.9, 0.6], [0.8, 0.3], [0.1, 0.2]])
    scores = task.score({"label_ids": targets}, {"probabilities": probabilities})
    # Right: x twice; wrong: y once too many and once too few.
    assert scores["f1_micro"] == pytest.approx(2 / 3)
    assert set(scores) == task.metric_names
    assert task.main_metric in scores


def test_predictions_are_formatted(make_named_task):
    task = make_named_task("mlabel", labels="x,y,z")
    row = {"probabilities": np.array([0.75, 0.25, 0.5]), "label": np.array([1, 0, 1])}
    lines = task.format_prediction(4, Example("a", label="x,y", guid="g"), row)
    assert lines == {
        "predict.txt": [1, 0, 1],
        "test_results.tsv": ["0.75", "0.25", "0.5"],
        "predictions.tsv": [4, "g", "a", "x,y", "x,z", "0.75", "0.25", "0.5"],
    }


def test_trains_evaluates_predicts_and_exports(one_layer_model, tmp_path):
    texts = helpers.make_texts(13)
    rows = [(text, f"{int('cat' in text)},{i % 2},0") for i, text in enumerate(texts)]
    helpers.write_rows(tmp_path / "data" / "train.tsv", rows)
    helpers.write_rows(tmp_path / "data" / "dev.tsv", rows[:5])
    helpers.check_task(
        *("mlabel", one_layer_model, tmp_path / "data", tmp_path / "out", 5),
        num_labels=3,
    )
