"""Exports a trained task as a SavedModel for TensorFlow Serving."""

import os
import shutil
import time

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert_my.common import files
from bert_my.data import run_names
from bert_my.model import checkpoints

WITH_LABEL_IDS = "with_label_ids"


def export(task, checkpoint, vocab_file, output_dir):
    """Writes `output_dir/<timestamp>/`, complete as soon as it has that name.

    Signatures: `serving_default`, from the task's input features, which are free in
    batch and length, to its predictions; and `with_label_ids`, which takes the labels
    too and ignores them, for clients of models which asked for them. The vocabulary and
    the label map lie in `assets.extra`.

    Args:
      task: `Task`.
      checkpoint: path.
      vocab_file: path of the vocabulary.
      output_dir: folder for all versions.

    Returns:
      path of the new folder.
    """
    os.makedirs(output_dir, exist_ok=True)
    version = int(time.time())
    while os.path.exists(os.path.join(output_dir, str(version))):
        version += 1
    final = os.path.join(output_dir, str(version))
    # Serving only looks at names that are numbers.
    temporary = os.path.join(output_dir, f"temporary-{version}")
    try:
        _write_saved_model(task, checkpoint, temporary)
        extra = os.path.join(temporary, "assets.extra")
        os.makedirs(extra)
        files.copy(vocab_file, os.path.join(extra, run_names.VOCAB))
        files.write_json(os.path.join(extra, run_names.LABEL_MAP), task.label_map)
        os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _write_saved_model(task, checkpoint, path):
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(0)  # without one a deterministic run is refused
        inputs = {
            spec.name: _placeholder(spec)
            for spec in task.feature_specs
            if spec.is_input
        }
        label_spec = task.objective.label_spec
        predictions = task.build(inputs, is_training=False).predictions
        # Named after their keys, so that tools which show node names make sense.
        outputs = {
            name: tf.identity(value, name) for name, value in predictions.items()
        }
        variables = tf.global_variables()
        restorer = checkpoints.saver_for(checkpoint, variables)
        saver = tf.train.Saver(variables)
        builder = tf.saved_model.Builder(path)
        # Nothing is computed, so no GPU is taken from whoever uses it.
        config = tf.ConfigProto(device_count={"GPU": 0})
        with tf.Session(graph=graph, config=config) as session:
            with checkpoints.restoring(checkpoint, variables):
                restorer.restore(session, checkpoint)
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.tag_constants.SERVING],
                signature_def_map={
                    tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: (
                        tf.saved_model.predict_signature_def(inputs, outputs)
                    ),
                    WITH_LABEL_IDS: tf.saved_model.predict_signature_def(
                        {**inputs, label_spec.name: _placeholder(label_spec)}, outputs
                    ),
                },
                saver=saver,
                # What only the newer TensorFlow writes, the older one cannot read.
                strip_default_attrs=True,
            )
        builder.save()
    _remove_debug_names(os.path.join(path, "saved_model.pb"))


def _remove_debug_names(path):
    """Removes what TensorFlow 2 notes at variables and TensorFlow 1.15 cannot read."""
    saved_model = saved_model_pb2.SavedModel()
    with open(path, "rb") as reader:
        saved_model.ParseFromString(reader.read())
    for meta_graph in saved_model.meta_graphs:
        for node in meta_graph.graph_def.node:
            node.attr.pop("debug_name", None)
    with open(path, "wb") as writer:
        writer.write(saved_model.SerializeToString())


def _placeholder(spec):
    return tf.placeholder(spec.dtype, [None, *spec.shape], name=spec.name)
