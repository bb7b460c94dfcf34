"""Sections about the dev set: its predictions, and the rows predicted most wrongly.

`KINDS` has the sections of each kind of task.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from sklearn import metrics as sklearn_metrics

from bert_my import metrics
from bert_my.report import page, pictures, plots, run_files
from bert_my.report.page import Table
from bert_my.text import tag_schemes

TOP = "probability of the most probable label"
DECISIONS = "Each label of each row is a decision."
# Light tints of the colours of `plots`, for types of entities.
TINTS = ("#CFE6F5", "#FBDCC6", "#CDEEDF", "#F3DDEA", "#FBEAC4", "#DDF0FB", "#E6E6E6")
_ENTITY = Markup('<mark style="background:{}">{}<small>{}</small></mark>')


def build(run):
    """Returns the sections as a dict heading -> list of parts: pictures, then tables.

    run: `run_files.Run` with a task and predictions.
    """
    kind = KINDS[run.task.kind]
    parts = list(kind.draw(run.task.labels, run.predictions))
    # Pictures stand beside one another only without a table between them.
    parts.sort(key=lambda part: isinstance(part, Table))
    return {"Dev set": parts, "Mistakes": list(_mistakes(run, kind))}


def _mistakes(run, kind):
    """Yields the table of the rows that were predicted most wrongly."""
    found = run.predictions.mistakes
    if not found:
        yield "There are none: every row was predicted right."
        return
    columns, cells = kind.describe(run.task, found)
    rows = [
        [number, mistake.guid, *row]
        for number, (mistake, row) in enumerate(zip(found, cells), 1)
    ]
    classes = ["number", "value", *columns.values()]
    yield f"The {kind.mistakes}, up to {run_files.MAX_MISTAKES}."
    yield Table(["no.", "guid", *columns], rows, classes=classes, is_stacked=True)


class _EachLabel:
    """Labels and predictions, each label against the rest.

    labels, names: of the labels, names as in pictures.
    is_label: bool `[num_rows, num_labels]`: whether a row has a label.
    probabilities: float of the same shape.
    counts: see `label_counts`.
    scores: float `[3, num_labels]`: precision, recall and F1; 0 where a denominator is
      0.
    order: ids of the labels, the lowest F1 first.
    rocs: a `pictures.Curve` of each label; None if all or no rows have the label.
    """

    def __init__(self, labels, is_label, is_predicted, probabilities):
        self.labels, self.names = labels, list(map(plots.shown, labels))
        self.is_label, self.probabilities = is_label, probabilities
        self.counts = label_counts(is_label, is_predicted)
        hits, wrong, missed, _ = self.counts
        sums = [hits + wrong, hits + missed, 2 * hits + wrong + missed]
        self.scores = np.array([hits, hits, 2 * hits]) / np.maximum(sums, 1)
        self.order = np.argsort(self.scores[2], kind="stable")
        self.rocs = list(map(pictures.roc, is_label.T, probabilities.T))


def label_counts(is_label, is_predicted):
    """Counts rows by true and predicted label, for each label against the rest.

    is_label, is_predicted: bool `[num_rows, num_labels]`.

    Returns:
      int `[4, num_labels]`: true and false positives, false and true negatives.
    """
    pairs = (is_label & is_predicted, ~is_label & is_predicted)
    pairs += (is_label & ~is_predicted, ~(is_label | is_predicted))
    return np.array([each.sum(axis=0) for each in pairs])


def _classification(labels, found):
    one_hot = np.eye(len(labels), dtype=bool)
    each = _EachLabel(
        labels, one_hot[found.targets], one_hot[found.predicted], found.probabilities
    )
    if len(labels) == 2:
        yield from _binary(each)
    else:
        yield from _curves_by_label(each)
        yield from _top_label(found)
        yield _histograms_by_label(each)
    ids = np.arange(len(labels))
    yield from _confusion(found.targets, found.predicted, ids, labels)
    yield from _scores_by_label(each)


def _binary(each):
    is_positive, scores = each.is_label[:, 1], each.probabilities[:, 1]
    positive, roc = each.names[1], each.rocs[1]
    if roc is None:
        yield (
            "ROC, threshold and precision-recall curves need rows of both labels; here "
            f"all {len(is_positive)} rows have the label "
            f"{each.labels[int(is_positive[0])]!r}."
        )
    else:
        name = f"label {positive}"
        alt = f"ROC curve, area under it {roc.score:.4f}"
        yield pictures.curves("roc", [(name, roc)], alt)
        alt = "True and false positive rate, accuracy and F1 by threshold"
        yield pictures.thresholds(is_positive, scores, positive, alt)
        curve = pictures.precision_recall(is_positive, scores)
        alt = f"Precision by recall, average precision {curve.score:.4f}"
        yield pictures.curves("precision_recall", [(name, curve)], alt)
    yield pictures.calibration(
        scores,
        is_positive,
        f"predicted probability of {positive}",
        f"share of rows with label {positive}",
        "Share of positive rows by predicted probability",
    )
    yield pictures.histograms(
        [(f"label {each.names[k]}", scores[each.is_label[:, k]]) for k in (0, 1)],
        "Scores by true label",
        f"predicted probability of {positive}",
        "Histogram of the probability for rows of each label",
    )


def _curves_by_label(each):
    """Yields a ROC and a precision-recall picture of each label against the rest."""
    title, needed = "ROC curve, each label against the rest", "rows with and without it"
    yield _worst_curves(each, "roc", title, each.rocs, "AUC", needed)
    title, score = "Precision and recall by label", "average precision"
    found = list(map(pictures.precision_recall, each.is_label.T, each.probabilities.T))
    yield _worst_curves(each, "precision_recall", title, found, score, "rows with it")


def _worst_curves(each, kind, title, found, score_name, needed):
    """Returns the picture of the labels with the lowest scores.

    Args:
      each: `_EachLabel`.
      kind, title: see `pictures.curves`.
      found: a `pictures.Curve` of each label, or None if it is not defined.
      score_name, needed: the score, and the rows without which it is not defined.
    """
    undefined = [label for label, curve in zip(each.labels, found) if not curve]
    defined = [pair for pair in zip(each.names, found) if pair[1]]
    worst = sorted(defined, key=lambda pair: pair[1].score)[: pictures.MAX_CURVES]
    note = pictures.note_of_worst(len(worst), len(defined), score_name)
    if undefined:
        more = ", …" if len(undefined) > 10 else ""
        note += (
            f" {title}: none for {len(undefined)} labels, which would need "
            f"{needed}: {', '.join(undefined[:10])}{more}"
        )
    return pictures.curves(kind, worst, title, title, note) if worst else note


def _top_label(found):
    """Yields threshold curve, calibration and histogram of the highest probability."""
    is_right = found.targets == found.predicted
    top = found.probabilities.max(axis=1)
    yield pictures.kept(top, is_right)
    yield pictures.calibration(
        top,
        is_right,
        TOP,
        "share of rows where it is right",
        "Share of right rows by highest probability",
    )
    yield pictures.histograms(
        [("right", top[is_right]), ("wrong", top[~is_right])],
        "How sure the model is",
        TOP,
        "Histogram of the highest probability of right and of wrong rows",
    )


def _histograms_by_label(each):
    """Returns histograms of each label's probability; of many labels of the worst."""
    order = [k for k in each.order if each.is_label[:, k].any()]
    if not order:
        return "No score histograms: no row has a label."
    panels = []
    for k in order[: pictures.MAX_PANELS]:
        has_label, values = each.is_label[:, k], each.probabilities[:, k]
        panels.append((each.names[k], values[has_label], values[~has_label]))
    note = pictures.note_of_worst(len(panels), len(order), "F1")
    return pictures.histograms_by_label(panels, note)


