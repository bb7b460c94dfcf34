"""Finds the layout of a tagged file: separator, header, columns of token and tag.

The columns are those of the flags, else those that the header names, else they are
found by their contents: a column that numbers the tokens and one of tags such as
`B-PER` are known by what they hold. Where that is not clear, an error names the flags.

A file without tags holds a token a line, or whole sentences, which are split at blanks
or, in Chinese, into the units that the train file has for tokens.
"""

import collections
import logging
import os
import re
from typing import NamedTuple, Optional

from bert_my.common import text_files
from bert_my.common.errors import InputError, did_you_mean
from bert_my.data import columns, tables, tag_layouts
from bert_my.data.columns import Roles
from bert_my.data.tag_layouts import BLANKS, CHARACTERS, MIXED, WORDS, Layout
from bert_my.text import tag_schemes

logger = logging.getLogger(__name__)

# Names in a header. Those of texts may be two words of a sentence in other files.
_TOKEN_NAMES = ("token", "tokens", "word", "words", "char", "chars", "character")
_TOKEN_NAMES += ("form", "字", "词")
_TEXT_NAMES = ("text", "text_a", "sentence")
_TAG_NAMES = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "entity")
_TAG_NAMES += ("标签",)
_POS_NAMES = ("pos", "pos_tag", "pos_tags", "upos", "xpos")
_OTHER_NAMES = ("lemma", "chunk", "outer", "inner", "misc")
_SENTENCE_NAMES = ("sentence #", "sentence_id", "sentence id", "sent_id")
_SENTENCE_NAMES += ("sentence_idx", "sentence")

_DIGIT = re.compile("[0-9]")
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
# Lines with more words, or Chinese characters, on average are no single tokens.
_LENGTH_OF_A_TOKEN = 1.5
# In place of a tag that is not known.
_PLACEHOLDERS = {"-", "_", "?", "nan", "NaN", "NA", "None", "none", "null"}
_MOST = 0.9  # share of cells, or lines, that decides for all
_REMARKS = "lines that begin with # are remarks"
_EXPECTED = "lines `token<TAB>tag`, or `token token<TAB>tag tag`, are needed"
_FLAGS = (
    "--text_column and --label_column, by number from 1, or from the end (-1: the last)"
)


class _Line(NamedTuple):
    """A line with a token or sentence; `is_first`: whether a boundary is before it."""

    number: int
    text: str
    is_first: bool


def find_layout(
    path,
    needs_tags,
    like=None,
    wanted=None,
    tags=(),
    encoding=text_files.UTF8,
    has_header=None,
):
    """Returns the `Layout` of a file, and logs it if it is not of two plain columns.

    Args:
      path: file.
      needs_tags: whether a file without tags is an error.
      like: `Layout` of the train file, or None. If its separator is a tab, what a line
        without one holds is no tag; if it has a sentence a line, so has a file without
        tags; its columns are those of the file.
      wanted: (optional) `columns.Roles` that flags give.
      tags: those of the model, by which words at the ends of lines are known as tags.
      encoding: of the file.
      has_header: whether the first line holds names; None: they tell by themselves.

    Raises:
      InputError: naming file and line, if there is no token, or no tag, or the columns
        are not clear.
    """
    finder = _Finder(
        path, needs_tags, like, wanted or Roles(), tags, encoding, has_header
    )
    layout, note = finder.find()
    if layout.has_header:
        number, text, _ = finder.rows[0]
        logger.info("%s:%d: the line %r is a header", path, number, text)
    if note:
        logger.info("%s: %s", path, note)
    return layout


def _first_lines(path, encoding):
    """Returns the first `_Line`s that hold something else than marks of documents.

    Raises:
      InputError: if there are none, or the file is JSON.
    """
    found, is_first = [], True
    for number, line in text_files.read_lines(path, encoding=encoding):
        is_boundary = not line.strip(BLANKS) or tag_layouts.is_document(line)
        if not is_boundary:
            found.append(_Line(number, line, is_first))
        is_first = is_boundary
        if len(found) == tables.SAMPLE_SIZE:
            break
    if not found:
        raise InputError(f"{path}: the file has no tokens")
    number, first, _ = found[0]
    is_json = tables.is_json_object(first) or first.lstrip().startswith('[{"')
    if "\r" in first:
        raise InputError(
            f"{path}:{number}: there is a CR (\\r) within the line; lines must end in "
            f"LF (\\n), or CR LF: tr '\\r' '\\n' < {path}"
        )
    if is_json or ".json" in os.path.basename(path):
        raise InputError(f"{path}:{number}: found JSON; {_EXPECTED}")
    return found


