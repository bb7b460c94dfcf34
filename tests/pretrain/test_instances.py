"""Instances: pairs of segments, their labels, layout and masks.

In these blocks all tokens differ, so a token tells its document and place. Shares are
compared within five standard errors of the sample.
"""

import numpy as np
import pytest

from bert_my.pretrain import masking
from bert_my.pretrain.instances import Vocabulary, make_instances
from tests import helpers
from tests.pretrain import made_instances
from tests.pretrain.made_instances import CLS, MASK, SEP

SHORT = 0.5  # a `short_seq_prob` at which many are short
FIRST_OF_OTHER = 100000


def make(block, other=None, seed="1", **settings):
    """Returns the instances of a block."""
    other = block if other is None else other
    vocabulary = made_instances.vocabulary_of(block, other)
    settings = made_instances.instance_settings(**settings)
    return make_instances(block, other, settings, vocabulary, seed)


def document_of(block, tokens):
    """Returns the number of the document of tokens, which must be of only one."""
    starts = block.tokens[block.sentences[block.documents[:-1]]]
    parts = np.searchsorted(starts, [tokens[0], tokens[-1]], side="right") - 1
    (number,) = set(block.numbers[parts].tolist())
    return number


def is_run(tokens):
    """Returns True if tokens follow one another in the text."""
    return list(tokens) == list(range(tokens[0], tokens[0] + len(tokens)))


def labels_of(instances):
    return instances["next_sentence_labels"][:, 0].tolist()


def assert_share(count, total, share):
    error = (share * (1 - share) / total) ** 0.5
    assert abs(count / total - share) < 5 * error, (count / total, share)


def one_token_sentences(num_documents=30, length=60):
    """Returns a block in which no segment is ever cut."""
    return made_instances.make_block([[1] * length] * num_documents)


def many_documents():
    """Returns a block with sentences of 1 to 30 tokens: some are too long."""
    return made_instances.make_block(made_instances.random_documents(300, 9, 30))


@pytest.fixture(params=["nsp", "sop", "none"])
def next_sentence(request):
    return request.param


@pytest.mark.parametrize("short_seq_prob", [0.0, SHORT])
def test_layout(next_sentence, short_seq_prob):
    instances = make(
        many_documents(), next_sentence=next_sentence, short_seq_prob=short_seq_prob
    )
    input_ids = made_instances.unmasked(instances)
    assert input_ids.shape[1] == 23
    for row, ids in enumerate(input_ids):
        (separators,) = np.nonzero(ids == SEP)
        assert len(separators) == (1 if next_sentence == "none" else 2)
        assert (np.diff([0, *separators]) > 1).all()  # no segment is empty
        assert ids[0] == CLS and (ids == CLS).sum() == 1
        length = separators[-1] + 1
        assert (ids[length:] == 0).all() and (ids[:length] > 0).all()
        mask = np.arange(23) < length
        assert (instances["input_mask"][row] == mask).all()
        is_second = mask & (np.arange(23) > separators[0])
        assert (instances["segment_ids"][row] == is_second).all()


def test_features_have_the_types_of_upstream():
    instances = make(many_documents())
    num_rows = len(instances["input_ids"])
    assert {name: (rows.dtype.str, rows.shape) for name, rows in instances.items()} == {
        "input_ids": ("<i4", (num_rows, 23)),
        "input_mask": ("<i4", (num_rows, 23)),
        "segment_ids": ("<i4", (num_rows, 23)),
        "masked_lm_positions": ("<i4", (num_rows, 7)),
        "masked_lm_ids": ("<i4", (num_rows, 7)),
        "masked_lm_weights": ("<f4", (num_rows, 7)),
        "next_sentence_labels": ("<i4", (num_rows, 1)),
    }


@pytest.mark.parametrize("prob", [0.15, 0.5])
def test_number_of_predictions(prob):
    instances = make(many_documents(), masked_lm_prob=prob)
    lengths = instances["input_mask"].sum(axis=1).tolist()
    expected = [min(7, max(1, round(length * prob))) for length in lengths]
    assert instances["masked_lm_weights"].sum(axis=1).tolist() == expected


