"""The report of a run, and the comparison of several runs: HTML pages.

Pictures come first, then tables for single numbers.
"""

import os

from bert_my import metrics
from bert_my.engine import run_folder
from bert_my.report import page, plots, run_files, sections_dev, sections_training
from bert_my.report.page import Table

MAX_LABELS = 20  # in the head of the page


@plots.styled
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


@plots.styled
def compare(output_dirs, path, with_png=False):
    """Writes one page that compares runs; returns its path. See `write`.

    Args:
      output_dirs: folders of the runs.
      path: folder for the page.
      with_png: whether to write the pictures as PNG files, too.
    """
    runs = [run_files.read(folder) for folder in output_dirs]
    titles = _titles([run.folder for run in runs])
    names = list(map(plots.shown, titles))
    main = next((run.main_metric for run in runs if run.task), None)
    sections = {
        "Results": _compared_results(runs, titles, main),
        "Settings that differ": _differences(runs, titles),
        "Training": sections_training.training(runs, names),
        "Dev set during training": sections_training.compared_evaluations(
            runs, names, main
        ),
        "ROC curves": [_compared_rocs(runs, names)],
    }
    title = f"Comparison of {len(runs)} runs"
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
        rows = "sentences" if run.task.kind == run_files.LABELING else "rows"
        facts.append(f"Dev set of {len(run.predictions.targets):,} {rows}.")
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
    if run.task and run.task.kind == run_files.PRETRAINING:
        return {}
    if run.predictions:
        return sections_dev.build(run)
    missing = run_folder.DEV_PREDICTIONS if run.task else run_folder.TASK
    why = f"There is no {missing}: nothing can be told about single predictions."
    return {"Dev set": [why]}


def _settings(run):
    if run.settings is None:
        return [f"There is no {run_folder.SETTINGS}."]
    rows = [(name, _as_text(run.settings[name])) for name in run.settings]
    return [Table(["flag", "value"], sorted(rows), classes=["key", "value"])]


def _titles(folders):
    """Returns a name for each run: as many folders of its path as make them differ."""
    pieces = [os.path.abspath(folder).split(os.sep) for folder in folders]
    for length in range(1, max(map(len, pieces)) + 1):
        titles = [os.sep.join(each[-length:]) for each in pieces]
        if len(set(titles)) == len(titles):
            break
    return titles


def _as_text(value):
    """Returns a flag's value as text."""
    return "–" if value is None else str(value)


def _missing(titles, values, name):
    """Returns a sentence for each run without a file."""
    return [f"{t} has no {name}." for t, value in zip(titles, values) if not value]


def _compared_results(runs, titles, main):
    """Returns the table of the final metrics, the best of each in bold."""
    tables = [run.results or {} for run in runs]
    rows = []
    for metric in metrics.in_order(tables, main):
        values = [table.get(metric) for table in tables]
        best = metrics.best_of(metric, values)
        cells = [
            (page.BOLD if value == best else "{}").format(page.number(value))
            for value in values
        ]
        direction = "low" if metrics.is_lower_better(metric) else "high"
        rows.append([metric, direction, *cells])
    parts = _missing(titles, tables, run_folder.RESULTS)
    if rows:
        header, classes = ["metric", "best is", *titles], ["key", "", "number"]
        parts.append(Table(header, rows, classes=classes))
    return parts


def _differences(runs, titles):
    """Returns the table of the settings that are not the same in all runs."""
    known = [run.settings for run in runs if run.settings is not None]
    rows = []
    for name in sorted({name for settings in known for name in settings}):
        cells = [_as_text((run.settings or {}).get(name)) for run in runs]
        if len({_as_text(settings.get(name)) for settings in known}) > 1:
            rows.append([name, *cells])
    parts = _missing(titles, [run.settings for run in runs], run_folder.SETTINGS)
    if rows:
        parts.append(Table(["flag", *titles], rows, classes=["key", "value"]))
    elif known:
        parts.append("All settings are the same.")
    return parts


def _compared_rocs(runs, names):
    """Returns the ROC curves of the runs with two labels in one picture."""
    many = []
    for name, run in zip(names, runs):
        found = run.predictions
        is_classification = found and run.task.kind == run_files.CLASSIFICATION
        if is_classification and len(run.task.labels) == 2:
            roc = sections_dev.roc(found.targets == 1, found.probabilities[:, 1])
            if roc:
                many.append((name, roc))
    if not many:
        return "No run has predictions for rows of two labels."
    return sections_dev.curves("roc", many)
