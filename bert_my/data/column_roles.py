"""Finds out which columns of an unknown table are the text, the pair and the label.

Flags decide; then well-known names in the header; then what is in the columns. What is
not clear is an error that names the flag to give, never a guess.
"""

import collections
import functools
import re
from typing import Callable, NamedTuple, Optional, Set

from bert_my.common.errors import InputError
from bert_my.data import columns as columns_lib

# What a header may call the columns if no flag names them. Two texts are a pair.
_NAMES = {
    "text": (
        "text",
        "text_a",
        "sentence",
        "sentence1",
        "question",
        "question1",
        "query",
        "premise",
        "title",
        "content",
        "review",
        "文本",
        "句子",
        "标题",
        "内容",
        "评论",
    ),
    "text_pair": (
        "text_b",
        "sentence2",
        "question2",
        "text_pair",
        "hypothesis",
        "aspect",
    ),
    # The first one wins over the others.
    "label": ("label", "labels", "class", "category", "target", "标签", "类别"),
}
# What a header may call a column that only numbers the rows.
ID_NAMES = ("id", "guid", "index", "idx")
# A column with longer cells is text, not a label.
_LONGEST_LABEL = 40
# Names and categories have fewer words; a text of this length may come again.
WORDS_OF_A_TEXT = 3
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")
# The words of "Mon Apr 06 22:19:45 PDT 2009".
_WORD_OF_A_DATE = re.compile(
    "mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|(mon|tues|wednes|thurs|fri|satur|sun)"
    "day|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|january|february|march|april|"
    "may|june|july|august|(septem|octo|novem|decem)ber|am|pm|t|z|utc|gmt|"
    "[ecmp][sd]?t|cest|bst|ist|jst|aest",
    re.IGNORECASE,
)
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTER = re.compile(r"[^\W\d_]")


class Roles(NamedTuple):
    """Which column is what: names of a header, or numbers from 1; None for no such."""

    text: Optional[str] = None
    text_pair: Optional[str] = None
    label: Optional[str] = None


class Expected(NamedTuple):
    """What a task knows of its tables; None for what it does not know.

    is_label: function from a cell to whether it can be a label.
    has_pair: whether there are two texts.
    header_names: a first row that could be either is a header if it has one of these.
    """

    is_label: Optional[Callable[[str], bool]] = None
    has_pair: Optional[bool] = None
    header_names: Optional[Set[str]] = None


def find(rows, is_json, wanted, path, expected=Expected()):  # noqa: B008 (a constant)
    """Returns (`Roles`, whether the first row is a header).

    Args:
      rows: the first rows of a table, lists of as many cells each.
      is_json: whether the first row holds keys.
      wanted: `Roles` as the flags give them; None for what is to be found out.
      path: for errors.
      expected: `Expected`.

    Raises:
      InputError: if a wanted column does not exist or one cannot be told.
    """
    names, columns = [cell.strip() for cell in rows[0]], _columns_of(rows[1:])
    if len(names) == 1:
        raise InputError(
            f"{path}: there is only one column, as in {names[0]!r}; texts and labels "
            "must be separated by a tab, a comma, a semicolon or a bar"
        )
    has_header = is_json or any(_is_name(role) for role in wanted)
    given = Roles(*[index_of(role, names, path) for role in wanted])
    by_name = _add_known_names(given, names, path)
    if not has_header:
        is_known = given == Roles() and None not in (by_name.text, by_name.label)
        found = by_name
        if not is_known:
            found = _complete(by_name, columns, names, path, expected)
        has_header = is_known or _is_header(names, columns, found, expected.is_label)
        if has_header is None and expected.header_names is not None:
            has_header = any(name.lower() in expected.header_names for name in names)
        if has_header is None:
            raise InputError(
                f"{path}: cannot tell whether the first row {names} is a header; if it "
                "is, name its columns by --text_column and --label_column, else put a "
                "header there"
            )
    start = by_name if has_header else given
    roles = _complete(start, columns, names, path, expected, wanted.text is not None)
    if len(set(roles) - {None}) < sum(index is not None for index in roles):
        raise InputError(
            f"{path}: --text_column, --text_pair_column and --label_column must be "
            f"different columns; the first row is {names}"
        )
    has_pair = roles.text_pair is not None
    if expected.has_pair is not None and has_pair != expected.has_pair:
        raise _cannot_tell("text", names, path)
    if not has_header:
        return Roles(*[None if i is None else str(i + 1) for i in roles]), False
    for index in roles:
        if index is not None:
            index_of_name(names[index], names, path)
    return Roles(*[None if i is None else names[i] for i in roles]), True


def is_text_name(name):
    """Returns whether a header's cell is a well-known name of the text."""
    return name.lower() in _NAMES["text"]


def index_of_name(name, names, path):
    """Returns the index of the column with a name.

    Raises:
      InputError: if there is none, or more than one.
    """
    if names.count(name) == 1:
        return names.index(name)
    what = "no column" if name not in names else "more than one column"
    raise InputError(
        f"{path}: there is {what} {name!r}; the first row is {names}; --text_column, "
        "--text_pair_column and --label_column take the name in the header or the "
        "number from 1"
    )


def _columns_of(rows):
    """Returns the list of columns, each a list of stripped cells."""
    return [[(cell or "").strip() for cell in column] for column in zip(*rows)]


def _is_name(role):
    return role is not None and not role.isdigit()