def test_predictions_that_are_not_used_are_zeros():
    instances = make(many_documents())
    is_used = instances["masked_lm_weights"] == 1
    assert set(instances["masked_lm_weights"].ravel().tolist()) == {0.0, 1.0}
    assert (np.diff(instances["masked_lm_weights"]) <= 0).all()  # used ones come first
    assert (instances["masked_lm_positions"][is_used] > 0).all()
    for name in ("masked_lm_positions", "masked_lm_ids"):
        assert (instances[name][~is_used] == 0).all()


def test_only_predicted_tokens_are_masked():
    instances = make(many_documents())
    is_masked = instances["input_ids"] == MASK
    assert is_masked.sum() > 100
    original = made_instances.unmasked(instances)
    assert not (original == MASK).any()
    is_changed = original != instances["input_ids"]
    assert is_changed.sum() < instances["masked_lm_weights"].sum()  # some stay


@pytest.mark.parametrize("short_seq_prob", [0.0, SHORT])
def test_nsp_pairs_follow_one_another_or_are_of_two_documents(short_seq_prob):
    block = one_token_sentences()
    instances = make(block, short_seq_prob=short_seq_prob)
    labels = labels_of(instances)
    assert {0, 1} == set(labels)
    for (a, b), label in zip(made_instances.segments(instances), labels):
        assert is_run(a) and is_run(b)
        is_same = document_of(block, a) == document_of(block, b)
        if label:
            assert not is_same
        else:
            assert is_same and is_run(a + b)


def test_nsp_pairs_that_were_cut_are_still_in_order():
    block = many_documents()
    instances = make(block)
    for (a, b), label in zip(made_instances.segments(instances), labels_of(instances)):
        assert is_run(a) and is_run(b)
        is_same = document_of(block, a) == document_of(block, b)
        assert is_same == (label == 0)
        # At most a sentence is cut off.
        assert label or 0 < b[0] - a[-1] <= 30


def test_random_segments_come_from_the_other_block():
    block = one_token_sentences(3, length=300)
    other = made_instances.make_block([[1] * 50] * 4, [3, 4, 5, 6], FIRST_OF_OTHER)
    instances = make(block, other)
    second = [b for _, b in made_instances.segments(instances)]
    labels = labels_of(instances)
    assert [b[0] >= FIRST_OF_OTHER for b in second] == [label == 1 for label in labels]
    documents = [document_of(other, b) for b in second if b[0] >= FIRST_OF_OTHER]
    assert set(documents) == {3, 4, 5, 6}


def test_random_segments_begin_anywhere_in_a_document():
    block = one_token_sentences(200, 20)
    instances = make(block)
    pairs = zip(made_instances.segments(instances), labels_of(instances))
    starts = {(b[0] - made_instances.FIRST) % 20 for (_, b), label in pairs if label}
    assert starts == set(range(20))


def test_random_segments_are_never_of_another_part_of_the_document():
    block = made_instances.make_block([[1] * 90, [1] * 90, [1] * 30], [0, 0, 1])
    instances = make(block)
    pairs = zip(made_instances.segments(instances), labels_of(instances))
    found = {(document_of(block, a), document_of(block, b)) for (a, b), y in pairs if y}
    assert found == {(0, 1), (1, 0)}
    with pytest.raises(ValueError, match="no other document"):
        make(made_instances.make_block([[1] * 90]))


@pytest.mark.parametrize(
    "documents",
    [[[1] * 60] * 300, [[33]] * 2000, made_instances.random_documents(1000, 9, 30)],
    ids=["short sentences", "one long sentence each", "all sorts"],
)
@pytest.mark.parametrize("short_seq_prob", [0.0, SHORT])
def test_half_of_the_next_segments_are_random(documents, short_seq_prob):
    instances = make(
        made_instances.make_block(documents), short_seq_prob=short_seq_prob
    )
    labels = labels_of(instances)
    assert_share(sum(labels), len(labels), 0.5)


def test_lengths_do_not_tell_what_is_random():
    """Of documents of one sentence, much shorter than a sequence."""
    block = made_instances.make_block([[12]] * 3000)
    instances = make(block, max_seq_length=100)
    labels = np.array(labels_of(instances), bool)
    lengths = instances["input_mask"].sum(axis=1)
    random, following = lengths[labels], lengths[~labels]
    wins = (random[:, None] > following).mean() + (
        random[:, None] == following
    ).mean() / 2
    assert abs(wins - 0.5) < 0.12


