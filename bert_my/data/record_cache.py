"""Turns the examples of a split into a record file, once for each content.

The file's name holds a fingerprint of all that its content depends on, so a record made
from other data, another vocabulary or other lengths is never used.
"""

import bisect
import functools
import itertools
import json
import logging
import os
import sys
from typing import Callable, NamedTuple, Sequence

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import features as features_lib
from bert_my.data import row_files, workers
from bert_my.data.features import LENGTH_STEP

logger = logging.getLogger(__name__)

CHUNK_SIZE = 1000
# Sets with fewer chunks are encoded here: starting processes costs more than it saves.
MIN_PARALLEL_CHUNKS = 20


class Records:
    """The records of one split.

    path: of the file.
    num_examples: number of records.
    num_cut_examples: number of examples that were longer than `seq_length`.
    specs: of the features.
    seq_length: the most tokens of a record.
    lengths: of the records in tokens, int32 `[num_examples]`.
    """

    def __init__(self, path, specs, seq_length, num_cut_examples=0):
        """Opens a record file; see `row_files.RowFile`."""
        self._rows = row_files.RowFile(path, specs)
        self.path = path
        self.lengths = self._rows.lengths
        self.num_examples = len(self.lengths)
        self.num_cut_examples = num_cut_examples
        self.specs = specs
        self.seq_length = seq_length

    def gather(self, indices, padded_lengths=None):
        """Returns records as a dict name -> array `[len(indices), ...]`.

        Sequences are padded to the longest of these records, rounded up: padding costs
        as much time as text, and few different lengths are compiled sooner.

        Args:
          indices: int `[num_indices]`.
          padded_lengths: (optional) ascending ints; sequences are padded to the first
            one that is long enough. Default: to a multiple of `LENGTH_STEP`.

        Raises:
          InputError: if the file has been cut.
        """
        longest = int(self.lengths[indices].max(initial=0))
        if padded_lengths is None:
            rounded = -(-longest // LENGTH_STEP) * LENGTH_STEP
            return self._rows.gather(indices, min(rounded, self.seq_length))
        padded_length = padded_lengths[bisect.bisect_left(padded_lengths, longest)]
        return self._rows.gather(indices, padded_length)

    def parse(self, indices, padded_lengths=None):
        """Returns `gather` as a dict name -> tensor; see `batches`."""

        def gather(indices):
            rows = self.gather(indices, padded_lengths)
            return [rows[spec.name] for spec in self.specs]

        dtypes = [tf.as_dtype(spec.dtype) for spec in self.specs]
        values = tf.numpy_function(gather, [indices], dtypes)
        for value, spec in zip(values, self.specs):
            value.set_shape([None, *spec.shape])
        return {spec.name: value for spec, value in zip(self.specs, values)}


class Source(NamedTuple):
    """What is converted.

    name: of the split, for the file's name and the messages.
    read_examples: returns an iterator over `Example`, or another class of named tuples.
    encode_batch: turns a list of examples into a list of `EncodedExample`.
    specs, seq_length: of the features.
    paths, settings: what the content depends on, see `features.fingerprint`.
    """

    name: str
    read_examples: Callable
    encode_batch: Callable
    specs: Sequence[features_lib.FeatureSpec]
    seq_length: int
    paths: Sequence[str]
    settings: dict


def load_or_convert(source, cache_dir, num_processes=None):
    """Returns the `Records` of a source; converts it unless that was done before.

    Args:
      source: `Source`.
      cache_dir: folder for the record files; made if missing.
      num_processes: default: one per processor, and none for small sets.

    Raises:
      InputError: if the source has no rows, or a row is wrong.
    """
    specs = [tuple(spec) for spec in source.specs]
    key = features_lib.fingerprint(
        source.paths, [source.settings, specs, source.seq_length]
    )
    path = os.path.join(cache_dir, f"{source.name}-{key}.rows")
    about_path = path + ".json"
    paths = (path, row_files.lengths_path(path), about_path)
    is_cached = all(map(os.path.exists, paths))
    if not is_cached:
        files.make_folder(cache_dir, "cache_dir")
        num_cut_examples = _convert(source, path, num_processes or os.cpu_count() or 1)
        try:
            files.write_json(about_path, {"num_cut_examples": num_cut_examples})
        except OSError as error:
            raise InputError(f"{about_path}: cannot be written: {error}") from error
    with open(about_path) as reader:
        about = json.load(reader)
    records = Records(path, source.specs, source.seq_length, **about)
    if is_cached:
        logger.info("%s: %d cached records", source.name, records.num_examples)
    if records.num_cut_examples:
        logger.warning(
            "%s: %d of %d rows are longer than --max_seq_length=%d and were cut",
            source.name,
            records.num_cut_examples,
            records.num_examples,
            records.seq_length,
        )
    return records


def _convert(source, path, num_processes):
    """Writes the record file; returns how many examples were cut."""
    num_examples = num_cut_examples = 0
    progress = tqdm(
        desc=f"Encoding {source.name}", unit=" rows", disable=not sys.stderr.isatty()
    )
    with progress, row_files.creating(path) as write:
        for rows, lengths, num_cut in _encode(source, num_processes):
            write(rows, lengths)
            num_examples += len(lengths)
            num_cut_examples += num_cut
            progress.update(len(lengths))
        if not num_examples:
            raise InputError(f"{source.paths[0]}: the file has no rows")
    logger.info("%s: %d rows encoded", source.name, num_examples)
    return num_cut_examples


def _encode(source, num_processes):
    """Yields what `_encode_chunk` returns for every chunk, in their order."""
    chunks = _chunks(source.read_examples())
    first = list(itertools.islice(chunks, MIN_PARALLEL_CHUNKS))
    yield from workers.ordered_map(
        functools.partial(_encode_chunk, source),
        itertools.chain(first, chunks),
        num_processes if len(first) == MIN_PARALLEL_CHUNKS else 1,
    )


def _chunks(examples):
    """Yields (class, list of its fields' values) of every `CHUNK_SIZE` examples.

    So they are pickled many times as fast as one by one.
    """
    examples = iter(examples)
    for chunk in iter(lambda: list(itertools.islice(examples, CHUNK_SIZE)), []):
        yield type(chunk[0]), list(zip(*chunk))


def _encode_chunk(source, chunk):
    """Returns (rows, lengths, number of cut examples) of a chunk."""
    example_class, columns = chunk
    encoded = source.encode_batch(list(map(example_class._make, zip(*columns))))
    rows, lengths = row_files.encode([each.features for each in encoded], source.specs)
    if lengths.max(initial=0) > source.seq_length:
        raise ValueError(f"{lengths.max()} tokens, but the most is {source.seq_length}")
    return rows, lengths, sum(each.num_cut_tokens > 0 for each in encoded)
