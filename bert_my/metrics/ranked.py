"""Metrics of candidates that are ranked within their question."""

import numpy as np

from bert_my.metrics.base import NAN, metric


@metric("mrr", "map")
def ranking(targets, predictions, groups):
    """Mean reciprocal rank and mean average precision of ranked candidates.

    Means are over the questions that have a relevant candidate, as in trec_eval and in
    the evaluation of NLPCC-DBQA; NaN if none has. Candidates with equal scores rank in
    the order of their rows (trec_eval sorts them by name).

    targets: int `[num_examples]`, 1 for a relevant candidate.
    predictions: float `[num_examples]`, the highest ranks first.
    groups: int `[num_examples]`, the candidate's question; the rows of a question need
      not be neighbours.
    """
    groups = np.asarray(groups)
    order = np.lexsort((-predictions, groups))  # by question, then score; stable
    starts = np.unique(groups[order], return_index=True)[1]
    reciprocal_ranks, average_precisions = [], []
    for is_relevant in np.split(targets[order] == 1, starts[1:]):
        ranks = np.flatnonzero(is_relevant) + 1
        if len(ranks):
            reciprocal_ranks.append(1 / ranks[0])
            average_precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    if not reciprocal_ranks:
        return NAN, NAN
    return np.mean(reciprocal_ranks), np.mean(average_precisions)
