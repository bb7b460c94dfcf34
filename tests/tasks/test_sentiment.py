"""The task `sentiment`: pairs with three labels, its own or others."""

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base
from tests import helpers

pytestmark = pytest.mark.once

PAIRS = [("the cat", "a dog", "positive"), ("a tree", "why", "negtive")]


def lines(*rows):
    return "".join("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        lines(*PAIRS),
        lines(*[("id-7", *pair) for pair in PAIRS]),
        lines(("id", "text_a", "text_b", "label"), *[("7", *pair) for pair in PAIRS]),
        lines(("sentence1", "sentence2", "gold_label"), *PAIRS),
        lines(("label", "text_b", "text_a"), *[pair[::-1] for pair in PAIRS]),
        "\ufeff" + lines(*PAIRS).replace("\n", "\r\n"),
        # Not as declared: told by the contents.
        lines(("id", "sentence", "aspect", "polarity"), *[("7", *p) for p in PAIRS]),
        lines(*[(label, a, b) for a, b, label in PAIRS]),
        # Quotes around every cell enclose.
        lines(*[[f'"{cell}"' for cell in pair] for pair in PAIRS]),
    ],
)
def test_columns(make_named_task, content):
    task = make_named_task("sentiment", train=content)
    examples = task.read_examples(base.TRAIN)
    # One label has two spellings.
    expected = [(a, b, label.replace("gt", "gat")) for a, b, label in PAIRS]
    assert [(each.text_a, each.text_b, each.label) for each in examples] == expected
    assert task.labels == ("positive", "negative", "neutral")


@pytest.mark.parametrize("num_columns", [2, 3])
def test_a_test_file_may_lack_the_labels(make_named_task, num_columns):
    rows = [("7", *pair[:2])[-num_columns:] for pair in PAIRS]
    task = make_named_task("sentiment", test=lines(*rows))
    examples = task.read_examples(base.TEST)
    found = [(each.text_a, each.text_b, each.label) for each in examples]
    assert found == [(*pair[:2], None) for pair in PAIRS]


def test_a_trained_model_keeps_its_spelling(make_named_task):
    saved = {"labels": ["positive", "negtive", "neutral"]}
    pairs = [*PAIRS, ("a", "b", "negative")]
    task = make_named_task("sentiment", train=lines(*pairs), saved=saved)
    found = [each.label for each in task.read_examples(base.TRAIN)]
    assert found == ["positive", "negtive", "negtive"]


def test_other_labels(make_named_task):
    content = lines(("a", "b", "N"), ("c", "d", "Y"))
    task = make_named_task("sentiment", train=content, labels="Y,N,M")
    examples = task.read_examples(base.TRAIN)
    assert [task.schema.labels.value(each.label) for each in examples] == [1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(*PAIRS, ("a", "b", "good")), r"tsv:3: .*'good'.*'positive'"),
        (
            lines(("a", "b", "good")),
            r"tsv:1: .* id,text_a,text_b,label .*text_a",
        ),
        (lines(*PAIRS, ("a", "positive")), r"tsv:3: 2 .* 3"),
    ],
)
def test_errors(make_named_task, content, message):
    with pytest.raises(InputError, match=message):
        list(make_named_task("sentiment", train=content).read_examples(base.TRAIN))


@pytest.mark.slow
def test_trains_evaluates_predicts_and_exports(one_layer_model, tmp_path):
    texts = helpers.make_texts(22)
    rows = [(a, b, "YNM"[i % 3]) for i, (a, b) in enumerate(zip(texts, texts[11:]))]
    helpers.write_rows(tmp_path / "data" / "train.tsv", rows)
    helpers.write_rows(tmp_path / "data" / "dev.tsv", rows[:4])
    helpers.check_task(
        "sentiment",
        one_layer_model,
        tmp_path / "data",
        tmp_path / "out",
        4,
        labels="Y,N,M",
    )
