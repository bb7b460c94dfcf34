"""Shards: files of pretraining instances, TFRecord or HDF5 as NVIDIA's.

A format encodes instances in any process, writes them to a file, and reads a file block
by block: runs of neighbouring instances, as serialized `tf.train.Example` messages.
Records are encoded and framed without TensorFlow: all rows of arrays at once, many
times as fast as one by one, and processes that only write need no memory for it.

Source: "Encoding" in the documentation of protocol buffers, `example.proto` and
`record_writer.h` of TensorFlow.
"""

import contextlib
import io
import itertools
import os
import struct

import google_crc32c
import h5py
import numpy as np

from bert_my.common.errors import InputError

# Instances that are read at once.
BLOCK_ROWS = 512
# Features of NVIDIA's HDF5 files. Weights are not stored: position 0 is [CLS], so it
# stands for a prediction that is not used.
HDF5_DTYPES = {
    "input_ids": "i4",
    "input_mask": "i1",
    "segment_ids": "i1",
    "masked_lm_positions": "i4",
    "masked_lm_ids": "i4",
    "next_sentence_labels": "i1",
}
# Exceptions that reading a damaged file raises.
READ_ERRORS = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)
_MAX_WIDTH = 1 << 16  # numbers of a feature; more would fill the memory
_CHUNK_ROWS = 256
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_INT64_LIST, _FLOAT_LIST = 3, 2  # numbers of the fields in `Feature`
_HEADER_SIZE, _CHECKSUM_SIZE = 12, 4  # bytes before and after a record


class _Stream(io.FileIO):
    """A file that keeps the first error of writing instead of raising it.

    HDF5 would go on in spite of errors, and print them when it closes the file. It
    would also lock a file that it opens, which `files.replacing_path` has locked.
    """

    error = None

    def write(self, data):
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            error.filename = self.name
            self.error = self.error or error
        return len(data)

    def check(self):
        """Raises the `OSError` that was kept, if there is one."""
        if self.error:
            raise self.error


class TfRecords:
    """Upstream's format."""

    name = "a TFRecord file"

    @staticmethod
    def encode(instances):
        """Returns instances as they stand in a file: a list of bytes.

        Args:
          instances: see `instances.make_instances`.
        """
        return list(map(frame, encode_rows(instances)))

    @staticmethod
    @contextlib.contextmanager
    def writing(path):
        """Opens a file; gives a function that appends encoded instances to it."""

        def write(encoded):
            stream.write(b"".join(encoded))
            stream.check()

        with _Stream(path, "w") as stream:
            yield write

    @staticmethod
    def blocks(path, names, offset=0):
        """Yields (offset of a block in the file, list of serialized examples).

        Args:
          path: of the file.
          names: features to read from a file that stores each by itself.
          offset: of the first block to read: in bytes, or in rows of an HDF5 file.

        Raises:
          one of `READ_ERRORS`: if the file is damaged.
          InputError: if an HDF5 file lacks a feature or some of its rows.
        """
        with open(path, "rb") as stream:
            stream.seek(offset)
            while True:
                offset = stream.tell()
                records = list(itertools.islice(_read_records(stream), BLOCK_ROWS))
                if not records:
                    return
                yield offset, records


class Hdf5:
    """NVIDIA's format; methods as in `TfRecords`."""

    name = "an HDF5 file"

    @staticmethod
    def encode(instances):
        """Returns a structured array, in which slices of instances can be taken."""
        labels = instances["next_sentence_labels"][:, 0]
        instances = {**instances, "next_sentence_labels": labels}
        fields = [(n, t, instances[n].shape[1:]) for n, t in HDF5_DTYPES.items()]
        encoded = np.empty(len(labels), fields)
        for name in HDF5_DTYPES:
            encoded[name] = instances[name]
        return encoded

    @staticmethod
    @contextlib.contextmanager
    def writing(path):
        def write(encoded):
            for name, dtype in HDF5_DTYPES.items():
                rows = encoded[name]
                if name not in file:
                    file.create_dataset(
                        name,
                        shape=(0, *rows.shape[1:]),
                        maxshape=(None, *rows.shape[1:]),
                        dtype=dtype,
                        chunks=(_CHUNK_ROWS, *rows.shape[1:]),
                        compression="gzip",
                        track_times=False,  # the same instances give the same file
                    )
                dataset = file[name]
                size = len(dataset)
                dataset.resize(size + len(rows), axis=0)
                dataset[size:] = rows
            stream.check()

        with _Stream(path, "w+") as stream:
            try:
                with h5py.File(stream, "w") as file:
                    yield write
            finally:  # in place of what HDF5 makes of the error
                stream.check()

    @staticmethod
    def blocks(path, names, offset=0):
        with h5py.File(path, "r") as file:
            datasets = {name: file.get(name) for name in HDF5_DTYPES if name in names}
            for name, dataset in datasets.items():
                is_table = isinstance(dataset, h5py.Dataset) and dataset.ndim > 0
                if not is_table or not np.issubdtype(dataset.dtype, np.integer):
                    raise InputError(
                        f"{path}: it lacks integers {name}; NVIDIA's files have them"
                    )
                num_rows = len(datasets["input_ids"])
                if dataset.size > num_rows * _MAX_WIDTH:
                    raise ValueError(f"{name} is of shape {dataset.shape}")
                if len(dataset) != num_rows:
                    raise InputError(
                        f"{path}: {name} has {len(dataset)} rows, and input_ids "
                        f"{num_rows}"
                    )
            for first in range(offset, num_rows, BLOCK_ROWS):
                rows = slice(first, min(first + BLOCK_ROWS, num_rows))
                # Labels are stored as [num_rows] or [num_rows, 1].
                arrays = {
                    name: dataset[rows].reshape(rows.stop - first, -1)
                    for name, dataset in datasets.items()
                }
                is_used = arrays["masked_lm_positions"] > 0
                arrays["masked_lm_weights"] = is_used.astype(np.float32)
                yield first, encode_rows(arrays)


