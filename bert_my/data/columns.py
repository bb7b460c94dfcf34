"""Which column of a table holds what: from a header, or from the number of columns."""

import re
from typing import Callable, Dict, NamedTuple, Optional, Sequence

from bert_my.common.errors import InputError

# Two words, or a Chinese sentence: what an id is not.
_TEXT = re.compile(r"[^\W\d_]{2}\s+[^\W\d_]{2}|[\u3040-\u9fff]{5}")
# Tables that were written from numbers with gaps have a point.
_BITS = {"0": "0", "1": "1", "0.0": "0", "1.0": "1"}


class Layout(NamedTuple):
    """What a data set's tables may look like.

    names: field -> names that a header may give its column.
    without_header: the fields in order, for each number of columns; None for a column
      that is not read.
    is_label: whether a cell can be a label; a row with a label is no header. None if
      the labels are not known yet.
    label_hint: what a label is, for errors.
    """

    names: Dict[str, Sequence[str]]
    without_header: Sequence[Sequence[Optional[str]]]
    is_label: Optional[Callable[[str], bool]]
    label_hint: str


class Columns(NamedTuple):
    """The field of each column, None for one that is not read.

    label_indices: of the columns that hold a 0 or 1 for each label, in the order of the
      labels; empty if one column holds the label.
    """

    fields: Sequence[Optional[str]]
    has_header: bool
    label_indices: Sequence[int] = ()

    def values(self, row):
        """Returns a dict field -> cell of a row; without a label that is not there.

        Raises:
          ValueError: if the row lacks a text, as an object of JSON lines may, or if the
            column of one of many labels holds something else than 0 or 1.
        """
        values = dict(zip(self.fields, row))
        values.pop(None, None)
        if self.label_indices:
            values["label"] = _joined([row[index] for index in self.label_indices])
        for field in ("text_a", "text_b"):
            if field in values and values[field] is None:
                raise ValueError(f"there is no {field}")
        if None not in values.values():
            return values
        return {field: cell for field, cell in values.items() if cell is not None}


def is_id(cell):
    """Returns whether a cell can be the name of a row: 17, or `train-17`."""
    return bool(re.fullmatch(r"\S*\d\S*", cell))


def is_bit(cell):
    """Returns whether a cell is a 0 or 1."""
    return cell is not None and cell.strip() in _BITS


def _joined(cells):
    """Returns zeros and ones as one cell, "0,1,1"; None if all are empty."""
    if not any(cells):
        return None
    wrong = [cell for cell in cells if not is_bit(cell)]
    if wrong:
        raise ValueError(f"a column of a label holds {wrong[0]!r} instead of 0 or 1")
    return ",".join(_BITS[cell.strip()] for cell in cells)


def check_width(row, num_columns, dialect, path):
    """Raises an `InputError` for a `readers.Row` with another number of columns."""
    if len(row.cells) != num_columns:
        raise InputError(
            f"{path}:{row.line}: {len(row.cells)} columns, but the first row of the "
            f"file has {num_columns}; it is read as {dialect}"
        )


def detect(first_row, layout, needs_label, where):
    """Returns the `Columns` of a table.

    Args:
      first_row: list of cells.
      layout: `Layout`.
      needs_label: whether a table without labels is an error.
      where: file and line, for the error.

    Raises:
      InputError: if the row fits neither a header nor a table without one.
    """
    is_known = layout.is_label is not None
    cells = [cell.strip() for cell in first_row]
    has_label = is_known and any(map(layout.is_label, filter(None, cells)))
    fields = [] if has_label else _from_header(first_row, layout)
    has_header = any(fields)
    if not has_header:
        fields = _from_count(first_row, layout, needs_label)
    known = [field for field in fields if field is not None]
    needed = {"text_a", "label"} if needs_label else {"text_a"}
    if not needed <= set(known) or len(set(known)) < len(known):
        choices = [
            ",".join(layout.names[field][0] if field else "-" for field in fields)
            for fields in layout.without_header
            if needed <= set(fields)
        ]
        choices += [
            "a header with " + ", ".join(layout.names[field][0] for field in names)
            for names in [[n for n in layout.names if n in {"text_b", *needed}]]
        ]
        raise InputError(
            f"{where}: found {first_row}, but expected the columns "
            f"{' or '.join(choices)} (each at most once), with label "
            f"{layout.label_hint}; --text_column, --text_pair_column and "
            "--label_column can name the columns"
        )
    return Columns(fields, has_header)


def _from_header(row, layout):
    fields = {name: field for field, names in layout.names.items() for name in names}
    columns = [fields.get(cell.strip().lower()) for cell in row]
    # One name among several cells may be a title that is just "Text".
    num_known = sum(field is not None for field in columns)
    return columns if num_known >= min(2, len(row)) else []


def _from_count(row, layout, needs_label):
    for fields in layout.without_header:
        if len(fields) != len(row):
            continue
        if "guid" in fields and _TEXT.search(row[fields.index("guid")]):
            continue
        if "label" not in fields and not needs_label:
            return fields
        if "label" in fields:
            label = row[fields.index("label")].strip()
            is_label = bool if layout.is_label is None else layout.is_label
            if is_label(label) or (not label and not needs_label):
                return fields
    return []
