"""Masked tokens: their number, the runs that they form, and their replacements.

Shares are compared within five standard errors of the sample.
"""

import numpy as np
import pytest

from bert_my.pretrain import masking
from bert_my.pretrain.masking import RULES

PAD, CLS, SEP, MASK = range(4)
FIRST = 10
ORDINARY = np.arange(500, 700)  # no token of the text is one of these


def make_sequences(rows, prob=0.15, max_predictions=20, wanted=None):
    """Returns `masking.Sequences`.

    Args:
      rows: list of rows: lists of 1 or 2 segments, each a list of words' sizes.
      prob: share of the tokens that are wanted, if `wanted` is None.
      max_predictions: see `Sequences`.
      wanted: number of tokens that are wanted in each row.
    """
    texts = []
    for row in rows:
        tokens, word = [(CLS, 0, 0, False)], 0
        for index, words in enumerate(row):
            for size in words:
                word += 1
                tokens += [(FIRST + word, word, index, True)] * size
            word += 1
            tokens.append((SEP, word, index, False))
        texts.append(tokens)
    width = max(map(len, texts)) + 2
    for tokens in texts:
        tokens += [(PAD, tokens[-1][1], 0, False)] * (width - len(tokens))
    columns = np.array(texts)
    is_text = columns[..., 3].astype(bool)
    lengths = is_text.sum(axis=1) + [1 + len(row) for row in rows]
    if wanted is None:
        wanted = [max(1, round(length * prob)) for length in lengths]
    return masking.Sequences(
        input_ids=columns[..., 0].astype(np.int32),
        word_ids=columns[..., 1].astype(np.int32),
        is_text=is_text,
        input_mask=(columns[..., 0] != PAD).astype(np.int32),
        segment_ids=columns[..., 2].astype(np.int32),
        num_wanted=np.minimum(wanted, max_predictions).astype(int),
        max_predictions=max_predictions,
    )


def random_rows(num_rows, max_words=40, max_size=4, seed=3):
    """Returns rows of one or two segments of words of 1 to `max_size` tokens."""
    rng = np.random.RandomState(seed)

    def segment():
        return rng.randint(1, max_size + 1, rng.randint(1, max_words + 1)).tolist()

    return [[segment() for _ in range(rng.randint(1, 3))] for _ in range(num_rows)]


def choose(rule, sequences, seed=5):
    return RULES[rule](sequences, np.random.default_rng(seed))


def runs_of_words(sequences, is_chosen):
    """Yields the lengths, in words, of the runs of chosen words of all rows."""
    for word_ids, is_text, chosen in zip(
        sequences.word_ids, sequences.is_text, is_chosen
    ):
        words = set(word_ids[chosen & is_text].tolist())
        for word in words:
            if word - 1 not in words:
                length = 1
                while word + length in words:
                    length += 1
                yield length


def assert_share(count, total, share):
    error = (share * (1 - share) / total) ** 0.5
    assert abs(count / total - share) < 5 * error, (count / total, share)


@pytest.mark.parametrize("rule", list(RULES))
def test_nothing_but_text_is_chosen(rule):
    sequences = make_sequences(random_rows(300), max_predictions=200)
    is_chosen = choose(rule, sequences)
    assert is_chosen.any(axis=1).mean() > 0.9
    assert not (is_chosen & ~sequences.is_text).any()


@pytest.mark.parametrize("rule", list(RULES))
def test_the_same_seed_chooses_the_same(rule):
    sequences = make_sequences(random_rows(50), max_predictions=200)
    first = choose(rule, sequences)
    assert (choose(rule, sequences) == first).all()
    assert (choose(rule, sequences, seed=6) != first).any()


@pytest.mark.parametrize("rule", list(RULES))
def test_a_row_of_one_token(rule):
    sequences = make_sequences([[[1]], [[1], [1]]])
    assert choose(rule, sequences).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("rule", list(RULES))
def test_no_rows_at_all(rule):
    one_row = make_sequences([[[1, 2], [3]]])
    arrays = {n: v[:0] for n, v in one_row._asdict().items() if n != "max_predictions"}
    assert choose(rule, one_row._replace(**arrays)).shape == (0, 11)


