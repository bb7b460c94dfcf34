"""Record files: features of the rows of a split, read in any order.

A record is a run of little-endian words of 32 bits: its sequences, which have one
length, then its other features, each in the order of the specs. After the records come
their lengths, the number of records whose text was cut, and the number of records.
Records are read, not mapped: the pages of a mapped file that were read count as memory
of the process. Examples that are kept are in a second file, as lines of JSON.
"""

import bisect
import contextlib
import itertools
import json
import os
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data.features import LENGTH_STEP
from bert_my.text.preprocessor import Example, Sentence

_WORD = np.dtype("<i4")
_WORDS_OF = {"int32": _WORD, "float32": np.dtype("<f4")}
# Records of a block. The beginnings of blocks are kept; lengths give those of records.
_BLOCK_ROWS = 64
_EXAMPLE_CLASSES = {each.__name__: each for each in (Example, Sentence)}


def encode(examples, specs):
    """Returns some records: (bytes, lengths, an int32 `[num_rows]`).

    Args:
      examples: list of dicts name -> number or list of numbers.
      specs: list of `FeatureSpec`.

    Raises:
      ValueError: naming a feature that does not fit its spec or the other sequences.
    """
    sequences, others = _split(specs)
    lengths = _common_lengths(examples, sequences)
    row_words = len(sequences) * lengths + _width(others)
    ends = np.cumsum(row_words)
    words = np.empty(row_words.sum(), _WORD)
    # Places of the tokens of a row's first sequence; the next sequence follows.
    places = _ranges(ends - row_words, lengths)
    steps = np.repeat(lengths, lengths)
    for spec in sequences:
        tokens = itertools.chain.from_iterable(each[spec.name] for each in examples)
        values = np.fromiter(tokens, _WORDS_OF[spec.dtype], len(places))
        words[places] = values.view(_WORD)
        places += steps
    first = ends - _width(others)
    for spec in others:
        values = np.array([each[spec.name] for each in examples], _WORDS_OF[spec.dtype])
        if values.shape[1:] != tuple(spec.shape):
            raise ValueError(
                f"{spec.name} is of shape {values.shape[1:]}, not {spec.shape}"
            )
        places = first[:, None] + np.arange(_width([spec]))
        words[places] = values.view(_WORD).reshape(places.shape)
        first += _width([spec])
    return words.tobytes(), lengths


def _split(specs):
    """Returns (sequences, other features), two lists of `FeatureSpec`."""
    sequences = [spec for spec in specs if None in spec.shape]
    for spec in sequences:
        if len(spec.shape) > 1:
            raise ValueError(f"{spec.name}: a sequence is of numbers, not {spec.shape}")
    return sequences, [spec for spec in specs if None not in spec.shape]


def _width(others):
    """Returns the number of words of a row in features that are no sequences."""
    return sum(int(np.prod(spec.shape)) for spec in others)


def _common_lengths(examples, sequences):
    """Returns the lengths of the sequences of each example, int32 `[num_rows]`."""
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


def _ranges(starts, lengths):
    """Returns the concatenated ranges of some starts and lengths."""
    firsts = starts - (np.cumsum(lengths) - lengths)
    return np.repeat(firsts, lengths) + np.arange(lengths.sum())


class Chunk(NamedTuple):
    """Some records, as `creating` writes them.

    rows, lengths: see `encode`.
    num_cut: number of records whose text was cut.
    examples: a line of JSON: the name of the class of the examples, and a list of pairs
      (example, list with `Encoded.about` of each of its records); or "".
    """

    rows: bytes
    lengths: np.ndarray
    num_cut: int = 0
    examples: str = ""


def examples_path(path):
    """Returns the path of the kept examples of a record file."""
    return f"{path}.examples"


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
        _write(writer, chunk.rows, path)
        if keeps_examples:
            _write(examples_writer, chunk.examples.encode(), examples_path(path))
        written.append(chunk._replace(rows=b"", examples=""))

    with contextlib.ExitStack() as stack:
        if keeps_examples:
            examples_writer = stack.enter_context(_opened(examples_path(path)))
        writer = stack.enter_context(_opened(path))
        yield write
        num_cut = sum(chunk.num_cut for chunk in written)
        num_rows = sum(len(chunk.lengths) for chunk in written)
        words = [*(chunk.lengths for chunk in written), [num_cut, num_rows]]
        _write(writer, np.concatenate(words).astype(_WORD).tobytes(), path)


@contextlib.contextmanager
def _opened(path):
    """Opens a file for writing without a buffer, so that closing it cannot fail."""
    with files.replacing_path(path) as temporary, open(
        temporary, "wb", buffering=0
    ) as writer:
        yield writer


def _write(writer, data, path):
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[writer.write(rest) :]
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