def _most_common(numbers):
    """Returns (the most frequent number, the largest of several; its share)."""
    counts = collections.Counter(numbers)
    number = max(counts, key=lambda each: (counts[each], each))
    return number, counts[number] / sum(counts.values())


def _has_chinese(text):
    return bool(_CHINESE.search(text))


class _Finder:
    """Finds the layout of one file by its first lines; see `find_layout`."""

    def __init__(self, path, needs_tags, like, wanted, tags, encoding, has_header):
        self.lines = _first_lines(path, encoding)
        # Those without remarks; all, if there is nothing else.
        self.rows = [
            line for line in self.lines if not tag_layouts.is_comment_like(line.text)
        ]
        self.rows = self.rows or self.lines
        self._path = path
        self._needs_tags = needs_tags
        self._like = like
        self._wanted = wanted
        self._tags = set(tags)
        self._is_header_given = has_header

    def find(self):
        """Returns the `Layout`, and a note for the log, or None."""
        if not self._needs_tags:
            found = self._without_tags()
            if found is not None:
                return found
        separator = self._separator()
        if separator is None:
            if self._needs_tags:
                number, text, _ = self.rows[0]
                raise InputError(
                    f"{self._path}:{number}: there is no tag after {text!r}; "
                    f"{_EXPECTED}"
                )
            return self._of_tokens()
        return self._with_columns(separator)

    # Files without tags.

    def _without_tags(self):
        """Returns layout and note of a file of sentences, or of tokens, without tags.

        None for a file with columns.
        """
        like, texts = self._like or Layout(" "), self._texts()
        if 2 * sum("\t" in text for text in texts) >= len(texts):
            return None
        if like.separator == "," == self._separator():
            width, share = _most_common(len(tag_layouts.comma_cells(x)) for x in texts)
            if width > 1 and share > _MOST and like.num_columns - width in (0, 1):
                return None
        parts = [[part for part in text.split(" ") if part] for text in texts]
        if like.is_by_sentence:
            return self._of_sentences(parts)
        tagged = self._first_tagged(parts)
        if tagged is not None and like.separator != " ":
            raise InputError(
                f"{self._path}:{tagged.number}: {tagged.text!r} looks like a token and "
                "its tag, but in the train file a tab separates them"
            )
        if tagged is not None or (like.separator == " " and self._are_rows(parts)):
            return None
        if self._are_sentences(parts, texts):
            return self._of_sentences(parts)
        return self._of_tokens()

    def _texts(self):
        return [line.text.strip(BLANKS) for line in self.rows]

    def _first_tagged(self, parts):
        """Returns the first line with a tag in its place if most are so, else None.

        Sentences may have such a word there, but not equal numbers of words.
        """
        width, share = _most_common(map(len, parts))
        place = -1
        if self._like is not None and self._like.has_tags and width == self._width:
            place = self._like.tag
        is_tagged = [
            len(each) > max(1, place) and self._is_tag(each[place]) for each in parts
        ]
        is_even = share > 0.5 and (len(parts) > 1 or width == self._width)
        if is_even and 2 * sum(is_tagged) > len(parts):
            return self.rows[is_tagged.index(True)]
        return None

    @property
    def _width(self):
        """Number of columns of the train file."""
        return (self._like and self._like.num_columns) or 2

    def _is_tag(self, word):
        """Returns whether the last word of a line is a tag, or looks like one."""
        is_known = word in self._tags and any(map(str.isalnum, word))
        return is_known or tag_schemes.has_type(word)

    def _are_rows(self, parts):
        """Returns whether words between blanks are columns like the train file's.

        The tags may be placeholders, or lack. Sentences of as few words differ more.
        """
        width, share = _most_common(map(len, parts))
        last_words = [each[-1] for each in parts]
        if width == self._width and share > _MOST:
            is_placeholder = set(last_words) <= _PLACEHOLDERS and share == 1
            return is_placeholder or not self._tags
        if share < 1 or width == 1:
            return False
        index = None if self._like is None else self._like.index
        if index is not None:
            return all(each[index].isdecimal() for each in parts)
        are_many = len(parts) > 4 or len(set(last_words)) < len(parts)
        return width == self._width - 1 and are_many

    def _are_sentences(self, parts, texts):
        """Returns whether lines are sentences, by those of a train file of tokens."""
        if columns.num_words(texts) >= columns.WORDS_OF_A_TEXT:
            return True
        like = self._like
        if self._unit != WORDS and self._are_chinese_texts(parts):
            return True
        has_blanks = like is not None and like.separator != " " and like.has_blanks
        return not has_blanks and sum(map(len, parts)) > _LENGTH_OF_A_TOKEN * len(parts)

    def _are_chinese_texts(self, parts):
        """Returns whether Chinese words between blanks are longer than tokens are."""
        words = [word for each in parts for word in each if _has_chinese(word)]
        if self._unit == WORDS:
            return columns.num_words(words) >= columns.WORDS_OF_A_TEXT
        return sum(map(len, words)) > _LENGTH_OF_A_TOKEN * len(words)

    @property
    def _unit(self):
        return WORDS if self._like is None else self._like.unit

    def _of_sentences(self, parts):
        unit = WORDS
        if self._are_chinese_texts(parts):
            unit = MIXED if self._unit == WORDS else self._unit
        how = "split at blanks" if unit == WORDS else f"split into {unit}"
        has_header = self._has_header(self._texts()[:1], None)
        layout = Layout(None, True, has_header, 1, tag=None, unit=unit)
        return layout, f"no tags; each line is a sentence, {how}"

    def _of_tokens(self):
        """Returns layout and note of a file of tokens without tags."""
        like = self._like
        layout = Layout(
            None,
            has_header=self._has_header(self._texts()[:1], None),
            num_columns=1,
            tag=None,
            has_blanks=like is None or like.separator != " ",
            has_comments=like is not None and like.has_comments,
        )
        layout = layout._replace(has_comments=self._has_comments(layout))
        note = f"tokens without tags; {_REMARKS}" if layout.has_comments else None
        return layout, note

    # Files with columns.

    def _separator(self):
        """Returns the separator of the columns, or None if there is one column."""
        texts = [line.text for line in self.rows]

        def is_usual(has):
            """Returns whether most lines have it, or half of them with the first."""
            found = list(map(has, texts))
            return 2 * sum(found) > len(found) - found[0]

        if is_usual(lambda text: "\t" in text.strip("\t").rstrip(BLANKS)):
            return "\t"
        like = self._like
        has_blanks = is_usual(lambda text: len(tag_layouts.cells_of(text, " ")) > 1)
        is_like = like is None or like.separator == ","
        is_csv = not has_blanks or ".csv" in os.path.basename(self._path)
        if is_csv and is_like and self._has_commas(texts):
            return ","
        if like is not None and like.separator == "\t" and not self._needs_tags:
            return None
        return " " if has_blanks else None

    def _has_commas(self, texts):
        """Returns whether commas part columns, evenly or with tags behind them."""
        rows = [tag_layouts.comma_cells(text) for text in texts]
        width, share = _most_common(map(len, rows))
        is_even = width > 1 and share >= _MOST
        return is_even or (
            all(len(row) > 1 for row in rows) and _marks([row[-1] for row in rows])
        )

    def _num_columns(self, separator, texts):
        """Returns the number of columns of the most lines."""
        if separator != "\t":
            widths = [len(tag_layouts.cells_of(text, separator)) for text in texts]
            width, share = _most_common(widths)
            # Tokens with commas in them only add to the cells.
            return min(widths) if separator == "," and share < _MOST else width
        rows = [text.rstrip(" ").split("\t") for text in texts]
        width, share = _most_common(map(len, rows))
        if share > _MOST:
            # Tabs at the ends of all lines begin no column.
            return max(
                len(tag_layouts.cells_of(text, separator))
                for text, row in zip(texts, rows)
                if len(row) == width
            )
        return _most_common(sum(map(bool, row)) for row in rows)[0]

    def _with_columns(self, separator):
        """Returns layout and note of a file with columns."""
        table = self._table(separator)
        is_by_sentence = separator != " " and self._is_by_sentence(table)
        layout = Layout(
            separator, is_by_sentence, table.names is not None, table.num_columns
        )
        if self._like is None or self._like.separator is None:
            layout = self._choose(layout, table)
        else:
            layout = self._like_train_file(layout, table)
        tokens = table.words(layout.token, is_by_sentence)
        layout = layout._replace(
            unit=_unit_of(tokens),
            has_blanks=separator != " " and any(" " in token for token in tokens),
        )
        layout = layout._replace(has_comments=self._has_comments(layout))
        is_plain = table.num_columns == 2 and separator != "," and not layout.token
        return layout, None if is_plain and not layout.has_comments else _note(layout)

    def _has_comments(self, layout):
        """Returns whether there are remarks among the first lines."""
        return any(
            layout.could_be_comment(line.text, layout.cells(line.text))
            for line in self.lines
            if line.is_first or layout.index is not None
        )

    def _is_by_sentence(self, table):
        """Returns whether the cells of the tags have several.

        Raises:
          InputError: if they are lists, as in `['O', 'B-PER']`.
        """
        names = [name.lower() for name in table.names or ()]
        named = _index_of(names, _TAG_NAMES, None)
        default = -1 if named is None else named
        label = self._column("label_column", self._wanted.label, table, default)
        cells = [cells[label].strip() for cells in table.rows]
        if cells and all(cell[:1] == "[" and cell[-1:] == "]" for cell in cells):
            raise InputError(
                f"{self._path}:{table.lines[0].number}: found a list of tags, "
                f"{cells[0]!r}; {_EXPECTED}"
            )
        is_like = self._like is not None and self._like.is_by_sentence
        return is_like or any(" " in cell for cell in cells)

    def _table(self, separator):
        """Returns the `_Table` of the first lines."""
        num_columns = self._num_columns(separator, [line.text for line in self.rows])
        found = [
            (line, tag_layouts.cells_of(line.text, separator, num_columns))
            for line in self.rows
        ]
        names = [cell.strip() for cell in found[0][1]]
        has_header = self._has_header(names, separator)
        found = [each for each in found[has_header:] if len(each[1]) == num_columns]
        return _Table(
            num_columns,
            names if has_header else None,
            [line for line, _ in found],
            [cells for _, cells in found],
        )

    def _has_header(self, names, separator):
        """Returns whether the first cells of a file are names of columns."""
        if self._is_header_given is not None:
            return self._is_header_given
        like, lowered = self._like, [name.lower() for name in names]
        is_like = like is not None and like.has_header
        if separator is None:
            return is_like and lowered[0] in (*_TOKEN_NAMES, *_TEXT_NAMES)
        wanted = (self._wanted.text, self._wanted.label)
        if any(each in names for each in wanted if each and _number(each) is None):
            return True
        texts = _TOKEN_NAMES + (_TEXT_NAMES if separator != " " else ())
        others = {*_TAG_NAMES, *_POS_NAMES, *_OTHER_NAMES}
        has_tag = not others.isdisjoint(lowered)
        return not set(texts).isdisjoint(lowered) and (has_tag or is_like)

    def _column(self, flag, wanted, table, default=None):
        """Returns the column that a flag gives, or a default.

        Raises:
          InputError: if there is no such column.
        """
        if wanted is None:
            return default
        if table.names and wanted in table.names and _number(wanted) is None:
            return table.names.index(wanted)
        number, count = _number(wanted), table.num_columns
        if number is None:
            if self._like is not None:
                return default
            names = table.names or [self.rows[0].text]
            raise InputError(
                f"--{flag}={wanted}: {self._path} has no column of that name; its "
                f"first line is {', '.join(map(repr, names))}; columns can be given "
                "by number from 1, or from the end (-1: the last)"
                f"{did_you_mean(wanted, table.names or ())}"
            )
        if not 0 < abs(number) <= count:
            if self._like is not None and not self._needs_tags:
                return default
            raise InputError(
                f"--{flag}={wanted}: {self._path} has the columns 1 to {count} (-1: "
                "the last)"
            )
        return number - 1 if number > 0 else count + number

    def _like_train_file(self, layout, table):
        """Returns a layout with the columns of the train file.

        Raises:
          InputError: if the file has more columns, or fewer.
        """
        like, count = self._like, table.num_columns
        if like.num_columns is None:
            columns_like = {"token": 0, "tag": count - 1}
        elif count == like.num_columns:
            names = ("token", "tag", "index", "sentence")
            columns_like = {name: getattr(like, name) for name in names}
        elif self._lacks_tags(table):
            found = (like.token, like.index, like.sentence)
            is_left_out = count == like.num_columns - 1
            moved = [x and x - (is_left_out and x > like.tag) for x in found]
            names = ("token", "index", "sentence")
            return layout._replace(tag=None, **dict(zip(names, moved)))
        elif self._wanted.text and self._wanted.label:
            return self._choose(layout, table)
        else:
            number, text, _ = (table.lines or self.rows)[0]
            raise InputError(
                f"{self._path}:{number}: {count} columns, but the train file has "
                f"{like.num_columns}: {text!r}"
            )
        wanted = self._wanted
        token = self._column("text_column", wanted.text, table, columns_like["token"])
        tag = self._column("label_column", wanted.label, table, columns_like["tag"])
        return layout._replace(**{**columns_like, "token": token, "tag": tag})

    def _lacks_tags(self, table):
        """Returns whether a file has the train file's columns but that of the tag.

        If the first column numbers the tokens, all behind the token may lack.
        """
        like, count = self._like, table.num_columns
        if self._needs_tags or count == like.num_columns - 1:
            return not self._needs_tags
        return like.index is not None and like.token < count <= like.tag

    def _choose(self, layout, table):
        """Returns a layout with the columns of flags, of the header, or by contents.

        Raises:
          InputError: if they are not clear.
        """
        token = self._column("text_column", self._wanted.text, table)
        tag = self._column("label_column", self._wanted.label, table)
        names = [name.lower() for name in table.names or ()]
        token_names, sentence = _TOKEN_NAMES, None
        if token is None:
            if layout.is_by_sentence or not set(names) & set(_TOKEN_NAMES):
                token_names += _TEXT_NAMES
            token = _index_of(names, token_names, tag)
        if tag is None:
            tag = _index_of(names, _TAG_NAMES, token)
        if tag is None:
            tag = _index_of(names, _POS_NAMES, token)
        if token is not None and token == tag:
            raise InputError(
                f"{self._path}: --text_column and --label_column are both column "
                f"{token + 1}"
            )
        if not layout.is_by_sentence:
            sentence = next(
                (
                    index
                    for index, name in enumerate(names)
                    if name in _SENTENCE_NAMES and index not in (token, tag)
                ),
                None,
            )
        index = 0 if 0 not in (token, tag, sentence) and table.counts_tokens() else None
        taken = (token, tag, index, sentence)
        free = [each for each in range(table.num_columns) if each not in taken]
        token, tag = self._of_free(free, token, tag, table, layout.is_by_sentence)
        return layout._replace(token=token, tag=tag, index=index, sentence=sentence)

    def _of_free(self, free, token, tag, table, is_by_sentence):
        """Returns the columns of token and tag, of which some are among the free ones.

        Args:
          free: list of columns that have no other meaning.
          token, tag: columns, or None if they are not known.
          table: `_Table`.
          is_by_sentence: see `Layout`.
        """
        words = {each: table.words(each, is_by_sentence) for each in free}
        num_wanted = (token is None) + (tag is None)
        if len(free) < num_wanted:
            if not self._needs_tags and free:
                return free[0], None
            raise self._not_clear(
                table, "column 1 numbers the tokens and only one other is left"
            )
        if num_wanted == 2 == len(free):
            first, second = free
            is_tag_first = _marks(words[first]) and not _are_alike(words[second])
            return (second, first) if is_tag_first else (first, second)
        if tag is None:
            candidates = free if token is not None else free[1:]
            tag = candidates[-1]
            if len(candidates) > 1:
                self._check_tag(tag, candidates, words, table)
            free = [each for each in free if each != tag]
        if token is None:
            token = free[0]
            if len(free) > 1:
                self._check_token(words[token], table, token)
        return token, tag

    def _check_tag(self, tag, candidates, words, table):
        """Raises an `InputError` if the last of several columns may not be the tag."""
        if not _are_alike(words[tag]):
            raise self._not_clear(
                table, "the last column does not hold tags such as B-PER"
            )
        others = [
            each
            for each in candidates
            if _marks(words[each])
            and each != tag
            and not tag_schemes.are_chunks(words[each])
        ]
        if others:
            numbers = " and ".join(str(each + 1) for each in (*others, tag))
            raise self._not_clear(
                table, f"columns {numbers} hold tags, as of nested entities"
            )

    def _check_token(self, words, table, token):
        """Raises an `InputError` if a column may not be the token."""
        name = f"column {token + 1}"
        num_with_digit = sum(bool(_DIGIT.search(word)) for word in words)
        if 2 * sum(map(str.isdecimal, words)) > len(
            words
        ) or num_with_digit >= _MOST * len(words):
            raise self._not_clear(table, f"{name} holds numbers, or ids with numbers")
        num_repeated = sum(map(str.__eq__, words, words[1:]))
        if len(words) > 4 and 2 * num_repeated >= len(words):
            raise self._not_clear(table, f"{name} is the same in rows that follow")
        if len(set(words)) > 1 and _marks(words):
            raise self._not_clear(table, f"{name} holds tags")

    def _not_clear(self, table, why):
        number, text, _ = (table.lines or self.rows)[0]
        return InputError(
            f"{self._path}:{number}: it is not clear which of the "
            f"{table.num_columns} columns hold the token and its tag, as {why}; give "
            f"{_FLAGS}; the line is {text!r}"
        )


