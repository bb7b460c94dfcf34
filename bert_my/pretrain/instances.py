"""Turns blocks of documents into instances: pairs of segments with masked tokens.

Source: Devlin et al. 2019, A.2 for pairs and masks.
"""

import random
from typing import NamedTuple, Tuple

import numpy as np

from bert_my.pretrain import masking
from bert_my.text.preprocessor import lengths_within

NEXT_SENTENCE = ("nsp", "sop", "none")


class InstanceSettings(NamedTuple):
    """Settings of instances; lengths are in tokens."""

    max_seq_length: int
    max_predictions_per_seq: int
    masked_lm_prob: float  # share of the tokens of a sequence that are predicted
    short_seq_prob: float  # share of the sequences that are shortened
    masking: str  # key of `masking.RULES`
    next_sentence: str  # one of `NEXT_SENTENCE`

    @property
    def max_tokens(self):
        """The most tokens of text in a sequence."""
        return self.max_seq_length - (2 if self.next_sentence == "none" else 3)


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
        ordinary = [
            index
            for token, index in vocab.items()
            if not (len(token) > 2 and token[0] == "[" and token[-1] == "]")
        ]
        return cls(
            *(vocab[t] for t in ("[CLS]", "[SEP]", "[MASK]")), np.array(ordinary)
        )


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
      block: `Block`.
      other: `Block` from which random next segments are taken; may be the same. For
        "nsp" it must have a different document for each document of `block`.
      settings: `InstanceSettings`.
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
    block, other = (
        each.with_short_sentences(settings.max_tokens) for each in (block, other)
    )
    planner = _PLANNERS[settings.next_sentence](block, other, settings, rng)
    plan = list(planner.plan())
    rng.shuffle(plan)
    packed = _pack(plan, block, other, settings, vocabulary)
    # `random.Random` hashes a string in the same way on every machine.
    np_rng = np.random.default_rng(rng.getrandbits(128))
    labels = np.array([segments.label for segments in plan], np.int32)
    return {
        **_mask(packed, settings, vocabulary, np_rng),
        "next_sentence_labels": labels[:, None],
    }


class _Planner:
    """Cuts documents into segments. The base class gives one segment, for "none"."""

    def __init__(self, block, other, settings, rng):
        self._sentences = block.sentences.tolist()
        self._documents = block.documents.tolist()
        self._numbers = block.numbers.tolist()
        self._other_sentences = other.sentences.tolist()
        self._other_documents = other.documents.tolist()
        self._other_numbers = other.numbers.tolist()
        self._settings = settings
        self._rng = rng

    def plan(self):
        """Yields the `Segments` of each instance, document by document."""
        for part, number in enumerate(self._numbers):
            yield from self._plan_document(
                self._documents[part], self._documents[part + 1], number
            )

    def _target_length(self):
        """Returns the number of tokens that a sequence should have."""
        longest, rng = self._settings.max_tokens, self._rng
        if rng.random() < self._settings.short_seq_prob:
            # Some are short, as the texts of later tasks are.
            return rng.randint(2, longest)
        return longest

    def _plan_document(self, first, end, number):
        """Yields `Segments` that hold all text of a document once, in its order."""
        start, stop = self._sentences[first], self._sentences[end]
        while start < stop:
            last = min(start + self._target_length(), stop)
            yield Segments((start, last), (0, 0), False, 0)
            start = last


class _Chunk(NamedTuple):
    """Consecutive text of an instance, and the place where it is split in two.

    A place is (token, sentence); the token is within the sentence if that was split.
    """

    start: Tuple[int, int]
    split: Tuple[int, int]
    end: Tuple[int, int]
    target: int  # tokens that the sequence should have
    is_of_one_sentence: bool  # True if its document has one sentence

    @property
    def splits_sentence(self):
        """True if the split is within a sentence."""
        return self.split[1] == self.start[1]


