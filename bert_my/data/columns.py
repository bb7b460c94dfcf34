"""Which column of a table holds what: from a header, or from the number of columns."""

from typing import Dict, NamedTuple, Sequence

from bert_my.data.errors import InputError
from bert_my.data.features import Example


class Layout(NamedTuple):
    """What a data set's tables may look like.

    names: field of `Example` -> names that a header may give its column.
    without_header: the fields in order, for each number of columns.
    labels: what a label may be; a row with a label is no header.
    """

    names: Dict[str, Sequence[str]]
    without_header: Sequence[Sequence[str]]
    labels: Sequence[str]


class Columns(NamedTuple):
    """The field of each column, None for one that is not read."""

    fields: Sequence[str]
    is_header: bool

    def parse_row(self, row):
        """Returns the `Example` of a list of cells; an empty label is none."""
        values = {
            field: cell for field, cell in zip(self.fields, row) if field is not None
        }
        values["label"] = values.get("label", "").strip() or None
        return Example(**values)


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
    has_label = any(cell.strip() in layout.labels for cell in first_row)
    fields = [] if has_label else _from_header(first_row, layout)
    is_header = any(fields)
    if not is_header:
        fields = _from_count(first_row, layout, needs_label)
    known = [field for field in fields if field is not None]
    needed = {"text_a", "label"} if needs_label else {"text_a"}
    if not needed <= set(known) or len(set(known)) < len(known):
        choices = [
            ",".join(layout.names[field][0] for field in fields)
            for fields in layout.without_header
            if needed <= set(fields)
        ]
        raise InputError(
            f"{where}: found {first_row}, but expected the columns "
            f"{' or '.join(choices)}, with label one of {', '.join(layout.labels)}; or "
            "a header with these names, each at most once"
        )
    return Columns(fields, is_header)


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
        if "label" not in fields and not needs_label:
            return fields
        if "label" in fields:
            label = row[fields.index("label")].strip()
            if label in layout.labels or (not label and not needs_label):
                return fields
    return []
