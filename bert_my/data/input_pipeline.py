"""`tf.data` pipelines from records to batches for all towers together.

Records are any object with `num_examples`, `read(seed)`, which returns a dataset of the
rows of one epoch, shuffled unless the seed is None, and `parse(rows)`, which turns a
batch of rows into a dict name -> tensor `[num_rows, ...]`.

Records whose rows are numbers from 0, int64, may have the `lengths` of all in tokens,
the `seq_length` that none exceeds, and `parse(rows, padded_lengths)`, which pads to the
first of some lengths that holds these rows. Then `length_buckets` chooses the order.

A batch with too few rows is filled up with rows of zeros. The feature `is_real_example`
is 0.0 for those, and losses are weighted with it, so they change nothing. The batches
of training have one, static size.
"""

import functools

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.data import length_buckets


def train_batches(
    records, global_batch_size, num_rows, seed, first_row=0, padded_lengths=None
):
    """Returns the batches of a training run, shuffled anew every epoch.

    They hold `num_rows` rows, epoch after epoch; only the last batch may have rows of
    zeros. After the last batch it begins again, for a run in which steps were skipped.

    Args:
      records: see the top of this file.
      global_batch_size: rows of a batch, for all towers together.
      num_rows: of the whole run, > 0.
      seed: int; the same seed gives the same batches.
      first_row: rows to leave out, as a run that is resumed has seen them.
      padded_lengths: (optional) what batches of rows of like length are padded to, see
        `length_buckets.choose`; for records that have lengths.

    Returns:
      `tf.data.Dataset` of dicts name -> `[global_batch_size, ...]`.
    """
    first_row %= num_rows
    if padded_lengths is None:
        dataset = records.read(seed).repeat().take(num_rows)
        rest = dataset.skip(first_row).batch(global_batch_size)
        again = dataset.batch(global_batch_size).repeat()
        return _parse(rest.concatenate(again), records.parse, global_batch_size)
    order = length_buckets.TrainOrder(records.lengths, global_batch_size, seed)

    def batch(begin):
        rows = order.rows(begin, min(begin + global_batch_size, num_rows))
        return rows, global_batch_size

    begins = tf.data.Dataset.range(first_row, num_rows, global_batch_size)
    again = tf.data.Dataset.range(0, num_rows, global_batch_size).repeat()
    dataset = _indices(begins.concatenate(again), batch)
    parse = functools.partial(records.parse, padded_lengths=padded_lengths)
    return _parse(dataset, parse, global_batch_size)


def eval_batches(records, global_batch_size, order=None):
    """Returns the batches of one pass over all examples.

    Args:
      records, global_batch_size: see `train_batches`.
      order: (optional) `length_buckets.PassOrder`, with batches of its own sizes;
        without it, the rows are in theirs.

    Returns:
      `tf.data.Dataset` of dicts name -> `[batch_size, ...]`.
    """
    if order is None:
        dataset = records.read().batch(global_batch_size)
        return _parse(dataset, records.parse, global_batch_size)

    begins = np.concatenate([window[:-1] for window in order.windows])
    ends = np.append(begins[1:], len(order.rows))

    def batch(number):
        rows = order.rows[begins[number] : ends[number]]
        return rows.astype(np.int64), order.sizes[number]

    numbers = tf.data.Dataset.range(len(begins))
    parse = functools.partial(records.parse, padded_lengths=order.padded_lengths)
    return _parse(_indices(numbers, batch), parse)


def _indices(numbers, batch):
    """Returns batches of indices, each with the rows that it is filled up to.

    They are made when they are needed: as a constant they would be part of the graph,
    which is saved with every checkpoint.

    Args:
      numbers: `tf.data.Dataset` of int64.
      batch: function of such a number that returns the two.
    """

    def indices(number):
        rows, size = tf.numpy_function(batch, [number], [tf.int64, tf.int64])
        rows.set_shape([None])
        size.set_shape([])
        return rows, tf.cast(size, tf.int32)

    return numbers.map(indices)


def _parse(dataset, parse_rows, batch_size=None):
    """Returns the features of batches of rows, filled up.

    Args:
      dataset: `tf.data.Dataset` of batches of rows, or of pairs with their sizes.
      parse_rows: see `parse` at the top of this file.
      batch_size: rows of every batch, or None if they have sizes of their own.
    """

    def parse(rows, size=None):
        features = parse_rows(rows)
        num_rows = tf.shape(next(iter(features.values())))[0]
        features["is_real_example"] = tf.ones([num_rows], tf.float32)
        size = batch_size or size
        return {name: fill_up(value, size) for name, value in features.items()}

    def fill_up(value, size):
        missing = size - tf.shape(value)[0]
        paddings = [[0, missing]] + [[0, 0]] * (value.shape.ndims - 1)
        value = tf.pad(value, paddings)
        value.set_shape([batch_size, *value.shape.as_list()[1:]])
        return value

    return dataset.map(parse, num_parallel_calls=2).prefetch(2)


def next_features(dataset):
    """Returns (tensors of the next batch, op that begins with the first one)."""
    iterator = tf.data.make_initializable_iterator(dataset)
    return iterator.get_next(), iterator.initializer
