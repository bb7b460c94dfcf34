"""Section with the rows that were predicted most wrongly."""

from markupsafe import Markup

from bert_my import metrics
from bert_my.report import dev_predictions, page

LEADS = {
    dev_predictions.CLASSIFICATION: (
        "The wrong rows of whose label the model was most sure, up to {}."
    ),
    dev_predictions.MULTILABEL: (
        "The wrong rows where the model was most sure of a wrong decision, up to {}."
    ),
    dev_predictions.REGRESSION: "The rows with the largest errors, up to {}.",
    dev_predictions.LABELING: (
        "The sentences with the most wrong or missing entities, or wrong tags if they "
        "mark no entities, up to {}."
    ),
}
LAST_COLUMN = {
    dev_predictions.CLASSIFICATION: "probability",
    dev_predictions.MULTILABEL: "probability of the wrong decision",
    dev_predictions.REGRESSION: "error",
}


def build(task, mistakes):
    """Returns the parts about the mistakes.

    Args:
      task: `run_files.Task`.
      mistakes: list of `dev_predictions.Mistake`, the worst first.
    """
    if not mistakes:
        return ["There are none: every row was predicted right."]
    lead = LEADS[task.kind].format(dev_predictions.MAX_MISTAKES)
    if task.kind == dev_predictions.LABELING:
        return [lead, _sentences(task.labels, mistakes)]
    return [lead, _rows(task.kind, mistakes)]


def _rows(kind, mistakes):
    """Returns the table of rows with their texts."""
    spec = ".4f"
    if kind == dev_predictions.REGRESSION:
        spec = "+.4g"
        mistakes = [m._replace(predicted=f"{float(m.predicted):.4g}") for m in mistakes]
    rows = [
        [
            number,
            mistake.guid,
            Markup("<hr>").join(mistake.texts),
            mistake.target or "(none)",
            mistake.predicted or "(none)",
            format(mistake.probability, spec),
        ]
        for number, mistake in enumerate(mistakes, 1)
    ]
    header = ["no.", "guid", "text", "true", "predicted", LAST_COLUMN[kind]]
    classes = ["number", "value", "text", "value", "value", "number"]
    return page.Table(header, rows, classes=classes, is_stacked=True)


def _sentences(labels, mistakes):
    """Returns the table of sentences, with the spans that their tags mark in colour."""
    spans_of = metrics.span_finder(labels)
    spans = [[spans_of(each.target), spans_of(each.predicted)] for each in mistakes]
    types = sorted({span[0] for pair in spans for each in pair for span in each})
    rows = [
        [
            number,
            mistake.guid,
            *(page.marked(pieces(mistake.texts, each), types) for each in pair),
        ]
        for number, (mistake, pair) in enumerate(zip(mistakes, spans), 1)
    ]
    header = ["no.", "guid", "true tags", "predicted tags"]
    classes = ["number", "value", "text", "text"]
    return page.Table(header, rows, classes=classes, is_stacked=True)


def pieces(tokens, spans):
    """Cuts a sentence into entities and the text between them.

    Args:
      tokens: list of strings.
      spans: see `metrics.entity_spans`.

    Returns:
      list of (text, type of the entity or None).
    """
    begins = {begin: (kind, end) for kind, begin, end in spans}
    output, position = [], 0
    while position < len(tokens):
        kind, end = begins.get(position, (None, position + 1))
        if position and _has_gap(*tokens[position - 1 : position + 1]):
            output.append((" ", None))
        text = tokens[position]
        for index in range(position + 1, end):
            text += " " * _has_gap(*tokens[index - 1 : index + 1]) + tokens[index]
        output.append((text, kind))
        position = end
    return output


def _has_gap(before, after):
    """Returns whether a space stands between two tokens: not beside Chinese."""
    return not (before[-1:] >= "\u2e80" or after[:1] >= "\u2e80")
