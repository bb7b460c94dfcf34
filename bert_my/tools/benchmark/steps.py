"""Timing steps one by one, and the numbers that follow from them."""

import time
from typing import NamedTuple, Tuple

import numpy as np

from bert_my.engine import flops
from bert_my.tools.benchmark import machine

# Where every step has the same shape; where shapes differ all have to be seen.
WARMUP_STEPS = 5


class Step(NamedTuple):
    """One step."""

    seconds: float  # since the step before ended
    shape: Tuple[int, ...]  # rows and tokens of a batch, with what fills it up
    num_rows: int  # real ones
    num_tokens: int  # without padding
    num_flops: float
    is_new_shape: bool


class Ceiling:
    """The most FLOPs per second in matrix products."""

    def __init__(self, devices, precision):
        self._devices = devices
        self._precision = precision
        self.measured = []

    def measure(self):
        """Measures it; the highest of all times counts."""
        for _ in range(2):
            self.measured.append(flops.measure_peak(self._devices, self._precision))


class Recorder:
    """Takes down steps.

    A step lasts from the end of the one before to its own: what happens in between is
    part of what users wait for.
    """

    def __init__(self, after_first):
        """Begins.

        Args:
          after_first: function that is called after the first step of all.
        """
        self.steps = []
        self.seconds_to_first_step = None
        self._after_first = after_first
        self._shapes = set()
        self.begin()

    def begin(self):
        """What was done before is part of no step."""
        self._mark = time.perf_counter()

    def add(self, shape, num_rows, num_tokens, num_flops):
        """Takes down a step that has just ended; see `Step`."""
        seconds = time.perf_counter() - self._mark
        shape = tuple(map(int, shape))
        is_new = shape not in self._shapes
        self._shapes.add(shape)
        counts = int(num_rows), int(num_tokens), float(num_flops)
        self.steps.append(Step(seconds, shape, *counts, is_new))
        if len(self.steps) == 1:
            self.seconds_to_first_step = machine.seconds_since_start()
            self._after_first()
        self.begin()

    def timed(self, num_warmup):
        """Returns the steps after the warm-up whose shape had been seen before.

        For each shape something is prepared when it is first seen.
        """
        return [step for step in self.steps[num_warmup:] if not step.is_new_shape]


def numbers(recorder, num_warmup, ceiling):
    """Returns what the steps say, as a JSON-able dict.

    Args:
      recorder: `Recorder`.
      num_warmup: how many steps at the start do not count.
      ceiling: `Ceiling`.
    """
    timed = recorder.timed(num_warmup)
    seconds = [step.seconds for step in timed]
    num_rows = sum(step.num_rows for step in timed)
    num_slots = sum(int(np.prod(step.shape)) for step in timed)
    num_tokens = sum(step.num_tokens for step in timed)
    total = sum(seconds)
    per_second = sum(step.num_flops for step in timed) / total
    peak = max(ceiling.measured)
    return {
        "rows": num_rows,
        "seconds": total,
        "tokens": num_tokens,
        "examples_per_second": num_rows / total,
        "tokens_per_second": num_tokens / total,
        "gflops_per_second": per_second / 1e9,
        "ceiling_gflops_per_second": peak / 1e9,
        "all_ceilings_gflops_per_second": [x / 1e9 for x in ceiling.measured],
        "share_of_ceiling": per_second / peak,
        "padding_share": 1.0 - num_tokens / num_slots,
        "seconds_to_first_step": recorder.seconds_to_first_step,
        "first_step_seconds": recorder.steps[0].seconds,
        "step_seconds": spread(seconds),
        "num_steps": len(timed),
        "num_warmup_steps": num_warmup,
        "num_steps_of_new_shape": len(recorder.steps) - num_warmup - len(timed),
        "num_shapes": len({step.shape for step in recorder.steps}),
    }


def spread(values):
    """Returns minimum, quartiles and maximum of some numbers, as a dict."""
    names = ("min", "lower_quartile", "median", "upper_quartile", "max")
    found = np.percentile(values, [0, 25, 50, 75, 100])
    return dict(zip(names, found.tolist()))
