"""Shards: files of pretraining instances, TFRecord or HDF5 as NVIDIA's.

A format encodes instances in any process, opens files that take encoded instances, and
reads a file block by block: runs of neighbouring instances.
"""

import contextlib
from typing import NamedTuple, Tuple

import h5py
import numpy as np

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.pretrain import tfrecords

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
_CHUNK_ROWS = 256


class TfRecords:
    """Upstream's format."""

    @staticmethod
    def encode(instances):
        """Returns instances as they stand in a file: a list of bytes.

        Args:
          instances: see `instances.make_instances`.
        """
        return [tfrecords.frame(row) for row in tfrecords.encode_rows(instances)]

    def __init__(self, path):
        """Opens a file for writing."""
        self._stream = open(path, "wb")  # noqa: SIM115

    def write(self, encoded, first=0, step=1):
        """Writes every `step`-th of encoded instances, from `first` on."""
        self._stream.write(b"".join(encoded[first::step]))

    def close(self):
        """Closes the file."""
        self._stream.close()


class Hdf5:
    """NVIDIA's format; methods as in `TfRecords`."""

    @staticmethod
    def encode(instances):
        labels = instances["next_sentence_labels"][:, 0]
        instances = {**instances, "next_sentence_labels": labels}
        return {name: instances[name].astype(HDF5_DTYPES[name]) for name in HDF5_DTYPES}

    def __init__(self, path):
        self._file = h5py.File(path, "w")

    def write(self, encoded, first=0, step=1):
        for name, values in encoded.items():
            rows = values[first::step]
            if name not in self._file:
                self._file.create_dataset(
                    name,
                    shape=(0, *rows.shape[1:]),
                    maxshape=(None, *rows.shape[1:]),
                    dtype=rows.dtype,
                    chunks=(_CHUNK_ROWS, *rows.shape[1:]),
                    compression="gzip",
                    track_times=False,  # the same instances give the same file
                )
            dataset = self._file[name]
            size = len(dataset)
            dataset.resize(size + len(rows), axis=0)
            dataset[size:] = rows

    def close(self):
        self._file.close()


FORMATS = {"tfrecord": TfRecords, "hdf5": Hdf5}


@contextlib.contextmanager
def open_shards(paths, shard_format):
    """Gives a function that spreads instances evenly over files.

    Its arguments are the return value of `encode` of the format, and the number of
    instances. The files take their names when all went well.

    Args:
      paths: list of files.
      shard_format: one of `FORMATS`.
    """
    next_file = 0

    def write(encoded, num_instances):
        nonlocal next_file
        for index, file in enumerate(opened):
            file.write(encoded, (index - next_file) % len(opened), len(opened))
        next_file = (next_file + num_instances) % len(opened)

    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(files.replacing_path(path)) for path in paths]
        opened = [
            stack.enter_context(contextlib.closing(shard_format(path)))
            for path in temporary
        ]
        yield write


class Shard(NamedTuple):
    """A checked file.

    offsets: for each block the bytes that stand before it in a TFRecord file, or the
      rows in an HDF5 file.
    """

    path: str
    num_examples: int
    is_hdf5: bool
    offsets: Tuple[int, ...]

    def read_block(self, index, specs):
        """Returns a block of instances.

        Args:
          index: of the block, from 0.
          specs: list of `FeatureSpec`.

        Returns:
          list of serialized `tf.train.Example`, or `read_hdf5` of an HDF5 file.

        Raises:
          InputError: if the file has changed since it was checked.
        """
        num_rows = min(BLOCK_ROWS, self.num_examples - index * BLOCK_ROWS)
        try:
            if self.is_hdf5:
                return read_hdf5(self.path, self.offsets[index], specs)
            with open(self.path, "rb") as stream:
                stream.seek(self.offsets[index])
                records = tfrecords.read(stream, num_rows)
            if len(records) < num_rows:
                raise ValueError("there are fewer instances")
            return records
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.path}: has changed since it was checked: {error}"
            ) from error


def read_hdf5(path, first, specs):
    """Returns a block of an HDF5 file: dict name -> array `[num_rows, ...]`.

    Args:
      path: of the file.
      first: number of the first row.
      specs: list of `FeatureSpec`.
    """
    rows = {}
    with h5py.File(path, "r") as file:
        for spec in specs:
            if spec.name == "masked_lm_weights":
                continue
            values = file[spec.name][first : first + BLOCK_ROWS]
            # Labels are stored as [num_rows] or [num_rows, 1].
            rows[spec.name] = values.reshape(-1, *spec.shape)
    rows["masked_lm_weights"] = (rows["masked_lm_positions"] > 0).astype(np.float32)
    return rows
