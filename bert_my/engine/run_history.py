"""The course of a training: its steps, and its evaluations of the dev set.

Both are files in the folder of the run, line by line. Needs no TensorFlow.
"""

import json
import logging
import math
import os

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder, state_files

logger = logging.getLogger(__name__)

_HEADER = ["step", "loss", "learning_rate", "examples_per_second"]


def read_training(folder):
    """Returns the steps of the training, ascending, each once.

    Of a step that stands twice, after a resume, the later line counts.

    Args:
      folder: `RunFolder`.

    Returns:
      list of (step, loss, learning rate, examples per second), an int and three
      floats, NaN for cells that are empty; or None without a file.

    Raises:
      InputError: naming the line that is broken.
    """
    path = folder.path_of(run_folder.TRAINING)
    lines = state_files.read_lines(path)
    if lines is None:
        return None
    rows = {}
    for number, line in lines:
        cells = line.split(",")
        if number == 1 and cells != _HEADER:
            raise InputError(
                f"{path}:1: the columns are not {','.join(_HEADER)}; "
                f"{state_files.CORRECT}"
            )
        if number == 1:
            continue
        try:
            step, *values = (float(cell or "nan") for cell in cells)
            loss, learning_rate, speed = values
            rows[int(step)] = (int(step), loss, learning_rate, speed)
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"{path}:{number}: {line}: {error}; {state_files.CORRECT}"
            ) from error
    return [rows[step] for step in sorted(rows)]


class TrainingHistory:
    """The file with the loss, learning rate and speed of each step.

    A run that is resumed drops the lines after its checkpoint and writes them anew.
    """

    def __init__(self, folder, first_step):
        """Opens the file.

        Args:
          folder: `RunFolder`, which is made if need be.
          first_step: steps done so far; lines of later steps are dropped.
        """
        kept = [row for row in read_training(folder) or () if row[0] <= first_step]
        self._path = path = folder.path_of(run_folder.TRAINING)
        if len(kept) < first_step:
            missing = first_step - len(kept)
            logger.warning(
                "%s: %d of the %d steps so far are not in it", path, missing, first_step
            )
        with files.writing(folder.path):
            os.makedirs(folder.path, exist_ok=True)
        with files.replacing(path) as stream:
            stream.write(",".join(_HEADER) + "\n")
            stream.writelines(_training_line(*row) for row in kept)
        # Line by line on the disk: a run that is killed after a checkpoint is resumed
        # from there, and does not write the lines before it again.
        self._stream = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def add(self, step, loss, learning_rate, examples_per_second=math.nan):
        """Adds a step; the speed, rows per second, is known where it was reported."""
        line = _training_line(step, loss, learning_rate, examples_per_second)
        with files.writing(self._path):
            self._stream.write(line)

    def close(self):
        """Closes the file."""
        with files.writing(self._path):
            self._stream.close()


def _training_line(step, loss, learning_rate, examples_per_second):
    speed = "" if math.isnan(examples_per_second) else f"{examples_per_second:.1f}"
    return f"{step},{loss:.6g},{learning_rate:.6g},{speed}\n"


def read_evaluations(folder, last_step=None):
    """Returns the evaluations of the dev set during training, in their order.

    Args:
      folder: `RunFolder`.
      last_step: (optional) step after which evaluations do not count.

    Returns:
      list of dicts metric -> number or None; `step` is one of the keys.

    Raises:
      InputError: naming the line that is broken.
    """
    path = folder.path_of(run_folder.EVALUATIONS)
    entries = []
    for number, line in state_files.read_lines(path) or ():
        where = f"{path}:{number}"
        entry = state_files.parse_object(line, where)
        state_files.check_numbers(entry, where)
        if not isinstance(entry.get("step"), int):
            raise InputError(f"{where}: there is no step; {state_files.CORRECT}")
        entries.append(entry)
    return [e for e in entries if last_step is None or e["step"] <= last_step]


def write_evaluations(folder, entries):
    """Writes all evaluations; a number that is not finite becomes null."""
    with files.replacing(folder.path_of(run_folder.EVALUATIONS)) as writer:
        for entry in map(state_files.finite, entries):
            writer.write(json.dumps(entry, ensure_ascii=False) + "\n")
