"""The parts of the page about the predictions for the dev set, by kind of task."""

import numpy as np

from bert_my.reports import (
    curves,
    dev_predictions,
    entity_metrics,
    fonts,
    metrics,
    page,
    plots,
    plots_labels,
    plots_regression,
)

BOTH_NEEDED = (
    "ROC, threshold and precision-recall curves need rows of both labels; here all "
    "{} rows have the label {!r}."
)


class _Parts(list):
    """Pictures and sentences of a section, and the tables that come after them."""

    def __init__(self, names=None):
        super().__init__()
        self._names = names
        self._font = names and names.font
        self.tables = []

    def picture(self, name, figure, alt, note=""):
        """Adds a picture."""
        self.append(plots.Picture(name, plots.png(figure, self._font), alt, note))

    def finish(self):
        """Returns all parts, with what stands for names that no font can write."""
        legend = page.name_legend(self._names) if self._names else []
        return [*self, *legend, *self.tables]


def build(run, find_font):
    """Returns the parts about a run's predictions.

    Args:
      run: `run_files.Run` with a task and predictions.
      find_font: see `fonts.Names`.
    """
    builders = {
        dev_predictions.CLASSIFICATION: _classification,
        dev_predictions.MULTILABEL: _multilabel,
        dev_predictions.REGRESSION: _regression,
        dev_predictions.LABELING: _labeling,
    }
    return builders[run.task.kind](run.task.labels, run.predictions, find_font)


def _classification(labels, found, find_font):
    names = fonts.Names(labels, find_font)
    parts = _Parts(names)
    if len(labels) == 2:
        _add_binary(parts, labels, names.shown, found)
    else:
        _add_curves_by_label(parts, labels, names.shown, found, is_multilabel=False)
        _add_top_label(parts, found)
    counts = curves.confusion(found.targets, found.predicted, len(labels))
    _add_confusion(parts, counts, labels, names.shown)
    _add_scores_by_label(parts, labels, names.shown, found)
    return parts.finish()


def _add_binary(parts, labels, shown, found):
    is_positive, scores = found.targets == 1, found.probabilities[:, 1]
    positive = shown[1]
    if curves.has_both(is_positive):
        roc = curves.roc(is_positive, scores)
        parts.picture(
            *("roc", plots_labels.roc([(f"label {positive}", roc)])),
            f"ROC curve, area under it {roc.area:.4f}",
        )
        parts.picture(
            "thresholds",
            plots_labels.thresholds(curves.thresholds(is_positive, scores), positive),
            "True and false positive rate, accuracy and F1 by threshold",
        )
        curve = curves.precision_recall(is_positive, scores)
        parts.picture(
            "precision_recall",
            plots_labels.precision_recall([(f"label {positive}", curve)]),
            f"Precision by recall, average precision {curve.average_precision:.4f}",
        )
    else:
        label = labels[int(is_positive[0])]
        parts.append(page.sentence(BOTH_NEEDED.format(len(is_positive), label)))
    parts.picture(
        "calibration",
        plots_labels.calibration(
            curves.calibration(scores, is_positive),
            f"predicted probability of {positive}",
            f"share of rows with label {positive}",
        ),
        "Share of positive rows by predicted probability",
    )
    groups = [(f"label {shown[k]}", scores[is_positive == bool(k)]) for k in (0, 1)]
    parts.picture(
        "scores",
        plots_labels.histograms(
            groups, "Scores by true label", f"predicted probability of {positive}"
        ),
        "Histogram of the probability for rows of each label",
    )


def _add_curves_by_label(parts, labels, shown, found, is_multilabel):
    """Adds a ROC curve for each label, for several labels at once also PR curves."""
    data = [
        (curves.has_label(found.targets, label), found.probabilities[:, label])
        for label in range(len(labels))
    ]
    rocs = list(zip(labels, shown, [curves.roc(*each) for each in data]))
    _add_worst(
        *(parts, "roc", "ROC curve, each label against the rest", rocs),
        *("area", plots_labels.roc, "AUC", "rows with and without it"),
    )
    if is_multilabel:
        found_curves = [curves.precision_recall(*each) for each in data]
        by_label = list(zip(labels, shown, found_curves))
        _add_worst(
            *(parts, "precision_recall", "Precision and recall by label", by_label),
            *("average_precision", plots_labels.precision_recall),
            *("average precision", "rows with it"),
        )


def _add_worst(parts, file, title, by_label, score, draw, score_name, needed):
    """Adds a picture of the curves with the lowest scores, which says so.

    by_label: list of (label, name in pictures, curve or None).
    """
    defined = [each[1:] for each in by_label if each[2] is not None]
    worst = sorted(defined, key=lambda each: getattr(each[1], score))
    worst = worst[: plots_labels.MAX_CURVES]
    notes = []
    if len(worst) < len(defined):
        notes.append(
            f"The {len(worst)} of {len(defined)} labels with the lowest {score_name}."
        )
    undefined = [label for label, _, curve in by_label if curve is None]
    if undefined:
        notes.append(
            f"{title}: none for {len(undefined)} labels, which would need {needed}: "
            f"{', '.join(undefined[:10])}{', …' if len(undefined) > 10 else ''}"
        )
    note = " ".join(notes)
    if worst:
        parts.picture(file, draw(worst, title), title, note)
    else:
        parts.append(page.sentence(note))


