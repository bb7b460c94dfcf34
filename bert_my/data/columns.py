"""Infers which columns of a table are the text, the pair and the label.

A data set declares the names or the order of its columns. In other tables flags decide;
then well-known names in the header; then the contents of the columns. If the column of
a role is not clear, an error names the flag to give; nothing is guessed.
"""

import collections
import logging
import re
from typing import NamedTuple, Optional, Sequence, Tuple

from bert_my.common.errors import InputError, did_you_mean
from bert_my.data.tables import ID_NAMES, Dialect

logger = logging.getLogger(__name__)

# Names in a header, if no flag names the columns. Two texts are a pair.
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
_FIELDS = ("text_a", "text_b", "label")  # in the order of `Roles`
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
_BEFORE_A_QUOTE = re.compile(r'\s+"')
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTER = re.compile(r"[^\W\d_]")
# Two words, or a Chinese sentence: no id looks like these.
_TEXT = re.compile(r"[^\W\d_]{2}\s+[^\W\d_]{2}|[\u3040-\u9fff]{5}")
# Labels of test files that stand for none, as long as no label is called so.
_PLACEHOLDERS = frozenset(
    {"", "?", "-", "-1", "-1.0", "-100"}
    | {"nan", "na", "n/a", "<na>", "null", "none", "unknown"}
)
# Tables that were written from numbers with gaps have a point.
_BITS = {"0": "0", "1": "1", "0.0": "0", "1.0": "1"}


class TableSpec:
    """Declaration of the tables of a data set, as class attributes.

    name: of the task, for errors.
    labels_class: of `data.labels`.
    labels: names in the order of their ids; empty if they are those of the train file.
    column_names: field ("text_a", "text_b", "label", "guid", ...) -> names in a header.
      None: the columns are inferred from flags, names and contents.
    layouts: fields in the order of the columns of tables without a header, one tuple
      for each number of columns; None for a column that is not read.
    has_pairs: whether there is a text_b; None if the columns decide.
    table_dialect: `Dialect` of the files, but csv and JSON lines; None if it is
      inferred from their names and contents.
    export_names: names in the header of files that another program wrote, whose
      dialect is inferred in any case.
    parse_row: (optional) function from a list of cells to an `Example`, instead of
      columns; None for a row that is no example.
    has_header: whether the first row is left out, with `parse_row`.
    label_aliases: spelling in the files -> label; for spellings that are no labels.
    left_out_labels: labels of rows that are no examples but in a test file, where they
      stand for an unknown label.
    kept_rows: (optional) field and its value in the rows that are examples; rows with
      another value are left out.
    leaves_out_broken_rows: whether rows of train and dev files with more or fewer cells
      than the first are left out instead of an error.
    group_field: (optional) field whose values, or else those of text_a, group the rows.
    """

    name = None
    labels_class = None
    labels = ()
    column_names = None
    layouts = ()
    has_pairs = False
    table_dialect = None
    export_names = ()
    parse_row = None
    has_header = False
    label_aliases = {}
    left_out_labels = ()
    kept_rows = None
    leaves_out_broken_rows = False
    group_field = None


class Roles(NamedTuple):
    """Columns by role: names in a header or numbers from 1; None for no column."""

    text: Optional[str] = None
    text_pair: Optional[str] = None
    label: Optional[str] = None

    def __str__(self):
        parts = self._asdict().items()
        return ", ".join(f"{role} {name!r}" for role, name in parts if name)


class Structure(NamedTuple):
    """Structure of a table, inferred from its contents.

    roles: names of the header; without a header, numbers from 1 as text.
    label_columns: names of the columns with a 0 or 1 for each label, in the order of
      the labels; empty if one column holds the label.
    """

    roles: Roles
    has_header: bool
    num_columns: int
    dialect: Dialect
    label_columns: Tuple[str, ...] = ()

    def as_dict(self):
        """Returns the same for JSON; see `restore`."""
        parts = {"roles": self.roles._asdict(), "dialect": self.dialect._asdict()}
        return {**self._asdict(), **parts}

    @classmethod
    def restore(cls, saved):
        """Returns the structure of a dict from `as_dict`, possibly through JSON."""
        parts = {
            "roles": Roles(**saved["roles"]),
            "dialect": Dialect(**saved["dialect"]),
            "label_columns": tuple(saved["label_columns"]),
        }
        return cls(**{**saved, **parts})


