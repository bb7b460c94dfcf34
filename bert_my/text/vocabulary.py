"""The vocabulary: its tokenizer, and words of a domain that are put into it.

Free of TensorFlow, so that a process that only tokenizes is small and starts at once.
"""

import hashlib
import json
import logging
import re
from typing import Dict, List, NamedTuple

import tokenization
from bert_my.common import files, text_files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

# Tokens that every BERT has; a task names those that it cannot do without.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Share of the unknown token among the tokens of texts that is a warning.
MOST_UNKNOWN = 0.05
_BYTE_ORDER_MARK = "\ufeff"
NUM_SHOWN = 3  # examples in a warning
VOCAB = "vocab.txt"  # name of the vocabulary file of a model
_WITH_CAPITALS = re.compile(r"(##)?[A-Za-z]*[A-Z][A-Za-z]*")
_OF_LETTERS = re.compile(r"(##)?[A-Za-z]+")
# Share of the words of letters that have capitals, above which a vocabulary is cased.
_CASED_SHARE = 0.01
# BERT's authors left room with these. No text gives one of them, [unused0] no more than
# the others, so nothing that a model has learnt is lost with them.
_UNUSED = re.compile(r"\[unused[0-9]+\]")
# Rows without a token that a model has where their number is made a round one.
_MAX_PADDING = 128


def read_tokenizer(vocab_file, do_lower_case, vocab_size=None, required_tokens=()):
    """Returns the `tokenization.FullTokenizer` of a vocabulary file.

    Lines that are not as in the file of a published model are a warning.

    Args:
      vocab_file: path.
      do_lower_case: as the model was pretrained.
      vocab_size: rows that the model has for tokens, or None for any number. There
        may be more than the file has lines, for padding.
      required_tokens: tokens that it must hold.

    Raises:
      InputError: if the file cannot be read or does not fit.
    """
    try:
        tokenizer = tokenization.FullTokenizer(vocab_file, do_lower_case)
    except OSError as error:
        raise InputError(
            f"--vocab_file={vocab_file}: cannot be read: {error.strerror or error}"
        ) from error
    num_lines = len(_lines(tokenizer))
    if vocab_size is not None:
        check_size(num_lines, vocab_size, f"--vocab_file={vocab_file}")
    problems = _line_problems(vocab_file)
    if do_lower_case:
        _warn_of_capitals(tokenizer.vocab, vocab_file)
    missing = [token for token in required_tokens if token not in tokenizer.vocab]
    if missing:
        why = "".join(f"; {problem}" for problem in problems)
        raise InputError(
            f"--vocab_file={vocab_file}: it lacks {', '.join(missing)}{why}"
        )
    others = [token for token in SPECIAL_TOKENS if token not in tokenizer.vocab]
    if others:
        problems.append(f"it lacks {', '.join(others)}")
    for problem in problems:
        logger.warning("--vocab_file=%s: %s", vocab_file, problem)
    return tokenizer


def _line_problems(path):
    """Returns a list with a text on each kind of lines that no vocabulary should have.

    A carriage return at the end of each line is none. Of files that only TensorFlow can
    open nothing is said.
    """
    if "://" in path:
        return []
    with open(path, "rb") as reader:
        lines = reader.read().split(b"\n")
    if not lines[-1]:
        del lines[-1]
    numbers, empty, undecodable = {}, [], []
    for number, line in enumerate(lines, 1):
        try:
            token = line.decode("utf-8")
        except UnicodeDecodeError:
            undecodable.append(str(number))
            continue
        if not token.strip(" \t\r"):
            empty.append(str(number))
        elif token.strip():  # some vocabularies have U+2028 as a token
            numbers.setdefault(token.strip(), []).append(str(number))
    twice = [
        f"{token!r} (lines {', '.join(places)})"
        for token, places in numbers.items()
        if len(places) > 1
    ]
    problems = []
    if undecodable:
        problems.append(
            f"lines that are not UTF-8, whose tokens no text has: {len(undecodable)} "
            f"of {len(lines)}, {_first(undecodable, 'line ')}"
        )
    if twice:
        problems.append(
            f"tokens in several lines, of which the last counts: {len(twice)}, "
            f"{_first(twice)}"
        )
    if empty:
        problems.append(f"empty lines: {len(empty)}, {_first(empty, 'line ')}")
    if lines[:1] and lines[0].startswith(_BYTE_ORDER_MARK.encode()):
        problems.append(
            "it begins with a byte-order mark, which is part of its first token; save "
            "it without"
        )
    return problems


def _first(examples, what=""):
    """Returns the first of some examples as text."""
    shown = ", ".join(f"{what}{each}" for each in examples[:NUM_SHOWN])
    return shown + (", ..." if len(examples) > NUM_SHOWN else "")


def _warn_of_capitals(vocab, vocab_file):
    """Warns if a vocabulary is cased, for texts that are put in lower case."""
    capitals = list(filter(_WITH_CAPITALS.fullmatch, vocab))
    num_words = sum(1 for token in vocab if _OF_LETTERS.fullmatch(token))
    if capitals and len(capitals) > _CASED_SHARE * num_words:
        logger.warning(
            "--do_lower_case=true, and %d of the %d words of letters in "
            "--vocab_file=%s have capitals, such as %s: no text becomes these; for a "
            "cased model give --do_lower_case=false",
            len(capitals),
            num_words,
            vocab_file,
            capitals[0],
        )


