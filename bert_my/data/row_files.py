"""Files of rows of numbers that are read in any order.

A row is one little-endian word of 32 bits after the other: its sequences, which have
one length, then its other features, each in the order of the specs. The lengths stand
in a second file. Rows are read, not mapped: the pages of a mapped file that were read
count as memory of the process.
"""

import contextlib
import io
import itertools
import os

import numpy as np

from bert_my.common import files
from bert_my.common.errors import InputError

_WORD = np.dtype("<i4")
_WORDS_OF = {"int32": _WORD, "float32": np.dtype("<f4")}
# Rows of a block. The beginnings of blocks are kept; lengths give those of rows.
_BLOCK_ROWS = 64


def encode(examples, specs):
    """Returns the rows of some examples: (bytes, lengths, an int32 `[num_rows]`).

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
    columns = [[len(each[spec.name]) for each in examples] for spec in sequences]
    for spec, column in zip(sequences[1:], columns[1:]):
        if column != columns[0]:
            lengths = next(
                pair for pair in zip(columns[0], column) if len(set(pair)) > 1
            )
            raise ValueError(
                f"{sequences[0].name} and {spec.name} of an example have "
                f"{lengths[0]} and {lengths[1]} tokens, but all its sequences must "
                "have one length"
            )
    return np.array(columns[0] if columns else [0] * len(examples), np.int32)


def _ranges(starts, lengths):
    """Returns the concatenated ranges of some starts and lengths."""
    firsts = starts - (np.cumsum(lengths) - lengths)
    return np.repeat(firsts, lengths) + np.arange(lengths.sum())


def lengths_path(path):
    """Returns the path of the lengths of the rows of a file."""
    return f"{path}.npy"


@contextlib.contextmanager
def creating(path):
    """Gives a function that writes the return values of `encode`.

    The file takes its name when all went well.

    Raises:
      InputError: if the disk is full.
    """
    all_lengths = [np.zeros(0, np.int32)]

    def write(rows, lengths):
        _write(writer, rows, path)
        all_lengths.append(lengths)

    with files.replacing_path(path) as temporary:
        with open(temporary, "wb", buffering=0) as writer:
            yield write
        memory = io.BytesIO()
        np.save(memory, np.concatenate(all_lengths))
        with files.replacing_path(lengths_path(path)) as temporary_lengths, open(
            temporary_lengths, "wb", buffering=0
        ) as writer:
            _write(writer, memory.getvalue(), lengths_path(path))


def _write(writer, data, path):
    """Writes bytes to a file without a buffer, so that closing it cannot fail."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[writer.write(rest) :]
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


class RowFile:
    """The rows of a file that `creating` wrote.

    lengths: int32 `[num_rows]`, of the sequences of each row.
    """

    def __init__(self, path, specs):
        """Opens a file whose rows have these specs.

        Raises:
          InputError: naming the file, if it is not as long as its rows.
        """
        self.path = path
        self.specs = tuple(specs)
        try:
            self.lengths = np.load(lengths_path(path))
            num_bytes = os.path.getsize(path)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{lengths_path(path)}: cannot be read: {error}; remove the file, and "
                "it is made again"
            ) from error
        self._sequences, self._others = _split(specs)
        # Beginnings of the blocks of rows, in words. Those of all rows would take twice
        # the memory of the lengths.
        block_firsts = np.arange(0, len(self.lengths), _BLOCK_ROWS)
        sizes = np.add.reduceat(self.lengths, block_firsts, dtype=np.int64)
        num_words = len(self._sequences) * sizes
        num_words += _width(self._others) * np.diff([*block_firsts, len(self.lengths)])
        self._block_begins = np.cumsum(num_words) - num_words
        self._check_size(num_bytes, num_words.sum())

    def _check_size(self, num_bytes, num_words):
        expected = int(num_words) * _WORD.itemsize
        if num_bytes != expected:
            raise InputError(
                f"{self.path}: found {num_bytes} bytes of rows that have {expected}; "
                "remove the file, and it is made again"
            )

    def gather(self, indices, padded_length):
        """Returns some rows as a dict name -> array `[len(indices), ...]`.

        Args:
          indices: of rows, int `[num_indices]`.
          padded_length: length to which sequences are padded with 0; none is longer.

        Raises:
          InputError: if the file has been cut.
        """
        indices = np.asarray(indices, np.int64)
        words = self._read(indices)
        lengths = self.lengths[indices]
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

    def _num_words(self, indices):
        """Returns the numbers of words of rows, int64 `[len(indices)]`."""
        lengths = self.lengths[indices].astype(np.int64)
        return len(self._sequences) * lengths + _width(self._others)

    def _begins(self, indices):
        """Returns the places of rows in the file, in words: int64 `[len(indices)]`."""
        blocks, places = np.divmod(indices, _BLOCK_ROWS)
        in_block = np.arange(_BLOCK_ROWS)
        rows = blocks[:, None] * _BLOCK_ROWS + in_block
        sizes = self._num_words(np.minimum(rows, len(self.lengths) - 1))
        sizes[in_block >= places[:, None]] = 0
        return self._block_begins[blocks] + sizes.sum(axis=1)

    def _read(self, indices):
        """Returns the words of rows; neighbouring rows are read at once."""
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
        self._check_size(len(data), sizes.sum())
        return np.frombuffer(data, _WORD)
