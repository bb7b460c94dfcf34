"""Finds the columns of a table that has a column with a 0 or 1 for each label.

Their headers are such as `id,comment_text,toxic,severe_toxic`.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

from bert_my.common.errors import InputError
from bert_my.data import column_roles, sniffing
from bert_my.data.column_roles import Roles
from bert_my.data.columns import is_bit


class Wanted(NamedTuple):
    """What the flags and the task tell of the columns.

    labels: names of the label columns; empty if the header has them.
    num_labels: how many there are; None if not known.
    text: of `--text_column`, or None.
    text_names, label_names: names that a header may give the text, and the one column
      that holds all labels; a table with such a column is none of these.
    """

    labels: Tuple[str, ...]
    num_labels: Optional[int]
    text: Optional[str]
    text_names: Sequence[str]
    label_names: Sequence[str]


def find(path, wanted):
    """Returns the `sniffing.Structure` of a train file, or None for another table.

    Args:
      path: file.
      wanted: `Wanted`.

    Raises:
      InputError: if it is such a table, but the text or the labels cannot be told.
    """
    for dialect in sniffing.likely_dialects(path):
        try:
            header, *rows = sniffing.sample(path, dialect)
        except InputError:
            continue
        names = [cell.strip() for cell in header]
        columns = [[cell or "" for cell in column] for column in zip(*rows)]
        if not columns or {name.lower() for name in names} & set(wanted.label_names):
            continue
        found = _find_in(names, columns, wanted, path)
        if found is not None:
            text, labels = found
            return sniffing.Structure(
                Roles(text=text), True, len(names), dialect, labels
            )
    return None


def _find_in(names, columns, wanted, path):
    """Returns (name of the text, tuple of names of the labels), or None."""
    if wanted.labels:
        if len(wanted.labels) < 2 or not set(wanted.labels) <= set(names):
            return None
        text = _find_text(names, columns, wanted, wanted.labels, path)
        if text is None:
            raise InputError(
                f"{path}: cannot tell which column is the text in a table that begins "
                f"with {names}; give --text_column=NAME, or its number from 1"
            )
        return names[text], wanted.labels
    bits = [
        index
        for index, column in enumerate(columns)
        if all(map(is_bit, column)) and names[index] and not is_bit(names[index])
    ]
    taken = [names[index] for index in bits]
    text = _find_text(names, columns, wanted, taken, path)
    labels = [] if text is None else [names[index] for index in bits if index > text]
    if len(labels) < 2:
        return None
    if len(labels) != wanted.num_labels:
        given = "" if wanted.num_labels is None else f"--num_labels={wanted.num_labels}"
        raise InputError(
            f"{path}: {given and given + ', but '}behind the text there are "
            f"{len(labels)} columns of zeros and ones: {', '.join(labels)}; give "
            f"--num_labels={len(labels)}, or --labels with the names of the columns"
        )
    return names[text], tuple(labels)


def _find_text(names, columns, wanted, labels, path):
    """Returns the index of the text, or None if that is not clear."""
    if wanted.text is not None:
        return column_roles.index_of(wanted.text, names, path)
    free = [
        index
        for index, name in enumerate(names)
        if name not in labels and name.lower() not in column_roles.ID_NAMES
    ]
    known = [index for index in free if names[index].lower() in wanted.text_names]
    texts = known or [
        index
        for index in free
        if column_roles.num_words(columns[index]) >= column_roles.WORDS_OF_A_TEXT
    ]
    return texts[0] if len(texts) == 1 else None
