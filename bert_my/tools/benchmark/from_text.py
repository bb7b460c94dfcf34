"""Benchmarks that begin with a file of text, as users do."""

import os
import subprocess
import sys
import time

import tensorflow.compat.v1 as tf

from bert_my.cli import flags, runner
from bert_my.common.errors import InputError
from bert_my.engine import devices, run_folder
from bert_my.tasks import base
from bert_my.text import vocabulary
from bert_my.text.postprocessor import PREDICTIONS
from bert_my.tools.benchmark import results, workload

_REQUIRED = ("[UNK]", "[CLS]", "[SEP]")
# A user's run, which then prints its peak memory.
_PROGRAM = """
from bert_my.cli import runner
runner.main()
from bert_my.tools.benchmark import results
print(results.peak_memory(), flush=True)
"""
_ENCODED = " rows encoded"  # in a line of the log of a run


def write_files(settings, folder):
    """Writes titles, and vocabulary and config of a model.

    Returns:
      (command line of a run that predicts the titles, number of titles).
    """
    num_rows = settings.steps * settings.batch_size * settings.towers
    vocab_file, vocab_size = settings.vocab_file, None
    if vocab_file:
        known = vocabulary.read_tokenizer(vocab_file, True, required_tokens=_REQUIRED)
        vocab_size = max(known.inv_vocab) + 1
    bert_config = workload.bert_config(settings.model, settings.seq_length, vocab_size)
    if not vocab_file:
        vocab_file = os.path.join(folder, run_folder.VOCAB)
        workload.write_vocabulary(vocab_file, bert_config.vocab_size)
    bert_config_file = os.path.join(folder, "bert_config.json")
    with open(bert_config_file, "w", encoding="utf-8") as writer:
        writer.write(bert_config.to_json_string())
    titles = os.path.join(folder, "titles.csv")
    kind, seq_length = settings.lengths, settings.seq_length
    workload.write_titles(titles, vocab_file, num_rows, kind, seq_length)
    argv = settings.run_argv(
        os.path.join(folder, "output"),
        task_name="info",
        do_predict=True,
        test_file=titles,
        bert_config_file=bert_config_file,
        vocab_file=vocab_file,
    )
    return argv, num_rows


def encode(settings, folder, begin_phase):
    """Measures the encoding of titles into records, and a second start that finds them.

    Takes the arguments of `measure.train`; returns a JSON-able dict.
    """
    begin_phase("writing titles")
    argv, num_rows = write_files(settings, folder)
    config = flags.parse(argv, {})
    task, seconds = runner.load_task(config), []
    for phase in ("encoding titles", "finding the cached records"):
        begin_phase(phase)
        began = time.perf_counter()
        records = task.load_records(base.TEST, config.record_dir)
        seconds.append(time.perf_counter() - began)
    num_tokens = int(records.lengths.sum())
    return {
        "rows": num_rows,
        "seconds": seconds[0],
        "cached_seconds": seconds[1],
        "tokens": num_tokens,
        "examples_per_second": num_rows / seconds[0],
        "tokens_per_second": num_tokens / seconds[0],
        "megabytes_per_second": os.path.getsize(config.test_file) / seconds[0] / 1e6,
        "num_cut_examples": records.num_cut_examples,
        "peak_memory_bytes": results.peak_memory(),
        **results.machine_facts(),
    }


def end_to_end(settings, folder, begin_phase):
    """Measures a run from a text file to the prediction files, with its start.

    The run is a process of its own, as a user's; see `measure.train`.
    """
    begin_phase("writing titles and a checkpoint")
    argv, num_rows = write_files(settings, folder)
    config = flags.parse(argv, {})
    checkpoint = os.path.join(folder, "bert_model.ckpt")
    write_random_checkpoint(runner.load_task(config), checkpoint)
    begin_phase("a run from text to predictions")
    program = [sys.executable, "-c", _PROGRAM, f"--init_checkpoint={checkpoint}"]
    began = time.perf_counter()
    encoded, peak_memory = _run([*program, *argv[1:]])
    ended = time.perf_counter()
    with open(os.path.join(config.output_dir, PREDICTIONS)) as lines:
        num_predictions = sum(1 for _ in lines) - 1
    if num_predictions != num_rows:
        raise ValueError(f"{num_predictions} predictions of {num_rows} rows")
    run_devices = devices.choose_devices(config)
    return {
        "rows": num_predictions,
        "seconds": ended - began,
        "encoding_seconds": encoded - began,
        "prediction_seconds": ended - encoded,
        "examples_per_second": num_predictions / (ended - began),
        "precision": devices.choose_precision(config.precision, run_devices),
        "peak_memory_bytes": peak_memory,
        **results.machine_facts(run_devices),
    }


def _run(argv):
    """Runs `_PROGRAM`; returns the time at which texts were encoded, and peak memory.

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