def index_of(role, names, path):
    """Returns the index of a column that a flag gives, or None for None."""
    if role is None:
        return None
    if role.isdigit() and 1 <= int(role) <= len(names):
        return int(role) - 1
    return index_of_name(role, names, path)


def _add_known_names(given, names, path):
    """Returns `Roles` of indices with those that well-known names tell."""
    lower = [name.lower() for name in names]

    def known(role):
        return [
            index
            for index, name in enumerate(lower)
            if name in _NAMES[role] and index not in given
        ]

    order = _NAMES["label"].index
    labels = sorted(known("label"), key=lambda index: order(lower[index]))
    if given.label is None and labels:
        if len(labels) > 1 and lower[labels[0]] != _NAMES["label"][0]:
            raise _cannot_tell("label", names, path)
        given = given._replace(label=labels[0])
    if given.text is not None:
        return given  # Who names the text names its pair as well.
    texts, pairs = known("text"), known("text_pair")
    if given.text_pair is None and len(pairs) == 1:
        given = given._replace(text_pair=pairs[0])
    elif given.text_pair is None and len(texts) == 2:
        given = given._replace(text_pair=texts.pop())
    if len(texts) > 1 or len(pairs) > 1:
        raise _cannot_tell("text", names, path)
    return given._replace(text=texts[0]) if texts else given


def _complete(roles, columns, names, path, expected, is_text_given=False):
    """Returns `Roles` of indices with what the columns' contents tell."""
    free = [
        index
        for index in range(len(columns))
        if index not in roles and names[index].lower() not in ID_NAMES
    ]
    if roles.label is None:
        is_label_column = _looks_like_labels
        if expected.is_label is not None:
            is_label_column = functools.partial(_holds, expected.is_label)
        labels = [index for index in free if is_label_column(columns[index])]
        if len(labels) != 1:
            raise _cannot_tell("label", names, path)
        roles = roles._replace(label=labels[0])
        free.remove(labels[0])
    texts = [index for index in free if num_words(columns[index]) >= WORDS_OF_A_TEXT]
    if roles.text is not None:
        needs_pair = expected.has_pair and roles.text_pair is None
        if needs_pair and len(texts or free) == 1:
            return roles._replace(text_pair=(texts or free)[0])
        if texts and roles.text_pair is None and not is_text_given:
            raise _cannot_tell("text", names, path)
        return roles
    texts = texts or [index for index in free if _could_be_text(columns[index])]
    if not texts and len(free) == 1:
        texts = free
    if not 1 <= len(texts) <= 1 + (roles.text_pair is None):
        raise _cannot_tell("text", names, path)
    return roles._replace(text=texts[0], text_pair=[*texts, roles.text_pair][1])


def _holds(is_label, column):
    """Whether most cells of a column are labels; the others are errors of their own."""
    return 2 * sum(map(is_label, column)) > len(column)


def _looks_like_labels(column):
    """Whether values are short, of several kinds, and come again."""
    values = set(column)
    if not 2 <= len(values) <= max(2, len(column) / 2):
        return False
    if num_words(column) >= WORDS_OF_A_TEXT or all(map(_DATE.match, values)):
        return False
    return sum(map(len, column)) <= _LONGEST_LABEL * len(column)


def _could_be_text(column):
    """Whether there are letters, and not only names of things such as `train-17`."""
    has_letters = sum(bool(_LETTER.search(cell)) for cell in column) > len(column) / 2
    if all(map(_is_date, column)):
        return False
    return has_letters and not all(map(columns_lib.is_id, column))


def _is_date(cell):
    words = re.findall(r"[^\W\d_]+", cell)
    has_digit = any(char.isdigit() for char in cell)
    return has_digit and all(map(_WORD_OF_A_DATE.fullmatch, words))


def num_words(column):
    """Returns the mean number of words, of which a date has none.

    Two Chinese characters count as one.
    """
    total = 0.0
    for cell in column:
        if _is_date(cell):
            continue
        num_chinese = len(_CHINESE.findall(cell))
        rest = _CHINESE.sub(" ", cell) if num_chinese else cell
        total += num_chinese / 2 + sum(
            bool(_LETTER.search(word)) for word in rest.split()
        )
    return total / max(len(column), 1)


def _is_header(names, columns, roles, is_label=None):
    """Whether the first row is a header, or None if that cannot be told.

    Its label never comes again and it is no row of numbers; columns of numbers have a
    name that is none.
    """
    if not columns:
        return None
    if is_label is not None:
        return not is_label(names[roles.label])
    counts = collections.Counter(columns[roles.label])
    numbered = [str(index) for index in range(len(names))]
    if names[1:] == numbered[: len(names) - 1] and not names[0]:
        return True  # What pandas writes for columns without names.
    if names[roles.label] in counts:
        return False
    is_number = [not any(map(_LETTER.search, column)) for column in columns]
    if is_number[roles.label] and not _LETTER.search(names[roles.label]):
        return False
    if any(
        _LETTER.search(name) and is_column_number and any(column)
        for name, is_column_number, column in zip(names, is_number, columns)
    ):
        return True
    if len(names[roles.text]) > _LONGEST_LABEL:
        return False
    # Every label comes again, but that of the first row.
    return True if min(counts.values()) > 1 and all(names[1:]) else None


def _cannot_tell(role, names, path):
    flag = f"--{role}_column=NAME, or its number from 1"
    if role == "text":
        flag += ", and --text_pair_column for a second text"
    return InputError(
        f"{path}: cannot tell which column is the {role} in a table that begins with "
        f"{names}; give {flag}"
    )
