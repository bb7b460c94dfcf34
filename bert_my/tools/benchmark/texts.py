"""Made-up titles, and a vocabulary for them."""

import csv
import itertools
import string

import numpy as np

import tokenization
from bert_my.common import files
from bert_my.text import vocabulary
from bert_my.tools.benchmark import workload

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SEED = 1907
_MARKS = (",", ":", " -", "?", "!", ".")
_PIECES_PER_WORD = 1.3  # with those of the marks, about
# Shares of the words of a title with each of these.
_WITH_END, _WITH_MARK, _CAPITAL, _NUMBER = 0.15, 0.1, 0.3, 0.03


def write_vocabulary(path, num_lines):
    """Writes a vocabulary: special tokens, characters, random words and their ends.

    Args:
      path: to write.
      num_lines: int.
    """
    random = np.random.RandomState(_SEED)
    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    lines = dict.fromkeys([*_SPECIAL, *characters, *(f"##{x}" for x in characters)])
    letters = list(string.ascii_lowercase)
    while len(lines) < num_lines:
        word = "".join(random.choice(letters, random.randint(2, 10)))
        # As in published vocabularies one of five only continues words.
        lines[f"##{word}" if random.rand() < 0.2 else word] = None
    vocabulary.write(path, list(itertools.islice(lines, num_lines)))


def make_titles(vocab, num_titles, kind, seq_length):
    """Yields titles of words of a vocabulary.

    A few words are frequent and most are rare, as in real text. A vocabulary that is
    Chinese for the most part gives characters without spaces.

    Args:
      vocab: dict token -> id.
      num_titles: int.
      kind: one of `workload.LENGTHS`.
      seq_length: the most tokens that a title will be cut to.
    """
    random = np.random.RandomState(_SEED)
    words = [x for x in vocab if x.isalpha() and len(x) > 1] or ["a"]
    ends = [x[2:] for x in vocab if x.startswith("##") and x[2:].isalpha()] or ["s"]
    chinese = [x for x in vocab if len(x) == 1 and "\u4e00" <= x <= "\u9fff"]
    is_chinese = len(chinese) > len(words)
    words = chinese if is_chinese else words
    shares = 1.0 / (np.arange(len(words)) + 10.0)
    ends_of_shares = np.cumsum(random.permutation(shares) / shares.sum())
    lengths = workload.row_lengths(kind, num_titles, seq_length)
    pieces = 1.0 if is_chinese else _PIECES_PER_WORD
    for length in lengths.tolist():
        num_words = max(round((length - 2) / pieces), 1)
        chosen = [words[i] for i in _draw(ends_of_shares, num_words, random)]
        if is_chinese:
            yield "".join(chosen)
        else:
            yield " ".join(_decorate(chosen, ends, random))


def _draw(ends_of_shares, number, random):
    """Returns that many indices, int `[number]`."""
    drawn = np.searchsorted(ends_of_shares, random.rand(number))
    return np.minimum(drawn, len(ends_of_shares) - 1)  # sums are rounded


def _decorate(words, ends, random):
    """Yields words with the capitals, marks and numbers of titles."""
    for word, share in zip(words, random.rand(len(words), 4)):
        if share[0] < _WITH_END:
            word += ends[random.randint(len(ends))]
        if share[1] < _NUMBER:
            word = str(random.randint(3000))
        if share[2] < _CAPITAL:
            word = word.capitalize()
        if share[3] < _WITH_MARK:
            word += _MARKS[random.randint(len(_MARKS))]
        yield word


def write_titles(path, vocab_file, num_titles, kind, seq_length):
    """Writes rows `id,title,label`; see `make_titles`."""
    vocab = tokenization.load_vocab(vocab_file)
    with files.replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        titles = make_titles(vocab, num_titles, kind, seq_length)
        for number, title in enumerate(titles):
            writer.writerow([number, title, number % 2])
