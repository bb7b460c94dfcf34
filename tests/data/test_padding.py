"""Padded lengths: the best that there are, and few of them."""

import itertools

import numpy as np
import pytest

from bert_my.data import padding


def padded(lengths, padded_lengths):
    """Returns the length that each row is padded to, one by one."""
    return [min(p for p in padded_lengths if p >= length) for length in lengths]


@pytest.mark.parametrize("step", [1, 3, 8])
def test_chosen_lengths_are_the_best_there_are(step):
    random = np.random.RandomState(step)
    for _ in range(25):
        lengths = random.randint(1, random.choice([4, 12, 30]), random.randint(1, 40))
        num_lengths = random.randint(1, 5)
        chosen = padding.choose_lengths(lengths, num_lengths, step)
        assert list(chosen) == sorted(set(chosen))
        assert len(chosen) <= num_lengths
        assert all(length % step == 0 for length in chosen)
        assert chosen[-1] - step < lengths.max() <= chosen[-1]
        candidates = range(step, chosen[-1], step)
        best = min(
            sum(padded(lengths, [*some, chosen[-1]]))
            for number in range(min(num_lengths, len(candidates) + 1))
            for some in itertools.combinations(candidates, number)
        )
        assert sum(padded(lengths, chosen)) == best


def test_chosen_lengths_do_not_exceed_the_longest_allowed():
    lengths = np.array([9, 10, 20, 29, 30])
    assert padding.choose_lengths(lengths, 3, 8, max_length=30) == (16, 24, 30)
    assert padding.choose_lengths(lengths, 1, 8, max_length=30) == (30,)


def test_few_lengths_need_no_padding():
    assert padding.choose_lengths(np.array([7, 3, 7, 5])) == (3, 5, 7)
    assert padding.choose_lengths(np.array([7] * 9)) == (7,)
    assert len(padding.choose_lengths(np.arange(1, 100))) == 24


def test_share_of_padding():
    lengths = np.array([3, 4, 2, 2, 9])
    # Batches of 2, 2 and 1 rows: 5 + 5, 2 + 2 and 9 slots, of which 20 are tokens.
    share = padding.share_of_padding(lengths, 2, (2, 5, 9))
    assert share == pytest.approx(1 - 20 / 23)
