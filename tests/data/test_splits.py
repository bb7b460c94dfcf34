"""Splits: the files of a data set, and the dev set cut from the train file."""

import random

import pytest

from bert_my.common.errors import InputError
from bert_my.data.splits import DEV, STEMS, TEST, TRAIN, Splits
from bert_my.tasks.options import TaskOptions
from bert_my.text.preprocessor import Example


def examples(*groups):
    return [Example(str(index), group=group) for index, group in enumerate(groups)]


@pytest.fixture
def cut(tmp_path):
    """Returns a function to the train and the dev examples among those of a file."""
    path = tmp_path / "train.tsv"
    path.write_text("x")

    def split(found, count, *wanted):
        splits = Splits(None, STEMS, TaskOptions(train_file=str(path)), count)
        return tuple(
            list(splits.select(each, iter(found), str(path)))
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
def test_no_group_is_on_both_sides(cut, groups, count, num_dev):
    found = examples(*groups)
    assert cut(found, count) == (found[:-num_dev], found[-num_dev:])


def test_all_examples_are_on_one_side(cut):
    rng = random.Random(4)
    for _ in range(200):
        found = examples(*sorted(rng.choices(range(5), k=rng.randint(2, 12))), 5)
        train, dev = cut(found, rng.randint(1, len(found) - 1))
        assert train + dev == found
        assert not {each.group for each in train} & {each.group for each in dev}


def test_an_empty_train_set_is_refused(cut):
    with pytest.raises(InputError, match=r"--num_dev_examples=2: .*train\.tsv"):
        cut(examples("", ""), 2)


@pytest.mark.parametrize("split", [TRAIN, DEV])
def test_an_empty_dev_set_is_refused(cut, split):
    with pytest.raises(InputError, match=r"--num_dev_examples=2: .*train\.tsv"):
        cut(examples(0, 1, 1, 1), 2, split)


def splits_of(folder, stems=STEMS, preferred=(), **flags):
    return Splits(str(folder), stems, TaskOptions(**flags), preferred=preferred)


def test_files_of_a_folder(tmp_path):
    for name in ("dev.tsv.gz", "test_x.csv", "train.doc"):
        (tmp_path / name).write_text("x")
    splits = splits_of(tmp_path, {**STEMS, TEST: ("test", "test_x")})
    assert splits.path(DEV) == str(tmp_path / "dev.tsv.gz")
    assert splits.path(TEST) == str(tmp_path / "test_x.csv")
    assert splits.path(TRAIN) is None


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
