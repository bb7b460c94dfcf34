"""The parts of the page about predicted labels: one of several, or several at once."""

import numpy as np

from bert_my.report import (
    curves,
    fonts,
    page,
    parts,
    plots_labels,
    plots_scores,
    plots_thresholds,
)

BOTH_NEEDED = (
    "ROC, threshold and precision-recall curves need rows of both labels; here all "
    "{} rows have the label {!r}."
)
TOP = "probability of the most probable label"
DECISIONS = "Each label of each row is a decision."


def classification(labels, found, find_font):
    """Returns the parts about rows with one of several labels.

    Args:
      labels: list of names.
      found: `dev_predictions.Predictions`.
      find_font: see `fonts.Names`.
    """
    names = fonts.Names(labels, find_font)
    section = parts.Parts(names)
    scores = curves.label_scores(found.targets, found.predicted, found.probabilities)
    if len(labels) == 2:
        _add_binary(section, labels, names.shown, found)
    else:
        _add_curves_by_label(section, labels, names.shown, found)
        _add_top_label(section, found)
        _add_histograms_by_label(section, names.shown, found, scores)
    counts = curves.confusion(found.targets, found.predicted, len(labels))
    add_confusion(section, counts, labels, names.shown)
    _add_scores_by_label(section, labels, names.shown, scores)
    return section.finish()


def _add_binary(section, labels, shown, found):
    is_positive, scores = found.targets == 1, found.probabilities[:, 1]
    positive = shown[1]
    if curves.has_both(is_positive):
        _add_binary_curves(section, positive, is_positive, scores)
    else:
        label = labels[int(is_positive[0])]
        section.append(page.sentence(BOTH_NEEDED.format(len(is_positive), label)))
    section.picture(
        "calibration",
        plots_labels.calibration(
            curves.calibration(scores, is_positive),
            f"predicted probability of {positive}",
            f"share of rows with label {positive}",
        ),
        "Share of positive rows by predicted probability",
    )
    groups = [(f"label {shown[k]}", scores[is_positive == bool(k)]) for k in (0, 1)]
    section.picture(
        "scores",
        plots_scores.histograms(
            groups, "Scores by true label", f"predicted probability of {positive}"
        ),
        "Histogram of the probability for rows of each label",
    )


def _add_binary_curves(section, positive, is_positive, scores):
    roc = curves.roc(is_positive, scores)
    section.picture(
        "roc",
        plots_labels.roc([(f"label {positive}", roc)]),
        f"ROC curve, area under it {roc.area:.4f}",
    )
    thresholds = curves.thresholds(is_positive, scores)
    section.picture(
        "thresholds",
        plots_thresholds.thresholds(thresholds, positive),
        "True and false positive rate, accuracy and F1 by threshold",
    )
    curve = curves.precision_recall(is_positive, scores)
    section.picture(
        "precision_recall",
        plots_labels.precision_recall([(f"label {positive}", curve)]),
        f"Precision by recall, average precision {curve.average_precision:.4f}",
    )


def _add_curves_by_label(section, labels, shown, found):
    """Adds a ROC and a precision-recall curve for each label against the rest."""
    data = [
        (curves.has_label(found.targets, label), found.probabilities[:, label])
        for label in range(len(labels))
    ]
    rocs = list(zip(labels, shown, [curves.roc(*each) for each in data]))
    _add_worst(
        section,
        rocs,
        file="roc",
        title="ROC curve, each label against the rest",
        draw=plots_labels.roc,
        score="area",
        score_name="AUC",
        needed="rows with and without it",
    )
    found_curves = [curves.precision_recall(*each) for each in data]
    by_label = list(zip(labels, shown, found_curves))
    _add_worst(
        section,
        by_label,
        file="precision_recall",
        title="Precision and recall by label",
        draw=plots_labels.precision_recall,
        score="average_precision",
        score_name="average precision",
        needed="rows with it",
    )


def _add_worst(section, by_label, file, title, draw, score, score_name, needed):
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
        section.picture(file, draw(worst, title), title, note)
    else:
        section.append(page.sentence(note))


def _add_top_label(section, found):
    """Adds threshold curve, calibration and histogram of the highest probability."""
    is_right = found.targets == found.predicted
    top = found.probabilities.max(axis=1)
    section.picture(
        "thresholds",
        plots_thresholds.kept(curves.kept(top, is_right)),
        "Share of the rows kept, and accuracy on them, by lowest probability kept",
        "Rows less sure than the threshold are put aside, for example for a person.",
    )
    section.picture(
        "calibration",
        plots_labels.calibration(
            curves.calibration(top, is_right), TOP, "share of rows where it is right"
        ),
        "Share of right rows by highest probability",
    )
    groups = [("right", top[is_right]), ("wrong", top[~is_right])]
    section.picture(
        "scores",
        plots_scores.histograms(groups, "How sure the model is", TOP),
        "Histogram of the highest probability of right and of wrong rows",
    )


