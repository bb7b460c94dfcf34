"""The report of a run, and of several beside one another: HTML pages and PNGs.

People look rather than read: pictures first, tables where a number is wanted.
"""

import contextlib
import os

from bert_my.common import files
from bert_my.engine import run_folder as run_names
from bert_my.metrics import metrics
from bert_my.report import (
    comparison,
    dev_predictions,
    fonts,
    page,
    plots,
    run_files,
    sections_dev,
    sections_mistakes,
    sections_training,
)

INDEX = "index.html"
MAX_LABELS = 20  # that the head of the page lists
# All that the report of a run may write, as <name>.png, whatever the kind of task.
PICTURES = frozenset(
    [
        "training_loss",
        "learning_rate",
        "speed",
        *(file for file, _, _ in sections_training.GROUPS.values()),
        "roc",
        "precision_recall",
        "thresholds",
        "calibration",
        "confusion",
        "scores",
        "score_histograms",
        "scores_by_label",
        "entities",
        "scatter",
        "residuals",
    ]
)
ROWS = {dev_predictions.LABELING: "sentences"}


def write(output_dir, find_font=fonts.find):
    """Writes the report of a run from the files it left.

    Args:
      output_dir: the run's folder; the report goes to `report/` in it.
      find_font: see `fonts.Names`.

    Returns:
      path of the page.

    Raises:
      InputError: see `run_files.read`.
    """
    run = run_files.read(output_dir)
    name = os.path.basename(os.path.abspath(run.folder))
    title = f"{run.task.name}: {name}" if run.task else name
    sections = [
        page.Section("Results", _results(run)),
        page.Section(
            "Training", sections_training.training([run], fonts.Names([""], find_font))
        ),
        page.Section(
            "Dev set during training", sections_training.evaluations(run, find_font)
        ),
        *_dev_sections(run, find_font),
        page.Section("Settings", _settings(run)),
    ]
    html = page.render(title, _lead(run), sections)
    folder = os.path.join(run.folder, run_names.REPORT)
    path, written = _save(folder, "output_dir", html, sections)
    for name in PICTURES - written:
        # An earlier report had it, for example of another task.
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, f"{name}.png"))
    return path


def compare(output_dirs, path, find_font=fonts.find):
    """Writes one page that compares runs; returns its path. See `write`.

    Args:
      output_dirs: folders of the runs.
      path: folder for the page and its pictures.
      find_font: see `fonts.Names`.
    """
    runs = [run_files.read(folder) for folder in output_dirs]
    sections = comparison.build(runs, find_font)
    html = page.render(f"Comparison of {len(runs)} runs", [], sections)
    return _save(str(path), "output", html, sections)[0]


def _save(folder, flag, html, sections):
    """Writes the pictures and the page; returns its path and the pictures' names."""
    files.make_folder(folder, flag)
    found = [part for section in sections for part in section.parts]
    pictures = [part for part in found if isinstance(part, plots.Picture)]
    for picture in pictures:
        target = os.path.join(folder, f"{picture.name}.png")
        with files.replacing_path(target) as temporary, open(temporary, "wb") as writer:
            writer.write(picture.png)
    path = os.path.join(folder, INDEX)
    with files.replacing(path) as writer:
        writer.write(html)
    return path, {picture.name for picture in pictures}


def _lead(run):
    """Returns the lines below the title: task, labels, dev rows, date."""
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
        facts.append(f"There is no {run_names.TASK}, so the task is not known.")
    if run.predictions:
        rows = ROWS.get(run.task.kind, "rows")
        facts.append(f"Dev set of {run.predictions.num_rows:,} {rows}.")
    if run.evaluated_at:
        facts.append(f"Evaluated on {run.evaluated_at:%Y-%m-%d %H:%M} UTC.")
    return [page.sentence(" ".join(facts))]


def _results(run):
    """Returns the final metrics as tiles, those of single labels as a table."""
    if not run.results:
        return [
            page.sentence(f"There is no {run_names.RESULTS}: no final evaluation ran.")
        ]
    main = run.task and run.task.main_metric
    names = metrics.in_order([run.results], main)
    of_label = [name for name in names if metrics.is_of_label(name)]
    shown = [(name, run.results[name]) for name in names if name not in of_label]
    if "global_step" in run.results:
        shown.append(("global_step", run.results["global_step"]))
    parts = [page.tiles(shown, main)]
    if of_label:
        rows = [[name, page.number(run.results[name])] for name in of_label]
        content = page.table(["metric", "value"], rows, ["key", "number"])
        parts.append(page.details("Metrics of single labels", content))
    return parts


def _dev_sections(run, find_font):
    """Returns the sections about predictions, and about mistakes."""
    if run.task and run.task.kind == dev_predictions.PRETRAINING:
        return []
    if not run.predictions:
        missing = run_names.DEV_PREDICTIONS if run.task else run_names.TASK
        why = f"There is no {missing}: nothing can be told about single predictions."
        return [page.Section("Dev set", [page.sentence(why)])]
    return [
        page.Section("Dev set", sections_dev.build(run, find_font)),
        page.Section(
            "Mistakes", sections_mistakes.build(run.task, run.predictions.mistakes)
        ),
    ]


def _settings(run):
    if run.settings is None:
        return [page.sentence(f"There is no {run_names.SETTINGS}.")]
    rows = [
        [name, comparison.setting(value)]
        for name, value in sorted(run.settings.items())
    ]
    return [page.table(["flag", "value"], rows, ["key", "value"])]
