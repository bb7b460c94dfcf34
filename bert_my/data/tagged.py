"""Reads sentences with a tag for each token, in one of two layouts.

A token a line, blank lines between sentences: `token<TAB>tag` or `token tag`; of more
columns the first and the last count. A token may be a blank itself: `  O`. In a file
without tags only an empty line parts sentences, as any other line is a token.

A sentence a line: `token token token<TAB>tag tag tag`.
"""

import collections
import itertools
import logging
import os
from typing import NamedTuple, Optional

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import columns, labels, tables
from bert_my.data.labels import LabelCounts
from bert_my.data.splits import TEST, TRAIN
from bert_my.text import tag_schemes
from bert_my.text.preprocessor import Sentence

logger = logging.getLogger(__name__)

# Characters of a line between sentences. Other white space, as U+3000, is a token.
_BLANKS = " \t"
# A first line that only holds one of each is a header.
_TOKEN_NAMES = ("token", "tokens", "word", "words", "char", "chars", "character")
_TEXT_NAMES = ("text", "text_a", "sentence")
_TAG_NAMES = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags")
_NUM_CHECKED = 50  # sentences of an untagged file that are looked at first
_EXPECTED = "lines `token<TAB>tag`, or `token token<TAB>tag tag`, are needed"


class Layout(NamedTuple):
    """Layout of a tagged file.

    separator: character between token and tag, a tab or a blank; None without tags.
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
    lines = list(itertools.islice(visible, tables.SAMPLE_SIZE))
    if not lines:
        raise InputError(f"{path}: the file has no tokens")
    number, first = lines[0]
    if tables.is_json_object(first) or ".json" in os.path.basename(path):
        raise InputError(f"{path}:{number}: found JSON; {_EXPECTED}")
    separator = _find_separator(first, like)
    if separator is None and needs_tags:
        raise InputError(
            f"{path}:{number}: there is no tag after {first!r}; {_EXPECTED}"
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


def read_sentences(path, layout, guid_prefix, like=None):
    """Yields the `Sentence`s of a file, in their order.

    Args:
      path: file.
      layout: `Layout` of the file.
      guid_prefix: the guid is it and the number of the sentence, from 0.
      like: see `find_layout`.

    Raises:
      InputError: naming file and line, if a token has no tag, or the file is empty.
    """
    lines = files.read_lines(path)
    if layout.has_header:
        lines = itertools.dropwhile(lambda each: not each[1].strip(_BLANKS), lines)
        next(lines, None)
    read = _read_sentence_lines if layout.is_by_sentence else _read_token_lines
    for index, (tokens, tags, line) in enumerate(read(lines, path, layout, like)):
        known_tags = None if layout.separator is None else tuple(tags)
        guid = f"{guid_prefix}-{index}"
        yield Sentence(tuple(tokens), known_tags, guid, line, layout.is_by_sentence)


def _read_sentence_lines(lines, path, layout, like):
    """Yields (tokens, tags, line number) of each line that is not blank."""
    for number, line in lines:
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


def _read_token_lines(lines, path, layout, like):
    """Yields (tokens, tags, line number of the first) of each sentence."""
    tokens, tags, first = [], [], 0
    has_blanks = like is None or like.separator != " "
    for number, line in lines:
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


class TaggedSchema:
    """Layout and tags of the files of a data set; does not change once it is made.

    labels: `labels.OneLabel`, the tags.
    layout: `Layout` of the train file, by which the files of other splits are read, as
      some could be read in two ways; None without a train file.
    counts: `LabelCounts` of the tags of the train sentences if they were asked for,
      else None.
    """

    def __init__(self, splits, spec, options, saved, needs_counts):
        """Infers the layout, and tags that nothing declares; see `TableSchema`.

        Raises:
          InputError: naming the file and the flag that resolves the error.
        """
        who = f"task {spec.name}"
        names = labels.choose(options, saved.get("labels", ()), spec.labels, who)
        self.labels = labels.OneLabel(names)
        self.layout = self.counts = None
        self._train = None  # path of the train file, if it was looked at
        if saved.get("layout") is not None:
            self.layout = Layout(**saved["layout"])
        else:
            self._train = splits.path(TRAIN)
            if self._train is not None:
                self.layout = find_layout(self._train, needs_tags=True)
        if names and not needs_counts:
            return
        self._train = splits.train_file(who, "tags", "labels")
        self._count(splits, who, needs_counts)

    @property
    def description(self):
        """JSON-able dict of the layout, for the argument `saved`."""
        return {"layout": self.layout and self.layout._asdict()}

    @property
    def settings(self):
        """JSON-able dict of all that the sentences of a file depend on."""
        return {"layout": self.layout}

    def read(self, path, split):
        """Yields the `Sentence`s of a file; see `TableSchema.read`.

        A test file may have tags that are no labels: it is only predicted.
        """
        layout = self.layout
        if path != self._train or split == TEST:
            layout = find_layout(path, split != TEST, self.layout)
        unknown = collections.Counter()
        sentences = read_sentences(path, layout, split, self.layout)
        sample = list(itertools.islice(sentences, _NUM_CHECKED))
        self._check_untagged(path, [each for each in sample if each.tags is None])
        for sentence in itertools.chain(sample, sentences):
            for offset, tag in enumerate(sentence.tags or ()):
                if tag in self.labels.ids:
                    continue
                if split != TEST:
                    raise InputError(
                        f"{path}:{sentence.line_of(offset)}: tag {tag!r} is not one of "
                        f"{', '.join(self.labels.names)}; --labels can name them all"
                    )
                unknown[tag] += 1
            yield sentence
        if unknown:
            logger.warning(
                "%s: %d tokens have tags that the model does not know: %s",
                path,
                sum(unknown.values()),
                ", ".join(sorted(unknown)),
            )

    def _check_untagged(self, path, sentences):
        """Refuses tags that another separator hides, and texts read as one token.

        Args:
          path: for errors.
          sentences: the first `Sentence`s, if they have no tags.
        """
        tokens = [token for each in sentences for token in each.tokens]
        if not tokens:
            return
        where = f"{path}:{sentences[0].line}: {tokens[0]!r}"
        if columns.num_words(tokens) >= columns.WORDS_OF_A_TEXT:
            way = "a token on each line, and an empty line between sentences"
            if self.layout and self.layout.is_by_sentence:
                way = "a blank between tokens, and a sentence on each line"
            raise InputError(
                f"{where} would be one token; a file without tags needs {way}"
            )
        words = [token.split(" ") for token in sentences[0].tokens]
        if all(len(parts) > 1 and parts[-1] in self.labels.ids for parts in words):
            raise InputError(
                f"{where} looks like a token and its tag, but in the train file a tab "
                "separates them"
            )

    def _count(self, splits, who, needs_counts):
        """Finds the tags, if not known yet, and their counts, if they are needed.

        Both by one pass over the train file. The count is None for a tag that no token
        has, but others of its scheme.
        """
        counts, train_counts = splits.count(
            lambda: read_sentences(self._train, self.layout, TRAIN, self.layout),
            self._train,
            lambda sentence: sentence.tags,
            needs_counts,
        )
        if not self.labels.names:
            tags = labels.in_order(tag_schemes.complete(counts))
            self.labels = labels.OneLabel(labels.check_enough(tags, who))
        if needs_counts:
            known = dict.fromkeys(tag_schemes.complete(train_counts))
            total = sum(train_counts.values())
            self.counts = LabelCounts({**known, **train_counts}, total)
