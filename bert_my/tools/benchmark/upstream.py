"""Measures upstream's own modules in place of ours: the same rows, all padded.

What upstream's `run_classifier.py` builds: its model, a layer on the pooled output, its
optimizer; but its variables are resources, as ours. They need TensorFlow 1.15.
"""

import importlib.util
import os

import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.data import input_pipeline
from bert_my.model import encoders
from bert_my.tools.benchmark import measure, settings, steps, workload

_LEARNING_RATE, _NUM_WARMUP_STEPS = 2e-5, 100000


def run(request, folder):
    """Measures training steps or forward passes.

    Args:
      request: `settings.Request` with `upstream_dir`.
      folder: for files.

    Returns:
      JSON-able dict, as `measure.train`.

    Raises:
      InputError: if a module is missing, or does not run on this TensorFlow.
    """
    setup = measure.set_up(request, folder)
    own, bert_config = setup.own, setup.task.bert_config
    is_training = own.mode == settings.TRAIN
    per_weight = encoders.TRAINING if is_training else encoders.FORWARD
    lengths = workload.row_lengths(own.lengths, setup.num_rows, own.seq_length)
    records = workload.title_records(setup.task, lengths, setup.folder)
    ceiling = steps.Ceiling(setup.devices, setup.config.precision)
    num_warmup = own.warmup_steps or steps.WARMUP_STEPS
    with tf.Graph().as_default():
        tf.set_random_seed(setup.config.seed)
        features, initializer = input_pipeline.next_features(_batches(records, own))
        fetch = _build(own.upstream_dir, bert_config, features, is_training)
        mask = features["input_mask"]
        recorder = steps.Recorder(ceiling.measure)
        with tf.Session(config=setup.devices.session_config()) as session:
            session.run([tf.global_variables_initializer(), initializer])
            recorder.begin()
            for _ in range(num_warmup + own.steps):
                _, values = session.run([fetch, mask])
                measure.add_batch(recorder, values, bert_config, per_weight)
    ceiling.measure()
    return setup.result(recorder, num_warmup, ceiling)


def _batches(records, own):
    """Returns a dataset of batches in the order of the rows, again and again."""

    def parse(rows):
        return records.parse(rows, padded_lengths=(own.seq_length,))

    rows = records.read().batch(own.batch_size, drop_remainder=True)
    return rows.map(parse).repeat().prefetch(2)


def _build(folder, bert_config, features, is_training):
    """Builds upstream's graph; returns what a step fetches."""
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
    """Imports a module of a folder, without a place among those of this project."""
    path = os.path.join(folder, f"{name}.py")
    if not os.path.isfile(path):
        raise InputError(f"--upstream_dir={folder}: there is no {name}.py")
    spec = importlib.util.spec_from_file_location(f"upstream_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
