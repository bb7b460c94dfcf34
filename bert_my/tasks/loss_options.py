"""The options of the training loss: the flags, and the numbers that they stand for.

Needs no TensorFlow, as `options`.
"""

import dataclasses
import os
from typing import NamedTuple, Optional, Tuple

from bert_my.common import options, text_files
from bert_my.common.errors import InputError
from bert_my.common.options import Options, option

AUTO = "auto"


class LossSettings(NamedTuple):
    """Options of the training loss; evaluation uses the plain loss."""

    # Of each label, for softmax and token.
    class_weights: Optional[Tuple[float, ...]] = None
    # Of the positive side, for sigmoid: one number, or one for each label.
    pos_weight: Optional[Tuple[float, ...]] = None
    # Softmax, sigmoid, token; 0 for none. Source: Lin et al. 2017.
    focal_gamma: float = 0.0
    # Softmax, sigmoid, token; 0 to 1. Source: Szegedy et al. 2016.
    label_smoothing: float = 0.0


PLAIN_LOSS = LossSettings()


@dataclasses.dataclass(frozen=True)
class LossOptions(Options):
    """The training loss."""

    class_weights: Optional[str] = option(
        None,
        "Weight of each label in the loss: numbers (1,2,5), a file of lines "
        "label<TAB>weight, or auto: inversely proportional to the label's frequency.",
    )
    pos_weight: Optional[str] = option(
        None,
        "Weight of the positive examples: a number, one number per label, a file or "
        "auto (for multi-label tasks, or the second of two labels).",
    )
    focal_gamma: float = option(
        0.0,
        "Gamma of the focal loss, which lowers the weight of examples that are "
        "classified well; 0: off.",
        check=options.between(0, 100),
    )
    label_smoothing: float = option(
        0.0,
        "Share of the target probability that is spread over all labels.",
        check=options.below_one,
        aliases=("label_smoothing_factor",),
    )

    def check_loss(self, objective_class, who):
        """Raises an `InputError` for an option that the objective does not know.

        Args:
          objective_class: see `objectives`.
          who: the task's name, for the error.
        """
        known = set(objective_class.loss_options)
        if "class_weights" in known:
            known.add("pos_weight")  # of two labels: the weight of the second
        for name in LossSettings._fields:
            if getattr(self, name) and name not in known:
                raise InputError(
                    f"--{name}={getattr(self, name)}: the loss of {who} "
                    f"({objective_class.__name__.lower()}) has no such option"
                )

    @property
    def needs_label_counts(self):
        """True if weights are to balance the labels of the train set."""
        return AUTO in (self.class_weights, self.pos_weight)

    def loss_settings(self, objective_class, labels, counts):
        """Returns the `LossSettings` of these options.

        Args:
          objective_class: see `objectives`.
          labels: tuple of labels.
          counts: `labels.LabelCounts`; may be None unless `needs_label_counts`.

        Raises:
          InputError: naming the flag whose value does not suit the labels.
        """
        class_weights, pos_weight = self.class_weights, self.pos_weight
        if class_weights is not None:
            class_weights = _numbers("class_weights", class_weights, labels, counts)
        if pos_weight is not None and "pos_weight" in objective_class.loss_options:
            pos_weight = _numbers("pos_weight", pos_weight, labels, counts)
        elif pos_weight is not None:
            class_weights = _with_second(pos_weight, class_weights, labels, counts)
            pos_weight = None
        return self.select(
            LossSettings, class_weights=class_weights, pos_weight=pos_weight
        )


def _with_second(pos_weight, class_weights, labels, counts):
    """Returns the class weights of two labels, of which the second is the positive."""
    if class_weights is not None or len(labels) != 2:
        raise InputError(
            f"--pos_weight={pos_weight}: for one of {len(labels)} labels give "
            "--class_weights; it is for multi-label tasks, or alone for two labels"
        )
    # The second label's is the last, or the only one.
    weights = _numbers("pos_weight", pos_weight, labels, counts)
    if len(weights) == 2 and pos_weight != AUTO:
        raise InputError(
            f"--pos_weight={pos_weight}: it must be {AUTO} or one number, that of the "
            f"label {labels[1]}; --class_weights takes one for each label"
        )
    return (1.0, weights[-1])


def _numbers(flag, value, labels, counts):
    """Returns the tuple of weights that a flag stands for."""
    if value == AUTO:
        return _balanced(flag, labels, *counts)
    if os.path.isfile(value):
        return _from_file(flag, value, labels)
    weights = tuple(map(_positive, value.split(",")))
    allowed = {len(labels)} if flag == "class_weights" else {1, len(labels)}
    if len(weights) not in allowed or None in weights:
        raise InputError(
            f"--{flag}={value}: it must be {AUTO}, a file, or "
            f"{' or '.join(map(str, sorted(allowed)))} positive numbers separated by "
            f"commas, for the labels {', '.join(labels)}"
        )
    return weights


def _positive(text):
    """Returns a positive number, or None for other texts."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 1e-9 < number < 1e9 else None


def _from_file(flag, path, labels):
    """Reads lines `label<TAB>weight`, one for each label."""
    weights = {}
    for number, line in text_files.read_lines(path):
        label, _, cell = line.rpartition("\t")
        weight = _positive(cell)
        if weight is None or label in weights:
            raise InputError(
                f"--{flag}: {path}:{number}: expected label<TAB>weight, a positive "
                f"number, once for each label, found {line!r}"
            )
        weights[label] = weight
    if set(weights) != set(labels):
        difference = sorted(set(weights) ^ set(labels))
        raise InputError(
            f"--{flag}={path}: it must have one line for each label; these are only "
            f"in one of the two: {', '.join(difference)}"
        )
    return tuple(weights[label] for label in labels)


def _balanced(flag, labels, counts, total):
    """Weights by which all labels count the same in the train set.

    `class_weights`: total / (number of labels * count), as scikit-learn's "balanced".
    `pos_weight`: examples without the label for each one with it.
    """
    # `pos_weight` would be 0 for a label that every row has.
    most = total - 1 if flag == "pos_weight" else total
    # A label that is never trained on needs no weight, so any will do.
    never = {label for label in labels if counts.get(label, 0) is None}
    counts = {label: counts.get(label) or 0 for label in labels}
    uneven = [x for x in labels if x not in never and not 0 < counts[x] <= most]
    if uneven:
        raise InputError(
            f"--{flag}={AUTO}: no train example, or every one, has the label "
            f"{', '.join(uneven)}"
        )
    if flag == "pos_weight":
        return tuple((total - counts[label]) / counts[label] for label in labels)
    num_labels = len(labels) - len(never)
    return tuple(total / (num_labels * (counts[x] or total)) for x in labels)