class _Table(NamedTuple):
    """First lines of a file with columns, without remarks and header.

    names: list of those in the header, or None.
    lines: list of `_Line`; those with more or fewer columns are left out.
    rows: list of the lists of their cells.
    """

    num_columns: int
    names: Optional[list]
    lines: list
    rows: list

    def words(self, column, is_by_sentence):
        """Returns the tokens, or tags, of a column."""
        cells = [cells[column].strip() for cells in self.rows]
        if is_by_sentence:
            return [word for cell in cells for word in cell.split(" ") if word]
        return cells

    def counts_tokens(self):
        """Returns whether the first column counts tokens, by sentence or in all."""
        last, num_steps = None, 0
        for cells in self.rows:
            if tag_layouts.NO_TOKEN.fullmatch(cells[0]) or cells[0].startswith("#"):
                continue
            if not cells[0].isdecimal():
                return False
            number = int(cells[0])
            is_next = last is not None and number == last + 1
            if not is_next and number > 1:
                return False
            num_steps += is_next
            last = number
        return num_steps > 1


def _number(text):
    """Returns a whole number that a flag gives, or None."""
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _index_of(names, known, taken):
    """Returns the only index of known names that is not taken; None if none is."""
    found = [i for i, name in enumerate(names) if name in known and i != taken]
    return found[0] if len(found) == 1 else None