class Columns(NamedTuple):
    """The field of each column of a table, None for a column that is not read.

    fields: None if the task parses the rows.
    label_indices: of the columns that hold a 0 or 1 for each label, in the order of the
      labels; empty if one column holds the label.
    """

    fields: Optional[Sequence[Optional[str]]]
    has_header: bool
    label_indices: Sequence[int] = ()

    def values(self, row):
        """Returns a dict field -> cell of a row; without a label that is not there.

        Raises:
          ValueError: if the row lacks a text, as an object of JSON lines may, or if the
            column of one of many labels holds something else than 0 or 1.
        """
        values = dict(zip(self.fields, row))
        if self.label_indices:
            values["label"] = _joined([row[index] for index in self.label_indices])
        for field in ("text_a", "text_b"):
            if field in values and values[field] is None:
                raise ValueError(f"there is no {field}")
        return {
            field: cell
            for field, cell in values.items()
            if field is not None and cell is not None
        }

    def __str__(self):
        return ", ".join(field or "(not read)" for field in self.fields)


def is_id(cell):
    """Returns whether a cell can be the name of a row: 17, or `train-17`."""
    return bool(re.fullmatch(r"\S*\d\S*", cell))


def is_bit(cell):
    """Returns whether a cell is a 0 or 1."""
    return cell is not None and cell.strip() in _BITS


def is_placeholder(cell):
    """Returns whether a label cell may stand for an unknown label; empty ones do."""
    return cell.strip().lower() in _PLACEHOLDERS


def _joined(cells):
    """Returns zeros and ones as one cell, "0,1,1"; None if all are empty.

    A placeholder that all cells hold is returned as it is.
    """
    if not any(cells):
        return None
    if len(set(cells)) == 1 and not is_bit(cells[0]) and is_placeholder(cells[0]):
        return cells[0]
    wrong = [cell for cell in cells if not is_bit(cell)]
    if wrong:
        raise ValueError(f"a column of a label holds {wrong[0]!r} instead of 0 or 1")
    return ",".join(_BITS[cell.strip()] for cell in cells)


def check_width(row, num_columns, dialect, path):
    """Raises an `InputError` for a `tables.Row` with another number of columns."""
    if len(row.cells) == num_columns:
        return
    hint = ""
    if dialect.is_quoted and any(map(_BEFORE_A_QUOTE.match, row.cells)):
        hint = "; no blank may stand before the quote of a cell"
    elif dialect.delimiter == "\t":
        pass  # A text may begin with a quote.
    elif any(cell.lstrip().startswith("'") for cell in row.cells):
        hint = "; cells stand in double quotes, not in single ones"
    elif not dialect.is_quoted and any(cell.startswith('"') for cell in row.cells):
        hint = "; --quoting=csv reads the quotes as those of cells"
    raise InputError(
        f"{path}:{row.line}: {len(row.cells)} columns, but the first row of the "
        f"file has {num_columns}; it is read as {dialect}{hint}"
    )


