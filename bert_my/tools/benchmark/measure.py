"""Runs the work of a benchmark through the engine, and returns its numbers."""

import collections
import contextlib
import dataclasses
import os
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.cli import compat, flags, runner
from bert_my.engine import devices, evaluation, train_plan, training
from bert_my.engine.devices import Devices
from bert_my.model import encoders
from bert_my.tasks import base
from bert_my.tools.benchmark import machine, settings, steps, workload

# Of the learning rate's plan; a benchmark never gets to its end.
PLANNED_STEPS = 1000000


class Setup(NamedTuple):
    """What is measured, ready to be built."""

    own: settings.Benchmark
    config: flags.RunConfig
    task: base.Task
    devices: Devices
    global_batch_size: int
    folder: str

    @property
    def num_warmup(self):
        """Steps that do not count; without a flag enough to have seen each shape."""
        own = self.own
        if own.warmup_steps:
            return own.warmup_steps
        return steps.WARMUP_STEPS if own.lengths == workload.FULL else own.steps

    @property
    def num_rows(self):
        """Rows of all timed steps, which are one epoch."""
        return self.own.steps * self.global_batch_size

    def result(self, recorder, num_warmup, ceiling):
        """Returns numbers and facts, as a JSON-able dict."""
        return {
            **steps.numbers(recorder, num_warmup, ceiling),
            "precision": self.config.precision,
            "peak_memory_bytes": machine.peak_memory(),
            "peak_gpu_memory_bytes": machine.peak_gpu_memory(self.devices),
            **machine.facts(self.devices),
        }


def set_up(request, folder):
    """Returns the `Setup` of a `Request`, with a folder for all that is written."""
    own = request.own
    bert_config = workload.bert_config(own.model, own.seq_length)
    is_pretraining = own.mode == settings.PRETRAIN
    changes = {"task_name": "pretraining" if is_pretraining else "info"}
    if is_pretraining:
        changes["input_file"] = os.path.join(folder, "random.tfrecord")
        changes["max_predictions_per_seq"] = workload.num_masked(own.seq_length)
    values = settings.engine_settings(
        request,
        folder,
        do_train=True,
        num_train_steps=PLANNED_STEPS,
        bert_config_file=own.model,
        report_mfu=True,
        **changes,
    )
    config = flags.parse(settings.as_argv(values), {})
    if config.deterministic:
        compat.make_deterministic()
    devices.limit_threads(config.intra_op_threads, config.inter_op_threads)
    run_devices = runner.choose_devices(config)
    if not run_devices.has_gpus and not own.upstream_dir:  # upstream does not do it
        devices.keep_freed_memory()
    precision = devices.choose_precision(config.precision, run_devices)
    config = dataclasses.replace(config, precision=precision)
    task = runner.load_task(config, bert_config)
    num_parts = 1
    if own.mode != settings.PREDICT:
        num_parts = config.gradient_accumulation_steps
    return Setup(
        own, config, task, run_devices, own.batch_size * own.towers * num_parts, folder
    )


def train(setup):
    """Measures steps of training; see `settings`."""
    own, task = setup.own, setup.task
    if own.mode == settings.PRETRAIN:
        records = workload.pretraining_records(task, setup.num_rows, setup.folder)
    else:
        lengths = workload.row_lengths(own.lengths, setup.num_rows, own.seq_length)
        records = workload.title_records(task, lengths, setup.folder)
    config = setup.config
    train_settings = config.select(train_plan.TrainSettings, devices=setup.devices)
    plan = train_plan.make_plan(records, train_settings)
    train_settings = training.with_xla_chosen(task, train_settings, plan)
    ceiling = steps.Ceiling(setup.devices, config.precision)
    with tf.Graph().as_default():
        tf.set_random_seed(config.seed)
        batches = training.batches(records, train_settings, plan)
        if own.input == settings.SYNTHETIC:
            # They are in memory when the warm-up ends.
            num_kept = min(own.steps, setup.num_warmup)
            batches = batches.take(num_kept).cache().repeat()
        features, graph = training.build(task, batches, train_settings, plan)
        fetches = [graph.train_op, graph.work, tf.shape(features["input_mask"])]
        recorder = steps.Recorder(ceiling.measure)
        session_config = setup.devices.session_config(train_settings.use_xla)
        with tf.Session(config=session_config) as session:
            session.run([tf.global_variables_initializer(), tf.tables_initializer()])
            recorder.begin()
            num_steps = setup.num_warmup + own.steps
            # Steps whose shape is new do not count; others take their place.
            while (
                len(recorder.steps) < num_steps
                or len(recorder.timed(setup.num_warmup)) < own.steps
            ):
                _, work, shape = session.run(fetches)
                recorder.add(shape, shape[0], work["tokens"], work["flops"])
    ceiling.measure()
    result = setup.result(recorder, setup.num_warmup, ceiling)
    return {**result, "use_xla": train_settings.use_xla}


def predict(setup):
    """Measures the batches of a forward pass that yields all predictions."""
    own, task = setup.own, setup.task
    lengths = workload.row_lengths(own.lengths, setup.num_rows, own.seq_length)
    records = workload.title_records(task, lengths, setup.folder)
    eval_settings = setup.config.select(
        evaluation.EvalSettings,
        checkpoint=None,
        devices=setup.devices,
        batch_size=own.batch_size,
    )
    ceiling = steps.Ceiling(setup.devices, setup.config.precision)
    with tf.Graph().as_default():
        tf.set_random_seed(setup.config.seed)
        forward_pass = evaluation.build_pass(
            task, records, eval_settings, targets=("input_mask",)
        )
        recorder = steps.Recorder(ceiling.measure)
        with tf.Session(config=setup.devices.session_config()) as session:
            session.run([tf.global_variables_initializer(), tf.tables_initializer()])
            run = _recording(session.run, recorder, task.bert_config)

            def warm_up(fetches):
                if len(recorder.steps) == setup.num_warmup:
                    raise _WarmedUp
                return run(fetches)

            with contextlib.suppress(_WarmedUp):
                collections.deque(forward_pass.batches(warm_up), maxlen=0)
            num_warmup = len(recorder.steps)
            collections.deque(forward_pass.batches(run), maxlen=0)
    ceiling.measure()
    return setup.result(recorder, num_warmup, ceiling)


def add_batch(recorder, mask, bert_config, per_weight):
    """Takes down a step on a batch.

    Args:
      recorder: `steps.Recorder`.
      mask: int `[num_rows, seq_length]`, 1 for tokens; rows of zeros do not count.
      bert_config: `modeling.BertConfig`.
      per_weight: see `encoders.Bert.flops`.
    """
    lengths = mask.sum(axis=1, dtype="int64")
    num_tokens, num_pairs = lengths.sum(), (lengths**2).sum()
    encoder = encoders.of(bert_config)
    num_flops = encoder.flops(num_tokens, num_pairs, 0, per_weight)
    recorder.add(mask.shape, np.count_nonzero(lengths), num_tokens, num_flops)


class _WarmedUp(Exception):
    """Ends a pass that is not for the time."""


def _recording(run, recorder, bert_config):
    """Returns a function that runs batches and takes down how long each took."""

    def run_and_record(fetches):
        values = run(fetches)
        if isinstance(values, evaluation.Batch):
            mask = values.targets["input_mask"]
            add_batch(recorder, mask, bert_config, encoders.FORWARD)
        else:
            recorder.begin()
        return values

    return run_and_record