FORMATS = {"tfrecord": TfRecords, "hdf5": Hdf5}


def format_of(path):
    """Returns the format of a file, one of `FORMATS`, by its first bytes.

    Raises:
      InputError: if the file cannot be read.
    """
    try:
        with open(path, "rb") as reader:
            is_hdf5 = reader.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return Hdf5 if is_hdf5 else TfRecords


class Writer:
    """Spreads instances evenly over open files.

    counts: number of instances in each file, a list.
    """

    def __init__(self, appends):
        """Takes the functions that append encoded instances to the files, a list."""
        self.counts = [0] * len(appends)
        self._appends = appends

    def __call__(self, encoded):
        """Writes instances, the return value of `encode` of the format."""
        num_files = len(self._appends)
        next_file = sum(self.counts) % num_files
        for index, append in enumerate(self._appends):
            rows = encoded[(index - next_file) % num_files :: num_files]
            append(rows)
            self.counts[index] += len(rows)


@contextlib.contextmanager
def writing(paths, shard_format):
    """Gives the `Writer` of new files; see `builds.writing`.

    Args:
      paths: list of files.
      shard_format: one of `FORMATS`.
    """
    with contextlib.ExitStack() as stack:
        yield Writer([stack.enter_context(shard_format.writing(p)) for p in paths])


def encode_rows(arrays):
    """Returns the serialized `tf.train.Example` of each row, a list of bytes.

    Args:
      arrays: dict name -> int or float array `[num_rows, width]`. Floats are written as
        float32.
    """
    columns = []
    for name, rows in arrays.items():
        if np.issubdtype(rows.dtype, np.floating):
            field, values = _FLOAT_LIST, map(bytes, rows.astype("<f4"))
        else:
            field, values = _INT64_LIST, _varint_rows(rows)
        key = _message(1, name.encode("utf-8"))
        columns.append(
            [
                _message(1, key + _message(2, _message(field, _message(1, row))))
                for row in values
            ]
        )
    return [_message(1, b"".join(features)) for features in zip(*columns)]


def frame(record):
    """Returns a record with its length and checksums, as it stands in a file."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _checksum(length), record, _checksum(record)))


def _read_records(stream):
    """Yields the records that follow in an open TFRecord file.

    Raises:
      ValueError: if a record is not whole or does not fit its checksums.
    """
    size = os.fstat(stream.fileno()).st_size
    while True:
        header = stream.read(_HEADER_SIZE)
        if not header:
            return
        length, checksum = header[:8], header[8:]
        if checksum != _checksum(length):
            raise ValueError("corrupted record header")
        (num_bytes,) = struct.unpack("<Q", length)
        if num_bytes > size - stream.tell():
            raise ValueError(f"a record of {num_bytes} bytes goes beyond the end")
        record = stream.read(num_bytes)
        if stream.read(_CHECKSUM_SIZE) != _checksum(record):
            raise ValueError("corrupted record")
        yield record


def _checksum(data):
    """Returns the masked CRC-32C of bytes."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _message(field, content):
    """Returns a field whose wire type is "length-delimited"."""
    return b"".join((bytes((field << 3 | 2,)), _varint(len(content)), content))


def _varint(value):
    if value < 128:
        return bytes((value,))
    return bytes((value & 127 | 128,)) + _varint(value >> 7)


def _varint_rows(rows):
    """Returns the varints of each row, one after the other: a list of bytes."""
    # Negative numbers are written in two's complement with 64 bits.
    rows = rows.astype(np.int64).view(np.uint64)
    num_bytes = max(-(-int(rows.max(initial=0)).bit_length() // 7), 1)
    if num_bytes == 1:
        return [row.tobytes() for row in rows.astype(np.uint8)]
    shifted = rows[..., None] >> (7 * np.arange(num_bytes)).astype(np.uint64)
    # The first byte is always used, the others if bits are left for them.
    is_used = shifted > 0
    is_used[..., 0] = True
    encoded = (shifted & np.uint64(127)).astype(np.uint8)
    encoded[..., :-1] |= is_used[..., 1:].astype(np.uint8) << 7
    encoded = encoded[is_used].tobytes()
    ends = np.cumsum(is_used.sum(axis=(1, 2))).tolist()
    return [encoded[start:end] for start, end in zip([0, *ends], ends)]
