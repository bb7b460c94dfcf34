"""Cutting to the length of a row: pairs lose their ends, sentences become windows."""

import itertools

import hypothesis
import pytest
from hypothesis import strategies as st

from bert_my.text.preprocessor import Window, cut_into_windows, lengths_within

ROOM = 11


@st.composite
def cuts(draw):
    """Draws (lengths, room, overlap)."""
    room = draw(st.integers(2, 40))
    lengths = draw(st.lists(st.integers(1, room), max_size=120))
    return lengths, room, draw(st.integers(0, room - 1))


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(cuts())
def test_every_token_has_one_owner_that_holds_it(drawn):
    lengths, room, overlap = drawn
    cut = cut_into_windows(lengths, room, overlap)
    owned = [index for w in cut for index in range(w.first, w.last)]
    assert owned == list(range(len(lengths)))
    for window in cut:
        assert window.begin <= window.first < window.last <= window.end
        assert sum(lengths[window.begin : window.end]) <= room


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(cuts())
def test_windows_go_forward_and_are_filled(drawn):
    lengths, room, overlap = drawn
    cut = cut_into_windows(lengths, room, overlap)
    for window, after in zip(cut, cut[1:]):
        assert window.begin < after.begin <= window.end < after.end
        assert sum(lengths[window.begin : window.end + 1]) > room


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(cuts())
def test_neighbours_overlap_where_tokens_allow_it(drawn):
    lengths, room, overlap = drawn
    cut = cut_into_windows(lengths, room, overlap)
    for window, after in zip(cut, cut[1:]):
        if sum(lengths[after.begin : window.end]) >= overlap:
            continue
        # One token more would be the whole window, or leave no room for the next token.
        needed = sum(lengths[after.begin - 1 : window.end + 1])
        assert after.begin - 1 == window.begin or needed > room


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([1] * ROOM, [Window(0, 11, 0, 11)]),
        ([1] * 12, [Window(0, 11, 0, 9), Window(8, 12, 9, 12)]),
        ([ROOM, ROOM], [Window(0, 1, 0, 1), Window(1, 2, 1, 2)]),
        # Pieces: 4 + 4, 4 + 5, 5 + 3.
        (
            [4, 4, 5, 3],
            [Window(0, 2, 0, 1), Window(1, 3, 1, 2), Window(2, 4, 2, 4)],
        ),
    ],
)
def test_cut(lengths, expected):
    assert cut_into_windows(lengths, ROOM, 3) == expected


def cut_step_by_step(length_a, length_b, room):
    """Upstream's rule, one token after the other."""
    while length_a + length_b > room:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return length_a, length_b


def test_pairs_are_cut_as_upstream_does_step_by_step():
    for sizes in itertools.product(range(13), range(13), range(27)):
        assert lengths_within(*sizes) == cut_step_by_step(*sizes), sizes
