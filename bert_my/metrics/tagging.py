"""Metrics of tags, after seqeval, and the entities that tags mark."""

import warnings

from seqeval.metrics import sequence_labeling

from bert_my.metrics.base import NAN, declare, label_metric
from bert_my.text import tag_schemes

# Marks of BMES and BILOU that seqeval does not know -> the same marks in BIOES.
_IN_BIOES = {"M": "I", "L": "E", "U": "S"}
# This project's names of seqeval's scores.
_SCORES = {"precision": "precision", "recall": "recall", "f1": "f1-score"}


def _as_bioes(tags):
    """Returns the list of the tags of a sentence, those of BMES and BILOU as BIOES.

    Marks in small letters are made capital.
    """
    parts = [tag_schemes.capital(tag).partition("-") for tag in tags]
    return [_IN_BIOES.get(mark, mark) + dash + kind for mark, dash, kind in parts]


def _names_by_type(types):
    """Returns dict name of a score -> (its type, its name in seqeval)."""
    return {
        label_metric(ours, kind): (kind, theirs)
        for kind in types
        for ours, theirs in _SCORES.items()
    }


def _names(labels=()):
    scheme, types = tag_schemes.find_scheme(labels)
    if labels and scheme is None:
        return ("token_accuracy",)
    return ("token_accuracy", *_SCORES, *_names_by_type(types))


def entity_spans(tags):
    """Returns the entities of a sentence as (type, first token, token after the last).

    The same entities as `entities` counts. The type is "_" for tags without one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags outside its schemes
        spans = sequence_labeling.get_entities(_as_bioes(tags))
    return [(kind, begin, last + 1) for kind, begin, last in spans]


def _token_spans(tags):
    """Returns each token of a sentence as (tag, token, token after it)."""
    return [(tag, index, index + 1) for index, tag in enumerate(tags)]


def span_finder(labels):
    """Returns the function from the tags of a sentence to the spans that they mark.

    The function is `entity_spans`; for labels that mark no entities, such as parts of
    speech, it returns each token as a span.
    """
    return entity_spans if tag_schemes.find_scheme(labels)[0] else _token_spans


@declare(_names, is_by_label=True)
def entities(targets, predictions, labels=()):
    """Precision, recall and F1 over entities, in all and by type, and token accuracy.

    An entity is right if its type and both ends are, by the rules of conlleval, which
    also takes one that starts with `I`. Precision and recall are 0 where their
    denominator is 0; all scores are NaN if there is no entity in targets and
    predictions.

    targets, predictions: lists of lists of tags in BIO, BIOES, BMES or BILOU, such as
      `B-PER`, or without a type, such as `B` (then there are no scores by type).
    labels: all tags of the task. Types that do not occur have NaN. If the tags mark no
      entities, only the token accuracy is returned. Without labels the types are those
      in targets and predictions.

    Returns:
      dict with `token_accuracy`, `precision`, `recall`, `f1`, and `precision_<type>`,
      `recall_<type>`, `f1_<type>`.

    Raises:
      ValueError: if a sentence has different numbers of tags in the two.
    Source: Tjong Kim Sang and De Meulder 2003.
    """
    if [len(tags) for tags in targets] != [len(tags) for tags in predictions]:
        raise ValueError("targets and predictions differ in their numbers of tags")
    scores = dict.fromkeys(_names(labels), NAN)
    if not any(targets):
        return scores
    with warnings.catch_warnings():
        # seqeval warns of means over no entity, and of tags outside its schemes.
        warnings.simplefilter("ignore")
        scores["token_accuracy"] = float(
            sequence_labeling.accuracy_score(targets, predictions)
        )
        if len(scores) == 1:
            return scores
        report = sequence_labeling.classification_report(
            list(map(_as_bioes, targets)),
            list(map(_as_bioes, predictions)),
            output_dict=True,
            zero_division=0,
        )
    total = report.pop("micro avg")
    del report["macro avg"], report["weighted avg"]
    if report:
        scores.update({ours: float(total[name]) for ours, name in _SCORES.items()})
    report.pop("_", None)  # seqeval's name of entities without a type
    for name, (kind, theirs) in _names_by_type(report).items():
        scores[name] = float(report[kind][theirs])
    return scores
