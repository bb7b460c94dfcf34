"""What the user may choose of a task."""

from typing import NamedTuple, Optional

from bert_my.data.errors import InputError


class TaskOptions(NamedTuple):
    """The fields are flags of the same names."""

    head: Optional[str] = None
    objective: Optional[str] = None
    labels: Optional[str] = None  # separated by commas
    num_labels: Optional[int] = None
    train_file: Optional[str] = None
    dev_file: Optional[str] = None
    test_file: Optional[str] = None
    text_column: Optional[str] = None
    text_pair_column: Optional[str] = None
    label_column: Optional[str] = None
    num_dev_examples: int = 0
    max_train_examples: int = 0
    class_weights: Optional[str] = None
    pos_weight: Optional[str] = None
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0


def check_meaning(options, meaningless, who):
    """Raises an `InputError` for an option that would be without effect.

    Args:
      options: `TaskOptions`.
      meaningless: names of those that the task has no use for.
      who: the task's name, for the error.
    """
    for name in meaningless:
        value = getattr(options, name)
        if value is not None:
            raise InputError(f"--{name}={value}: {who} has no use for it")
