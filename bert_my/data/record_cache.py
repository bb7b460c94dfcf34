"""Turns the examples of a split into a record file, once for each content.

The file's name holds a fingerprint of all that its content depends on, so a record made
from other data, another vocabulary or other lengths is never used.
"""

import functools
import hashlib
import itertools
import json
import logging
import os
import sys
from typing import Callable, NamedTuple, Sequence

from tqdm import tqdm

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import record_files, workers
from bert_my.data.features import FeatureSpec
from bert_my.data.record_files import Chunk, Records

logger = logging.getLogger(__name__)

# Part of every cache name: raise it when the content of records changes.
FORMAT_VERSION = 5
CHUNK_SIZE = 1000
# Sets with fewer chunks are encoded here: starting processes costs more than it saves.
MIN_PARALLEL_CHUNKS = 20


class Source(NamedTuple):
    """A split that is to be converted: its examples and their encoding.

    name: of the split, for the file's name and the messages.
    read_examples: returns an iterator over `Example`, or another class of named tuples.
    encode: function from a list of examples to the list of rows of each, see
      `preprocessor.Preprocessor`.
    specs, seq_length: of the features.
    paths, settings: all that the content depends on, see `fingerprint`.
    keeps_examples: whether the examples are stored too, for `Records.examples`.
    """

    name: str
    read_examples: Callable
    encode: Callable
    specs: Sequence[FeatureSpec]
    seq_length: int
    paths: Sequence[str]
    settings: dict
    keeps_examples: bool = False


def fingerprint(paths, settings):
    """Returns 16 hex digits that change with the content of files or with settings.

    Args:
      paths: files whose bytes count; their names do not.
      settings: JSON-able; tuples and lists are the same.

    Raises:
      InputError: if a file cannot be read.
    """
    content = [FORMAT_VERSION, settings, [files.digest(path) for path in paths]]
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


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
    key = fingerprint(source.paths, [source.settings, specs, source.seq_length])
    path = os.path.join(cache_dir, f"{source.name}-{key}.rows")
    paths = [path, record_files.examples_path(path)][: 1 + source.keeps_examples]
    is_cached = all(map(os.path.exists, paths))
    if not is_cached:
        files.make_folder(cache_dir, "cache_dir")
        _convert(source, path, num_processes or os.cpu_count() or 1)
    records = Records(path, source.specs, source.seq_length)
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
    """Writes the record file of a source."""
    chunks = _chunks(source.read_examples())
    first = list(itertools.islice(chunks, MIN_PARALLEL_CHUNKS))
    encoded = workers.ordered_map(
        functools.partial(_encode_chunk, source),
        itertools.chain(first, chunks),
        num_processes if len(first) == MIN_PARALLEL_CHUNKS else 1,
    )
    num_records = 0
    with record_files.creating(path, source.keeps_examples) as write, tqdm(
        desc=f"Encoding {source.name}", unit=" rows", disable=not sys.stderr.isatty()
    ) as progress:
        for chunk in encoded:
            write(chunk)
            num_records += len(chunk.lengths)
            progress.update(len(chunk.lengths))
        if not num_records:
            raise InputError(f"{source.paths[0]}: the file has no rows")
    logger.info("%s: %d rows encoded", source.name, num_records)


def _chunks(examples):
    """Yields (class, list of its fields' values) of every `CHUNK_SIZE` examples.

    So they are pickled many times as fast as one by one.
    """
    examples = iter(examples)
    for chunk in iter(lambda: list(itertools.islice(examples, CHUNK_SIZE)), []):
        yield type(chunk[0]), list(zip(*chunk))


def _encode_chunk(source, chunk):
    """Returns the `Chunk` of the examples of a return value of `_chunks`."""
    example_class, columns = chunk
    chunk_examples = list(map(example_class._make, zip(*columns)))
    encoded = source.encode(chunk_examples)
    flat = [row for rows in encoded for row in rows]
    rows, lengths = record_files.encode([row.features for row in flat], source.specs)
    if lengths.max(initial=0) > source.seq_length:
        raise ValueError(f"{lengths.max()} tokens, but the most is {source.seq_length}")
    kept = ""
    if source.keeps_examples:
        # Of all examples at once: one by one takes three times as long.
        abouts = [[row.about for row in its_rows] for its_rows in encoded]
        pairs = [example_class.__name__, list(zip(chunk_examples, abouts))]
        kept = json.dumps(pairs, ensure_ascii=False) + "\n"
    num_cut = sum(row.num_cut_tokens > 0 for row in flat)
    return Chunk(rows, lengths, num_cut, kept)
