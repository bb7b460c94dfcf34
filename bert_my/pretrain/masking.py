"""Masking of pretraining sequences: the tokens that are predicted, and their inputs.

All rules work on many sequences at once. A rule chooses tokens by the words of each
sequence; `replace` puts [MASK] or other tokens in their place.
"""

from typing import NamedTuple

import numpy as np

MAX_NGRAM = 3  # words
KEEP_RATE, RANDOM_RATE = 0.1, 0.1  # of the chosen tokens; the others become [MASK]
_TRIES = 20  # of places for an n-gram, before a shorter one is tried


class Sequences(NamedTuple):
    """Packed sequences, before anything is masked.

    input_ids: int32 `[num_rows, seq_length]`.
    word_ids: int32 `[num_rows, seq_length]`: the place of a token's word in its
      sequence, which goes up by 1 from word to word. Special tokens are words too.
    is_text: bool `[num_rows, seq_length]`, False for special tokens and padding.
    input_mask, segment_ids: int32 `[num_rows, seq_length]`.
    num_wanted: int64 `[num_rows]`: number of tokens to choose in a row.
    max_predictions: int, the most tokens to choose in a row.
    """

    input_ids: np.ndarray
    word_ids: np.ndarray
    is_text: np.ndarray
    input_mask: np.ndarray
    segment_ids: np.ndarray
    num_wanted: np.ndarray
    max_predictions: int


def whole_words(sequences, rng):
    """Chooses words at random until there are enough tokens.

    A word that has more tokens than are still wanted is passed over, as upstream does.
    Where each token is a word these are single wordpieces.

    Args:
      sequences: `Sequences`.
      rng: `numpy.random.Generator`.

    Returns:
      bool `[num_rows, seq_length]`, True for chosen tokens.
    """
    sizes = _word_sizes(sequences)
    order = np.argsort(np.where(sizes > 0, rng.random(sizes.shape), 2.0), axis=1)
    num_chosen = np.zeros(len(sizes), np.int64)
    is_chosen = np.zeros(sizes.shape, bool)
    for rank, size in enumerate(np.take_along_axis(sizes, order, axis=1).T):
        fits = (size > 0) & (num_chosen + size <= sequences.num_wanted)
        num_chosen += size * fits
        is_chosen[:, rank] = fits
        if (num_chosen >= sequences.num_wanted).all():
            break
    by_word = np.zeros(sizes.shape, bool)
    np.put_along_axis(by_word, order, is_chosen, axis=1)
    return _tokens_of(by_word, sequences)


def ngrams(sequences, rng):
    """Chooses runs of 1 to 3 words, with at least one word between any two runs.

    A run of n words is drawn with a probability proportional to 1/n. Source: Lan et al.
    2020, "ALBERT", section 4.2. A last run that exceeds the wanted number is taken with
    the probability that keeps the expected number right; cutting it would make short
    runs too frequent.

    Args and returns: see `whole_words`.
    """
    sizes = _word_sizes(sequences)
    num_rows, num_words = sizes.shape
    # The columns behind the last word are taken, so a run never goes past it.
    is_taken = np.pad(sizes == 0, [(0, 0), (0, MAX_NGRAM)], constant_values=True)
    is_chosen = np.zeros(is_taken.shape, bool)
    totals = np.cumsum(np.pad(sizes, [(0, 0), (1, MAX_NGRAM)]), axis=1)
    last = num_words - np.argmax((sizes > 0)[:, ::-1], axis=1)
    num_chosen = np.zeros(num_rows, np.int64)
    # A run has at most as many words as tokens are wanted in its row.
    longest = np.minimum(sequences.num_wanted, MAX_NGRAM)
    length = _draw_lengths(longest, rng)
    num_tries = np.zeros(num_rows, np.int64)
    rows = np.arange(num_rows)[(sizes > 0).any(axis=1)]
    while len(rows):
        start = (rng.random(len(rows)) * last[rows]).astype(np.int64)
        end = start + length[rows]
        size = totals[rows, end] - totals[rows, start]
        words = start[:, None] + np.arange(MAX_NGRAM)
        is_in_run = words < end[:, None]
        fits = num_chosen[rows] + size <= sequences.max_predictions
        fits &= ~(is_taken[rows[:, None], words] & is_in_run).any(axis=1)
        remaining = (sequences.num_wanted - num_chosen)[rows]
        is_last = fits & (size >= remaining)
        # The first run of a row is always taken, so that no row is without any.
        draw = np.where(num_chosen[rows] > 0, rng.random(len(rows)), 0.0)
        fits &= draw * size < remaining
        found = rows[fits]
        is_found = is_in_run & fits[:, None]
        run = np.repeat(rows, is_found.sum(axis=1)), words[is_found]
        is_chosen[run] = is_taken[run] = True
        # No other run may touch this one.
        is_taken[found, np.maximum(start[fits] - 1, 0)] = True
        is_taken[found, end[fits]] = True
        num_chosen[found] += size[fits]
        num_tries[rows] += 1
        num_tries[found] = 0
        length[found] = _draw_lengths(longest[found], rng)
        length[rows[is_last]] = 0
        is_stuck = num_tries[rows] == _TRIES
        length[rows[is_stuck]] -= 1
        num_tries[rows[is_stuck]] = 0
        rows = rows[length[rows] > 0]
    return _tokens_of(is_chosen[:, :num_words], sequences)


