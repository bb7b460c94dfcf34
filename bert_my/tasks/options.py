"""Options of tasks, and the check for options without effect."""

from typing import NamedTuple, Optional

from bert_my.common.errors import InputError


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
    input_file: Optional[str] = None  # paths and globs, separated by commas
    input_dir: Optional[str] = None
    max_predictions_per_seq: int = 20
    next_sentence: str = "nsp"
    max_eval_steps: int = 0
    num_processes: int = 1
    process_index: int = 0


OF_PRETRAINING = (
    "input_file",
    "input_dir",
    "max_predictions_per_seq",
    "next_sentence",
    "max_eval_steps",
    "num_processes",
    "process_index",
)
# What is set for texts with labels.
OF_TEXTS = tuple(
    name for name in TaskOptions._fields if name not in (*OF_PRETRAINING, "dev_file")
)


def check_meaning(options, meaningless, who):
    """Raises an `InputError` for an option that would be without effect.

    Args:
      options: `TaskOptions`.
      meaningless: names of those that the task has no use for.
      who: the task's name, for the error.
    """
    for name in meaningless:
        value = getattr(options, name)
        if value != TaskOptions._field_defaults[name]:
            raise InputError(f"--{name}={value}: {who} has no use for it")
