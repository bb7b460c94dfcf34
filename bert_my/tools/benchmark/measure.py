"""Times the engine's steps, forward passes and encoding, in this process."""

import dataclasses
import logging
import os
import platform
import time
from typing import NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.cli import compat, runner
from bert_my.cli.flags import RunConfig
from bert_my.common.options import names
from bert_my.engine import devices, forward, train_plan, training
from bert_my.model import encoders
from bert_my.tasks import base
from bert_my.tools.benchmark import workload

logger = logging.getLogger(__name__)

# Of the learning rate schedule; its end is never reached.
PLANNED_STEPS = 1000000
# If all steps have one shape; otherwise every shape has to be seen before the timing.
WARMUP_STEPS = 5
_SPREAD = ("min", "lower_quartile", "median", "upper_quartile", "max")


class Step(NamedTuple):
    """One step.

    shape: (rows, tokens) of the batch, with padding.
    lengths: int64 `[rows]`, without padding; 0 for a row that fills the batch up.
    """

    seconds: float
    shape: Tuple[int, ...]
    lengths: np.ndarray
    is_new_shape: bool


class Recorder:
    """Times steps.

    A step lasts from the end of the step before to its own end, so waiting for input
    counts.
    """

    def __init__(self, num_steps, num_warmup):
        """Begins the first step.

        Args:
          num_steps: timed steps.
          num_warmup: steps before.
        """
        self.steps = []
        self.num_warmup = num_warmup
        self._num_steps = num_steps
        self._seconds_to_first_step = None
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
        is_new_shape = all(step.shape != mask.shape for step in self.steps)
        lengths = mask.sum(axis=1, dtype="int64")
        self.steps.append(Step(seconds, mask.shape, lengths, is_new_shape))
        if len(self.steps) == 1:
            self._seconds_to_first_step = seconds_since_start()
            logger.info("Benchmark: warm-up steps")
        if len(self.steps) == self.num_warmup:
            logger.info("Benchmark: timed steps")
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

    def numbers(self, count_flops):
        """Returns the numbers of the timed steps, as a JSON-able dict.

        count_flops: function from (number of tokens, number of pairs of tokens that
          attend to each other) to the FLOPs of the model.
        """
        seconds, shapes, lengths, _ = zip(*self.timed)
        lengths = np.concatenate(lengths)
        num_tokens, num_slots = int(lengths.sum()), int(np.prod(shapes, axis=1).sum())
        num_flops = float(count_flops(num_tokens, (lengths**2).sum()))
        spread = np.percentile(seconds, [0, 25, 50, 75, 100]).tolist()
        return {
            **speeds(int(np.count_nonzero(lengths)), num_tokens, sum(seconds)),
            "gflops_per_second": num_flops / sum(seconds) / 1e9,
            "padding_share": 1.0 - num_tokens / num_slots,
            "seconds_to_first_step": self._seconds_to_first_step,
            "first_step_seconds": self.steps[0].seconds,
            "step_seconds": dict(zip(_SPREAD, spread)),
            "num_steps": len(seconds),
            "num_warmup_steps": self.num_warmup,
            "num_steps_of_new_shape": len(self.steps) - self.num_warmup - len(seconds),
            "num_shapes": sum(step.is_new_shape for step in self.steps),
        }


class Setup:
    """A run of the engine with its records, before its graph is built."""

    def __init__(self, settings, folder):
        """Prepares a run.

        Args:
          settings: `main.Settings`.
          folder: for files.
        """
        config = run_config(
            settings,
            folder,
            do_train=True,
            num_train_steps=PLANNED_STEPS,
            bert_config_file=workload.bert_config_file(settings, folder),
        )
        if config.deterministic:
            compat.make_deterministic()
        devices.limit_threads(config)
        self.devices = devices.choose_devices(config)
        if not self.devices.has_gpus and not settings.upstream_dir:
            devices.keep_freed_memory()  # upstream does not
        precision = devices.choose_precision(config.precision, self.devices)
        self.config = dataclasses.replace(config, precision=precision)
        self.task = runner.load_task(self.config)
        logger.info("Benchmark: writing records")
        self.records = workload.random_records(
            self.task, workload.row_lengths(settings), folder
        )
        is_one_shape = settings.lengths == workload.FULL or settings.upstream_dir
        num_warmup = WARMUP_STEPS if is_one_shape else settings.steps
        self.recorder = Recorder(settings.steps, settings.warmup_steps or num_warmup)
        self._per_weight = encoders.FORWARD
        if settings.mode == workload.TRAIN:
            self._per_weight = encoders.TRAINING
        if settings.adversarial:
            self._per_weight *= 2  # a second pass runs on the perturbed words
        logger.info("Benchmark: building the graph")

    def session(self, use_xla=False):
        """Returns a session with initial weights, in which the first step begins."""
        logger.info("Benchmark: initial weights and first step")
        session = tf.Session(config=self.devices.session_config(use_xla))
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        self.recorder.begin()
        return session

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
        """Returns the numbers of the timed steps, as a JSON-able dict."""

        def count_flops(num_tokens, num_pairs):
            encoder = encoders.of(self.task.bert_config)
            return encoder.flops(num_tokens, num_pairs, 0, self._per_weight)

        return {
            **self.recorder.numbers(count_flops),
            "precision": self.config.precision,
            "peak_gpu_memory_bytes": peak_gpu_memory(self.devices),
            "towers": len(self.devices.towers),
            "devices": str(self.devices),
        }