def _are_alike(words):
    """Returns whether most words look like tags of entities, or `O`."""
    return sum(map(tag_schemes.is_alike, words)) >= _MOST * len(words)


def _marks(words):
    """Returns whether words look like tags of entities, some like those of parts."""
    return _are_alike(words) and bool(tag_schemes.marking(words))


def _note(layout):
    parts = [f"tokens in column {layout.token + 1}"]
    parts.append(f"tags in column {layout.tag + 1}" if layout.has_tags else "no tags")
    if layout.index is not None:
        parts.append(f"column {layout.index + 1} numbers the tokens (an index)")
    if layout.sentence is not None:
        parts.append(f"column {layout.sentence + 1} names the sentences")
    if layout.has_comments:
        parts.append(_REMARKS)
    return (
        f"{layout.num_columns} columns, {layout.separator_name} separated: "
        f"{', '.join(parts)}; "
        "--text_column and --label_column choose others"
    )


def _unit_of(tokens):
    """Returns the unit of tokens; see `Layout`."""
    chinese = [len(token) for token in tokens if _has_chinese(token)]
    if not chinese or chinese.count(1) < _MOST * len(chinese):
        return WORDS
    others = [len(token) for token in tokens if token.isascii() and token.isalnum()]
    return CHARACTERS if others.count(1) >= _MOST * len(others) else MIXED
