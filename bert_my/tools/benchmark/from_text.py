"""Benchmarks that begin with a file of text, as users do."""

import os
import subprocess
import sys
import time
from typing import Dict, NamedTuple

import tensorflow.compat.v1 as tf

from bert_my.cli import flags, runner
from bert_my.common.errors import InputError
from bert_my.engine import devices, evaluation
from bert_my.tasks import base
from bert_my.text import vocabulary
from bert_my.tools.benchmark import machine, settings, texts, workload

_REQUIRED = ("[UNK]", "[CLS]", "[SEP]")
# What users run; then it tells how much memory it took.
_PROGRAM = """
from bert_my.cli import runner
runner.main()
from bert_my.benchmarks import machine
print(machine.peak_memory(), flush=True)
"""
_ENCODED = " rows encoded"  # in a line that a run logs


class _Files(NamedTuple):
    """What a user has."""

    values: Dict[str, object]  # flags of the run
    num_rows: int
    num_bytes: int  # of the text

    @property
    def task(self):
        """The `Task` that reads the text."""
        return runner.load_task(flags.parse(settings.as_argv(self.values), {}))


def _write(request, folder):
    """Writes titles, and vocabulary and config of a model; returns `_Files`."""
    own = request.own
    vocab_file, vocab_size = own.vocab_file, None
    if vocab_file:
        known = vocabulary.read_tokenizer(vocab_file, True, required_tokens=_REQUIRED)
        vocab_size = max(known.inv_vocab) + 1
    bert_config = workload.bert_config(own.model, own.seq_length, vocab_size)
    if not vocab_file:
        vocab_file = os.path.join(folder, "vocab.txt")
        texts.write_vocabulary(vocab_file, bert_config.vocab_size)
    values = settings.engine_settings(
        request,
        os.path.join(folder, "output"),
        task_name="info",
        do_predict=True,
        test_file=os.path.join(folder, "titles.csv"),
        bert_config_file=os.path.join(folder, "bert_config.json"),
        vocab_file=vocab_file,
    )
    with open(values["bert_config_file"], "w", encoding="utf-8") as writer:
        writer.write(bert_config.to_json_string())
    path, num_rows = values["test_file"], own.steps * own.batch_size * own.towers
    texts.write_titles(path, vocab_file, num_rows, own.lengths, own.seq_length)
    return _Files(values, num_rows, os.path.getsize(path))


def encode(request, folder):
    """Measures how long titles take to become records, and how long to find them."""
    written = _write(request, folder)
    task, cache = written.task, os.path.join(folder, "cache")
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        records = task.load_records(base.TEST, cache)
        seconds.append(time.perf_counter() - began)
    num_tokens = int(records.lengths.sum())
    return {
        "rows": written.num_rows,
        "seconds": seconds[0],
        "cached_seconds": seconds[1],
        "tokens": num_tokens,
        "examples_per_second": written.num_rows / seconds[0],
        "tokens_per_second": num_tokens / seconds[0],
        "megabytes_per_second": written.num_bytes / seconds[0] / 1e6,
        "num_cut_examples": records.num_cut_examples,
        "peak_memory_bytes": machine.peak_memory(),
        **machine.facts(),
    }


def end_to_end(request, folder):
    """Measures a run from a text file to the prediction files, with its start.

    It is a process of its own, as a user's.
    """
    written = _write(request, folder)
    checkpoint = os.path.join(folder, "bert_model.ckpt")
    write_random_checkpoint(written.task, checkpoint)
    argv = settings.as_argv({**written.values, "init_checkpoint": checkpoint})
    began = time.perf_counter()
    encoded, peak_memory = _run([sys.executable, "-c", _PROGRAM, *argv[1:]])
    ended = time.perf_counter()
    output_dir = written.values["output_dir"]
    with open(os.path.join(output_dir, evaluation.PREDICTIONS)) as lines:
        num_predictions = sum(1 for _ in lines) - 1
    if num_predictions != written.num_rows:
        raise ValueError(f"{num_predictions} predictions of {written.num_rows} rows")
    config = flags.parse(argv, {})
    run_devices = runner.choose_devices(config)
    return {
        "rows": written.num_rows,
        "seconds": ended - began,
        "encoding_seconds": encoded - began,
        "prediction_seconds": ended - encoded,
        "examples_per_second": written.num_rows / (ended - began),
        "precision": devices.choose_precision(config.precision, run_devices),
        "peak_memory_bytes": peak_memory,
        **machine.facts(run_devices),
    }


def _run(argv):
    """Runs the program; returns when the text was encoded, and the peak memory.

    Raises:
      InputError: if it fails.
    """
    encoded, lines = None, ["no reason given"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            lines.append(line.strip())
            if _ENCODED in line:
                encoded = time.perf_counter()
    if process.returncode:
        raise InputError(f"--end_to_end: the run failed: {lines[-1]}")
    return encoded, int(lines[-1])


def write_random_checkpoint(task, path):
    """Writes a checkpoint of a task's model with random weights."""
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        features = {
            spec.name: tf.ones([n or 1 for n in (1, *spec.shape)], spec.dtype)
            for spec in task.feature_specs
        }
        features["is_real_example"] = tf.ones([1])
        task.build(features, is_training=False)
        config = tf.ConfigProto(device_count={"GPU": 0})
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            saver = tf.train.Saver()
            saver.save(session, path, write_meta_graph=False, write_state=False)