def detect(rows, spec, has_pair, is_label, label_hint, needs_label, path, header=None):
    """Returns the `Columns` of a table with declared names or layouts.

    Args:
      rows: list of the first `tables.Row`s.
      spec: `TableSpec`.
      has_pair: whether the train file has two texts, as this one must have then; None
        if that does not matter.
      is_label: function that returns whether a cell can be a label, or None if the
        labels are not known yet. A row with a label is no header.
      label_hint: description of a label, for errors.
      needs_label: whether a table without labels is an error.
      path: for errors.
      header: whether the first row is a header; None to infer it.

    Raises:
      InputError: if the row fits neither a header nor a table without one.
    """
    names, layouts, first = spec.column_names, spec.layouts, rows[0]
    if has_pair is not None:
        layouts = [x for x in layouts if ("text_b" in x) == has_pair] or layouts
    cells = [cell.strip() for cell in first.cells]
    if header is None and _are_numbers_of_columns(cells, rows[1:]):
        header = True
    if header is None:
        has_label = is_label is not None and any(map(is_label, filter(None, cells)))
        header = False if has_label else None
    fields = [] if header is False else _from_header(cells, names)
    has_header = header or any(fields)
    if not any(fields):
        of_data = rows[1:] if has_header and len(rows) > 1 else rows
        fields = _from_count(of_data, layouts, is_label, needs_label)
    known = [field for field in fields if field is not None]
    needed = {"text_a", "label"} if needs_label else {"text_a"}
    if not needed <= set(known) or len(set(known)) < len(known):
        choices = [
            ",".join(names[field][0] if field else "-" for field in fields)
            for fields in layouts
            if needed <= set(fields)
        ]
        header = [names[field][0] for field in names if field in {"text_b", *needed}]
        choices.append("a header with " + ", ".join(header))
        raise InputError(
            f"{path}:{first.line}: found {first.cells}, but expected the columns "
            f"{' or '.join(choices)} (each at most once), with label "
            f"{label_hint}; --text_column, --text_pair_column and "
            "--label_column can name the columns"
        )
    if has_pair is not None and ("text_b" in fields) != has_pair:
        raise InputError(
            f"{path}:{first.line}: found {first.cells}, but the rows of the train file "
            f"have {'two texts' if has_pair else 'one text'}"
        )
    return Columns(fields, has_header)


def _from_header(row, names):
    fields = {name: field for field, each in names.items() for name in each}
    columns = [fields.get(cell.lower()) for cell in row]
    # One name among several cells may be a title that is just "Text".
    num_known = sum(field is not None for field in columns)
    return columns if num_known >= min(2, len(row)) else []


def _from_count(rows, layouts, is_label, needs_label):
    """Returns the layout that fits the number of cells and the label of the first row.

    In a test file the label may be any text that all rows have, see `is_placeholder`.
    """
    cells = rows[0].cells
    can_be = bool if is_label is None else is_label
    for fields in layouts:
        if len(fields) != len(cells):
            continue
        if "guid" in fields and _TEXT.search(cells[fields.index("guid")]):
            continue
        if "label" not in fields:
            if needs_label:
                continue
            return fields
        index = fields.index("label")
        label = cells[index].strip()
        if can_be(label):
            return fields
        labels = [row.cells[index] for row in rows if len(row.cells) == len(cells)]
        is_of_all = len(labels) > 1 and len(set(labels)) == 1
        if not needs_label and (is_of_all or is_placeholder(label)):
            return fields
    return []


class Sample:
    """The first rows of a table, from which its `Structure` is inferred.

    path: str, for errors.
    dialect: `Dialect` of the table; of JSON lines the first row holds keys.
    names: cells of the first row.
    rows: the other `tables.Row`s.
    columns: list with their cells for each column.
    """

    def __init__(self, table, dialect):
        """Takes the first rows of a `tables.Table`; blanks around cells do not count.

        Raises:
          InputError: if a row has other columns than the first, or a blank before a
            quote.
        """
        self.path, self.dialect = table.path, dialect
        rows = table.head(dialect)
        for row in rows:
            check_width(row, len(rows[0].cells), dialect, table.path)
            for cell in row.cells if dialect.is_quoted else ():
                if re.fullmatch(r'\s+"[^"]*"', cell):
                    raise InputError(
                        f"{table.path}:{row.line}: no blank may stand before the quote "
                        f"of {cell!r}"
                    )
        self.rows = rows[1:]
        cells = [[(cell or "").strip() for cell in row.cells] for row in rows]
        self.names = cells[0]
        self.columns = list(zip(*cells[1:]))

    def free(self, taken):
        """Returns the indices of the columns that are not taken and no ids."""
        return [
            index
            for index, name in enumerate(self.names[: len(self.columns)])
            if index not in taken
            and name.lower() not in ID_NAMES
            and not self._is_index(index)
            and not self.is_left_over(index)
        ]

    def is_left_over(self, index):
        """Returns whether a column has no name and few cells that are not empty.

        Spreadsheets add such columns at the end.
        """
        column = self.columns[index]
        return not self.names[index] and 2 * sum(map(bool, column)) < len(column)

    def _is_index(self, index):
        """Returns whether a column is the index that pandas writes."""
        is_unnamed = re.fullmatch(r"(Unnamed: \d+)?", self.names[index])
        return bool(is_unnamed) and all(map(str.isdecimal, self.columns[index]))

    def cannot_tell(self, role, may_be_pair=True):
        """Returns the error for a role whose column is not clear."""
        flag = f"--{role}_column=NAME, or its number from 1"
        if role == "text" and may_be_pair:
            flag += ", and --text_pair_column for a second text"
        return InputError(
            f"{self.path}: cannot tell which column is the {role} in a table that "
            f"begins with {self.names}; give {flag}"
        )