def _confusion(targets, predicted, values, labels, label="label", units="rows"):
    """Yields the confusion matrix as a picture and as a table.

    Args:
      targets, predicted: `[num_rows]`.
      values, labels: the value of each label in the rows, and its name.
      label, units: "tokens" have a "tag", "rows" have a "label".
    """
    counts = sklearn_metrics.confusion_matrix(targets, predicted, labels=values)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    note = f"Share of each row in colour, number of {units} in the cells."
    kept = np.arange(len(labels))
    if len(labels) > pictures.MAX_CONFUSION:
        kept = most_confused(counts, pictures.MAX_CONFUSION)
        note = f"The {len(kept)} of {len(labels)} {label}s with the most wrong {units}."
    counts, shares = counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)]
    shown = [plots.shown(labels[k]) for k in kept]
    yield pictures.confusion(counts, shares, shown, label, units, note)
    rows = [
        [page.BOLD.format(labels[k])]
        + [f"{n:,} ({share:.1%})" if n else "" for n, share in zip(*row)]
        for k, row in zip(kept, zip(counts, shares))
    ]
    header = ["true \\ predicted", *(labels[k] for k in kept)]
    yield Table(header, rows, "The confusion matrix as a table")


def most_confused(counts, num_labels):
    """Returns the ids of the labels with the most wrong rows, ascending.

    counts: int `[all_labels, all_labels]`, true labels first.
    """
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:num_labels])


