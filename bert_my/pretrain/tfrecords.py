"""Record files of `tf.train.Example` messages, written without TensorFlow.

For rows of arrays of one shape: all rows are encoded at once, many times as fast as one
by one, and processes that only write records stay small.

Source: "Encoding" in the documentation of protocol buffers, `example.proto` and
`record_writer.h` of TensorFlow.
"""

import struct

import google_crc32c
import numpy as np

_INT64_LIST, _FLOAT_LIST = 3, 2  # numbers of the fields in `Feature`
_HEADER_SIZE, FRAME_SIZE = 12, 16  # bytes before a record, and around it


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


def first_record(path):
    """Returns the first record of a file, or None if there is none or it is broken."""
    with open(path, "rb") as reader:
        header = reader.read(_HEADER_SIZE)
        length, checksum = header[:8], header[8:]
        if len(header) < _HEADER_SIZE or checksum != _checksum(length):
            return None
        (num_bytes,) = struct.unpack("<Q", length)
        record, checksum = reader.read(num_bytes), reader.read(4)
    return record if checksum == _checksum(record) else None


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
    # The first byte is always there, the others if something is left for them.
    is_used = shifted > 0
    is_used[..., 0] = True
    has_more = np.zeros_like(is_used)
    has_more[..., :-1] = is_used[..., 1:]
    encoded = (shifted & 127 | has_more << 7).astype(np.uint8)[is_used].tobytes()
    ends = np.cumsum(is_used.sum(axis=(1, 2))).tolist()
    return [encoded[start:end] for start, end in zip([0, *ends], ends)]
