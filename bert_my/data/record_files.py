"""Records: the features of the rows of a split, in files that are made once.

A record is a run of little-endian words of 32 bits: its sequences, which have one
length, then its other features, each in the order of the specs. After the records come
their lengths, their checksums and the `_Tail`. Records are read in any order, and not
mapped: the pages of a mapped file that were read count as memory of the process.
Examples that are kept are in a second file, as lines of a checksum and JSON.

The name of a record file holds a fingerprint of all that its content depends on, so a
record made from other data, another vocabulary or other lengths is never used. All
checksums are compared before a file is used again, and each once more when its record
is read.
"""

import bisect
import collections
import contextlib
import functools
import hashlib
import io
import itertools
import json
import logging
import os
from typing import Callable, NamedTuple, Sequence

import google_crc32c
import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common import caches, files
from bert_my.common.errors import InputError
from bert_my.common.progress import Bar
from bert_my.data import workers
from bert_my.data.features import LENGTH_STEP, FeatureSpec
from bert_my.text.preprocessor import Example, Sentence

logger = logging.getLogger(__name__)

# Part of every file name: raise it when the content of records changes.
FORMAT_VERSION = 7
CHUNK_SIZE = 1000
# Sets with fewer chunks are encoded here: starting processes costs more than it saves.
MIN_PARALLEL_CHUNKS = 20
_WORD = np.dtype("<i4")
_WORDS_OF = {"int32": _WORD, "float32": np.dtype("<f4")}
# Records of a block. The beginnings of blocks are kept; lengths give those of records.
_BLOCK_ROWS = 64
# Records that are read at once to compare their checksums.
_CHECKED_ROWS = 1000
_REMEDY = "; a new start makes the file again"
_EXAMPLE_CLASSES = {each.__name__: each for each in (Example, Sentence)}


def encode(examples, specs):
    """Returns some records: (bytes, lengths, checksums), see `Chunk`.

    Args:
      examples: list of dicts name -> number or list of numbers.
      specs: list of `FeatureSpec`.

    Raises:
      ValueError: naming a feature that does not fit its spec or the other sequences.
    """
    lengths = _common_lengths(examples, specs)
    words = np.empty(_num_words(specs, lengths).sum(), _WORD)
    for spec, places in _places(specs, lengths):
        if None in spec.shape:
            tokens = itertools.chain.from_iterable(each[spec.name] for each in examples)
            values = np.fromiter(tokens, _WORDS_OF[spec.dtype], places.size)
        else:
            numbers = [each[spec.name] for each in examples]
            values = np.array(numbers, _WORDS_OF[spec.dtype])
            if values.shape[1:] != tuple(spec.shape):
                raise ValueError(
                    f"{spec.name} is of shape {values.shape[1:]}, not {spec.shape}"
                )
        words[places] = values.view(_WORD).reshape(places.shape)
    rows = words.tobytes()
    return rows, lengths, _checksums(rows, _num_words(specs, lengths))


def _checksums(data, sizes):
    """Returns the CRC-32C of records, uint32 `[num_rows]`.

    Args:
      data: bytes of the records.
      sizes: of the records in words, int `[num_rows]`.
    """
    ends = (np.cumsum(sizes) * _WORD.itemsize).tolist()
    records = (data[begin:end] for begin, end in zip([0, *ends], ends))
    return np.fromiter(map(google_crc32c.value, records), np.uint32, len(ends))


def _split(specs):
    """Returns (sequences, other features), two lists of `FeatureSpec`."""
    sequences = [spec for spec in specs if None in spec.shape]
    for spec in sequences:
        if len(spec.shape) > 1:
            raise ValueError(f"{spec.name}: a sequence is of numbers, not {spec.shape}")
    return sequences, [spec for spec in specs if None not in spec.shape]


def _common_lengths(examples, specs):
    """Returns the lengths of the sequences of each example, int32 `[num_rows]`."""
    sequences, _ = _split(specs)
    if not sequences:
        return np.zeros(len(examples), np.int32)
    lengths = np.array(
        [[len(each[spec.name]) for each in examples] for spec in sequences], np.int32
    )
    for index, place in np.argwhere(lengths != lengths[0]):
        raise ValueError(
            f"{sequences[0].name} and {sequences[index].name} of an example have "
            f"{lengths[0, place]} and {lengths[index, place]} tokens, but all its "
            "sequences must have one length"
        )
    return lengths[0]


