"""Multi-label tasks: forms of a cell with labels, scores, a whole run."""

import json

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.data import tables
from bert_my.tasks import base
from bert_my.text.preprocessor import Example
from tests import helpers


@pytest.fixture
def read(make_named_task):
    """Returns a function from a train file and flags to the rows' lists of 0 and 1."""

    def read_rows(content, suffix="tsv", **flags):
        task = make_named_task("mlabel", suffix=suffix, train=content, **flags)
        examples = task.read_examples(base.TRAIN)
        return [task.schema.labels.value(each.label) for each in examples]

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
    assert task.labels == ("new york", "sport", "war")


@pytest.mark.parametrize(
    ("first", "flags", "said"),
    [
        ("review\tmoods", {}, "read as data; --header=true reads it as a header"),
        ("review\tmoods", {"header": True}, ""),
        ("a film\tsad", {}, ""),
    ],
)
def test_a_first_row_that_may_be_a_header(read, caplog, first, flags, said):
    rows = read(f"{first}\nx y\tsad,odd\nz w\todd\nu v\tsad,odd\n", **flags)
    assert len(rows) == 4 - bool(flags)
    assert ("read as" in caplog.text) == bool(said)
    assert said in caplog.text


@pytest.mark.parametrize(("train", "dev"), [("1.0,2.0", "1,2"), ("1,2,2.0", "1.0,+2")])
def test_spellings_of_a_number_are_one_name(make_named_task, train, dev):
    files = [f"a b\t{cell}\nc d\t5\n" for cell in (train, dev)]
    task = make_named_task("mlabel", train=files[0], dev=files[1])
    assert len(task.labels) == 3
    for split in (base.TRAIN, base.DEV):
        first = next(task.read_examples(split))
        assert task.schema.labels.value(first.label) == [1, 1, 0]


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
            r"tsv:2: .*'1,0'.* 2 .* 3 ",
        ),
        ("a\t1\nb\t1,0,1,1\n", {"num_labels": 3}, r"tsv:2: .*'1,0,1,1'.* 4 .* 3 "),
        (
            "a\t1\nb\t1,0,2\n",
            {"num_labels": 2},
            r"tsv:2: .*'2'.* 0, 1",
        ),
        ("a\tx\nb\tx,q\n", {"labels": "x,y"}, r"tsv:2: .*'q'.* x, y"),
        ("a\t1,0\nb\t0,0\n", {}, r"--num_labels.*--labels"),
        ("a\tx\nb\tx\n", {}, "found x; --labels"),
        (
            "a\tx\n",
            {"num_labels": 3, "labels": "x,y"},
            r"^--num_labels=3.*--labels.*x, y",
        ),
        ("a\t['x,y', 'z']\n", {}, "^task mlabel: "),
        (
            "text\tother\na\tx,q\n",
            {"labels": "x,y"},
            r"tsv:1: .*'text', 'other'.* x, y ",
        ),
        (
            "a|b\ttext number 0\nb\ttext number 0\n",
            {},
            r" 3 .*'0' and 'text'.*--label_column",
        ),
        (
            "体育\t今天的比赛很好看\n财经\t股票在今天上涨了\n",
            {},
            r" 2 .*--label_column and --text_column",
        ),
        (
            "".join(f"a text\tname{i}\n" for i in range(21)),
            {},
            r"21 .* 21 .*'name0'",
        ),
    ],
)
def test_errors(read, content, flags, message):
    with pytest.raises(InputError, match=message):
        read(content, **flags)


def test_flags_name_columns_of_which_the_labels_come_first(make_named_task):
    content = "a|b\ttext number 0\nb\ttext number 1\n"
    flags = {"label_column": "1", "text_column": "2"}
    task = make_named_task("mlabel", train=content, **flags)
    found = [(each.text_a, each.label) for each in task.read_examples(base.TRAIN)]
    assert found == [("text number 0", "a,b"), ("text number 1", "b")]


def test_flags_number_the_columns_of_a_header(make_named_task):
    content = "tags\ttext\na|b\ttext number 0\nb\ttext number 1\n"
    flags = {"label_column": "1", "text_column": "2"}
    task = make_named_task("mlabel", train=content, **flags)
    assert [each.label for each in task.read_examples(base.TRAIN)] == ["a,b", "b"]


def test_known_labels_may_come_first(read):
    content = "a|b\ttext number 0\nb\ttext number 1\n"
    assert read(content, labels="a,b") == [[1, 1], [0, 1]]


