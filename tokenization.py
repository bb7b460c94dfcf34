"""Text to wordpieces to ids: a drop-in `tokenization` with upstream's results.

`FullTokenizer.tokenize` is the reference: it consists of the methods that upstream's
classes have, and what a subclass overrides takes effect. `tokenize_with_offsets`,
`encode_ids` and `encode_batch` follow the rules of this file alone. The last two have a
cache: a text is split into units that do not depend on one another, each of which is
encoded once. TensorFlow serves for paths such as "gs://..." only.

Offsets are `(start, end)` in characters of the original text.
"""

import collections
import functools
import itertools
import re
import unicodedata

# Units that a cache holds; it is emptied when it is full.
MAX_UNITS = 1 << 17
# Longer units, in characters, hardly come again.
MAX_UNIT_LENGTH = 40
# Characters whose kind is kept.
MAX_CHARS = 1 << 15

# Sequences of ids and of offsets of equal length.
Encoding = collections.namedtuple("Encoding", ["ids", "offsets"])

_LOWER_MODELS = (
    "uncased_L-24_H-1024_A-16",
    "uncased_L-12_H-768_A-12",
    "multilingual_L-12_H-768_A-12",
    "chinese_L-12_H-768_A-12",
)
_CASED_MODELS = (
    "cased_L-12_H-768_A-12",
    "cased_L-24_H-1024_A-16",
    "multi_cased_L-12_H-768_A-12",
)


def validate_case_matches_checkpoint(do_lower_case, init_checkpoint):
    """Checks `do_lower_case` against the folder names of published checkpoints.

    Raises:
      ValueError: if the checkpoint is known to need the other setting.
    """
    match = re.match(r"^.*?([A-Za-z0-9_-]+)/bert_model.ckpt", init_checkpoint or "")
    if match is None:
        return
    model_name = match.group(1)
    for needed, names in ((True, _LOWER_MODELS), (False, _CASED_MODELS)):
        if model_name in names and bool(do_lower_case) != needed:
            raise ValueError(
                f"--do_lower_case={bool(do_lower_case)} does not fit "
                f"--init_checkpoint={init_checkpoint}: {model_name} was pretrained on "
                f"{'lowercased' if needed else 'cased'} text; pass "
                f"--do_lower_case={needed}, or rename the folder if that is wrong."
            )


def convert_to_unicode(text):
    """Returns `text` as str; bytes are taken as UTF-8, bad ones are left out.

    Raises:
      ValueError: if `text` is neither str nor bytes.
    """
    if isinstance(text, str):
        return text
    if isinstance(text, bytes):
        return text.decode("utf-8", "ignore")
    raise ValueError(f"a text is str or bytes, not {type(text).__name__}: {text!r}")


def printable_text(text):
    """Returns `text` in the form that `print` and loggers take."""
    return convert_to_unicode(text)


def load_vocab(vocab_file):
    """Reads a vocabulary file, one token a line, into an ordered dict token -> id.

    Lines end at "\\n" only: some vocabularies hold U+2028 as a token.

    Raises:
      OSError: if the file cannot be read.
    """
    vocab = collections.OrderedDict()
    lines = _read_bytes(vocab_file).decode("utf-8", "ignore").split("\n")
    if not lines[-1]:
        del lines[-1]
    for index, line in enumerate(lines):
        vocab[line.strip()] = index
    return vocab


def _read_bytes(path):
    """Returns what a file holds, also one that only TensorFlow can open."""
    if "://" not in str(path):
        with open(path, "rb") as reader:
            return reader.read()
    # Not at the top: it takes seconds and hundreds of MB, and local files do without.
    import tensorflow.compat.v1 as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as reader:
            return reader.read()
    except tf.errors.OpError as error:
        raise OSError(str(error)) from error


def convert_by_vocab(vocab, items):
    """Maps tokens to ids or ids to tokens.

    Raises:
      KeyError: if an item is not in the vocabulary.
    """
    return [vocab[item] for item in items]


def convert_tokens_to_ids(vocab, tokens):
    """Maps tokens to ids with a dict token -> id."""
    return convert_by_vocab(vocab, tokens)