def _draw_lengths(longest, rng):
    """Returns a length for each row, at most its longest one."""
    bounds = np.cumsum(1.0 / np.arange(1, MAX_NGRAM + 1))
    draws = rng.random(len(longest)) * bounds[longest - 1]
    return 1 + np.searchsorted(bounds, draws, side="right")


def half_span(sequences, rng):
    """Chooses half of one segment, as one run of tokens.

    Source: Song et al. 2019, "MASS". Of two segments one is drawn.

    Args and returns: see `whole_words`.
    """
    is_second = sequences.is_text & (sequences.segment_ids == 1)
    has_second = is_second.any(axis=1)
    use_second = has_second & (rng.random(len(has_second)) < 0.5)
    is_candidate = sequences.is_text & (is_second == use_second[:, None])
    length = is_candidate.sum(axis=1)
    half = (length + 1) // 2
    first = np.argmax(is_candidate, axis=1)
    first += (rng.random(len(first)) * (length - half + 1)).astype(np.int64)
    position = np.arange(is_candidate.shape[1])
    return (position >= first[:, None]) & (position < (first + half)[:, None])


def _word_sizes(sequences):
    """Returns int64 `[num_rows, num_words]`: tokens of each word, 0 for no text."""
    num_rows = len(sequences.word_ids)
    num_words = int(sequences.word_ids.max(initial=0)) + 1
    flat = sequences.word_ids + np.arange(num_rows)[:, None] * num_words
    sizes = np.bincount(flat[sequences.is_text], minlength=num_rows * num_words)
    return sizes.reshape(num_rows, num_words)


def _tokens_of(is_chosen, sequences):
    """Returns the text tokens of words, given as bool `[num_rows, num_words]`."""
    chosen = np.take_along_axis(is_chosen, sequences.word_ids, axis=1)
    return chosen & sequences.is_text


def replace(sequences, is_chosen, mask_id, ordinary_ids, rng):
    """Returns int32 `[num_rows, seq_length]`, the ids with chosen tokens replaced.

    80 % become [MASK], 10 % a random token, 10 % stay; drawn once for each word.
    Source: Devlin et al. 2019, A.1.

    Args:
      sequences: `Sequences`.
      is_chosen: bool `[num_rows, seq_length]`.
      mask_id: of [MASK].
      ordinary_ids: int array, candidates for a random token.
      rng: `numpy.random.Generator`.
    """
    rows, columns = np.nonzero(is_chosen)
    draws = rng.random(sequences.word_ids.shape)
    draws = draws[rows, sequences.word_ids[rows, columns]]
    random_ids = ordinary_ids[
        (rng.random(len(rows)) * len(ordinary_ids)).astype(np.int64)
    ]
    original = sequences.input_ids[rows, columns]
    replaced = np.where(draws < KEEP_RATE + RANDOM_RATE, random_ids, mask_id)
    output = sequences.input_ids.copy()
    output[rows, columns] = np.where(draws < KEEP_RATE, original, replaced)
    return output


def positions_of(is_chosen, max_predictions):
    """Returns (positions, is_used) of chosen tokens, `[num_rows, max_predictions]`.

    Args:
      is_chosen: bool `[num_rows, seq_length]`.
      max_predictions: int; no row has more chosen tokens.
    """
    is_used = np.arange(max_predictions) < is_chosen.sum(axis=1)[:, None]
    positions = np.zeros(is_used.shape, np.int32)
    positions[is_used] = np.nonzero(is_chosen)[1]
    return positions, is_used


RULES = {
    "wordpiece": whole_words,
    "whole_word": whole_words,
    "ngram": ngrams,
    "span": half_span,
}
