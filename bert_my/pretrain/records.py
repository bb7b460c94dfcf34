"""Shards of pretraining instances as records of a training run, see `batches`.

Before it is used, every file is read once in full, as training reads it, and checked.
The results of the checks are kept for later runs with the same files.
"""

import collections
import contextlib
import copy
import functools
import hashlib
import json
import logging
import os
from typing import Any, List, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common import caches, files
from bert_my.common.errors import InputError
from bert_my.common.progress import Bar
from bert_my.data.features import LENGTH_STEP, FeatureSpec
from bert_my.pretrain import builds
from bert_my.pretrain.shards import BLOCK_ROWS, READ_ERRORS, Hdf5, format_of

logger = logging.getLogger(__name__)

# Part of the names of kept results: raise it when a check changes.
_FORMAT_VERSION = 2
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
    checksums: CRC-32C of the serialized examples of each block.
    digest: of the file's bytes.
    state: of the file when it was checked, see `_state_of`.
    """

    path: str
    shard_format: Any
    num_examples: int
    offsets: List[int]
    checksums: List[int]
    digest: str
    state: List[int]


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
        # (shard, number of the block in it)
        self._blocks = [(s, index) for s in shards for index in range(len(s.offsets))]
        self._held_block = functools.lru_cache(num_held_blocks)(self.read_block)

    def read_block(self, number):
        """Returns a block of instances, a list of serialized `tf.train.Example`.

        Args:
          number: of the block, from 0.

        Raises:
          InputError: if the file has changed since it was checked.
        """
        shard, index = self._blocks[number]
        first = index * BLOCK_ROWS
        end = min(first + BLOCK_ROWS, shard.num_examples)
        try:
            # Before HDF5 opens it, which old versions do not survive.
            if _state_of(shard.path) != shard.state:
                caches.open_file(shard.path).close()  # a pipe would be waited for
                if files.digest(shard.path) != shard.digest:
                    raise ValueError("it is another file")
            blocks = shard.shard_format.blocks(
                shard.path, self.sizes.limits, shard.offsets[index]
            )
            _, records = next(blocks, (0, ()))
            records = records[: end - first]  # more may stand behind them by now
            if len(records) < end - first:
                raise ValueError("there are fewer")
            if _checksum(records) != shard.checksums[index]:
                raise ValueError("they are others")
            return records
        except (*READ_ERRORS, InputError) as error:
            raise InputError(
                f"{shard.path}: has changed since it was checked, in instances "
                f"{first + 1} to {end}: {_reason(error)}; a new start checks it again"
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


def _state_of(path):
    """Returns size and times of a file, a list; other content has others.

    The time of the last change is among them: `cp -p` and `touch` set the other one.
    """
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _checksum(records):
    """Returns the CRC-32C of serialized examples, an int."""
    return caches.checksum(b"".join(records))


def _reason(error):
    """Returns the first line of an exception's text."""
    return (str(error) or repr(error)).splitlines()[0]


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
    checked, states = _check_once(paths, sizes, record_dir)
    for path, shard_format, of_file, state in zip(paths, formats, checked, states):
        if of_file[0]:
            shards.append(Shard(path, shard_format, *of_file, state))
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
    """Returns the results of `_check_all`, perhaps of an earlier run, and the states.

    The states are those before the check, see `Shard`.
    """
    states = list(map(_state_of, paths))
    counts = list(map(builds.read_counts, paths))
    about = [list(map(os.path.abspath, paths)), states, counts, sizes, BLOCK_ROWS]
    text = json.dumps([_FORMAT_VERSION, *about])
    key = hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
    cache = os.path.join(record_dir, f"shards-{key}.json")
    if os.path.lexists(cache):
        try:
            found_key, found = caches.read_json(cache)
            if found_key == key:
                return found, states
            raise InputError(f"{cache}: it is about other shards")
        except InputError as error:
            logger.warning("%s; the shards are checked again", error)
            caches.make_room(cache)
    found = _check_all(paths, counts, sizes)
    files.make_folder(record_dir, "cache_dir")
    caches.write_json(cache, [key, found])
    return found, states


