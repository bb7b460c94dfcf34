"""Scores features with an exported SavedModel; needs no training code."""

import json
import os

import tensorflow.compat.v1 as tf


class Predictor:
    """A SavedModel in a session of its own; closes with the `with` block."""

    def __init__(self, path, signature="serving_default", config=None):
        """Loads a SavedModel.

        Args:
          path: folder of one version.
          signature: name of one of its signatures.
          config: (optional) `tf.ConfigProto` of the session.
        """
        self.path = path
        self._session = tf.Session(graph=tf.Graph(), config=config)
        meta_graph = tf.saved_model.loader.load(
            self._session, [tf.saved_model.tag_constants.SERVING], path
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
        path = os.path.join(self.path, "assets.extra", "label_map.json")
        with open(path, encoding="utf-8") as reader:
            return json.load(reader)

    def predict(self, features):
        """Runs the model.

        Args:
          features: dict input name -> array `[batch_size, ...]`.

        Returns:
          dict output name -> array `[batch_size, ...]`.
        """
        feed = {self.inputs[name]: value for name, value in features.items()}
        return self._session.run(self.outputs, feed)