def run_config(settings, folder, **values):
    """Returns the `RunConfig` of the run that is measured.

    Args:
      settings: `main.Settings`.
      folder: output folder of the run.
      **values: options that follow from the mode.
    """
    shared = set(names(RunConfig)) & set(names(type(settings)))
    config = RunConfig(
        **{name: getattr(settings, name) for name in shared - set(values)},
        **values,
        task_name="info",
        predict_batch_size=settings.train_batch_size,
        output_dir=folder,
    )
    return config.with_older_forms()


def train(settings, folder):
    """Measures steps of training.

    Args:
      see `Setup`.

    Returns:
      JSON-able dict, see `Setup.result`.
    """
    setup = Setup(settings, folder)
    records, task = setup.records, setup.task
    train_settings = setup.config.select(
        train_plan.TrainSettings, devices=setup.devices
    )
    plan = train_plan.make_plan(task, records, train_settings)
    use_xla = plan.settings.use_xla
    features, graph = training.build(task, records, plan)
    found = setup.time_steps(graph.train_op, features["input_mask"], use_xla)
    return {**found, "use_xla": use_xla}


def predict(settings, folder):
    """Measures a forward pass that returns all predictions; see `train`."""
    setup = Setup(settings, folder)
    task, recorder = setup.task, setup.recorder
    eval_settings = forward.EvalSettings(
        None, setup.devices, settings.train_batch_size, setup.config.precision
    )
    outputs = task.postprocessor.outputs
    forward_pass = forward.build_pass(task, setup.records, eval_settings, outputs)
    input_mask = forward_pass.features["input_mask"]
    num_batches = sum(len(borders) - 1 for borders in forward_pass.order.windows)
    recorder.num_warmup = min(recorder.num_warmup, num_batches)
    with setup.session() as session:

        def run(fetches):
            if fetches is forward_pass.initializer:  # goes to the first batch
                session.run(fetches)
                recorder.begin()
                return None
            values, mask = session.run([fetches, input_mask])
            recorder.add(mask)
            return values

        run(forward_pass.initializer)
        for _ in range(recorder.num_warmup):
            run(forward_pass.fetches)
        for _ in forward_pass.batches(run):
            pass
    return setup.result()


def encode(settings, folder):
    """Measures the encoding of titles into records, and a second start that finds them.

    See `train`.
    """
    logger.info("Benchmark: writing titles")
    paths = workload.write_text_files(settings, folder)
    output_dir = os.path.join(folder, "output")
    config = run_config(settings, output_dir, do_predict=True, **paths)
    task, seconds = runner.load_task(config), []
    for phase in ("encoding titles", "finding the cached records"):
        logger.info("Benchmark: %s", phase)
        began = time.perf_counter()
        records = task.load_records(base.TEST, config.record_dir)
        seconds.append(time.perf_counter() - began)
    return {
        **speeds(records.num_examples, int(records.lengths.sum()), seconds[0]),
        "cached_seconds": seconds[1],
        "megabytes_per_second": os.path.getsize(config.test_file) / seconds[0] / 1e6,
        "num_cut_examples": records.num_cut_examples,
    }


def speeds(num_rows, num_tokens, seconds):
    """Returns numbers of rows and tokens, and the speed, as a JSON-able dict."""
    return {
        "examples_per_second": num_rows / seconds,
        "tokens_per_second": num_tokens / seconds,
        "rows": num_rows,
        "tokens": num_tokens,
        "seconds": seconds,
    }


def peak_memory_bytes():
    """Returns the peak memory of this process, or None where Linux does not tell it."""
    # `ru_maxrss` also counts the memory of the parent before it started this process.
    peak = _after_colon("/proc/self/status", "VmHWM")
    return int(peak.split()[0]) * 1024 if peak else None


def machine_facts():
    """Returns the facts on which numbers depend, as a JSON-able dict."""
    cpu = _after_colon("/proc/cpuinfo", "model name")
    return {
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
        "cpu": cpu or platform.processor() or platform.machine(),
        "gpus": gpu_names(),
        "num_cores": (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count()
        ),
        "load_average": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }


def _after_colon(path, name):
    """Returns the value of the first line `name: value` of a file of Linux, or None."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as lines:
        values = (x.split(":", 1)[1].strip() for x in lines if x.startswith(name))
        return next(values, None)


def gpu_names():
    """Returns the list of the names of the GPUs; on TensorFlow 1.15 of the devices."""
    experimental = tf.config.experimental
    gpus = experimental.list_physical_devices("GPU")
    if not hasattr(experimental, "get_device_details"):
        return [gpu.name for gpu in gpus]
    return [experimental.get_device_details(gpu).get("device_name") for gpu in gpus]


def peak_gpu_memory(devices):
    """Returns the peak memory of tensors on one GPU in bytes; None if it is unknown."""
    memory_info = getattr(tf.config.experimental, "get_memory_info", None)
    if memory_info is None or not devices.has_gpus:
        return None
    try:
        return max(memory_info(f"GPU{name[4:]}")["peak"] for name in devices.towers)
    except (ValueError, RuntimeError, KeyError, tf.errors.OpError):
        return None


def seconds_since_start():
    """Returns the age of this process; None where the system does not tell it."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as stat:
            # The fields after the program's name, which may hold spaces and brackets.
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began