def _scores_by_label(each):
    yield pictures.scores_by_label("scores_by_label", each.names, *each.scores)
    areas = [roc and roc.score for roc in each.rocs]
    rows = list(zip(each.labels, each.is_label.sum(axis=0), *each.scores, areas))
    header = ["label", "rows", "precision", "recall", "F1", "AUC"]
    yield Table(header, rows, "Scores by label as a table")


def _multilabel(labels, found):
    each = _EachLabel(labels, found.targets, found.predicted, found.probabilities)
    yield from _curves_by_label(each)
    yield from _decisions(found)
    yield _histograms_by_label(each)
    yield from _counts_by_label(each)
    yield from _scores_by_label(each)


def _decisions(found):
    """Yields thresholds and calibration over all labels of all rows together."""
    is_label, probabilities = found.targets.ravel(), found.probabilities.ravel()
    if pictures.has_both(is_label):
        yield pictures.thresholds(
            is_label,
            probabilities,
            "a label",
            "True and false positive rate, accuracy and F1 of all decisions",
            "Threshold, the same for all labels",
            f"{DECISIONS} Accuracy is the share of right decisions.",
        )
    else:
        labels = "every label" if is_label.all() else "no label"
        yield f"No threshold curves: all rows have {labels}."
    yield pictures.calibration(
        probabilities,
        is_label,
        "predicted probability of a label",
        "share that has the label",
        "Share of decisions where the row has the label, by predicted probability",
        DECISIONS,
        units="decisions",
    )


def _counts_by_label(each):
    """Yields right and wrong rows of each label, in place of a confusion matrix."""
    kept = each.order[: pictures.MAX_BARS]
    names = [each.names[k] for k in kept]
    note = pictures.note_of_worst(len(kept), len(each.names), "F1")
    yield pictures.counts_by_label(names, *each.counts[:3, kept], note)
    kinds = ("true positives", "false positives", "false negatives", "true negatives")
    rows = [(each.labels[k], *each.counts[:, k]) for k in each.order]
    yield Table(["label", *kinds], rows, "Right and wrong rows of each label")


def _regression(labels, found):
    scores = metrics.score(
        (metrics.correlations, metrics.errors), found.targets, found.predicted
    )
    text = ", ".join(
        f"{title} {page.number(scores[title.lower()])}"
        for title in ("Pearson", "Spearman", "MSE")
    )
    yield pictures.scatter(found.targets, found.predicted, text)
    yield pictures.residuals(found.predicted - found.targets)


