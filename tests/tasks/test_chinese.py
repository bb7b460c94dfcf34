"""The Chinese data sets: every task reads its usual files as they are."""

import json
import pathlib

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base
from tests import helpers

pytestmark = pytest.mark.once

PAIR = [("好吗", "不好", "1"), ("来了", "去了", "0")]
XNLI = [
    "language",
    "gold_label",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
    "promptID",
    "pairID",
    "genre",
    "label1",
    "label2",
    "label3",
    "label4",
    "label5",
    "sentence1_tokenized",
    "sentence2_tokenized",
    "match",
]


def lines(*rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def read(task, split=base.TRAIN):
    return [
        (each.text_a, each.text_b, each.label) for each in task.read_examples(split)
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "chnsenticorp",
            lines(("label", "text_a"), ("1", "好"), ("0", '"差')),
            [("好", None, "1"), ('"差', None, "0")],
        ),
        ("chnsenticorp", lines(("1", "好")), [("好", None, "1")]),
        (
            "chnsenticorp",
            lines(("qid", "label", "text_a"), ("7", "1", "好")),
            [("好", None, "1")],
        ),
        ("lcqmc", lines(*PAIR), PAIR),
        ("lcqmc", lines(("text_a", "text_b", "label"), *PAIR), PAIR),
        ("atec", "\ufeff" + lines(*[("7", *pair) for pair in PAIR]), PAIR),
        ("dbqa", lines(*PAIR), PAIR),
        (
            "dbqa",
            lines(("qid", "text_a", "text_b", "label"), *[("7", *p) for p in PAIR]),
            PAIR,
        ),
        (
            "xnli",
            lines(("premise", "hypo", "label"), ("甲", "乙", "contradictory")),
            [("甲", "乙", "contradiction")],
        ),
    ],
)
def test_train_files(make_named_task, name, content, expected):
    assert read(make_named_task(name, train=content)) == expected


@pytest.mark.parametrize(
    ("name", "content", "text_b"),
    [
        ("chnsenticorp", lines(("qid", "text_a"), ("7", "好吗")), None),
        ("chnsenticorp", lines(("好吗",)), None),
        ("lcqmc", lines(("好吗", "不好")), "不好"),
        ("atec", lines(("7", "好吗", "不好")), "不好"),
        ("dbqa", lines(("好吗", "不好")), "不好"),
        ("ocnli", json.dumps({"sentence1": "好吗", "sentence2": "不好"}), "不好"),
    ],
)
def test_test_files_without_labels(make_named_task, name, content, text_b):
    suffix = "json" if name == "ocnli" else "tsv"
    task = make_named_task(name, suffix=suffix, test=content)
    assert read(task, base.TEST) == [("好吗", text_b, None)]


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("标题一\t3\n标题二\t10\n标题三\t3\n标题四\t10\n标题五\t3\n", ("3", "10")),
        (
            "".join(
                f"{'体育财经'[i % 2 * 2 :][:2]}\t第{i}篇很长的文章\n" for i in range(9)
            ),
            None,
        ),
    ],
)
def test_thucnews_in_both_forms(make_named_task, content, labels):
    task = make_named_task("thucnews", suffix="txt", train=content)
    assert task.labels == (labels or ("体育", "财经"))
    assert len(read(task)) == content.count("\n")
    assert {label for _, _, label in read(task)} == set(task.labels)


def test_ocnli_leaves_out_rows_without_a_label(make_named_task, caplog):
    rows = [("甲", "neutral"), ("乙", "-"), ("丙", "entailment"), ("丁", "-")]
    content = "".join(
        json.dumps({"level": "na", "sentence1": x, "sentence2": "好", "label": y})
        + "\n"
        for x, y in rows
    )
    task = make_named_task("ocnli", suffix="json", train=content)
    assert [text for text, _, _ in read(task)] == ["甲", "丙"]
    assert "2 rows" in caplog.text


