"""Finds what is wrong with shards of pretraining instances before they are used.

Every file is read once in full, as training will read it; what was found out is kept,
for a later run with the same files.
"""

import hashlib
import json
import logging
import os
import sys

import h5py
import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.pretrain import tfrecords
from bert_my.pretrain.pretraining_shards import (
    HDF5_ROWS,
    Instances,
    Shard,
    hdf5_rows,
    parse_examples,
)
from bert_my.pretrain.tfrecords import FRAME_SIZE

logger = logging.getLogger(__name__)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ROWS_AT_ONCE = 1024
# What decides about a value, for the errors.
_DECIDED_BY = {
    "input_ids": "vocab_size in --bert_config_file",
    "input_mask": "its meaning",
    "segment_ids": "type_vocab_size in --bert_config_file",
    "masked_lm_positions": "--max_seq_length",
    "masked_lm_ids": "vocab_size in --bert_config_file",
    "masked_lm_weights": "their meaning",
    "next_sentence_labels": "their meaning",
}
_WIDTH_FLAGS = {
    "input_ids": "--max_seq_length",
    "input_mask": "--max_seq_length",
    "segment_ids": "--max_seq_length",
    "masked_lm_positions": "--max_predictions_per_seq",
    "masked_lm_ids": "--max_predictions_per_seq",
    "masked_lm_weights": "--max_predictions_per_seq",
}


def load(paths, sizes, record_dir):
    """Returns the `Instances` of files, after checking them.

    Args:
      paths: list of files.
      sizes: `pretraining_shards.Sizes`.
      record_dir: folder for what is found out.

    Raises:
      InputError: naming the file that cannot be read, is not whole, or does not fit.
    """
    try:
        is_hdf5 = [_is_hdf5(path) for path in paths]
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read: {error.strerror}"
        ) from error
    counts = _count(paths, is_hdf5, sizes, record_dir)
    shards = [Shard(*each) for each in zip(paths, counts, is_hdf5)]
    for shard in shards:
        if not shard.num_examples:
            logger.warning("%s: there is no instance in this file", shard.path)
    shards = [shard for shard in shards if shard.num_examples]
    if not shards:
        raise InputError(f"{paths[0]}: there is no instance in the input files")
    for shard in shards:
        if shard.is_hdf5 != shards[0].is_hdf5:
            raise InputError(
                f"{shards[0].path} and {shard.path}: one is HDF5 and the other is not; "
                "all files of a run need the same format"
            )
    return Instances.of(shards, sizes)


def _count(paths, is_hdf5, sizes, record_dir):
    """Returns how many instances each file has, looking at them only once."""
    stats = [os.stat(path) for path in paths]
    about = [
        [os.path.abspath(path), stat.st_size, stat.st_mtime_ns]
        for path, stat in zip(paths, stats)
    ]
    text = json.dumps([about, sizes])
    key = hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
    cache = os.path.join(record_dir, f"shards-{key}.json")
    if os.path.exists(cache):
        with open(cache, encoding="utf-8") as reader:
            return json.load(reader)
    counts = _check_all(paths, is_hdf5, sizes)
    files.make_folder(record_dir, "cache_dir")
    files.write_json(cache, counts)
    return counts


def _is_hdf5(path):
    with open(path, "rb") as reader:
        return reader.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE


def _check_all(paths, is_hdf5, sizes):
    """Returns how many instances each file has."""
    counts = []
    with _TfRecordChecker(sizes) as checker, tqdm(
        zip(paths, is_hdf5),
        desc="Checking",
        total=len(paths),
        unit=" files",
        disable=not sys.stderr.isatty(),
    ) as progress:
        for path, has_hdf5 in progress:
            found = _Findings(path, sizes)
            if has_hdf5:
                _check_hdf5(found)
            else:
                checker.check(found)
            counts.append(found.finish())
    return counts


class _Findings:
    """What is found out about the values of one file."""

    def __init__(self, path, sizes):
        self.path = path
        self.sizes = sizes
        self.num_rows = 0
        self._has_second_segment = False

    def add(self, num_rows, num_hidden, largest, smallest):
        """Adds some rows.

        Args:
          num_rows: int.
          num_hidden: how many masked positions are in the padding.
          largest, smallest: numbers in the order of `Sizes.limits`.

        Raises:
          InputError: if there are values that an instance cannot have.
        """
        self.num_rows += int(num_rows)
        limits = self.sizes.limits
        for (name, limit), top, bottom in zip(limits.items(), largest, smallest):
            if not (bottom >= 0 and top < limit):  # NaN is neither
                wrong = bottom if bottom < 0 else top
                raise InputError(
                    f"{self.path}: {name} holds {wrong:g}, and it must be from 0 to "
                    f"{limit - 1} by {_DECIDED_BY[name]}"
                )
            if name == "segment_ids" and top > 0:
                self._has_second_segment = True
        if num_hidden:
            raise InputError(f"{self.path}: masked_lm_positions point at padding")

    def finish(self):
        """Returns the number of rows."""
        if self.sizes.has_pairs and self.num_rows and not self._has_second_segment:
            raise InputError(
                f"{self.path}: there are no second segments; data that was built with "
                "--next_sentence=none is trained with it, too"
            )
        return self.num_rows