def _add_histograms_by_label(section, shown, found, scores):
    """Adds histograms of each label's probability; of many labels of the worst."""
    order = np.argsort(scores.f1s, kind="stable")
    order = order[scores.counts[order] > 0]
    kept = order[: plots_scores.MAX_PANELS]
    if not len(kept):
        section.append(page.sentence("No score histograms: no row has a label."))
        return
    panels = []
    for label in kept:
        has_label = curves.has_label(found.targets, label)
        values = found.probabilities[:, label]
        panels.append((shown[label], values[has_label], values[~has_label]))
    section.picture(
        "score_histograms",
        plots_scores.histograms_by_label(panels),
        "Histograms of the probability of a label, for rows with and without it",
        _worst_note(kept, order),
    )


def _worst_note(kept, labels):
    """Returns what is said of a picture with `kept` of the `labels`; "" for all."""
    if len(kept) == len(labels):
        return ""
    return f"The {len(kept)} of {len(labels)} labels with the lowest F1."


def add_confusion(section, counts, labels, shown, label="label", units="rows"):
    """Adds the confusion matrix as a picture and as a table.

    label, units: what has which of them, as "tokens" have a "tag".
    """
    note = f"Share of each row in colour, number of {units} in the cells."
    kept = np.arange(len(labels))
    if len(labels) > plots_labels.MAX_CONFUSION:
        kept = curves.most_confused(counts, plots_labels.MAX_CONFUSION)
        note = f"The {len(kept)} of {len(labels)} {label}s with the most wrong {units}."
    shares = curves.row_shares(counts)[np.ix_(kept, kept)]
    counts = counts[np.ix_(kept, kept)]
    section.picture(
        "confusion",
        plots_labels.confusion(counts, shares, [shown[k] for k in kept], label, units),
        f"Confusion matrix of {len(kept)} {label}s",
        note,
    )
    cells = [
        [page.bold(labels[k])]
        + [f"{n:,} ({share:.1%})" if n else "" for n, share in zip(*row)]
        for k, row in zip(kept, zip(counts, shares))
    ]
    header = ["true \\ predicted", *(labels[k] for k in kept)]
    content = page.table(header, cells, ["key"] + ["number"] * len(kept))
    section.tables.append(page.details("The confusion matrix as a table", content))


def _add_scores_by_label(section, labels, shown, scores):
    note = ""
    if len(labels) > plots_labels.MAX_BARS:
        note = f"The {plots_labels.MAX_BARS} of {len(labels)} with the lowest F1."
    section.picture(
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
            labels,
            scores.counts,
            scores.precisions,
            scores.recalls,
            scores.f1s,
            scores.areas,
        )
    ]
    header = ["label", "rows", "precision", "recall", "F1", "AUC"]
    content = page.table(header, rows, ["key"] + ["number"] * 5)
    section.tables.append(page.details("Scores by label as a table", content))


def multilabel(labels, found, find_font):
    """Returns the parts about rows with any number of labels; see `classification`."""
    names = fonts.Names(labels, find_font)
    section = parts.Parts(names)
    scores = curves.label_scores(found.targets, found.predicted, found.probabilities)
    _add_curves_by_label(section, labels, names.shown, found)
    _add_decisions(section, found)
    _add_histograms_by_label(section, names.shown, found, scores)
    _add_counts_by_label(section, labels, names.shown, found, scores)
    _add_scores_by_label(section, labels, names.shown, scores)
    return section.finish()


def _add_decisions(section, found):
    """Adds thresholds and calibration over all labels of all rows together."""
    is_label, probabilities = found.targets.ravel(), found.probabilities.ravel()
    if curves.has_both(is_label):
        section.picture(
            "thresholds",
            plots_thresholds.thresholds(
                curves.thresholds(is_label, probabilities),
                "a label",
                "Threshold, the same for all labels",
            ),
            "True and false positive rate, accuracy and F1 of all decisions",
            f"{DECISIONS} Accuracy is the share of them that is right.",
        )
    else:
        what = "have every label" if is_label.all() else "have no label"
        section.append(page.sentence(f"No threshold curves: all rows {what}."))
    section.picture(
        "calibration",
        plots_labels.calibration(
            curves.calibration(probabilities, is_label),
            "predicted probability of a label",
            "share that has the label",
            what="decisions",
        ),
        "Share of decisions where the row has the label, by predicted probability",
        DECISIONS,
    )


def _add_counts_by_label(section, labels, shown, found, scores):
    """Adds what stands for a confusion matrix: right and wrong rows of each label."""
    counts = curves.label_counts(found.targets, found.predicted)
    order = np.argsort(scores.f1s, kind="stable")
    kept = order[: plots_labels.MAX_BARS]
    section.picture(
        "confusion",
        plots_labels.counts_by_label([shown[k] for k in kept], counts[kept]),
        "Rows of each label that are found, missed, and given the label wrongly",
        _worst_note(kept, order),
    )
    rows = [[labels[k], *(page.number(int(n)) for n in counts[k])] for k in order]
    header = ["label", "true positives", "false positives"]
    header += ["false negatives", "true negatives"]
    content = page.table(header, rows, ["key"] + ["number"] * 4)
    section.tables.append(page.details("Right and wrong rows of each label", content))