def test_ocnli_takes_the_whole_train_set(make_named_task, tmp_path):
    for size in ("50k", "30k", "10k", "3k"):
        row = {"sentence1": "好", "sentence2": "来", "label": "neutral"}
        (tmp_path / f"train.{size}.json").write_text(json.dumps(row) + "\n")

    def found():
        task = make_named_task("ocnli", data_dir=tmp_path)
        (path,) = task.find_files(base.TRAIN)
        return pathlib.Path(path).name

    assert found() == "train.50k.json"
    (tmp_path / "train.50k.json").unlink()
    assert found() == "train.30k.json"


def test_xnli_reads_the_chinese_rows(make_named_task):
    def row(language, label):
        parses = ["( a )"] * 4
        texts = [f"甲 {language}", "乙"]
        return [
            language,
            label,
            *parses,
            *texts,
            "1",
            "1",
            "g",
            *[label] * 5,
            "x",
            "y",
            "T",
        ]

    content = lines(XNLI, row("ar", "neutral"), row("zh", "neutral"), row("zh", "-"))
    task = make_named_task("xnli", dev=content)
    assert read(task, base.DEV) == [("甲 zh", "乙", "neutral")]


def test_xnli_finds_its_official_files(make_named_task, tmp_path):
    names = ("multinli/multinli.train.zh.tsv", "xnli.dev.tsv", "xnli.test.tsv")
    for name in names:
        rows = [("premise", "hypo", "label"), ("好", "来", "neutral")]
        helpers.write_rows(tmp_path / name, rows)
    task = make_named_task("xnli", data_dir=tmp_path)
    found = [task.find_files(split) for split in (base.TRAIN, base.DEV, base.TEST)]
    assert found == [[str(tmp_path / name)] for name in names]


def test_msra_ner_holds_out_the_end_of_its_train_file():
    assert base.get_task_class("msra_ner").defaults == {"num_dev_examples": 2000}


def test_dbqa_ranks_the_candidates_of_a_question(make_named_task):
    # The second question's rows lie apart.
    questions, labels = "aabbbab", [0, 1, 0, 0, 1, 0, 0]
    content = lines(
        *[(q, f"c {i}", str(y)) for i, (q, y) in enumerate(zip(questions, labels))]
    )
    task = make_named_task("dbqa", dev=content)
    examples = list(task.read_examples(base.DEV))
    assert [each.group for each in examples] == [0, 0, 1, 1, 1, 0, 1]
    positive = [0.9, 0.8, 0.1, 0.7, 0.6, 0.2, 0.65]
    results = [
        {"label": str(int(p > 0.5)), "probabilities": np.array([1 - p, p])}
        for p in positive
    ]
    scores = task.score(zip(examples, results))
    assert set(scores) == set(task.metric_names)
    # The right candidate of a is the second, that of b the third.
    assert scores["mrr"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert scores["map"] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_dbqa_groups_by_the_question_id(make_named_task):
    rows = [("7", "q", "x", "1"), ("8", "q", "y", "0"), ("7", "q", "z", "0")]
    content = lines(("qid", "text_a", "text_b", "label"), *rows)
    task = make_named_task("dbqa", dev=content)
    assert [each.group for each in task.read_examples(base.DEV)] == [0, 1, 0]


def test_wrong_labels_are_named(make_named_task):
    task = make_named_task("lcqmc", train=lines(*PAIR, ("a", "b", "2")))
    with pytest.raises(InputError, match=r"train\.tsv:3: .*'2'.*'0', '1'"):
        read(task)


def test_dbqa_trains_evaluates_predicts_and_exports(one_layer_model, tmp_path):
    texts = helpers.make_texts(18)
    rows = [(texts[i // 3], text, int(i % 3 == 0)) for i, text in enumerate(texts)]
    helpers.write_rows(tmp_path / "data" / "train.tsv", rows)
    helpers.write_rows(tmp_path / "data" / "dev.tsv", rows[:7])
    helpers.check_task("dbqa", one_layer_model, tmp_path / "data", tmp_path / "out", 7)
