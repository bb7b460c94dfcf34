"""Turns blocks of documents into instances: pairs of segments with masked tokens.

Source: Devlin et al. 2019, A.2 for pairs and masks.
"""

import random
import re
from typing import NamedTuple

import numpy as np

from bert_my.pretrain import masking
from bert_my.text.preprocessor import lengths_within

NEXT_SENTENCE = ("nsp", "sop", "none")
_BRACKETS = re.compile(r"\[.+\]")


class Vocabulary(NamedTuple):
    """Ids of the special tokens, and of tokens that may replace a masked one."""

    cls: int
    sep: int
    mask: int
    ordinary: np.ndarray  # candidates for a random replacement

    @classmethod
    def of(cls, tokenizer):
        """Returns the `Vocabulary` of a `tokenization.FullTokenizer`.

        Tokens in brackets, such as [PAD] and [unused1], never stand in text.
        """
        vocab = tokenizer.vocab
        ordinary = [i for token, i in vocab.items() if not _BRACKETS.fullmatch(token)]
        special = (vocab[token] for token in ("[CLS]", "[SEP]", "[MASK]"))
        return cls(*special, np.array(ordinary))


class Segments(NamedTuple):
    """Places of the text of one instance.

    a, b: (start, end) in the tokens of a block; b is (0, 0) without a second segment.
    is_foreign: True if b is from the other block.
    label: `next_sentence_labels`.
    """

    a: tuple
    b: tuple
    is_foreign: bool
    label: int


def make_instances(block, other, settings, vocabulary, seed):
    """Makes all instances of a block, in random order.

    Args:
      block: `Block`, of sentences of at most `settings.max_tokens`.
      other: `Block` from which random next segments are taken; may be the same. For
        "nsp" it must have a different document for each document of `block`.
      settings: `create_pretraining_data.DataConfig`.
      vocabulary: `Vocabulary`.
      seed: str; the same seed gives the same instances.

    Returns:
      dict name -> array `[num_instances, ...]`, with the features' names of upstream:
      int32 `input_ids`, `input_mask`, `segment_ids` `[_, max_seq_length]`,
      `masked_lm_positions`, `masked_lm_ids` `[_, max_predictions_per_seq]`,
      `next_sentence_labels` `[_, 1]`; float32 `masked_lm_weights`.

    Raises:
      ValueError: if the other block has no document for a random next segment.
    """
    is_lonely = len(set(other.numbers)) == 1 and other.numbers[0] in block.numbers
    if settings.next_sentence == "nsp" and is_lonely:
        raise ValueError("the other block has no other document")
    rng = random.Random(seed)
    plan = list(_Planner(block, other, settings, rng).plan())
    rng.shuffle(plan)
    sequences = _pack(plan, block, other, settings, vocabulary)
    # `random.Random` hashes a string in the same way on every machine.
    np_rng = np.random.default_rng(rng.getrandbits(128))
    is_chosen = masking.RULES[settings.masking](sequences, np_rng)
    input_ids = masking.replace(
        sequences, is_chosen, vocabulary.mask, vocabulary.ordinary, np_rng
    )
    positions, is_used = masking.positions_of(
        is_chosen, settings.max_predictions_per_seq
    )
    original = np.take_along_axis(sequences.input_ids, positions, axis=1)
    labels = np.array([segments.label for segments in plan], np.int32)
    return {
        "input_ids": input_ids,
        "input_mask": sequences.input_mask,
        "segment_ids": sequences.segment_ids,
        "masked_lm_positions": positions,
        "masked_lm_ids": np.where(is_used, original, 0).astype(np.int32),
        "masked_lm_weights": is_used.astype(np.float32),
        "next_sentence_labels": labels[:, None],
    }


