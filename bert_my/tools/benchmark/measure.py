"""Times the engine's steps, forward passes and encoding, in this process."""

import collections
import contextlib
import dataclasses
import os
import time
from typing import NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.cli import compat, flags, runner
from bert_my.engine import devices, forward, train_plan, training
from bert_my.model import encoders
from bert_my.tasks import base
from bert_my.tools.benchmark import results, workload

# Of the learning rate schedule; its end is never reached.
PLANNED_STEPS = 1000000
# If all steps have one shape; otherwise every shape has to be seen before the timing.
WARMUP_STEPS = 5


class Step(NamedTuple):
    """One step."""

    seconds: float
    shape: Tuple[int, ...]  # [rows, tokens] of the batch, with padding
    num_rows: int  # without the rows that fill up the batch
    num_tokens: int  # without padding
    num_flops: float
    is_new_shape: bool


class Recorder:
    """Times steps.

    A step lasts from the end of the step before to its own end, so waiting for input
    counts.
    """

    def __init__(self, num_steps, num_warmup, count_flops, begin_phase):
        """Begins the first step.

        Args:
          num_steps: timed steps.
          num_warmup: steps before.
          count_flops: function from (number of tokens, number of pairs of tokens that
            attend to each other) to the FLOPs of the model.
          begin_phase: function that is called with the name of each phase.
        """
        self.steps = []
        self.num_warmup = num_warmup
        self.seconds_to_first_step = None
        self._num_steps = num_steps
        self._count_flops = count_flops
        self.begin_phase = begin_phase
        self.begin()

    def begin(self):
        """Begins a step; the time since the last one does not count."""
        self._began = time.perf_counter()

    def add(self, mask):
        """Records a step that has just ended, and begins the next one.

        Args:
          mask: int `[num_rows, seq_length]`, 1 for tokens; rows of zeros do not count.
        """
        seconds = time.perf_counter() - self._began
        lengths = mask.sum(axis=1, dtype="int64")
        num_tokens = int(lengths.sum())
        self.steps.append(
            Step(
                seconds,
                shape=mask.shape,
                num_rows=int(np.count_nonzero(lengths)),
                num_tokens=num_tokens,
                num_flops=float(self._count_flops(num_tokens, (lengths**2).sum())),
                is_new_shape=all(step.shape != mask.shape for step in self.steps),
            )
        )
        if len(self.steps) == 1:
            self.seconds_to_first_step = results.seconds_since_start()
            self.begin_phase("warm-up steps")
        if len(self.steps) == self.num_warmup:
            self.begin_phase("timed steps")
        self.begin()

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

    def numbers(self):
        """Returns the numbers of the timed steps, as a JSON-able dict."""
        seconds, shapes, num_rows, num_tokens, num_flops, _ = zip(*self.timed)
        total = sum(seconds)
        return {
            **results.speeds(sum(num_rows), sum(num_tokens), total),
            "gflops_per_second": sum(num_flops) / total / 1e9,
            "padding_share": 1.0 - sum(num_tokens) / int(np.prod(shapes, axis=1).sum()),
            "seconds_to_first_step": self.seconds_to_first_step,
            "first_step_seconds": self.steps[0].seconds,
            "step_seconds": results.spread(seconds),
            "num_steps": len(seconds),
            "num_warmup_steps": self.num_warmup,
            "num_steps_of_new_shape": len(self.steps) - self.num_warmup - len(seconds),
            "num_shapes": len({step.shape for step in self.steps}),
        }


