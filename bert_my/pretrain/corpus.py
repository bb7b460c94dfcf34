"""Text for pretraining: files to documents to blocks of token ids on disk.

A file has one sentence a line and a blank line between documents. The text is read
once, line by line, and cut into blocks of a few thousand sentences. The content of a
block depends on the text only, so work on blocks gives the same results with any number
of processes, in the memory of a few blocks.
"""

import collections
import functools
import logging
import re
from typing import List, NamedTuple

import numpy as np

from bert_my.common import files, text_files

BLOCK_CHARACTERS = 1000000
# A longer document is read in parts: documents with the same number.
PART_CHARACTERS = BLOCK_CHARACTERS // 4
# A longer line, as in a file without line ends, is read in pieces.
LINE_CHARACTERS = BLOCK_CHARACTERS

_HAS_CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002ffff]")


class Part(NamedTuple):
    """A document, or a part of a long one, as text."""

    number: int  # of the document, from 0
    lines: List[str]


class Block(NamedTuple):
    """Some documents as ids.

    tokens: int32 `[num_tokens]`.
    is_word_start: bool `[num_tokens]`, False for a token that continues a word.
    sentences: int64 `[num_sentences + 1]`; sentence i is
      `tokens[sentences[i] : sentences[i + 1]]`, and never empty.
    documents: int64 `[num_parts + 1]`; part i has the sentences from `documents[i]`
      to `documents[i + 1]`, at least one.
    numbers: int64 `[num_parts]`, the number of the document of each part.
    """

    tokens: np.ndarray
    is_word_start: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray
    numbers: np.ndarray

    def store(self, path, unknown_id):
        """Writes the block to a file; returns its `StoredBlock`.

        Args:
          path: to write.
          unknown_id: of [UNK].
        """
        with files.writing(path), open(path, "wb") as writer:
            np.savez(writer, **self._asdict())
        counts = collections.Counter(
            documents=len(np.unique(self.numbers)),
            tokens=len(self.tokens),
            unknown=int((self.tokens == unknown_id).sum()),
        )
        return StoredBlock(path, int(self.numbers[0]), int(self.numbers[-1]), counts)


class StoredBlock(NamedTuple):
    """A block on disk, with the numbers that are needed without reading it.

    counts: `collections.Counter` of the documents with text in this block, of the
      tokens, and of the unknown ones among these, which are [UNK].
    """

    path: str
    first_document: int
    last_document: int
    counts: collections.Counter

    def read(self):
        """Returns the `Block`."""
        with np.load(self.path) as arrays:
            return Block(*[arrays[name] for name in Block._fields])


def read_parts(paths, line_documents, on_read=None):
    """Yields the `Part`s of text files, in their order; empty documents are left out.

    Args:
      paths: list of files, gzip or not.
      line_documents: True if each line is a document, as in a file of titles.
      on_read: (optional) function that is called with the number of characters read.

    Raises:
      InputError: naming file and line, if a file cannot be read or is not UTF-8.
    """
    number = 0
    for path in paths:
        lines, size, is_part = [], 0, False
        for _, line in text_files.read_lines(path, LINE_CHARACTERS):
            line = line.strip()
            if on_read:
                on_read(len(line) + 1)
            if line:
                lines.append(line)
                size += len(line)
            ends = not line or line_documents
            if lines and (ends or size >= PART_CHARACTERS):
                yield Part(number, lines)
                lines, size, is_part = [], 0, True
            if ends and is_part:
                number += 1
                is_part = False
        if lines:
            yield Part(number, lines)
        # The end of a file ends its last document.
        number += bool(lines) or is_part


def group(parts, split_of):
    """Yields (split, list of `Part`s) for each block.

    Args:
      parts: iterator over `Part`s.
      split_of: function that returns the split of a `Part`.
    """
    waiting, sizes = collections.defaultdict(list), collections.Counter()
    for part in parts:
        split = split_of(part)
        waiting[split].append(part)
        sizes[split] += sum(map(len, part.lines))
        if sizes[split] >= BLOCK_CHARACTERS:
            yield split, waiting.pop(split)
            del sizes[split]
    yield from waiting.items()


def encode(parts, tokenizer, find_words, max_length):
    """Turns text into ids.

    Args:
      parts: list of `Part`s.
      tokenizer: `tokenization.FullTokenizer`.
      find_words: True to join tokens to words, Chinese characters by a segmenter; else
        each token is a word.
      max_length: longer sentences, in tokens, are cut into pieces, which are sentences.

    Returns:
      `Block`, or None if the text has no tokens.
    """
    ids, is_start, numbers, documents = [], [], [], [0]
    for part in parts:
        for line in part.lines:
            # Line by line, because the results of the tokenizer are large.
            (encoding,) = tokenizer.encode_batch([line])
            if encoding.ids:
                for start in range(0, len(encoding.ids), max_length):
                    piece = encoding.ids[start : start + max_length]
                    ids.append(np.array(piece, np.int32))
                is_start.append(np.ones(len(encoding.ids), bool))
                if find_words and _HAS_CHINESE.search(line):
                    is_start[-1] = ~_inside_chinese_words(line, encoding.offsets)
        if len(ids) > documents[-1]:
            documents.append(len(ids))
            numbers.append(part.number)
    if not ids:
        return None
    tokens, is_word_start = np.concatenate(ids), np.concatenate(is_start)
    if find_words:
        vocab = tokenizer.vocab.items()
        pieces = [index for token, index in vocab if token.startswith("##")]
        is_word_start &= ~np.isin(tokens, pieces)
    sentences = np.cumsum([0, *map(len, ids)])
    return Block(
        tokens, is_word_start, sentences, np.array(documents), np.array(numbers)
    )


def _inside_chinese_words(line, offsets):
    """Returns bool `[num_tokens]`: True for a character within a segmented word.

    Source: Cui et al. 2019, "Pre-training with whole word masking for Chinese BERT",
    with jieba as the segmenter.

    Args:
      line: text.
      offsets: (start, end) of each token in it.
    """
    inside = np.zeros(len(line), bool)
    position = 0
    for word in _segmenter()(line):
        for index in range(position + 1, position + len(word)):
            inside[index] = _HAS_CHINESE.match(line[index]) is not None
        position += len(word)
    starts = [start for start, _ in offsets]
    return inside[np.array(starts, np.int64)]


@functools.lru_cache(maxsize=None)
def _segmenter():
    """Returns jieba's function from a text to its words."""
    # Not at the top: it takes half a second, and other masks do without words.
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.cut
