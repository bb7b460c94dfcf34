"""Reading files in the format safetensors, with all of its usual float types.

A file holds the length of its header in 8 bytes, the header, which is JSON, and the
bytes of the tensors. Source: github.com/huggingface/safetensors, "Format". The reader
of the package gives NumPy no bfloat16.
"""

import json
import os

import numpy as np

from bert_my.common.errors import InputError

ENDING = ".safetensors"
_BFLOAT16 = "BF16"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    _BFLOAT16: "<u2",  # the upper half of a float32
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_FLOATS = ("F64", "F32", "F16", _BFLOAT16)
_MAX_HEADER = 100_000_000  # bytes, as in the package


def each_tensor(path):
    """Yields (name, array) of each tensor; floats of every type become float32.

    Raises:
      InputError: if the file cannot be read, is damaged, or holds a tensor of a type
        that is not known.
    """
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            begin = 8 + length
            if not 2 <= length <= _MAX_HEADER or begin > size:
                raise ValueError("its header is not whole")
            header = json.loads(stream.read(length).decode("utf-8"))
            header.pop("__metadata__", None)
            ends = [about["data_offsets"][1] for about in header.values()]
            if max(ends, default=0) != size - begin:
                raise ValueError(
                    f"it has {size} bytes, and {begin + max(ends, default=0)} by its "
                    "header; is it whole?"
                )
            for name, about in sorted(
                header.items(), key=lambda item: item[1]["data_offsets"]
            ):
                stream.seek(begin + about["data_offsets"][0])
                yield name, _read(stream, name, **about)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _read(stream, name, dtype, shape, data_offsets):
    """Returns the next tensor of a file, by its entry in the header."""
    if dtype not in _DTYPES:
        raise ValueError(
            f"{name} is of type {dtype}; the types that can be read are "
            f"{', '.join(_DTYPES)}"
        )
    num_values = int(np.prod(shape, dtype=np.int64))
    stored = np.dtype(_DTYPES[dtype])
    begin, end = data_offsets
    if end - begin != num_values * stored.itemsize:
        raise ValueError(f"{name} has {end - begin} bytes for the shape {shape}")
    values = np.fromfile(stream, stored, num_values)
    if dtype == _BFLOAT16:
        values = (values.astype("<u4") << 16).view("<f4")
    if dtype in _FLOATS:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            values = values.astype(np.float32, copy=False)
    return values.reshape(shape)
