"""Devices of the towers: their precision, XLA compilation, memory and peak speed."""

import ctypes
import functools
import logging
import os
import statistics
import timeit
from typing import NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common.errors import InputError
from bert_my.engine.options import AUTO
from bert_my.model import fused
from bert_my.model.ops import InferenceOps

logger = logging.getLogger(__name__)

# dtypes of the activations; variables are float32 always.
PRECISIONS = {"fp32": tf.float32, "fp16": tf.float16, "bf16": tf.bfloat16}
# CPU flags of instructions that multiply bfloat16 matrices faster than float32.
_CPU_BF16 = {"avx512_bf16", "amx_bf16"}
# Compute capability from which a GPU has tensor cores for a precision, best first.
_GPU_PRECISIONS = (("bf16", (8, 0)), ("fp16", (7, 0)))
# Below this many FLOPs of a run XLA compilation does not pay off on a CPU.
MIN_FLOPS_TO_COMPILE = 5e13
# Options of glibc's malloc.h: M_ARENA_MAX (arenas of threads cannot keep large blocks),
# M_MMAP_MAX and M_TRIM_THRESHOLD.
_KEEP_FREED = ((-8, 1), (-4, 0), (-1, 2**31 - 1))
# They bring no speed, only the numbers of as many GPUs.
MOST_CPU_TOWERS = 16
# Rows and columns of the matrices by which `measure_peak` keeps a device busy, without
# taking a CPU long. Keys: is it a GPU?
_PEAK_SIZES = {True: 8192, False: 1024}
_NUM_PRODUCTS = 8  # of a run, one after the other
_NUM_RUNS = 5


class Devices(NamedTuple):
    """Devices of a run. `towers`: one for each tower; names may repeat."""

    towers: Tuple[str, ...]
    num_cpus: int  # logical CPU devices that the session needs
    has_gpus: bool

    def session_config(self, use_xla=False):
        """Returns the `tf.ConfigProto` of a session with these devices.

        Args:
          use_xla: have XLA compile clusters of operations on GPUs.
        """
        config = tf.ConfigProto(allow_soft_placement=True)
        if use_xla and self.has_gpus:
            options = config.graph_options.optimizer_options
            options.global_jit_level = tf.OptimizerOptions.ON_1
        config.gpu_options.allow_growth = True
        config.device_count["CPU"] = self.num_cpus
        if not self.has_gpus:
            config.device_count["GPU"] = 0
        return config

    def __str__(self):
        counts = {name: self.towers.count(name) for name in self.towers}
        return ", ".join(
            name if count == 1 else f"{name} x {count}"
            for name, count in counts.items()
        )


def supports(dtype, devices):
    """Returns whether the first tower's device has an encoder's kernels in a dtype."""
    if dtype == tf.float32:
        return True
    config = devices.session_config()
    config.allow_soft_placement = False
    with tf.Graph().as_default(), tf.device(devices.towers[0]):
        tf.set_random_seed(0)  # deterministic runs refuse graphs without a seed
        layer = modeling.transformer_model(
            tf.zeros([2, 3, 8], dtype),
            attention_mask=tf.ones([2, 1, 3]),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=4,
        )
        gradients = tf.gradients(tf.cast(layer, tf.float32), tf.trainable_variables())
        with tf.Session(config=config) as session:
            try:
                session.run(tf.global_variables_initializer())
                session.run(gradients)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
                return False
    return True


@functools.lru_cache(maxsize=None)
def supports_fused_layer_norm(dtype, devices):
    """Returns whether forward passes can use `fused.onednn_layer_norm` in a dtype."""
    if devices.has_gpus:
        return False
    with tf.Graph().as_default(), tf.Session(
        config=devices.session_config()
    ) as session:
        x = tf.cast(tf.reshape(tf.range(64.0), [2, 32]), dtype)
        presets = [
            InferenceOps(dtype, fuses_layer_norm=fuses) for fuses in (False, True)
        ]
        try:
            outputs = [modeling.layer_norm(x, ops=preset) for preset in presets]
            session.run(tf.global_variables_initializer())
            plain, fused_output = session.run(
                [tf.cast(output, tf.float32) for output in outputs]
            )
        # A TensorFlow without the kernel raises one error or another.
        except (tf.errors.OpError, RuntimeError, ValueError):
            return False
    return bool(np.allclose(fused_output, plain, atol=0.02))


def choose_precision(name, devices):
    """Returns a precision that the devices support: the named one, or else fp32.

    Args:
      name: key of `PRECISIONS`, or `AUTO`.
      devices: `Devices`.
    """
    if name == AUTO:
        name, why = _fastest_precision(devices)
        if not supports(PRECISIONS[name], devices):
            why = f"TensorFlow {tf.__version__} has no {name} kernels, though {why}"
            name = "fp32"
        logger.info("--precision=auto: %s, for %s", name, why)
        return name
    if supports(PRECISIONS[name], devices):
        return name
    logger.warning(
        "TensorFlow %s has no %s kernels for %s: computing in fp32",
        tf.__version__,
        name,
        devices.towers[0],
    )
    return "fp32"


def _fastest_precision(devices):
    """Returns (key of `PRECISIONS`, reason): the fastest precision of the devices."""
    if not devices.has_gpus:
        found = sorted(_CPU_BF16 & _cpu_flags())
        if found:
            return "bf16", f"this CPU has {found[0]}"
        return "fp32", f"this CPU has none of {', '.join(sorted(_CPU_BF16))}"
    capability = _compute_capability()
    if capability is None:
        return "fp32", f"TensorFlow {tf.__version__} does not tell what the GPU can do"
    why = "the GPU's compute capability is {}.{}".format(*capability)
    for name, needed in _GPU_PRECISIONS:
        if capability >= needed:
            return name, why
    return "fp32", why