class _Planner:
    """Cuts documents into segments.

    A place is (token, sentence); the token is within the sentence if that was split.
    """

    def __init__(self, block, other, settings, rng):
        # Lists: NumPy's numbers are slow one by one.
        self._block, self._other = (
            each._replace(
                sentences=each.sentences.tolist(),
                documents=each.documents.tolist(),
                numbers=each.numbers.tolist(),
            )
            for each in (block, other)
        )
        self._settings = settings
        self._rng = rng

    def plan(self):
        """Yields the `Segments` of each instance, document by document."""
        cut = self._pairs if self._settings.next_sentence != "none" else self._single
        bounds = zip(self._block.documents, self._block.documents[1:])
        for (first, end), number in zip(bounds, self._block.numbers):
            yield from cut(first, end, number)

    def _target_length(self):
        """Returns the number of tokens that a sequence should have."""
        longest, rng = self._settings.max_tokens, self._rng
        if rng.random() < self._settings.short_seq_prob:
            # Some are short, as the texts of later tasks are.
            return rng.randint(2, longest)
        return longest

    def _single(self, first, end, number):
        """Yields `Segments` that hold all text of a document once, in its order."""
        start, stop = self._block.sentences[first], self._block.sentences[end]
        while start < stop:
            last = min(start + self._target_length(), stop)
            yield Segments((start, last), (0, 0), False, 0)
            start = last

    def _pairs(self, first, end, number):
        """Yields the pairs of a document, of whole sentences where there are several.

        Half of the second segments of "nsp" are of another document, and half of the
        pairs of "sop" are swapped. Source of the latter: Lan et al. 2020, 3.1.

        Args:
          first, end: its first sentence, and the one behind its last.
          number: of the document.
        """
        is_sop = self._settings.next_sentence == "sop"
        sentences = self._block.sentences
        start = sentences[first], first
        while start[1] < end:
            target = self._target_length()
            split, stop = self._split(start, end, target)
            a, b = (start[0], split[0]), (split[0], stop[0])
            following = stop
            has_next = split[0] < stop[0]
            is_rest = start[0] > sentences[start[1]]
            is_half = has_next and self._rng.random() < 0.5
            if not has_next and (is_sop or is_rest):
                # A single token that is left has no order. As a pair for "nsp" it would
                # make more than half of the second segments random.
                pair = None
            elif is_sop:
                pair = Segments(b, a, False, 1) if is_half else Segments(a, b, False, 0)
            elif is_half:
                pair = Segments(a, b, False, 0)
            else:
                # With documents of one sentence the length would give random segments
                # away.
                is_single = first + 1 == end
                wanted = b[1] - b[0] if is_single else target - (a[1] - a[0])
                is_within = split[1] == start[1]
                b = self._random_segment(max(wanted, 1), number, is_within)
                pair = Segments(a, b, True, 1)
                # The text behind the first segment is used by the next instance.
                following = split if has_next else stop
            if pair:
                yield self._truncate(pair)
            start = following

    def _split(self, start, end, target):
        """Returns the places at which text is split in two, and at which it ends.

        Args:
          start: place at which the text begins.
          end: sentence behind the last one of the document.
          target: tokens that the sequence should have.
        """
        sentences, rng = self._block.sentences, self._rng
        token, first = start
        last = first + 1
        while last < end and sentences[last] - token < target:
            last += 1
        stop = sentences[last], last
        if last - first > 1:
            middle = rng.randint(first + 1, last - 1)
            return (sentences[middle], middle), stop
        # A single sentence is split, so that it has a next segment too.
        length = sentences[last] - token
        return (token + rng.randint(1, max(length - 1, 1)), first), stop

    def _truncate(self, pair):
        """Cuts a pair to `max_tokens`, at random at both ends of the segments."""
        spans, lengths = (pair.a, pair.b), [end - start for start, end in pair[:2]]
        cut = []
        fitting = lengths_within(*lengths, self._settings.max_tokens)
        for (start, end), length, room in zip(spans, lengths, fitting):
            excess = length - room
            # Each token is taken from the front or from the end.
            at_front = bin(self._rng.getrandbits(excess)).count("1") if excess else 0
            cut.append((start + at_front, end - (excess - at_front)))
        return pair._replace(a=cut[0], b=cut[1])

    def _random_segment(self, wanted, number, is_within):
        """Returns (start, end) of text of another document, at least one token.

        Args:
          wanted: tokens that it should have.
          number: of the document that it is not taken from.
          is_within: True to start within a sentence, so that the segment has `wanted`
            tokens; False for whole sentences.
        """
        _, _, sentences, documents, numbers = self._other
        part = self._rng.randrange(len(numbers))
        while numbers[part] == number:
            part = self._rng.randrange(len(numbers))
        end = documents[part + 1]
        first = self._rng.randrange(documents[part], end)
        last = first + 1
        while last < end and sentences[last] - sentences[first] < wanted:
            last += 1
        start, stop = sentences[first], sentences[last]
        return (max(start, stop - wanted) if is_within else start), stop


def _pack(plan, block, other, settings, vocabulary):
    """Returns the `masking.Sequences` of a plan: [CLS] a [SEP] (b [SEP]).

    Args:
      see `make_instances`; `plan` is a list of `Segments`.
    """
    shape = len(plan), settings.max_seq_length
    input_ids, segment_ids = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    is_text, is_start = np.zeros(shape, bool), np.zeros(shape, bool)
    for row, (a, b, is_foreign, _) in enumerate(plan):
        sources = (block, a, 0), (other if is_foreign else block, b, 1)
        position = 0
        for source, (start, end), segment in sources[: 1 + (b[1] > b[0])]:
            text = slice(position + 1, position + 1 + end - start)
            input_ids[row, text] = source.tokens[start:end]
            is_text[row, text] = True
            is_start[row, text] = source.is_word_start[start:end]
            # The rest of a word that was cut is a word, and so is each special token.
            is_start[row, [text.start, text.stop]] = True
            input_ids[row, text.stop] = vocabulary.sep
            segment_ids[row, text.start : text.stop + 1] = segment
            position = text.stop
    input_ids[:, 0] = vocabulary.cls
    is_start[:, 0] = True
    num_tokens = is_text.sum(axis=1) + 2 + segment_ids.any(axis=1)
    is_real = np.arange(settings.max_seq_length) < num_tokens[:, None]
    wanted = np.round(num_tokens * settings.masked_lm_prob).astype(np.int64)
    return masking.Sequences(
        input_ids=input_ids,
        word_ids=np.cumsum(is_start, axis=1) - 1,
        is_text=is_text,
        input_mask=is_real.astype(np.int32),
        segment_ids=segment_ids,
        num_wanted=np.clip(wanted, 1, settings.max_predictions_per_seq),
        max_predictions=settings.max_predictions_per_seq,
    )
