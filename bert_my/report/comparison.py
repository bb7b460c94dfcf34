"""The parts of the page that compares runs."""

import os

from bert_my.engine import run_folder as run_names
from bert_my.metrics import metrics
from bert_my.report import (
    curves,
    dev_predictions,
    fonts,
    page,
    plots,
    plots_labels,
    sections_training,
)


def build(runs, find_font):
    """Returns the sections.

    Args:
      runs: list of `run_files.Run`.
      find_font: see `fonts.Names`.
    """
    titles = _titles([run.folder for run in runs])
    names = fonts.Names(titles, find_font)
    legend = page.name_legend(names)
    return [
        page.Section("Results", _results(runs, titles)),
        page.Section("Settings that differ", _differences(runs, titles)),
        page.Section("Training", [*sections_training.training(runs, names), *legend]),
        page.Section(
            "Dev set during training",
            [*sections_training.compared_evaluations(runs, names), *legend],
        ),
        page.Section("ROC curves", [*_rocs(runs, names), *legend]),
    ]


def _titles(folders):
    """Returns a name for each run: the end of its path that sets it apart."""
    pieces = [os.path.abspath(folder).split(os.sep) for folder in folders]
    for length in range(1, max(map(len, pieces)) + 1):
        titles = [os.sep.join(each[-length:]) for each in pieces]
        if len(set(titles)) == len(titles):
            break
    return titles


def setting(value):
    """Returns a flag's value as text."""
    return "–" if value is None else str(value)


def _results(runs, titles):
    """Returns the table of the final metrics, the best of each in bold."""
    tables = [run.results or {} for run in runs]
    parts = [
        page.sentence(f"{title} has no {run_names.RESULTS}.")
        for title, table in zip(titles, tables)
        if not table
    ]
    main = next((run.task.main_metric for run in runs if run.task), None)
    rows = []
    for metric in metrics.in_order(tables, main):
        values = [table.get(metric) for table in tables]
        best = metrics.best_of(metric, values)
        cells = [
            page.bold(page.number(value)) if value == best else page.number(value)
            for value in values
        ]
        direction = "low" if metrics.is_lower_better(metric) else "high"
        rows.append([metric, direction, *cells])
    if rows:
        header = ["metric", "best is", *titles]
        parts.append(page.table(header, rows, ["key", ""] + ["number"] * len(runs)))
    return parts


def _differences(runs, titles):
    """Returns the table of the settings that are not the same in all runs."""
    known = [run.settings for run in runs if run.settings is not None]
    parts = [
        page.sentence(f"{title} has no {run_names.SETTINGS}.")
        for title, run in zip(titles, runs)
        if run.settings is None
    ]
    rows = []
    for name in sorted({name for settings in known for name in settings}):
        cells = [setting((run.settings or {}).get(name)) for run in runs]
        if len({setting(settings.get(name)) for settings in known}) > 1:
            rows.append([name, *cells])
    if rows:
        classes = ["key"] + ["value"] * len(runs)
        parts.append(page.table(["flag", *titles], rows, classes))
    elif known:
        parts.append(page.sentence("All settings are the same."))
    return parts


def _rocs(runs, names):
    """Returns the ROC curves of the runs with two labels in one picture."""
    many = []
    for name, run in zip(names.shown, runs):
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
        return [page.sentence("No run has predictions for rows of two labels.")]
    png = plots.png(plots_labels.roc(many), names.font)
    return [plots.Picture("roc", png, "ROC curves of the runs")]
