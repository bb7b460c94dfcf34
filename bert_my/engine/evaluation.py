"""Evaluation and prediction: a forward pass, its results and their files."""

import collections
import contextlib
import math
import os

from bert_my import metrics
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.engine.forward import NonFinitePrediction, add_pairs, forward
from bert_my.text.postprocessor import PREDICTIONS

_MAX_SHOWN = 30  # characters of a text in an error


def evaluate(task, records, settings, output_dir):
    """Scores a checkpoint on sets with labels; writes predictions of the first, if any.

    Args:
      task, settings: see `forward.build_pass`.
      records: dict name of a set -> its records.
      output_dir: folder for the file `dev_predictions.tsv`.

    Returns:
      dict name -> number, see `joined`, and `global_step`.
    """
    step = _step_of(settings)
    writers, of_sets = {}, {}
    if PREDICTIONS in task.writers:
        writers[run_folder.DEV_PREDICTIONS] = task.writers[PREDICTIONS]
    for name, each in records.items():
        of_sets[name] = _scored(task, each, settings, writers, output_dir)
        writers = {}
    return {**joined(of_sets), **step}


def predict(task, records, settings, output_dir):
    """Writes the prediction files of a set, in the order of its examples.

    Args:
      records: of the set.
      task, settings, output_dir: see `evaluate`.

    Returns:
      (list of the paths written, dict name -> number with the scores of the examples
      that have labels; {} if none has).
    """
    step = _step_of(settings)
    labelled = [task.has_label(each) for each, _ in records.examples()]
    found = _scored(task, records, settings, task.writers, output_dir, labelled)
    paths = [os.path.join(output_dir, name) for name in task.writers]
    return paths, found and {**found, **step}


def joined(of_sets):
    """Returns the scores of several sets as one dict; the first set has plain names.

    Args:
      of_sets: dict name of a set -> dict name of a metric -> number.
    """
    found = {}
    for set_name, of_set in of_sets.items():
        is_first = not found
        for name, value in of_set.items():
            found[name if is_first else metrics.of_set(name, set_name)] = value
    return found


def _scored(task, records, settings, writers, output_dir, labelled=None):
    """Returns the scores of a set, and writes its results.

    Args:
      labelled: list with a bool for each example, whether it has labels; None if all
        have. Without labels there are no scores, with some no losses.
    """
    with _naming_examples(task, records), forward(
        task, records, settings, outputs_of(task)
    ) as batches, _opened(writers, output_dir) as write:
        if labelled is None or all(labelled):
            return scores(task, records, batches, write)

        def scored():
            for index, pair in enumerate(_results(task, records, batches)):
                write(index, *pair)
                if labelled[index]:
                    yield pair

        if any(labelled):
            return task.score(scored())
        collections.deque(scored(), maxlen=0)
        return {}


@contextlib.contextmanager
def _naming_examples(task, records):
    """Names the example in the error of a prediction that is not finite."""
    try:
        yield
    except NonFinitePrediction as error:
        num_rows = 0
        for example, about in records.examples() if task.postprocessor else ():
            num_rows += len(list(about))
            if error.row < num_rows:
                text = example.content.replace("\0", " ")[:_MAX_SHOWN]
                name = f" ({example.guid} {text!r})"
                raise NonFinitePrediction(error.row, name) from error
        raise


def undefined_scores(task):
    """Returns the scores of a set, see `scores`, where none can be computed: NaN."""
    return dict.fromkeys((*task.metric_names, "eval_loss", "loss"), math.nan)


def _step_of(settings):
    """Returns the step of the checkpoint; after the pass that may have been deleted."""
    step = run_folder.read_counters(settings.checkpoint).global_step
    return {"global_step": step}


def outputs_of(task):
    """Returns the names of the predictions of which the task's results are made."""
    return task.postprocessor.outputs if task.postprocessor else ()


def scores(task, records, batches, write=None):
    """Returns the scores of a whole set as a dict name -> number.

    The task's metrics and means, `eval_loss`, which is the sum of the losses, and
    `loss`: the same, under the name of upstream's Estimator. A loss or a mean that has
    no weight in the whole set is NaN.

    Args:
      task: `Task`.
      records: those of the set.
      batches: iterator over the `forward.Batch`es of the set.
      write: (optional) function `(index, example, result)` that is called for each
        example.
    """
    losses, means = {}, {}

    def added_up():
        for batch in batches:
            add_pairs(losses, batch.losses)
            add_pairs(means, batch.means)
            yield batch

    def written():
        for index, pair in enumerate(_results(task, records, added_up())):
            if write:
                write(index, *pair)
            yield pair

    found = task.score(written()) if task.postprocessor else {}
    # The losses of rows of which there are no results count as well.
    for _ in added_up():
        pass
    losses, means = (
        {
            name: float(total / weight) if weight else math.nan
            for name, (total, weight) in pairs.items()
        }
        for pairs in (losses, means)
    )
    loss = sum(losses.values())
    return {**found, **means, "eval_loss": loss, "loss": loss}


def _results(task, records, batches):
    """Yields (example, result) of each example of a set, with all its rows.

    Raises:
      InputError: naming the record file, if its rows are not those of the examples.
    """
    rows = (row for batch in batches for row in batch.rows())
    num_rows = 0
    remedy = "remove the file, and it is made again"
    for example, about in records.examples():
        found = []
        for more in about:
            number, outputs = next(rows, (None, None))
            if number != num_rows:
                raise InputError(
                    f"{records.path}: row {num_rows} of {records.num_examples} was "
                    f"expected, and row {number} came out of the forward pass; {remedy}"
                )
            num_rows += 1
            found.append({**outputs, **(more or {})})
        yield example, task.postprocessor(example, found)
    number, _ = next(rows, (None, None))
    if number is not None or num_rows != records.num_examples:
        raise InputError(
            f"{records.path}: {records.num_examples} rows belong to examples with "
            f"{num_rows} rows; {remedy}"
        )


@contextlib.contextmanager
def _opened(writers, output_dir):
    """Gives the function `(index, example, result)` that writes to all files.

    The files take their names when the `with` block has ended without an error.

    Args:
      writers: dict file name -> `text.writers.Writer`.
      output_dir: folder of the files.
    """
    with contextlib.ExitStack() as stack:
        opened = []
        for name, writer in writers.items():
            path = os.path.join(output_dir, name)
            stream = stack.enter_context(files.replacing(path))
            writer.begin(stream)
            opened.append((writer, stream))

        def write(index, example, result):
            for writer, stream in opened:
                writer.add(stream, index, example, result)

        yield write
        for writer, stream in opened:
            writer.end(stream)
