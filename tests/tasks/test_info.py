"""The task `info`: layouts of its files, and the examples of their rows."""

import gzip

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base
from bert_my.text.preprocessor import Example
from tests import helpers


@pytest.fixture
def make_task(tiny_model, tmp_path):
    def make(**contents):
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
        return helpers.make_task(tiny_model, folder)

    return make


@pytest.mark.parametrize(
    "content",
    [
        "7,the cat,1\n8,a dog,0\n",
        "id,title,label\n7,the cat,1\n8,a dog,0\n",
        "Label,Title,ID\n1,the cat,7\n0,a dog,8\n",
        "id,source,title,label\n7,x,the cat,1\n8,y,a dog,0\n",
        "7\tthe cat\t1\n8\ta dog\t0\n",
        "编号,标题,标签\n7,the cat,1\n8,a dog,0\n",
        '"7"\t"the cat"\t"1"\n"8"\t"a dog"\t"0"\n',
    ],
)
def test_rows_with_id(make_task, content):
    examples = list(make_task(train_csv=content).read_examples(base.TRAIN))
    assert examples == [
        Example("the cat", label="1", guid="7"),
        Example("a dog", label="0", guid="8"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "the cat\t1\na dog\t0\n",
        "title\tlabel\nthe cat\t1\na dog\t0\n",
        # Not as declared: told by the contents.
        "1\tthe cat\n0\ta dog\n",
        "1\tthe cat\n0\ta dog\n".replace("\t", ";"),
        "headline\twas_clicked\nthe cat\t1\na dog\t0\n",
    ],
)
def test_rows_without_id_are_numbered(make_task, content):
    examples = list(make_task(train_tsv=content).read_examples(base.TRAIN))
    assert [(e.text_a, e.label) for e in examples] == [("the cat", "1"), ("a dog", "0")]
    assert len({e.guid for e in examples}) == 2


@pytest.mark.parametrize(
    ("content", "examples"),
    [
        ("7,the cat\n8,a dog\n", [("7", "the cat", None), ("8", "a dog", None)]),
        ("the cat\na dog\n", [("test-0", "the cat", None), ("test-1", "a dog", None)]),
        ("id,title\n7,the cat\n", [("7", "the cat", None)]),
        ("7,the cat,1\n8,a dog,\n", [("7", "the cat", "1"), ("8", "a dog", None)]),
        ("the cat,1\n", [("test-0", "the cat", "1")]),
        ("17,Text\n18,a\n", [("17", "Text", None), ("18", "a", None)]),
    ],
)
def test_a_test_file_may_have_no_labels(make_task, content, examples):
    read = make_task(test_csv=content).read_examples(base.TEST)
    assert [(e.guid, e.text_a, e.label) for e in read] == examples


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,a,0\n2,b\n", r"train\.csv:2: 2 .* 3"),
        ("1,a,0\n2,b,1,x\n", r"train\.csv:2: 4 "),
        ("1,a,0\n2,b,yes\n", r"train\.csv:2: .*'yes'.*'0', '1'"),
        ("1,a,0\n2,b,\n", r"train\.csv:2: "),
        ("a\n", r"train\.csv:1: .*id,title,label"),
        ("1,2,3,4\n", r"train\.csv:1: .*id,title,label"),
        ("id,title\n1,a\n", r"train\.csv:1: .*id,title,label"),
        ("title,text,label\na,b,0\n", r"train\.csv:1: .*id,title,label"),
        ("nr,headline,ctr\n1,a,0\n", r"train\.csv:1: .*title, label"),
        ("1,a,yes\n", r"train\.csv:1: .*'yes'.* 0, 1"),
    ],
)
def test_wrong_rows_are_named(make_task, content, message):
    with pytest.raises(InputError, match=message):
        list(make_task(train_csv=content).read_examples(base.TRAIN))


def test_other_columns_are_logged_and_kept(make_task, tmp_path, caplog):
    task = make_task(train_tsv="1\tthe cat\n0\ta dog\n", test_tsv="a tree\n")
    assert [each.text_a for each in task.read_examples(base.TEST)] == ["a tree"]
    assert "train.tsv: " in caplog.text
    assert "text '2', label '1'" in caplog.text
    assert task.schema.structure.roles == ("2", None, "1")


def test_both_reasons_are_given_for_what_cannot_be_read(make_task):
    with pytest.raises(
        InputError, match=r"id,title,label .*train\.csv: .* --label_col"
    ):
        make_task(train_csv="nr,headline,ctr\n1,a,0\n")


@pytest.mark.parametrize("name", ["qnli", "sst2"])
def test_columns_of_published_files_are_never_told_by_contents(make_named_task, name):
    task = make_named_task(name, train="0\tthe cat\n1\ta dog\n")
    with pytest.raises(InputError, match=r"train\.tsv:1: .*sentence"):
        list(task.read_examples(base.TRAIN))


def test_encoding(make_task, tiny_model):
    task = make_task()
    ((encoded,),) = task.encode([Example("The cat runs, 你好!", label="1")])
    tokens = task.preprocessor.tokenizer.convert_ids_to_tokens(
        encoded.features["input_ids"]
    )
    assert tokens == ["[CLS]", "the", "cat", "runs", ",", "你", "好", "!", "[SEP]"]
    assert encoded.features["label_ids"] == 1
    assert encoded.features["segment_ids"] == [0] * 9
    ((long,),) = task.encode([Example("cat " * 20, label="0")])
    assert (len(long.features["input_ids"]), long.num_cut_tokens) == (12, 10)


@pytest.mark.once
def test_trains_evaluates_predicts_and_exports(tiny_model, titles, tmp_path):
    helpers.check_task("info", tiny_model, titles, tmp_path / "out", 11, num_towers=2)


def test_unknown_task_and_double_registration():
    with pytest.raises(InputError, match=r"--task_name=nothing.*info"):
        base.get_task_class("nothing")
    with pytest.raises(ValueError, match="info"):
        base.register("info")(type("Other", (base.Task,), {}))
    with pytest.raises(TypeError, match="new"):
        base.register("new")(int)
    assert base.get_task_class("INFO").name == "info"


@helpers.needs_shared_data
def test_real_headlines(tiny_model):
    task = helpers.make_task(tiny_model, helpers.SHARED_DATA / "clickbait_titles")
    counts = {
        split: len(list(task.read_examples(split)))
        for split in (base.TRAIN, base.DEV, base.TEST)
    }
    assert counts == {"train": 25685, "dev": 3198, "test": 3117}


def test_gzip_is_read(make_task, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv.gz").write_bytes(gzip.compress(b"cat\t1\n"))
    task = make_task()
    assert [e.text_a for e in task.read_examples(base.TRAIN)] == ["cat"]
