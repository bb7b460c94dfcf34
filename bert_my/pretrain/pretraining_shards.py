"""Shards of pretraining instances, read as a stream: TFRecord or HDF5 files."""

from typing import NamedTuple, Tuple

import h5py
import tensorflow.compat.v1 as tf

from bert_my.data.features import LENGTH_STEP, FeatureSpec
from bert_my.pretrain import shard_formats

SHUFFLE_BUFFER = 100000  # instances
FILES_AT_ONCE = 16  # whose instances are mixed, on top of the shuffling
HDF5_ROWS = 512  # read at once


class Sizes(NamedTuple):
    """What the ids of instances have to fit."""

    max_seq_length: int
    max_predictions_per_seq: int
    vocab_size: int
    type_vocab_size: int
    has_pairs: bool  # whether there are two segments, and labels of them

    @property
    def specs(self):
        """The tuple of `FeatureSpec` of what is used of an instance in a file."""
        sequence, predictions = (self.max_seq_length,), (self.max_predictions_per_seq,)
        labels = (FeatureSpec("next_sentence_labels", (1,)),) if self.has_pairs else ()
        return (
            FeatureSpec("input_ids", sequence),
            FeatureSpec("input_mask", sequence),
            FeatureSpec("segment_ids", sequence),
            FeatureSpec("masked_lm_positions", predictions),
            FeatureSpec("masked_lm_ids", predictions),
            FeatureSpec("masked_lm_weights", predictions, "float32"),
            *labels,
        )

    @property
    def limits(self):
        """Dict name -> the number below which all values of a feature must be."""
        limits = {
            "input_ids": self.vocab_size,
            "input_mask": 2,
            "segment_ids": self.type_vocab_size,
            "masked_lm_positions": self.max_seq_length,
            "masked_lm_ids": self.vocab_size,
            "masked_lm_weights": 2,
            "next_sentence_labels": 2,
        }
        return {spec.name: limits[spec.name] for spec in self.specs}


class Shard(NamedTuple):
    """A checked file."""

    path: str
    num_examples: int
    is_hdf5: bool


class Instances(NamedTuple):
    """The instances of some shards; records in the sense of `batches`."""

    shards: Tuple[Shard, ...]  # all of the same format
    num_examples: int
    sizes: Sizes
    lengths = None  # rows are read with their padding

    @classmethod
    def of(cls, shards, sizes):
        """Returns the instances of a list of `Shard`s."""
        num_examples = sum(shard.num_examples for shard in shards)
        return cls(tuple(shards), num_examples, sizes)

    def read(self, seed=None):
        """Returns the rows of one epoch, see `batches`."""
        read = _read_hdf5 if self.shards[0].is_hdf5 else _read_tfrecords
        rows = read(self, seed)
        if seed is None:
            return rows
        return rows.shuffle(min(self.num_examples, SHUFFLE_BUFFER), seed=seed)

    def parse(self, rows):
        """Returns the features of a batch of rows, without common padding.

        Args:
          rows: string `[batch_size]`, or a dict of tensors `[batch_size, ...]`.
        """
        features = rows
        if not self.shards[0].is_hdf5:
            features = parse_examples(rows, self.sizes.specs)
        length = _longest(features["input_mask"] > 0, LENGTH_STEP)
        num_predictions = _longest(features["masked_lm_weights"] > 0, 1)
        output = {}
        for name, value in features.items():
            if name in ("input_ids", "input_mask", "segment_ids"):
                value = value[:, :length]
            elif name.startswith("masked_lm_"):
                value = value[:, :num_predictions]
            output[name] = value
        # What is not used may stand anywhere, even where padding was cut off.
        is_used = output["masked_lm_weights"] > 0
        output["masked_lm_positions"] *= tf.cast(is_used, tf.int32)
        return output


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


def _read_tfrecords(instances, seed):
    shards = instances.shards
    paths = tf.data.Dataset.from_tensor_slices([shard.path for shard in shards])
    if seed is None:
        return paths.flat_map(tf.data.TFRecordDataset)
    return paths.shuffle(len(shards), seed=seed).interleave(
        tf.data.TFRecordDataset, cycle_length=min(len(shards), FILES_AT_ONCE)
    )


def _runs(shards):
    """Returns a list of (shard, first row) of what is read at once of HDF5 files."""
    return [
        (shard, first)
        for shard in shards
        for first in range(0, shard.num_examples, HDF5_ROWS)
    ]


def _read_hdf5(instances, seed):
    """Returns the rows of HDF5 files; what is shuffled here are runs of rows."""
    specs = instances.sizes.specs
    runs = _runs(instances.shards)
    paths, firsts = zip(*[(shard.path, first) for shard, first in runs])
    dataset = tf.data.Dataset.from_tensor_slices((list(paths), list(firsts)))
    if seed is not None:
        dataset = dataset.shuffle(len(runs), seed=seed)

    def read(path, first):
        rows = hdf5_rows(path.decode("utf-8"), first, specs)
        return [rows[spec.name].astype(spec.dtype) for spec in specs]

    def as_features(path, first):
        dtypes = [tf.as_dtype(spec.dtype) for spec in specs]
        values = tf.numpy_function(read, [path, first], dtypes)
        for value, spec in zip(values, specs):
            value.set_shape([None, *spec.shape])
        return {spec.name: value for spec, value in zip(specs, values)}

    return dataset.map(as_features, num_parallel_calls=2).unbatch()


def hdf5_rows(path, first, specs):
    """Returns a dict name -> array `[num_rows, ...]` of a run of rows in a file."""
    rows = {}
    with h5py.File(path, "r") as file:
        for spec in specs:
            if spec.name == "masked_lm_weights":
                continue
            values = file[spec.name][first : first + HDF5_ROWS]
            # Labels are stored as [num_rows] or [num_rows, 1].
            rows[spec.name] = values.reshape(-1, *spec.shape)
    rows["masked_lm_weights"] = shard_formats.weights_of(rows["masked_lm_positions"])
    return rows
