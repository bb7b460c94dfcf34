"""The task `csv`: every row of a table of any layout becomes its example."""

import csv
import itertools
import json
import logging

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base
from tests import helpers
from tests.tasks.made_tables import (
    EXPECTED,
    ROWS,
    TEXTS,
    json_lines,
    read,
    table,
)

pytestmark = pytest.mark.once

ORDERS = (
    ("text", "label"),
    ("label", "text"),
    ("id", "label", "text"),
    ("id", "date", "price", "text", "label"),
)
HEADERS = {
    "known": {},
    "unknown": {"text": "kommentar", "label": "urteil", "id": "nr", "price": "preis"},
    "chinese": {"text": "标题", "label": "标签", "date": "日期"},
}


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("header", [*HEADERS, None])
@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_layouts(make_csv_task, order, header, delimiter):
    ends, marks = ("\n", "\r\n"), ("", "\ufeff")
    quotings = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    for end, mark, quoting in itertools.product(ends, marks, quotings):
        content = table(
            *order,
            header=HEADERS.get(header),
            delimiter=delimiter,
            lineterminator=end,
            quoting=quoting,
        )
        task = make_csv_task(train=mark + content)
        assert read(task) == EXPECTED
        assert task.labels == ("bad", "good", "so so")


@pytest.mark.parametrize("header", [{}, None])
def test_quotes_of_a_plain_tsv_are_characters(make_csv_task, header):
    texts = ['"the cat', 'a "dog" is', '"all of it"', 'a 12" tree', 'the house"', '"']
    lines = ["text\tlabel"] if header is not None else []
    lines += [f"{text}\t{index % 2}" for index, text in enumerate(texts)]
    task = make_csv_task(train="\r\n".join(lines), suffix="tsv")
    assert read(task) == [(text, str(i % 2)) for i, text in enumerate(texts)]


def test_quoted_tsv_with_tabs_and_line_ends(make_csv_task):
    rows = [{"text": f'a\ttab\t{i}\n"{i}"', "label": i % 2} for i in range(700)]
    content = table("text", "label", rows=rows, delimiter="\t", header={})
    assert read(make_csv_task(train=content, suffix="tsv")) == [
        (row["text"], str(row["label"])) for row in rows
    ]


@pytest.mark.parametrize("number", ["one text, and more {}", "3,{};one text, here {}"])
def test_semicolons_win_over_commas_that_split_as_evenly(make_csv_task, number):
    lines = [f"{number.format(i, i)};{'ab'[i % 2]}\n" for i in range(8)]
    texts, labels = zip(*read(make_csv_task(train="".join(lines))))
    assert labels == tuple("abababab")
    assert texts[1].endswith(" 1")


@pytest.mark.parametrize(
    "names, values",
    [
        (("label", "text"), {}),
        (("id", "text", "label"), {}),
        (("kommentar", "urteil"), {"kommentar": "text", "urteil": "label"}),
    ],
)
def test_json_lines(make_csv_task, names, values):
    rows = [{**row, **{k: row[v] for k, v in values.items()}} for row in ROWS]
    task = make_csv_task(train=json_lines(*names, rows=rows), suffix="jsonl")
    assert read(task) == EXPECTED


def test_a_json_list_of_one_label_is_that_label(make_csv_task):
    rows = [{**row, "label": [row["label"]]} for row in ROWS]
    task = make_csv_task(train=json_lines("text", "label", rows=rows), suffix="jsonl")
    assert read(task) == EXPECTED


@pytest.mark.parametrize(
    "content",
    [
        table("text", "label", "more"),
        table("more", "label", "text", header={"more": "title", "text": "content"}),
        table("label", "more", "text", header={"more": "question", "text": "sentence"}),
        table("text", "more", "label", header={"more": "text_b"}),
        json_lines("text", "more", "label").replace('"more"', '"sentence2"'),
    ],
)
def test_two_text_columns_are_a_pair_in_their_order(make_csv_task, content):
    task = make_csv_task(train=content)
    assert task.schema.has_pair
    pairs = [(each.text_a, each.text_b) for each in task.read_examples(base.TRAIN)]
    forward = list(zip(TEXTS, TEXTS[::-1]))
    assert pairs in (forward, [(b, a) for a, b in forward])
    assert pairs == forward or content.startswith(("title", "label"))