def test_names_of_collected_labels_are_counted(make_named_task, caplog):
    content = "text\tx,y\n\ty\n" + "text\ty\n" * 3
    with caplog.at_level("INFO", logger="bert_my"):
        assert make_named_task("mlabel", train=content).labels == ("x", "y")
    assert "y (5), x (1)" in caplog.text
    rare, empty = (x.getMessage() for x in caplog.records if x.levelname == "WARNING")
    assert rare.endswith(": x")
    assert " 1 train examples" in empty


# Rows of the fork: a column for each of the labels.
NAMES = [f"label_{index}" for index in range(10)]
WIDE = "\n".join(
    [
        "\t".join(["idx", "text_a", *NAMES]),
        "\t".join(["7", "the cat", *"1000000001"]),
        "\t".join(["8", "a dog, a tree", *"0000000000"]),
    ]
)
TOXIC = (
    "id,comment_text,toxic,severe_toxic,obscene\n"
    '7,"the cat, and\nmore",0,1,1\n'
    "8,a dog,1,0,0\n"
)


def test_a_column_for_each_label(make_named_task):
    task = make_named_task("mlabel", train=WIDE, num_labels=10)
    assert task.labels == tuple(NAMES)
    examples = list(task.read_examples(base.TRAIN))
    assert [each[:4] for each in examples] == [
        ("the cat", None, "label_0,label_9", "7"),
        ("a dog, a tree", None, "-", "8"),
    ]
    assert task.schema.labels.value(examples[0].label) == [1, *[0] * 8, 1]


@pytest.mark.parametrize(
    "flags",
    [
        {"labels": "obscene,toxic,severe_toxic", "text_column": "comment_text"},
        {"labels": "obscene,toxic,severe_toxic", "text_column": "2"},
        {"labels": "obscene,toxic,severe_toxic"},
    ],
)
def test_names_of_label_columns(make_named_task, flags):
    task = make_named_task("mlabel", suffix="csv", train=TOXIC, **flags)
    examples = list(task.read_examples(base.TRAIN))
    assert task.labels == ("obscene", "toxic", "severe_toxic")
    assert [each[0] for each in examples] == ["the cat, and\nmore", "a dog"]
    assert [task.schema.labels.value(each.label) for each in examples] == [
        [1, 0, 1],
        [0, 1, 0],
    ]


def test_some_of_the_label_columns(read):
    flags = {"labels": "toxic,obscene", "text_column": "comment_text"}
    assert read(TOXIC, "csv", **flags) == [[0, 1], [1, 0]]
    assert read(
        "toxic,obscene,text\n0,1,a\n1,0,b\n", "csv", labels="toxic,obscene"
    ) == [[0, 1], [1, 0]]


def test_label_columns_of_json_lines(read):
    rows = [
        {"x": 1, "text": "a", "y": 0, "z": 0},
        {"x": 0, "text": "b", "y": 1, "z": 1},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    assert read(content, "jsonl", num_labels=2) == [[0, 0], [1, 1]]


def test_a_test_file_may_lack_the_label_columns(make_named_task):
    test = "comment_text,id\nthe tree,9\n"
    task = make_named_task("mlabel", "csv", train=TOXIC, test=test, num_labels=3)
    expected = [("the tree", None, None, "9")]
    assert [each[:4] for each in task.read_examples(base.TEST)] == expected
    saved = json.loads(json.dumps(task.description))
    later = make_named_task("mlabel", suffix="csv", test=test, saved=saved)
    assert [each[:4] for each in later.read_examples(base.TEST)] == expected
    assert later.labels == ("toxic", "severe_toxic", "obscene")


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (TOXIC, {"num_labels": 4}, "--num_labels=4.* 3 "),
        (TOXIC, {}, r"csv: .* 3 .*--num_labels=3"),
        (
            TOXIC + "9,a,2,0,0\n",
            {"labels": "toxic,obscene"},
            r"csv:5: .*'2'",
        ),
        (TOXIC + "9,a,,0,0\n", {"labels": "toxic,obscene"}, r"csv:5: .*''"),
        # A gap does not hide a column of zeros and ones.
        (TOXIC + "9,a,nan,0,0\n", {"num_labels": 3}, r"csv:5: .*'nan'"),
        (
            "nr,what,x,y\n1,a,0,1\n2,b,1,1\n",
            {"labels": "x,y"},
            r"csv: .*--text_column",
        ),
    ],
)
def test_errors_of_label_columns(read, content, flags, message):
    with pytest.raises(InputError, match=message):
        read(content, "csv", **flags)