def convert_ids_to_tokens(inv_vocab, ids):
    """Maps ids to tokens with a dict id -> token."""
    return convert_by_vocab(inv_vocab, ids)


def whitespace_tokenize(text):
    """Splits at white space; an empty text gives an empty list."""
    return text.split()


class FullTokenizer:
    """Splits text into wordpieces: `BasicTokenizer`, then `WordpieceTokenizer`."""

    def __init__(self, vocab_file, do_lower_case=True):
        """Reads a vocabulary.

        Args:
          vocab_file: path.
          do_lower_case: as the model was pretrained.
        """
        self.vocab = load_vocab(vocab_file)
        self.inv_vocab = {index: token for token, index in self.vocab.items()}
        self.basic_tokenizer = BasicTokenizer(do_lower_case=do_lower_case)
        self.wordpiece_tokenizer = WordpieceTokenizer(vocab=self.vocab)
        self._encodings = _Cache(self._encode_unit)
        self._ids = _Cache(self._unit_ids)

    def tokenize(self, text):
        """Returns the list of wordpieces of a text."""
        split_word = self.wordpiece_tokenizer.tokenize
        words = self.basic_tokenizer.tokenize(text)
        return [piece for word in words for piece in split_word(word)]

    def tokenize_with_offsets(self, text):
        """Returns (wordpieces, offsets), two lists of equal length."""
        tokens, offsets = [], []
        for word, spans in self.basic_tokenizer.words_with_spans(text):
            for piece, start, end in self.wordpiece_tokenizer.pieces(word):
                tokens.append(piece)
                offsets.append((spans[start][0], spans[end - 1][1]))
        return tokens, offsets

    def convert_tokens_to_ids(self, tokens):
        """Maps tokens to ids; raises KeyError for one that is not in the vocabulary."""
        return convert_by_vocab(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids):
        """Maps ids to tokens; raises KeyError for one that is not in the vocabulary."""
        return convert_by_vocab(self.inv_vocab, ids)

    def mark_unk_tokens(self, tokens, unk_token="[UNK]"):
        """Replaces tokens that are not in the vocabulary, as bert-as-service does."""
        return [token if token in self.vocab else unk_token for token in tokens]

    def encode_ids(self, texts):
        """Returns the list of ids of each text, without [CLS] and [SEP]."""
        ids_of = self._ids.__getitem__
        chain = itertools.chain.from_iterable
        return [list(chain(map(ids_of, self._units(text)))) for text in texts]

    def encode_batch(self, texts):
        """Returns the `Encoding` of each text, without [CLS] and [SEP].

        Same ids and offsets as `tokenize_with_offsets`; `encode_ids` is faster.
        """
        output = []
        for text in texts:
            ids, offsets = [], []
            for match in _UNIT.finditer(text):
                first = match.start()
                unit_ids, spans = self._encodings[match.group()]
                ids += unit_ids
                offsets += [(first + start, first + end) for start, end in spans]
            output.append(Encoding(ids, offsets))
        return output

    def _units(self, text):
        """Returns the list of the units of a text, see `_UNIT`; ASCII is lowered."""
        if not _is_printable_ascii(text):
            return _UNIT.findall(text)
        return _ASCII_WORD.findall(self._cased(text))

    def _cased(self, text):
        """Returns ASCII in the case of the vocabulary."""
        return text.lower() if self.basic_tokenizer.do_lower_case else text

    def _unit_ids(self, unit):
        """Returns the ids of a unit, a tuple."""
        if not (unit.isascii() and unit.isalnum()):
            return self._encode_unit(unit).ids
        pieces = self.wordpiece_tokenizer.pieces(self._cased(unit))
        return tuple([self.vocab[piece] for piece, _, _ in pieces])

    def _encode_unit(self, unit):
        """Returns the `Encoding` of a unit."""
        if not _is_printable_ascii(unit):
            tokens, offsets = self.tokenize_with_offsets(unit)
            return Encoding(tuple(self.convert_tokens_to_ids(tokens)), tuple(offsets))
        # There is nothing to clean and no accent to strip.
        ids, offsets = [], []
        for word in _ASCII_WORD.finditer(self._cased(unit)):
            first = word.start()
            for piece, start, end in self.wordpiece_tokenizer.pieces(word.group()):
                ids.append(self.vocab[piece])
                offsets.append((first + start, first + end))
        return Encoding(tuple(ids), tuple(offsets))


