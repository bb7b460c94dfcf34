"""Flags of the scripts, and the `RunConfig` made of them.

`RunConfig` is the one list: the flags are derived from its fields.
"""

import dataclasses
import os
from typing import Optional

from absl import flags as absl_flags

from bert_my.cli import checks, flag_sets
from bert_my.cli.aliases import ALIASES
from bert_my.cli.flag_sets import setting
from bert_my.common.errors import InputError
from bert_my.engine.devices import AUTO, PRECISIONS

# Accepted, so that command lines for upstream's scripts work.
WITHOUT_EFFECT = (
    "iterations_per_loop",
    "tpu_name",
    "tpu_zone",
    "gcp_project",
    "master",
    "num_tpu_cores",
)
# A flag, and the one that counts without it.
INSTEAD_OF = (
    ("num_train_steps", "num_train_epochs"),
    ("num_warmup_steps", "warmup_proportion"),
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings of a run. A field is a flag; its aliases are flags as well."""

    # What to do.
    task_name: Optional[str] = setting(None, "Name of the task.")
    do_train: bool = setting(False, "Train on the train file.")
    do_eval: bool = setting(False, "Evaluate on the dev (or eval) file.")
    do_predict: bool = setting(False, "Predict the test file, or else the dev file.")
    save_for_serving: bool = setting(
        False, "Export a SavedModel to output_dir/serving/<timestamp>."
    )

    # Data and model.
    data_dir: Optional[str] = setting(None, "Folder with the data set.")
    output_dir: Optional[str] = setting(
        None, "Folder for checkpoints and results; a run in it is resumed."
    )
    cache_dir: Optional[str] = setting(
        None, "Folder for encoded records; default: output_dir/cache."
    )
    bert_config_file: Optional[str] = setting(None, "bert_config.json of the model.")
    vocab_file: Optional[str] = setting(
        None, "Vocabulary the model was pretrained with."
    )
    init_checkpoint: Optional[str] = setting(
        None, "Initial weights, for example .../bert_model.ckpt."
    )
    do_lower_case: bool = setting(
        True, "Lower the case of the text: true for uncased models, else false."
    )
    max_seq_length: int = setting(
        128, "Longest sequence in wordpieces; longer ones are cut."
    )
    head: Optional[str] = setting(
        None, "What the last layer sees of the encoder; default: the task's."
    )
    objective: Optional[str] = setting(
        None, "Loss and decoding, for example crf or token; default: the task's."
    )

    # Which data.
    labels: Optional[str] = setting(
        None, "Labels in the order of their ids, separated by commas."
    )
    num_labels: Optional[int] = setting(
        None, "Number of labels; named 0, 1, 2, ... if they have no names."
    )
    train_file: Optional[str] = setting(None, "Train file, instead of one in data_dir.")
    dev_file: Optional[str] = setting(None, "Dev file, instead of one in data_dir.")
    test_file: Optional[str] = setting(None, "Test file, instead of one in data_dir.")
    text_column: Optional[str] = setting(
        None, "Column of the text: its name in the header, or its number from 1."
    )
    text_pair_column: Optional[str] = setting(
        None, "Column of the second text, if any."
    )
    label_column: Optional[str] = setting(None, "Column of the label.")
    num_dev_examples: int = setting(
        0, "Without a dev file: how many examples at the end of the train file are it."
    )
    max_train_examples: int = setting(
        0, "Train on the first so many examples only; 0 for all."
    )

    # Data of pretraining.
    input_file: Optional[str] = setting(
        None, "Shards: paths and globs, separated by commas."
    )
    input_dir: Optional[str] = setting(None, "Folder of shards, instead of input_file.")
    max_predictions_per_seq: int = setting(
        20, "Masked tokens of an instance, as its data was built."
    )
    next_sentence: str = setting(
        "nsp", "What next_sentence_labels say: nsp, sop, or none: they are not learnt."
    )
    vocab_add: Optional[str] = setting(
        None,
        "File with words, one a line, that are added to vocabulary and embeddings.",
    )

    # Training.
    train_batch_size: int = setting(32, "Rows that a tower computes at once.")
    gradient_accumulation_steps: int = setting(
        1, "Batches of each tower in a step: as a larger batch, in the memory of one."
    )
    length_buckets: str = setting(
        "auto", "auto: a batch holds texts of like length, to pad less; off: any."
    )
    eval_batch_size: int = setting(
        8,
        "Rows of full length per step and tower in evaluation, and of short ones more.",
    )
    predict_batch_size: int = setting(
        8,
        "Rows of full length per step and tower in prediction, and of short ones more.",
    )
    optimizer: str = setting("adamw", "adamw, or lamb for very large batches.")
    learning_rate: float = setting(5e-5, "Highest learning rate.")
    adam_epsilon: float = setting(
        1e-6, "Added to the root of the mean squared gradient; of LAMB too."
    )
    num_train_epochs: float = setting(3.0, "Passes over the train file.")
    num_train_steps: Optional[int] = setting(
        None, "Steps of the run, instead of num_train_epochs."
    )
    warmup_proportion: float = setting(
        0.1, "Share of the steps in which the learning rate rises from 0."
    )
    num_warmup_steps: Optional[int] = setting(
        None, "Steps in which it does so, instead of warmup_proportion."
    )
    weight_decay: float = setting(
        0.01, "Decoupled weight decay; none for biases and LayerNorm."
    )
    seed: int = setting(12345, "Of initial weights, data order and dropout.")
    overwrite_output_dir: bool = setting(
        False, "Delete the run in output_dir and begin anew, instead of resuming it."
    )
    deterministic: bool = setting(
        False, "Give the same numbers bit by bit every time; slower."
    )

    # The loss.
    class_weights: Optional[str] = setting(
        None,
        "Weight of each label in the loss: 1,2,5, or a file of lines label<TAB>weight, "
        "or auto: all labels count the same.",
    )
    pos_weight: Optional[str] = setting(
        None,
        "Weight of the positive examples: a number, one for each label, a file or auto "
        "(for multi-label tasks, or the second of two labels).",
    )
    focal_gamma: float = setting(
        0.0, "Focal loss: how much less examples count that are already right."
    )
    label_smoothing: float = setting(
        0.0, "Share of the target that is spread over all labels."
    )

    # What is learnt, and how.
    freeze: Optional[str] = setting(
        None,
        "What does not train: embeddings, pooler, bert, layers and ranges of layers, "
        "for example embeddings,0-5.",
    )
    layer_lr_decay: float = setting(
        1.0, "Factor of the learning rate from each layer to the one below."
    )
    head_learning_rate: Optional[float] = setting(
        None, "Learning rate of all above the encoder; default: learning_rate."
    )
    ema_decay: float = setting(
        0.0, "Use an average of the weights over the steps: its decay; 0 for none."
    )
    adversarial: Optional[str] = setting(
        None, "fgm: train on perturbed word embeddings as well; twice the time."
    )
    adversarial_epsilon: float = setting(
        1.0, "Length of the perturbation of the word embeddings."
    )

    # Evaluation during training.
    evaluate_every: Optional[str] = setting(
        None, "Evaluate on the dev file every so many steps, or every epoch."
    )
    keep_best: Optional[str] = setting(
        None,
        "Keep the weights with the best value of this metric, for evaluation, "
        "prediction and export; auto: the task's main metric.",
    )
    early_stop_patience: int = setting(
        0, "Stop after so many evaluations without a better value; 0: never."
    )

    max_eval_steps: int = setting(
        0, "Evaluate the first so many batches only; 0 for all."
    )

    # How it runs.
    use_gpu: Optional[bool] = setting(
        None, "true: fail without a GPU; false: use none; default: use what is there."
    )
    n_gpus: int = setting(
        1,
        "Towers; more towers than GPUs share them, without a GPU they run on the CPU.",
    )
    precision: Optional[str] = setting(
        None,
        "fp32, bf16, fp16 (with loss scaling), or auto: bf16 or fp16 if the device is "
        "made for it; default: fp32.",
    )
    use_fp16: Optional[bool] = setting(None, "Same as --precision=fp16.")
    use_xla: Optional[bool] = setting(
        None, "Compile parts of a training step; default: in long runs on a CPU."
    )
    recompute: int = setting(
        0, "Layers of which a step keeps the input only: less memory, more time."
    )
    intra_op_threads: int = setting(
        0, "Threads of the CPU that share one operation; 0: one for each core."
    )
    inter_op_threads: int = setting(
        0, "Operations that the CPU does at once; 0: one for each core."
    )
    save_checkpoints_steps: int = setting(1000, "Steps between checkpoints.")
    keep_checkpoint_max: int = setting(5, "Checkpoints to keep; 0 for all.")
    logging_steps: int = setting(100, "Steps between lines of progress.")
    report_mfu: bool = setting(
        False, "Show which share of the devices' peak the model's FLOPs are."
    )
    use_tpu: bool = setting(False, "Must be false: there is no TPU support.")

    @property
    def record_dir(self):
        """Folder for encoded records."""
        return self.cache_dir or os.path.join(self.output_dir, "cache")

    @property
    def evaluates_in_training(self):
        """Whether the dev set is evaluated while the model trains."""
        return self.do_train and bool(self.dev_flags)

    @property
    def dev_flags(self):
        """The flags that ask for an evaluation during training."""
        names = ("evaluate_every", "keep_best", "early_stop_patience")
        return [f"--{name}" for name in names if getattr(self, name)]

    @property
    def begins_anew(self):
        """Whether the run in the output folder is to be deleted."""
        return self.do_train and self.overwrite_output_dir

    def select(self, settings_class, **more):
        """Returns a named tuple whose other fields are those of the same name here."""
        names = set(settings_class._fields) - set(more)
        return settings_class(**{name: getattr(self, name) for name in names}, **more)


def define_flags(defaults):
    """Returns a new set with all flags.

    Args:
      defaults: dict name -> value, over those of `RunConfig`.

    Raises:
      ValueError: if a default is not the name of a flag.
    """
    flag_values = flag_sets.define(RunConfig, defaults, ALIASES)
    for name in WITHOUT_EFFECT:
        text = "Without effect (TPU)."
        absl_flags.DEFINE_string(name, None, text, flag_values=flag_values)
    return flag_values


def read_task_name(argv):
    """Returns the value of `--task_name` on a command line, or None.

    Raises:
      InputError: naming the flag that is unknown or wrong.
    """
    return _read(argv, {})["task_name"].value


def parse(argv, defaults):
    """Returns the `RunConfig` of a command line, or None if it asks for help.

    Args:
      argv: list of arguments, with the name of the program first.
      defaults: see `define_flags`.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    flag_values = _read(argv, defaults)
    if flag_values["help"].value:
        print(flag_values.get_help())
        return None
    values = {
        field.name: flag_sets.value_of(flag_values, field.name, ALIASES)
        for field in dataclasses.fields(RunConfig)
    }
    for name, other in INSTEAD_OF:
        given = [
            x for x in (name, other) if flag_sets.is_given(flag_values, x, ALIASES)
        ]
        if len(given) == 2:
            raise InputError(f"--{name} and --{other} contradict one another")
        if given == [other]:
            values[name] = None  # what was given comes before a default
    # The forks' own default is 0, for "no second GPU".
    values["n_gpus"] = values["n_gpus"] or 1
    config = _with_precision(RunConfig(**values))
    checks.check(config)
    return config


def _read(argv, defaults):
    """Returns the flags of a command line."""
    flag_values = define_flags(defaults)
    flag_sets.read(flag_values, argv)
    return flag_values


def _with_precision(config):
    """Settles `precision` and its older form `use_fp16`."""
    known = (AUTO, *PRECISIONS)
    if config.precision not in (None, *known):
        raise InputError(
            f"--precision={config.precision}: it must be one of {', '.join(known)}"
        )
    from_alias = "fp16" if config.use_fp16 else None
    if config.use_fp16 and config.precision not in (None, "fp16"):
        raise InputError(
            f"--use_fp16=true and --precision={config.precision} contradict one another"
        )
    return dataclasses.replace(
        config, precision=config.precision or from_alias or "fp32"
    )
