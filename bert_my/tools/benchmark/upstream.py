"""Measures upstream's own modules in place of ours: the same rows, all padded.

The graph is that of upstream's `run_classifier.py`: its model, a layer on the pooled
output, its optimizer; but with resource variables, as in ours. The modules need
TensorFlow 1.15.
"""

import importlib.util
import os

import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.data import batches
from bert_my.tools.benchmark import measure, workload

_LEARNING_RATE, _NUM_WARMUP_STEPS = 2e-5, 100000


def run(settings, folder):
    """Measures training steps or forward passes; see `measure.train`.

    Raises:
      InputError: if a module is missing, or does not run on this TensorFlow.
    """
    setup = measure.Setup(settings, folder)
    dataset = _padded_batches(
        setup.records, settings.train_batch_size, settings.max_seq_length
    )
    features, initializer = batches.next_features(dataset)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, initializer)
    step = _build(settings, setup.task.bert_config, features)
    return setup.time_steps(step, features["input_mask"])


def _padded_batches(records, batch_size, seq_length):
    """Returns a dataset of batches in the order of the rows, repeated without end."""

    def parse(rows):
        return records.parse(rows, padded_lengths=(seq_length,))

    rows = tf.data.Dataset.range(records.num_examples)
    batches_of_rows = rows.batch(batch_size, drop_remainder=True)
    return batches_of_rows.map(parse).repeat().prefetch(2)


def _build(settings, bert_config, features):
    """Builds upstream's graph; returns the tensor or operation that a step runs."""
    folder, is_training = settings.upstream_dir, settings.mode == workload.TRAIN
    try:
        modeling = _load(folder, "modeling")
        model = modeling.BertModel(
            config=modeling.BertConfig.from_dict(bert_config.to_dict()),
            is_training=is_training,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
            use_one_hot_embeddings=False,
        )
        logits = _classify(model.get_pooled_output(), is_training)
        if not is_training:
            return tf.nn.softmax(logits)
        loss = tf.losses.sparse_softmax_cross_entropy(features["label_ids"], logits)
        tf.train.get_or_create_global_step()
        return _load(folder, "optimization").create_optimizer(
            loss, _LEARNING_RATE, measure.PLANNED_STEPS, _NUM_WARMUP_STEPS, False
        )
    except (AttributeError, ImportError, ValueError) as error:
        raise InputError(
            f"--upstream_dir={folder}: does not run on TensorFlow {tf.__version__}: "
            f"{error}"
        ) from error


def _classify(pooled, is_training):
    """Returns the logits of two classes, as upstream's script computes them."""
    if is_training:
        pooled = tf.nn.dropout(pooled, rate=0.1)
    width = pooled.shape.as_list()[-1]
    initializer = tf.truncated_normal_initializer(stddev=0.02)
    weights = tf.get_variable("output_weights", [2, width], initializer=initializer)
    bias = tf.get_variable("output_bias", [2], initializer=tf.zeros_initializer())
    return tf.nn.bias_add(tf.matmul(pooled, weights, transpose_b=True), bias)


def _load(folder, name):
    """Imports a module from a folder, under a name that no module of ours has."""
    path = os.path.join(folder, f"{name}.py")
    if not os.path.isfile(path):
        raise InputError(f"--upstream_dir={folder}: there is no {name}.py")
    spec = importlib.util.spec_from_file_location(f"upstream_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
