"""The cut between train and dev set: nothing lost, nothing twice, no group on both."""

import random

import pytest

from bert_my.common.errors import InputError
from bert_my.data import holdout
from bert_my.data.features import Example


def examples(*groups):
    return [Example(str(index), group=group) for index, group in enumerate(groups)]


def cut(found, count):
    train = holdout.all_but_last(iter(found), count, "train.tsv")
    return list(train), list(holdout.last(iter(found), count, "train.tsv"))


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
def test_no_group_is_on_both_sides(groups, count, num_dev):
    found = examples(*groups)
    assert cut(found, count) == (found[:-num_dev], found[-num_dev:])


def test_all_examples_are_on_one_side():
    rng = random.Random(4)
    for _ in range(200):
        found = examples(*sorted(rng.choices(range(5), k=rng.randint(2, 12))), 5)
        train, dev = cut(found, rng.randint(1, len(found) - 1))
        assert train + dev == found
        assert not {each.group for each in train} & {each.group for each in dev}


def test_an_empty_train_set_is_refused():
    with pytest.raises(InputError, match=r"--num_dev_examples=2: train\.tsv has 2 ex"):
        cut(examples("", ""), 2)


def test_an_empty_dev_set_is_refused():
    found = examples(0, 1, 1, 1)
    message = r"--num_dev_examples=2: .*train\.tsv are all of one group"
    with pytest.raises(InputError, match=message):
        list(holdout.all_but_last(iter(found), 2, "train.tsv"))
    with pytest.raises(InputError, match=message):
        holdout.last(iter(found), 2, "train.tsv")