def infer(sample, wanted, spec, is_label, header):
    """Returns the `Structure` of a table, inferred from names and contents of columns.

    Args:
      sample: `Sample`.
      wanted: `Roles` as the flags give them; None for a role that is to be inferred.
      spec: `TableSpec`; the table may have other columns than declared.
      is_label, header: see `detect`.

    Raises:
      InputError: if a wanted column does not exist, or the column of a role is not
        clear.
    """
    names, path = sample.names, sample.path
    has_pair = None if spec.column_names is None or any(wanted) else spec.has_pairs
    if len(names) == 1:
        raise InputError(
            f"{path}: there is only one column, as in {names[0]!r}; texts and labels "
            "must be separated by a tab, a comma, a semicolon or a bar"
        )
    given, names_given = _given_roles(sample, wanted)
    by_name = _add_known_names(given, sample) if header is not False else given

    def complete(roles):
        is_text_given = wanted.text is not None
        return _complete(roles, sample, is_label, has_pair, is_text_given)

    if sample.dialect.delimiter is None:
        header = True
    elif header is False and names_given:
        raise InputError(
            f"--header=false: {path} then has no column {names_given[0]!r}; give "
            "numbers from 1"
        )
    elif header is None:
        are_known = given == Roles() and None not in (by_name.text, by_name.label)
        header = bool(names_given) or are_known
        header = header or _has_header(sample, complete(by_name), is_label, spec)
    roles = complete(by_name if header else given)
    if len(set(roles) - {None}) < sum(index is not None for index in roles):
        raise InputError(
            f"{path}: --text_column, --text_pair_column and --label_column must be "
            f"different columns; the first row is {names}"
        )
    if has_pair is not None and (roles.text_pair is not None) != has_pair:
        raise sample.cannot_tell("text")
    keys = _keys(names) if header else _numbers_from_one(len(names))
    roles = Roles(*[None if index is None else keys[index] for index in roles])
    return Structure(roles, header, len(names), sample.dialect)


def _given_roles(sample, wanted):
    """Returns the columns that flags give: (`Roles` of indices, those given by name).

    With a 0 among them that is a name, as in the header `0,1`, all are names.
    """
    names, path = sample.names, sample.path
    are_names = "0" in wanted and set(wanted) - {None} <= set(names)
    for role, key in wanted._asdict().items() if not are_names else ():
        _check_number(role, key or "", sample)
    given = [key and _index_of(key, names, path, are_names) for key in wanted]
    names_given = [key for key in wanted if key and (are_names or not key.isdigit())]
    return Roles(*given), names_given


def _keys(names):
    """Returns the keys of the columns with these names, as in `Structure.roles`.

    A name that is empty, or comes twice, does not tell the column; its number does.
    """
    return [
        name if name and len(find_name(name, names)) == 1 else number
        for name, number in zip(names, _numbers_from_one(len(names)))
    ]


def _check_number(role, number, sample):
    """Raises an `InputError` for a number from 1 that is meant to be a name.

    In a table with the names `0,1,2` the column 1 is the second one.
    """
    names, columns = sample.names, sample.columns
    if not (columns and number in names and number.isdigit()):
        return
    read, named = int(number) - 1, names.index(number)
    if not 0 <= read < len(names) or not _is_unlike(role, columns[read]):
        return
    if not _is_unlike(role, columns[named]):
        raise InputError(
            f"{sample.path}: --{role}_column={number} is the column {names[read]!r}, "
            f"by its number from 1, and does not look like the {role}; the column "
            f"{number!r} is --{role}_column={named + 1}"
        )