@pytest.mark.parametrize("more", [{}, {"text_pair_column": "more"}])
def test_who_names_the_text_names_its_pair(make_csv_task, more):
    content = table("more", "text", "label", header={})
    task = make_csv_task(train=content, text_column="text", **more)
    assert read(task) == EXPECTED
    pairs = [each.text_b for each in task.read_examples(base.TRAIN)]
    assert pairs == (TEXTS[::-1] if more else [None] * len(TEXTS))


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        ({}, {"label_column": "label"}),
        ({}, {"label_column": "3"}),
        (None, {"label_column": "3"}),
        ({"label": "x", "n": "y"}, {"label_column": "x", "text_column": "text"}),
        ({"text": "7", "n": "8", "label": "9"}, {"label_column": "3"}),
    ],
)
def test_label_column(make_csv_task, header, flags):
    task = make_csv_task(train=table("text", "n", "label", header=header), **flags)
    assert read(task) == EXPECTED


def test_one_of_two_texts_that_flags_number(make_csv_task):
    train = table("text", "more", "label")
    task = make_csv_task(train=train, text_column="1", label_column="3")
    assert read(task) == EXPECTED


def test_a_number_is_no_name_without_a_header(make_csv_task):
    rows = [{**row, "id": 3 if index == 0 else index} for index, row in enumerate(ROWS)]
    task = make_csv_task(
        train=table("id", "text", "label", rows=rows), label_column="3"
    )
    assert read(task) == EXPECTED


def test_columns_of_pandas(make_csv_task):
    rows = [{**row, "id": index} for index, row in enumerate(ROWS)]
    for header in ({"id": ""}, {"id": "", "text": "0", "label": "1"}):
        content = table("id", "text", "label", rows=rows, header=header)
        assert read(make_csv_task(train=content)) == EXPECTED


def test_ids_of_a_header_are_kept(make_csv_task):
    task = make_csv_task(train=table("id", "text", "label", header={}))
    guids = [each.guid for each in task.read_examples(base.TRAIN)]
    assert guids == [row["id"] for row in ROWS]


def test_a_rare_label_in_the_first_row_is_kept(make_csv_task):
    lines = ["great\t7\n", *(f"some text x{i}\t{i % 2}\n" for i in range(20))]
    task = make_csv_task(train="".join(lines), suffix="tsv")
    assert (len(read(task)), task.labels) == (21, ("0", "1", "7"))


WITH_HEADER = table("id", "text", "label", header={})


def test_words_of_a_date_are_no_text(make_csv_task):
    rows = [
        f'"{i % 2 * 4}","146781{i}","Mon Apr {i + 6:02} 22:19:45 PDT 2009","NO_QUERY",'
        f'"user{i}","{text.splitlines()[0].replace(chr(34), "")}"\n'
        for i, text in enumerate(TEXTS)
    ]
    examples = read(make_csv_task(train="".join(rows)))
    assert examples[0] == ("the cat runs, and sleeps", "0")
    assert [label for _, label in examples] == ["0", "4"] * 5


def test_collected_labels_are_counted(make_csv_task, caplog):
    content = "text,label\n" + "a b,x\n" * 4 + ",x\n,-\n" + "a b,y\n" * 3
    with caplog.at_level(logging.INFO, logger="bert_my"):
        make_csv_task(train=content)
    assert "x (5), y (3), - (1)" in caplog.text
    warnings = (x for x in caplog.records if x.levelname == "WARNING")
    rare, none, empty = (each.getMessage() for each in warnings)
    assert rare.endswith(": -")
    assert "1 train examples" in none
    assert "'-'" in none
    assert "2 train examples" in empty