def check_size(num_lines, vocab_size, source):
    """Checks that a model has a row for each line of a vocabulary.

    It may have more, mostly to make their number a multiple of 8 or 128; a line says
    so, which is a warning where they are many.

    Args:
      num_lines: of the vocabulary.
      vocab_size: rows of the model.
      source: file or flag of the vocabulary, to name.

    Raises:
      InputError: if the model has fewer rows.
    """
    num_unused = vocab_size - num_lines
    if num_unused < 0:
        raise InputError(
            f"{source} has {num_lines} lines, but vocab_size is {vocab_size} in the "
            "config: the model has no rows for the last of them; is it the vocabulary "
            "of this model?"
        )
    if num_unused:
        is_padding = num_unused <= max(_MAX_PADDING, vocab_size // 100)
        logger.log(
            logging.INFO if is_padding else logging.WARNING,
            "%s has %d lines, and vocab_size is %d in the config: the last %d rows of "
            "the word embeddings are those of no token%s",
            source,
            num_lines,
            vocab_size,
            num_unused,
            "" if is_padding else "; is it the vocabulary of this model?",
        )


def _lines(tokenizer):
    """Returns the list of the tokens of a vocabulary by their ids.

    A line whose token stands again further down has no token of its own: no text gives
    its id, and an empty line keeps it so.
    """
    num_lines = max(tokenizer.inv_vocab, default=-1) + 1
    return [tokenizer.inv_vocab.get(index, "") for index in range(num_lines)]


def has_capitals(path):
    """Returns whether a vocabulary file has words with capital letters A to Z."""
    try:
        return any(map(_WITH_CAPITALS.fullmatch, tokenization.load_vocab(path)))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be read: {reason}") from error


def write(path, lines):
    """Writes a vocabulary file from its lines."""
    with files.replacing(path) as writer:
        writer.writelines(f"{line}\n" for line in lines)


def is_that_of(path, tokenizer):
    """Returns whether a vocabulary file gives a tokenizer's tokens the same ids."""
    return tokenization.load_vocab(path) == tokenizer.vocab


def digest(path):
    """Returns the number of tokens of a vocabulary file and a digest of them, as text.

    Files that give all tokens the same ids have the same digest.

    Raises:
      InputError: if the file cannot be read.
    """
    try:
        vocab = tokenization.load_vocab(path)
    except OSError as error:
        raise InputError(
            f"--vocab_file={path}: cannot be read: {error.strerror or error}"
        ) from error
    state = hashlib.blake2b(json.dumps(list(vocab.items())).encode(), digest_size=8)
    return f"{len(vocab)} tokens ({state.hexdigest()})"


class AddedWords(NamedTuple):
    """A vocabulary into which words were put."""

    lines: List[str]  # of the new vocabulary, by id
    old_pieces: Dict[int, List[int]]  # by the id of each added word, in file order
    num_old_lines: int
    num_skipped: int  # words that were there already

    def is_in(self, path):
        """Returns whether a file holds this vocabulary."""
        found = [line.strip() for _, line in text_files.read_lines(path)]
        return found == [line.strip() for line in self.lines]

    def __str__(self):
        num_appended = len(self.lines) - self.num_old_lines
        num_replacing = len(self.old_pieces) - num_appended
        return (
            f"{len(self.old_pieces)} words added to the vocabulary, {num_replacing} in "
            f"place of [unused] tokens and {num_appended} at its end; it has "
            f"{len(self.lines)} lines now; {self.num_skipped} were there already"
        )


def add_words(tokenizer, path):
    """Puts the words of a file into a vocabulary.

    They take the places of the [unused] tokens in the order of their ids; when there
    are no more, the vocabulary grows at its end. The same two files always give the
    same ids. Words are put in as the tokenizer sees them: without capitals and accents
    if it drops these.

    Args:
      tokenizer: `tokenization.FullTokenizer` of the vocabulary, which has its unknown
        token; it stays as it is.
      path: UTF-8 file with a word on each line; blank lines and white space around a
        word do not count.

    Returns:
      `AddedWords`; the old pieces of a word are what the tokenizer makes of it, so the
      unknown token alone if it knows no such pieces.

    Raises:
      InputError: if the file cannot be read, or naming the line of a word that would
        never be found.
    """
    lines = _lines(tokenizer)
    num_old_lines = len(lines)
    free = iter([index for index, line in enumerate(lines) if _UNUSED.fullmatch(line)])
    known = set(tokenizer.vocab)
    old_pieces = {}
    num_skipped, refused = 0, []
    for number, line in text_files.read_lines(path):
        if not line.strip():
            continue
        word, problem = _normalize(tokenizer, line.strip())
        if problem:
            refused.append(f"{path}:{number}: {problem}")
            continue
        if word in known:
            num_skipped += 1
            continue
        known.add(word)
        index = next(free, len(lines))
        lines[index : index + 1] = [word]
        old_pieces[index] = tokenizer.convert_tokens_to_ids(
            tokenizer.wordpiece_tokenizer.tokenize(word)
        )
    if refused:
        more = f" ({len(refused) - 1} more such lines)" if len(refused) > 1 else ""
        raise InputError(refused[0] + more)
    return AddedWords(lines, old_pieces, num_old_lines, num_skipped)


def _normalize(tokenizer, word):
    """Returns a word as it is looked up, and why it would never be found, or None.

    Args:
      tokenizer: `tokenization.FullTokenizer`.
      word: str.
    """
    tokens = tokenizer.basic_tokenizer.tokenize(word)
    if len(tokens) != 1:
        parts = f"splits it into {' '.join(tokens)}" if tokens else "drops it"
        return word, (
            f"{word!r} would never be found: BERT {parts} before it looks words up in "
            "the vocabulary"
        )
    limit = tokenizer.wordpiece_tokenizer.max_input_chars_per_word
    if len(tokens[0]) > limit:
        return word, (
            f"a word of {len(tokens[0])} characters would never be found: BERT does "
            f"not look up those of more than {limit}"
        )
    return tokens[0], None