def _is_unlike(role, column):
    """Returns whether a column does not look like the label, or like a text."""
    if role == "label":
        return num_words(column) >= WORDS_OF_A_TEXT
    return not _could_be_text(column)


def find_name(name, names):
    """Returns the indices of the columns with a name; case counts if it tells more."""
    found = [index for index, each in enumerate(names) if each == name]
    lower = name.lower()
    return found or [i for i, each in enumerate(names) if each.lower() == lower]


def _index_of(key, names, path, is_name=False):
    """Returns the index of the column with a number from 1, or else with a name.

    Args:
      key: str, the number or the name.
      names: cells of the first row.
      path: for the error.
      is_name: whether the column with this name, if there is one, comes first.

    Raises:
      InputError: if there is no such column, or more than one.
    """
    found = find_name(key, names)
    is_number = key.isdigit() and 1 <= int(key) <= len(names)
    if is_number and not (is_name and len(found) == 1):
        return int(key) - 1
    if len(found) == 1:
        return found[0]
    number = "more than one column" if found else "no column"
    near = "" if found else did_you_mean(key, filter(None, names), "{!r}")
    raise InputError(
        f"{path}: there is {number} {key!r}; the first row is {names}; --text_column, "
        "--text_pair_column and --label_column take the name in the header or the "
        f"number from 1{near}"
    )


def _add_known_names(given, sample):
    """Returns `Roles` of indices, completed by well-known names in the header."""
    lower = [name.lower() for name in sample.names]

    def known(role):
        return [
            index
            for index, name in enumerate(lower)
            if name in _NAMES[role] and index not in given
        ]

    order = _NAMES["label"].index
    labels = sorted(known("label"), key=lambda index: order(lower[index]))
    if given.label is None and labels:
        best = lower[labels[0]]
        is_clear = len(labels) == 1 or best == _NAMES["label"][0]
        if not is_clear or lower.count(best) > 1:
            raise sample.cannot_tell("label")
        given = given._replace(label=labels[0])
    if given.text is not None:
        return given  # Who names the text names its pair as well.
    texts, pairs = known("text"), known("text_pair")
    if given.text_pair is None and len(pairs) == 1:
        given = given._replace(text_pair=pairs[0])
    elif given.text_pair is None and len({lower[index] for index in texts}) == 2:
        given = given._replace(text_pair=texts.pop())
    if len(texts) > 1 or len(pairs) > 1:
        raise sample.cannot_tell("text")
    return given._replace(text=texts[0]) if texts else given


def _complete(roles, sample, is_label, has_pair, is_text_given):
    """Returns `Roles` of indices, completed from the contents of the columns."""
    columns, free = sample.columns, sample.free(roles)
    if roles.label is None:
        labels = [i for i in free if _looks_like_labels(columns[i], is_label)]
        if len(labels) != 1:
            raise sample.cannot_tell("label")
        roles = roles._replace(label=labels[0])
        free.remove(labels[0])
    texts = [index for index in free if num_words(columns[index]) >= WORDS_OF_A_TEXT]
    if roles.text is not None:
        needs_pair = has_pair and roles.text_pair is None
        if needs_pair and len(texts or free) == 1:
            return roles._replace(text_pair=(texts or free)[0])
        if texts and roles.text_pair is None and not is_text_given:
            raise sample.cannot_tell("text")
        return roles
    texts = texts or [index for index in free if _could_be_text(columns[index])]
    if not texts and len(free) == 1:
        texts = free
    if not 1 <= len(texts) <= 1 + (roles.text_pair is None):
        raise sample.cannot_tell("text")
    return roles._replace(text=texts[0], text_pair=[*texts, roles.text_pair][1])


def _looks_like_labels(column, is_label):
    """Returns whether most cells are labels, if these are known.

    Otherwise, whether values are short, of several kinds, and come again.
    """
    if is_label is not None:
        return 2 * sum(map(is_label, column)) > len(column)
    values = set(column)
    if not 2 <= len(values) <= max(2, len(column) / 2):
        return False
    if num_words(column) >= WORDS_OF_A_TEXT or all(map(_DATE.match, values)):
        return False
    return sum(map(len, column)) <= _LONGEST_LABEL * len(column)