def test_dialect_and_columns_are_logged(make_csv_task, caplog):
    with caplog.at_level(logging.INFO, logger="bert_my"):
        read(make_csv_task(train="\ufeff" + WITH_HEADER))
    # Once for the file, though it is read to find the labels and to encode it.
    (line,) = [x.getMessage() for x in caplog.records if "RFC 4180" in x.getMessage()]
    assert "train.csv: comma" in line
    assert "(id, text, label); columns guid, text_a, label" in line
    assert "byte-order mark" in line


def test_a_trained_model_needs_no_train_file(make_csv_task):
    saved = json.loads(json.dumps(make_csv_task(train=WITH_HEADER).description))
    assert saved["labels"] == ["bad", "good", "so so"]
    task = make_csv_task(test=table("text", header={}), saved=saved)
    assert read(task, base.TEST) == [(text, None) for text in TEXTS]
    assert task.labels == ("bad", "good", "so so")
    task = make_csv_task(
        test="x,headline\n1,a b\n", saved=saved, text_column="headline"
    )
    assert read(task, base.TEST) == [("a b", None)]


def test_other_columns_are_other_records(make_csv_task, tmp_path):
    content = table("text", "more", "label", header={})
    records = [
        helpers.make_records(
            make_csv_task(train=content, text_column=name), base.TRAIN, tmp_path
        )
        for name in ("text", "more", "text")
    ]
    assert records[0].path == records[2].path != records[1].path


@pytest.mark.slow
def test_trains_evaluates_predicts_and_exports(
    make_csv_task, one_layer_model, tmp_path
):
    texts = helpers.make_texts(11)
    rows = [{"text": text, "label": "ab"["cat" in text]} for text in texts]
    folder = tmp_path / "data"
    helpers.write_rows(
        folder / "train.csv", [(r["text"], r["label"]) for r in rows], "|"
    )
    helpers.write_rows(folder / "test.tsv", [[text] for text in texts[:7]])
    helpers.check_task(
        "csv", one_layer_model, folder, tmp_path / "out", 7, num_dev_examples=3
    )


@pytest.mark.parametrize(
    ("found", "ordered"),
    [
        ("10.0 1.0 2.0", "1.0 2.0 10.0"),
        ("0 -1 -2", "-2 -1 0"),
        ("2.50 10 .5", ".5 2.50 10"),
        ("10 9 x", "10 9 x"),
    ],
)
def test_numbers_are_ordered_by_their_values(make_csv_task, caplog, found, ordered):
    caplog.set_level(logging.INFO)
    rows = [f"some text {n},{label}" for n, label in enumerate(found.split() * 3)]
    task = make_csv_task(train=labelled("text,label", *rows))
    assert task.labels == tuple(ordered.split())
    assert ("--task_name=regression" in caplog.text) == ("." in found)


# The last one is no label, either, and all rows have it.
PLACEHOLDERS = ("-1", "?", "nan", "NA", "", "None", "<NA>", "to do")


@pytest.mark.parametrize("label", PLACEHOLDERS)
@pytest.mark.parametrize(
    ("name", "labels"),
    [("csv", "01"), ("info", "01"), ("mlabel", ["a", "a;b"]), ("regression", "59")],
)
def test_placeholders_in_a_test_file(make_named_task, caplog, name, labels, label):
    caplog.set_level(logging.INFO)
    train = [f"some text {n},{label}" for n, label in enumerate(labels)]
    test = [f"some text {n},{label}" for n in range(3)]
    task = make_named_task(
        name,
        "csv",
        train=labelled("text,label", *train),
        test=labelled("text,label", *test),
    )
    found = list(task.read_examples(base.TEST))
    assert [each.label for each in found] == [None] * 12
    assert caplog.text.count("12 rows have the label") == 1


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("info", "7\tx 1 y\t0", "8\tz 2 w\tdummy"),
        ("lcqmc", "x 1\ty z\t0", "w 2\tu v\tdummy"),
        ("regression", "x 1 y\t0.5", "z 2 w\tdummy"),
        ("sentiment", "x 1\ty z\tneutral", "w 2\tu v\tdummy"),
    ],
)
def test_one_text_for_all_labels_of_a_test_file_without_a_header(
    make_named_task, name, train, test
):
    task = make_named_task(name, train=f"{train}\n" * 2, test=f"{test}\n" * 2)
    first, second = task.read_examples(base.TEST)
    expected = [cell for cell in test.split("\t") if cell not in ("8", "dummy")]
    assert [x for x in first[:2] if x] == [x for x in second[:2] if x] == expected
    assert first.label is second.label is None


