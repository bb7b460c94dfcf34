"""One forward pass over a data set, on all towers, row by row in the input's order.

Evaluation and prediction both use it; neither holds more of a set than it needs.
"""

import contextlib
import csv
import logging
import os
import sys
from typing import Dict, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

import modeling
from bert_my.data import files, input_pipeline
from bert_my.engine import checkpoints, towers
from bert_my.engine.devices import PRECISIONS, Devices

logger = logging.getLogger(__name__)


class EvalSettings(NamedTuple):
    """How a forward pass runs."""

    checkpoint: str
    devices: Devices
    batch_size: int  # rows of one tower
    precision: str  # key of `devices.PRECISIONS`

    @property
    def global_batch_size(self):
        """Rows of one batch, on all towers together."""
        return self.batch_size * len(self.devices.towers)


class Batch(NamedTuple):
    """The real rows of one batch, as dicts name -> array `[num_rows, ...]`.

    losses: name -> (weighted sum, weight) over the batch, two floats.
    """

    targets: Dict[str, np.ndarray]
    predictions: Dict[str, np.ndarray]
    losses: Dict[str, tuple]


def forward(task, records, settings, targets=(), predictions=None):
    """Runs the model over all records.

    Args:
      task: `Task`.
      records: `record_cache.Records`.
      settings: `EvalSettings`.
      targets: names of features to return.
      predictions: names of predictions to return; None for all.

    Yields:
      `Batch`; together they hold every row once, in the order of the records.

    Raises:
      InputError: if the checkpoint does not fit the model.
    """
    with tf.Graph().as_default():
        fetches = _build(task, records, settings, targets, predictions)
        variables = tf.global_variables()
        checkpoints.check_complete(settings.checkpoint, variables)
        with tf.Session(config=settings.devices.session_config()) as session, tqdm(
            desc="Forward",
            total=records.num_examples,
            unit=" rows",
            disable=not sys.stderr.isatty(),
        ) as progress:
            tf.train.Saver(variables).restore(session, settings.checkpoint)
            session.run([tf.tables_initializer(), tf.local_variables_initializer()])
            session.graph.finalize()
            num_left = records.num_examples
            while num_left:
                batch = session.run(fetches)
                num_rows = min(num_left, settings.global_batch_size)
                num_left -= num_rows
                progress.update(num_rows)
                yield Batch(
                    {name: value[:num_rows] for name, value in batch.targets.items()},
                    {n: value[:num_rows] for n, value in batch.predictions.items()},
                    batch.losses,
                )


def _build(task, records, settings, targets, predictions):
    """Returns the tensors of a `Batch`, with the rows that fill it up."""
    devices = settings.devices.towers
    with tf.device("/cpu:0"):
        features = input_pipeline.next_features(
            input_pipeline.eval_batches(records, settings.global_batch_size)
        )

    def tower_fn(index, tower_features):
        with modeling.computing(PRECISIONS[settings.precision]):
            return task.build(tower_features, is_training=False)

    outputs = towers.build(tower_fn, features, devices)
    names = outputs[0].predictions if predictions is None else predictions
    with tf.device("/cpu:0"):
        return Batch(
            {name: features[name] for name in targets},
            {
                name: tf.concat([tower.predictions[name] for tower in outputs], axis=0)
                for name in names
            },
            {
                name: tuple(
                    tf.add_n(parts)
                    for parts in zip(*[tower.losses[name] for tower in outputs])
                )
                for name in outputs[0].losses
            },
        )


def evaluate(task, records, settings):
    """Scores a checkpoint on a set with labels.

    Args:
      task: `Task`.
      records: `record_cache.Records` of the set.
      settings: `EvalSettings`.

    Returns:
      dict name -> number: the task's metrics, `eval_loss`, `loss` (the same, as
      upstream's Estimator adds it) and `global_step`.
    """
    targets, predictions, losses = {}, {}, {}
    for batch in forward(
        task, records, settings, task.scored_targets, task.scored_predictions
    ):
        for total, part in ((targets, batch.targets), (predictions, batch.predictions)):
            for name, rows in part.items():
                total.setdefault(name, []).append(rows)
        for name, pair in batch.losses.items():
            losses[name] = np.add(losses.get(name, (0.0, 0.0)), pair)
    loss = float(sum(weighted_sum / weight for weighted_sum, weight in losses.values()))
    scores = task.score(
        {name: np.concatenate(rows) for name, rows in targets.items()},
        {name: np.concatenate(rows) for name, rows in predictions.items()},
    )
    step = checkpoints.read_counters(settings.checkpoint).global_step
    return {**scores, "eval_loss": loss, "loss": loss, "global_step": step}


def predict(task, records, examples, settings, output_dir):
    """Writes the prediction files of a set, a line for each row, in the input's order.

    Cells are separated by tabs and quoted where they must be, as spreadsheets and
    pandas read it by themselves: texts may hold tabs, quotes and line ends.

    Args:
      task: `Task`.
      records: `record_cache.Records` of the set.
      examples: iterator over the `Example`s from which the records were made.
      settings: `EvalSettings`.
      output_dir: folder for the files.

    Returns:
      list of the paths written.
    """
    headers = task.prediction_headers
    paths = {name: os.path.join(output_dir, name) for name in headers}
    with contextlib.ExitStack() as stack:
        writers = {}
        for name, header in headers.items():
            stream = stack.enter_context(files.replacing(paths[name]))
            writers[name] = csv.writer(stream, delimiter="\t", lineterminator="\n")
            if header is not None:
                writers[name].writerow(header)
        rows = (
            dict(zip(batch.predictions, row))
            for batch in forward(task, records, settings)
            for row in zip(*batch.predictions.values())
        )
        for lines in task.format_predictions(examples, rows):
            for name, cells in lines.items():
                writers[name].writerow(cells)
    return list(paths.values())
