"""What is to be known of the machine, and how much of its memory is used."""

import datetime
import os
import platform
import resource
import sys
import time

import tensorflow.compat.v1 as tf

_CPU_INFO = "/proc/cpuinfo"
_STATUS = "/proc/self/status"


def facts(devices=None):
    """Returns what numbers depend on, as a JSON-able dict.

    Args:
      devices: (optional) `Devices`.
    """
    found = {
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
        "cpu": cpu_model(),
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
    """Returns how many processes were running, in the mean of the last minute."""
    return os.getloadavg()[0]


def cpu_model():
    """Returns the name of the processor, as far as the system tells it."""
    if os.path.exists(_CPU_INFO):
        with open(_CPU_INFO, encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def num_cores():
    """Returns how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_names():
    """Returns the list of the GPUs' names, as far as TensorFlow tells them."""
    describe = getattr(tf.config.experimental, "get_device_details", None)
    gpus = tf.config.experimental.list_physical_devices("GPU")
    if describe is None:  # TensorFlow 1.15
        return [gpu.name for gpu in gpus]
    return [describe(gpu).get("device_name", gpu.name) for gpu in gpus]


def peak_memory():
    """Returns the most memory that this process has held, in bytes."""
    # The system's `ru_maxrss` counts what the parent of a process held, too.
    if os.path.exists(_STATUS):
        with open(_STATUS, encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_gpu_memory(devices):
    """Returns the most bytes that tensors held on one GPU; None if nobody tells."""
    tell = getattr(tf.config.experimental, "get_memory_info", None)
    if tell is None or not devices.has_gpus:
        return None
    try:
        return max(tell(f"GPU{name[4:]}")["peak"] for name in set(devices.towers))
    except (ValueError, RuntimeError, KeyError, tf.errors.OpError):
        return None


def seconds_since_start():
    """Returns how long this process runs; None where the system does not tell it."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as stat:
            # What follows the name of the program, which may hold anything.
            fields = stat.read().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError, ValueError):
        return None
