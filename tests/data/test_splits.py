"""Splits: the files of a data set, and the dev set cut from the train file."""

import json
import logging
import random

import pytest

from bert_my.common.errors import InputError
from bert_my.data.splits import DEV, STEMS, TEST, TRAIN, Splits
from bert_my.tasks.options import TaskOptions
from bert_my.text.preprocessor import Example

pytestmark = pytest.mark.once


def examples(*groups):
    return [Example(str(index), group=group) for index, group in enumerate(groups)]


@pytest.fixture
def cut(tmp_path):
    """Returns a function to the train and the dev examples among those of a file."""
    path = tmp_path / "train.tsv"
    path.write_text("x")

    def split(found, count, *wanted, max_train=0, **options):
        flags = TaskOptions(train_file=str(path), max_train_examples=max_train)
        splits = Splits(None, STEMS, flags, count, **options)
        return tuple(
            list(splits.select(each, lambda: iter(found), str(path)))
            for each in wanted or (TRAIN, DEV)
        )

    return split


@pytest.mark.parametrize(
    ("groups", "count", "num_dev"),
    [
        ([""] * 7, 3, 3),
        ([0, 0, 1, 1, 2, 2], 2, 2),
        ([0, 0, 1, 1, 2, 2], 3, 2),
        ([0, 0, 1, 1, 1, 1, 2], 4, 1),
        ([0, 1], 1, 1),
    ],
)
def test_no_group_is_on_both_sides_of_a_cut(cut, groups, count, num_dev):
    found = examples(*groups)
    cut_at = cut(found, count, takes_last=True)
    assert cut_at == (found[:-num_dev], found[-num_dev:])


@pytest.mark.parametrize("takes_last", [True, False])
def test_all_examples_are_on_one_side(cut, takes_last):
    rng = random.Random(4)
    for _ in range(200):
        found = examples(*sorted(rng.choices(range(5), k=rng.randint(5, 12))), 5)
        # A random group may be the largest.
        count = rng.randint(1, len(found) - 1)
        try:
            train, dev = cut(found, count, takes_last=takes_last)
        except InputError:
            assert not takes_last
            continue
        assert sorted(train + dev) == sorted(found)
        assert 0 < len(dev) <= count
        assert [each for each in found if each in train] == train
        assert not {each.group for each in train} & {each.group for each in dev}


def by_label(*counts):
    """Returns examples that are sorted by their label, as many of each as given."""
    return [
        Example(f"{label} {index}", label=str(label))
        for label, count in enumerate(counts)
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("counts", "num_dev", "max_train", "shares"),
    [
        ((40, 40), 20, 0, (10, 10)),
        ((90, 10), 10, 0, (9, 1)),
        ((60, 30, 10), 20, 0, (12, 6, 2)),
        ((40, 40), 20, 30, (10, 10)),
        ((5, 1), 5, 0, (4, 1)),
    ],
)
def test_a_sample_has_the_shares_of_the_labels(cut, counts, num_dev, max_train, shares):
    found = by_label(*counts)
    train, dev = cut(found, num_dev, max_train=max_train, is_stratified=True)
    numbers = [str(label) for label in range(len(counts))]
    assert [sum(x.label == n for x in dev) for n in numbers] == list(shares)
    assert len(train) == (max_train or len(found) - num_dev)
    assert not set(train) & set(dev)
    if max_train:
        assert [sum(x.label == n for x in train) for n in numbers] == [15, 15]


@pytest.mark.parametrize("is_stratified", [True, False])
def test_equal_texts_are_on_one_side(cut, is_stratified):
    found = [Example(f"text {n % 20}", label=str(n % 2)) for n in range(60)]
    train, dev = cut(found, 20, max_train=30, is_stratified=is_stratified)
    assert (len(train), len(dev)) == (30, 18)
    assert not {each.text_a for each in train} & {each.text_a for each in dev}


def test_texts_that_come_too_often_are_parted(cut, caplog):
    found = [Example(f"text {n % 2}", label=str(n % 2)) for n in range(60)]
    train, dev = cut(found, 30, is_stratified=True)
    assert [sum(each.label == "0" for each in part) for part in (train, dev)] == [
        15,
        15,
    ]
    assert "30 of 30 examples of the train set stand in the dev set" in caplog.text


def test_a_sample_names_the_labels_that_it_lacks(cut, caplog):
    caplog.set_level(logging.INFO)
    cut(by_label(20, 20, 1), 10, is_stratified=True)
    assert "0 (5), 1 (5), 2 (0)" in caplog.text


def test_a_sample_depends_on_the_texts_alone(cut):
    found = by_label(40, 40)
    shuffled = random.Random(5).sample(found, len(found))
    train, dev = cut(found, 20, is_stratified=True)
    again = cut(shuffled, 20, is_stratified=True)
    assert [sorted(each) for each in again] == [sorted(train), sorted(dev)]
    assert dev != found[-20:]
    assert [each for each in found if each in set(dev)] == dev


