"""What can be wrong with settings, whatever the files are."""

import math

from bert_my.cli import flag_sets
from bert_my.common.errors import InputError
from bert_my.data import row_order
from bert_my.engine import adversarial, dev_evaluation, train_graph

_POSITIVE = (
    "train_batch_size",
    "gradient_accumulation_steps",
    "eval_batch_size",
    "predict_batch_size",
    "n_gpus",
    "learning_rate",
    "adam_epsilon",
    "num_train_epochs",
    "save_checkpoints_steps",
    "logging_steps",
    "adversarial_epsilon",
    "max_predictions_per_seq",
)
_NOT_NEGATIVE = (
    "weight_decay",
    "keep_checkpoint_max",
    "num_dev_examples",
    "max_train_examples",
    "max_eval_steps",
    "focal_gamma",
    "recompute",
    "intra_op_threads",
    "inter_op_threads",
    "early_stop_patience",
)
_BELOW_ONE = ("label_smoothing", "ema_decay")
_POSITIVE_OR_NONE = ("head_learning_rate", "num_labels", "num_train_steps")
_RULES = (
    (_POSITIVE, lambda value: 0 < value < math.inf, "positive"),
    (
        _POSITIVE_OR_NONE,
        lambda value: value is None or 0 < value < math.inf,
        "positive",
    ),
    (_NOT_NEGATIVE, lambda value: 0 <= value < math.inf, "0 or more"),
    (("num_warmup_steps",), lambda value: value is None or value >= 0, "0 or more"),
    (_BELOW_ONE, lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    (("warmup_proportion",), lambda value: 0 <= value <= 1, "a share, 0 to 1"),
    (("layer_lr_decay",), lambda value: 0 < value <= 1, "above 0 and at most 1"),
)
_JOBS = ("do_train", "do_eval", "do_predict", "save_for_serving")


def check_task(config, task_class):
    """Raises an `InputError` naming the flag that does not suit a class of tasks."""
    for job in _JOBS:
        if getattr(config, job) and job not in task_class.jobs:
            raise InputError(f"--{job}: task {task_class.name} has no use for it")
    if config.vocab_add and not task_class.adds_words:
        raise InputError(
            f"--vocab_add: task {task_class.name} learns too little of new words; add "
            "them in pretraining"
        )
    if not config.vocab_file and (task_class.needs_vocab or config.vocab_add):
        raise InputError("--vocab_file is needed")


def check(config):
    """Raises an `InputError` naming the flag of a `RunConfig` that cannot be right."""
    if config.use_tpu:
        raise InputError("--use_tpu=true: there is no TPU support; leave the flag out")
    if not any(getattr(config, job) for job in _JOBS):
        raise InputError(
            f"at least one of {', '.join('--' + job for job in _JOBS)} is needed"
        )
    for name in ("task_name", "output_dir", "bert_config_file"):
        if not getattr(config, name):
            raise InputError(f"--{name} is needed")
    flag_sets.check_values(config, _RULES)
    if config.max_seq_length < 4:
        raise InputError(
            f"--max_seq_length={config.max_seq_length}: it must hold [CLS], two [SEP] "
            "and some text"
        )
    for name, known in (
        ("adversarial", (None, *adversarial.METHODS)),
        ("optimizer", train_graph.OPTIMIZERS),
        ("length_buckets", row_order.MODES),
    ):
        if getattr(config, name) not in known:
            raise InputError(
                f"--{name}={getattr(config, name)}: it must be one of "
                f"{', '.join(filter(None, known))}"
            )
    every = config.evaluate_every
    is_count = every is not None and every.isdecimal() and int(every) > 0
    if not is_count and every not in (None, dev_evaluation.EPOCH):
        raise InputError(
            f"--evaluate_every={every}: it must be a number of steps, or "
            f"{dev_evaluation.EPOCH}"
        )