class _Cache(dict):
    """Dict unit -> what a function gives for it, which is called for a missing one.

    It does not grow without bounds, and a copy, as for another process, is empty.
    """

    def __init__(self, encode):
        super().__init__()
        self._encode = encode

    def __missing__(self, unit):
        encoded = self._encode(unit)
        if len(unit) <= MAX_UNIT_LENGTH:
            if len(self) >= MAX_UNITS:
                self.clear()
            self[unit] = encoded
        return encoded

    def __reduce__(self):
        return _Cache, (self._encode,)


def _is_printable_ascii(text):
    return text.isascii() and text.isprintable()


class BasicTokenizer:
    """Cleans text, splits it at white space, punctuation and Chinese characters."""

    def __init__(self, do_lower_case=True):
        """Builds a tokenizer that lowers the case and strips accents, or does not."""
        self.do_lower_case = do_lower_case

    def tokenize(self, text):
        """Returns the list of words of a text."""
        cleaned = self._clean_text(convert_to_unicode(text))
        words = whitespace_tokenize(self._tokenize_chinese_chars(cleaned))
        if self.do_lower_case:
            words = [self._run_strip_accents(word.lower()) for word in words]
        parts = [part for word in words for part in self._run_split_on_punc(word)]
        # Normalization can uncover white space.
        return whitespace_tokenize(" ".join(parts))

    # The steps of `tokenize`, under upstream's names.

    def _clean_text(self, text):
        """Drops control characters and makes every white space a blank."""
        return "".join(map(_cleaned, text))

    def _tokenize_chinese_chars(self, text):
        """Puts blanks around Chinese characters."""
        codes = filter(self._is_chinese_char, map(ord, set(text)))
        return text.translate({code: f" {chr(code)} " for code in codes})

    def _is_chinese_char(self, cp):
        """Returns whether a code point is in one of the CJK blocks."""
        return _is_chinese(chr(cp))

    def _run_strip_accents(self, text):
        """Decomposes characters (NFD) and drops what combines with them (Mn)."""
        if text.isascii():
            return text
        decomposed = unicodedata.normalize("NFD", text)
        return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")

    def _run_split_on_punc(self, text):
        """Returns the list of each punctuation character and what lies between."""
        return [part for part, _ in _split_at_punctuation(text, text)]

    def words_with_spans(self, text):
        """Yields (word, spans): for each of its characters the span it came from."""
        for token, spans in _split_at_whitespace(
            *self._clean(convert_to_unicode(text))
        ):
            if self.do_lower_case:
                token, spans = _strip_accents(*_lower(token, spans))
            for part, part_spans in _split_at_punctuation(token, spans):
                # Normalization can uncover white space.
                yield from _split_at_whitespace(part, part_spans)

    @staticmethod
    def _clean(text):
        """Drops control characters and puts spaces around Chinese characters."""
        chars, spans = [], []
        for index, char in enumerate(text):
            cleaned = f" {char} " if _is_chinese(char) else _cleaned(char)
            chars.append(cleaned)
            spans.extend([(index, index + 1)] * len(cleaned))
        return "".join(chars), spans


