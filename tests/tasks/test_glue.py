"""GLUE: every task reads its official files as they are."""

import csv
import io
import json

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base

pytestmark = pytest.mark.once

MNLI = [
    "index",
    "promptID",
    "pairID",
    "genre",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
]
STSB = [
    "index",
    "genre",
    "filename",
    "year",
    "old_index",
    "source1",
    "source2",
    "sentence1",
    "sentence2",
]
QQP = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
PARSES = ["( a b )", "( c )", "(ROOT a b)", "(ROOT c)"]
MRPC = ["#1 ID", "#2 ID", "#1 String", "#2 String"]

# Task: header of the train file (None for none), a row; header of the test file, a row;
# guid (None where the file has none) and text_b of both, label of the train row.
FILES = {
    "cola": (
        None,
        ["gj04", "1", "", "A b."],
        ["index", "sentence"],
        ["7", "A b."],
        "1",
    ),
    "sst2": (
        ["sentence", "label"],
        ["A b.", "0"],
        ["index", "sentence"],
        ["7", "A b."],
        "0",
    ),
    "mrpc": (
        ["\ufeffQuality", *MRPC],
        ["1", "702876", "702977", "A b.", '"c'],
        ["\ufeffindex", *MRPC],
        ["7", "1089874", "1089925", "A b.", '"c'],
        "1",
    ),
    "qqp": (
        QQP,
        ["7", "213221", "213222", "A b.", '"c', "0"],
        ["id", "question1", "question2"],
        ["7", "A b.", '"c'],
        "0",
    ),
    "mnli": (
        [*MNLI, "label1", "gold_label"],
        ["7", "31193", "31193n", "government", *PARSES, "A b.", '"c', *["neutral"] * 2],
        MNLI,
        ["7", "31193", "31193n", "travel", *PARSES, "A b.", '"c'],
        "neutral",
    ),
    "qnli": (
        ["index", "question", "sentence", "label"],
        ["7", "A b.", '"c', "not_entailment"],
        ["index", "question", "sentence"],
        ["7", "A b.", '"c'],
        "not_entailment",
    ),
    "rte": (
        ["index", "sentence1", "sentence2", "label"],
        ["7", "A b.", '"c', "entailment"],
        ["index", "sentence1", "sentence2"],
        ["7", "A b.", '"c'],
        "entailment",
    ),
    "wnli": (
        ["index", "sentence1", "sentence2", "label"],
        ["7", "A b.", '"c', "1"],
        ["index", "sentence1", "sentence2"],
        ["7", "A b.", '"c'],
        "1",
    ),
    "stsb": (
        [*STSB, "score"],
        ["7", "main", "MSR", "2012", "0001", "none", "none", "A b.", '"c', "5.000"],
        STSB,
        ["7", "main", "MSR", "2012", "0001", "none", "none", "A b.", '"c'],
        "5.000",
    ),
}
FILES["mnli-mm"] = FILES["mnli"]
SINGLE = ("cola", "sst2")


def lines(*rows):
    return "".join("\t".join(row) + "\n" for row in rows if row)


@pytest.mark.parametrize("name", sorted(FILES))
def test_train_files(make_named_task, name):
    header, row, _, _, label = FILES[name]
    task = make_named_task(name, train=lines(header, row, row))
    examples = list(task.read_examples(base.TRAIN))
    assert [(e.text_a, e.text_b, e.label) for e in examples] == [
        ("A b.", None if name in SINGLE else '"c', label)
    ] * 2
    if name not in ("cola", "sst2", "mrpc"):
        assert examples[0].guid == "7"


@pytest.mark.parametrize("name", sorted(FILES))
def test_test_files_have_no_labels(make_named_task, name):
    _, _, header, row, _ = FILES[name]
    task = make_named_task(name, test=lines(header, row))
    (example,) = task.read_examples(base.TEST)
    text_b = None if name in SINGLE else '"c'
    assert tuple(example)[:4] == ("A b.", text_b, None, "7")


@pytest.mark.parametrize(
    ("name", "dev", "test"),
    [("mnli", "dev_matched", "test_matched"), ("mnli-mm", *["dev_mismatched"] * 2)],
)
def test_mnli_has_two_dev_sets(make_named_task, tmp_path, name, dev, test):
    for stem in ("dev_matched", "dev_mismatched", "test_matched", "test_mismatched"):
        (tmp_path / f"{stem}.tsv").write_text("x\n")
    task = make_named_task(name, data_dir=tmp_path)
    assert task.find_files(base.DEV) == [str(tmp_path / f"{dev}.tsv")]
    expected = test.replace("dev", "test")
    assert task.find_files(base.TEST) == [str(tmp_path / f"{expected}.tsv")]


