"""Instances of checked shards as records of a training run, see `batches`."""

import copy
import functools
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.data.features import LENGTH_STEP, FeatureSpec
from bert_my.pretrain.shards import BLOCK_ROWS

# Feature -> its width and the limit below which its values must be: each a number or a
# field of `Sizes`.
FEATURES = {
    "input_ids": ("max_seq_length", "vocab_size"),
    "input_mask": ("max_seq_length", 2),
    "segment_ids": ("max_seq_length", "type_vocab_size"),
    "masked_lm_positions": ("max_predictions_per_seq", "max_seq_length"),
    "masked_lm_ids": ("max_predictions_per_seq", "vocab_size"),
    "masked_lm_weights": ("max_predictions_per_seq", 2),
    "next_sentence_labels": (1, 2),
}


class Sizes(NamedTuple):
    """Sizes that the features of instances have to fit."""

    max_seq_length: int
    max_predictions_per_seq: int
    vocab_size: int
    type_vocab_size: int
    has_pairs: bool  # two segments, and labels of them

    @property
    def specs(self):
        """The tuple of `FeatureSpec` of the features that are read."""
        return tuple(
            FeatureSpec(
                name,
                (self._number(width),),
                "float32" if name == "masked_lm_weights" else "int32",
            )
            for name, (width, _) in FEATURES.items()
            if self.has_pairs or name != "next_sentence_labels"
        )

    @property
    def limits(self):
        """Dict name -> the number below which all values of a feature must be."""
        return {spec.name: self._number(FEATURES[spec.name][1]) for spec in self.specs}

    def _number(self, size):
        return getattr(self, size) if isinstance(size, str) else size


class Instances:
    """The instances of some shards, read block by block.

    shards: tuple of `Shard`, all of the same format.
    sizes: `Sizes`.
    num_examples: number of instances.
    block_starts: number of the first row of each block, and the number of rows:
      int64 `[num_blocks + 1]`.
    """

    lengths = None  # rows are stored with their padding

    def __init__(self, shards, sizes, num_held_blocks=2):
        """Reads nothing yet.

        Args:
          shards: list of `Shard`, not empty.
          sizes: `Sizes`.
          num_held_blocks: blocks that stay in memory after they were read.
        """
        self.shards = tuple(shards)
        self.sizes = sizes
        counts = np.array([shard.num_examples for shard in shards])
        starts = np.cumsum(counts) - counts
        self.num_examples = int(counts.sum())
        self.block_starts = np.concatenate(
            [
                start + np.arange(0, count, BLOCK_ROWS)
                for start, count in zip(starts, counts)
            ]
            + [[self.num_examples]]
        )
        num_blocks = -(-counts // BLOCK_ROWS)
        self._first_blocks = np.cumsum(num_blocks) - num_blocks
        self._block = functools.lru_cache(num_held_blocks)(self._read_block)

    def head(self, num_rows):
        """Returns the first `num_rows` instances."""
        found = copy.copy(self)
        found.num_examples = num_rows
        return found

    def _read_block(self, number):
        shard = int(np.searchsorted(self._first_blocks, number, side="right")) - 1
        index = number - int(self._first_blocks[shard])
        return self.shards[shard].read_block(index, self.sizes.specs)

    def _find(self, rows):
        """Returns a list of (block, place in it) of rows."""
        blocks = np.searchsorted(self.block_starts, rows, side="right") - 1
        places = rows - self.block_starts[blocks]
        return list(zip(map(self._block, blocks.tolist()), places.tolist()))

    def parse(self, rows, padded_lengths=None):
        """Returns the features of rows, without padding that all of them have.

        Args:
          rows: int64 `[num_rows]`.
          padded_lengths: None; sequences are padded to a multiple of `LENGTH_STEP`.
        """
        read = self._read_hdf5 if self.shards[0].is_hdf5 else self._read_tfrecords
        features = read(rows)
        length = _longest(features["input_mask"] > 0, LENGTH_STEP)
        num_predictions = _longest(features["masked_lm_weights"] > 0, 1)
        output = {}
        for name, value in features.items():
            if name in ("input_ids", "input_mask", "segment_ids"):
                value = value[:, :length]
            elif name.startswith("masked_lm_"):
                value = value[:, :num_predictions]
            output[name] = value
        # A position that is not used may be anywhere, even in the padding cut off.
        is_used = output["masked_lm_weights"] > 0
        output["masked_lm_positions"] *= tf.cast(is_used, tf.int32)
        return output

    def _read_tfrecords(self, rows):
        def gather(rows):
            records = [block[place] for block, place in self._find(rows)]
            return np.array(records, object)

        records = tf.numpy_function(gather, [rows], tf.string)
        records.set_shape([None])
        return parse_examples(records, self.sizes.specs)

    def _read_hdf5(self, rows):
        specs = self.sizes.specs

        def gather(rows):
            found = self._find(rows)
            return [
                np.array(
                    [block[spec.name][place] for block, place in found], spec.dtype
                )
                for spec in specs
            ]

        dtypes = [tf.as_dtype(spec.dtype) for spec in specs]
        values = tf.numpy_function(gather, [rows], dtypes)
        for value, spec in zip(values, specs):
            value.set_shape([None, *spec.shape])
        return {spec.name: value for spec, value in zip(specs, values)}


def _longest(is_used, step):
    """Returns how many columns `[batch_size, width]` are in use, in whole steps."""
    width = is_used.shape.as_list()[1]
    columns = tf.where(is_used)[:, 1]
    used = tf.cast(tf.reduce_max(tf.concat([columns, [0]], axis=0)), tf.int32) + 1
    return tf.minimum(-(-used // step) * step, width)


def parse_examples(records, specs):
    """Returns a dict name -> tensor of serialized examples, string `[batch_size]`."""
    dtypes = {"int32": tf.int64, "float32": tf.float32}
    parsed = tf.io.parse_example(
        records,
        {s.name: tf.io.FixedLenFeature(s.shape, dtypes[s.dtype]) for s in specs},
    )
    return {spec.name: tf.cast(parsed[spec.name], spec.dtype) for spec in specs}
