"""Facts on records that decide what a model can learn from them."""

import numpy as np

# Rows that are looked at, in runs that are spread evenly over larger sets.
MOST_ROWS = 50000
_RUN_ROWS = 1000


def unknown_share(records, unknown_id, special_ids):
    """Returns the share of the unknown token among the tokens of texts, 0 to 1.

    Args:
      records: with the features `input_ids` and `input_mask`, see `record_files`.
      unknown_id: id of the unknown token.
      special_ids: ids of tokens that stand beside the texts.
    """
    num_unknown = num_tokens = 0
    for rows in _runs(records):
        ids = rows["input_ids"][rows["input_mask"] > 0]
        num_unknown += int(np.sum(ids == unknown_id))
        num_tokens += int(np.sum(~np.isin(ids, special_ids)))
    return num_unknown / max(num_tokens, 1)


def has_one_text(records):
    """Returns whether all rows have the same tokens."""

    def texts(rows):
        # Without the padding, which differs from one run of rows to the next.
        return (row.tobytes().rstrip(b"\0") for row in rows["input_ids"])

    return _has_one_kind(records, texts)


def has_one_label(records, spec):
    """Returns whether all rows have the same label, or all tokens the same tag.

    Args:
      records: see `record_files`.
      spec: `FeatureSpec` of the labels. In a sequence 0 stands for no label.
    """

    def labels(rows):
        values = rows[spec.name]
        if None in spec.shape:
            return np.unique(values[values != 0]).tolist()
        return map(bytes, values)

    return _has_one_kind(records, labels)


def _has_one_kind(records, values_of):
    """Returns whether a function from rows gives the same value for all rows."""
    kinds = set()
    for rows in _runs(records, records.num_examples):
        kinds.update(values_of(rows))
        if len(kinds) > 1:
            return False
    return True


def _runs(records, most=MOST_ROWS):
    """Yields features of neighbouring rows, of at most so many rows in all."""
    begins = range(0, records.num_examples, _RUN_ROWS)
    step = max(len(begins) * _RUN_ROWS // most, 1)
    for begin in begins[::step]:
        end = min(begin + _RUN_ROWS, records.num_examples)
        yield records.gather(np.arange(begin, end))
