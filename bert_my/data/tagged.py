"""Reads sentences with a tag for each token, in one of two layouts.

A token a line, blank lines between sentences: `token<TAB>tag` or `token tag`; of more
columns the first and the last count. A token may be a blank itself: `  O`. In a file
without tags only an empty line parts sentences, as any other line is a token.

A sentence a line: `token token token<TAB>tag tag tag`.
"""

import itertools
import logging
import os
from typing import NamedTuple, Optional, Tuple

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import readers

logger = logging.getLogger(__name__)

# What a line between sentences may hold. Other white space, as U+3000, is a token.
_BLANKS = " \t"
# A first line that only holds one of each is a header.
_TOKEN_NAMES = ("token", "tokens", "word", "words", "char", "chars", "character")
_TEXT_NAMES = ("text", "text_a", "sentence")
_TAG_NAMES = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags")
_WHAT_IS_NEEDED = "lines `token<TAB>tag`, or `token token<TAB>tag tag`, are needed"


class Sentence(NamedTuple):
    """One sentence; `tags` is None if they are not known."""

    tokens: Tuple[str, ...]
    tags: Optional[Tuple[str, ...]]
    guid: str
    line: int  # of its first token, from 1
    is_one_line: bool = False

    def line_of(self, index):
        """Returns the line of a token, given by its number from 0."""
        return self.line if self.is_one_line else self.line + index


class Layout(NamedTuple):
    """How a file is built.

    separator: what parts tokens from tags, a tab or a blank; None without tags.
    is_by_sentence: whether a line holds a whole sentence.
    has_header: whether the first line holds names.
    """

    separator: Optional[str]
    is_by_sentence: bool = False
    has_header: bool = False


def find_layout(path, needs_tags, like=None):
    """Returns the `Layout` of a file.

    Args:
      path: file.
      needs_tags: whether a file without tags is an error.
      like: `Layout` of the train file, or None. If its separator is a tab, what a line
        without one holds is no tag; if it has a sentence a line, so has a file without
        tags.

    Raises:
      InputError: naming file and line, if there is no token, or no tag.
    """
    visible = ((n, line) for n, line in files.read_lines(path) if line.strip(_BLANKS))
    lines = list(itertools.islice(visible, readers.SAMPLE_SIZE))
    if not lines:
        raise InputError(f"{path}: the file has no tokens")
    number, first = lines[0]
    if readers.is_json_object(first) or ".json" in os.path.basename(path):
        raise InputError(f"{path}:{number}: found JSON; {_WHAT_IS_NEEDED}")
    separator = _find_separator(first, like)
    if separator is None and needs_tags:
        raise InputError(
            f"{path}:{number}: there is no tag after {first!r}; {_WHAT_IS_NEEDED}"
        )
    is_by_sentence = separator != " " and like is not None and like.is_by_sentence
    if separator == "\t":
        is_by_sentence = is_by_sentence or any(
            "\t" in line and " " in line.rpartition("\t")[2].strip()
            for _, line in lines
        )
    has_header = _is_header(first, separator, like)
    if has_header:
        logger.info("%s:%d: the line %r is a header", path, number, first)
    return Layout(separator, is_by_sentence, has_header)


def _find_separator(line, like):
    visible = line.strip(_BLANKS)
    if "\t" in line.strip("\t"):
        return "\t"
    if like is not None and like.separator == "\t":
        return None
    # A tag that nothing but blanks precedes is that of a blank.
    is_tag_of_blank = line.rstrip(_BLANKS) == f"  {visible}"
    return " " if " " in visible or is_tag_of_blank else None


def _is_header(line, separator, like):
    cells = [cell.lower() for cell in line.strip(_BLANKS).split(separator or "\n")]
    if separator is None:
        is_like = like is not None and like.has_header
        return is_like and cells[0] in (*_TOKEN_NAMES, *_TEXT_NAMES)
    # "text tag" may be two words of a sentence that are parted by a blank.
    names = _TOKEN_NAMES + (_TEXT_NAMES if separator == "\t" else ())
    return cells[0] in names and cells[-1] in _TAG_NAMES


def read_sentences(path, needs_tags, guid_prefix, like=None):
    """Yields the `Sentence`s of a file, in their order.

    Args:
      path, needs_tags, like: see `find_layout`.
      guid_prefix: the guid is it and the number of the sentence, from 0.

    Raises:
      InputError: naming file and line, if a token has no tag, or the file is empty.
    """
    layout = find_layout(path, needs_tags, like)
    read = _read_sentence_lines if layout.is_by_sentence else _read_token_lines
    for index, (tokens, tags, line) in enumerate(read(path, layout, like)):
        known_tags = None if layout.separator is None else tuple(tags)
        guid = f"{guid_prefix}-{index}"
        yield Sentence(tuple(tokens), known_tags, guid, line, layout.is_by_sentence)


def _lines_of_sentences(path, layout):
    """Yields (line number, line) without a header."""
    skips = layout.has_header
    for number, line in files.read_lines(path):
        if skips and line.strip(_BLANKS):
            skips = False
            continue
        yield number, line


def _read_sentence_lines(path, layout, like):
    """Yields (tokens, tags, line number) of each line that is not blank."""
    for number, line in _lines_of_sentences(path, layout):
        line = line.strip(_BLANKS)
        if not line:
            continue
        texts, tab, rest = line.partition("\t")
        tokens = [token for token in texts.split(" ") if token]
        tags = [tag for tag in rest.rpartition("\t")[2].split(" ") if tag]
        if layout.separator is None and tab:
            raise _has_tags(path, number, line)
        if layout.separator is not None and len(tokens) != len(tags):
            raise InputError(
                f"{path}:{number}: {len(tokens)} tokens, but {len(tags)} tags; of a "
                "sentence on one line, `token token<TAB>tag tag`, they must be as many"
            )
        yield tokens, tags, number


def _read_token_lines(path, layout, like):
    """Yields (tokens, tags, line number of the first) of each sentence."""
    tokens, tags, first = [], [], 0
    has_blanks = like is None or like.separator != " "
    for number, line in _lines_of_sentences(path, layout):
        token, tag = line.rstrip("\t"), None
        if line.strip(_BLANKS) if layout.separator else token:
            first = first if tokens else number
            if layout.separator:
                token, tag = _split(line, layout.separator, f"{path}:{number}")
            elif "\t" in token or (" " in token.strip() and not has_blanks):
                raise _has_tags(path, number, line)
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield tokens, tags, first
            tokens, tags = [], []
    if tokens:
        yield tokens, tags, first


def _has_tags(path, number, line):
    return InputError(
        f"{path}:{number}: {line!r} looks like a token and its tag, but the first line "
        "of the file has no tag"
    )


def _split(line, separator, where):
    """Returns (token, tag) of a line."""
    rest, _, tag = line.rstrip(" ").rpartition(separator)
    # "  O" is the token " " with its tag.
    token = rest.split(separator)[0] or (rest if rest == separator == " " else "")
    tag = tag.strip()
    if not (token and tag):
        name = "tab" if separator == "\t" else "blank"
        raise InputError(
            f"{where}: expected a token and its tag, separated by a {name}, found "
            f"{line!r}"
        )
    if " " in tag:
        raise InputError(f"{where}: the tag {tag!r} has a blank in it")
    return token, tag