class _TfRecordChecker:
    """Counts the instances of TFRecord files and looks at all their values."""

    def __init__(self, sizes):
        self._session = tf.Session(
            graph=tf.Graph(), config=tf.ConfigProto(device_count={"GPU": 0})
        )
        names = list(sizes.limits)

        def summarize(records):
            features = parse_examples(records, sizes.specs)
            values = [tf.cast(features[name], tf.float64) for name in names]
            # TensorFlow 1.15 passes over NaN; -1 is no value of any feature either.
            values = [
                tf.where_v2(tf.math.is_nan(v), -tf.ones_like(v), v) for v in values
            ]
            position = features["masked_lm_positions"]
            is_real = tf.gather(
                features["input_mask"],
                tf.clip_by_value(position, 0, sizes.max_seq_length - 1),
                batch_dims=1,
            )
            is_hidden = (features["masked_lm_weights"] > 0) & tf.equal(is_real, 0)
            return (
                tf.reduce_sum(tf.strings.length(records) + FRAME_SIZE),
                tf.size(records),
                tf.math.count_nonzero(is_hidden),
                tf.stack([tf.reduce_max(value) for value in values]),
                tf.stack([tf.reduce_min(value) for value in values]),
            )

        with self._session.graph.as_default():
            self._path = tf.placeholder(tf.string, [])
            dataset = tf.data.TFRecordDataset(self._path).batch(_ROWS_AT_ONCE)
            iterator = tf.data.make_initializable_iterator(
                dataset.map(summarize, num_parallel_calls=2).prefetch(2)
            )
            self._initializer = iterator.initializer
            self._next = iterator.get_next()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def check(self, found):
        """Looks at the file of `_Findings`."""
        path = found.path
        # Before TensorFlow parses it: to show a record that is no example crashes 1.15.
        record = tfrecords.first_record(path)
        problem = None if record is None else _problem_of(record, found.sizes)
        if problem:
            raise InputError(f"{path}: instance 1: {problem}")
        self._session.run(self._initializer, {self._path: path})
        total_bytes = 0
        while True:
            try:
                num_bytes, *numbers = self._session.run(self._next)
            except tf.errors.OutOfRangeError:
                break
            except tf.errors.DataLossError as error:
                raise InputError(
                    f"{path}: broken after {found.num_rows} instances or later; it is "
                    f"not a TFRecord file, or not whole ({_first_line(error)})"
                ) from error
            except tf.errors.InvalidArgumentError as error:
                problem = _misfit(path, found.sizes) or f"{path}: {error}"
                raise InputError(problem) from error
            found.add(*numbers)
            total_bytes += int(num_bytes)
        # TensorFlow takes less than the length of a record for the end of the file.
        if total_bytes != os.path.getsize(path):
            raise InputError(
                f"{path}: broken after {found.num_rows} instances; it is not whole"
            )


def _first_line(error):
    return str(error).splitlines()[0]


def _misfit(path, sizes):
    """Returns what is wrong with the first instance whose features do not fit."""
    for index, record in enumerate(tf.io.tf_record_iterator(path), 1):
        problem = _problem_of(record, sizes)
        if problem:
            return f"{path}: instance {index}: {problem}"
    return None


def _problem_of(record, sizes):
    """Returns what is wrong with the features of a record, or None."""
    try:
        found = tf.train.Example.FromString(record).features.feature
    except Exception:  # the class depends on the version of protobuf
        return "it is not a tf.train.Example"
    for spec in sizes.specs:
        is_float = spec.dtype == "float32"
        feature = found[spec.name]
        values = feature.float_list if is_float else feature.int64_list
        problem = _width_problem(spec, len(values.value))
        if problem:
            return problem
    return None


def _width_problem(spec, width):
    """Returns what is wrong with the width of a feature, or None."""
    (expected,) = spec.shape
    if width == expected:
        return None
    if not width:
        return f"there is no {spec.name}; is it a file of pretraining instances?"
    flag = _WIDTH_FLAGS.get(spec.name)
    return f"{spec.name} has {width} values" + (
        f", and {flag} is {expected}" if flag else f" instead of {expected}"
    )


def _check_hdf5(found):
    """Looks at the HDF5 file of `_Findings`."""
    path, sizes = found.path, found.sizes
    try:
        with h5py.File(path, "r") as file:
            num_rows = _check_shapes(path, file, sizes)
        for first in range(0, num_rows, HDF5_ROWS):
            rows = hdf5_rows(path, first, sizes.specs)
            position = rows["masked_lm_positions"].clip(0, sizes.max_seq_length - 1)
            is_real = np.take_along_axis(rows["input_mask"], position, axis=1)
            is_hidden = (rows["masked_lm_weights"] > 0) & (is_real == 0)
            values = [rows[name] for name in sizes.limits]
            found.add(
                len(position),
                is_hidden.sum(),
                [value.max() for value in values],
                [value.min() for value in values],
            )
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{path}: it is not an HDF5 file, or not whole ({_first_line(error)})"
        ) from error


def _check_shapes(path, file, sizes):
    """Returns the number of rows of an open HDF5 file."""
    num_rows = None
    for spec in sizes.specs:
        if spec.name == "masked_lm_weights":  # not stored
            continue
        dataset = file.get(spec.name)
        is_table = isinstance(dataset, h5py.Dataset) and dataset.ndim > 0
        if not is_table or not np.issubdtype(dataset.dtype, np.integer):
            raise InputError(
                f"{path}: it lacks integers {spec.name}; NVIDIA's files have them"
            )
        shape = dataset.shape
        num_rows = shape[0] if num_rows is None else num_rows
        if shape[0] != num_rows:
            raise InputError(
                f"{path}: {spec.name} has {shape[0]} rows, and input_ids {num_rows}"
            )
        problem = _width_problem(spec, shape[1] if len(shape) > 1 else 1)
        if problem:
            raise InputError(f"{path}: {problem}")
    return num_rows
