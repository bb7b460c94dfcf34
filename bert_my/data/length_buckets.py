"""Batches of rows of like length: which lengths to pad to, and the order of the rows.

Padding changes no result and costs as much time as text. A batch is padded to its
longest row, so rows of like length belong together; and there are to be few different
lengths, for a compiler makes a program for each.
"""

from typing import NamedTuple, Tuple

import numpy as np

from bert_my.data.features import LENGTH_STEP

AUTO, OFF = "auto", "off"
MODES = (AUTO, OFF)
NUM_BUCKETS = 24
# Batches of a training run among which rows are sorted. With more of them lengths are
# more alike, and with fewer rows meet others by chance.
WINDOW_BATCHES = 100
# The rows of a forward pass that are sorted, and whose results are kept until they can
# be put in order: so many, with so many tokens, unless that is only a few batches.
PASS_ROWS = 4096
PASS_TOKENS = 1 << 18
PASS_BATCHES = 16
# With more tokens in a batch the matrix products of a CPU do not get faster.
CPU_BATCH_TOKENS = 2048
# Batches that are cut short at the end of a window have one of so many numbers of rows:
# oneDNN makes and keeps kernels for each shape.
NUM_SHORT_SIZES = 8


def lengths_of(records):
    """Returns the tokens of each row, int32 `[num_examples]`, or None if not known.

    Args:
      records: see `input_pipeline`.
    """
    return getattr(records, "lengths", None)


def step_on(has_gpus):
    """Returns the number of which lengths are to be multiples, see `choose`.

    A GPU's matrix units want it; on a CPU it would only be more padding.
    """
    return LENGTH_STEP if has_gpus else 1