@pytest.mark.parametrize("short_seq_prob", [0.0, SHORT])
def test_nsp_uses_all_text_where_nothing_is_cut(short_seq_prob):
    block = one_token_sentences()
    instances = make(block, short_seq_prob=short_seq_prob)
    used = set()
    for (a, b), label in zip(made_instances.segments(instances), labels_of(instances)):
        used.update(a if label else a + b)
    assert used == set(block.tokens.tolist())


def test_sop_pairs_follow_one_another_and_half_are_swapped():
    block = one_token_sentences(100)
    instances = make(block, next_sentence="sop")
    labels = labels_of(instances)
    for (a, b), label in zip(made_instances.segments(instances), labels):
        in_order = b + a if label else a + b
        assert is_run(in_order)
        document_of(block, in_order)
    assert_share(sum(labels), len(labels), 0.5)


def test_sop_splits_a_document_of_one_sentence():
    block = made_instances.make_block([[19]] * 500)
    instances = make(block, next_sentence="sop")
    assert len(instances["input_ids"]) == 500
    assert_share(sum(labels_of(instances)), 500, 0.5)
    pairs = made_instances.segments(instances)
    assert all(is_run(sorted(a + b)) and len(a + b) == 19 for a, b in pairs)
    assert {len(a) for a, _ in pairs} == set(range(1, 19))


def test_sop_leaves_out_a_token_that_is_alone():
    block = made_instances.make_block([[1], [1, 1], [1]])
    instances = make(block, next_sentence="sop")
    ((a, b),) = made_instances.segments(instances)
    assert sorted(a + b) == block.tokens[1:3].tolist()


@pytest.mark.parametrize("rule", ["wordpiece", "whole_word", "ngram", "span"])
def test_a_block_that_gives_no_instance(rule):
    block = made_instances.make_block([[1], [1]])
    instances = make(
        block, next_sentence="sop", masking=rule, max_predictions_per_seq=10
    )
    assert {len(rows) for rows in instances.values()} == {0}


@pytest.mark.parametrize("short_seq_prob", [0.0, SHORT, 1.0])
def test_none_uses_all_text_exactly_once(short_seq_prob):
    block = many_documents()
    instances = make(block, next_sentence="none", short_seq_prob=short_seq_prob)
    texts = [a for a, b in made_instances.segments(instances)]
    for text in texts:
        assert is_run(text)
        document_of(block, text)
    used = sorted(token for text in texts for token in text)
    assert used == block.tokens.tolist()
    assert set(labels_of(instances)) == {0}


def test_none_fills_one_sequence_after_the_other():
    block = made_instances.make_block([[10, 11, 1, 19, 2, 2], [5, 21], [40]])
    instances = make(block, next_sentence="none")
    texts = sorted(a for a, _ in made_instances.segments(instances))
    assert list(map(len, texts)) == [21, 21, 3, 21, 5, 21, 19]


def test_without_short_ones_all_sequences_are_full(next_sentence):
    instances = make(
        made_instances.make_block([[1] * 4000, [1] * 4000]), next_sentence=next_sentence
    )
    lengths = instances["input_mask"].sum(axis=1)
    # All but the last ones of both documents, and what random segments reach there.
    assert np.mean(lengths == 23) > 0.9
    assert lengths.max() == 23


def test_short_sequences_have_any_length():
    block = made_instances.make_block([[1] * 40000])
    instances = make(block, next_sentence="none", short_seq_prob=SHORT)
    lengths = instances["input_mask"].sum(axis=1)[:-1] - 2
    assert set(lengths.tolist()) >= set(range(2, 22))
    assert_share((lengths == 21).sum(), len(lengths), 1 - SHORT + SHORT / 20)
    assert_share((lengths == 2).sum(), len(lengths), SHORT / 20)


def test_the_seed_decides(next_sentence):
    def make_with(seed):
        return make(many_documents(), seed=seed, next_sentence=next_sentence)

    first, again, other = make_with("7/train"), make_with("7/train"), make_with("8")
    for name, rows in first.items():
        assert (rows == again[name]).all()
    assert first["input_ids"].tolist() != other["input_ids"].tolist()


