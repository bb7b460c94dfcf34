"""Reads sentences with a tag for each token, in the layouts of `tag_layouts`.

A token a line, with empty lines or marks of documents between sentences:
`token<TAB>tag`, `token tag`, or more columns. A token may be a blank itself: `  O`. In
a file without tags only an empty line parts sentences, as any other line is a token.

A sentence a line: `token token token<TAB>tag tag tag`; without tags, any text.
"""

import collections
import logging

from bert_my.common import text_files
from bert_my.common.errors import InputError
from bert_my.data import labels, tag_layouts
from bert_my.data.columns import Roles
from bert_my.data.labels import LabelCounts
from bert_my.data.splits import TEST, TRAIN
from bert_my.data.tag_columns import find_layout
from bert_my.data.tag_layouts import BLANKS, DOCUMENT, Layout
from bert_my.text import tag_schemes
from bert_my.text.preprocessor import Sentence

logger = logging.getLogger(__name__)

# A longer sentence may be many, between which an empty line is missing.
_MANY_TOKENS = 10000


def read_sentences(path, layout, guid_prefix, encoding=text_files.UTF8):
    """Yields the `Sentence`s of a file, in their order.

    Args:
      path: file.
      layout: `Layout` of the file.
      guid_prefix: the guid is it and the number of the sentence, from 0.
      encoding: of the file.

    Raises:
      InputError: naming file and line, if a token has no tag.
    """
    read = _read_sentence_lines if layout.is_by_sentence else _read_token_lines
    is_long = False
    for index, found in enumerate(read(path, layout, encoding)):
        tokens, tags, line, others = found
        known_tags = tuple(tags) if layout.has_tags else None
        if len(tokens) > _MANY_TOKENS and not is_long:
            is_long = True
            logger.warning(
                "%s:%d: a sentence of %d tokens; an empty line is needed between "
                "sentences",
                path,
                line,
                len(tokens),
            )
        yield Sentence(
            tuple(tokens),
            known_tags,
            f"{guid_prefix}-{index}",
            line,
            layout.is_by_sentence,
            others,
        )


def _read_sentence_lines(path, layout, encoding):
    """Yields (tokens, tags, line number, None) of each line that is not blank."""
    has_header = layout.has_header
    for number, line in text_files.read_lines(path, encoding=encoding):
        line = line.strip(BLANKS)
        if not line or tag_layouts.is_document(line):
            continue
        if has_header:
            has_header = False
            continue
        cells = layout.cells(line)
        if layout.separator is None:
            if "\t" in line:
                raise _has_tags(path, number, line)
            tokens = layout.split(line)
            if tokens:
                yield tokens, (), number, None
            continue
        _check_width(cells, layout, path, number, line)
        tokens = [token for token in cells[layout.token].split(" ") if token]
        tags = ()
        if layout.has_tags:
            tags = [tag for tag in cells[layout.tag].split(" ") if tag]
            if len(tokens) != len(tags):
                raise InputError(
                    f"{path}:{number}: {len(tokens)} tokens, but {len(tags)} tags; of "
                    "a sentence on one line, `token token<TAB>tag tag`, they must be "
                    "as many"
                )
        yield tokens, tags, number, None


class _Gathered:
    """The sentence that is being read.

    is_over: whether a boundary follows its last token.
    """

    def __init__(self):
        self.tokens, self.tags, self.others = [], [], []
        self.line = 0
        self.is_over = False

    def add_other(self, text, is_boundary=False):
        """Adds a line without a token; see `Sentence.other_lines`."""
        self.others.append((len(self.tokens), text))
        self.is_over = self.is_over or is_boundary

    @property
    def parts(self):
        """(tokens, tags, line, other lines)."""
        is_usual = self.others == [(len(self.tokens), "")]
        others = None if is_usual else tuple(self.others)
        return self.tokens, self.tags, self.line, others


