"""Hooks of a training session: skipped steps and progress reports."""

import collections
import logging
import math
import sys
import time

import tensorflow.compat.v1 as tf
from tqdm import tqdm

logger = logging.getLogger(__name__)

# Halving the initial loss scale of 2^15 down to 1 takes 15 steps; a run without any
# finite gradient after this many steps has diverged.
MAX_SKIPPED_STEPS = 50
# Steps at the start that are not timed, because they trace and allocate. The same holds
# for the first steps that fetch the monitored values.
UNTIMED_STEPS = 3
REPORT_SECONDS = 9.0  # between reports, at most; before `heartbeat`


class NonFiniteTrainingError(RuntimeError):
    """Too many steps in a row had gradients that are not finite."""


class SkippedStepsHook(tf.train.SessionRunHook):
    """Logs every skipped step and ends a run that skips all of them (`after_run`)."""

    def __init__(self, step):
        """Watches a step.

        Args:
          step: `custom_optimization.TrainStep`.
        """
        self._step = step
        self._in_a_row = 0

    def before_run(self, run_context):
        step = self._step
        return tf.train.SessionRunArgs(
            [step.is_finite, step.loss_scale, step.num_skipped_steps]
        )

    def after_run(self, run_context, run_values):
        is_finite, loss_scale, num_skipped_steps = run_values.results
        if is_finite:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        logger.warning(
            "Step skipped: a gradient is not finite (loss scale %g, %d skipped in all)",
            loss_scale,
            num_skipped_steps,
        )
        if self._in_a_row >= MAX_SKIPPED_STEPS:
            raise NonFiniteTrainingError(
                f"{self._in_a_row} steps in a row had gradients that are not finite, "
                f"the last at a loss scale of {loss_scale:g}; try a lower "
                "--learning_rate or --precision=fp32"
            )


class ProgressHook(tf.train.SessionRunHook):
    """Shows a bar on a terminal, lines elsewhere, and writes TensorBoard events.

    Reports every `logging_steps` steps, before `REPORT_SECONDS` have passed without a
    report, and at the last step (`after_run`). The speed is the mean over the steps
    since the previous report, without the first steps of a run and without the time
    between steps, in which checkpoints are written; it is NaN if no step was timed.
    """

    def __init__(self, graph, plan, training_history, events, peak_flops=None):
        """Watches a training graph.

        Args:
          graph: `train_graph.TrainGraph`.
          plan: `train_plan.Plan`.
          training_history: `run_history.TrainingHistory`.
          events: `events.EventWriter`.
          peak_flops: (optional) peak FLOPs per second of all devices, for the MFU.
        """
        self._graph = graph
        self._plan = plan
        self._settings = plan.settings
        self._history = training_history
        self._events = events
        self._peak_flops = peak_flops

    def after_create_session(self, session, coord):
        self._step = int(session.run(self._graph.global_step))
        self._reported_at, self._seconds, self._reports = time.time(), 0.0, False
        self._num_runs = collections.Counter()  # with and without monitored values
        self._timed = collections.Counter()
        self._bar = tqdm(
            desc="Training",
            total=self._plan.num_train_steps,
            initial=self._step,
            unit="step",
            disable=not sys.stderr.isatty(),
        )

    def before_run(self, run_context):
        graph, step = self._graph, self._graph.step
        values = {
            "loss": graph.loss,
            "learning_rate": graph.learning_rate,
            "loss_scale": step.loss_scale,
        }
        # If this step is skipped, the report is due at the next step.
        self._reports = self._is_due(self._step + 1)
        monitored = graph.monitored if self._reports else {}
        self._began = time.time()
        return tf.train.SessionRunArgs([step.is_finite, values, monitored, graph.work])

    def after_run(self, run_context, run_values):
        self._seconds = time.time() - self._began
        is_finite, values, monitored, work = run_values.results
        is_all = bool(monitored)
        self._num_runs[is_all] += 1
        if self._num_runs[is_all] > UNTIMED_STEPS:
            # As Python numbers: sums of int32 could overflow.
            done = {unit: amount.item() for unit, amount in work.items()}
            self._timed.update({"steps": 1, "seconds": self._seconds, **done})
        if not is_finite:
            return
        self._step += 1
        self._bar.update()
        speed = math.nan
        if self._reports:
            speed = self._report(values, monitored)
            self._timed.clear()
            self._reported_at = time.time()
        self._history.add(self._step, values["loss"], values["learning_rate"], speed)

    def _is_due(self, step):
        """Returns whether there is a report after a step, which is yet to run."""
        is_last = step == self._plan.num_train_steps
        silence = time.time() - self._reported_at + self._seconds  # after the step
        is_late = silence >= REPORT_SECONDS
        return is_last or is_late or step % self._settings.logging_steps == 0

    def _report(self, values, monitored):
        """Reports the speed and the values of a step; returns the rows per second."""
        speeds = self._speeds()
        scalars = {
            name: number
            for name, number in {**values, **monitored, **speeds}.items()
            if name in values or not math.isnan(number)
        }
        self._events.add_scalars(scalars, self._step)
        self._show(values, monitored, speeds)
        return speeds["examples_per_second"]

    def _speeds(self):
        """Returns a dict name -> amount per second over the timed steps."""
        timed = self._timed

        def speed(unit):
            return timed[unit] / timed["seconds"] if timed["seconds"] else math.nan

        speeds = {
            "examples_per_second": speed("steps") * self._settings.global_batch_size,
            "tokens_per_second": speed("tokens"),
            "steps_per_second": speed("steps"),
        }
        if self._peak_flops:
            speeds["mfu"] = speed("flops") / self._peak_flops
        return speeds

    def _show(self, values, monitored, speeds):
        """Shows a report on the bar, or as a line."""
        # The last step of a run of epochs may hold fewer rows.
        num_rows = self._step * self._settings.global_batch_size
        epoch = min(num_rows, self._plan.num_rows) / self._plan.num_examples
        text = " ".join(
            [
                f"epoch {epoch:.2f} loss {values['loss']:.4f}",
                *(f"{name} {value:.4f}" for name, value in monitored.items()),
                f"lr {values['learning_rate']:.3g}",
                *self._describe_speeds(speeds),
            ]
        )
        if self._bar.disable:
            logger.info("step %d/%d %s", self._step, self._plan.num_train_steps, text)
        else:
            self._bar.set_postfix_str(text)

    def _describe_speeds(self, speeds):
        """Returns the speeds and the time that is left as texts; none if not timed."""
        steps_per_second = speeds["steps_per_second"]
        if math.isnan(steps_per_second):
            return []
        remaining = self._plan.num_train_steps - self._step
        return [
            f"examples/s {speeds['examples_per_second']:.1f}",
            f"tokens/s {speeds['tokens_per_second']:.0f}",
            f"steps/s {steps_per_second:.2f}",
            *([f"mfu {speeds['mfu']:.1%}"] if "mfu" in speeds else []),
            f"ETA {tqdm.format_interval(remaining / steps_per_second)}",
        ]

    def end(self, session):
        self._bar.close()
