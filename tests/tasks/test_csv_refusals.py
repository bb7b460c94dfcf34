"""The task `csv`: test and dev files, and errors that name the file or the flag."""

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base
from tests.tasks.made_tables import (
    LABELS,
    ROWS,
    TEXTS,
    json_lines,
    read,
    table,
)

pytestmark = pytest.mark.once

# (train file, flags, what the error names)
UNREADABLE = [
    ("", {}, r"train\.csv: "),
    (
        table("text", "n", "label"),
        {},
        "label.*--label_column",
    ),
    (
        table("text", "more", "label", header={}),
        {},
        "--text_pair_column",
    ),
    (
        table("text", "more", "text", "label"),
        {},
        "text.*--text_column",
    ),
    (
        table("text", "label", "label", header={}),
        {},
        "'label'",
    ),
    (
        table("text", "label"),
        {"label_column": "3"},
        r"'3'.*--label_column",
    ),
    (
        table("text", "label"),
        {"text_column": "x"},
        "'x'.*--text_column",
    ),
    (table("text", "label", header={}), {"label_column": "lable"}, "mean 'label'"),
    (table("text", "label"), {"labels": __file__}, "^--labels=.*: it is a file"),
    (
        table("text", "label", header={}),
        {"text_column": "1", "label_column": "text"},
        "--text_column.*--label_column",
    ),
    ("good movie,pos\nbad movie,neg\n", {}, "--label_column"),
    (
        "good movie,pos\nbad movie,neg\n",
        {"label_column": "pos", "header": False},
        "--header=false.*'pos'.*numbers from 1",
    ),
    ("text,label\na b,x\nc d,y\x00\ne f,x\n", {}, r"csv:3: label .*control"),
    ("text,label\na b,x\nc d,y\u200b\ne f,x\n", {}, r"csv:3: label .*invisible"),
    ("text,label\na b,x\nc d,<NA>\ne f,x\n", {}, r"csv:3: .*stands for none"),
    (
        "id, text, label\n" + '1, "a b, c", 0\n' * 3,
        {},
        r"csv:2: 4 columns.* no blank .* before the quote",
    ),
    ("text,label\n" + "'a b, c',0\n" * 3, {}, r"csv:2: 3 columns.* double quotes"),
    # Names that look like numbers from 1.
    (
        "0,1,2\n" + "".join(f"{n},a b c {n},{n % 2}\n" for n in range(9)),
        {"text_column": "1", "label_column": "2"},
        "--text_column=1 is the column '0'.* --text_column=2$",
    ),
    ("text,label\na b,x\nc d,y\x07\ne f,x\n", {}, r"csv:3: .*control"),
    ("text,label\na b,x\nc d,nan\ne f,y\n", {}, r"csv:3: .*'nan'.*--labels"),
    ("text,text,label\na,b c,0\nd,e f,1\n", {}, "--text_column"),
    ("text,label,label\na b c,0,1\nd e f,1,0\n", {}, "--label_column"),
    ("".join(f"{text}\n" for text in ("a", "b c")), {}, r"train\.csv: "),
    ("sep=;\ntext;label\na b c;1\n", {}, r"train\.csv:1: 'sep=;'"),
    ("text,label\ra b,1\rc d,0\r", {}, r"train\.csv: "),
    (
        "my data\ntext,label\na,1\n",
        {},
        r"train\.csv:2: 2 .* 1",
    ),
    ("text,label\na b,1\nc, d,0\ne,1\n", {}, r"train\.csv:3: 3 .* comma"),
    ('text, label\n"a, b", "1"\n"c, d", "0"\n', {}, r"train\.csv:2: "),
    ("text,label\na b,1\n,\n", {}, r"train\.csv:3: "),
    ("text,label\na b,1\nc,1\n", {}, r"found 1; --labels"),
    (
        "text,score\n" + "".join(f"text {i},{i / 7}\n" for i in range(50)),
        {"label_column": "score"},
        "50 .* 50 .*--task_name=regression",
    ),
    (
        json_lines("text").replace("}", ', "label": ["a", "b"]}'),
        {},
        "--task_name=mlabel",
    ),
    (
        '{"text": "a", "label": 1}\n{"label": 0}\n',
        {},
        r"csv:2: .*text_a",
    ),
    (
        '{"text": "a", "label": 1}\n{"text": "b"}\n',
        {},
        r"csv:2: ",
    ),
]


@pytest.mark.parametrize(("train", "flags", "message"), UNREADABLE)
def test_a_train_file_that_cannot_be_read(make_csv_task, train, flags, message):
    with pytest.raises(InputError, match=message):
        read(make_csv_task(train=train, **flags))


TRAIN = table("id", "text", "label")
WITH_HEADER = table("id", "text", "label", header={})


@pytest.mark.parametrize(
    ("train", "test", "with_labels"),
    [
        (TRAIN, table("id", "text"), False),
        (WITH_HEADER, table("text", header={}), False),
        (WITH_HEADER, table("more", "text", header={}), False),
        (WITH_HEADER, table("label", "n", "text", header={}), True),
        (WITH_HEADER, json_lines("text"), False),
        (WITH_HEADER, table("id", "text", "label", header={}, delimiter=";"), True),
        (table("label", "text"), table("text"), False),
        (table("text", "label", "more"), table("text", "more"), False),
        (
            TRAIN,
            table("id", "text", "label", rows=[{**row, "label": ""} for row in ROWS]),
            False,
        ),
    ],
)
def test_a_test_file_may_lack_the_labels(make_csv_task, train, test, with_labels):
    labels = LABELS if with_labels else [None] * len(LABELS)
    task = make_csv_task(train=train, test=test)
    assert read(task, base.TEST) == list(zip(TEXTS, labels))


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (WITH_HEADER, TRAIN, r"test\.csv: .*'text'.*--text_column"),
        (TRAIN, WITH_HEADER, r"test\.csv: .*'text'"),
        (TRAIN, table("text", "label"), r"test\.csv:1: .*'bad'"),
        (TRAIN, table("text"), r"test\.csv: 1 .* 3"),
    ],
)
def test_other_columns_than_in_training_are_named(make_csv_task, train, test, message):
    with pytest.raises(InputError, match=message):
        read(make_csv_task(train=train, test=test), base.TEST)


@pytest.mark.parametrize(
    ("delimiter", "dev"), [(",", '7,"a, b; c",good\n'), (";", "7;a, b, c;good\n")]
)
def test_a_dev_file_of_one_row_is_split_as_the_train_file(
    make_csv_task, delimiter, dev
):
    train = table("id", "text", "label", delimiter=delimiter)
    ((text, label),) = read(make_csv_task(train=train, dev=dev), base.DEV)
    assert (text, label) == (dev[2:-6].strip('"'), "good")


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        (table("id", "text", header={}), r"dev\.csv: .*--label_column"),
        ("id,text,label\n1,a b,new\n", r"dev\.csv:2: .*'new'.*'bad'"),
    ],
)
def test_a_dev_file_needs_known_labels(make_csv_task, dev, message):
    with pytest.raises(InputError, match=message):
        read(make_csv_task(train=WITH_HEADER, dev=dev), base.DEV)
