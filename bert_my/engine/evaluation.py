"""One forward pass over a data set, on all towers, row by row in the input's order.

Evaluation and prediction both use it; neither holds more of a set than it needs.
"""

import collections
import contextlib
import csv
import functools
import logging
import math
import os
import sys
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert_my.common import files
from bert_my.data import input_pipeline, length_buckets, run_names
from bert_my.engine import towers
from bert_my.engine.devices import PRECISIONS, Devices, supports_fused_layer_norm
from bert_my.model import checkpoints
from bert_my.model.ops import InferenceOps
from bert_my.model.weights import HoistedWeights

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions.tsv"


class EvalSettings(NamedTuple):
    """How a forward pass runs."""

    checkpoint: Optional[str]  # None for weights that are in a session already
    devices: Devices
    batch_size: int  # rows of one tower
    precision: str  # key of `devices.PRECISIONS`

    @property
    def global_batch_size(self):
        """Rows of one batch, on all towers together."""
        return self.batch_size * len(self.devices.towers)


class Batch(NamedTuple):
    """The real rows of one or more batches, as dicts name -> array `[num_rows, ...]`.

    What depends on how far rows are padded is 0 where its own batch has no place.

    losses, means: name -> (weighted sum, weight) over these rows, two floats; see
      `TaskOutputs`.
    """

    targets: Dict[str, np.ndarray]
    predictions: Dict[str, np.ndarray]
    losses: Dict[str, tuple]
    means: Dict[str, tuple]


class Pass(NamedTuple):
    """A forward pass over a set, in a graph."""

    fetches: Batch  # tensors, with the rows that fill a batch up
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
                window = _Window(borders[-1] - begin)
                for first, end in zip(borders, borders[1:]):
                    rows = np.arange(first, end)
                    if self.order:
                        rows = self.order.rows[first:end]
                    window.add(run(self.fetches), rows - begin)
                    progress.update(len(rows))
                yield window.batch


class _Window:
    """Puts the rows of several batches in order."""

    def __init__(self, num_rows):
        self._num_rows = num_rows
        self.batch = Batch({}, {}, {}, {})

    def add(self, batch, rows):
        """Adds a batch.

        Args:
          batch: `Batch` with the rows that fill it up; no later one is padded further.
          rows: the places of its real rows in the window, int `[num_rows]`.
        """
        for output, part in zip(self.batch[:2], batch[:2]):
            for name, values in part.items():
                row_shape = values.shape[1:]
                if name not in output:
                    output[name] = np.zeros((self._num_rows, *row_shape), values.dtype)
                output[name][(rows, *map(slice, row_shape))] = values[: len(rows)]
        for output, part in zip(self.batch[2:], batch[2:]):
            for name, pair in part.items():
                output[name] = np.add(output.get(name, (0.0, 0.0)), pair)


