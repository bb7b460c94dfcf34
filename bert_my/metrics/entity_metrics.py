"""The metrics of tags: `(targets, predictions) -> dict name -> float`, on seqeval."""

import warnings

from seqeval.metrics import sequence_labeling

from bert_my.metrics import metrics
from bert_my.text import tag_schemes

_NAN = float("nan")


# What BMES and BILOU call the `I`, `E` and `S` of BIOES; seqeval does not know them.
_IN_BIOES = {"M": "I", "L": "E", "U": "S"}


def _as_bioes(tags):
    """Returns the list of the tags of a sentence, those of BMES and BILOU as BIOES."""
    parts = [tag.partition("-") for tag in tags]
    return [_IN_BIOES.get(mark, mark) + dash + kind for mark, dash, kind in parts]


def _entity_scores(values, kind=None):
    """Returns the scores of a row of seqeval's report, under this project's names."""
    names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    return {
        metrics.label_metric(ours, kind) if kind else ours: float(values[theirs])
        for ours, theirs in names.items()
    }


def entity_spans(tags):
    """Returns the entities of a sentence as (type, first token, token after the last).

    As `entities` counts them. The type is "_" for tags without one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags outside its schemes
        spans = sequence_labeling.get_entities(_as_bioes(tags))
    return [(kind, begin, last + 1) for kind, begin, last in spans]


def _token_spans(tags):
    """Returns each token of a sentence as (tag, token, token after it)."""
    return [(tag, index, index + 1) for index, tag in enumerate(tags)]


def span_finder(labels):
    """Returns the function from the tags of a sentence to what they mark.

    That is `entity_spans`, or each token by itself if a set of labels, such as parts of
    speech, marks no entities.
    """
    return entity_spans if tag_schemes.find_scheme(labels)[0] else _token_spans


def entities(targets, predictions, types=()):
    """Precision, recall and F1 over entities, in all and by type, and token accuracy.

    An entity is right if its type and both ends are, by the rules of conlleval, which
    also takes one that starts with `I`. A share of nothing counts as 0; precision,
    recall and F1 are NaN if there is no entity in targets and predictions.

    targets, predictions: lists of lists of tags in BIO, BIOES, BMES or BILOU, such as
      `B-PER`, or without a type, such as `B` (then nothing is told by type).
    types: of entities that are told even if they do not occur, as NaN.

    Returns:
      dict with `token_accuracy`, `precision`, `recall`, `f1`, and `precision_<type>`,
      ... for each of `types` and of those in targets or predictions.

    Raises:
      ValueError: if a sentence has not as many tags in one as in the other.
    Source: Tjong Kim Sang and De Meulder 2003.
    """
    if [len(tags) for tags in targets] != [len(tags) for tags in predictions]:
        raise ValueError("targets and predictions differ in their numbers of tags")
    unknown = {"precision": _NAN, "recall": _NAN, "f1-score": _NAN}
    scores = {"token_accuracy": _NAN}
    for kind in (None, *types):
        scores.update(_entity_scores(unknown, kind))
    if not any(targets):
        return scores
    with warnings.catch_warnings():
        # It complains of means over no entity, and of tags outside these schemes.
        warnings.simplefilter("ignore")
        accuracy_of_tokens = sequence_labeling.accuracy_score(targets, predictions)
        report = sequence_labeling.classification_report(
            list(map(_as_bioes, targets)),
            list(map(_as_bioes, predictions)),
            output_dict=True,
            zero_division=0,
        )
    scores["token_accuracy"] = float(accuracy_of_tokens)
    total = report.pop("micro avg")
    del report["macro avg"], report["weighted avg"]
    if report:
        scores.update(_entity_scores(total))
    report.pop("_", None)  # what seqeval calls those without a type
    for kind, values in report.items():
        scores.update(_entity_scores(values, kind))
    return scores
