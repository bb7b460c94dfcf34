"""Shards of pretraining instances as records of a training run, see `batches`.

Before it is used, every file is read once in full, as training reads it, and checked.
The results of the checks are kept for later runs with the same files.
"""

import copy
import functools
import hashlib
import json
import logging
import os
from typing import Any, List, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.common.progress import Bar
from bert_my.data.features import LENGTH_STEP, FeatureSpec
from bert_my.pretrain.shards import BLOCK_ROWS, READ_ERRORS, format_of

logger = logging.getLogger(__name__)

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
# Limit in `FEATURES` -> the setting that it comes from, for the errors.
_LIMIT_SOURCES = {
    "vocab_size": "vocab_size in --bert_config_file",
    "type_vocab_size": "type_vocab_size in --bert_config_file",
    "max_seq_length": "--max_seq_length",
    2: "definition",
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
        sizes = self._asdict()
        return tuple(
            FeatureSpec(
                name,
                (sizes.get(width, width),),
                "float32" if name == "masked_lm_weights" else "int32",
            )
            for name, (width, _) in FEATURES.items()
            if self.has_pairs or name != "next_sentence_labels"
        )

    @property
    def limits(self):
        """Dict name -> the number below which all values of a feature must be."""
        limits = {spec.name: FEATURES[spec.name][1] for spec in self.specs}
        return {n: self._asdict().get(limit, limit) for n, limit in limits.items()}


class Shard(NamedTuple):
    """A checked file.

    shard_format: one of `shards.FORMATS`.
    offsets: for each block the bytes that stand before it in a TFRecord file, or the
      rows in an HDF5 file.
    """

    path: str
    shard_format: Any
    num_examples: int
    offsets: List[int]


class Instances:
    """The instances of some shards, read block by block.

    shards: list of `Shard`, not empty.
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
        self.shards = shards
        self.sizes = sizes
        starts, self.num_examples = [], 0
        for shard in shards:
            end = self.num_examples + shard.num_examples
            starts += range(self.num_examples, end, BLOCK_ROWS)
            self.num_examples = end
        self.block_starts = np.array([*starts, self.num_examples])
        self._blocks = [(shard, offset) for shard in shards for offset in shard.offsets]
        self._held_block = functools.lru_cache(num_held_blocks)(self.read_block)

    def read_block(self, number):
        """Returns a block of instances, a list of serialized `tf.train.Example`.

        Args:
          number: of the block, from 0.

        Raises:
          InputError: if the file has changed since it was checked.
        """
        shard, offset = self._blocks[number]
        first, end = self.block_starts[number : number + 2]
        try:
            blocks = shard.shard_format.blocks(shard.path, self.sizes.limits, offset)
            _, records = next(blocks, (0, ()))
            if len(records) < end - first:
                raise ValueError("there are fewer instances")
            return records
        except READ_ERRORS as error:
            raise InputError(
                f"{shard.path}: has changed since it was checked: {error}"
            ) from error

    def head(self, num_rows):
        """Returns the first `num_rows` instances."""
        found = copy.copy(self)
        found.num_examples = num_rows
        return found

    def _gather(self, rows):
        """Returns the serialized examples of rows, an array of bytes."""
        blocks = np.searchsorted(self.block_starts, rows, side="right") - 1
        places = rows - self.block_starts[blocks]
        found = zip(map(self._held_block, blocks.tolist()), places.tolist())
        return np.array([block[place] for block, place in found], object)

    def parse(self, rows, padded_lengths=None):
        """Returns the features of rows, without padding that all of them have.

        Args:
          rows: int64 `[num_rows]`.
          padded_lengths: None; sequences are padded to a multiple of `LENGTH_STEP`.
        """
        records = tf.numpy_function(self._gather, [rows], tf.string)
        records.set_shape([None])
        output = _parse_examples(records, self.sizes.specs)
        length = _longest(output["input_mask"] > 0, LENGTH_STEP)
        num_predictions = _longest(output["masked_lm_weights"] > 0, 1)
        for name, value in output.items():
            if name != "next_sentence_labels":
                is_prediction = name.startswith("masked_lm_")
                output[name] = value[:, : num_predictions if is_prediction else length]
        # A position that is not used may be anywhere, even in the padding cut off.
        is_used = output["masked_lm_weights"] > 0
        output["masked_lm_positions"] *= tf.cast(is_used, tf.int32)
        return output


def _longest(is_used, step):
    """Returns the number of columns in use, rounded up to a multiple of `step`.

    Args:
      is_used: bool `[batch_size, width]`; the result is at most `width`.
      step: int.
    """
    width = is_used.shape.as_list()[1]
    columns = tf.where(is_used)[:, 1]
    used = tf.cast(tf.reduce_max(tf.concat([columns, [0]], axis=0)), tf.int32) + 1
    return tf.minimum(-(-used // step) * step, width)


def _parse_examples(records, specs):
    """Returns a dict name -> tensor of serialized examples, string `[batch_size]`."""
    dtypes = {"int32": tf.int64, "float32": tf.float32}
    parsed = tf.io.parse_example(
        records,
        {s.name: tf.io.FixedLenFeature(s.shape, dtypes[s.dtype]) for s in specs},
    )
    return {spec.name: tf.cast(parsed[spec.name], spec.dtype) for spec in specs}


def load(paths, sizes, record_dir, num_held_blocks=2):
    """Returns the `Instances` of files, after checking them.

    Args:
      paths: list of files.
      sizes: `Sizes`.
      record_dir: folder for the results of the checks.
      num_held_blocks: see `Instances`.

    Raises:
      InputError: naming the file that cannot be read, is not whole, or does not fit.
    """
    shards, formats = [], list(map(format_of, paths))
    checked = _check_once(paths, sizes, record_dir)
    for path, shard_format, (num_examples, offsets) in zip(paths, formats, checked):
        if num_examples:
            shards.append(Shard(path, shard_format, num_examples, offsets))
        else:
            logger.warning("%s: there is no instance in this file", path)
    if not shards:
        raise InputError(f"{paths[0]}: there is no instance in the input files")
    for shard in shards:
        if shard.shard_format != shards[0].shard_format:
            raise InputError(
                f"{shards[0].path} and {shard.path}: one is HDF5 and the other is not; "
                "all files of a run need the same format"
            )
    return Instances(shards, sizes, num_held_blocks)


def _check_once(paths, sizes, record_dir):
    """Returns the results of `_check_all`, from an earlier run if there was one."""
    about = []
    for path in paths:
        status = os.stat(path)
        about.append([os.path.abspath(path), status.st_size, status.st_mtime_ns])
    text = json.dumps([about, sizes, BLOCK_ROWS])
    key = hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
    cache = os.path.join(record_dir, f"shards-{key}.json")
    if os.path.exists(cache):
        return files.read_json(cache)
    found = _check_all(paths, sizes)
    files.make_folder(record_dir, "cache_dir")
    files.write_json(cache, found)
    return found


def _check_all(paths, sizes):
    """Returns (number of instances, offsets of the blocks) of each file."""
    graph = tf.Graph()
    with graph.as_default():
        records = tf.placeholder(tf.string, [None])
        features = _parse_examples(records, sizes.specs)
    config = tf.ConfigProto(device_count={"GPU": 0})
    found = []
    with tf.Session(graph=graph, config=config) as session, Bar(
        "Checking", "files", len(paths)
    ) as progress:
        parse = session.make_callable(features, [records])
        for path in paths:
            found.append(_check(path, sizes, parse))
            progress.update()
    return found


def _check(path, sizes, parse):
    """Returns (number of instances, offsets of the blocks) of a file.

    Args:
      path: of the file.
      sizes: `Sizes`.
      parse: function from a list of serialized examples to a dict name -> array.

    Raises:
      InputError: if the file is damaged, or has values that an instance cannot have.
    """
    num_rows, offsets, has_second_segment = 0, [], False
    for offset, records in _read_blocks(path, sizes):
        # TensorFlow 1.15 crashes when its error shows a record that is no example.
        _check_features(path, sizes, records[:1], num_rows)
        try:
            rows = parse(records)
        except tf.errors.InvalidArgumentError as error:
            _check_features(path, sizes, records, num_rows)
            raise InputError(f"{path}: {error}") from error
        _check_values(path, sizes, rows)
        num_rows += len(records)
        offsets.append(offset)
        has_second_segment |= bool(rows["segment_ids"].any())
    if sizes.has_pairs and num_rows and not has_second_segment:
        raise InputError(
            f"{path}: there are no second segments; data that was built with "
            "--next_sentence=none is trained with it, too"
        )
    return num_rows, offsets


def _read_blocks(path, sizes):
    """Yields the blocks of a file; raises an `InputError` if the file is damaged."""
    shard_format, num_read = format_of(path), 0
    try:
        for offset, records in shard_format.blocks(path, sizes.limits):
            yield offset, records
            num_read += len(records)
    except READ_ERRORS as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: broken after {num_read} instances or later; it is not "
            f"{shard_format.name}, or not whole ({reason})"
        ) from error


def _check_values(path, sizes, rows):
    """Raises an `InputError` if features have values that they cannot have."""
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


def _check_features(path, sizes, records, num_before):
    """Raises an `InputError` that names the first record whose features do not fit."""
    for index, record in enumerate(records, num_before + 1):
        where = f"{path}: instance {index}"
        try:
            found = tf.train.Example.FromString(record).features.feature
        except Exception as error:  # the class depends on the version of protobuf
            raise InputError(f"{where}: it is not a tf.train.Example") from error
        for spec in sizes.specs:
            is_float = spec.dtype == "float32"
            feature = found[spec.name]
            values = feature.float_list if is_float else feature.int64_list
            width, (expected,) = len(values.value), spec.shape
            if width == expected:
                continue
            if not width:
                raise InputError(
                    f"{where}: there is no {spec.name}; is it a file of pretraining "
                    "instances?"
                )
            flag, _ = FEATURES[spec.name]
            wanted = f" instead of {expected}"
            if flag != expected:
                wanted = f", and --{flag} is {expected}"
            raise InputError(f"{where}: {spec.name} has {width} values{wanted}")
