"""Predicts texts with an exported SavedModel; needs nothing of the training run."""

import os

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.model import checkpoints
from bert_my.text import postprocessor, preprocessor

# Rows that the model is given at once.
BATCH_SIZE = 32


class Predictor:
    """A SavedModel in a session of its own; closes with the `with` block.

    ```python
    with Predictor("output/serving/1700000000") as model:
        model.predict_texts(["a title", "another"])
        # [{"label": "1", "probabilities": {"0": 0.2, "1": 0.8}}, ...]
    ```
    """

    def __init__(self, path, signature="serving_default", config=None):
        """Loads a SavedModel.

        Args:
          path: folder of one version.
          signature: name of one of its signatures.
          config: (optional) `tf.ConfigProto` of the session.
        """
        self._path = path
        self._extra = os.path.join(path, "assets.extra")
        self._texts = None
        self._session = tf.Session(graph=tf.Graph(), config=config)
        meta_graph = tf.saved_model.loader.load(
            self._session,
            [tf.saved_model.tag_constants.SERVING],
            checkpoints.literal(path),
        )
        definition = meta_graph.signature_def[signature]
        self.inputs = {name: info.name for name, info in definition.inputs.items()}
        self.outputs = {name: info.name for name, info in definition.outputs.items()}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._session.close()

    @property
    def label_map(self):
        """Dict label -> id that was exported with the model."""
        return files.read_json(os.path.join(self._extra, run_folder.LABEL_MAP))

    def predict(self, features):
        """Runs the model.

        Args:
          features: dict input name -> array `[batch_size, ...]`.

        Returns:
          dict output name -> array `[batch_size, ...]`.

        Raises:
          InputError: if an output is NaN or infinite.
        """
        feed = {self.inputs[name]: value for name, value in features.items()}
        outputs = self._session.run(self.outputs, feed)
        for name, values in outputs.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise InputError(
                    f"{self._path}: its {name} are NaN or infinite, so the model is of "
                    "no use; export another checkpoint"
                )
        return outputs

    def predict_texts(self, texts):
        """Returns the results of texts as a list of JSON-able dicts, in their order.

        Args:
          texts: list, each a str, a pair of str, a list of tokens or a dict, as the
            task needs; see `Preprocessor.example`.

        Raises:
          InputError: if a text is not of the kind that the model takes, an output is
            NaN or infinite, or the export is older than `preprocessor.json`.
        """
        encoder, decoder = self._load_texts()
        examples = [encoder.example(text) for text in texts]
        encoded = encoder.encode(examples)
        outputs = iter(self._run([row for rows in encoded for row in rows]))
        results = []
        for example, rows in zip(examples, encoded):
            found = [{**next(outputs), **(row.about or {})} for row in rows]
            results.append(decoder.as_json(decoder(example, found)))
        return results

    def _load_texts(self):
        """Returns the preprocessor and the postprocessor of the model."""
        if self._texts is None:
            self._texts = (
                preprocessor.load(self._extra),
                postprocessor.load(self._extra),
            )
        return self._texts

    def _run(self, rows):
        """Yields a dict output name -> array for each `Encoded` row."""
        for begin in range(0, len(rows), BATCH_SIZE):
            batch = [row.features for row in rows[begin : begin + BATCH_SIZE]]
            # A signature may ask for labels, which no prediction depends on.
            names = [name for name in self.inputs if name in batch[0]]
            outputs = self.predict(
                {name: _padded([row[name] for row in batch]) for name in names}
            )
            for values in zip(*outputs.values()):
                yield dict(zip(outputs, values))


def _padded(sequences):
    """Returns int32 `[num_sequences, longest]`, padded with 0."""
    padded = np.zeros((len(sequences), max(map(len, sequences))), np.int32)
    for index, sequence in enumerate(sequences):
        padded[index, : len(sequence)] = sequence
    return padded
