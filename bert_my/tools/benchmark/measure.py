"""Times the engine's steps of training and of prediction, in this process."""

import collections
import contextlib
import dataclasses
import os
import time
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.cli import compat, flags, runner
from bert_my.engine import devices, forward, train_plan, training
from bert_my.engine.devices import Devices
from bert_my.model import encoders
from bert_my.tasks import base
from bert_my.tools.benchmark import results, workload
from bert_my.tools.benchmark.workload import FULL, PRETRAIN, SYNTHETIC

# Of the learning rate schedule; its end is never reached.
PLANNED_STEPS = 1000000
# If all steps have one shape; otherwise every shape has to be seen before the timing.
WARMUP_STEPS = 5


class Setup(NamedTuple):
    """A benchmark, ready to be built."""

    settings: Any  # `main.Settings`
    config: flags.RunConfig
    task: base.Task
    devices: Devices
    folder: str

    @property
    def num_warmup(self):
        """Warm-up steps; by default enough to see every shape."""
        own = self.settings
        is_one_shape = own.lengths == FULL or own.upstream_dir
        return own.warmup_steps or (WARMUP_STEPS if is_one_shape else own.steps)

    @property
    def num_rows(self):
        """Rows of all timed steps, which are one epoch."""
        own, num_parts = self.settings, self.config.gradient_accumulation_steps
        return own.steps * own.batch_size * own.towers * num_parts

    def records(self):
        """Returns the records of the rows, which are written here."""
        own, task = self.settings, self.task
        if own.mode == PRETRAIN:
            return workload.pretraining_records(task, self.num_rows, self.folder)
        lengths = workload.row_lengths(own.lengths, self.num_rows, own.seq_length)
        return workload.random_records(task, lengths, self.folder)


def set_up(settings, folder):
    """Returns the `Setup` of `main.Settings`, with a folder for all files."""
    values = {"task_name": "info"}
    if settings.mode == PRETRAIN:
        values = {
            "task_name": "pretraining",
            "input_file": os.path.join(folder, "random.tfrecord"),
            "max_predictions_per_seq": workload.num_masked(settings.seq_length),
        }
    argv = settings.run_argv(
        folder,
        do_train=True,
        num_train_steps=PLANNED_STEPS,
        bert_config_file=settings.model,
        report_mfu=True,
        **values,
    )
    config = flags.parse(argv, {})
    if config.deterministic:
        compat.make_deterministic()
    devices.limit_threads(config)
    run_devices = devices.choose_devices(config)
    if not run_devices.has_gpus and not settings.upstream_dir:  # upstream does not
        devices.keep_freed_memory()
    precision = devices.choose_precision(config.precision, run_devices)
    config = dataclasses.replace(config, precision=precision)
    bert_config = workload.bert_config(settings.model, settings.seq_length)
    task = runner.load_task(config, bert_config)
    return Setup(settings, config, task, run_devices, folder)


class Recorder:
    """Times steps.

    A step lasts from the end of the step before to its own end, so waiting for input
    counts. After the first step, and at the end, the FLOPs per second that matrix
    products reach are measured.
    """

    def __init__(self, num_steps, num_warmup, measure_ceiling, begin_phase):
        """Begins.

        Args:
          num_steps: timed steps.
          num_warmup: steps before.
          measure_ceiling: function that returns FLOPs per second.
          begin_phase: function that is called with the name of each phase.
        """
        self.steps, self.ceilings = [], []
        self.num_warmup = num_warmup
        self.seconds_to_first_step = None
        self._num_steps = num_steps
        self._measure_ceiling = measure_ceiling
        self.begin_phase = begin_phase
        self.begin()

    def begin(self):
        """Begins a step; the time since the last one does not count."""
        self._began = time.perf_counter()

    def add(self, shape, num_rows, num_tokens, num_flops):
        """Records a step that has just ended; see `results.Step`."""
        seconds = time.perf_counter() - self._began
        shape = tuple(map(int, shape))
        is_new = all(step.shape != shape for step in self.steps)
        counts = int(num_rows), int(num_tokens), float(num_flops)
        self.steps.append(results.Step(seconds, shape, *counts, is_new))
        if len(self.steps) == 1:
            self.seconds_to_first_step = results.seconds_since_start()
            self.measure_ceiling()
            self.begin_phase("warm-up steps")
        if len(self.steps) == self.num_warmup:
            self.begin_phase("timed steps")
        self.begin()

    def add_rows(self, mask, bert_config, per_weight):
        """Records a step on a batch.

        Args:
          mask: int `[num_rows, seq_length]`, 1 for tokens; rows of zeros do not count.
          bert_config, per_weight: see `encoders.Bert.flops`.
        """
        lengths = mask.sum(axis=1, dtype="int64")
        num_tokens, num_pairs = lengths.sum(), (lengths**2).sum()
        encoder = encoders.of(bert_config)
        num_flops = encoder.flops(num_tokens, num_pairs, 0, per_weight)
        self.add(mask.shape, np.count_nonzero(lengths), num_tokens, num_flops)

    def measure_ceiling(self):
        """Measures matrix products twice; the highest of all times counts."""
        self.begin_phase("matrix products")
        self.ceilings += [self._measure_ceiling() for _ in range(2)]

    @property
    def timed(self):
        """The steps after the warm-up, without the first one of each shape.

        TensorFlow prepares something for each shape when it sees the first one.
        """
        return [step for step in self.steps[self.num_warmup :] if not step.is_new_shape]

    @property
    def is_done(self):
        """True once enough steps are timed."""
        return len(self.timed) >= self._num_steps