def _could_be_text(column):
    """Returns whether there are letters, and not only names such as `train-17`."""
    has_letters = sum(bool(_LETTER.search(cell)) for cell in column) > len(column) / 2
    if all(map(_is_date, column)):
        return False
    return has_letters and not all(map(is_id, column))


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


def _has_header(sample, roles, is_label, spec):
    """Returns whether the first row is a header; says so if that is not clear."""
    is_header = _is_header(sample, roles, is_label)
    if is_header is None and spec.column_names is not None:
        # A row that could be a header or not is one if it has a declared name.
        declared = {n for each in spec.column_names.values() for n in each}
        return any(name.lower() in declared for name in sample.names)
    if is_header is None:
        counts = collections.Counter(sample.columns[roles.label])
        # Every label comes again, but that of the first row.
        are_named = (
            bool(name) or sample.is_left_over(index)
            for index, name in enumerate(sample.names[1:], 1)
        )
        is_header = min(counts.values()) > 1 and all(are_named)
        _log_reading(sample.names, is_header, sample.path)
    return is_header


def _log_reading(names, is_header, path):
    """Logs how a first row is read that may be a header or data."""
    logger.log(
        logging.INFO if is_header else logging.WARNING,
        "%s: the first row %s is read as %s; --header=%s reads it as %s",
        path,
        names,
        "a header" if is_header else "data",
        "false" if is_header else "true",
        "data" if is_header else "a header",
    )


def warn_of_first_row(rows, fields, path):
    """Warns of a first row that is read as data, but has a label of its own.

    Args:
      rows: list of the first `tables.Row`s of a table without a header.
      fields: those of the columns.
      path: of the file.
    """
    if "label" not in fields:
        return
    index = fields.index("label")
    first, *others = (row.cells[index] or "" for row in rows)
    names = re.findall(r"[^\s,;|]+", first)
    if names and others and not any(name in x for x in others for name in names):
        _log_reading(rows[0].cells, False, path)


def _is_header(sample, roles, is_label):
    """Returns whether the first row is a header, or None if that is not clear.

    Its label never comes again and it is no row of numbers; columns of numbers have a
    name that is none.
    """
    names, columns = sample.names, sample.columns
    if not columns:
        return False
    if _are_numbers_of_columns(names, sample.rows):
        return True
    if is_label is not None:
        return not is_label(names[roles.label])
    if names[roles.label] in columns[roles.label]:
        return False
    is_number = [not any(map(_LETTER.search, column)) for column in columns]
    if is_number[roles.label] and not _LETTER.search(names[roles.label]):
        return False
    if any(
        _LETTER.search(name) and is_column_number and any(column)
        for name, is_column_number, column in zip(names, is_number, columns)
    ):
        return True
    return False if len(names[roles.text]) > _LONGEST_LABEL else None


def _are_numbers_of_columns(names, rows):
    """Returns whether a first row is what pandas writes for columns without names.

    That is `0,1` or, with an index, `,0,1`; there is a text in a row below.

    Args:
      names: cells of the first row.
      rows: the other `tables.Row`s.
    """
    numbers = names[1:] if names[0] == "" else names
    are_numbers = numbers == [str(index) for index in range(len(numbers))]
    return are_numbers and any(
        _LETTER.search(cell or "") for row in rows for cell in row.cells
    )


