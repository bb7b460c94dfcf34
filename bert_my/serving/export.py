"""Exports a trained task as a SavedModel for TensorFlow Serving."""

import contextlib
import itertools
import logging
import os
import time

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.model import checkpoints

logger = logging.getLogger(__name__)

SOURCE = "exported_from.json"  # in `assets.extra`
_FILES = "files"  # key in it: dict path -> digest, of the other files


def find(task, checkpoint, output_dir):
    """Returns the folder of the last export of a task with these weights, or None.

    One whose files are not as they were written does not count; a warning names it.

    Args:
      task: `Task`.
      checkpoint: path.
      output_dir: folder for all versions.
    """
    source, versions = _source_of(task, checkpoint), []
    if os.path.isdir(output_dir):
        versions = sorted(filter(str.isdigit, os.listdir(output_dir)), key=int)
    for version in reversed(versions):
        folder = os.path.join(output_dir, version)
        with contextlib.suppress(InputError):  # of older versions, or damaged
            written = files.read_json(os.path.join(folder, "assets.extra", SOURCE))
            digests = isinstance(written, dict) and written.pop(_FILES, None)
            if written != source or not isinstance(digests, dict):
                continue
            damaged = _first_damaged(folder, digests)
            if damaged is None:
                return folder
            logger.warning("%s: is not as it was exported: exporting again", damaged)
    return None


def _source_of(task, checkpoint):
    """Returns a JSON-able dict of all that an export depends on, but for versions.

    The index of a checkpoint holds checksums of its tensors.
    """
    return {
        "checkpoint": files.digest(f"{checkpoint}.index"),
        "preprocessor": task.preprocessor.settings,
        "labels": list(task.labels),
    }


def _digests_of(folder):
    """Returns a dict path -> digest of all files in a folder."""
    paths = (
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
    )
    return {os.path.relpath(path, folder): files.digest(path) for path in paths}


def _first_damaged(folder, digests):
    """Returns the path of the first file that is not as its digest says, or None."""
    for name, digest in sorted(digests.items()):
        path = os.path.join(folder, name)
        with contextlib.suppress(InputError):
            if files.digest(path) == digest:
                continue
        return path
    return None


def export(task, checkpoint, vocab_file, output_dir):
    """Writes `output_dir/<timestamp>/`, complete as soon as it has that name.

    The signatures are those of the task, from input features that are free in batch
    and length to its predictions. Vocabulary, label map, `preprocessor.json` and
    `postprocessor.json`, by which texts can be predicted, lie in `assets.extra`.

    Args:
      task: `Task`.
      checkpoint: path.
      vocab_file: path of the vocabulary.
      output_dir: folder for all versions.

    Returns:
      path of the new folder.
    """
    with files.writing(output_dir):
        os.makedirs(output_dir, exist_ok=True)
    version = int(time.time())
    while os.path.exists(os.path.join(output_dir, str(version))):
        version += 1
    final = os.path.join(output_dir, str(version))
    # Serving only looks at names that are numbers.
    with files.temporary_folder(os.path.join(output_dir, "temporary")) as folder:
        temporary = os.path.join(folder, str(version))
        _write_saved_model(task, checkpoint, temporary)
        extra = os.path.join(temporary, "assets.extra")
        os.makedirs(extra)
        files.copy(vocab_file, os.path.join(extra, run_folder.VOCAB))
        files.write_json(
            os.path.join(extra, run_folder.LABEL_MAP), task.label_map, sort_keys=False
        )
        task.preprocessor.save(extra)
        task.postprocessor.save(extra)
        source = {**_source_of(task, checkpoint), _FILES: _digests_of(temporary)}
        files.write_json(os.path.join(extra, SOURCE), source)
        os.replace(temporary, final)
    return final


def _write_saved_model(task, checkpoint, path):
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(0)  # without one a deterministic run is refused
        signatures = task.signatures
        placeholders = {
            spec.name: tf.placeholder(spec.dtype, [None, *spec.shape], name=spec.name)
            for spec in dict.fromkeys(itertools.chain(*signatures.values()))
        }
        inputs = {
            x.name: placeholders[x.name] for x in task.feature_specs if x.is_input
        }
        predictions = task.build(inputs, is_training=False).predictions
        # Named after their keys, so that tools which show node names make sense.
        outputs = {
            name: tf.identity(value, name) for name, value in predictions.items()
        }
        variables = tf.global_variables()
        restore = checkpoints.restore_trained(checkpoint, variables)
        saver = tf.train.Saver(variables)
        with checkpoints.saving(path):
            builder = tf.saved_model.Builder(path)
        # Nothing is computed, so no GPU is taken from whoever uses it.
        config = tf.ConfigProto(device_count={"GPU": 0})
        with tf.Session(graph=graph, config=config) as session:
            restore.run(session)
            with checkpoints.saving(path):
                builder.add_meta_graph_and_variables(
                    session,
                    [tf.saved_model.tag_constants.SERVING],
                    signature_def_map={
                        name: tf.saved_model.predict_signature_def(
                            {spec.name: placeholders[spec.name] for spec in specs},
                            outputs,
                        )
                        for name, specs in signatures.items()
                    },
                    saver=saver,
                    # TensorFlow 1.15 cannot read attributes that only 2.x knows.
                    strip_default_attrs=True,
                )
                builder.save()
    _remove_debug_names(os.path.join(path, "saved_model.pb"))


def _remove_debug_names(path):
    """Removes an attribute of TensorFlow 2 that TensorFlow 1.15 cannot read."""
    saved_model = saved_model_pb2.SavedModel()
    with open(path, "rb") as reader:
        saved_model.ParseFromString(reader.read())
    for meta_graph in saved_model.meta_graphs:
        for node in meta_graph.graph_def.node:
            node.attr.pop("debug_name", None)
    with open(path, "wb") as writer:
        writer.write(saved_model.SerializeToString())
