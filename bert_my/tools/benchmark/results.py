"""Results of the benchmark: facts of the machine, numbers of steps, and tables."""

import datetime
import os
import platform
import resource
import sys
import time
from typing import NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

_CPU_INFO = "/proc/cpuinfo"
_STATUS = "/proc/self/status"
_MIB = 1 << 20
# Name in the JSON -> (label in the table, format); bytes are shown in MiB.
_ROWS = {
    "examples_per_second": ("examples/s", "{:.4g}"),
    "tokens_per_second": ("real tokens/s", "{:.5g}"),
    "gflops_per_second": ("model GFLOP/s", "{:.4g}"),
    "ceiling_gflops_per_second": ("matrix products, GFLOP/s", "{:.4g}"),
    "share_of_ceiling": ("share of that", "{:.1%}"),
    "padding_share": ("padding", "{:.1%}"),
    "peak_memory_bytes": ("peak memory, MiB", "{:.0f}"),
    "peak_gpu_memory_bytes": ("peak GPU memory, MiB", "{:.0f}"),
    "seconds_to_first_step": ("seconds to the first step", "{:.2f}"),
    "first_step_seconds": ("of these the first step", "{:.2f}"),
    "megabytes_per_second": ("text, MB/s", "{:.3g}"),
    "cached_seconds": ("cached second start, s", "{:.3f}"),
    "encoding_seconds": ("of these until texts are encoded", "{:.2f}"),
    "prediction_seconds": ("of these model and predictions", "{:.2f}"),
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


class Step(NamedTuple):
    """One step."""

    seconds: float
    shape: Tuple[int, ...]  # [rows, tokens] of the batch, with padding
    num_rows: int  # without the rows that fill up the batch
    num_tokens: int  # without padding
    num_flops: float
    is_new_shape: bool


def numbers(recorder):
    """Returns the numbers of the steps of a `measure.Recorder`, as a JSON-able dict."""
    steps, timed = recorder.steps, recorder.timed
    seconds = [step.seconds for step in timed]
    num_rows = sum(step.num_rows for step in timed)
    num_slots = sum(int(np.prod(step.shape)) for step in timed)
    num_tokens = sum(step.num_tokens for step in timed)
    total = sum(seconds)
    per_second = sum(step.num_flops for step in timed) / total
    peak = max(recorder.ceilings)
    return {
        "rows": num_rows,
        "seconds": total,
        "tokens": num_tokens,
        "examples_per_second": num_rows / total,
        "tokens_per_second": num_tokens / total,
        "gflops_per_second": per_second / 1e9,
        "ceiling_gflops_per_second": peak / 1e9,
        "all_ceilings_gflops_per_second": [x / 1e9 for x in recorder.ceilings],
        "share_of_ceiling": per_second / peak,
        "padding_share": 1.0 - num_tokens / num_slots,
        "seconds_to_first_step": recorder.seconds_to_first_step,
        "first_step_seconds": steps[0].seconds,
        "step_seconds": spread(seconds),
        "num_steps": len(timed),
        "num_warmup_steps": recorder.num_warmup,
        "num_steps_of_new_shape": len(steps) - recorder.num_warmup - len(timed),
        "num_shapes": len({step.shape for step in steps}),
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
        "num_cores": num_cores(),
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


def num_cores():
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
    """Returns the peak memory of this process, in bytes."""
    # `ru_maxrss` also counts the memory of the parent before it started this process.
    peak = _after_colon(_STATUS, "VmHWM")
    if peak:
        return int(peak.split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


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
    for name, (label, form) in _ROWS.items():
        values = [side.get(name) for side in sides]
        if None in values:
            continue
        unit = _MIB if name.endswith("_bytes") else None
        rows.append([label, *(form.format(x / unit if unit else x) for x in values)])
        if is_comparison:
            rows[-1].append(_ratio(*values))
    if is_comparison:
        best = [side["examples_per_second_spread"]["max"] for side in sides]
        texts = map("{:.4g}".format, best)
        rows.append(["examples/s, best round", *texts, _ratio(*best)])
    elif "step_seconds" in result:
        times = " ".join(f"{result['step_seconds'][n] * 1e3:.4g}" for n in _SPREAD)
        rows.append(["step, ms: min, quartiles, max", times])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]


def _ratio(ours, theirs):
    """Returns the ratio of two numbers as text; none of other values."""
    if isinstance(ours, str):
        return ""
    return f"{ours / theirs:.3f}" if theirs else "-"