@pytest.fixture
def splits_of_file(tmp_path):
    """Returns a function that makes splits of a file with a content, and its path."""

    def make(content="x", saved=None, count=2, **options):
        path = tmp_path / "train.tsv"
        path.write_text(content)
        flags = TaskOptions(train_file=str(path))
        return Splits(None, STEMS, flags, count, saved=saved, **options), str(path)

    return make


def test_a_trained_model_keeps_its_dev_set(splits_of_file):
    found = examples(*[""] * 9)
    splits, path = splits_of_file()
    dev = list(splits.select(DEV, lambda: iter(found), path))
    saved = json.loads(json.dumps(splits.description))
    again, _ = splits_of_file(saved=saved)
    assert list(again.select(DEV, lambda: iter(found), path)) == dev
    assert again.description == saved
    changed, _ = splits_of_file("y", saved=saved)
    with pytest.raises(InputError, match=r"--num_dev_examples=2: .*has changed"):
        changed.select(DEV, lambda: iter(found), path)


def test_an_older_model_has_the_last_rows(splits_of_file):
    found = examples(*[""] * 9)
    splits, path = splits_of_file(saved={"task": "csv", "num_dev_examples": 2})
    assert list(splits.select(DEV, lambda: iter(found), path)) == found[-2:]
    again, _ = splits_of_file(saved=splits.description)
    assert list(again.select(DEV, lambda: iter(found), path)) == found[-2:]


@pytest.mark.parametrize("takes_last", [True, False])
def test_an_empty_train_set_is_refused(cut, takes_last):
    with pytest.raises(InputError, match=r"--num_dev_examples=2: .*train\.tsv"):
        cut(examples("", ""), 2, takes_last=takes_last)


@pytest.mark.parametrize("split", [TRAIN, DEV])
@pytest.mark.parametrize("takes_last", [True, False])
def test_an_empty_dev_set_is_refused(cut, split, takes_last):
    with pytest.raises(InputError, match=r"--num_dev_examples=2: .*train\.tsv"):
        cut(examples(0, 0, 0, 1, 1, 1), 2, split, takes_last=takes_last)


def splits_of(folder, stems=STEMS, preferred=(), **flags):
    return Splits(str(folder), stems, TaskOptions(**flags), preferred=preferred)


def test_files_of_a_folder(tmp_path):
    for name in ("dev.tsv.gz", "test_x.csv", "train.doc"):
        (tmp_path / name).write_text("x")
    splits = splits_of(tmp_path, {**STEMS, TEST: ("test", "test_x")})
    assert splits.path(DEV) == str(tmp_path / "dev.tsv.gz")
    assert splits.path(TEST) == str(tmp_path / "test_x.csv")
    assert splits.path(TRAIN) is None


@pytest.mark.parametrize(
    "name", ["train.xlsx", "Train.csv", "train-00000-of-00001.parquet", "train.csv.zip"]
)
def test_a_file_with_another_ending_is_named(tmp_path, caplog, name):
    for each in (name, "training.csv", "dev.csv"):
        (tmp_path / each).write_text("x")
    splits = splits_of(tmp_path)
    for _ in range(2):
        assert splits.path(TRAIN) is None
        assert splits.path(DEV)
    (message,) = caplog.messages
    assert f"not read: {name}; the name of a file is train, with .csv or" in message


def test_two_files_that_could_be_meant_are_named(tmp_path):
    for name in ("dev.tsv", "eval.csv"):
        (tmp_path / name).write_text("x")
    stems = {**STEMS, DEV: ("eval", "dev")}
    with pytest.raises(InputError, match=r"--data_dir=.*: .*eval\.csv, dev\.tsv"):
        splits_of(tmp_path, stems).path(DEV)
    preferred = splits_of(tmp_path, stems, preferred=(DEV,))
    assert preferred.path(DEV) == str(tmp_path / "eval.csv")


def test_a_folder_must_exist():
    with pytest.raises(InputError, match=r"^--data_dir=nowhere: "):
        splits_of("nowhere").path(DEV)


def test_a_flag_wins_over_the_folder(tmp_path):
    for name in ("dev.tsv", "other.tsv"):
        (tmp_path / name).write_text("x")
    other = str(tmp_path / "other.tsv")
    assert splits_of(tmp_path, dev_file=other).path(DEV) == other


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("a.csv", ["dev"]),
        ("a.csv,b.tsv", ["dev", "b"]),
        # The first file's name does not stand for another one.
        ("x/a.csv,y/a.csv", ["dev", "y-a"]),
        ("x/a.csv,y/a.csv,z/y/a.tsv", ["dev", "y-a", "a-2"]),
        ("a.csv, y/test.csv,y/train.csv,", ["dev", "y-test", "y-train"]),
    ],
)
def test_the_names_of_several_dev_sets(tmp_path, monkeypatch, listed, names):
    monkeypatch.chdir(tmp_path)
    splits = splits_of(tmp_path, dev_file=listed)
    assert list(splits.dev_splits) == names
    paths = [part.strip() for part in listed.split(",") if part]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    assert [splits.path(name) for name in names] == paths
