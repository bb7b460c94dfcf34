"""TensorBoard's events of a training run."""

import os
import time

import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.model import checkpoints


class EventWriter:
    """The events file of one start of a run.

    `tf.summary.FileWriter` writes from a thread, which keeps the error of a full disk
    to itself, or waits forever, depending on the version.
    """

    def __init__(self, folder):
        """Opens a new file.

        Args:
          folder: path; it exists.
        """
        name = f"events.out.tfevents.{time.time():.6f}.{os.getpid()}.{files.host()}"
        self._path = os.path.join(folder, name)
        with checkpoints.saving(self._path):
            self._writer = tf.io.TFRecordWriter(self._path)
        self._add(file_version="brain.Event:2")

    def add_graph(self, graph_def):
        """Adds a graph."""
        self._add(graph_def=graph_def.SerializeToString())

    def add_scalars(self, values, step):
        """Adds a dict name -> number, and brings the file up to date."""
        summary = [
            tf.Summary.Value(tag=name, simple_value=float(value))
            for name, value in values.items()
        ]
        self._add(step=step, summary=tf.Summary(value=summary))

    def _add(self, **fields):
        event = tf.Event(wall_time=time.time(), **fields)
        with checkpoints.saving(self._path):
            self._writer.write(event.SerializeToString())
            self._writer.flush()

    def close(self):
        """Closes the file."""
        with checkpoints.saving(self._path):
            self._writer.close()
