"""Results of the benchmark: facts of the machine, numbers of steps, and tables."""

import datetime
import os
import platform
import time

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my import tools

_CPU_INFO = "/proc/cpuinfo"
_STATUS = "/proc/self/status"
_MIB = 1 << 20
# Name in the JSON -> (label in the table, format); bytes are shown in MiB.
_ROWS = {
    "examples_per_second": ("examples/s", "{:.4g}"),
    "best_examples_per_second": ("examples/s, best round", "{:.4g}"),
    "tokens_per_second": ("real tokens/s", "{:.5g}"),
    "gflops_per_second": ("model GFLOP/s", "{:.4g}"),
    "padding_share": ("padding", "{:.1%}"),
    "peak_memory_bytes": ("peak memory, MiB", "{:.0f}"),
    "peak_gpu_memory_bytes": ("peak GPU memory, MiB", "{:.0f}"),
    "seconds_to_first_step": ("seconds to the first step", "{:.2f}"),
    "first_step_seconds": ("of these the first step", "{:.2f}"),
    "step_seconds": ("step, ms: min, quartiles, max", "{}"),
    "megabytes_per_second": ("text, MB/s", "{:.3g}"),
    "cached_seconds": ("cached second start, s", "{:.3f}"),
    "rows": ("rows", "{}"),
    "seconds": ("seconds", "{:.3f}"),
    "num_steps": ("timed steps", "{}"),
    "num_warmup_steps": ("warm-up steps", "{}"),
    "num_steps_of_new_shape": ("left out: of a new shape", "{}"),
    "num_shapes": ("shapes of batches", "{}"),
    "precision": ("precision", "{}"),
    "use_xla": ("compiled by XLA", "{}"),
    "tensorflow": ("TensorFlow", "{}"),
    "devices": ("devices", "{}"),
    "cpu": ("CPU", "{}"),
    "num_cores": ("cores", "{}"),
    "load_average": ("load of the last minute", "{:.2f}"),
}
_SPREAD = ("min", "lower_quartile", "median", "upper_quartile", "max")


def speeds(num_rows, num_tokens, seconds):
    """Returns numbers of rows and tokens, and the speed, as a JSON-able dict."""
    return {
        "rows": num_rows,
        "tokens": num_tokens,
        "seconds": seconds,
        "examples_per_second": num_rows / seconds,
        "tokens_per_second": num_tokens / seconds,
    }


def spread(values):
    """Returns minimum, quartiles and maximum of some numbers, as a dict."""
    found = np.percentile(values, [0, 25, 50, 75, 100])
    return dict(zip(_SPREAD, found.tolist()))


def machine_facts(devices=None):
    """Returns the facts on which numbers depend, as a JSON-able dict.

    devices: (optional) `Devices`.
    """
    found = {
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
        "cpu": _after_colon(_CPU_INFO, "model name")
        or platform.processor()
        or platform.machine(),
        "num_cores": _num_cores(),
        "load_average": load_average(),
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
    }
    if devices:
        found.update(towers=len(devices.towers), devices=str(devices))
        if devices.has_gpus:
            found["gpus"] = gpu_names()
    return found


def load_average():
    """Returns the mean number of running processes in the last minute."""
    return os.getloadavg()[0]


def _num_cores():
    """Returns the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_names():
    """Returns the list of the names of the GPUs, as far as TensorFlow knows them."""
    describe = getattr(tf.config.experimental, "get_device_details", None)
    gpus = tf.config.experimental.list_physical_devices("GPU")
    if describe is None:  # TensorFlow 1.15
        return [gpu.name for gpu in gpus]
    return [describe(gpu).get("device_name", gpu.name) for gpu in gpus]


def _after_colon(path, name):
    """Returns the value of the first line `name: value` of a file of Linux, or None."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as lines:
        values = (x.split(":", 1)[1].strip() for x in lines if x.startswith(name))
        return next(values, None)


def peak_memory():
    """Returns the peak memory of this process in bytes; None if it is unknown."""
    # `ru_maxrss` also counts the memory of the parent before it started this process.
    peak = _after_colon(_STATUS, "VmHWM")
    return int(peak.split()[0]) * 1024 if peak else None


def peak_gpu_memory(devices):
    """Returns the peak memory of tensors on one GPU in bytes; None if it is unknown."""
    memory_info = getattr(tf.config.experimental, "get_memory_info", None)
    if memory_info is None or not devices.has_gpus:
        return None
    try:
        towers = set(devices.towers)
        return max(memory_info(f"GPU{name[4:]}")["peak"] for name in towers)
    except (ValueError, RuntimeError, KeyError, tf.errors.OpError):
        return None


def seconds_since_start():
    """Returns the age of this process; None where the system does not tell it."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as stat:
            # The fields after the program's name, which may hold spaces and brackets.
            fields = stat.read().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError, ValueError):
        return None


def table(result):
    """Returns the lines of the table of a result, or of a comparison with a ratio."""
    is_comparison = "ratio" in result
    sides = [result["ours"], result["huggingface"]] if is_comparison else [result]
    rows = [["medians over rounds", "ours", "transformers", "ratio"]] * is_comparison
    for name in _ROWS:
        values = [side.get(name) for side in sides]
        if None not in values:
            rows.append([_ROWS[name][0], *(_cell(name, value) for value in values)])
            if is_comparison and not isinstance(values[0], str):
                ours, theirs = values
                rows[-1].append(f"{ours / theirs:.3f}" if theirs else "-")
    return tools.align(rows)


def _cell(name, value):
    """Returns a number of a result as text."""
    if name == "step_seconds":
        return " ".join(f"{value[each] * 1e3:.4g}" for each in _SPREAD)
    if name.endswith("_bytes"):
        value /= _MIB
    return _ROWS[name][1].format(value)