class WordpieceTokenizer:
    """Splits words into the longest pieces of a vocabulary, greedily from the left."""

    def __init__(self, vocab, unk_token="[UNK]", max_input_chars_per_word=200):
        """Builds a tokenizer.

        Args:
          vocab: container of tokens.
          unk_token: stands for a word that cannot be split.
          max_input_chars_per_word: longer words are unknown.
        """
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word

    def tokenize(self, text):
        """Returns the pieces of white-space separated words.

        For example "rewinding" gives `["re", "##wind", "##ing"]`.
        """
        text = convert_to_unicode(text)
        return [
            piece
            for word in whitespace_tokenize(text)
            for piece, _, _ in self.pieces(word)
        ]

    def pieces(self, word):
        """Returns the list of (piece, start, end) of one word."""
        unknown = [(self.unk_token, 0, len(word))]
        if len(word) > self.max_input_chars_per_word:
            return unknown
        output = []
        start, rest, prefix = 0, word, ""
        while len(rest) > len(prefix):
            for end in range(len(rest), len(prefix), -1):
                if rest[:end] in self.vocab:
                    break
            else:
                return unknown
            stop = start + end - len(prefix)
            output.append((rest[:end], start, stop))
            start, rest, prefix = stop, "##" + rest[end:], "##"
        return output


def _lower(text, spans):
    """Lowers the case of a text as a whole: a final sigma depends on its place."""
    lowered = text.lower()
    if len(lowered) != len(text):  # "İ" becomes two characters.
        spans = [
            span for char, span in zip(text, spans) for _ in range(len(char.lower()))
        ]
    return lowered, spans


def _strip_accents(text, spans):
    """Decomposes characters (NFD) and drops what combines with them (Mn)."""
    if text.isascii():
        return text, spans
    decomposed = [
        (part, span)
        for char, span in zip(text, spans)
        for part in unicodedata.normalize("NFD", char)
    ]
    _put_in_canonical_order(decomposed)
    kept = [
        (char, span) for char, span in decomposed if unicodedata.category(char) != "Mn"
    ]
    return "".join(char for char, _ in kept), [span for _, span in kept]


def _put_in_canonical_order(pairs):
    """Sorts runs of combining characters by their class, as NFD does."""
    for end in range(1, len(pairs)):
        rank = unicodedata.combining(pairs[end][0])
        index = end
        while rank and index and unicodedata.combining(pairs[index - 1][0]) > rank:
            pairs[index - 1 : index + 1] = pairs[index], pairs[index - 1]
            index -= 1


def _split_at_whitespace(text, spans):
    """Yields (word, spans) for each word of a text."""
    for match in re.finditer(r"\S+", text):
        yield match.group(), spans[match.start() : match.end()]


def _split_at_punctuation(text, spans):
    """Yields (part, spans): each punctuation character and what lies between."""
    start = 0
    for index, char in enumerate(text):
        if _is_punctuation(char):
            if start < index:
                yield text[start:index], spans[start:index]
            yield char, spans[index : index + 1]
            start = index + 1
    if start < len(text):
        yield text[start:], spans[start:]


@functools.lru_cache(maxsize=MAX_CHARS)
def _cleaned(char):
    """Returns what a character is replaced by when a text is cleaned."""
    if char in "\0\ufffd" or _is_control(char):
        return ""
    if _is_whitespace(char):
        return " "
    return char


@functools.lru_cache(maxsize=MAX_CHARS)
def _is_chinese(char):
    return re.match(f"[{_CJK}]", char) is not None


def _is_whitespace(char):
    return char in " \t\n\r" or unicodedata.category(char) == "Zs"


def _is_control(char):
    return char not in "\t\n\r" and unicodedata.category(char) in ("Cc", "Cf")


@functools.lru_cache(maxsize=MAX_CHARS)
def _is_punctuation(char):
    """Returns True for punctuation: all of ASCII but letters, digits, space."""
    code = ord(char)
    if code < 128:
        return 33 <= code <= 126 and not char.isalnum()
    return unicodedata.category(char).startswith("P")


# Ranges of code points of the CJK blocks, which have no Kana or Hangul.
_CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
)
# What `_clean` makes a blank of, and the two line ends that it leaves to the split.
# Other white space of `re` is control characters, which are dropped and part nothing.
_BLANKS = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# The parts of a text that are lowered, stripped and split without a look at the others:
# Chinese characters, and what stands between them and white space.
_UNIT = re.compile(f"[{_CJK}]|[^{_BLANKS}{_CJK}]+")
_ASCII_WORD = re.compile("[0-9A-Za-z]+|[^ ]")
