"""Section about the predictions for the dev set, by kind of task.

For each kind there is a function that yields the parts: pictures first, then tables.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics

from bert_my import metrics
from bert_my.report import curves, dev_predictions, page, pictures, plots
from bert_my.report.page import Picture, Table
from bert_my.text import tag_schemes

TOP = "probability of the most probable label"
DECISIONS = "Each label of each row is a decision."


def build(run):
    """Returns the parts about a run's predictions.

    run: `run_files.Run` with a task and predictions.
    """
    kinds = {
        dev_predictions.CLASSIFICATION: _classification,
        dev_predictions.MULTILABEL: _multilabel,
        dev_predictions.REGRESSION: _regression,
        dev_predictions.LABELING: _labeling,
    }
    parts = list(kinds[run.task.kind](run.task.labels, run.predictions))
    # Pictures stand beside one another only without a table between them.
    return sorted(parts, key=lambda part: isinstance(part, Table))


def _classification(labels, found):
    names = list(map(plots.shown, labels))
    scores = curves.label_scores(found.targets, found.predicted, found.probabilities)
    if len(labels) == 2:
        yield from _binary(labels, names, found)
    else:
        yield from _curves_by_label(labels, names, found)
        yield from _top_label(found)
        yield _histograms_by_label(names, found, scores)
    yield from _confusion(found.targets, found.predicted, labels, names)
    yield from _scores_by_label(labels, names, scores)


def _binary(labels, names, found):
    is_positive, scores = found.targets == 1, found.probabilities[:, 1]
    positive = names[1]
    if curves.has_both(is_positive):
        yield from _binary_curves(positive, is_positive, scores)
    else:
        yield (
            "ROC, threshold and precision-recall curves need rows of both labels; here "
            f"all {len(is_positive)} rows have the label "
            f"{labels[int(is_positive[0])]!r}."
        )
    yield Picture(
        "calibration",
        pictures.calibration(
            curves.calibration(scores, is_positive),
            f"predicted probability of {positive}",
            f"share of rows with label {positive}",
        ),
        "Share of positive rows by predicted probability",
    )
    groups = [(f"label {names[k]}", scores[is_positive == bool(k)]) for k in (0, 1)]
    x_label = f"predicted probability of {positive}"
    yield Picture(
        "scores",
        pictures.histograms(groups, "Scores by true label", x_label),
        "Histogram of the probability for rows of each label",
    )


def _binary_curves(positive, is_positive, scores):
    roc = curves.roc(is_positive, scores)
    yield Picture(
        "roc",
        pictures.roc([(f"label {positive}", roc)]),
        f"ROC curve, area under it {roc.score:.4f}",
    )
    yield Picture(
        "thresholds",
        pictures.thresholds(curves.thresholds(is_positive, scores), positive),
        "True and false positive rate, accuracy and F1 by threshold",
    )
    curve = curves.precision_recall(is_positive, scores)
    yield Picture(
        "precision_recall",
        pictures.precision_recall([(f"label {positive}", curve)]),
        f"Precision by recall, average precision {curve.score:.4f}",
    )


def _curves_by_label(labels, names, found):
    """Yields a ROC and a precision-recall picture of each label against the rest."""
    for name, title, compute, draw, score_name, needed in (
        (
            "roc",
            "ROC curve, each label against the rest",
            curves.roc,
            pictures.roc,
            "AUC",
            "rows with and without it",
        ),
        (
            "precision_recall",
            "Precision and recall by label",
            curves.precision_recall,
            pictures.precision_recall,
            "average precision",
            "rows with it",
        ),
    ):
        defined, undefined = [], []
        for k, label in enumerate(labels):
            has_label = curves.has_label(found.targets, k)
            curve = compute(has_label, found.probabilities[:, k])
            if curve is None:
                undefined.append(label)
            else:
                defined.append((names[k], curve))
        # The labels with the lowest scores are worth a look.
        worst = sorted(defined, key=lambda pair: pair[1].score)[: pictures.MAX_CURVES]
        note = _of_all(len(worst), len(defined), score_name)
        if undefined:
            more = ", …" if len(undefined) > 10 else ""
            note += (
                f" {title}: none for {len(undefined)} labels, which would need "
                f"{needed}: {', '.join(undefined[:10])}{more}"
            )
        yield Picture(name, draw(worst, title), title, note) if worst else note


def _of_all(num_shown, num_labels, score_name):
    """Returns the note of a picture of some of the labels; "" for all."""
    if num_shown == num_labels:
        return ""
    return f"The {num_shown} of {num_labels} labels with the lowest {score_name}."


def _top_label(found):
    """Yields threshold curve, calibration and histogram of the highest probability."""
    is_right = found.targets == found.predicted
    top = found.probabilities.max(axis=1)
    yield Picture(
        "thresholds",
        pictures.kept(curves.kept(top, is_right)),
        "Share of the rows kept, and accuracy on them, by lowest probability kept",
        "Rows less sure than the threshold are put aside, for example for a person.",
    )
    yield Picture(
        "calibration",
        pictures.calibration(
            curves.calibration(top, is_right), TOP, "share of rows where it is right"
        ),
        "Share of right rows by highest probability",
    )
    groups = [("right", top[is_right]), ("wrong", top[~is_right])]
    yield Picture(
        "scores",
        pictures.histograms(groups, "How sure the model is", TOP),
        "Histogram of the highest probability of right and of wrong rows",
    )


def _histograms_by_label(names, found, scores):
    """Returns histograms of each label's probability; of many labels of the worst."""
    order = np.argsort(scores.f1s, kind="stable")
    order = order[scores.counts[order] > 0]
    if not len(order):
        return "No score histograms: no row has a label."
    panels = []
    for label in order[: pictures.MAX_PANELS]:
        has_label = curves.has_label(found.targets, label)
        values = found.probabilities[:, label]
        panels.append((names[label], values[has_label], values[~has_label]))
    return Picture(
        "score_histograms",
        pictures.histograms_by_label(panels),
        "Histograms of the probability of a label, for rows with and without it",
        _of_all(len(panels), len(order), "F1"),
    )