def test_instances_of_a_document_do_not_stay_together(next_sentence):
    block = one_token_sentences(10, 200)
    instances = make(block, next_sentence=next_sentence)
    first = [min(a) for a, _ in made_instances.segments(instances)]
    is_next = np.abs(np.diff([document_of(block, [token]) for token in first])) == 0
    assert is_next.mean() < 0.3  # a tenth by chance


def test_what_is_left_of_a_word_that_was_cut_is_a_word():
    # A word of 19 tokens, so each segment is a piece of it.
    block = made_instances.make_block([[19]] * 300)
    continues = set(block.tokens.tolist()) - set(block.tokens[::19].tolist())
    block = made_instances.make_block([[19]] * 300, continues=continues)
    instances = make(
        block,
        next_sentence="sop",
        masking="whole_word",
        masked_lm_prob=0.5,
        max_predictions_per_seq=20,
    )
    counts = set()
    for row, (a, b) in enumerate(made_instances.segments(instances)):
        is_used = instances["masked_lm_weights"][row] == 1
        masked = set(instances["masked_lm_ids"][row][is_used].tolist())
        assert masked in (set(a), set(b))
        counts.add(len(masked))
    assert counts == set(range(1, 12))  # half of 22 tokens is the most


def test_no_word_reaches_over_a_special_token(monkeypatch):
    seen = []

    def rule(sequences, rng):
        seen.append(sequences)
        return masking.half_span(sequences, rng)

    monkeypatch.setitem(masking.RULES, "wordpiece", rule)
    block = made_instances.make_block([[19]] * 100)
    block = block._replace(is_word_start=np.arange(1900) % 19 == 0)
    make(block, next_sentence="sop", max_predictions_per_seq=20)
    (sequences,) = seen
    is_edge = np.diff(sequences.is_text.astype(int), axis=1) != 0
    assert (is_edge == (np.diff(sequences.word_ids, axis=1) == 1))[:, :21].all()


@pytest.mark.parametrize("rule", ["whole_word", "ngram"])
def test_words_keep_together_in_instances(rule, next_sentence):
    block = many_documents()
    is_continued = np.random.RandomState(1).rand(len(block.tokens)) < 0.5
    is_continued[block.sentences[:-1]] = False
    block = block._replace(is_word_start=~is_continued)
    instances = make(
        block, masking=rule, next_sentence=next_sentence, masked_lm_prob=0.3
    )
    continues = set(block.tokens[is_continued].tolist())
    is_used = instances["masked_lm_weights"] == 1
    num_words = 0
    for row, pair in enumerate(made_instances.segments(instances)):
        masked = set(instances["masked_lm_ids"][row][is_used[row]].tolist())
        for segment in pair:
            for token, following in zip(segment, segment[1:]):
                if following in continues:
                    assert (token in masked) == (following in masked)
                    num_words += token in masked
    assert num_words > 50


def test_random_tokens_are_no_special_ones():
    tokens = [*helpers.SPECIAL, "[unused1]", "[", "]", "[]", "!", "the", "##s", "你"]

    class Tokenizer:
        vocab = {token: index for index, token in enumerate(tokens)}

    vocabulary = Vocabulary.of(Tokenizer)
    assert (vocabulary.cls, vocabulary.sep, vocabulary.mask) == (2, 3, 4)
    assert vocabulary.ordinary.tolist() == [6, 7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("rule", ["whole_word", "ngram", "span", "wordpiece"])
def test_a_document_of_one_token(rule):
    block = made_instances.make_block([[1], [1]])
    settings = {"masking": rule, "max_predictions_per_seq": 11}
    instances = make(block, **settings)
    assert sorted(made_instances.segments(instances)) == [([5], [6]), ([6], [5])]
    assert labels_of(instances) == [1, 1]
    instances = make(block, next_sentence="none", **settings)
    assert sorted(made_instances.segments(instances)) == [([5], []), ([6], [])]
    assert instances["masked_lm_weights"].sum(axis=1).tolist() == [1, 1]


def test_the_shortest_sequences_that_may_be_asked_for(next_sentence):
    documents = made_instances.random_documents(30, 9, 30)
    block = made_instances.make_block(documents, max_length=2)
    instances = make(block, next_sentence=next_sentence, max_seq_length=5)
    assert set(instances["input_mask"].sum(axis=1).tolist()) <= {3, 4, 5}
    for a, b in made_instances.segments(instances):
        assert a and bool(b) == (next_sentence != "none")
