"""The parts of the page about the predictions for the dev set, by kind of task."""

import numpy as np

from bert_my import metrics
from bert_my.report import (
    curves,
    dev_predictions,
    fonts,
    page,
    parts,
    plots_labels,
    plots_regression,
    sections_labels,
)
from bert_my.text import tag_schemes


def build(run, find_font):
    """Returns the parts about a run's predictions.

    Args:
      run: `run_files.Run` with a task and predictions.
      find_font: see `fonts.Names`.
    """
    builders = {
        dev_predictions.CLASSIFICATION: sections_labels.classification,
        dev_predictions.MULTILABEL: sections_labels.multilabel,
        dev_predictions.REGRESSION: _regression,
        dev_predictions.LABELING: _labeling,
    }
    return builders[run.task.kind](run.task.labels, run.predictions, find_font)


def _regression(labels, found, find_font):
    scores = {
        **metrics.correlations(found.targets, found.predicted),
        **metrics.errors(found.targets, found.predicted),
    }
    text = ", ".join(
        f"{title} {page.number(scores[name])}"
        for title, name in (("Pearson", "pearson"), ("Spearman", "spearman"))
    )
    text += f", MSE {page.number(scores['mse'])}"
    section = parts.Parts()
    num_drawn = len(curves.sample(found.num_rows))
    note = f"{num_drawn:,} of {found.num_rows:,} rows are drawn."
    section.picture(
        "scatter",
        plots_regression.scatter(found.targets, found.predicted, text),
        f"Predicted against true values: {text}",
        note if num_drawn < found.num_rows else "",
    )
    section.picture(
        "residuals",
        plots_regression.residuals(found.predicted - found.targets),
        "Histogram of the errors",
    )
    return section.finish()


def _labeling(labels, found, find_font):
    tags = sorted(
        {tag for rows in (found.targets, found.predicted) for r in rows for tag in r}
    )
    ids = {tag: index for index, tag in enumerate(tags)}
    targets, predicted = (
        np.fromiter((ids[tag] for sentence in rows for tag in sentence), int)
        for rows in (found.targets, found.predicted)
    )
    scheme, types = tag_schemes.find_scheme(labels)
    scores = metrics.entities(found.targets, found.predicted)
    types = [kind for kind in types if metrics.label_metric("f1", kind) in scores]
    names = fonts.Names([*types, *tags], find_font)
    section = parts.Parts(names)
    if types:
        _add_entities(section, types, names.shown, scores)
    else:
        what = "types of entities" if scheme else "entities"
        section.append(page.sentence(f"The tags mark no {what}."))
    counts = curves.confusion(targets, predicted, len(tags))
    shown = names.shown[len(types) :]
    sections_labels.add_confusion(section, counts, tags, shown, "tag", "tokens")
    return section.finish()


def _add_entities(section, types, shown, scores):
    columns = [
        np.array([scores[metrics.label_metric(name, kind)] for kind in types])
        for name in ("precision", "recall", "f1")
    ]
    section.picture(
        "entities",
        plots_labels.scores_by_label(shown, *columns, what="type of entity"),
        "Precision, recall and F1 of each type of entity",
    )
    rows = [[kind, *map(page.number, values)] for kind, *values in zip(types, *columns)]
    section.tables.append(
        page.table(
            ["type", "precision", "recall", "F1"], rows, ["key"] + ["number"] * 3
        )
    )