def infer_label_columns(sample, labels, options, spec):
    """Returns the `Structure` of a table with a column of zeros and ones per label.

    Such a table has a header, as `id,comment_text,toxic,severe_toxic`. None for other
    tables.

    Args:
      sample: `Sample`.
      labels: names of the label columns; empty if the header has them.
      options: with `num_labels` and `text_column`, None if not given.
      spec: `TableSpec`, whose names of the text and of the one column that holds all
        labels count; a table with such a column has no columns of single labels.

    Raises:
      InputError: if it is such a table, but the text or the labels are not clear.
    """
    names, columns, path = sample.names, sample.columns, sample.path
    declared = spec.column_names or {}
    if not columns or {n.lower() for n in names} & set(declared.get("label", ())):
        return None
    if labels and (len(labels) < 2 or not all(find_name(x, names) for x in labels)):
        return None
    bits = [
        index
        for index, column in enumerate(columns)
        if all(is_bit(cell) or is_placeholder(cell) for cell in column)
        and any(map(is_bit, column))
        and names[index]
        and not is_bit(names[index])
    ]
    if options.text_column is not None:
        texts = [_index_of(options.text_column, names, path)]
    else:
        taken = [_index_of(label, names, path, True) for label in labels] or bits
        free = sample.free(taken)
        known = [i for i in free if names[i].lower() in declared.get("text_a", ())]
        texts = known or [i for i in free if num_words(columns[i]) >= WORDS_OF_A_TEXT]
    if labels and len(texts) != 1:
        raise sample.cannot_tell("text", may_be_pair=False)
    if not labels:
        behind = bits if len(texts) == 1 else []
        labels = [names[index] for index in behind if index > texts[0]]
        if len(labels) < 2:
            return None
        count = options.num_labels
        if len(labels) != count:
            given = "" if count is None else f"--num_labels={count}, but "
            raise InputError(
                f"{path}: {given}behind the text there are "
                f"{len(labels)} columns of zeros and ones: {', '.join(labels)}; give "
                f"--num_labels={len(labels)}, or --labels with the names of the columns"
            )
    roles = Roles(_keys(names)[texts[0]])
    return Structure(roles, True, len(names), sample.dialect, tuple(labels))


def columns_like(first_row, structure, wanted, needs_label, path):
    """Returns the `Columns` of a table that is built like the train file.

    Args:
      first_row: list of cells.
      structure: `Structure` of the train file.
      wanted: `Roles` as the flags give them; their names win over those of a train file
        that was read in an earlier run.
      needs_label: whether a table without labels is an error.
      path: for errors.

    Raises:
      InputError: if a column is missing.
    """
    names = [cell.strip() for cell in first_row]
    keys = names if structure.has_header else _numbers(names, structure, path)
    fields = [None] * len(names)
    for field, key, given in zip(_FIELDS, structure.roles, wanted):
        if structure.has_header and given is not None and not given.isdigit():
            key = given
        if key is None or (field == "label" and not _has_column(key, keys, structure)):
            continue
        fields[_index_of(key, keys, path, is_name=True)] = field
    label_names = structure.label_columns
    if not needs_label and not any(find_name(name, names) for name in label_names):
        label_names = ()
    label_indices = [_index_of(name, names, path, True) for name in label_names]
    for index in label_indices:
        fields[index] = "label"
    if "label" not in fields and needs_label:
        raise InputError(
            f"{path}: there is no label column; the first row is {names}; "
            "--label_column names it"
        )
    if structure.has_header:
        guids = [i for i, name in enumerate(names) if name.lower() in ID_NAMES]
        if guids and fields[guids[0]] is None:
            fields[guids[0]] = "guid"
    return Columns(fields, structure.has_header, label_indices)


def _has_column(key, keys, structure):
    """Returns whether there is a column with a key of the train file.

    A number in place of a name counts in tables with as many columns only.
    """
    is_number = key.isdigit() and len(keys) == structure.num_columns
    return is_number or bool(find_name(key, keys))


def _numbers(names, structure, path):
    """Returns the numbers, as in `Structure.roles`, of the columns without a header.

    Raises:
      InputError: if the table is not like the train file, or has a header.
    """
    numbers = _numbers_from_one(structure.num_columns)
    if len(names) == len(numbers) - 1:
        numbers.remove(structure.roles.label)
    elif len(names) != len(numbers):
        raise InputError(
            f"{path}: {len(names)} columns, but the train file, which has no header, "
            f"has {structure.num_columns}; the first row is {names}"
        )
    if names[numbers.index(structure.roles.text)].lower() in _NAMES["text"]:
        raise InputError(
            f"{path}: the first row {names} looks like a header, but the train file "
            "has none; all files must be alike"
        )
    return numbers


def _numbers_from_one(count):
    return [str(number) for number in range(1, count + 1)]