def test_number_of_wordpieces_is_exact():
    rows = [[[1] * length] for length in range(1, 301)]
    chosen = choose("wordpiece", make_sequences(rows)).sum(axis=1)
    lengths = range(3, 303)
    assert chosen.tolist() == [min(20, max(1, round(n * 0.15))) for n in lengths]


def test_all_wordpieces_are_chosen_equally_often():
    sequences = make_sequences([[[1] * 20, [1] * 17]] * 4000)
    is_chosen = choose("wordpiece", sequences)
    for column in np.nonzero(sequences.is_text[0])[0]:
        assert_share(is_chosen[:, column].sum(), 4000, sequences.num_wanted[0] / 37)


@pytest.mark.parametrize("rule", ["whole_word", "ngram"])
def test_no_word_is_half_masked(rule):
    sequences = make_sequences(random_rows(300), max_predictions=200)
    is_chosen = choose(rule, sequences)
    num_long_words = 0
    for row, word_ids in enumerate(sequences.word_ids):
        for word in set(word_ids[sequences.is_text[row]].tolist()):
            pieces = is_chosen[row, (word_ids == word) & sequences.is_text[row]]
            assert pieces.all() or not pieces.any()
            num_long_words += len(pieces) > 1 and pieces.all()
    assert num_long_words > 100


def test_whole_words_are_never_more_tokens_than_wanted_and_near_it():
    sequences = make_sequences(random_rows(500), max_predictions=200)
    chosen = choose("whole_word", sequences).sum(axis=1)
    assert (chosen <= sequences.num_wanted).all()
    # Nothing is left out where a word of one token is still there.
    has_short_words = make_sequences([[[3, 1] * 20]] * 50)
    chosen = choose("whole_word", has_short_words).sum(axis=1)
    assert (chosen == has_short_words.num_wanted).all()


def test_a_word_that_is_too_long_is_passed_over():
    sequences = make_sequences([[[4, 1, 5]]] * 50, wanted=[2] * 50)
    is_chosen = choose("whole_word", sequences)
    assert (np.nonzero(is_chosen)[1] == 5).all()
    assert is_chosen.sum() == 50


def test_length_of_ngrams():
    sequences = make_sequences([[[1] * 300, [1] * 200]] * 250, max_predictions=90)
    runs = list(runs_of_words(sequences, choose("ngram", sequences)))
    assert len(runs) > 10000
    for length, share in ((1, 6 / 11), (2, 3 / 11), (3, 2 / 11)):
        assert_share(runs.count(length), len(runs), share)


def test_ngrams_never_touch_nor_leave_their_segment():
    # Nearly as many as fit: runs that touched, or went on behind [SEP], would show.
    sequences = make_sequences([[[1] * 30, [1] * 29]] * 300, 0.6, 60)
    is_chosen = choose("ngram", sequences)
    runs = list(runs_of_words(sequences, is_chosen))
    assert set(runs) == {1, 2, 3}
    assert not (is_chosen & ~sequences.is_text).any()
    assert is_chosen[:, [30, 32]].any(axis=0).all()  # both sides of [SEP] are used


@pytest.mark.parametrize(("num_words", "wanted"), [(100, 15), (40, 6), (9, 1), (14, 2)])
def test_ngrams_take_as_many_tokens_as_wanted_on_average(num_words, wanted):
    rows = [[[1] * num_words]] * 4000
    sequences = make_sequences(rows, wanted=[wanted] * len(rows), max_predictions=90)
    taken = choose("ngram", sequences).sum(axis=1)
    assert set(np.abs(taken - wanted).tolist()) <= {0, 1, 2}
    assert taken.min() > 0
    assert abs(taken.mean() - wanted) < 5 * taken.std() / len(rows) ** 0.5 + 1e-9


def test_ngrams_keep_to_max_predictions():
    sequences = make_sequences(random_rows(300), 0.5, max_predictions=7)
    chosen = choose("ngram", sequences).sum(axis=1)
    assert chosen.max() == 7


