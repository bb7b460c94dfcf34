"""Orders in which rows are read, and the lengths that their batches are padded to.

Rows are read at random, by length, by blocks, or as in the file. An order gives the
numbers of the rows at some places of a run. A training run reads all rows, epoch after
epoch: place p is in epoch `p // num_rows`. The row at a place depends on the seed and
the place alone, so a run is resumed at any place.

Padding changes no result and costs as much time as text, so rows of like length share a
batch, and a batch is padded to the next of a few lengths.
"""

from typing import NamedTuple, Optional, Tuple

import numpy as np

from bert_my.data.features import LENGTH_STEP

AUTO, OFF = "auto", "off"
MODES = (AUTO, OFF)  # of --length_buckets
# Batches of a training run among which rows are sorted by length. More batches give
# less padding, and fewer let rows meet others by chance.
WINDOW_BATCHES = 100
# Blocks of neighbouring rows whose rows are shuffled together: about 100,000 instances
# of pretraining.
WINDOW_BLOCKS = 200
# A window of a forward pass: rows that are sorted by length, and whose results are kept
# until they are in the file's order. It has at most PASS_ROWS rows and PASS_TOKENS
# tokens, but always PASS_BATCHES batches.
PASS_ROWS = 4096
PASS_TOKENS = 1 << 18
PASS_BATCHES = 16
# With more tokens in a batch the matrix products of a CPU do not get faster.
CPU_BATCH_TOKENS = 2048
# Different numbers of rows of the batches that end a window: oneDNN makes and keeps
# kernels for each shape.
NUM_SHORT_SIZES = 8
# Different lengths to pad to: a compiler makes a program for each.
NUM_LENGTHS = 24


class RandomOrder:
    """All rows in random order, another one in each epoch.

    num_rows: of an epoch.
    """

    def __init__(self, num_rows, seed):
        """Makes an order.

        Args:
          num_rows: of an epoch.
          seed: int; the same seed gives the same order.
        """
        self.num_rows = num_rows
        self._seed = seed
        # The window that was read last: its epoch, its first place, and its rows.
        self._epoch, self._first, self._window = None, 0, ()

    def rows(self, begin, end):
        """Returns the numbers of the rows at some places: int64 `[end - begin]`.

        Args:
          begin, end: the first place, from 0, and the one after the last.
        """
        parts = []
        while begin < end:
            # Not NumPy's integers: their products overflow.
            epoch, place = divmod(int(begin), self.num_rows)
            index = place - self._first
            if epoch != self._epoch or not 0 <= index < len(self._window):
                self._first, self._window = self._shuffle(epoch, place)
                self._epoch, index = epoch, place - self._first
            parts.append(self._window[index : index + end - begin])
            begin += len(parts[-1])
        return np.concatenate(parts)

    def _shuffle(self, epoch, place):
        """Returns a window of rows that are shuffled together.

        Args:
          epoch: number of the epoch, from 0.
          place: a place of the epoch that the window is to hold.

        Returns:
          (first place of the window in the epoch, rows in their order: int64).
        """
        seeds = _tf_data_shuffle(self._seed, epoch)
        return 0, np.random.RandomState(seeds).permutation(self.num_rows)


class LengthOrder(RandomOrder):
    """Rows of like length in a batch, and the batches in random order.

    An epoch is all rows in random order, cut into windows of batches. The rows of a
    window are sorted by length, cut into batches, and the batches shuffled. A run is
    cut into batches from its first row on: an epoch may begin and end within a batch.
    The rows of such a batch stay in random order.

    Lengths that are padded alike on every device count as the same, so that rows meet
    others in each epoch, and a run may be resumed on another device.
    """

    def __init__(self, lengths, batch_size, seed):
        """Makes an order.

        Args:
          lengths: of the rows in tokens, int `[num_rows]`.
          batch_size: rows of a batch, for all towers together.
          seed: int; the same seed gives the same order.
        """
        super().__init__(len(lengths), seed % (1 << 32))
        steps = np.arange(0, lengths.max() + LENGTH_STEP, LENGTH_STEP)
        borders = np.union1d(choose_lengths(lengths), steps)
        self._buckets = np.searchsorted(borders, lengths)
        self._batch_size = batch_size

    def _shuffle(self, epoch, place):
        random = np.random.RandomState([self._seed, epoch])
        num_rows, batch_size = self.num_rows, self._batch_size
        rows = random.permutation(num_rows)
        # The first batch without rows of the epoch before.
        begin = -epoch * num_rows % batch_size
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
        return 0, rows