def _read_token_lines(path, layout, encoding):
    """Yields (tokens, tags, line of the first, other lines) of each sentence."""
    found, rows = _Gathered(), _Rows(path, layout)
    for number, line in text_files.read_lines(path, encoding=encoding):
        cells = layout.cells(line)
        if rows.add_other(found, line, cells):
            continue
        token, tag = rows.token_and_tag(number, line, cells)
        if found.tokens and (found.is_over or rows.begins):
            yield found.parts
            found = _Gathered()
        elif not found.tokens:
            found.is_over = False
        found.line = found.line or number
        found.tokens.append(token)
        found.tags.append(tag)
    if found.tokens:
        yield found.parts


class _Rows:
    """Reads the lines of a file with a token a line.

    begins: whether the last line that was read begins a sentence, by the number of its
      token or the name of its sentence.
    """

    def __init__(self, path, layout):
        self.begins = False
        self._path = path
        self._layout = layout
        self._has_header = layout.has_header
        self._counts_or_names = (layout.index, layout.sentence) != (None, None)
        self._last_number, self._last_name = 0, None
        self._good_tags = set()

    def add_other(self, found, line, cells):
        """Adds a line without a token to a sentence; returns whether it is one."""
        layout = self._layout
        if self._is_blank(line):
            found.add_other("", is_boundary=True)
        elif DOCUMENT in line and tag_layouts.is_document(line):
            tag = self._cell(cells, layout.tag) if layout.has_tags else ""
            found.add_other(f"{DOCUMENT}\t{tag or 'O'}", is_boundary=True)
        elif self._has_header and not tag_layouts.is_comment_like(line):
            self._has_header = False
            names = [self._cell(cells, layout.token) or line]
            if layout.has_tags:
                names.append(self._cell(cells, layout.tag))
            found.add_other("\t".join(names))
        elif self._holds_no_token(found, line, cells):
            found.add_other(line)
        else:
            return False
        return True

    def _is_blank(self, line):
        if self._layout.separator is None:
            return not line.rstrip("\t")
        if self._layout.separator == ",":
            # A row of empty cells is one; ",,", of two columns, is not.
            num_commas = (self._layout.num_columns or 2) - 1
            return line.strip(BLANKS) in ("", "," * num_commas)
        return not line.strip(BLANKS)

    def _holds_no_token(self, found, line, cells):
        """Returns whether a line is a remark, or has the number of no token."""
        layout = self._layout
        if layout.has_comments and line[0] == "#":
            is_first = found.is_over or not found.tokens or layout.index is not None
            if is_first and layout.could_be_comment(line, cells):
                return True
        return layout.index is not None and layout.is_no_token(cells)

    def _cell(self, cells, column):
        """Returns a cell of a line that may have fewer than it needs."""
        count = self._layout.num_columns
        return cells[column].strip() if count in (None, len(cells)) else ""

    def token_and_tag(self, number, line, cells):
        """Returns the token of a line, and its tag or None.

        Raises:
          InputError: naming file and line, if they are not there.
        """
        layout = self._layout
        if layout.separator is None:
            (token,) = cells
            if "\t" in token or (" " in token.strip() and not layout.has_blanks):
                raise _has_tags(self._path, number, line)
            return token, None
        _check_width(cells, layout, self._path, number, line)
        token, tag = cells[layout.token], None
        if layout.has_tags:
            tag = cells[layout.tag].strip()
        if not token or tag == "":
            raise _no_row(layout, self._path, number, line)
        if tag is not None and tag not in self._good_tags:
            _check_tag(tag, f"{self._path}:{number}")
            self._good_tags.add(tag)
        if self._counts_or_names:
            self._find_beginning(cells, f"{self._path}:{number}")
        return token, tag

    def _find_beginning(self, cells, where):
        layout, self.begins = self._layout, False
        if layout.index is not None:
            text = cells[layout.index].strip()
            if not text.isdecimal():
                raise InputError(
                    f"{where}: column {layout.index + 1} numbers the tokens, but "
                    f"holds {text!r} here"
                )
            self.begins = int(text) <= self._last_number
            self._last_number = int(text)
        if layout.sentence is not None:
            name = cells[layout.sentence].strip()
            self.begins = self.begins or bool(name and name != self._last_name)
            self._last_name = name or self._last_name


def _check_width(cells, layout, path, number, line):
    """Raises an `InputError` if a line has another number of columns than the first."""
    count = layout.num_columns
    if len(cells) != count and (count is not None or len(cells) < 2):
        raise _no_row(layout, path, number, line)


