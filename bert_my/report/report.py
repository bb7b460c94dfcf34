"""The report of a run, and the comparison of several runs: HTML pages.

People look rather than read: pictures first, tables where a number is wanted.
"""

import os

from bert_my import metrics
from bert_my.engine import run_folder
from bert_my.report import (
    comparison,
    dev_predictions,
    mistakes,
    page,
    run_files,
    sections_dev,
    sections_training,
)
from bert_my.report.page import Table

MAX_LABELS = 20  # in the head of the page
ROWS = {dev_predictions.LABELING: "sentences"}


def write(output_dir, with_png=False):
    """Writes the report of a run from the files in its folder.

    Args:
      output_dir: the run's folder; the report goes to `report/` in it.
      with_png: whether to write the pictures as PNG files, too. Those of an earlier
        report are deleted.

    Returns:
      path of the page.

    Raises:
      InputError: see `run_files.read`.
    """
    run = run_files.read(output_dir)
    name = os.path.basename(os.path.abspath(run.folder))
    sections = {
        "Results": _results(run),
        "Training": sections_training.training([run], [""]),
        "Dev set during training": sections_training.evaluations(run),
        **_dev_sections(run),
        "Settings": _settings(run),
    }
    folder = os.path.join(run.folder, run_folder.REPORT)
    title = f"{run.task.name}: {name}" if run.task else name
    return page.write(folder, "output_dir", title, sections, _lead(run), with_png)


def compare(output_dirs, path, with_png=False):
    """Writes one page that compares runs; returns its path. See `write`.

    Args:
      output_dirs: folders of the runs.
      path: folder for the page.
      with_png: whether to write the pictures as PNG files, too.
    """
    runs = [run_files.read(folder) for folder in output_dirs]
    title = f"Comparison of {len(runs)} runs"
    sections = comparison.build(runs)
    return page.write(str(path), "output", title, sections, with_png=with_png)


def _lead(run):
    """Returns the paragraph below the title: task, labels, dev rows, date."""
    facts = []
    if run.task:
        labels = run.task.labels
        listed = ", ".join(labels[:MAX_LABELS])
        listed += ", …" if len(labels) > MAX_LABELS else ""
        kind = f", {run.task.kind}" if run.task.kind != run.task.name else ""
        facts.append(f"Task {run.task.name}{kind}.")
        if labels:
            facts.append(f"{len(labels)} labels: {listed}.")
    else:
        facts.append(f"There is no {run_folder.TASK}, so the task is not known.")
    if run.predictions:
        rows = ROWS.get(run.task.kind, "rows")
        facts.append(f"Dev set of {run.predictions.num_rows:,} {rows}.")
    if run.evaluated_at:
        facts.append(f"Evaluated on {run.evaluated_at:%Y-%m-%d %H:%M} UTC.")
    return " ".join(facts)


def _results(run):
    """Returns the final metrics as tiles, those of single labels as a table."""
    if not run.results:
        return [f"There is no {run_folder.RESULTS}: no final evaluation ran."]
    names = metrics.in_order([run.results], run.main_metric)
    of_label = [name for name in names if metrics.is_of_label(name)]
    shown = [name for name in names if name not in of_label]
    if "global_step" in run.results:
        shown.append("global_step")
    tiles = {name: run.results[name] for name in shown}
    parts = [page.Tiles(tiles, run.main_metric)]
    if of_label:
        rows = [(name, run.results[name]) for name in of_label]
        parts.append(Table(["metric", "value"], rows, "Metrics of single labels"))
    return parts


def _dev_sections(run):
    """Returns the sections about predictions, and about mistakes."""
    if run.task and run.task.kind == dev_predictions.PRETRAINING:
        return {}
    if not run.predictions:
        missing = run_folder.DEV_PREDICTIONS if run.task else run_folder.TASK
        why = f"There is no {missing}: nothing can be told about single predictions."
        return {"Dev set": [why]}
    return {
        "Dev set": sections_dev.build(run),
        "Mistakes": mistakes.build(run.task, run.predictions.mistakes),
    }


def _settings(run):
    if run.settings is None:
        return [f"There is no {run_folder.SETTINGS}."]
    rows = [(name, comparison.setting(run.settings[name])) for name in run.settings]
    return [Table(["flag", "value"], sorted(rows), classes=["key", "value"])]