def _num_words(specs, num_tokens, num_rows=1):
    """Returns the number of words of rows that have some tokens, int64 like these."""
    sequences, others = _split(specs)
    width = sum(int(np.prod(spec.shape)) for spec in others)
    return len(sequences) * np.asarray(num_tokens, np.int64) + width * num_rows


def _places(specs, lengths):
    """Yields (spec, places of its values among the words of rows) for each spec.

    Places of a sequence are `[num_tokens]`, row by row, and hold until the next spec;
    those of another feature are `[num_rows, num_values]`.

    Args:
      specs: list of `FeatureSpec`.
      lengths: of the rows in tokens, int `[num_rows]`.
    """
    sequences, others = _split(specs)
    row_words = _num_words(specs, lengths)
    first = np.cumsum(row_words) - row_words
    # The tokens of a row's first sequence; the next sequence follows.
    places = np.repeat(first - np.cumsum(lengths) + lengths, lengths)
    places += np.arange(len(places))
    steps = np.repeat(lengths, lengths)
    for spec in sequences:
        yield spec, places
        places += steps
    first = first + len(sequences) * lengths
    for spec in others:
        yield spec, first[:, None] + np.arange(int(np.prod(spec.shape)))
        first += int(np.prod(spec.shape))


class Chunk(NamedTuple):
    """Some records, as `creating` writes them.

    rows: bytes of the records.
    lengths: of the records in tokens, int32 `[num_rows]`.
    checksums: CRC-32C of each record, uint32 `[num_rows]`.
    num_cut: number of records whose text was cut.
    examples: a line of JSON: the name of the class of the examples, and a list of pairs
      (example, list with `Encoded.about` of each of its records); or "".
    """

    rows: bytes
    lengths: np.ndarray
    checksums: np.ndarray
    num_cut: int = 0
    examples: str = ""


class _Tail(NamedTuple):
    """The last words of a record file."""

    num_cut: int  # records whose text was cut
    num_lines: int  # of the file of kept examples, 0 if there is none
    num_rows: int
    checksum: int  # of the file's name and of all words after the records

    @classmethod
    def of(cls, path, index, num_cut, num_lines):
        """Returns the end of a file.

        Args:
          path: of the file.
          index: lengths and checksums of the records, int32 `[2, num_rows]`.
          num_cut, num_lines: see above.
        """
        counts = int(num_cut), num_lines, index.shape[1]
        name = os.path.basename(path)
        return cls(*counts, caches.checksum(index.tobytes(), name, *counts))


def examples_path(path):
    """Returns the path of the kept examples of a record file."""
    return f"{path}.examples"


def _with_checksum(line, path, number):
    """Returns a line of the kept examples, bytes, behind its checksum."""
    return b"%08x %s" % (caches.checksum(line, os.path.basename(path), number), line)


@contextlib.contextmanager
def creating(path, keeps_examples=False):
    """Gives a function that writes a `Chunk`.

    The files take their names when all went well.

    Args:
      path: of the record file.
      keeps_examples: whether the examples of the chunks are written too.

    Raises:
      InputError: if the disk is full.
    """
    written = []

    def write(chunk):
        _write(writer, chunk.rows)
        written.append(chunk._replace(rows=b"", examples=""))
        if keeps_examples:
            line = chunk.examples.encode()
            line = _with_checksum(line, examples_path(path), len(written))
            _write(examples_writer, line)

    with contextlib.ExitStack() as stack:
        # The record file gets its name last: with it, both are there.
        writer = stack.enter_context(_opened(path))
        if keeps_examples:
            examples_writer = stack.enter_context(_opened(examples_path(path)))
        yield write
        parts = [(chunk.lengths, chunk.checksums.view(_WORD)) for chunk in written]
        index = np.concatenate([np.zeros((2, 0), _WORD), *parts], axis=1)
        num_cut = sum(chunk.num_cut for chunk in written)
        tail = _Tail.of(path, index, num_cut, len(written) * keeps_examples)
        _write(writer, index.tobytes() + np.array(tail, np.uint32).tobytes())


@contextlib.contextmanager
def _opened(path):
    """Opens a file for writing without a buffer, so that closing it cannot fail."""
    with files.replacing_path(path) as temporary, open(
        temporary, "wb", buffering=0
    ) as writer:
        yield writer


def _write(writer, data):
    rest = memoryview(data)
    while rest:
        rest = rest[writer.write(rest) :]