def _confusion(targets, predicted, labels, names, label="label", units="rows"):
    """Yields the confusion matrix as a picture and as a table.

    Args:
      targets, predicted: int `[num_rows]`, ids of labels.
      labels, names: of the labels, names as in pictures.
      label, units: "tokens" have a "tag", "rows" have a "label".
    """
    counts = sklearn_metrics.confusion_matrix(
        targets, predicted, labels=np.arange(len(labels))
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    note = f"Share of each row in colour, number of {units} in the cells."
    kept = np.arange(len(labels))
    if len(labels) > pictures.MAX_CONFUSION:
        kept = curves.most_confused(counts, pictures.MAX_CONFUSION)
        note = f"The {len(kept)} of {len(labels)} {label}s with the most wrong {units}."
    counts, shares = counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)]
    shown = [names[k] for k in kept]
    yield Picture(
        "confusion",
        pictures.confusion(counts, shares, shown, label, units),
        f"Confusion matrix of {len(kept)} {label}s",
        note,
    )
    rows = [
        [page.BOLD.format(labels[k])]
        + [f"{n:,} ({share:.1%})" if n else "" for n, share in zip(*row)]
        for k, row in zip(kept, zip(counts, shares))
    ]
    header = ["true \\ predicted", *(labels[k] for k in kept)]
    yield Table(header, rows, "The confusion matrix as a table")


def _scores_by_label(labels, names, scores):
    num_shown = min(len(labels), pictures.MAX_BARS)
    yield Picture(
        "scores_by_label",
        pictures.scores_by_label(names, scores.precisions, scores.recalls, scores.f1s),
        "Precision, recall and F1 of each label",
        _of_all(num_shown, len(labels), "F1"),
    )
    scored = scores.precisions, scores.recalls, scores.f1s, scores.areas
    rows = list(zip(labels, scores.counts, *scored))
    header = ["label", "rows", "precision", "recall", "F1", "AUC"]
    yield Table(header, rows, "Scores by label as a table")