class Setup:
    """A run of the engine with its records, before its graph is built."""

    def __init__(self, settings, folder, begin_phase):
        """Prepares a run.

        Args:
          settings: `main.Settings`.
          folder: for files.
          begin_phase: function that is called with the name of each phase.
        """
        argv = settings.run_argv(
            folder,
            do_train=True,
            num_train_steps=PLANNED_STEPS,
            bert_config_file=settings.model,
        )
        config = flags.parse(argv, {})
        if config.deterministic:
            compat.make_deterministic()
        devices.limit_threads(config)
        self.devices = devices.choose_devices(config)
        if not self.devices.has_gpus and not settings.upstream_dir:
            devices.keep_freed_memory()  # upstream does not
        precision = devices.choose_precision(config.precision, self.devices)
        self.config = dataclasses.replace(config, precision=precision)
        bert_config = workload.bert_config(settings.model, settings.seq_length)
        self.task = runner.load_task(self.config, bert_config)
        begin_phase("writing records")
        # The rows of all timed steps are one epoch.
        num_rows = settings.steps * settings.batch_size * settings.towers
        num_rows *= config.gradient_accumulation_steps
        lengths = workload.row_lengths(settings.lengths, num_rows, settings.seq_length)
        self.records = workload.random_records(self.task, lengths, folder)
        is_training = settings.mode == workload.TRAIN
        per_weight = encoders.TRAINING if is_training else encoders.FORWARD
        if settings.adversarial:
            per_weight *= 2  # a second pass runs on the perturbed words

        def count_flops(num_tokens, num_pairs):
            encoder = encoders.of(bert_config)
            return encoder.flops(num_tokens, num_pairs, 0, per_weight)

        is_one_shape = settings.lengths == workload.FULL or settings.upstream_dir
        num_warmup = WARMUP_STEPS if is_one_shape else settings.steps
        self.recorder = Recorder(
            settings.steps,
            settings.warmup_steps or num_warmup,
            count_flops,
            begin_phase,
        )

    @contextlib.contextmanager
    def graph(self):
        """Gives a new graph with the seed of the run."""
        self.recorder.begin_phase("building the graph")
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(self.config.seed)
            yield graph

    @contextlib.contextmanager
    def session(self, use_xla=False):
        """Gives a session with initial weights, in which the first step begins."""
        self.recorder.begin_phase("initial weights and first step")
        with tf.Session(config=self.devices.session_config(use_xla)) as session:
            session.run([tf.global_variables_initializer(), tf.tables_initializer()])
            self.recorder.begin()
            yield session

    def time_steps(self, step, input_mask, use_xla=False):
        """Runs the warm-up steps and the timed ones; returns `result`.

        Args:
          step: operation or tensor that a step runs.
          input_mask: int tensor `[num_rows, seq_length]` of the step's batch.
          use_xla: see `Devices.session_config`.
        """
        with self.session(use_xla) as session:
            while not self.recorder.is_done:
                self.recorder.add(session.run([step, input_mask])[1])
        return self.result()

    def result(self):
        """Returns the numbers of the timed steps and the facts of the machine."""
        return {
            **self.recorder.numbers(),
            "precision": self.config.precision,
            "peak_memory_bytes": results.peak_memory(),
            "peak_gpu_memory_bytes": results.peak_gpu_memory(self.devices),
            **results.machine_facts(self.devices),
        }


def train(settings, folder, begin_phase):
    """Measures steps of training.

    Args:
      see `Setup`.

    Returns:
      JSON-able dict, see `Setup.result`.
    """
    setup = Setup(settings, folder, begin_phase)
    records, task = setup.records, setup.task
    train_settings = setup.config.select(
        train_plan.TrainSettings, devices=setup.devices
    )
    plan = train_plan.make_plan(records, train_settings)
    train_settings = training.with_xla_chosen(task, train_settings, plan)
    use_xla = train_settings.use_xla
    with setup.graph():
        batches = training.batches(records, train_settings, plan)
        features, graph = training.build(task, batches, train_settings, plan)
        found = setup.time_steps(graph.train_op, features["input_mask"], use_xla)
    return {**found, "use_xla": use_xla}


def predict(settings, folder, begin_phase):
    """Measures a forward pass that returns all predictions; see `train`."""
    setup = Setup(settings, folder, begin_phase)
    task, recorder = setup.task, setup.recorder
    eval_settings = setup.config.select(
        forward.EvalSettings,
        checkpoint=None,
        devices=setup.devices,
        batch_size=settings.batch_size,
    )
    with setup.graph():
        outputs = task.postprocessor.outputs
        forward_pass = forward.build_pass(task, setup.records, eval_settings, outputs)
        input_mask = forward_pass.features["input_mask"]
        with setup.session() as session:

            def run(fetches):
                if fetches is not forward_pass.fetches:  # goes to the first batch
                    session.run(fetches)
                    recorder.begin()
                    return None
                values, mask = session.run([fetches, input_mask])
                recorder.add(mask)
                return values

            num_batches = sum(
                len(borders) - 1 for borders in forward_pass.order.windows
            )
            recorder.num_warmup = min(recorder.num_warmup, num_batches)
            run(forward_pass.initializer)
            for _ in range(recorder.num_warmup):
                run(forward_pass.fetches)
            collections.deque(forward_pass.batches(run), maxlen=0)
    return setup.result()


def encode(settings, folder, begin_phase):
    """Measures the encoding of titles into records, and a second start that finds them.

    See `train`.
    """
    begin_phase("writing titles")
    paths = workload.write_text_files(settings, folder)
    output_dir = os.path.join(folder, "output")
    config = flags.parse(settings.run_argv(output_dir, do_predict=True, **paths), {})
    task, seconds = runner.load_task(config), []
    for phase in ("encoding titles", "finding the cached records"):
        begin_phase(phase)
        began = time.perf_counter()
        records = task.load_records(base.TEST, config.record_dir)
        seconds.append(time.perf_counter() - began)
    num_bytes = os.path.getsize(config.test_file)
    return {
        **results.speeds(
            records.num_examples, int(records.lengths.sum()), seconds=seconds[0]
        ),
        "cached_seconds": seconds[1],
        "megabytes_per_second": num_bytes / seconds[0] / 1e6,
        "num_cut_examples": records.num_cut_examples,
        "peak_memory_bytes": results.peak_memory(),
        **results.machine_facts(),
    }