def _check_all(paths, counts, sizes):
    """Returns the results of `_check` of each file."""
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
        for path, of_file in zip(paths, counts):
            found.append(_check(path, of_file, sizes, parse))
            progress.update()
    return found


def _check(path, counts, sizes, parse):
    """Returns (number of instances, offsets, checksums, digest) of a file.

    See `Shard`.

    Args:
      path: of the file.
      counts: `builds.Counts` of the file, or None.
      sizes: `Sizes`.
      parse: function from a list of serialized examples to a dict name -> array.

    Raises:
      InputError: if the file is damaged, or has values that an instance cannot have.
    """
    digest = files.digest(path)
    is_changed = counts is not None and digest != counts.digest
    if format_of(path) is Hdf5 and (is_changed or not counts):
        _check_survives(path, sizes)
    num_rows, offsets, checksums, has_second_segment = 0, [], [], False
    for offset, records in _read_blocks(path, sizes):
        # TensorFlow 1.15 crashes when its error shows a record that is no example.
        _check_examples(path, records, num_rows)
        try:
            rows = parse(records)
        except (tf.errors.InvalidArgumentError, UnicodeError) as error:
            _check_features(path, sizes, records, num_rows)
            raise InputError(f"{path}: {error}") from error
        _check_values(path, sizes, rows)
        num_rows += len(records)
        offsets.append(offset)
        checksums.append(_checksum(records))
        has_second_segment |= bool(rows["segment_ids"].any())
    if sizes.has_pairs and num_rows and not has_second_segment:
        raise InputError(
            f"{path}: there are no second segments; data that was built with "
            "--next_sentence=none is trained with it, too"
        )
    if is_changed:
        numbers = "its bytes are others"
        if num_rows != counts.num_instances:
            numbers = f"it has {num_rows} instances, and had {counts.num_instances}"
        raise InputError(
            f"{path}: it is not as it was built: {numbers}; build it again, or remove "
            f"{builds.counts_path(path)} if the change is meant"
        )
    return num_rows, offsets, checksums, digest


def _check_survives(path, sizes):
    """Raises an `InputError` if HDF5 kills the process that reads a damaged file.

    Old versions do. So another process tries it; its errors are found again here.
    """
    process_id = os.fork()
    if not process_id:
        with contextlib.suppress(BaseException):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # no lines of its death
            collections.deque(_read_blocks(path, sizes), maxlen=0)
        os._exit(0)
    _, status = os.waitpid(process_id, 0)
    if status:
        raise InputError(f"{path}: broken; the library of HDF5 cannot read it")


def _read_blocks(path, sizes):
    """Yields the blocks of a file; raises an `InputError` if the file is damaged."""
    shard_format, num_read = format_of(path), 0
    try:
        for offset, records in shard_format.blocks(path, sizes.limits):
            yield offset, records
            num_read += len(records)
    except READ_ERRORS as error:
        raise InputError(
            f"{path}: broken after {num_read} instances or later; it is not "
            f"{shard_format.name}, or not whole ({_reason(error)})"
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


def _check_examples(path, records, num_before):
    """Raises an `InputError` that names the first record that is no example.

    TensorFlow is stricter than protobuf, but takes whatever protobuf would write.
    """
    example = tf.train.Example()
    for index, record in enumerate(records, num_before + 1):
        try:
            example.ParseFromString(record)
            example.DiscardUnknownFields()
            is_example = example.ByteSize() == len(record)
        except Exception:  # the class depends on the version of protobuf
            is_example = False
        if not is_example:
            raise InputError(f"{path}: instance {index}: it is not a tf.train.Example")


def _check_features(path, sizes, records, num_before):
    """Raises an `InputError` that names the first record whose features do not fit."""
    for index, record in enumerate(records, num_before + 1):
        where = f"{path}: instance {index}"
        found = tf.train.Example.FromString(record).features.feature
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
