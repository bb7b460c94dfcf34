"""Sections of the page that compares runs."""

import os

from bert_my import metrics
from bert_my.engine import run_folder
from bert_my.report import (
    curves,
    dev_predictions,
    page,
    pictures,
    plots,
    sections_training,
)
from bert_my.report.page import Table


def build(runs):
    """Returns the sections, see `page.write`.

    runs: list of `run_files.Run`.
    """
    titles = _titles([run.folder for run in runs])
    names = list(map(plots.shown, titles))
    main = next((run.main_metric for run in runs if run.task), None)
    return {
        "Results": _results(runs, titles, main),
        "Settings that differ": _differences(runs, titles),
        "Training": sections_training.training(runs, names),
        "Dev set during training": sections_training.compared_evaluations(
            runs, names, main
        ),
        "ROC curves": [_rocs(runs, names)],
    }


def _titles(folders):
    """Returns a name for each run: as many folders of its path as make them differ."""
    pieces = [os.path.abspath(folder).split(os.sep) for folder in folders]
    for length in range(1, max(map(len, pieces)) + 1):
        titles = [os.sep.join(each[-length:]) for each in pieces]
        if len(set(titles)) == len(titles):
            break
    return titles


def setting(value):
    """Returns a flag's value as text."""
    return "–" if value is None else str(value)


def _missing(titles, values, name):
    """Returns a sentence for each run without a file."""
    return [f"{t} has no {name}." for t, value in zip(titles, values) if not value]


def _results(runs, titles, main):
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
        cells = [setting((run.settings or {}).get(name)) for run in runs]
        if len({setting(settings.get(name)) for settings in known}) > 1:
            rows.append([name, *cells])
    parts = _missing(titles, [run.settings for run in runs], run_folder.SETTINGS)
    if rows:
        parts.append(Table(["flag", *titles], rows, classes=["key", "value"]))
    elif known:
        parts.append("All settings are the same.")
    return parts


def _rocs(runs, names):
    """Returns the ROC curves of the runs with two labels in one picture."""
    many = []
    for name, run in zip(names, runs):
        is_binary = (
            run.predictions is not None
            and run.task.kind == dev_predictions.CLASSIFICATION
            and len(run.task.labels) == 2
        )
        if is_binary:
            found = run.predictions
            roc = curves.roc(found.targets == 1, found.probabilities[:, 1])
            if roc is not None:
                many.append((name, roc))
    if not many:
        return "No run has predictions for rows of two labels."
    return page.Picture("roc", pictures.roc(many), "ROC curves of the runs")
