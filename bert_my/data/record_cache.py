"""Turns the examples of a split into a record file, once for each content.

The file's name holds a fingerprint of all that its content depends on, so a record made
from other data, another vocabulary or other lengths is never used.
"""

import bisect
import contextlib
import functools
import itertools
import json
import logging
import os
import sys
from typing import Callable, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import features as features_lib
from bert_my.data import row_files, workers
from bert_my.data.features import LENGTH_STEP
from bert_my.text import examples

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

    def __init__(self, path, specs, seq_length, num_cut_examples=0, example_class=None):
        """Opens the file of some records; see `row_files.RowFile`.

        example_class: name of the class of the kept examples in `text.examples`.
        """
        self._example_class = example_class and getattr(examples, example_class)
        self._rows = row_files.RowFile(path, specs)
        self.path = path
        self.lengths = self._rows.lengths
        self.num_examples = len(self.lengths)
        self.num_cut_examples = num_cut_examples
        self.specs = specs
        self.seq_length = seq_length

    def examples(self):
        """Yields (example, list with `Encoded.about` of each of its records), in order.

        For records whose source keeps examples.
        """
        for _, line in files.read_lines(_examples_path(self.path)):
            for example, about in json.loads(line):
                yield self._example_class(*example), about

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
    """A split that is to be converted: its examples and their encoding.

    name: of the split, for the file's name and the messages.
    read_examples: returns an iterator over `Example`, or another class of named tuples.
    encode: function from a list of examples to the list of rows of each, see
      `preprocessor.Preprocessor`.
    specs, seq_length: of the features.
    paths, settings: all that the content depends on, see `features.fingerprint`.
    keeps_examples: whether the examples are stored too, for `Records.examples`.
    """

    name: str
    read_examples: Callable
    encode: Callable
    specs: Sequence[features_lib.FeatureSpec]
    seq_length: int
    paths: Sequence[str]
    settings: dict
    keeps_examples: bool = False


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
    paths = [path, row_files.lengths_path(path), about_path]
    paths += [_examples_path(path)] * source.keeps_examples
    is_cached = all(map(os.path.exists, paths))
    if not is_cached:
        files.make_folder(cache_dir, "cache_dir")
        about = _convert(source, path, num_processes or os.cpu_count() or 1)
        with _written(about_path):
            files.write_json(about_path, about)
    with open(about_path, encoding="utf-8") as reader:
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


def _examples_path(path):
    return f"{path}.examples"


@contextlib.contextmanager
def _written(path):
    """Turns an error while a file is written into an `InputError` that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error


def _convert(source, path, num_processes):
    """Writes the record file; returns the other arguments of `Records` as a dict."""
    about = {"num_cut_examples": 0, "example_class": None}
    num_records = 0
    progress = tqdm(
        desc=f"Encoding {source.name}", unit=" rows", disable=not sys.stderr.isatty()
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(progress)
        write = stack.enter_context(row_files.creating(path))
        stream = None
        if source.keeps_examples:
            stack.enter_context(_written(_examples_path(path)))
            stream = stack.enter_context(files.replacing(_examples_path(path)))
        for class_name, chunk in _encode(source, num_processes):
            about["example_class"] = class_name
            about["num_cut_examples"] += chunk.num_cut
            num_records += len(chunk.lengths)
            write(chunk.rows, chunk.lengths)
            if stream:
                stream.write(chunk.examples)
            progress.update(len(chunk.lengths))
        if not num_records:
            raise InputError(f"{source.paths[0]}: the file has no rows")
    logger.info("%s: %d rows encoded", source.name, num_records)
    return about


class _Chunk(NamedTuple):
    """Some encoded examples."""

    rows: bytes
    lengths: np.ndarray  # int32 `[num_rows]`
    num_cut: int
    examples: str  # a line of JSON for `Records.examples`, if they are kept


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
    """Returns (name of the class of the examples, `_Chunk`)."""
    example_class, columns = chunk
    chunk_examples = list(map(example_class._make, zip(*columns)))
    encoded = source.encode(chunk_examples)
    flat = [row for rows in encoded for row in rows]
    rows, lengths = row_files.encode([row.features for row in flat], source.specs)
    if lengths.max(initial=0) > source.seq_length:
        raise ValueError(f"{lengths.max()} tokens, but the most is {source.seq_length}")
    kept = ""
    if source.keeps_examples:
        # Of all examples at once: one by one takes three times as long.
        abouts = [[row.about for row in its_rows] for its_rows in encoded]
        kept = json.dumps(list(zip(chunk_examples, abouts)), ensure_ascii=False) + "\n"
    num_cut = sum(row.num_cut_tokens > 0 for row in flat)
    return example_class.__name__, _Chunk(rows, lengths, num_cut, kept)
