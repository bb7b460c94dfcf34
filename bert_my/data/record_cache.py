"""Turns the examples of a split into a record file, once for each content.

The file's name holds a fingerprint of all that its content depends on, so a record made
from other data, another vocabulary or other lengths is never used.
"""

import functools
import itertools
import json
import logging
import os
import sys
from typing import Callable, NamedTuple, Sequence

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert_my.data import features as features_lib
from bert_my.data import files, workers
from bert_my.data.errors import InputError

logger = logging.getLogger(__name__)

CHUNK_SIZE = 1000
# Records held in memory to shuffle; larger sets are shuffled within this window.
MAX_SHUFFLE_BUFFER = 1000000
# Sets with fewer chunks are encoded here: starting processes costs more than it saves.
MIN_PARALLEL_CHUNKS = 20


class Records(NamedTuple):
    """The records of one split."""

    path: str
    num_examples: int
    num_cut_examples: int  # those that were longer than max_seq_length
    specs: Sequence[features_lib.FeatureSpec]
    seq_length: int

    def read(self, seed=None):
        """Returns the rows of one epoch, see `input_pipeline`."""
        rows = tf.data.TFRecordDataset(self.path)
        if seed is None:
            return rows
        return rows.shuffle(min(self.num_examples, MAX_SHUFFLE_BUFFER), seed=seed)

    def parse(self, rows):
        """Returns the features of a batch of rows, see `features.parse_batch`."""
        return features_lib.parse_batch(rows, self.specs, self.seq_length)


class Source(NamedTuple):
    """What is converted.

    name: of the split, for the file's name and the messages.
    read_examples: returns an iterator over `Example`.
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
    path = os.path.join(cache_dir, f"{source.name}-{key}.tfrecord")
    about_path = path + ".json"
    if os.path.exists(path) and os.path.exists(about_path):
        with open(about_path) as reader:
            about = json.load(reader)
        logger.info("%s: %d cached records", source.name, about["num_examples"])
    else:
        files.make_folder(cache_dir, "cache_dir")
        about = _convert(source, path, num_processes or os.cpu_count() or 1)
        if not about["num_examples"]:
            raise InputError(f"{source.paths[0]}: the file has no rows")
        files.write_json(about_path, about)
    if about["num_cut_examples"]:
        logger.warning(
            "%s: %d of %d rows are longer than --max_seq_length=%d and were cut",
            source.name,
            about["num_cut_examples"],
            about["num_examples"],
            source.seq_length,
        )
    return Records(path, specs=source.specs, seq_length=source.seq_length, **about)


def _convert(source, path, num_processes):
    """Writes the record file; returns its numbers as a dict."""
    num_examples = num_cut_examples = 0
    progress = tqdm(
        desc=f"Encoding {source.name}", unit=" rows", disable=not sys.stderr.isatty()
    )
    with progress, files.replacing_path(path) as temporary, tf.io.TFRecordWriter(
        temporary
    ) as writer:
        for records, num_cut in _encode(source, num_processes):
            for record in records:
                writer.write(record)
            num_examples += len(records)
            num_cut_examples += num_cut
            progress.update(len(records))
    logger.info("%s: %d rows encoded", source.name, num_examples)
    return {"num_examples": num_examples, "num_cut_examples": num_cut_examples}


def _encode(source, num_processes):
    """Yields what `_encode_chunk` returns for every chunk, in their order."""
    examples = iter(source.read_examples())
    chunks = iter(lambda: list(itertools.islice(examples, CHUNK_SIZE)), [])
    first = list(itertools.islice(chunks, MIN_PARALLEL_CHUNKS))
    yield from workers.ordered_map(
        functools.partial(_encode_chunk, source),
        itertools.chain(first, chunks),
        num_processes if len(first) == MIN_PARALLEL_CHUNKS else 1,
    )


def _encode_chunk(source, examples):
    """Returns (records, number of cut examples) of a list of examples."""
    encoded = source.encode_batch(examples)
    records = [features_lib.serialize(each.features, source.specs) for each in encoded]
    return records, sum(each.num_cut_tokens > 0 for each in encoded)
