"""Regression tasks: columns, numbers, scores, a whole run."""

import json

import numpy as np
import pytest
from scipy import stats

from bert_my.common.errors import InputError
from bert_my.tasks import base
from bert_my.text.preprocessor import Example
from tests import helpers


@pytest.mark.parametrize(
    ("content", "text_b"),
    [
        ("7\tthe cat\t0.25\n8\ta dog\t-3\n", None),
        ("the cat\t0.25\na dog\t-3\n", None),
        ("7\tthe cat\ta tree\t0.25\n8\ta dog\twhy\t-3\n", ["a tree", "why"]),
        ("the cat\ta tree\t0.25\na dog\twhy\t-3\n", ["a tree", "why"]),
        ("title\tctr\nthe cat\t0.25\na dog\t-3\n", None),
        (
            "score\tid\tsentence2\tsentence1\n0.25\t7\tx\tthe cat\n-3\t8\ty\ta dog\n",
            "xy",
        ),
        # Not as declared: told by the contents.
        ("0.25\tthe cat\n-3\ta dog\n", None),
        ("title\tclick_rate\nthe cat\t0.25\na dog\t-3\n", None),
        ("id\ttitle\tclick_rate\n7\tthe cat\t0.25\n8\ta dog\t-3\n", None),
        (
            "sentence1\tsentence2\tsimilarity_score\nthe cat\tx\t0.25\na dog\ty\t-3\n",
            "xy",
        ),
    ],
)
def test_columns(make_named_task, content, text_b):
    task = make_named_task("regression", train=content)
    examples = list(task.read_examples(base.TRAIN))
    assert [each.text_a for each in examples] == ["the cat", "a dog"]
    assert [each.text_b for each in examples] == list(text_b or [None, None])
    assert [task.schema.labels.value(each.label) for each in examples] == [0.25, -3.0]


@pytest.mark.parametrize("first", ["tiger", "苹果", "1984"])
def test_texts_of_one_word_are_no_ids(make_named_task, first):
    train = f"{first}\tcat\t7.35\nlove\tsex\t6.77\na b\tc\t3\n"
    examples = list(make_named_task("regression", train=train).read_examples("train"))
    assert [each.text_a for each in examples] == [first, "love", "a b"]
    assert [each.text_b for each in examples] == ["cat", "sex", "c"]
    train = f"7\t{first}\t1\n 8 \tcat\t2\n\tdog\t3\nn/a\tx\t4\n"
    examples = list(make_named_task("regression", train=train).read_examples("train"))
    assert [each.text_a for each in examples] == [first, "cat", "dog", "x"]
    assert [each.text_b for each in examples] == [None] * 4
    test = "tiger\tcat\n"
    (example,) = make_named_task("regression", test=test).read_examples("test")
    assert (example.text_a, example.text_b) == ("tiger", "cat")


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("7\tthe cat\n8\ta dog\n", [("the cat", None), ("a dog", None)]),
        ("the cat\na dog\n", [("the cat", None), ("a dog", None)]),
        ("the cat\ta tree\n", [("the cat", "a tree")]),
        ("7\tthe cat\ta tree\n", [("the cat", "a tree")]),
        ("7\tthe cat\t\n", [("the cat", None)]),
        ("id\ttext\n7\tthe cat\n", [("the cat", None)]),
    ],
)
def test_a_test_file_may_lack_the_numbers(make_named_task, content, texts):
    task = make_named_task("regression", test=content)
    examples = list(task.read_examples(base.TEST))
    assert [(each.text_a, each.text_b) for each in examples] == texts
    assert all(each.label is None for each in examples)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b\t1\nc d\tmuch\n", r"train\.tsv:2: .*'much'"),
        ("a b\t1\nc d\tnan\n", r"train\.tsv:2: .*'nan'"),
        ("a b\t1\nc d\t0,5\n", r"train\.tsv:2: .*'0,5'"),
        ("a b\t1\nc d\t\n", r"train\.tsv:2: "),
        ("a b\tmuch\n", r"train\.tsv:1: .*much.* --text_column"),
    ],
)
def test_a_label_that_is_no_number_is_named(make_named_task, content, message):
    with pytest.raises(InputError, match=message):
        list(make_named_task("regression", train=content).read_examples(base.TRAIN))


def test_flags_name_the_columns(make_named_task):
    content = "shown,headline,rate\n12,the cat,0.5\n13,a dog,0.25\n"
    task = make_named_task(
        "regression",
        "csv",
        train=content,
        text_column="headline",
        label_column="rate",
    )
    examples = task.read_examples(base.TRAIN)
    found = [(each.text_a, each.text_b, each.label) for each in examples]
    assert found == [("the cat", None, "0.5"), ("a dog", None, "0.25")]


@pytest.mark.parametrize(
    ("train", "test", "has_pairs"),
    [
        ("the cat\t0.5\n", "a dog\n", False),
        ("the cat\ta tree\t0.5\n", "dog\twhy\n", True),
        ("title\tclick_rate\nthe cat\t0.5\na dog\t1\n", "title\na dog\n", False),
    ],
)
def test_there_is_a_second_text_if_the_train_file_has_one(
    make_named_task, train, test, has_pairs
):
    task = make_named_task("regression", train=train, test=test)
    header = task.writers["predictions.tsv"].header
    assert task.schema.has_pair == has_pairs == ("text_b" in header)
    saved = json.loads(json.dumps(task.description))
    task = make_named_task("regression", test=test, saved=saved)
    assert task.schema.has_pair == has_pairs
    (example,) = task.read_examples(base.TEST)
    assert (example.text_b is not None) == has_pairs


def test_other_files_have_as_many_texts_as_the_train_file(make_named_task):
    header = "text_a\ttext_b\tlabel\n"
    task = make_named_task("regression", train="a b\t1\n", dev=header + "a\tb\t1\n")
    with pytest.raises(InputError, match=r"dev\.tsv:1: .*text_b"):
        list(task.read_examples(base.DEV))


def test_encoding_of_pairs_and_of_single_texts(make_named_task):
    task = make_named_task("regression")
    (pair,), (single,) = task.encode(
        [Example("the cat", "a dog", "2.5"), Example("the cat", label="-1")]
    )
    assert pair.features["segment_ids"] == [0, 0, 0, 0, 1, 1, 1]
    assert pair.features["label_ids"] == 2.5
    assert single.features["segment_ids"] == [0, 0, 0, 0]
    assert single.features["label_ids"] == -1.0


def test_score(make_named_task):
    task = make_named_task("regression")
    rng = np.random.RandomState(5)
    numbers, predictions = rng.rand(2, 17)
    scores = task.score(
        (Example("a", label=str(number)), {"prediction": prediction})
        for number, prediction in zip(numbers, predictions)
    )
    assert scores["pearson"] == pytest.approx(np.corrcoef(numbers, predictions)[0, 1])
    assert scores["spearman"] == pytest.approx(stats.spearmanr(numbers, predictions)[0])
    assert scores["mse"] == pytest.approx(np.mean((numbers - predictions) ** 2))


@pytest.mark.once
def test_trains_evaluates_predicts_and_exports(one_layer_model, tmp_path):
    texts = helpers.make_texts(13)
    rows = [(text, len(text) / 10) for text in texts]
    helpers.write_rows(tmp_path / "data" / "train.tsv", rows)
    helpers.write_rows(tmp_path / "data" / "dev.tsv", rows[:5])
    helpers.write_rows(tmp_path / "data" / "test.tsv", [row[:1] for row in rows[:4]])
    helpers.check_task(
        "regression", one_layer_model, tmp_path / "data", tmp_path / "out", 4
    )