def test_a_gap_among_the_labels_of_a_test_file(make_named_task):
    test = TOXIC + "9,a,-1,0,0\n"
    task = make_named_task("mlabel", "csv", train=TOXIC, test=test, num_labels=3)
    with pytest.raises(InputError, match=r"test\.csv:5: .*'-1' instead of 0 or 1"):
        list(task.read_examples(base.TEST))


@pytest.mark.parametrize(
    ("cells", "are_known"),
    [("0,0,0", False), ("-1,-1,-1", False), (",,", False), ("1,0,0", True)],
)
def test_a_test_file_whose_rows_have_the_same_labels(make_named_task, cells, are_known):
    test = TOXIC.split("\n")[0] + f"\n7,a,{cells}\n8,b,{cells}\n"
    task = make_named_task("mlabel", "csv", train=TOXIC, test=test, num_labels=3)
    labels = {each.label for each in task.read_examples(base.TEST)}
    assert labels == ({"toxic"} if are_known else {None})


def test_columns_of_labels_beside_a_name_that_comes_twice(make_named_task):
    content = "text,text,x,y\nno,a b c,0,1\nyes,d e f,1,1\n"
    task = make_named_task(
        "mlabel", "csv", train=content, num_labels=2, text_column="2"
    )
    found = [each.text_a for each in task.read_examples(base.TRAIN)]
    assert found == ["a b c", "d e f"]


def test_names_of_label_columns_ignore_case(read):
    assert read(TOXIC, "csv", labels="Obscene,Toxic") == [[1, 0], [0, 1]]


def test_a_header_with_one_column_of_labels_has_no_label_columns(read):
    content = "id\ttext\thot\tnew\tlabels\n1\ta\t0\t1\tx\n2\tb\t1\t0\tx,y\n"
    assert read(content) == [[1, 0], [1, 1]]


def test_labels_must_be_those_of_the_trained_model(make_named_task):
    saved = {"labels": ["x", "y"]}
    with pytest.raises(InputError, match=r"^--labels=y,x: .* x, y$"):
        make_named_task("mlabel", saved=saved, labels="y,x")
    assert make_named_task("mlabel", saved=saved).labels == ("x", "y")


def test_score(make_named_task):
    task = make_named_task("mlabel", labels="x,y")
    examples = [Example("a", label=label) for label in ("x", "x,y", "-")]
    probabilities = np.array([[0.9, 0.6], [0.8, 0.3], [0.1, 0.2]])
    scores = task.score(
        (example, {"probabilities": row})
        for example, row in zip(examples, probabilities)
    )
    # Right: x twice; wrong: y once too many and once too few.
    assert scores["f1_micro"] == pytest.approx(2 / 3)
    assert set(scores) == set(task.metric_names)
    assert task.main_metric in scores


@pytest.mark.once
def test_label_columns_train_evaluate_predict_and_export(one_layer_model, tmp_path):
    data = tmp_path / "data"
    rows = [("id", "text_a", "late", "rude", "new")]
    for index, text in enumerate(helpers.make_texts(13)):
        rows.append((index, text, int("cat" in text), index % 2, 0))
    helpers.write_rows(data / "train.tsv", rows)
    helpers.write_rows(data / "dev.tsv", rows[:6])
    helpers.write_rows(data / "test.tsv", [row[:2] for row in rows[:5]])
    out = tmp_path / "out"
    helpers.check_task("mlabel", one_layer_model, data, out, 4, num_labels=3)


@pytest.mark.slow
def test_trains_evaluates_predicts_and_exports(one_layer_model, tmp_path):
    data, texts = tmp_path / "data", helpers.make_texts(13)
    rows = [(text, f"{int('cat' in text)},{i % 2},0") for i, text in enumerate(texts)]
    helpers.write_rows(data / "train.tsv", rows)
    helpers.write_rows(data / "dev.tsv", rows[:5])
    out = tmp_path / "out"
    helpers.check_task("mlabel", one_layer_model, data, out, 5, num_labels=3)


@pytest.mark.parametrize("name", ["csv", "mlabel"])
def test_labels_of_rows_after_the_sample_are_found(make_named_task, monkeypatch, name):
    monkeypatch.setattr(tables, "SAMPLE_SIZE", 5)
    rows = [f"a cat runs today {n}\t{'ab'[n % 2]}" for n in range(9)]
    rows += [f"a dog sleeps again {n}\tc" for n in range(4)]
    task = make_named_task(name, train="text\tlabel\n" + "\n".join(rows) + "\n")
    assert task.labels == ("a", "b", "c")
