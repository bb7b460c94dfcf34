"""The lengths that batches are padded to.

Padding changes no result and costs as much time as text. There are to be few different
lengths, because a compiler makes a program for each.
"""

import numpy as np

from bert_my.data.features import LENGTH_STEP

NUM_LENGTHS = 24


def step_on(has_gpus):
    """Returns the `step` of `choose_lengths` for a device.

    The matrix units of a GPU need multiples; on a CPU they would only be more padding.
    """
    return LENGTH_STEP if has_gpus else 1


def choose_lengths(lengths, num_lengths=NUM_LENGTHS, step=1, max_length=None):
    """Chooses the lengths to pad to, so that there is as little padding as possible.

    The choice is optimal for rows that are padded one by one to the next of these
    lengths.

    Args:
      lengths: of the rows, int `[num_rows]`.
      num_lengths: the most lengths to choose.
      step: the lengths are multiples of it, except `max_length`.
      max_length: (optional) upper bound of the lengths; no row is longer.

    Returns:
      ascending tuple of ints; the last one holds the longest row.
    """
    rounded = -(-np.asarray(lengths, np.int64) // step) * step
    if max_length is not None:
        rounded = np.minimum(rounded, max_length)
    values, counts = np.unique(rounded, return_counts=True)
    ends = np.cumsum(counts)
    begins = (ends - counts)[:, None]
    # [first, last]: token slots of the rows from one value to another, padded alike.
    slots = np.where(begins < ends, values * (ends - begins), np.inf)
    # [last]: the fewest slots of all rows up to a value, with the lengths so far.
    fewest, firsts = slots[0], []
    for _ in range(min(num_lengths, len(values)) - 1):
        totals = fewest[:-1, None] + slots[1:]
        firsts.append(totals.argmin(axis=0) + 1)
        fewest = totals.min(axis=0)
    chosen = [len(values) - 1]
    for first in reversed(firsts):
        chosen.append(first[chosen[-1]] - 1)
    return tuple(values[chosen[::-1]].tolist())


def share_of_padding(lengths, batch_size, padded_lengths):
    """Returns the share of padding among all token slots, 0 to 1.

    Args:
      lengths: of the rows in the order in which they are read, int `[num_rows]`.
      batch_size: rows of a batch; rows that fill up the last one do not count.
      padded_lengths: see `choose_lengths`.
    """
    begins = np.arange(0, len(lengths), batch_size)
    longest = np.maximum.reduceat(lengths, begins)
    padded = np.asarray(padded_lengths)[np.searchsorted(padded_lengths, longest)]
    num_slots = np.sum(padded * np.diff([*begins, len(lengths)]))
    return 1.0 - np.sum(lengths, dtype=np.int64) / max(num_slots, 1)