def test_a_strange_label_in_some_rows_of_a_test_file(make_csv_task):
    train = labelled("text,label", "a b c,0", "d e f,1")
    test = "text,label\na b c,to do\nd e f,1\n"
    task = make_csv_task(train=train, test=test)
    with pytest.raises(InputError, match=r"test\.csv:2: label 'to do' is not one of"):
        list(task.read_examples(base.TEST))


@pytest.mark.parametrize(("train", "dev"), [("1.0 0.0", "1 +0"), ("1 0", "1.0 0.0")])
def test_spellings_of_a_number_are_one_label(make_csv_task, train, dev):
    rows = [[f"a b c,{label}" for label in labels.split()] for labels in (train, dev)]
    task = make_csv_task(
        train=labelled("text,label", *rows[0]), dev=labelled("text,label", *rows[1])
    )
    first, second = (
        [task.schema.labels.value(each.label) for each in task.read_examples(split)]
        for split in (base.TRAIN, base.DEV)
    )
    assert first == second == [1, 0] * 4
    assert task.labels == tuple(sorted(train.split()))


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ("1 1.0 0", ("0", "1")),
        ("1.0 +1.0 2.0", ("1", "2")),
        ("01 1 0", ("0", "01", "1")),
        ("1.1 1.10 2", ("1.1", "1.10", "2")),
    ],
)
def test_spellings_of_a_number_in_the_train_file(make_csv_task, found, names):
    rows = [f"some text {n},{label}" for n, label in enumerate(found.split())]
    task = make_csv_task(train=labelled("text,label", *rows))
    assert task.labels == names
    assert len(list(task.read_examples(base.TRAIN))) == 12


def test_the_names_of_columns_ignore_case(make_csv_task):
    rows = [f"film number {n} here,{n % 2}" for n in range(4)]
    task = make_csv_task(
        train=labelled("Review,Stars", *rows),
        dev=labelled("review,STARS", *rows),
        test=labelled("REVIEW", "a b"),
        text_column="review",
        label_column="stars",
    )
    for split in (base.TRAIN, base.DEV):
        assert next(task.read_examples(split))[:3] == ("film number 0 here", None, "0")
    assert next(task.read_examples(base.TEST)).text_a == "a b"


def test_case_tells_columns_that_differ_in_it_alone(make_csv_task):
    rows = [f"x{n},film number {n} here,{n % 2}" for n in range(4)]
    content = labelled("Text,text,label", *rows)
    task = make_csv_task(train=content, dev=content, text_column="text")
    assert next(task.read_examples(base.DEV)).text_a == "film number 0 here"


@pytest.mark.parametrize(
    ("suffix", "header", "row"),
    [
        ("tsv", "text\tlabel", "{0}\tfilm number {0} here\t{1}"),
        ("csv", '"text","label"', '"{0}","film number {0} here",{1}'),
        ("csv", "text,label", "{0},film number {0} here,{1}"),
    ],
)
def test_a_header_without_the_name_of_the_index(make_named_task, suffix, header, row):
    rows = [row.format(n, n % 2) for n in range(8)]
    content = f"{header}\n" + "".join(f"{row}\n" for row in rows)
    task = make_named_task("csv", suffix, train=content, dev=content)
    for split in (base.TRAIN, base.DEV):
        assert next(task.read_examples(split))[:3] == ("film number 0 here", None, "0")


