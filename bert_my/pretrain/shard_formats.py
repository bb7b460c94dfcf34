"""How pretraining instances are written: TFRecord files, or HDF5 files as NVIDIA's.

A format encodes instances, in any process, and opens files that take what it encoded.
"""

import contextlib

import h5py
import numpy as np

from bert_my.common import files
from bert_my.pretrain import tfrecords

# Of the HDF5 files of NVIDIA's BERT. Weights are not stored: the position 0 is [CLS],
# so it stands for a prediction that is not used.
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

    @staticmethod
    def every(encoded, first, step):
        """Returns every `step`-th of encoded instances."""
        return encoded[first::step]

    def __init__(self, path):
        """Opens a file for writing."""
        self._stream = open(path, "wb")  # noqa: SIM115

    def write(self, encoded):
        """Writes encoded instances."""
        self._stream.write(b"".join(encoded))

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

    @staticmethod
    def every(encoded, first, step):
        return {name: rows[first::step] for name, rows in encoded.items()}

    def __init__(self, path):
        self._file = h5py.File(path, "w")

    def write(self, encoded):
        for name, rows in encoded.items():
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


class ShardWriter:
    """Spreads instances evenly over files."""

    def __init__(self, paths, shard_format):
        self._files = [shard_format(path) for path in paths]
        self._every = shard_format.every
        self._next = 0  # file of the next instance

    def write(self, encoded, num_instances):
        """Writes encoded instances.

        Args:
          encoded: what `encode` of the format returned.
          num_instances: how many these are.
        """
        num_files = len(self._files)
        for index, file in enumerate(self._files):
            first = (index - self._next) % num_files
            file.write(self._every(encoded, first, num_files))
        self._next = (self._next + num_instances) % num_files

    def close(self):
        """Closes all files."""
        for file in self._files:
            file.close()


@contextlib.contextmanager
def open_shards(paths, shard_format):
    """Gives a `ShardWriter`; the files take their names when all went well.

    Args:
      paths: list of files.
      shard_format: one of `FORMATS`.
    """
    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(files.replacing_path(path)) for path in paths]
        with contextlib.closing(ShardWriter(temporary, shard_format)) as writer:
            yield writer


def weights_of(positions):
    """Returns float32 `masked_lm_weights` of `masked_lm_positions`, see the top."""
    return (np.asarray(positions) > 0).astype(np.float32)