class _PairPlanner(_Planner):
    """Cuts documents into pairs of segments of whole sentences."""

    def _plan_document(self, first, end, number):
        place = self._sentences[first], first
        while place[1] < end:
            segments, place = self._pair(self._chunk(place, first, end), number)
            if segments:
                yield self._truncate(segments)

    def _chunk(self, start, document, end):
        """Returns the `_Chunk` that begins at a place of a document.

        Args:
          start: place.
          document, end: its first sentence, and the one behind its last.
        """
        sentences, rng = self._sentences, self._rng
        token, first = start
        target, last = self._target_length(), first + 1
        while last < end and sentences[last] - token < target:
            last += 1
        if last - first > 1:
            middle = rng.randint(first + 1, last - 1)
            split = sentences[middle], middle
        else:
            # A single sentence is split, so that it has a next segment too.
            length = sentences[last] - token
            split = token + rng.randint(1, max(length - 1, 1)), first
        stop = sentences[last], last
        return _Chunk(start, split, stop, target, document + 1 == end)

    def _pair(self, chunk, number):
        """Returns (`Segments` or None, the place at which to go on).

        Args:
          chunk: `_Chunk`.
          number: of its document.
        """
        raise NotImplementedError

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


class _NextSentencePlanner(_PairPlanner):
    """Half of the second segments follow the first, half are from another document."""

    def _pair(self, chunk, number):
        (start, _), (split, _), (end, _) = chunk[:3]
        is_single_token = split == end
        if is_single_token and start > self._sentences[chunk.start[1]]:
            # The last token of a sentence that was split has no next segment. As an
            # instance it would make more than half of the second segments random.
            return None, chunk.end
        if not is_single_token and self._rng.random() < 0.5:
            return Segments((start, split), (split, end), False, 0), chunk.end
        # The text behind the first segment is used by the next instance.
        place = chunk.end if is_single_token else chunk.split
        wanted = max(chunk.target - (split - start), 1)
        if chunk.is_of_one_sentence:
            # With documents of one sentence the length would give random segments away.
            wanted = max(end - split, 1)
        first, last = self._random_span(wanted, number)
        if chunk.splits_sentence:
            # A true next segment begins within a sentence here; so does a random one.
            first = max(first, last - wanted)
        return Segments((start, split), (first, last), True, 1), place

    def _random_span(self, wanted, number):
        """Returns (start, end) of sentences of another document, at least one."""
        sentences, documents = self._other_sentences, self._other_documents
        part = self._random_part(number)
        first = self._rng.randrange(documents[part], documents[part + 1])
        last = first + 1
        while (
            last < documents[part + 1] and sentences[last] - sentences[first] < wanted
        ):
            last += 1
        return sentences[first], sentences[last]

    def _random_part(self, number):
        numbers, rng = self._other_numbers, self._rng
        while True:
            part = rng.randrange(len(numbers))
            if numbers[part] != number:
                return part


class _SentenceOrderPlanner(_PairPlanner):
    """Two segments in a row, half of them swapped. Source: Lan et al. 2020, 3.1.

    A single token that is left at the end of a document has no order and is not used.
    """

    def _pair(self, chunk, number):
        (start, _), (split, _), (end, _) = chunk[:3]
        if split == end:
            return None, chunk.end
        a, b = (start, split), (split, end)
        if self._rng.random() < 0.5:
            return Segments(b, a, False, 1), chunk.end
        return Segments(a, b, False, 0), chunk.end


_PLANNERS = {
    "nsp": _NextSentencePlanner,
    "sop": _SentenceOrderPlanner,
    "none": _Planner,
}


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


def _mask(sequences, settings, vocabulary, rng):
    """Returns the features of sequences, all but `next_sentence_labels`."""
    is_chosen = masking.RULES[settings.masking](sequences, rng)
    positions, is_used = masking.positions_of(
        is_chosen, settings.max_predictions_per_seq
    )
    return {
        "input_ids": masking.replace(
            sequences, is_chosen, vocabulary.mask, vocabulary.ordinary, rng
        ),
        "input_mask": sequences.input_mask,
        "segment_ids": sequences.segment_ids,
        "masked_lm_positions": positions,
        "masked_lm_ids": np.where(
            is_used, np.take_along_axis(sequences.input_ids, positions, axis=1), 0
        ).astype(np.int32),
        "masked_lm_weights": is_used.astype(np.float32),
    }