def build_pass(task, records, settings, targets=(), predictions=None):
    """Builds a forward pass on all towers; no dropout.

    Args:
      task: `Task`.
      records: those of the set, see `input_pipeline`.
      settings: `EvalSettings`.
      targets: names of features to return.
      predictions: names of predictions to return; None for all.

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

    outputs, refresh = _build_towers(task, features, settings)
    names = outputs[0].predictions if predictions is None else predictions
    with tf.device("/cpu:0"):
        fetches = Batch(
            {name: features[name] for name in targets},
            {
                name: tf.concat([tower.predictions[name] for tower in outputs], axis=0)
                for name in names
            },
            towers.add_up([tower.losses for tower in outputs]),
            towers.add_up([tower.means for tower in outputs]),
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
    weights = [HoistedWeights(copy_device=device) for device in devices.towers]
    fuses_layer_norm = supports_fused_layer_norm(dtype, devices)

    def tower_fn(index, tower_features):
        ops = InferenceOps(dtype, weights[index], fuses_layer_norm)
        return task.build(tower_features, is_training=False, ops=ops)

    outputs = towers.build(tower_fn, features, devices.towers)
    return outputs, [op for each in weights for op in each.refresh]


def forward(task, records, settings, targets=(), predictions=None):
    """Runs the model of a checkpoint over all records, in a graph of its own.

    Args:
      see `build_pass`.

    Yields:
      `Batch`; together they hold every row once, in the order of the records.

    Raises:
      InputError: if the checkpoint does not fit the model.
    """
    with tf.Graph().as_default():
        # A deterministic run refuses initializers without a seed, though none is run.
        tf.set_random_seed(0)
        forward_pass = build_pass(task, records, settings, targets, predictions)
        saver = checkpoints.saver_for(settings.checkpoint, tf.global_variables())
        with tf.Session(config=settings.devices.session_config()) as session:
            with checkpoints.restoring(settings.checkpoint, tf.global_variables()):
                saver.restore(session, settings.checkpoint)
            session.run([tf.tables_initializer(), tf.local_variables_initializer()])
            session.graph.finalize()
            yield from forward_pass.batches(session.run)


class Scorer:
    """Adds up what the metrics of a set need, and nothing more."""

    def __init__(self, task):
        self._task = task
        self._targets, self._predictions = {}, {}
        self._losses, self._means = {}, {}

    def add(self, batch):
        """Adds a `Batch` that has the task's scored targets and predictions."""
        task = self._task
        kept = task.scored(
            {name: batch.targets[name] for name in task.scored_targets},
            {name: batch.predictions[name] for name in task.scored_predictions},
        )
        for total, part in zip((self._targets, self._predictions), kept):
            for name, rows in part.items():
                total.setdefault(name, []).append(rows)
        for total, pairs in ((self._losses, batch.losses), (self._means, batch.means)):
            for name, pair in pairs.items():
                total[name] = np.add(total.get(name, (0.0, 0.0)), pair)

    def scores(self):
        """Returns a dict name -> number.

        The task's metrics and means, `eval_loss`, which is the sum of the losses, and
        `loss`: the same, as upstream's Estimator adds it. What has no weight in the
        whole set is NaN.
        """
        losses, means = (
            {
                name: float(total / weight) if weight else math.nan
                for name, (total, weight) in pairs.items()
            }
            for pairs in (self._losses, self._means)
        )
        loss = sum(losses.values())
        scores = self._task.score(
            *(
                {name: np.concatenate(rows) for name, rows in parts.items()}
                for parts in (self._targets, self._predictions)
            )
        )
        return {**scores, **means, "eval_loss": loss, "loss": loss}


def evaluate(task, records, examples, settings, output_dir):
    """Scores a checkpoint on a set with labels, and writes its predictions, if any.

    Args:
      task, records, settings: see `build_pass`.
      examples: iterator over the examples from which the records were made.
      output_dir: folder for the file `dev_predictions.tsv`.

    Returns:
      dict name -> number, see `Scorer.scores`, and `global_step`.
    """
    scorer, paths = Scorer(task), {}
    if PREDICTIONS in task.prediction_headers:
        paths[PREDICTIONS] = os.path.join(output_dir, run_names.DEV_PREDICTIONS)
    predictions = None if paths else task.scored_predictions

    def rows():
        for batch in forward(task, records, settings, task.scored_targets, predictions):
            scorer.add(batch)
            yield from _rows_of(batch)

    _write(task, examples, rows(), paths)
    step = checkpoints.read_counters(settings.checkpoint).global_step
    return {**scorer.scores(), "global_step": step}


def predict(task, records, examples, settings, output_dir):
    """Writes the prediction files of a set, in the input's order.

    Args:
      see `evaluate`.

    Returns:
      list of the paths written.
    """
    batches = forward(task, records, settings)
    paths = {name: os.path.join(output_dir, name) for name in task.prediction_headers}
    _write(task, examples, (row for b in batches for row in _rows_of(b)), paths)
    return list(paths.values())


def _rows_of(batch):
    """Yields a dict prediction name -> array for each row of a batch."""
    for row in zip(*batch.predictions.values()):
        yield dict(zip(batch.predictions, row))


def _write(task, examples, rows, paths):
    """Writes the prediction files that are in `paths`, a dict name -> path.

    Cells of files with a header are separated by tabs and quoted where they must be, as
    spreadsheets and pandas read it by themselves: texts may hold tabs, quotes and line
    ends. Cells of the other files are joined by tabs.
    """
    with contextlib.ExitStack() as stack:
        writers = {}
        for name, path in paths.items():
            stream = stack.enter_context(files.replacing(path))
            header = task.prediction_headers[name]
            if header is None:
                writers[name] = functools.partial(_write_plain, stream)
            else:
                writers[name] = functools.partial(_write_quoted, stream)
                _write_quoted(stream, header)
        for lines in task.format_predictions(examples, rows):
            for name in paths.keys() & lines.keys():
                writers[name](lines[name])
        # All rows have a line by now; the pass over them ends here.
        collections.deque(rows, maxlen=0)


def _write_quoted(stream, cells):
    # A carriage return is a line end for many readers, but not for `csv.writer`.
    has_return = any("\r" in str(cell) for cell in cells)
    quoting = csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
    csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=quoting).writerow(
        cells
    )


def _write_plain(stream, cells):
    stream.write("\t".join(map(str, cells)) + "\n")