class Records:
    """The records of one split, from a file that `creating` wrote.

    path: of the file.
    num_examples: number of records.
    num_cut_examples: number of records whose text was longer than `seq_length`.
    specs: of the features.
    seq_length: the most tokens of a record.
    lengths: of the records in tokens, int32 `[num_examples]`.
    """

    def __init__(self, path, specs, seq_length):
        """Opens a file whose records have these specs.

        Raises:
          InputError: naming the file, if it cannot be read or is not as long as its
            records.
        """
        self.path = path
        self.specs = tuple(specs)
        self.seq_length = seq_length
        try:
            num_words = os.path.getsize(path) // _WORD.itemsize
            with open(path, "rb") as reader:
                reader.seek(max(num_words - 2, 0) * _WORD.itemsize)
                self.num_cut_examples, self.num_examples = map(
                    int, np.fromfile(reader, _WORD)
                )
                reader.seek((num_words - 2 - self.num_examples) * _WORD.itemsize)
                self.lengths = np.fromfile(reader, _WORD, self.num_examples)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read: {error}; remove the file, and it is made "
                "again"
            ) from error
        self._sequences, self._others = _split(specs)
        # Beginnings of the blocks of records, in words. Those of all records would take
        # twice the memory of the lengths.
        block_firsts = np.arange(0, self.num_examples, _BLOCK_ROWS)
        sizes = np.add.reduceat(self.lengths, block_firsts, dtype=np.int64)
        block_words = len(self._sequences) * sizes
        block_words += _width(self._others) * np.diff(
            [*block_firsts, self.num_examples]
        )
        self._block_begins = np.cumsum(block_words) - block_words
        self._check_size(num_words - 2 - self.num_examples, block_words.sum())

    def _check_size(self, num_words, expected):
        if num_words != expected:
            raise InputError(
                f"{self.path}: found {num_words} words of records that have "
                f"{expected}; remove the file, and it is made again"
            )

    def examples(self):
        """Yields (example, list with `Encoded.about` of each of its records), in order.

        For records whose source keeps examples.
        """
        for _, line in files.read_lines(examples_path(self.path)):
            class_name, pairs = json.loads(line)
            example_class = _EXAMPLE_CLASSES[class_name]
            for example, about in pairs:
                yield example_class(*example), about

    def gather(self, indices, padded_lengths=None):
        """Returns records as a dict name -> array `[len(indices), ...]`.

        Sequences are padded with 0 to the longest of these records, rounded up: padding
        costs as much time as text, and few different lengths are compiled sooner.

        Args:
          indices: int `[num_indices]`.
          padded_lengths: (optional) ascending ints; sequences are padded to the first
            one that is long enough. Default: to a multiple of `LENGTH_STEP`.

        Raises:
          InputError: if the file has been cut.
        """
        indices = np.asarray(indices, np.int64)
        lengths = self.lengths[indices]
        longest = int(lengths.max(initial=0))
        if padded_lengths is None:
            rounded = -(-longest // LENGTH_STEP) * LENGTH_STEP
            padded_length = min(rounded, self.seq_length)
        else:
            padded_length = padded_lengths[bisect.bisect_left(padded_lengths, longest)]
        words = self._read(indices)
        row_words = self._num_words(indices)
        ends = np.cumsum(row_words)
        is_token = np.arange(padded_length) < lengths[:, None]
        places = _ranges(ends - row_words, lengths)
        steps = np.repeat(lengths, lengths)
        output = {}
        for spec in self._sequences:
            values = np.zeros(is_token.shape, spec.dtype)
            values[is_token] = words[places].view(_WORDS_OF[spec.dtype])
            output[spec.name] = values
            places += steps
        first = ends - _width(self._others)
        for spec in self._others:
            values = words[first[:, None] + np.arange(_width([spec]))]
            values = values.view(_WORDS_OF[spec.dtype]).astype(spec.dtype, copy=False)
            output[spec.name] = values.reshape(len(indices), *spec.shape)
            first += _width([spec])
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

    def _num_words(self, indices):
        """Returns the numbers of words of records, int64 `[len(indices)]`."""
        lengths = self.lengths[indices].astype(np.int64)
        return len(self._sequences) * lengths + _width(self._others)

    def _begins(self, indices):
        """Returns where records begin in the file, in words: int64 `[len(indices)]`."""
        blocks, places = np.divmod(indices, _BLOCK_ROWS)
        in_block = np.arange(_BLOCK_ROWS)
        rows = blocks[:, None] * _BLOCK_ROWS + in_block
        sizes = self._num_words(np.minimum(rows, self.num_examples - 1))
        sizes[in_block >= places[:, None]] = 0
        return self._block_begins[blocks] + sizes.sum(axis=1)

    def _read(self, indices):
        """Returns the words of records; neighbouring ones are read at once."""
        is_break = np.diff(indices) != 1
        firsts = indices[np.concatenate([[True], is_break])]
        lasts = indices[np.concatenate([is_break, [True]])]
        begins = self._begins(firsts)
        sizes = self._begins(lasts) + self._num_words(lasts) - begins
        with open(self.path, "rb", buffering=0) as reader:
            data = b"".join(
                os.pread(reader.fileno(), size, begin)
                for size, begin in zip(
                    (sizes * _WORD.itemsize).tolist(),
                    (begins * _WORD.itemsize).tolist(),
                )
            )
        self._check_size(len(data) // _WORD.itemsize, sizes.sum())
        return np.frombuffer(data, _WORD)
