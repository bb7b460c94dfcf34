"""`tf.data` pipelines from records to batches for all towers together.

Records are any object with these attributes:

- `num_examples`: the number of rows.
- `lengths`: of the rows in tokens, int32 `[num_examples]`, or None if not known.
- `seq_length`: the most tokens of a row, if `lengths` are known.
- `block_starts`: see `row_order.BlockOrder`, if `lengths` are not known.
- `parse(rows, padded_lengths=None)`: turns numbers of rows, int64 `[num_rows]`, into a
  dict name -> tensor `[num_rows, ...]`. Sequences are padded to the first of some
  lengths that holds all these rows.

`row_order` decides which rows make a batch. A batch with too few rows is filled up with
rows of zeros. The feature `is_real_example` is 0.0 for rows of zeros; losses are
weighted with it, so these rows change nothing. All batches of training have the same,
static size.
"""

import functools

import numpy as np
import tensorflow.compat.v1 as tf


def train_batches(
    records,
    order,
    batch_size,
    num_rows,
    first_row=0,
    padded_lengths=None,
    filled_size=None,
):
    """Returns the batches of a training run.

    They hold `num_rows` rows; only the last batch may have rows of zeros. After the
    last batch the run begins again, for a run in which steps were skipped.

    Args:
      records: see the top of this file.
      order: one of the orders for training in `row_order`.
      batch_size: rows of a batch, for all towers together.
      num_rows: of the whole run, > 0.
      first_row: place to begin at: the number of rows that a resumed run has consumed.
      padded_lengths: (optional) see `row_order.choose_lengths`.
      filled_size: number of rows that a batch is filled up to; default: `batch_size`.
        Less than that, if the run has fewer rows.

    Returns:
      `tf.data.Dataset` of dicts name -> `[filled_size, ...]`.
    """
    first_row %= num_rows
    filled_size = filled_size or batch_size

    def batch(begin):
        return order.rows(begin, min(begin + batch_size, num_rows)), filled_size

    rest = tf.data.Dataset.range(first_row, num_rows, batch_size)
    again = tf.data.Dataset.range(0, num_rows, batch_size).repeat()
    parse = functools.partial(records.parse, padded_lengths=padded_lengths)
    return _read(rest.concatenate(again), batch, parse, filled_size)


def eval_batches(records, order):
    """Returns the batches of one pass over all examples.

    Args:
      records: see the top of this file.
      order: `row_order.PassOrder`, whose batches have sizes of their own.

    Returns:
      `tf.data.Dataset` of dicts name -> `[size, ...]`.
    """
    begins = np.concatenate([window[:-1] for window in order.windows])
    ends = np.append(begins[1:], order.windows[-1][-1])

    def batch(number):
        return order.rows(begins[number], ends[number]), order.sizes[number]

    parse = functools.partial(records.parse, padded_lengths=order.padded_lengths)
    return _read(tf.data.Dataset.range(len(begins)), batch, parse)


def _read(numbers, batch, parse_rows, batch_size=None):
    """Returns a dataset of batches, filled up.

    The row numbers of a batch are computed when the batch is needed: as a constant they
    would be part of the graph, which is saved with every checkpoint.

    Args:
      numbers: `tf.data.Dataset` of int64.
      batch: function of such a number that returns (rows, number of rows to fill up
        to).
      parse_rows: see `parse` at the top of this file.
      batch_size: the number of rows of every batch, or None if they differ.
    """

    def find_rows(number):
        rows, size = tf.numpy_function(batch, [number], [tf.int64, tf.int64])
        rows.set_shape([None])
        size.set_shape([])
        return rows, tf.cast(size, tf.int32)

    def parse(rows, size):
        features = parse_rows(rows)
        features["is_real_example"] = tf.ones_like(rows, tf.float32)
        missing = size - tf.size(rows)
        return {name: fill_up(value, missing) for name, value in features.items()}

    def fill_up(value, missing):
        paddings = [[0, missing]] + [[0, 0]] * (value.shape.ndims - 1)
        value = tf.pad(value, paddings)
        value.set_shape([batch_size, *value.shape.as_list()[1:]])
        return value

    # Rows are found one batch after the other: an order keeps its last window.
    dataset = numbers.map(find_rows).map(parse, num_parallel_calls=2)
    return dataset.prefetch(2)


def next_features(dataset):
    """Returns (tensors of the next batch, op that begins with the first one)."""
    iterator = tf.data.make_initializable_iterator(dataset)
    return iterator.get_next(), iterator.initializer
