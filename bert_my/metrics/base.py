"""Declaration of metrics: the names of their scores, and which direction is better.

A metric is made by `metric`, or by `declare` if it does not work on arrays. The lists
of a task are computed by `score`; `names_of` gives the names before anything is
evaluated. A score that is not defined is NaN, without a warning.
"""

import functools
import math

import numpy as np

NAN = float("nan")
_AVERAGES = ("macro", "micro")

_is_lower_better = {}  # name -> bool, of all declared metrics


def declare(names, is_by_label):
    """Returns a decorator that makes a metric of a function that returns a dict.

    The function gets two attributes:

    names: function of the labels of the task (optional; only metrics by label depend on
      them), returns the names of the scores in their order.
    is_by_label: whether the function takes the labels as third argument.
    """

    def decorate(compute):
        compute.names, compute.is_by_label = names, is_by_label
        return compute

    return decorate


def metric(*names, is_by_label=False, lower_is_better=False):
    """Returns a decorator that makes a metric of a function of arrays.

    The function returns the scores as an array or a sequence of numbers, in the order
    of the names. It is not called without examples, or if a prediction is not finite:
    then all scores are NaN.

    names: of the scores; those of each label are called `<name>_<label>`.
    is_by_label: whether the function returns the scores of each label, and takes the
      names of the labels as its third argument.
    lower_is_better: direction of all these scores.

    Raises:
      ValueError: if a name is declared already, with the other direction.
    """
    for name in names:
        if _is_lower_better.setdefault(name, lower_is_better) != lower_is_better:
            raise ValueError(f"metric {name!r} is declared with both directions")

    def find_names(labels=()):
        if not is_by_label:
            return names
        return tuple(label_metric(name, label) for label in labels for name in names)

    def decorate(compute):
        @declare(find_names, is_by_label)
        @functools.wraps(compute)
        def to_scores(targets, predictions, *args, **kwargs):
            targets, predictions = np.asarray(targets), np.asarray(predictions)
            found = find_names(*args[:1])  # the labels, if it is by label
            values = [NAN] * len(found)
            if len(targets) and np.isfinite(predictions).all():
                values = np.ravel(compute(targets, predictions, *args, **kwargs))
            return dict(zip(found, map(float, values)))

        return to_scores

    return decorate


def names_of(metrics, labels=()):
    """Returns the tuple of the names that `score` gives, in order.

    metrics: iterable of functions that are declared metrics.
    labels: names of the task's labels, in the order of their ids.

    Raises:
      TypeError: naming a function that is not a declared metric.
    """
    for each in metrics:
        if not hasattr(each, "is_by_label"):
            raise TypeError(f"{each!r} declares no names; see bert_my.metrics.metric")
    return tuple(dict.fromkeys(name for each in metrics for name in each.names(labels)))


def score(metrics, targets, predictions, labels=()):
    """Returns the scores of several metrics as a dict name -> float.

    Args:
      metrics, labels: see `names_of`.
      targets, predictions: as the metrics take them.
    """
    scores = {}
    for each in metrics:
        more = (labels,) if each.is_by_label else ()
        scores.update(each(targets, predictions, *more))
    return scores


def is_better(name, value, best):
    """Returns whether a value of the metric `name` is better than the best one so far.

    value, best: numbers or None. A value that is not finite is never better; a finite
      one is better than None or NaN. An equal value is not better.
    """
    if value is None or not math.isfinite(value):
        return False
    if best is None or math.isnan(best):
        return True
    return bool(value < best if is_lower_better(name) else value > best)


def of_set(name, set_name):
    """Returns the name of a metric of a set besides the dev set."""
    return f"{name}@{set_name}"


def _without_set(name):
    return name.rpartition("@")[0] or name


def is_lower_better(name):
    """Returns whether lower values of a metric are better; true of any loss."""
    return _is_lower_better.get(_without_set(name), False) or is_loss(name)


def is_loss(name):
    """Returns whether a metric is a loss, or one of the parts of a loss."""
    name = _without_set(name)
    return name == "loss" or name.endswith("_loss")


def best_of(name, values):
    """Returns the best finite value of a metric; NaN if none is finite."""
    finite = [each for each in values if each is not None and math.isfinite(each)]
    choose = min if is_lower_better(name) else max
    return choose(finite) if finite else NAN


def label_metric(name, label):
    """Returns the name of one label's score, such as `f1_<label>`."""
    # `f1_micro` is the average over labels, also if one of them is called "micro".
    return f"{name}_label_{label}" if label in _AVERAGES else f"{name}_{label}"


def is_of_label(name):
    """Returns whether a name is that of one label's score."""
    prefix, _, rest = _without_set(name).partition("_")
    return prefix in ("precision", "recall", "f1") and rest not in ("", *_AVERAGES)


def in_order(tables, main):
    """Returns the names of metrics: the main one first, those of single labels last.

    The main one of the dev set comes before those of other sets.

    tables: list of dicts name -> value. Numbers of steps in them are left out.
    """
    names = list(dict.fromkeys(name for each in tables for name in each))
    left_out = {"step", "global_step"}
    if "eval_loss" in names:
        left_out.add("loss")  # the same value, under the name that Estimator gives it
    names = [name for name in names if _without_set(name) not in left_out]

    def rank(name):
        return name != main, _without_set(name) != main, is_of_label(name)

    return sorted(names, key=rank)