def _cpu_flags():
    """Returns the set of the CPU's flags; empty if the system does not list them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as reader:
            lines = [line for line in reader if line.startswith("flags")]
    except OSError:
        return set()
    return set(lines[0].split(":")[1].split()) if lines else set()


def _compute_capability():
    """Returns the lowest compute capability of the GPUs, a pair, or None."""
    get_details = getattr(tf.config.experimental, "get_device_details", None)
    if get_details is None:
        return None
    gpus = tf.config.experimental.list_physical_devices("GPU")
    found = [get_details(gpu).get("compute_capability") for gpu in gpus]
    return None if None in found else min(found)


def choose_xla(asked, devices, num_flops):
    """Returns whether XLA compiles the parts of a training step.

    Args:
      asked: True, False, or None for compiling where it was measured to be faster.
      devices: `Devices`.
      num_flops: of the whole run.
    """
    if devices.has_gpus:
        return bool(asked)  # not measured yet, so never by default
    if not fused.supports_jit():
        if asked:
            logger.warning(
                "--use_xla=true: TensorFlow %s compiles nothing on a CPU",
                tf.__version__,
            )
        return False
    return num_flops > MIN_FLOPS_TO_COMPILE if asked is None else asked


def limit_threads(options):
    """Sets the threads of all sessions of this process; the first one creates them.

    Args:
      options: `DeviceOptions`.
    """
    for name, number in (
        ("INTRA", options.intra_op_threads),
        ("INTER", options.inter_op_threads),
    ):
        if number:
            os.environ[f"TF_NUM_{name}OP_THREADS"] = str(number)


def keep_freed_memory():
    """Has this process keep the memory that a step frees for the next step.

    TensorFlow 1.15 allocates each tensor through the C library, and memory that glibc
    returns to the system costs 100,000 page faults in a step of BERT-base. TensorFlow 2
    keeps memory by itself. Of no effect with another C library.

    Returns:
      whether freed memory will be kept.
    """
    if fused.supports_jit() or os.name != "posix":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*each) for each in _KEEP_FREED)


def choose_devices(options):
    """Returns the `Devices` of a run: the GPUs in turn, else logical CPU devices.

    Args:
      options: `DeviceOptions`.

    Raises:
      InputError: if a GPU is needed and TensorFlow sees none, or the CPU would run too
        many towers.
    """
    num_towers, use_gpu = options.n_gpus, options.use_gpu
    gpus = tf.config.experimental.list_physical_devices("GPU")
    if use_gpu and not gpus:
        seen = tf.config.experimental.list_physical_devices()
        raise InputError(
            f"--use_gpu=true, but TensorFlow {tf.__version__} sees no GPU, only "
            f"{', '.join(device.name for device in seen)} (built with CUDA: "
            f"{tf.test.is_built_with_cuda()}; CUDA_VISIBLE_DEVICES hides GPUs, "
            "--verbosity=debug may show why); leave the flag out to run on the CPU"
        )
    if gpus and use_gpu is not False:
        towers = tuple(f"/gpu:{index % len(gpus)}" for index in range(num_towers))
        return Devices(towers, num_cpus=1, has_gpus=True)
    if num_towers > MOST_CPU_TOWERS:
        raise InputError(
            f"--n_gpus={num_towers}: no GPU is in use, and without one it must be at "
            f"most {MOST_CPU_TOWERS}"
        )
    if num_towers > 1:
        logger.warning(
            "No GPU in use: %d towers run on logical CPU devices, which gives right "
            "numbers but no speed",
            num_towers,
        )
    towers = tuple(f"/cpu:{index}" for index in range(num_towers))
    return Devices(towers, num_cpus=num_towers, has_gpus=False)


def measure_peak(devices, precision):
    """Returns the peak FLOPs per second of all devices together, in matrix products.

    Only the first tower's device is measured. The model FLOPs of a run (see `encoders`)
    per second, over the peak, are the model FLOPs utilization (MFU). Source: Chowdhery
    et al. 2022, "PaLM: Scaling Language Modeling with Pathways", appendix B.

    Args:
      devices: `Devices`.
      precision: key of `PRECISIONS`.
    """
    size = _PEAK_SIZES[devices.has_gpus]
    with tf.Graph().as_default(), tf.device(devices.towers[0]):
        # The products neither grow nor vanish.
        initial = tf.random.stateless_normal([size, size], seed=[0, 0]) * size**-0.5
        variable = tf.get_variable("matrix", initializer=initial)
        matrix = product = tf.cast(variable, PRECISIONS[precision])
        for _ in range(_NUM_PRODUCTS):
            product = tf.matmul(product, matrix)
        # Fetching a number makes the run wait for the products.
        result = tf.cast(product[0, 0], tf.float32)
        with tf.Session(config=devices.session_config()) as session:
            session.run(tf.global_variables_initializer())
            session.run(result)  # the first run is slower
            seconds = statistics.median(
                timeit.repeat(lambda: session.run(result), number=1, repeat=_NUM_RUNS)
            )
    per_device = _NUM_PRODUCTS * 2 * size**3 / seconds
    # All logical CPU devices share one CPU.
    num_devices = len(set(devices.towers)) if devices.has_gpus else 1
    logger.info(
        "Peak: %.4g TFLOP/s in %s matrix products, on each of %d device(s)",
        per_device / 1e12,
        precision,
        num_devices,
    )
    return per_device * num_devices