def recorder_of(setup, begin_phase):
    """Returns the `Recorder` of a `Setup`, before its graph is built."""

    def measure_ceiling():
        return devices.measure_peak(setup.devices, setup.config.precision)

    begin_phase("building the graph")
    num_steps = setup.settings.steps
    return Recorder(num_steps, setup.num_warmup, measure_ceiling, begin_phase)


@contextlib.contextmanager
def session_of(setup, recorder, use_xla=False):
    """Gives a session with initial weights, in which the first step begins."""
    config = setup.devices.session_config(use_xla)
    recorder.begin_phase("initial weights and first step")
    with tf.Session(config=config) as session:
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        recorder.begin()
        yield session


def result_of(setup, recorder):
    """Returns the numbers of all steps and the facts of the machine, JSON-able."""
    recorder.measure_ceiling()
    return {
        **results.numbers(recorder),
        "precision": setup.config.precision,
        "peak_memory_bytes": results.peak_memory(),
        "peak_gpu_memory_bytes": results.peak_gpu_memory(setup.devices),
        **results.machine_facts(setup.devices),
    }


def train(settings, folder, begin_phase):
    """Measures steps of training or pretraining.

    Args:
      settings: `main.Settings`.
      folder: for files.
      begin_phase: function that is called with the name of each phase.

    Returns:
      JSON-able dict, see `results.numbers`.
    """
    setup = set_up(settings, folder)
    begin_phase("writing records")
    records, config = setup.records(), setup.config
    train_settings = config.select(train_plan.TrainSettings, devices=setup.devices)
    plan = train_plan.make_plan(records, train_settings)
    train_settings = training.with_xla_chosen(setup.task, train_settings, plan)
    use_xla = train_settings.use_xla
    recorder = recorder_of(setup, begin_phase)
    with tf.Graph().as_default():
        tf.set_random_seed(config.seed)
        batches = training.batches(records, train_settings, plan)
        if settings.input == SYNTHETIC:
            # All are in memory when the warm-up ends.
            num_kept = min(settings.steps, setup.num_warmup)
            batches = batches.take(num_kept).cache().repeat()
        features, graph = training.build(setup.task, batches, train_settings, plan)
        fetches = [graph.train_op, graph.work, tf.shape(features["input_mask"])]
        with session_of(setup, recorder, use_xla) as session:
            while not recorder.is_done:
                _, work, shape = session.run(fetches)
                recorder.add(shape, shape[0], work["tokens"], work["flops"])
    return {**result_of(setup, recorder), "use_xla": use_xla}


def predict(settings, folder, begin_phase):
    """Measures a forward pass that returns all predictions; see `train`."""
    setup = set_up(settings, folder)
    begin_phase("writing records")
    records, task = setup.records(), setup.task
    eval_settings = setup.config.select(
        forward.EvalSettings,
        checkpoint=None,
        devices=setup.devices,
        batch_size=settings.batch_size,
    )
    recorder = recorder_of(setup, begin_phase)
    with tf.Graph().as_default():
        tf.set_random_seed(setup.config.seed)
        outputs = task.postprocessor.outputs
        forward_pass = forward.build_pass(task, records, eval_settings, outputs)
        input_mask = forward_pass.features["input_mask"]
        with session_of(setup, recorder) as session:

            def run(fetches):
                if fetches is not forward_pass.fetches:  # goes to the first batch
                    session.run(fetches)
                    recorder.begin()
                    return None
                values, mask = session.run([fetches, input_mask])
                recorder.add_rows(mask, task.bert_config, encoders.FORWARD)
                return values

            num_batches = sum(
                len(borders) - 1 for borders in forward_pass.order.windows
            )
            recorder.num_warmup = min(setup.num_warmup, num_batches)
            run(forward_pass.initializer)
            for _ in range(recorder.num_warmup):
                run(forward_pass.fetches)
            collections.deque(forward_pass.batches(run), maxlen=0)
    return result_of(setup, recorder)