def choose(lengths, num_buckets=NUM_BUCKETS, step=1, max_length=None):
    """Chooses the lengths to pad to, so that there is as little padding as can be.

    That is exact for rows which are padded one by one to the next of these lengths.

    Args:
      lengths: of the rows, int `[num_rows]`.
      num_buckets: the most lengths to choose.
      step: they are multiples of it, but for `max_length`.
      max_length: (optional) what none of them may exceed; no row is longer.

    Returns:
      ascending tuple of ints; the last one holds the longest row.
    """
    rounded = -(-np.asarray(lengths, np.int64) // step) * step
    if max_length is not None:
        rounded = np.minimum(rounded, max_length)
    values, counts = np.unique(rounded, return_counts=True)
    ends = np.cumsum(counts)
    begins = (ends - counts)[:, None]
    # [first, last]: token slots of the rows from one value to another in one bucket.
    slots = np.where(begins < ends, values * (ends - begins), np.inf)
    # [last]: the fewest slots of all rows up to a value, in the buckets so far.
    fewest, firsts = slots[0], []
    for _ in range(min(num_buckets, len(values)) - 1):
        totals = fewest[:-1, None] + slots[1:]
        firsts.append(totals.argmin(axis=0) + 1)
        fewest = totals.min(axis=0)
    chosen = [len(values) - 1]
    for first in reversed(firsts):
        chosen.append(first[chosen[-1]] - 1)
    return tuple(values[chosen[::-1]].tolist())


def share_of_padding(lengths, batch_size, padded_lengths):
    """Returns which share of all token slots is padding, 0 to 1.

    Args:
      lengths: of the rows in the order in which they are seen, int `[num_rows]`.
      batch_size: rows of a batch; what fills up the last one does not count.
      padded_lengths: see `choose`.
    """
    begins = np.arange(0, len(lengths), batch_size)
    longest = np.maximum.reduceat(lengths, begins)
    padded = np.asarray(padded_lengths)[np.searchsorted(padded_lengths, longest)]
    num_slots = np.sum(padded * np.diff([*begins, len(lengths)]))
    return 1.0 - np.sum(lengths, dtype=np.int64) / max(num_slots, 1)


class TrainOrder:
    """The order in which a training run sees rows, epoch after epoch.

    An epoch is all rows in random order, cut into windows of batches. Those of a window
    are sorted by length, cut into batches, and the batches shuffled. A run is cut into
    batches from its first row on: an epoch may begin and end within one. The rows of
    such a batch stay in random order.

    Lengths that are padded alike on every device count as the same, so that rows meet
    others in each epoch, and a run may be resumed on another device.
    """

    def __init__(self, lengths, batch_size, seed):
        """Decides an order.

        Args:
          lengths: of the rows, int `[num_rows]`.
          batch_size: rows of a batch, for all towers together.
          seed: int; the same seed gives the same order.
        """
        steps = np.arange(0, lengths.max() + LENGTH_STEP, LENGTH_STEP)
        self._buckets = np.searchsorted(np.union1d(choose(lengths), steps), lengths)
        self._batch_size = batch_size
        self._seed = seed % (1 << 32)
        self._last = (None, None)

    def epoch(self, number):
        """Returns the indices of all rows in the order of an epoch: int64 `[num_rows]`.

        Args:
          number: of the epoch, from 0.
        """
        random = np.random.RandomState([self._seed, number])
        num_rows, batch_size = len(self._buckets), self._batch_size
        rows = random.permutation(num_rows)
        # Where the first batch begins that has no rows of the epoch before.
        begin = -number * num_rows % batch_size
        num_batches = max(num_rows - begin, 0) // batch_size
        # Windows of the same size: a small last one would be padded more.
        num_windows = max(-(-num_batches // WINDOW_BATCHES), 1)
        for index in range(num_windows):
            size = (num_batches + index) // num_windows
            window = rows[begin : begin + size * batch_size]
            by_length = window[np.argsort(self._buckets[window], kind="stable")]
            batches = random.permutation(by_length.reshape(size, batch_size))
            window[:] = batches.reshape(-1)
            begin += len(window)
        return rows

    def rows(self, begin, end):
        """Returns the indices of the rows at some places of a run: int64 `[number]`.

        Args:
          begin, end: the first place, from 0, and the one after the last.
        """
        num_rows = len(self._buckets)
        parts = []
        for number in range(begin // num_rows, -(-end // num_rows)):
            if self._last[0] != number:
                self._last = (number, self.epoch(number))
            first = number * num_rows
            parts.append(self._last[1][max(begin - first, 0) : end - first])
        return np.concatenate(parts)


class PassOrder(NamedTuple):
    """The order in which a forward pass sees rows, longest first within a window.

    So what needs the most memory comes first. Batches of short rows have more of them:
    about as many tokens as a batch of the longest rows may have.
    """

    rows: np.ndarray  # their indices, int32 `[num_rows]`, or int64 where it needs to be
    # The places where the batches of each window begin, and where the last one ends.
    windows: Tuple[np.ndarray, ...]
    padded_lengths: Tuple[int, ...]
    sizes: np.ndarray  # the rows that each batch is filled up to, int64 `[num_batches]`

    @classmethod
    def of(cls, records, batch_size, num_towers, has_gpus):
        """Returns the order for some records, or None if lengths are not known.

        Args:
          records: see `input_pipeline`.
          batch_size: rows of one tower in a batch of rows of `records.seq_length`.
          num_towers: among which a batch is split.
          has_gpus: bool.
        """
        lengths = lengths_of(records)
        if lengths is None:
            return None
        # A forward pass on a CPU is not compiled, so there may be any number of them.
        longest, step = max(int(lengths.max()), 1), step_on(has_gpus)
        num_buckets = NUM_BUCKETS if has_gpus else longest
        padded_lengths = choose(lengths, num_buckets, step, records.seq_length)
        most_tokens = batch_size * records.seq_length
        if not has_gpus:
            most_tokens = min(most_tokens, CPU_BATCH_TOKENS)
        most_rows = num_towers * np.maximum(
            most_tokens // np.maximum(padded_lengths, 1), batch_size
        )
        rows = np.empty(len(lengths), np.int32 if len(lengths) < 1 << 31 else np.int64)
        windows, sizes = [], []
        most = min(PASS_ROWS, PASS_TOKENS // longest)
        most = max(most, PASS_BATCHES * batch_size * num_towers)
        # Windows of about the same size.
        window_size = -(-len(lengths) // -(-len(lengths) // most))
        for begin in range(0, len(lengths), window_size):  # so that little is held
            window = lengths[begin : begin + window_size]
            order = np.argsort(-window, kind="stable")
            rows[begin : begin + len(window)] = begin + order
            row_sizes = most_rows[np.searchsorted(padded_lengths, window[order])]
            borders = _borders(row_sizes)
            windows.append(begin + borders)
            sizes.append(_filled(np.diff(borders), row_sizes[borders[:-1]], num_towers))
        return cls(rows, tuple(windows), padded_lengths, np.concatenate(sizes))


def _borders(row_sizes):
    """Cuts rows into batches.

    Args:
      row_sizes: how many rows a batch may have that begins with each of them.

    Returns:
      int64 `[num_batches + 1]`: the first row of each batch, and the number of rows.
    """
    borders = [0]
    while borders[-1] < len(row_sizes):
        borders.append(min(borders[-1] + int(row_sizes[borders[-1]]), len(row_sizes)))
    return np.array(borders, np.int64)


def _filled(num_rows, most_rows, num_towers):
    """Returns how many rows batches have when they are filled up, int `[num_batches]`.

    Args:
      num_rows: that are there.
      most_rows: that there may be, multiples of `num_towers`.
      num_towers: int.
    """
    steps = num_towers * -(-most_rows // (num_towers * NUM_SHORT_SIZES))
    return np.minimum(-(-num_rows // steps) * steps, most_rows)
