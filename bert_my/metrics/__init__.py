"""Metrics: pure functions `(targets, predictions) -> dict name -> float`.

`from bert_my import metrics` gives them all, and the functions that know the names of
their scores and which value is better. The shapes of the arguments are in the modules,
one for each kind of task.
"""
# ruff: noqa: F401 - all are for others to import

from bert_my.metrics.base import (
    best_of,
    in_order,
    is_better,
    is_loss,
    is_lower_better,
    is_of_label,
    label_metric,
    metric,
    names_of,
    of_set,
    score,
)
from bert_my.metrics.classification import (
    THRESHOLD,
    accuracy,
    auc,
    average_precision,
    f1_averages,
    log_loss,
    mcc,
    multilabel_auc,
    multilabel_average_precision,
    multilabel_f1,
    multilabel_log_loss,
    per_label,
    precision_recall_f1,
    ranking,
)
from bert_my.metrics.regression import correlations, errors
from bert_my.metrics.tagging import entities, entity_spans, span_finder