def test_ngrams_end_where_no_more_words_are_free():
    rows = [[[1] * num_words] for num_words in range(1, 9)] * 50
    sequences = make_sequences(rows, wanted=[20] * len(rows))
    is_chosen = choose("ngram", sequences)
    assert is_chosen.any(axis=1).all()
    assert max(runs_of_words(sequences, is_chosen)) == 3


def test_a_span_is_one_run_of_half_a_segment():
    sequences = make_sequences(random_rows(500), max_predictions=200)
    is_chosen = choose("span", sequences)
    for row, chosen in enumerate(is_chosen):
        (columns,) = np.nonzero(chosen)
        (segment,) = set(sequences.segment_ids[row, columns].tolist())
        is_same = sequences.is_text[row] & (sequences.segment_ids[row] == segment)
        assert len(columns) == (is_same.sum() + 1) // 2
        assert columns[-1] - columns[0] + 1 == len(columns)


def test_a_span_is_in_each_segment_half_of_the_time_and_anywhere_in_it():
    sequences = make_sequences([[[1] * 5, [1] * 7]] * 2000)
    is_chosen = choose("span", sequences)
    in_second = is_chosen[:, 7:].any(axis=1)
    assert_share(in_second.sum(), 2000, 0.5)
    first = np.argmax(is_chosen, axis=1)
    for start in (1, 2, 3):
        assert_share((first == start).sum(), (~in_second).sum(), 1 / 3)
    for start in (7, 8, 9, 10):
        assert_share((first == start).sum(), in_second.sum(), 1 / 4)


def replace(sequences, is_chosen, seed=9):
    rng = np.random.default_rng(seed)
    return masking.replace(sequences, is_chosen, MASK, ORDINARY, rng)


def test_80_10_10():
    sequences = make_sequences([[[1] * 100]] * 2000)
    is_chosen = choose("wordpiece", sequences)
    replaced = replace(sequences, is_chosen)[is_chosen]
    is_kept = replaced == sequences.input_ids[is_chosen]
    assert_share((replaced == MASK).sum(), len(replaced), 0.8)
    assert_share(np.isin(replaced, ORDINARY).sum(), len(replaced), 0.1)
    assert_share(is_kept.sum(), len(replaced), 0.1)


def test_random_tokens_are_all_those_allowed_and_no_others():
    sequences = make_sequences([[[1] * 100]] * 4000)
    is_chosen = choose("wordpiece", sequences)
    replaced = replace(sequences, is_chosen)[is_chosen]
    is_kept = replaced == sequences.input_ids[is_chosen]
    assert set(replaced[~is_kept].tolist()) == {MASK, *ORDINARY.tolist()}


def test_what_is_not_chosen_stays():
    sequences = make_sequences(random_rows(100))
    is_chosen = choose("wordpiece", sequences)
    before = sequences.input_ids.copy()
    replaced = replace(sequences, is_chosen)
    assert (replaced[~is_chosen] == before[~is_chosen]).all()
    assert (sequences.input_ids == before).all()


def test_the_pieces_of_a_word_share_their_fate():
    sequences = make_sequences([[[3] * 30]] * 300)
    is_chosen = choose("whole_word", sequences)
    replaced = replace(sequences, is_chosen)[is_chosen].reshape(-1, 3)
    original = sequences.input_ids[is_chosen].reshape(-1, 3)
    fates = np.stack(
        [replaced == MASK, np.isin(replaced, ORDINARY), replaced == original], axis=-1
    )
    assert (fates.sum(axis=-1) == 1).all()
    assert (fates[:, :1] == fates).all()
    assert fates[:, 0].any(axis=0).all()


def test_positions_are_in_order_and_the_rest_is_not_used():
    is_chosen = np.zeros((3, 6), bool)
    is_chosen[0, [4, 1]] = is_chosen[2, [2, 3, 5]] = True
    positions, is_used = masking.positions_of(is_chosen, 4)
    assert positions.tolist() == [[1, 4, 0, 0], [0, 0, 0, 0], [2, 3, 5, 0]]
    assert is_used.sum(axis=1).tolist() == [2, 0, 3]
    assert is_used[:, 0].tolist() == [True, False, True]
