"""Examples and files of each split."""

import re

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks import base
from tests import helpers

pytestmark = pytest.mark.once

TRAIN = "".join(f"{index}\t{index % 2}\n" for index in range(11))


def numbers(task, split):
    return [int(each.text_a) for each in task.read_examples(split)]


@pytest.mark.parametrize(
    ("flags", "num_train", "num_dev"),
    [
        ({"num_dev_examples": 3}, 8, 3),
        ({"num_dev_examples": 10}, 1, 10),
        ({"num_dev_examples": 3, "max_train_examples": 4}, 4, 3),
        ({"num_dev_examples": 3, "max_train_examples": 99}, 8, 3),
    ],
)
def test_a_sample_of_the_train_file_is_the_dev_set(
    make_named_task, flags, num_train, num_dev
):
    task = make_named_task("info", train=TRAIN, **flags)
    train, dev = numbers(task, base.TRAIN), numbers(task, base.DEV)
    assert (len(train), len(dev)) == (num_train, num_dev)
    assert len({*train, *dev}) == num_train + num_dev
    assert {number % 2 for number in dev} == {0, 1}


def test_a_dev_file_wins_over_num_dev_examples(make_named_task):
    task = make_named_task("info", train=TRAIN, dev="77\t1\n", num_dev_examples=3)
    assert numbers(task, base.TRAIN) == list(range(11))
    assert numbers(task, base.DEV) == [77]


@pytest.fixture
def dev_warnings(tmp_path, caplog):
    """Returns a function that encodes a task's sets and returns what is said of them.

    The records are cached.
    """

    def check(task):
        caplog.clear()
        splits = (base.TRAIN, *task.dev_splits)
        records = {
            split: helpers.make_records(task, split, tmp_path / "cache")
            for split in splits
        }
        of_train = task.check_records(records)
        said = [each for each in caplog.messages if each not in of_train]
        return [each for each in said if "dev" in each and "[UNK]" not in each]

    return check


@pytest.mark.parametrize(
    ("dev", "said"),
    [
        (TRAIN, r"dev\.tsv: the dev set has all 11 examples"),
        ("7\t1\n4\t1\n99\t0\n", r"dev\.tsv: 2 of 11 examples"),
        ("98\t1\n99\t1\n", r"dev\.tsv: all examples .* have '1'"),
        ("98\t1\n99\t0\n", None),
    ],
)
def test_a_dev_set_that_tells_little(make_named_task, dev_warnings, dev, said):
    found = dev_warnings(make_named_task("info", train=TRAIN, dev=dev))
    assert len(found) == (said is not None)
    assert said is None or re.search(said, found[0])


@pytest.mark.parametrize(
    ("name", "train", "dev", "label"),
    [
        ("mlabel", "x y\ta,b\nz w\ta\n", "p q\ta,b\nr s\tb,a\n", "a,b"),
        ("regression", "x y\t1\nz w\t2\n", "p q\t0.5\nr s\t0.5\n", "0.5"),
        ("ner", "x B-X\ny O\n\nz O\n", "p O\nq O\n\nr O\n", "O"),
    ],
)
def test_a_dev_set_of_one_label(make_named_task, dev_warnings, name, train, dev, label):
    (found,) = dev_warnings(make_named_task(name, train=train, dev=dev))
    assert f"dev.tsv: all examples with a label have '{label}'" in found


def test_a_test_file_whose_labels_are_one(make_named_task, tmp_path, caplog):
    task = make_named_task("info", train=TRAIN, test="98\t1\n99\t\n")
    task.check_records({base.TEST: helpers.make_records(task, base.TEST, tmp_path)})
    assert "test.tsv: all examples with a label have '1'" in caplog.text


def test_a_held_out_dev_set_with_texts_to_train(make_named_task, dev_warnings):
    # The texts have both labels, so that they are not known as equal examples.
    rows = "".join(f"{n}\t{label}\n" for n in range(11) for label in (0, 1))
    task = make_named_task("info", train=rows, num_dev_examples=5)
    (found,) = dev_warnings(task)
    assert re.search(r"train\.tsv: \d of 17 examples of the train set", found)


def test_a_new_dev_file_is_compared_with_cached_records(make_named_task, dev_warnings):
    assert not dev_warnings(make_named_task("info", train=TRAIN, dev="98\t1\n99\t0\n"))
    task = make_named_task("info", train=TRAIN, dev="7\t1\n99\t0\n")
    assert len(dev_warnings(task)) == 1
    assert not dev_warnings(task)  # All is cached: it was said.


def test_rows_that_were_trained_are_not_held_out_later(make_named_task):
    task = make_named_task("info", train=TRAIN)
    with pytest.raises(InputError, match=r"^--num_dev_examples=3: .* was trained with"):
        make_named_task("info", train=TRAIN, num_dev_examples=3, saved=task.description)


def test_num_dev_examples_beside_a_dev_file(make_named_task, dev_warnings):
    task = make_named_task(
        "info", train=TRAIN, dev="98\t1\n99\t0\n", num_dev_examples=3
    )
    (found,) = dev_warnings(task)
    assert found.startswith("--num_dev_examples=3 is without effect")


def test_max_train_examples_leaves_other_splits_alone(make_named_task):
    task = make_named_task(
        "info", train=TRAIN, dev=TRAIN, test=TRAIN, max_train_examples=4
    )
    found = [len(numbers(task, s)) for s in (base.TRAIN, base.DEV, base.TEST)]
    assert found == [4, 11, 11]