class Records:
    """The records of one split, from a file that `creating` wrote.

    path: of the file.
    num_examples: number of records.
    num_cut_examples: number of records whose text was longer than `seq_length`.
    specs: of the features.
    seq_length: the most tokens of a record.
    lengths: of the records in tokens, int32 `[num_examples]`.
    is_new: whether this run made the file.
    """

    def __init__(self, path, specs, seq_length, is_new=False):
        """Opens a file whose records have these specs.

        It stays open: the records of this run are those of this file, also when another
        run makes the file again.

        Raises:
          InputError: naming the file, if it cannot be read, or its index is damaged.
        """
        self.path = path
        self.specs = tuple(specs)
        self.seq_length = seq_length
        self.is_new = is_new
        self._reader = caches.open_file(path)
        index, tail, num_words = self._read_index()
        self.lengths, self._checksums = index[0], index[1].view(np.uint32)
        self.num_cut_examples, self._num_lines = tail.num_cut, tail.num_lines
        self.num_examples = tail.num_rows
        # Beginnings of the blocks of records, in words. Those of all records would take
        # twice the memory of the lengths.
        begins = np.arange(0, self.num_examples, _BLOCK_ROWS)
        num_tokens = np.add.reduceat(self.lengths, begins, dtype=np.int64)
        num_rows = np.diff([*begins, self.num_examples])
        block_words = _num_words(self.specs, num_tokens, num_rows)
        self._block_begins = np.cumsum(block_words) - block_words
        if num_words != block_words.sum():
            raise InputError(
                f"{path}: found {num_words} words of records that have "
                f"{block_words.sum()}"
            )

    def _read_index(self):
        """Returns (lengths and checksums, `_Tail`, number of words before them)."""
        with files.reading(self.path):
            size = os.fstat(self._reader.fileno()).st_size
            num_words, num_left = divmod(size, _WORD.itemsize)
            place = num_words - len(_Tail._fields)
            tail = self._pread(max(place, 0), len(_Tail._fields)).view(np.uint32)
            if len(tail) == len(_Tail._fields) and not num_left:
                tail = _Tail(*tail.tolist())
                place -= 2 * tail.num_rows
                if place >= 0:
                    index = self._pread(place, 2 * tail.num_rows).reshape(2, -1)
                    if tail == _Tail.of(self.path, index, *tail[:2]):
                        return index, tail, place
        raise InputError(f"{self.path}: its end does not fit its checksum")

    def check(self, keeps_examples):
        """Compares the checksums of all records and of all kept examples.

        Args:
          keeps_examples: whether the examples are needed.

        Raises:
          InputError: naming the first record or line that was changed.
        """
        for begin in range(0, self.num_examples, _CHECKED_ROWS):
            end = min(begin + _CHECKED_ROWS, self.num_examples)
            self._read(np.arange(begin, end))
        if keeps_examples:
            collections.deque(self._example_lines(), maxlen=0)

    def examples(self):
        """Yields (example, list with `Encoded.about` of each of its records), in order.

        For records whose source keeps examples.

        Raises:
          InputError: naming the line, if the file has changed.
        """
        for line in self._example_lines(_REMEDY):
            class_name, pairs = json.loads(line)
            example_class = _EXAMPLE_CLASSES[class_name]
            for example, about in pairs:
                yield example_class(*example), about

    def _example_lines(self, remedy=""):
        """Yields the lines of the kept examples, bytes of JSON."""
        path, number = examples_path(self.path), 0
        with files.reading(path), io.BufferedReader(caches.open_file(path)) as reader:
            for number, line in enumerate(reader, 1):
                text = line.partition(b" ")[2]
                if line != _with_checksum(text, path, number):
                    raise InputError(
                        f"{path}:{number}: the line does not fit its checksum{remedy}"
                    )
                yield text
        if number != self._num_lines or not number:
            raise InputError(
                f"{path}: found {number} lines, written were {self._num_lines}{remedy}"
            )

    def gather(self, indices, padded_lengths=None):
        """Returns records as a dict name -> array `[len(indices), ...]`.

        Sequences are padded with 0 to the longest of these records, rounded up: padding
        costs as much time as text, and few different lengths are compiled sooner.

        Args:
          indices: int `[num_indices]`.
          padded_lengths: (optional) ascending ints; sequences are padded to the first
            one that is long enough. Default: to a multiple of `LENGTH_STEP`.

        Raises:
          InputError: naming the first record that has changed.
        """
        indices = np.asarray(indices, np.int64)
        lengths = self.lengths[indices]
        longest = int(lengths.max(initial=0))
        if padded_lengths is None:
            rounded = -(-longest // LENGTH_STEP) * LENGTH_STEP
            padded_length = min(rounded, self.seq_length)
        else:
            padded_length = padded_lengths[bisect.bisect_left(padded_lengths, longest)]
        words = self._read(indices, _REMEDY)
        is_token = np.arange(padded_length) < lengths[:, None]
        output = {}
        for spec, places in _places(self.specs, lengths):
            values = words[places].view(_WORDS_OF[spec.dtype])
            if None in spec.shape:
                output[spec.name] = np.zeros(is_token.shape, spec.dtype)
                output[spec.name][is_token] = values
            else:
                values = values.astype(spec.dtype, copy=False)
                output[spec.name] = values.reshape(len(indices), *spec.shape)
        return output

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

    def _begins(self, indices):
        """Returns where records begin in the file, in words: int64 `[len(indices)]`."""
        blocks, places = np.divmod(indices, _BLOCK_ROWS)
        in_block = np.arange(_BLOCK_ROWS)
        rows = blocks[:, None] * _BLOCK_ROWS + in_block
        lengths = self.lengths[np.minimum(rows, self.num_examples - 1)]
        sizes = _num_words(self.specs, lengths)
        sizes[in_block >= places[:, None]] = 0
        return self._block_begins[blocks] + sizes.sum(axis=1)

    def _read(self, indices, remedy=""):
        """Returns the words of records; neighbouring ones are read at once."""
        is_break = np.diff(indices) != 1
        firsts = indices[np.concatenate([[True], is_break])]
        lasts = indices[np.concatenate([is_break, [True]])]
        begins = self._begins(firsts)
        last_words = _num_words(self.specs, self.lengths[lasts])
        sizes = self._begins(lasts) + last_words - begins
        with files.reading(self.path):
            words = np.concatenate(list(map(self._pread, begins, sizes)))
        found = _checksums(
            words.tobytes(), _num_words(self.specs, self.lengths[indices])
        )
        for place in np.flatnonzero(found != self._checksums[indices])[:1]:
            raise InputError(
                f"{self.path}: record {indices[place] + 1} of {self.num_examples} does "
                f"not fit its checksum{remedy}"
            )
        return words

    def _pread(self, begin, size):
        """Returns words of the file; fewer at its end."""
        begin, size = int(begin) * _WORD.itemsize, int(size) * _WORD.itemsize
        data = os.pread(self._reader.fileno(), size, begin)
        return np.frombuffer(
            data[: len(data) // _WORD.itemsize * _WORD.itemsize], _WORD
        )


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
    records = _open_cached(source, path)
    if records:
        logger.info("%s: %d cached records", source.name, records.num_examples)
    else:
        files.make_folder(cache_dir, "cache_dir")
        _convert(source, path, num_processes or os.cpu_count() or 1)
        records = Records(path, source.specs, source.seq_length, is_new=True)
    if records.num_cut_examples:
        logger.warning(
            "%s: %d of %d rows are longer than --max_seq_length=%d and were cut",
            source.name,
            records.num_cut_examples,
            records.num_examples,
            records.seq_length,
        )
    return records


def _open_cached(source, path):
    """Returns the `Records` that were made before; None if they have to be made."""
    paths = [path, examples_path(path)][: 1 + source.keeps_examples]
    if not any(map(os.path.lexists, paths)):
        return None
    try:
        records = Records(path, source.specs, source.seq_length)
        records.check(source.keeps_examples)
        return records
    except InputError as error:
        logger.warning("%s; it is made again", error)
    for each in paths:
        caches.make_room(each)
    return None


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
    with creating(path, source.keeps_examples) as write, Bar(
        f"Encoding {source.name}", "rows"
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
    rows, *about = encode([row.features for row in flat], source.specs)
    lengths, _ = about
    if lengths.max(initial=0) > source.seq_length:
        raise ValueError(f"{lengths.max()} tokens, but the most is {source.seq_length}")
    kept = ""
    if source.keeps_examples:
        # Of all examples at once: one by one takes three times as long.
        abouts = [[row.about for row in its_rows] for its_rows in encoded]
        pairs = [example_class.__name__, list(zip(chunk_examples, abouts))]
        kept = json.dumps(pairs, ensure_ascii=False) + "\n"
    num_cut = sum(row.num_cut_tokens > 0 for row in flat)
    return Chunk(rows, *about, num_cut, kept)
