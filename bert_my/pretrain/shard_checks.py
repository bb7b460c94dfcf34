"""Checks of shards of pretraining instances before they are used.

Every file is read once in full, as training reads it; the results are kept for later
runs with the same files.
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
from bert_my.pretrain.records import FEATURES, Instances, parse_examples
from bert_my.pretrain.shards import BLOCK_ROWS, Shard, read_hdf5

logger = logging.getLogger(__name__)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Limit in `FEATURES` -> where it comes from, for the errors.
_LIMIT_SOURCES = {
    "vocab_size": "vocab_size in --bert_config_file",
    "type_vocab_size": "type_vocab_size in --bert_config_file",
    "max_seq_length": "--max_seq_length",
    2: "definition",
}


def load(paths, sizes, record_dir, num_held_blocks=2):
    """Returns the `Instances` of files, after checking them.

    Args:
      paths: list of files.
      sizes: `records.Sizes`.
      record_dir: folder for the results of the checks.
      num_held_blocks: see `Instances`.

    Raises:
      InputError: naming the file that cannot be read, is not whole, or does not fit.
    """
    try:
        is_hdf5 = [_is_hdf5(path) for path in paths]
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read: {error.strerror}"
        ) from error
    found = _check_once(paths, is_hdf5, sizes, record_dir)
    shards = [
        Shard(path, num_examples, has_hdf5, tuple(offsets))
        for path, has_hdf5, (num_examples, offsets) in zip(paths, is_hdf5, found)
    ]
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
    return Instances(shards, sizes, num_held_blocks)


def _is_hdf5(path):
    with open(path, "rb") as reader:
        return reader.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE


def _check_once(paths, is_hdf5, sizes, record_dir):
    """Returns the results of `_check_all`, from an earlier run if there was one."""
    stats = [os.stat(path) for path in paths]
    about = [
        [os.path.abspath(path), stat.st_size, stat.st_mtime_ns]
        for path, stat in zip(paths, stats)
    ]
    text = json.dumps([about, sizes, BLOCK_ROWS])
    key = hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
    cache = os.path.join(record_dir, f"shards-{key}.json")
    if os.path.exists(cache):
        with open(cache, encoding="utf-8") as reader:
            return json.load(reader)
    found = _check_all(paths, is_hdf5, sizes)
    files.make_folder(record_dir, "cache_dir")
    files.write_json(cache, found)
    return found


def _check_all(paths, is_hdf5, sizes):
    """Returns (number of instances, offsets of the blocks) of each file."""
    graph = tf.Graph()
    with graph.as_default():
        records = tf.placeholder(tf.string, [None])
        features = parse_examples(records, sizes.specs)
    config = tf.ConfigProto(device_count={"GPU": 0})
    found = []
    with tf.Session(graph=graph, config=config) as session, tqdm(
        zip(paths, is_hdf5),
        desc="Checking",
        total=len(paths),
        unit=" files",
        disable=not sys.stderr.isatty(),
    ) as progress:
        parse = session.make_callable(features, [records])
        for path, has_hdf5 in progress:
            if has_hdf5:
                blocks = _hdf5_blocks(path, sizes)
            else:
                blocks = _tfrecord_blocks(path, sizes, parse)
            found.append(_check(path, sizes, blocks))
    return found


def _check(path, sizes, blocks):
    """Returns (number of instances, offsets of the blocks) of a file.

    Args:
      path: of the file.
      sizes: `Sizes`.
      blocks: iterator over (offset of a block, dict name -> array `[num_rows, ...]`).

    Raises:
      InputError: if there are values that an instance cannot have.
    """
    num_rows, offsets, has_second_segment = 0, [], False
    for offset, rows in blocks:
        _check_values(path, sizes, rows)
        num_rows += len(rows["input_ids"])
        offsets.append(offset)
        has_second_segment |= bool(rows["segment_ids"].any())
    if sizes.has_pairs and num_rows and not has_second_segment:
        raise InputError(
            f"{path}: there are no second segments; data that was built with "
            "--next_sentence=none is trained with it, too"
        )
    return num_rows, offsets


def _check_values(path, sizes, rows):
    for name, limit in sizes.limits.items():
        bottom, top = rows[name].min(), rows[name].max()
        if not (bottom >= 0 and top < limit):  # NaN is neither
            wrong = bottom if bottom < 0 else top
            raise InputError(
                f"{path}: {name} holds {wrong:g}, and it must be from 0 to "
                f"{limit - 1} by {_LIMIT_SOURCES[FEATURES[name][1]]}"
            )
    is_real = np.take_along_axis(
        rows["input_mask"], rows["masked_lm_positions"], axis=1
    )
    if ((rows["masked_lm_weights"] > 0) & (is_real == 0)).any():
        raise InputError(f"{path}: masked_lm_positions point at padding")


def _tfrecord_blocks(path, sizes, parse):
    """Yields the blocks of a TFRecord file, see `_check`.

    Args:
      path, sizes: see `_check`.
      parse: function from a list of serialized examples to a dict name -> array.
    """
    num_read = 0
    with open(path, "rb") as stream:
        while True:
            offset = stream.tell()
            try:
                records = tfrecords.read(stream, BLOCK_ROWS)
            except ValueError as error:
                raise InputError(
                    f"{path}: broken after {num_read} instances or later; it is not a "
                    f"TFRecord file, or not whole ({error})"
                ) from error
            if not records:
                return
            # TensorFlow 1.15 crashes when its error shows a record that is no example.
            _check_features(path, sizes, records[:1], num_read)
            try:
                yield offset, parse(records)
            except tf.errors.InvalidArgumentError as error:
                _check_features(path, sizes, records, num_read)
                raise InputError(f"{path}: {error}") from error
            num_read += len(records)


def _check_features(path, sizes, records, num_before):
    """Raises an `InputError` that names the first record whose features do not fit."""
    for index, record in enumerate(records, num_before + 1):
        problem = _problem_of(record, sizes)
        if problem:
            raise InputError(f"{path}: instance {index}: {problem}")


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
    flag, _ = FEATURES[spec.name]
    return f"{spec.name} has {width} values" + (
        f", and --{flag} is {expected}"
        if flag != expected
        else f" instead of {expected}"
    )


def _hdf5_blocks(path, sizes):
    """Yields the blocks of an HDF5 file, see `_check`."""
    try:
        with h5py.File(path, "r") as file:
            num_rows = _check_shapes(path, file, sizes)
        for first in range(0, num_rows, BLOCK_ROWS):
            yield first, read_hdf5(path, first, sizes.specs)
    except (OSError, RuntimeError, KeyError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"{path}: it is not an HDF5 file, or not whole ({first_line})"
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