def _labeling(labels, found):
    scheme, types = tag_schemes.find_scheme(labels)
    scores = metrics.entities(found.targets, found.predicted)
    types = [kind for kind in types if metrics.label_metric("f1", kind) in scores]
    if types:
        columns = [
            np.array([scores[metrics.label_metric(name, kind)] for kind in types])
            for name in ("precision", "recall", "f1")
        ]
        names, unit = list(map(plots.shown, types)), "type of entity"
        yield pictures.scores_by_label("entities", names, *columns, unit)
        header = ["type", "precision", "recall", "F1"]
        yield Table(header, list(zip(types, *columns)))
    else:
        missing = "types of entities" if scheme else "entities"
        yield f"The tags mark no {missing}."
    sides = [list(itertools.chain(*rows)) for rows in (found.targets, found.predicted)]
    tags = np.unique(sides)
    yield from _confusion(*sides, tags, tags, "tag", "tokens")


def _describe_rows(task, mistakes):
    """Returns columns, dict name -> class, and their cells, with the texts of rows."""
    spec = ".4f"
    if task.kind == run_files.REGRESSION:
        spec = "+.4g"
        mistakes = [m._replace(predicted=f"{float(m.predicted):.4g}") for m in mistakes]
    last = KINDS[task.kind].last_column
    columns = {"text": "text", "true": "value", "predicted": "value", last: "number"}
    return columns, [
        [
            Markup("<hr>").join(mistake.texts),
            mistake.target or "(none)",
            mistake.predicted or "(none)",
            format(mistake.probability, spec),
        ]
        for mistake in mistakes
    ]


def _describe_sentences(task, mistakes):
    """Returns columns and cells; the spans that the tags mark are in colour."""
    spans_of = metrics.span_finder(task.labels)
    spans = [[spans_of(each.target), spans_of(each.predicted)] for each in mistakes]
    types = sorted({span[0] for pair in spans for each in pair for span in each})
    return {"true tags": "text", "predicted tags": "text"}, [
        [_marked(mistake.texts, each, types) for each in pair]
        for mistake, pair in zip(mistakes, spans)
    ]


def _marked(tokens, spans, types):
    """Returns a sentence with its entities in colour.

    Args:
      tokens: list of strings.
      spans: see `metrics.entity_spans`.
      types: of entities; the order gives each type its colour.
    """
    begins = {begin: (kind, end) for kind, begin, end in spans}
    # Spaces before each token; there is none beside Chinese.
    gaps = [
        "" if before[-1:] >= "\u2e80" or after[:1] >= "\u2e80" else " "
        for before, after in zip(tokens, tokens[1:])
    ]
    spaced = [gap + token for gap, token in zip(gaps, tokens[1:])]
    output, position = [], 0
    while position < len(tokens):
        kind, end = begins.get(position, (None, position + 1))
        if position:
            output.append(gaps[position - 1])
        text = "".join([tokens[position], *spaced[position : end - 1]])
        if kind is not None:
            tint = TINTS[types.index(kind) % len(TINTS)]
            text = _ENTITY.format(tint, text, kind)
        output.append(text)
        position = end
    return Markup("").join(output)


class _Kind(NamedTuple):
    """The sections of a kind of task.

    draw: function (labels, `run_files.Predictions`) that yields the parts.
    mistakes: the rows that are shown in the section of mistakes.
    last_column: name of the column of `Mistake.probability`.
    describe: function (task, list of `Mistake`) that returns columns and cells.
    """

    draw: Any
    mistakes: str
    last_column: str = ""
    describe: Any = _describe_rows


KINDS = {
    run_files.CLASSIFICATION: _Kind(
        _classification,
        "wrong rows of whose label the model was most sure",
        "probability",
    ),
    run_files.MULTILABEL: _Kind(
        _multilabel,
        "wrong rows where the model was most sure of a wrong decision",
        "probability of the wrong decision",
    ),
    run_files.REGRESSION: _Kind(_regression, "rows with the largest errors", "error"),
    run_files.LABELING: _Kind(
        _labeling,
        "sentences with the most wrong or missing entities, or wrong tags if they mark "
        "no entities",
        describe=_describe_sentences,
    ),
}