def _multilabel(labels, found):
    names = list(map(plots.shown, labels))
    scores = curves.label_scores(found.targets, found.predicted, found.probabilities)
    yield from _curves_by_label(labels, names, found)
    yield from _decisions(found)
    yield _histograms_by_label(names, found, scores)
    yield from _counts_by_label(labels, names, found, scores)
    yield from _scores_by_label(labels, names, scores)


def _decisions(found):
    """Yields thresholds and calibration over all labels of all rows together."""
    is_label, probabilities = found.targets.ravel(), found.probabilities.ravel()
    if curves.has_both(is_label):
        thresholds = curves.thresholds(is_label, probabilities)
        title = "Threshold, the same for all labels"
        yield Picture(
            "thresholds",
            pictures.thresholds(thresholds, "a label", title),
            "True and false positive rate, accuracy and F1 of all decisions",
            f"{DECISIONS} Accuracy is the share of right decisions.",
        )
    else:
        labels = "every label" if is_label.all() else "no label"
        yield f"No threshold curves: all rows have {labels}."
    yield Picture(
        "calibration",
        pictures.calibration(
            curves.calibration(probabilities, is_label),
            "predicted probability of a label",
            "share that has the label",
            units="decisions",
        ),
        "Share of decisions where the row has the label, by predicted probability",
        DECISIONS,
    )


def _counts_by_label(labels, names, found, scores):
    """Yields right and wrong rows of each label, in place of a confusion matrix."""
    counts = curves.label_counts(found.targets, found.predicted)
    order = np.argsort(scores.f1s, kind="stable")
    kept = order[: pictures.MAX_BARS]
    yield Picture(
        "confusion",
        pictures.counts_by_label([names[k] for k in kept], counts[kept]),
        "Rows of each label that are found, missed, and given the label wrongly",
        _of_all(len(kept), len(order), "F1"),
    )
    kinds = ("true positives", "false positives", "false negatives", "true negatives")
    rows = [(labels[k], *counts[k]) for k in order]
    yield Table(["label", *kinds], rows, "Right and wrong rows of each label")


def _regression(labels, found):
    scores = metrics.score(
        (metrics.correlations, metrics.errors), found.targets, found.predicted
    )
    text = ", ".join(
        f"{title} {page.number(scores[title.lower()])}"
        for title in ("Pearson", "Spearman", "MSE")
    )
    num_drawn = len(curves.sample(found.num_rows))
    note = f"{num_drawn:,} of {found.num_rows:,} rows are drawn."
    yield Picture(
        "scatter",
        pictures.scatter(found.targets, found.predicted, text),
        f"Predicted against true values: {text}",
        note if num_drawn < found.num_rows else "",
    )
    yield Picture(
        "residuals",
        pictures.residuals(found.predicted - found.targets),
        "Histogram of the errors",
    )


def _labeling(labels, found):
    scheme, types = tag_schemes.find_scheme(labels)
    scores = metrics.entities(found.targets, found.predicted)
    types = [kind for kind in types if metrics.label_metric("f1", kind) in scores]
    if types:
        yield from _entities(types, scores)
    else:
        missing = "types of entities" if scheme else "entities"
        yield f"The tags mark no {missing}."
    targets, predicted = (
        np.array([tag for sentence in rows for tag in sentence])
        for rows in (found.targets, found.predicted)
    )
    tags, ids = np.unique([targets, predicted], return_inverse=True)
    targets, predicted = ids.reshape(2, -1)
    names = list(map(plots.shown, tags))
    yield from _confusion(targets, predicted, tags, names, "tag", "tokens")


def _entities(types, scores):
    columns = [
        np.array([scores[metrics.label_metric(name, kind)] for kind in types])
        for name in ("precision", "recall", "f1")
    ]
    names = list(map(plots.shown, types))
    yield Picture(
        "entities",
        pictures.scores_by_label(names, *columns, "type of entity"),
        "Precision, recall and F1 of each type of entity",
    )
    header = ["type", "precision", "recall", "F1"]
    yield Table(header, list(zip(types, *columns)))