def _no_row(layout, path, number, line):
    count = layout.num_columns or 2
    what = "a token and its tag" if count == 2 else f"{count} columns"
    is_long = layout.separator == " " and len(layout.cells(line)) > count
    advice = "; if the token has a blank in it, tabs must separate the columns"
    return InputError(
        f"{path}:{number}: expected {what}, separated by a {layout.separator_name}, "
        f"found {line!r}{advice if is_long else ''}"
    )


def _has_tags(path, number, line):
    return InputError(
        f"{path}:{number}: {line!r} looks like a token and its tag, or several words, "
        "but most lines of the file hold one token"
    )


def _check_tag(tag, where):
    """Raises an `InputError` for a tag with a blank or an invisible character."""
    if " " in tag:
        raise InputError(f"{where}: the tag {tag!r} has a blank in it")
    if labels.INVISIBLE.search(tag):
        raise InputError(f"{where}: the tag {tag!r} has an invisible character in it")


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
        self._encoding = options.encoding or text_files.UTF8
        self._wanted = Roles(options.text_column, None, options.label_column)
        self._has_header = options.header
        self._train = None  # path of the train file, if it was looked at
        self._layouts = {}  # arguments of `_layout_of` -> its result
        if saved.get("layout") is not None:
            self.layout = Layout(**saved["layout"])
        else:
            self._train = splits.path(TRAIN)
            if self._train is not None:
                self.layout = self._find_layout(self._train, True)
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
        return {
            "layout": self.layout,
            "columns": self._wanted,
            "has_header": self._has_header,
        }

    def read(self, path, split):
        """Yields the `Sentence`s of a file; see `TableSchema.read`.

        A test file may have tags that are no labels: it is only predicted.
        """
        layout = self._layout_of(path, split == TEST)
        unknown = collections.Counter()
        for sentence in read_sentences(path, layout, split, self._encoding):
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

    def _layout_of(self, path, is_test):
        """Returns the `Layout` of a file; logs it once."""
        if path == self._train and not is_test:
            return self.layout
        key = path, is_test
        if key not in self._layouts:
            layout = self._find_layout(path, not is_test)
            if is_test and layout.has_tags:
                layout = self._without_placeholders(path, layout)
            self._layouts[key] = layout
        return self._layouts[key]

    def _find_layout(self, path, needs_tags):
        """Returns the layout of a file, by that of the train file and the flags."""
        return find_layout(
            path,
            needs_tags,
            self.layout,
            self._wanted,
            self.labels.names,
            self._encoding,
            self._has_header,
        )

    def _without_placeholders(self, path, layout):
        """Returns a layout without the tags if all are the same, and no tag at all."""
        first = None
        for sentence in read_sentences(path, layout, TEST, self._encoding):
            for tag in sentence.tags:
                first = first or tag
                if tag != first or tag in self.labels.ids:
                    return layout
        logger.info(
            "%s: all tags are %r, which the model does not know; the file is predicted "
            "as if it had none",
            path,
            first,
        )
        return layout._replace(tag=None)

    def _count(self, splits, who, needs_counts):
        """Finds the tags, if not known yet, and their counts, if they are needed.

        Both by one pass over the train file. The count is None for a tag that no token
        has, but others of its scheme.
        """
        counts, train_counts = splits.count(
            lambda: read_sentences(self._train, self.layout, TRAIN, self._encoding),
            self._train,
            lambda sentence: sentence.tags,
            needs_counts,
        )
        if not self.labels.names:
            num_tokens = sum(counts.values())
            if len(counts) > max(labels.MAX_LABELS_OF_FEW_ROWS, num_tokens / 2):
                raise InputError(
                    f"{self._train}: {num_tokens} tokens have {len(counts)} different "
                    f"tags, such as {min(counts)!r} and {max(counts)!r}; "
                    "--label_column names another column"
                )
            tags = labels.in_order(tag_schemes.complete(counts))
            self.labels = labels.OneLabel(labels.check_enough(tags, who))
        if needs_counts:
            known = dict.fromkeys(tag_schemes.complete(train_counts))
            total = sum(train_counts.values())
            self.counts = LabelCounts({**known, **train_counts}, total)
