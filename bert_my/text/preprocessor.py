"""Preprocessors: texts in, features of the model out.

A preprocessor holds all that decides which ids a text becomes: vocabulary, case,
lengths, one text or two. It is saved with the model, as `preprocessor.json` beside
`vocab.txt`, so that whoever uses the model encodes texts as in training.
"""

import bisect
import itertools
import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.text import vocabulary

SETTINGS = "preprocessor.json"


class Example(NamedTuple):
    """One text or a pair of texts; `label` is None if it is not known."""

    text_a: str
    text_b: Optional[str] = None
    label: Optional[str] = None
    guid: str = ""
    group: Union[int, str] = ""  # of tasks that rank rows within groups

    @property
    def content(self):
        """The texts as one str, by which equal examples are known."""
        return self.text_a if self.text_b is None else f"{self.text_a}\0{self.text_b}"


class Sentence(NamedTuple):
    """One sentence of tokens; `tags` is None if they are not known.

    other_lines: of a file with a token a line, the lines between that hold no token,
      as pairs (number of tokens of the sentence that stand before, line as it is to be
      written), up to the next sentence. None for one empty line at the end.
    """

    tokens: Sequence[str]
    tags: Optional[Sequence[str]] = None
    guid: str = ""
    line: int = 0  # of its first token, from 1; 0 for none
    is_one_line: bool = False
    other_lines: Optional[Sequence[Tuple[int, str]]] = None

    @property
    def content(self):
        """The tokens as one str, by which equal sentences are known."""
        return "\0".join(self.tokens)

    def line_of(self, index):
        """Returns the line of a token, given by its number from 0."""
        if self.is_one_line:
            return self.line
        others = sum(0 < place <= index for place, _ in self.other_lines or ())
        return self.line + index + others


class Encoded(NamedTuple):
    """One row of features, not padded.

    features: name -> int, float or list; sequences of a row have one length.
    num_cut_tokens: tokens of the text that did not fit.
    about: (optional) JSON-able dict that a postprocessor needs of the row.
    """

    features: Dict[str, Union[int, float, List[int], List[float]]]
    num_cut_tokens: int = 0
    about: Optional[dict] = None


class Preprocessor:
    """Base of the preprocessors.

    kind: name of the class in `preprocessor.json`.
    has_pair: whether an example has two texts.
    tokenizer: `tokenization.FullTokenizer`, which has [CLS], [SEP] and [UNK].
    max_seq_length: longest row in tokens, with the special ones.
    """

    kind = None
    has_pair = False

    def __init__(self, tokenizer, max_seq_length):
        self.tokenizer = tokenizer
        self.max_seq_length = max_seq_length
        self._cls_id, self._sep_id, self._unk_id = tokenizer.convert_tokens_to_ids(
            ["[CLS]", "[SEP]", "[UNK]"]
        )

    def example(self, text):
        """Returns the example of a text as a user gives it.

        Raises:
          InputError: if this is no text of that kind.
        """
        raise NotImplementedError

    def encode(self, examples):
        """Returns for each example of a list the list of its rows, each `Encoded`."""
        raise NotImplementedError

    def __call__(self, text):
        """Returns the list of the rows of features of a text, see `example`."""
        (rows,) = self.encode([self.example(text)])
        return [row.features for row in rows]

    @property
    def settings(self):
        """JSON-able dict from which, with the vocabulary, `load` makes the same."""
        return {
            "kind": self.kind,
            "do_lower_case": self.tokenizer.basic_tokenizer.do_lower_case,
            "max_seq_length": self.max_seq_length,
        }

    def save(self, folder):
        """Writes `preprocessor.json`; the vocabulary is to be put beside it."""
        files.write_json(os.path.join(folder, SETTINGS), self.settings)


class TextPreprocessor(Preprocessor):
    """One text, or two, in one row: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].

    Too long pairs lose tokens at the end, see `lengths_within`. Source: Devlin
    et al. 2019, figure 2.
    """

    kind = "text"

    def __init__(self, tokenizer, max_seq_length, has_pair=False):
        super().__init__(tokenizer, max_seq_length)
        self.has_pair = has_pair

    @property
    def settings(self):
        return {**super().settings, "has_pair": self.has_pair}

    def example(self, text):
        """Returns the `Example` of a str, a pair of str, or a dict of `Example` fields.

        Raises:
          InputError: if there are more or fewer texts than the model has learnt from.
        """
        texts = list(text) if isinstance(text, (list, tuple)) else [text]
        if isinstance(text, dict):
            texts = [text.get("text_a", text.get("text")), text.get("text_b")]
        while texts and texts[-1] is None:
            texts.pop()
        wanted = 2 if self.has_pair else 1
        if len(texts) != wanted or not all(isinstance(each, str) for each in texts):
            expected = "a pair of texts" if self.has_pair else "one text"
            raise InputError(f"the model takes {expected}, found {text!r}")
        return Example(*texts)

    def encode(self, examples):
        encode = self.tokenizer.encode_ids
        first = encode([each.text_a for each in examples])
        second = [()] * len(first)
        if self.has_pair:
            second = encode([each.text_b or "" for each in examples])
        return [[self._pack(*pair)] for pair in zip(first, second)]

    def _pack(self, ids_a, ids_b):
        has_pair = bool(ids_b)
        room = self.max_seq_length - (3 if has_pair else 2)
        num_cut = max(len(ids_a) + len(ids_b) - room, 0)
        if num_cut:
            length_a, length_b = lengths_within(len(ids_a), len(ids_b), room)
            ids_a, ids_b = ids_a[:length_a], ids_b[:length_b]
        input_ids = [self._cls_id, *ids_a, self._sep_id]
        segment_ids = [0] * len(input_ids)
        if has_pair:
            input_ids += [*ids_b, self._sep_id]
            segment_ids += [1] * (len(ids_b) + 1)
        features = {
            "input_ids": input_ids,
            "input_mask": [1] * len(input_ids),
            "segment_ids": segment_ids,
        }
        return Encoded(features, num_cut)