def test_a_header_of_a_spreadsheet_with_empty_columns(make_csv_task):
    rows = ["ham,see you at eight,,", "spam,win a car today,,", "ham,well; yes,so,"]
    task = make_csv_task(train=labelled("v1,v2,,", *rows[:2]) + rows[2] + "\n")
    assert task.labels == ("ham", "spam")
    assert next(task.read_examples(base.TRAIN)).text_a == "see you at eight"


def test_a_comma_in_each_text_makes_no_index(make_csv_task):
    rows = "".join(f"{n}, film number {n}, here, {n % 2}\n" for n in range(8))
    with pytest.raises(InputError, match=r"csv:2: 4 columns.* has 3"):
        make_csv_task(train="id, text, label\n" + rows)


def test_a_placeholder_may_be_a_label(make_csv_task):
    rows = ["a b c,-1", "d e f,1"]
    task = make_csv_task(
        train=labelled("text,label", *rows), test=labelled("text,label", rows[0])
    )
    assert task.labels == ("-1", "1")
    assert {each.label for each in task.read_examples(base.TEST)} == {"-1"}


def labelled(header, *rows):
    return header + "\n" + "".join(f"{row}\n" for row in rows * 4)


@pytest.mark.parametrize(
    ("header", "flags", "text", "label"),
    [
        # A name that comes twice: its column is given by number.
        ("text,text,label", {"text_column": "1", "label_column": "3"}, 0, 2),
        ("text,text,label", {"text_column": "2", "label_column": "3"}, 1, 2),
        ("text,label,label", {"text_column": "1", "label_column": "2"}, 0, 1),
        # Numbers, as pandas writes them for columns without names.
        ("0,1", {}, 0, 1),
        ("0,1", {"text_column": "0", "label_column": "1"}, 0, 1),
        ("0,1", {"text_column": "1", "label_column": "2"}, 0, 1),
        # An index without a name, or with the one that pandas gives it.
        (",text,label", {}, 1, 2),
        ("Unnamed: 0,comment,kind", {}, 1, 2),
        (",0,1", {}, 1, 2),
        # An empty name.
        (",label", {"text_column": "1", "label_column": "2"}, 0, 1),
        # By hand.
        ("good,bad", {"header": True}, 0, 1),
        ("text,label", {"header": True}, 0, 1),
    ],
)
def test_headers(make_csv_task, header, flags, text, label):
    width = header.count(",") + 1
    rows = [["x y z", "u v w"][:width], ["p q r", "s t u"][:width]]
    rows = [[f"{cell} {n}" for cell in row] for n, row in enumerate(rows)]
    for n, row in enumerate(rows):
        row[label:] = "yn"[n]
        row += ["0"] * (width - len(row))
        if text == 1 and label == 2 and not flags:
            row[0] = str(n)
    content = labelled(header, *(",".join(row) for row in rows))
    task = make_csv_task(train=content, **flags)
    found = [(each.text_a, each.label) for each in task.read_examples(base.TRAIN)]
    assert found == [(row[text], row[label]) for row in rows] * 4


@pytest.mark.parametrize("header", [None, True, False])
def test_a_first_row_that_cannot_be_told_from_data(make_csv_task, caplog, header):
    content = "good movie,pos\nbad movie,neg\nfine movie,both\nodd one,neg\n"
    flags = {"text_column": "1", "label_column": "2", "header": header}
    task = make_csv_task(train=content, **flags)
    assert len(list(task.read_examples(base.TRAIN))) == 4 - bool(header)
    is_said = "read as data; --header=true" in caplog.text
    assert is_said == (header is None)


@pytest.mark.parametrize("quoting", ["csv,dev=none", "dev=none"])
def test_the_quotes_of_one_file_are_chosen(make_csv_task, quoting):
    task = make_csv_task(
        train=labelled("text,label", '"a, b c",0', '"d, e f",1'),
        dev=labelled("text,label", '"a" b c,0', '"d" e f,1'),
        quoting=quoting,
    )
    found = [next(task.read_examples(split)) for split in (base.TRAIN, base.DEV)]
    assert [each.text_a for each in found] == ["a, b c", '"a" b c']