def test_five_annotators_and_rows_without_their_agreement(make_named_task, caplog):
    header = [*MNLI, *[f"label{i}" for i in range(1, 6)], "gold_label"]
    start = ["7", "1", "1n", "slate", *PARSES, "A b.", "c", *["neutral"] * 5]
    rows = [[*start, gold] for gold in ("neutral", "-", "entailment", "-")]
    task = make_named_task("mnli", dev=lines(header, *rows))
    labels = [each.label for each in task.read_examples(base.DEV)]
    assert labels == ["neutral", "entailment"]
    assert "2 rows" in caplog.text
    task = make_named_task("mnli", test=lines(header, *rows))
    labels = [each.label for each in task.read_examples(base.TEST)]
    assert labels == ["neutral", None, "entailment", None]


def test_qqp_has_rows_that_line_ends_broke(make_named_task, caplog):
    rows = [[str(i), "1", "2", f"q {i}", "r", str(i % 2)] for i in range(4)]
    broken = [["9", "1", "2", '"q'], ['"', "Was he a figure?", "0"]]
    content = lines(QQP, *rows[:2], *broken, *rows[2:])
    examples = make_named_task("qqp", train=content).read_examples(base.TRAIN)
    assert [each.text_a for each in examples] == ["q 0", "q 1", "q 2", "q 3"]
    assert "2 rows" in caplog.text


def test_no_row_of_a_test_file_is_left_out(make_named_task):
    content = lines(["id", "question1", "question2"], ["1", "a", "b"], ["2", "a"])
    task = make_named_task("qqp", test=content)
    with pytest.raises(InputError, match=r"test\.tsv:3: 2 "):
        list(task.read_examples(base.TEST))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("cola", "mcc"),
        ("mrpc", "f1"),
        ("qqp", "f1"),
        ("stsb", "pearson"),
        *[(name, "eval_accuracy") for name in ("mnli", "mnli-mm", "qnli", "rte")],
    ],
)
def test_main_metric_is_that_of_glue(make_named_task, name, metric):
    task = make_named_task(name)
    assert task.main_metric == metric
    assert metric in task.metric_names


def test_a_trained_model_knows_the_columns_that_flags_named(make_named_task):
    rows = [f"a cat number {index} is here\tx\t{index % 2}" for index in range(9)]
    train = "\n".join(["phrase\tname\tlabel", *rows])
    saved = make_named_task("sst2", train=train, text_column="phrase").description
    task = make_named_task("sst2", test="name\tphrase\nx\tA b.\n", saved=saved)
    (example,) = task.read_examples(base.TEST)
    assert example.text_a == "A b."


PAIR = "sentence1,sentence2"


@pytest.mark.parametrize(
    ("name", "texts", "labels"),
    [
        ("cola", "sentence", {"0": "0", "acceptable": "1"}),
        ("sst2", "sentence", {"0": "0", "positive": "1"}),
        ("mrpc", PAIR, {"0": "0", "equivalent": "1"}),
        ("qqp", "question1,question2", {"1": "1", "not_duplicate": "0"}),
        ("mnli", "premise,hypothesis", {"0": "entailment", "2": "contradiction"}),
        ("mnli-mm", "premise,hypothesis", {"1": "neutral", "neutral": "neutral"}),
        ("qnli", "question,sentence", {"0": "entailment", "1": "not_entailment"}),
        ("rte", PAIR, {"1": "not_entailment", "entailment": "entailment"}),
        ("wnli", PAIR, {"0": "0", "entailment": "1"}),
        ("stsb", PAIR, {"2.5": "2.5", "0.0": "0.0"}),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_exports_of_hugging_face(make_named_task, name, texts, labels, suffix):
    names = [*texts.split(","), "label", "idx"]
    rows = [
        [*[f'a, "{n}"', "b"][: len(names) - 2], label, str(n)]
        for n, label in enumerate(labels)
    ]

    def content(rows):
        if suffix != "jsonl":
            stream = io.StringIO()
            delimiter = {"csv": ",", "tsv": "\t"}[suffix]
            csv.writer(stream, delimiter=delimiter).writerows([names, *rows])
            return stream.getvalue()
        return "".join(json.dumps(dict(zip(names, row))) + "\n" for row in rows)

    unknown = [[*row[:-2], "-1", row[-1]] for row in rows]
    task = make_named_task(name, suffix, train=content(rows), test=content(unknown))
    found = list(task.read_examples(base.TRAIN))
    assert [each.label for each in found] == list(labels.values())
    assert [each.text_a for each in found] == ['a, "0"', 'a, "1"']
    assert [each.label for each in task.read_examples(base.TEST)] == [None, None]