class TokenPreprocessor(Preprocessor):
    """A sentence of tokens that are tagged one by one, in as many rows as it needs.

    Sentences longer than a row are cut into overlapping windows. Each token belongs to
    one of them, and is context in the others. `token_mask` is 1 where a token begins;
    `about["positions"]` are the places of the tokens that belong to the row.
    """

    kind = "tokens"

    def example(self, text):
        """Returns the `Sentence` of a list of tokens, a str, or a dict with "tokens".

        A str is split into words as BERT does: at white space, at punctuation, and
        into single Chinese characters.

        Raises:
          InputError: if that is no sentence.
        """
        if isinstance(text, dict):
            text = text.get("tokens", text.get("text"))
        if isinstance(text, str):
            words = self.tokenizer.basic_tokenizer.words_with_spans(text)
            text = [text[spans[0][0] : spans[-1][1]] for _, spans in words]
        tokens = text if isinstance(text, (list, tuple)) else ()
        if not tokens or not all(isinstance(token, str) for token in tokens):
            raise InputError(f"the model takes a sentence of tokens, found {text!r}")
        return Sentence(tuple(tokens))

    def encode(self, examples):
        tokens = list(dict.fromkeys(t for each in examples for t in each.tokens))
        room = self.max_seq_length - 2
        # A blank or a control character has no pieces, yet it has a tag.
        pieces = {
            token: ids[:room] or [self._unk_id]
            for token, ids in zip(tokens, self.tokenizer.encode_ids(tokens))
        }
        encoded = []
        for each in examples:
            parts = [pieces[token] for token in each.tokens]
            windows = cut_into_windows(list(map(len, parts)), room, room // 4)
            encoded.append([self._row(parts, window) for window in windows])
        return encoded

    def _row(self, pieces, window):
        input_ids, token_mask, positions = [self._cls_id], [0], []
        for index in range(window.begin, window.end):
            if window.first <= index < window.last:
                positions.append(len(input_ids))
            input_ids += pieces[index]
            token_mask += [1, *[0] * (len(pieces[index]) - 1)]
        input_ids.append(self._sep_id)
        features = {
            "input_ids": input_ids,
            "input_mask": [1] * len(input_ids),
            "segment_ids": [0] * len(input_ids),
            "token_mask": [*token_mask, 0],
        }
        return Encoded(features, about={"positions": positions})


def lengths_within(length_a, length_b, room):
    """Returns the lengths to which two texts are cut so that they fit into a row.

    The longer text loses tokens one by one, the second one if both are as long, so that
    a short text keeps its words. Source: Devlin et al. 2019, figure 2, and its code.

    Args:
      length_a, length_b: in tokens.
      room: the most tokens of both together.
    """
    excess = max(length_a + length_b - room, 0)
    # What the longer one loses until both are as long; then they take turns.
    alone = min(excess, abs(length_a - length_b))
    rest = excess - alone
    is_a_longer = length_a > length_b
    cut_a = rest // 2 + alone * is_a_longer
    cut_b = rest - rest // 2 + alone * (not is_a_longer)
    return length_a - cut_a, length_b - cut_b


class Window(NamedTuple):
    """Tokens `begin` to `end` of a sequence; `first` to `last` belong to the window."""

    begin: int
    end: int
    first: int
    last: int


def cut_into_windows(lengths, room, overlap):
    """Returns the windows of a sequence of tokens, in their order.

    Neighbouring windows overlap. Every token belongs to exactly one window, in which
    it has context on both sides.

    Args:
      lengths: number of wordpieces of each token, each 1 to `room`.
      room: wordpieces that a window can hold.
      overlap: wordpieces that neighbours share, at least, where tokens allow it; it
        must be less than `room`.

    Returns:
      list of `Window`; empty without tokens.
    """
    starts = [0, *itertools.accumulate(lengths)]  # of the tokens, in wordpieces
    spans, begin = [], 0
    while begin < len(lengths):
        end = bisect.bisect_right(starts, starts[begin] + room) - 1
        spans.append((begin, end))
        if end == len(lengths):
            break
        # The next window has to begin later, and to get beyond the end of this one.
        earliest, begin = begin + 1, end
        while begin > earliest and starts[end] - starts[begin] < overlap:
            if starts[end + 1] - starts[begin - 1] > room:
                break
            begin -= 1
    borders = [0]
    for (_, end), (begin, _) in zip(spans, spans[1:]):
        borders.append((begin + end) // 2)
    borders.append(len(lengths))
    return [
        Window(*span, first, last)
        for span, first, last in zip(spans, borders, borders[1:])
    ]


def load(folder):
    """Returns the preprocessor that was saved in a folder, beside its vocabulary.

    Raises:
      InputError: if a file is missing or cannot be read.
    """
    saved_class, settings = files.read_saved(
        os.path.join(folder, SETTINGS),
        (TextPreprocessor, TokenPreprocessor),
        "how texts are encoded",
    )
    tokenizer = vocabulary.read_tokenizer(
        os.path.join(folder, vocabulary.VOCAB), settings.pop("do_lower_case")
    )
    return saved_class(tokenizer, **settings)
