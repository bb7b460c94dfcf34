"""One forward pass over a data set, on all towers, in the order of its rows.

Evaluation and prediction both use it; neither holds more of a set than it needs.
"""

import contextlib
from typing import Dict, NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.common.progress import Bar, stage
from bert_my.data import row_order
from bert_my.data.batches import eval_batches, next_features
from bert_my.engine import towers
from bert_my.engine.devices import PRECISIONS, Devices, supports_fused_layer_norm
from bert_my.model import checkpoints
from bert_my.model.ops import HoistedWeights, InferenceOps


class NonFinitePrediction(InputError):
    """A prediction is NaN or infinite, though all weights are finite.

    row: number of the row in the set, from 0.
    """

    def __init__(self, row, name=""):
        super().__init__(
            f"the predictions for row {row + 1}{name} are NaN or infinite; try "
            "--precision=fp32, and if it is that already the model is of no use: take "
            "an earlier checkpoint, or train with a lower --learning_rate"
        )
        self.row = row


class EvalSettings(NamedTuple):
    """Settings of a forward pass."""

    checkpoint: Optional[str]  # None for weights that are in a session already
    devices: Devices
    batch_size: int  # rows of one tower
    precision: str  # key of `devices.PRECISIONS`
    reduction: towers.Reduction = towers.Reduction()

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

    def rows(self):
        """Yields (number of the row, dict prediction name -> array) of each row."""
        rows = zip(*self.predictions.values())
        for number, row in enumerate(rows, self.first_row):
            yield number, dict(zip(self.predictions, row))


class Pass(NamedTuple):
    """A forward pass over a set, in a graph."""

    features: Dict[str, tf.Tensor]  # of a batch
    # Dicts of tensors: predictions, losses and means of a batch; and bool
    # `[batch_size]`, whether all predictions for a row are finite.
    fetches: tuple
    initializer: tf.Operation  # puts the pass at the beginning of the set
    num_examples: int
    order: row_order.PassOrder

    def batches(self, run):
        """Yields the rows of the whole set in their order, window by window.

        Args:
          run: function from tensors to values, as `tf.Session.run`.

        Raises:
          NonFinitePrediction: if predictions are NaN or infinite, also those that are
            not returned.
        """
        run(self.initializer)
        with Bar("Forward", "rows", self.num_examples, leave=False) as progress:
            for borders in self.order.windows:
                begin, num_rows = borders[0], borders[-1] - borders[0]
                window = Batch({}, {}, {}, begin)
                for first, end in zip(borders, borders[1:]):
                    rows = self.order.rows(first, end)
                    predictions, losses, means, is_finite = run(self.fetches)
                    wrong = rows[~is_finite[: len(rows)]]
                    if len(wrong):
                        raise NonFinitePrediction(min(wrong))
                    _put(window.predictions, predictions, rows - begin, num_rows)
                    add_pairs(window.losses, losses)
                    add_pairs(window.means, means)
                    progress.update(len(rows))
                yield window


def _put(output, predictions, rows, num_rows):
    """Puts the predictions of the real rows of a batch in their places.

    Args:
      output: dict name -> array `[num_rows, ...]`, which is filled; its first batch is
        the one that is padded furthest.
      predictions: dict name -> array, also of the rows that fill the batch up.
      rows: places of the real rows in the output, int `[num_real_rows]`.
      num_rows: number of rows of the output.
    """
    for name, values in predictions.items():
        row_shape = values.shape[1:]
        if name not in output:
            output[name] = np.zeros((num_rows, *row_shape), values.dtype)
        output[name][(rows, *map(slice, row_shape))] = values[: len(rows)]


def add_pairs(total, part):
    """Adds (weighted sum, weight) pairs by name to those of a dict."""
    for name, pair in part.items():
        total[name] = np.add(total.get(name, (0.0, 0.0)), pair)


def build_pass(task, records, settings, outputs):
    """Builds a forward pass on all towers; no dropout.

    Args:
      task: `Task`.
      records: those of the set, see `batches`.
      settings: `EvalSettings`.
      outputs: names of the predictions to return.

    Returns:
      `Pass`.
    """
    devices = settings.devices.towers
    order = row_order.PassOrder.of(
        records, settings.batch_size, len(devices), settings.devices.has_gpus
    )
    with tf.device("/cpu:0"):
        features, initializer = next_features(eval_batches(records, order))

    dtype = PRECISIONS[settings.precision]
    weights = [HoistedWeights(copy_device=device) for device in devices]
    fuses_layer_norm = supports_fused_layer_norm(dtype, settings.devices)

    def tower_fn(index, tower_features):
        ops = InferenceOps(dtype, weights[index], fuses_layer_norm)
        return task.build(tower_features, is_training=False, ops=ops)

    by_tower = towers.build(tower_fn, features, devices)
    with tf.device("/cpu:0"):
        fetches = (
            {
                name: tf.concat([tower.predictions[name] for tower in by_tower], axis=0)
                for name in outputs
            },
            settings.reduction.add_pairs([tower.losses for tower in by_tower]),
            settings.reduction.add_pairs([tower.means for tower in by_tower]),
            _is_finite(by_tower, devices, features["is_real_example"]),
        )
    # Casts the weights anew.
    begin = tf.group(initializer, *(op for each in weights for op in each.refresh))
    return Pass(features, fetches, begin, records.num_examples, order)


def _is_finite(by_tower, devices, rows):
    """Returns bool `[batch_size]`: whether all predictions for a row are finite.

    Of a task without predictions the losses count, for all rows at once.

    Args:
      by_tower: list of `TaskOutputs`.
      devices: of the towers.
      rows: tensor `[batch_size]`.
    """

    def check(tower, device):
        with tf.device(device):
            return [
                tf.reduce_all(
                    tf.math.is_finite(each), axis=list(range(1, each.shape.ndims))
                )
                for each in tower.predictions.values()
                if each.dtype.is_floating
            ]

    checks = list(map(check, by_tower, devices))
    if all(checks):
        return tf.concat([tf.reduce_all(each, axis=0) for each in checks], axis=0)
    losses = [pair[0] for tower in by_tower for pair in tower.losses.values()]
    of_all = tf.reduce_all([tf.math.is_finite(loss) for loss in losses])
    return tf.fill(tf.shape(rows), of_all)


@contextlib.contextmanager
def forward(task, records, settings, outputs):
    """Gives the iterator over the `Batch`es of a pass with a checkpoint's weights.

    The batches hold every row once, in the order of the records. The graph, the session
    and the input are those of the `with` block, and closed at its end, also if it ends
    with an error.

    Args:
      see `build_pass`.

    Raises:
      InputError: if the checkpoint does not fit the model or is not finite.
      NonFinitePrediction: if predictions are not.
    """
    with tf.Graph().as_default():
        # A deterministic run refuses initializers without a seed, though none is run.
        tf.set_random_seed(0)
        with stage("Building the graph of a forward pass"):
            forward_pass = build_pass(task, records, settings, outputs)
        restore = checkpoints.restore_trained(
            settings.checkpoint, tf.global_variables()
        )
        with tf.Session(config=settings.devices.session_config()) as session:
            restore.run(session)
            session.run([tf.tables_initializer(), tf.local_variables_initializer()])
            session.graph.finalize()
            with contextlib.closing(forward_pass.batches(session.run)) as batches:
                yield batches