class BlockOrder(RandomOrder):
    """Rows near one another in the file in random order, for files read by blocks.

    The blocks of an epoch are shuffled and cut into windows, and the rows of a window
    are shuffled. So each block is read once an epoch, and the memory that it takes does
    not grow with the file.
    """

    def __init__(self, block_starts, seed):
        """Makes an order.

        Args:
          block_starts: number of the first row of each block, and the number of rows:
            int `[num_blocks + 1]`.
          seed: int; the same seed gives the same order.
        """
        super().__init__(int(block_starts[-1]), seed % (1 << 32))
        self._starts = block_starts

    def _shuffle(self, epoch, place):
        random = np.random.RandomState([self._seed, epoch])
        blocks = random.permutation(len(self._starts) - 1)
        ends = np.cumsum(np.diff(self._starts)[blocks])
        # Windows of about the same number of blocks.
        num_windows = -(-len(blocks) // WINDOW_BLOCKS)
        borders = np.arange(num_windows + 1) * len(blocks) // num_windows
        window_ends = ends[borders[1:] - 1]
        window = int(np.searchsorted(window_ends, place, side="right"))
        rows = np.concatenate(
            [
                np.arange(self._starts[block], self._starts[block + 1])
                for block in blocks[borders[window] : borders[window + 1]]
            ]
        )
        random = np.random.RandomState([self._seed, epoch, window])
        return int(window_ends[window]) - len(rows), random.permutation(rows)


def _tf_data_shuffle(seed, epoch):
    """Returns the first 4 numbers that `tf.data` gives in an epoch.

    The dataset is `Dataset.range(4096).shuffle(4096, seed).repeat()` in a graph with
    the same seed. Older versions took the seeds of an epoch from it, and their runs are
    resumed in their order.

    Source: `shuffle_dataset_op.cc` of TensorFlow. An epoch has 2 numbers of one
    generator as seeds of another one, which picks the places to swap.
    """
    seed %= (1 << 31) - 1
    block, place = divmod(2 * epoch, 4)
    seeds = _philox(seed, seed or (1 << 31) - 1, block)[place : place + 2]
    numbers = list(range(1 << 12))
    for index, draw in enumerate(_philox(*seeds, 0)):
        other = index + draw % (len(numbers) - index)
        numbers[index], numbers[other] = numbers[other], numbers[index]
    return numbers[:4]


def _philox(seed, seed2, block):
    """Returns a block of 4 random 32-bit numbers.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
    Philox-4x32-10, with the key `seed` and the upper half of the counter `seed2`.
    """
    mask = (1 << 32) - 1
    key = [seed & mask, seed >> 32]
    counter = [block & mask, block >> 32, seed2 & mask, seed2 >> 32]
    for _ in range(10):
        a, b = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            b >> 32 ^ counter[1] ^ key[0],
            b & mask,
            a >> 32 ^ counter[3] ^ key[1],
            a & mask,
        ]
        key = [key[0] + 0x9E3779B9 & mask, key[1] + 0xBB67AE85 & mask]
    return counter


def for_training(records, batch_size, seed, mode):
    """Returns the order of a training run.

    Args:
      records: see `batches`.
      batch_size: rows of a batch, for all towers together.
      seed: int.
      mode: one of `MODES`.
    """
    if records.lengths is None:
        return BlockOrder(records.block_starts, seed)
    if mode == OFF:
        return RandomOrder(records.num_examples, seed)
    return LengthOrder(records.lengths, batch_size, seed)


class PassOrder(NamedTuple):
    """Order and batches of a forward pass, window by window.

    Within a window the longest rows come first, so the first batch needs the most
    memory. Batches of short rows have more rows: about as many tokens as a batch of the
    longest rows may have.

    sorted_rows: numbers of the rows by place, int32 `[num_rows]`, or int64 where they
      need to be; None for the order of the file.
    windows: for each window the places where its batches begin, and where the last one
      ends.
    sizes: number of rows that each batch is filled up to, int64 `[num_batches]`.
    padded_lengths: see `choose_lengths`.
    """

    sorted_rows: Optional[np.ndarray]
    windows: Tuple[np.ndarray, ...]
    sizes: np.ndarray
    padded_lengths: Optional[Tuple[int, ...]]

    @classmethod
    def in_file_order(cls, num_rows, batch_size):
        """Returns the order of the file, in which each window is one batch.

        Args:
          num_rows: int.
          batch_size: rows that each batch is filled up to, for all towers together.
        """
        borders = np.append(np.arange(0, num_rows, batch_size), num_rows)
        sizes = np.full(len(borders) - 1, batch_size, np.int64)
        return cls(None, tuple(zip(borders, borders[1:])), sizes, None)

    @classmethod
    def of(cls, records, batch_size, num_towers, has_gpus):
        """Returns the order for some records.

        Args:
          records: see `batches`.
          batch_size: rows of one tower in a batch of rows of `records.seq_length`.
          num_towers: number of towers among which a batch is split.
          has_gpus: bool.
        """
        lengths = records.lengths
        # Of a small set no batch is padded further than its towers need.
        batch_size = min(batch_size, -(-records.num_examples // num_towers))
        if lengths is None:
            return cls.in_file_order(records.num_examples, batch_size * num_towers)
        longest = max(int(lengths.max()), 1)
        padded_lengths = choose_lengths(
            lengths,
            # A forward pass on a CPU is not compiled: any number of lengths is right.
            NUM_LENGTHS if has_gpus else longest,
            step_on(has_gpus),
            records.seq_length,
        )
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
        return cls(rows, tuple(windows), np.concatenate(sizes), padded_lengths)

    def rows(self, begin, end):
        """Returns the numbers of the rows at some places, int64 `[end - begin]`."""
        if self.sorted_rows is None:
            return np.arange(begin, end)
        return self.sorted_rows[begin:end].astype(np.int64)


def _borders(row_sizes):
    """Cuts rows into batches.

    Args:
      row_sizes: the most rows of a batch that begins with each row, int `[num_rows]`.

    Returns:
      int64 `[num_batches + 1]`: the first row of each batch, and the number of rows.
    """
    borders = [0]
    while borders[-1] < len(row_sizes):
        borders.append(min(borders[-1] + int(row_sizes[borders[-1]]), len(row_sizes)))
    return np.array(borders, np.int64)


def _filled(num_rows, most_rows, num_towers):
    """Returns the rows of batches after they are filled up, int `[num_batches]`.

    Args:
      num_rows: real rows of each batch.
      most_rows: the most rows of each batch, multiples of `num_towers`.
      num_towers: int.
    """
    steps = num_towers * -(-most_rows // (num_towers * NUM_SHORT_SIZES))
    return np.minimum(-(-num_rows // steps) * steps, most_rows)


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
