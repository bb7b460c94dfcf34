"""The metrics of tags: `(targets, predictions) -> dict name -> float`, on seqeval."""

import warnings

from seqeval.metrics import sequence_labeling

_NAN = float("nan")


# What BMES and BILOU call the `I`, `E` and `S` of BIOES; seqeval does not know them.
_IN_BIOES = {"M": "I", "L": "E", "U": "S"}


def as_bioes(tags):
    """Returns the list of the tags of a sentence, those of BMES and BILOU as BIOES."""
    parts = [tag.partition("-") for tag in tags]
    return [_IN_BIOES.get(mark, mark) + dash + kind for mark, dash, kind in parts]


def _entity_scores(values, suffix):
    """Returns the scores of a row of seqeval's report, under this project's names."""
    return {
        f"precision{suffix}": float(values["precision"]),
        f"recall{suffix}": float(values["recall"]),
        f"f1{suffix}": float(values["f1-score"]),
    }


def entities(targets, predictions):
    """Precision, recall and F1 over entities, in all and by type, and token accuracy.

    An entity is right if its type and both ends are, by the rules of conlleval, which
    also takes one that starts with `I`. A share of nothing counts as 0; precision,
    recall and F1 are NaN if there is no entity in targets and predictions.

    targets, predictions: lists of lists of tags in BIO, BIOES, BMES or BILOU, such as
      `B-PER`, or without a type, such as `B` (then nothing is told by type).

    Returns:
      dict with `token_accuracy`, `precision`, `recall`, `f1`, and `precision_<type>`,
      ... for each type of an entity in targets or predictions.

    Raises:
      ValueError: if a sentence has not as many tags in one as in the other.
    Source: Tjong Kim Sang and De Meulder 2003.
    """
    if [len(tags) for tags in targets] != [len(tags) for tags in predictions]:
        raise ValueError("targets and predictions differ in their numbers of tags")
    targets, predictions = (
        list(map(as_bioes, sentences)) for sentences in (targets, predictions)
    )
    scores = dict.fromkeys(("token_accuracy", "precision", "recall", "f1"), _NAN)
    if not any(targets):
        return scores
    with warnings.catch_warnings():
        # It complains of means over no entity, and of tags outside these schemes.
        warnings.simplefilter("ignore")
        accuracy_of_tokens = sequence_labeling.accuracy_score(targets, predictions)
        report = sequence_labeling.classification_report(
            targets, predictions, output_dict=True, zero_division=0
        )
    scores["token_accuracy"] = float(accuracy_of_tokens)
    total = report.pop("micro avg")
    del report["macro avg"], report["weighted avg"]
    if report:
        scores.update(_entity_scores(total, ""))
    report.pop("_", None)  # what seqeval calls those without a type
    for kind, values in report.items():
        scores.update(_entity_scores(values, f"_{kind}"))
    return scores