def test_nothing_is_left_to_train_on(make_named_task):
    task = make_named_task("info", train=TRAIN, num_dev_examples=11)
    with pytest.raises(InputError, match=r"^--num_dev_examples=11: .*train\.tsv .*11"):
        list(task.read_examples(base.TRAIN))


@pytest.mark.parametrize("name", ["ner", "msra_ner"])
def test_held_out_sentences_are_counted_as_examples(make_named_task, name):
    content = "".join(f"{index} O\nx B-X\n\n" for index in range(7))
    task = make_named_task(name, train=content, num_dev_examples=2)
    train, dev = (
        [each.tokens[0] for each in task.read_examples(split)]
        for split in (base.TRAIN, base.DEV)
    )
    assert (len(train), len(dev)) == (5, 2)
    assert sorted(train + dev) == list("0123456")
    # What others report is scored on the last sentences.
    assert (dev == ["5", "6"]) == (name == "msra_ner")


def test_splits_of_one_file_have_records_of_their_own(make_named_task, tmp_path):
    task = make_named_task("info", train=TRAIN, num_dev_examples=3)
    counts = {
        split: helpers.make_records(task, split, tmp_path / "cache").num_examples
        for split in (base.TRAIN, base.DEV)
    }
    assert counts == {"train": 8, "dev": 3}
    with_file = make_named_task("info", train=TRAIN, dev="77\t1\n", num_dev_examples=3)
    records = helpers.make_records(with_file, base.TRAIN, tmp_path / "cache")
    assert records.num_examples == 11
    fewer = make_named_task("info", train=TRAIN, num_dev_examples=5)
    records = helpers.make_records(fewer, base.TRAIN, tmp_path / "cache")
    assert records.num_examples == 6


@pytest.mark.parametrize(
    ("name", "flags", "labels"),
    [
        ("mnli", {"num_labels": 3}, ("contradiction", "entailment", "neutral")),
        ("info", {"num_labels": 2}, ("0", "1")),
        ("csv", {"num_labels": 3}, ("0", "1", "2")),
        ("csv", {"num_labels": 2, "labels": "N,Y"}, ("N", "Y")),
        ("csv", {"num_labels": 2, "saved": {"labels": ["N", "Y"]}}, ("N", "Y")),
    ],
)
def test_a_number_of_labels_keeps_known_names(make_named_task, name, flags, labels):
    train = {"csv": {"train": "text\tlabel\na b c\tN\n"}}.get(name, {})
    assert make_named_task(name, **train, **flags).labels == labels


@pytest.mark.parametrize(
    ("name", "saved", "message"),
    [
        ("mnli", None, "^--num_labels=4.* mnli .*3: contradiction, entail"),
        (
            "csv",
            {"labels": ["N", "Y"]},
            "^--num_labels=4.* --output_dir .*2: N, Y",
        ),
    ],
)
def test_another_number_of_labels_is_refused(make_named_task, name, saved, message):
    with pytest.raises(InputError, match=message):
        make_named_task(name, saved=saved, num_labels=4)


def test_a_file_of_a_flag_must_exist(make_named_task):
    with pytest.raises(InputError, match=r"^--dev_file=nowhere\.tsv: "):
        make_named_task("info", dev_file="nowhere.tsv").find_files(base.DEV)


def test_a_file_of_a_flag_wins_over_the_folder(make_named_task, tmp_path):
    helpers.write_rows(tmp_path / "data" / "train.tsv", [(42, 1)])
    folder = tmp_path / "data"
    task = make_named_task("info", train=TRAIN, data_dir=folder)
    assert numbers(task, base.TRAIN) == list(range(11))
    task = make_named_task("info", data_dir=folder)
    assert numbers(task, base.TRAIN) == [42]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"quoting": "none"}, {"quoting": "csv"}),
        ({"encoding": "latin-1"}, {"encoding": "gbk"}),
        ({"header": False}, {"header": True}),
    ],
)
def test_records_that_were_read_otherwise_are_not_used(
    make_named_task, tmp_path, before, after
):
    def load(**flags):
        task = make_named_task("info", train='"a"\t1\nb\t0\nc\t1\n', **flags)
        return helpers.make_records(task, base.TRAIN, tmp_path / "cache")

    assert load(**before).is_new
    assert load(**after).is_new
    assert not load(**after).is_new


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("the cat\t1\nthe dog\t0\n", []),
        ("the cat\t1\n", ["the train set is one row"]),
        (
            "the cat\t1\nthe cat\t0\n",
            ["all 2 rows of the train set have the same text"],
        ),
        (
            "the cat\t1\nthe dog\t1\n",
            ["all 2 rows of the train set have the same label"],
        ),
        ("the cat\t1\nthe xyz\t0\n", ["25.0 % of the tokens are [UNK]"]),
    ],
)
def test_a_train_set_that_teaches_little(make_named_task, tmp_path, train, said):
    task = make_named_task("info", train=train)
    records = {base.TRAIN: helpers.make_records(task, base.TRAIN, tmp_path)}
    doubts = task.check_records(records)
    assert len(doubts) == len(said)
    assert all(map(str.__contains__, doubts, said))


def test_pairs_of_texts_need_two_segments(tmp_path):
    model = helpers.write_tiny_model(tmp_path / "model", type_vocab_size=1)
    helpers.make_task(model, name="info")
    with pytest.raises(InputError, match=r"type_vocab_size is 1, and task lcqmc"):
        helpers.make_task(model, name="lcqmc")
