"""Record files of `tf.train.Example` messages, written and read without TensorFlow.

All rows of arrays are encoded at once, many times as fast as one by one, and processes
that only write records need no memory for TensorFlow.

Source: "Encoding" in the documentation of protocol buffers, `example.proto` and
`record_writer.h` of TensorFlow.
"""

import struct

import google_crc32c
import numpy as np

_INT64_LIST, _FLOAT_LIST = 3, 2  # numbers of the fields in `Feature`
_HEADER_SIZE, _CHECKSUM_SIZE = 12, 4  # bytes before and after a record


def encode_rows(arrays):
    """Returns the serialized `tf.train.Example` of each row, a list of bytes.

    Args:
      arrays: dict name -> int or float array `[num_rows, width]`; ints are not negative
        and below 2^35. Floats are written as float32.
    """
    columns = []
    for name, rows in arrays.items():
        is_float = np.issubdtype(rows.dtype, np.floating)
        field = _FLOAT_LIST if is_float else _INT64_LIST
        values = _float_rows(rows) if is_float else _varint_rows(rows)
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


def read(stream, num_records):
    """Returns the next records of an open file, a list of bytes.

    Args:
      stream: binary file.
      num_records: the most records to read; there are fewer at the end of the file.

    Raises:
      ValueError: if a record is not whole or does not fit its checksums.
    """
    records = []
    while len(records) < num_records:
        header = stream.read(_HEADER_SIZE)
        if not header:
            break
        length, checksum = header[:8], header[8:]
        if checksum != _checksum(length):
            raise ValueError("corrupted record header")
        (num_bytes,) = struct.unpack("<Q", length)
        record = stream.read(num_bytes)
        if stream.read(_CHECKSUM_SIZE) != _checksum(record):
            raise ValueError("corrupted record")
        records.append(record)
    return records


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


def _float_rows(rows):
    return [row.tobytes() for row in rows.astype("<f4")]


def _varint_rows(rows):
    """Returns the varints of each row, one after the other: a list of bytes."""
    rows = rows.astype(np.int64)
    num_bytes = 1
    while rows.max(initial=0) >> (7 * num_bytes):
        num_bytes += 1
    if num_bytes == 1:
        return [row.tobytes() for row in rows.astype(np.uint8)]
    shifted = rows[..., None] >> (7 * np.arange(num_bytes))
    # The first byte is always used, the others if bits are left for them.
    is_used = shifted > 0
    is_used[..., 0] = True
    has_more = np.zeros_like(is_used)
    has_more[..., :-1] = is_used[..., 1:]
    encoded = (shifted & 127 | has_more << 7).astype(np.uint8)[is_used].tobytes()
    ends = np.cumsum(is_used.sum(axis=(1, 2))).tolist()
    return [encoded[start:end] for start, end in zip([0, *ends], ends)]
