"""Reads sentences with a tag for each token: a token a line, blank lines between.

A line is `token<TAB>tag` or `token tag`; of more columns the first and the last count.
A token may be a blank itself: `  O`. In a file without tags only an empty line parts
sentences, as any other line is a token.
"""

from typing import NamedTuple, Optional, Tuple

from bert_my.data import readers
from bert_my.data.errors import InputError

# How tags such as "B-PER" say where in an entity a token stands, besides O for outside.
_SCHEMES = {"BIO": set("BI"), "BIOES": set("BIES"), "BMES": set("BMES")}
_OUTSIDE = "O"
# What a line between sentences may hold. Other white space, as U+3000, is a token.
_BLANKS = " \t"


class Sentence(NamedTuple):
    """One sentence; `tags` is None if they are not known."""

    tokens: Tuple[str, ...]
    tags: Optional[Tuple[str, ...]]
    guid: str
    line: int  # of its first token, from 1


def read_sentences(path, needs_tags, guid_prefix):
    """Yields the `Sentence`s of a file, in their order.

    Args:
      path: file.
      needs_tags: whether a file without tags is an error.
      guid_prefix: the guid is it and the number of the sentence, from 0.

    Raises:
      InputError: naming file and line, if a token has no tag, or the file is empty.
    """
    separator = _find_separator(path, needs_tags)
    tokens, tags, count, first = [], [], 0, 0
    for number, line in _lines(path):
        token, tag = line.rstrip("\t"), None
        if line.strip(_BLANKS) if separator else token:
            first = first if tokens else number
            if separator:
                token, tag = _split(line, separator, f"{path}:{number}")
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield _sentence(tokens, tags, f"{guid_prefix}-{count}", first)
            tokens, tags, count = [], [], count + 1
    if tokens:
        yield _sentence(tokens, tags, f"{guid_prefix}-{count}", first)


def _lines(path):
    for number, line in readers.read_lines(path):
        yield number, line[:-1] if line.endswith("\r") else line


def _find_separator(path, needs_tags):
    """Returns what separates tokens from tags; None in a file without tags."""
    for number, line in _lines(path):
        visible = line.strip(_BLANKS)
        if not visible:
            continue
        if "\t" in line.strip("\t"):
            return "\t"
        # A tag that nothing but blanks precedes is that of a blank.
        if " " in visible or line == f"  {visible}":
            return " "
        if needs_tags:
            raise InputError(f"{path}:{number}: there is no tag after {line!r}")
        return None
    raise InputError(f"{path}: the file has no tokens")


def _sentence(tokens, tags, guid, line):
    return Sentence(tuple(tokens), None if tags[0] is None else tuple(tags), guid, line)


def _split(line, separator, where):
    """Returns (token, tag) of a line."""
    rest, _, tag = line.rpartition(separator)
    # "  O" is the token " " with its tag.
    token = rest.split(separator)[0] or (rest if rest == separator == " " else "")
    tag = tag.strip()
    if not (token and tag):
        name = "tab" if separator == "\t" else "blank"
        raise InputError(
            f"{where}: expected a token and its tag, separated by a {name}, found "
            f"{line!r}"
        )
    return token, tag


def find_scheme(tags):
    """Returns (name of the scheme of a set of tags, sorted list of the types).

    The name is BIO, BIOES or BMES, or None for tags that do not mark entities, such as
    parts of speech.
    """
    parts = [tag.partition("-") for tag in tags if tag != _OUTSIDE]
    prefixes = {prefix for prefix, _, _ in parts}
    for name, known in _SCHEMES.items():
        if prefixes and prefixes <= known:
            return name, sorted({entity_type for _, _, entity_type in parts} - {""})
    return None, []
