"""One forward pass over a data set, on all towers, in the order of its rows.

Evaluation and prediction both use it; neither holds more of a set than it needs.
"""

import contextlib
import sys
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

import computing
from bert_my.data import input_pipeline, length_buckets
from bert_my.engine import towers, weight_copies
from bert_my.engine.devices import PRECISIONS, Devices, fuses_layer_norm
from bert_my.model import checkpoints


class EvalSettings(NamedTuple):
    """Settings of a forward pass."""

    checkpoint: Optional[str]  # None for weights that are in a session already
    devices: Devices
    batch_size: int  # rows of one tower
    precision: str  # key of `devices.PRECISIONS`

    @property
    def global_batch_size(self):
        """Rows of one batch, on all towers together."""
        return self.batch_size * len(self.devices.towers)


class Batch(NamedTuple):
    """The real rows of one or more batches.

    predictions: name -> array `[num_rows, ...]`. Sequence outputs are zero-padded to
      the window's longest batch.
    losses, means: name -> (weighted sum, weight) over these rows, two floats; see
      `TaskOutputs`.
    first_row: number of the first of these rows in the set, from 0; the others follow.
    """

    predictions: Dict[str, np.ndarray]
    losses: Dict[str, tuple]
    means: Dict[str, tuple]
    first_row: int = 0

    @property
    def num_rows(self):
        """Number of the rows that have predictions."""
        return len(next(iter(self.predictions.values()), ()))

    def rows(self):
        """Yields (number of the row, dict prediction name -> array) of each row."""
        numbers = range(self.first_row, self.first_row + self.num_rows)
        for number, row in zip(numbers, zip(*self.predictions.values())):
            yield number, dict(zip(self.predictions, row))


class Pass(NamedTuple):
    """A forward pass over a set, in a graph."""

    fetches: tuple  # of dicts of tensors: predictions, losses and means of a batch
    initializer: tf.Operation  # puts the pass at the beginning of the set
    num_examples: int
    windows: Sequence[Sequence[int]]  # see `length_buckets.PassOrder`
    order: Optional[length_buckets.PassOrder]

    def batches(self, run):
        """Yields the rows of the whole set in their order, window by window.

        Args:
          run: function from tensors to values, as `tf.Session.run`.
        """
        run(self.initializer)
        with tqdm(
            desc="Forward",
            total=self.num_examples,
            unit=" rows",
            leave=False,
            disable=not sys.stderr.isatty(),
        ) as progress:
            for borders in self.windows:
                begin = borders[0]
                window = _Window(begin, borders[-1] - begin)
                for first, end in zip(borders, borders[1:]):
                    rows = np.arange(first, end)
                    if self.order:
                        rows = self.order.rows[first:end]
                    window.add(*run(self.fetches), rows - begin)
                    progress.update(len(rows))
                yield window.batch


class _Window:
    """Puts the rows of several batches in order."""

    def __init__(self, first_row, num_rows):
        self._num_rows = num_rows
        self.batch = Batch({}, {}, {}, first_row)

    def add(self, predictions, losses, means, rows):
        """Adds a batch; no later one is padded further.

        Args:
          predictions, losses, means: see `Batch`; predictions are those of the rows
            that fill the batch up, too.
          rows: the places of its real rows in the window, int `[num_rows]`.
        """
        output = self.batch.predictions
        for name, values in predictions.items():
            row_shape = values.shape[1:]
            if name not in output:
                output[name] = np.zeros((self._num_rows, *row_shape), values.dtype)
            output[name][(rows, *map(slice, row_shape))] = values[: len(rows)]
        add_pairs(self.batch.losses, losses)
        add_pairs(self.batch.means, means)


def add_pairs(total, part):
    """Adds (weighted sum, weight) pairs by name to those of a dict."""
    for name, pair in part.items():
        total[name] = np.add(total.get(name, (0.0, 0.0)), pair)


def build_pass(task, records, settings, outputs):
    """Builds a forward pass on all towers; no dropout.

    Args:
      task: `Task`.
      records: those of the set, see `input_pipeline`.
      settings: `EvalSettings`.
      outputs: names of the predictions to return.

    Returns:
      `Pass`.
    """
    devices, batch_size = settings.devices.towers, settings.global_batch_size
    order = length_buckets.PassOrder.of(
        records, settings.batch_size, len(devices), settings.devices.has_gpus
    )
    with tf.device("/cpu:0"):
        features, initializer = input_pipeline.next_features(
            input_pipeline.eval_batches(records, batch_size, order)
        )

    by_tower, refresh = _build_towers(task, features, settings)
    with tf.device("/cpu:0"):
        fetches = (
            {
                name: tf.concat([tower.predictions[name] for tower in by_tower], axis=0)
                for name in outputs
            },
            towers.add_up([tower.losses for tower in by_tower]),
            towers.add_up([tower.means for tower in by_tower]),
        )
    begin = tf.group(initializer, *refresh)
    num_rows, windows = records.num_examples, order and order.windows
    if order is None:  # a window is a batch
        firsts = range(0, num_rows, batch_size)
        windows = [(first, min(first + batch_size, num_rows)) for first in firsts]
    return Pass(fetches, begin, num_rows, windows, order)


def _build_towers(task, features, settings):
    """Returns the `TaskOutputs` of each tower, and the ops that cast weights anew."""
    devices, dtype = settings.devices, PRECISIONS[settings.precision]
    copies = [weight_copies.WeightCopies(device) for device in devices.towers]

    def tower_fn(index, tower_features):
        with computing.computing(
            dtype=dtype,
            cast_weight=copies[index].cast,
            fuses_layer_norm=fuses_layer_norm(dtype, devices),
        ):
            return task.build(tower_features, is_training=False)

    outputs = towers.build(tower_fn, features, devices.towers)
    return outputs, [op for each in copies for op in each.refresh]


@contextlib.contextmanager
def forward(task, records, settings, outputs):
    """Gives the iterator over the `Batch`es of a pass with a checkpoint's weights.

    The batches hold every row once, in the order of the records. The graph, the session
    and the input are those of the `with` block, and closed at its end, also if it ends
    with an error.

    Args:
      see `build_pass`.

    Raises:
      InputError: if the checkpoint does not fit the model.
    """
    with tf.Graph().as_default():
        # A deterministic run refuses initializers without a seed, though none is run.
        tf.set_random_seed(0)
        forward_pass = build_pass(task, records, settings, outputs)
        saver = checkpoints.saver_for(settings.checkpoint, tf.global_variables())
        with tf.Session(config=settings.devices.session_config()) as session:
            saver.restore(session, settings.checkpoint)
            session.run([tf.tables_initializer(), tf.local_variables_initializer()])
            session.graph.finalize()
            with contextlib.closing(forward_pass.batches(session.run)) as batches:
                yield batches
