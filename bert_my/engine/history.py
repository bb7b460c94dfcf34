"""What a run leaves behind of its course: `training.csv` and `evaluations.jsonl`.

Both grow line by line. A run that is resumed leaves out the lines after the checkpoint
from which it goes on, for it writes them again.
"""

import csv
import json
import math
import os

from bert_my.common import files
from bert_my.data import run_names


class TrainingHistory:
    """The loss, learning rate and speed of each step."""

    def __init__(self, output_dir, first_step):
        """Opens the file of a run.

        Args:
          output_dir: folder.
          first_step: steps done so far; lines after them are left out.
        """
        os.makedirs(output_dir, exist_ok=True)
        path = os.path.join(output_dir, run_names.TRAINING)
        kept = []
        if os.path.exists(path):
            with open(path, encoding="utf-8", newline="") as reader:
                rows = list(csv.reader(reader))[1:]
            # The last line of a run that was killed may be cut off.
            kept = [row for row in rows if len(row) == len(run_names.TRAINING_HEADER)]
            kept = [row for row in kept if int(row[0]) <= first_step]
        with files.replacing(path) as stream:
            _writer(stream).writerows([run_names.TRAINING_HEADER, *kept])
        # Line by line on the disk: a run that is killed after a checkpoint is resumed
        # from there, and does not write the lines before it again.
        self._stream = open(  # noqa: SIM115
            path, "a", buffering=1, encoding="utf-8", newline=""
        )
        self._writer = _writer(self._stream)

    def add(self, step, loss, learning_rate, examples_per_second=None):
        """Adds a step; the speed, rows per second, where it was reported."""
        speed = "" if examples_per_second is None else f"{examples_per_second:.1f}"
        self._writer.writerow([step, f"{loss:.6g}", f"{learning_rate:.6g}", speed])

    def close(self):
        """Closes the file."""
        self._stream.close()


def _writer(stream):
    return csv.writer(stream, lineterminator="\n")


def read_evaluations(output_dir, last_step=None):
    """Returns the evaluations of a run as a list of dicts, in their order.

    Args:
      output_dir: folder.
      last_step: step after which evaluations do not count; None for all.
    """
    path = os.path.join(output_dir, run_names.EVALUATIONS)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as reader:
        entries = [json.loads(line) for line in reader if line.endswith("\n")]
    return [e for e in entries if last_step is None or e["step"] <= last_step]


def write_evaluations(output_dir, entries):
    """Writes all evaluations of a run; JSON has no NaN, so it becomes null."""
    with files.replacing(os.path.join(output_dir, run_names.EVALUATIONS)) as writer:
        for entry in entries:
            writer.write(json.dumps(finite(entry), ensure_ascii=False) + "\n")


def finite(values):
    """Returns a dict of numbers with None for those that are not finite."""
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in values.items()
    }
