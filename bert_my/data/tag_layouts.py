"""`Layout` of a tagged file: what its lines and their cells are."""

import csv
import re
from typing import NamedTuple, Optional

from bert_my.text import tag_schemes

# Characters of a line between sentences. Other white space, as U+3000, is a token.
BLANKS = " \t"
# The marker of a new document in the CoNLL files, behind the token's number if any.
DOCUMENT = "-DOCSTART-"
_DOCUMENT_LINE = re.compile(rf"(\d+[ \t,]+)?{DOCUMENT}([ \t,]|$)")
# "# text", "#begin document" of CoNLL-2012, "###MEDLINE:95369245" of GENIA.
_COMMENT = re.compile(r"#(?:[ \t]+[^ \t]|(?:begin|end) document|##)")
# Numbers of several tokens, and of one that is not in the text, in CoNLL-U.
NO_TOKEN = re.compile(r"\d+[-.]\d+")
_INNER_BLANKS = re.compile("[ \t]+")

# Units into which a sentence without blanks is split, as are the train file's tokens.
WORDS = "words"
CHARACTERS = "characters"
MIXED = "Chinese characters and other words"
_UNITS = {
    CHARACTERS: re.compile(r"[^ \t\u3000]"),
    MIXED: re.compile(
        r"[0-9]+(?:[.,][0-9]+)+|[A-Za-z0-9]+(?:[.'_-][A-Za-z0-9]+)*|[^ \t\u3000]"
    ),
}


class Layout(NamedTuple):
    """Layout of a tagged file. Columns are counted from 0.

    separator: character between columns: a tab, a blank (for any number of blanks and
      tabs) or a comma (cells are quoted as in RFC 4180); None if there is one column.
    is_by_sentence: whether a line holds a whole sentence.
    has_header: whether the first line holds names.
    num_columns: int; None if the first and the last of any number count, as in models
      that were trained before it was kept.
    token, tag: columns; tag is None in a file without tags.
    index: column with the number of the token in its sentence, or None.
    sentence: column with the sentence's id, which may stand at its first token only,
      or None.
    unit: of the train file's tokens: `WORDS`, `CHARACTERS` or `MIXED`. In a file of
      sentences without tags: how they are split; `WORDS` stand between blanks.
    has_blanks: whether tokens may have blanks in them.
    has_comments: whether there are lines of remarks, which begin with `#`, among the
      first lines; without them such a line is a token, or an error.
    """

    separator: Optional[str]
    is_by_sentence: bool = False
    has_header: bool = False
    num_columns: Optional[int] = None
    token: int = 0
    tag: Optional[int] = -1
    index: Optional[int] = None
    sentence: Optional[int] = None
    unit: str = WORDS
    has_blanks: bool = True
    has_comments: bool = False

    @property
    def has_tags(self):
        """True if tokens have tags."""
        return self.separator is not None and self.tag is not None

    @property
    def separator_name(self):
        """The separator in words."""
        return {"\t": "tab", ",": "comma"}.get(self.separator, "blank")

    def cells(self, line):
        """Returns the list of the cells of a line, which may be too few or too many."""
        return cells_of(line, self.separator, self.num_columns)

    def could_be_comment(self, line, cells):
        """Returns whether a line at the beginning of a sentence could be a remark.

        Args:
          line: str.
          cells: list of its cells.
        """
        if self.index is not None:
            return line.startswith("#")
        if not is_comment_like(line):
            return False
        if self.separator is None:
            return line[1] in BLANKS and (self.has_comments or not self.has_blanks)
        is_row = self.num_columns is None or len(cells) == self.num_columns
        return not is_row and not tag_schemes.is_alike(cells[-1])

    def is_no_token(self, cells):
        """Returns whether a line repeats tokens, as `1-2`, or has none, as `8.1`."""
        return self.index is not None and bool(NO_TOKEN.fullmatch(cells[self.index]))

    def split(self, text):
        """Returns the list of the tokens of a sentence without tags."""
        if self.unit == WORDS:
            return [token for token in text.split(" ") if token]
        return _UNITS[self.unit].findall(text)


def is_comment_like(line):
    """Returns whether a line may be a remark; `#` may be a token, too."""
    return bool(_COMMENT.match(line))


def is_document(line):
    """Returns whether a line marks the beginning of a document, as in CoNLL-2003."""
    return DOCUMENT in line and bool(_DOCUMENT_LINE.match(line))


def cells_of(line, separator, num_columns=None):
    """Returns the cells of a line; see `Layout`.

    Args:
      num_columns: if it is known; more or fewer cells are brought to the number where
        nothing is lost by it: empty ones at the end, or several tabs for one.
    """
    if separator is None:
        return [line.rstrip(BLANKS) or line.rstrip("\t")]
    if separator == " ":
        cells = [cell for cell in _INNER_BLANKS.split(line) if cell]
        # "  O" is the token " " with its tag.
        if line.startswith("  ") and len(cells) == (num_columns or 2) - 1:
            cells.insert(0, " ")
        return cells
    if separator == ",":
        return comma_cells(line, num_columns)
    cells = line.rstrip(" ").split("\t")
    while len(cells) > (num_columns or 1) and not cells[-1].strip(BLANKS):
        cells.pop()
    if num_columns not in (None, len(cells)):
        full = [cell for cell in cells if cell]
        return full if len(full) == num_columns else cells
    return cells


def comma_cells(line, num_columns=None):
    """Returns the cells of a line that is separated by commas; see `cells_of`."""
    line = line.rstrip(BLANKS)
    cells = next(csv.reader([line]), []) if '"' in line else line.split(",")
    if num_columns not in (None, len(cells)):
        cells = line.split(",")
    if num_columns == 2 < len(cells):  # "1,000,O" has one token
        cells = line.rsplit(",", 1)
    return cells