def _add_top_label(parts, found):
    """Adds calibration and histogram of the highest probability."""
    is_right = found.targets == found.predicted
    top = found.probabilities.max(axis=1)
    parts.picture(
        "calibration",
        plots_labels.calibration(
            curves.calibration(top, is_right),
            "probability of the most probable label",
            "share of rows where it is right",
        ),
        "Share of right rows by highest probability",
    )
    groups = [("right", top[is_right]), ("wrong", top[~is_right])]
    parts.picture(
        "scores",
        plots_labels.histograms(
            *(groups, "How sure the model is"),
            "probability of the most probable label",
        ),
        "Histogram of the highest probability of right and of wrong rows",
    )


def _add_confusion(parts, counts, labels, shown, what="labels"):
    """Adds the confusion matrix as a picture and as a table.

    what: the labels are called so; rows of the data are "tokens" of "tags".
    """
    note = "Share of each row in colour, number of rows in the cells."
    kept = np.arange(len(labels))
    if len(labels) > plots_labels.MAX_CONFUSION:
        kept = curves.most_confused(counts, plots_labels.MAX_CONFUSION)
        note = f"The {len(kept)} of {len(labels)} {what} with the most wrong rows."
    shares = curves.row_shares(counts)[np.ix_(kept, kept)]
    counts = counts[np.ix_(kept, kept)]
    parts.picture(
        "confusion",
        plots_labels.confusion(
            *(counts, shares, [shown[k] for k in kept], f"Confusion matrix ({what})")
        ),
        f"Confusion matrix of {len(kept)} {what}",
        note,
    )
    cells = [
        [page.bold(labels[label])]
        + [f"{n:,} ({share:.1%})" if n else "" for n, share in zip(*row)]
        for label, row in zip(kept, zip(counts, shares))
    ]
    header = ["true \\ predicted", *(labels[k] for k in kept)]
    content = page.table(header, cells, ["key"] + ["number"] * len(kept))
    parts.tables.append(page.details("The confusion matrix as a table", content))


def _add_scores_by_label(parts, labels, shown, found):
    scores = curves.label_scores(found.targets, found.predicted, found.probabilities)
    note = ""
    if len(labels) > plots_labels.MAX_BARS:
        note = f"The {plots_labels.MAX_BARS} of {len(labels)} with the lowest F1."
    parts.picture(
        "scores_by_label",
        plots_labels.scores_by_label(
            shown, scores.precisions, scores.recalls, scores.f1s
        ),
        "Precision, recall and F1 of each label",
        note,
    )
    rows = [
        [name, page.number(int(count)), *map(page.number, map(float, values))]
        for name, count, *values in zip(
            *(labels, scores.counts, scores.precisions, scores.recalls),
            *(scores.f1s, scores.areas),
        )
    ]
    header = ["label", "rows", "precision", "recall", "F1", "AUC"]
    content = page.table(header, rows, ["key"] + ["number"] * 5)
    parts.tables.append(page.details("Scores by label as a table", content))


def _multilabel(labels, found, find_font):
    names = fonts.Names(labels, find_font)
    parts = _Parts(names)
    _add_curves_by_label(parts, labels, names.shown, found, is_multilabel=True)
    _add_scores_by_label(parts, labels, names.shown, found)
    return parts.finish()


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
    parts = _Parts()
    num_drawn = len(curves.sample(found.num_rows))
    note = f"{num_drawn:,} of {found.num_rows:,} rows are drawn."
    parts.picture(
        "scatter",
        plots_regression.scatter(found.targets, found.predicted, text),
        f"Predicted against true values: {text}",
        note if num_drawn < found.num_rows else "",
    )
    parts.picture(
        "residuals",
        plots_regression.residuals(found.predicted - found.targets),
        "Histogram of the errors",
    )
    return parts.finish()


def _labeling(labels, found, find_font):
    tags = sorted(
        {tag for rows in (found.targets, found.predicted) for r in rows for tag in r}
    )
    ids = {tag: index for index, tag in enumerate(tags)}
    targets, predicted = (
        np.fromiter((ids[tag] for sentence in rows for tag in sentence), int)
        for rows in (found.targets, found.predicted)
    )
    scores = entity_metrics.entities(found.targets, found.predicted)
    types = sorted(name[3:] for name in scores if name.startswith("f1_"))
    names = fonts.Names([*types, *tags], find_font)
    parts = _Parts(names)
    if types:
        _add_entities(parts, types, names.shown, scores)
    else:
        parts.append(page.sentence("The tags tell no types of entities."))
    counts = curves.confusion(targets, predicted, len(tags))
    _add_confusion(parts, counts, tags, names.shown[len(types) :], "tags")
    return parts.finish()


def _add_entities(parts, types, shown, scores):
    columns = [
        np.array([scores[f"{name}_{kind}"] for kind in types])
        for name in ("precision", "recall", "f1")
    ]
    parts.picture(
        "entities",
        plots_labels.scores_by_label(shown, *columns, what="type of entity"),
        "Precision, recall and F1 of each type of entity",
    )
    rows = [[kind, *map(page.number, values)] for kind, *values in zip(types, *columns)]
    parts.tables.append(
        page.table(
            ["type", "precision", "recall", "F1"], rows, ["key"] + ["number"] * 3
        )
    )
