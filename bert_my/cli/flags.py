"""Flags of the scripts, and the `RunConfig` made of them.

`RunConfig` is the one list: the flags are derived from its fields. They are defined in
a function, in a set of their own, so that importing a script defines nothing.
"""

import dataclasses
import os
from typing import Optional

from absl import flags as absl_flags

from bert_my.cli import checks
from bert_my.cli.aliases import ALIASES
from bert_my.data.errors import InputError
from bert_my.engine.devices import PRECISIONS

# Accepted, so that command lines for upstream's scripts work.
WITHOUT_EFFECT = (
    "iterations_per_loop",
    "tpu_name",
    "tpu_zone",
    "gcp_project",
    "master",
    "num_tpu_cores",
)


def _flag(default, help_text):
    return dataclasses.field(default=default, metadata={"help": help_text})


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings of a run. A field is a flag; its aliases are flags as well."""

    # What to do.
    task_name: Optional[str] = _flag(None, "Name of the task.")
    do_train: bool = _flag(False, "Train on the train file.")
    do_eval: bool = _flag(False, "Evaluate on the dev (or eval) file.")
    do_predict: bool = _flag(False, "Predict the test file, or else the dev file.")
    save_for_serving: bool = _flag(
        False, "Export a SavedModel to output_dir/serving/<timestamp>."
    )

    # Data and model.
    data_dir: Optional[str] = _flag(None, "Folder with the data set.")
    output_dir: Optional[str] = _flag(
        None, "Folder for checkpoints and results; a run in it is resumed."
    )
    cache_dir: Optional[str] = _flag(
        None, "Folder for encoded records; default: output_dir/cache."
    )
    bert_config_file: Optional[str] = _flag(None, "bert_config.json of the model.")
    vocab_file: Optional[str] = _flag(None, "Vocabulary the model was pretrained with.")
    init_checkpoint: Optional[str] = _flag(
        None, "Initial weights, for example .../bert_model.ckpt."
    )
    do_lower_case: bool = _flag(
        True, "Lower the case of the text: true for uncased models, else false."
    )
    max_seq_length: int = _flag(
        128, "Longest sequence in wordpieces; longer ones are cut."
    )
    head: Optional[str] = _flag(
        None, "What the last layer sees of the encoder; default: the task's."
    )
    objective: Optional[str] = _flag(
        None, "Loss and decoding, for example crf or token; default: the task's."
    )

    # Which data.
    labels: Optional[str] = _flag(
        None, "Labels in the order of their ids, separated by commas."
    )
    num_labels: Optional[int] = _flag(
        None, "Number of labels; named 0, 1, 2, ... if they have no names."
    )
    train_file: Optional[str] = _flag(None, "Train file, instead of one in data_dir.")
    dev_file: Optional[str] = _flag(None, "Dev file, instead of one in data_dir.")
    test_file: Optional[str] = _flag(None, "Test file, instead of one in data_dir.")
    text_column: Optional[str] = _flag(
        None, "Column of the text: its name in the header, or its number from 1."
    )
    text_pair_column: Optional[str] = _flag(None, "Column of the second text, if any.")
    label_column: Optional[str] = _flag(None, "Column of the label.")
    num_dev_examples: int = _flag(
        0, "Without a dev file: how many examples at the end of the train file are it."
    )
    max_train_examples: int = _flag(
        0, "Train on the first so many examples only; 0 for all."
    )

    # Training.
    train_batch_size: int = _flag(32, "Rows per step and tower.")
    eval_batch_size: int = _flag(8, "Rows per step and tower in evaluation.")
    predict_batch_size: int = _flag(8, "Rows per step and tower in prediction.")
    learning_rate: float = _flag(5e-5, "Highest learning rate of AdamW.")
    num_train_epochs: float = _flag(3.0, "Passes over the train file.")
    warmup_proportion: float = _flag(
        0.1, "Share of the steps in which the learning rate rises from 0."
    )
    weight_decay: float = _flag(
        0.01, "Decoupled weight decay; none for biases and LayerNorm."
    )
    seed: int = _flag(12345, "Of initial weights, data order and dropout.")
    overwrite_output_dir: bool = _flag(
        False, "Delete the run in output_dir and begin anew, instead of resuming it."
    )
    deterministic: bool = _flag(
        False, "Give the same numbers bit by bit every time; slower."
    )

    # The loss.
    class_weights: Optional[str] = _flag(
        None,
        "Weight of each label in the loss: 1,2,5, or a file of lines label<TAB>weight, "
        "or auto: all labels count the same.",
    )
    pos_weight: Optional[str] = _flag(
        None,
        "Weight of the positive examples: a number, one for each label, a file or auto "
        "(for multi-label tasks, or the second of two labels).",
    )
    focal_gamma: float = _flag(
        0.0, "Focal loss: how much less examples count that are already right."
    )
    label_smoothing: float = _flag(
        0.0, "Share of the target that is spread over all labels."
    )

    # What is learnt, and how.
    freeze: Optional[str] = _flag(
        None,
        "What does not train: embeddings, pooler, bert, layers and ranges of layers, "
        "for example embeddings,0-5.",
    )
    layer_lr_decay: float = _flag(
        1.0, "Factor of the learning rate from each layer to the one below."
    )
    head_learning_rate: Optional[float] = _flag(
        None, "Learning rate of all above the encoder; default: learning_rate."
    )
    ema_decay: float = _flag(
        0.0, "Use an average of the weights over the steps: its decay; 0 for none."
    )
    adversarial: Optional[str] = _flag(
        None, "fgm: train on perturbed word embeddings as well; twice the time."
    )
    adversarial_epsilon: float = _flag(
        1.0, "Length of the perturbation of the word embeddings."
    )

    # Evaluation during training.
    evaluate_every: Optional[str] = _flag(
        None, "Evaluate on the dev file every so many steps, or every epoch."
    )
    keep_best: Optional[str] = _flag(
        None,
        "Keep the weights with the best value of this metric, for evaluation, "
        "prediction and export; auto: the task's main metric.",
    )
    early_stop_patience: int = _flag(
        0, "Stop after so many evaluations without a better value; 0: never."
    )

    # How it runs.
    use_gpu: Optional[bool] = _flag(
        None, "true: fail without a GPU; false: use none; default: use what is there."
    )
    n_gpus: int = _flag(
        1,
        "Towers; more towers than GPUs share them, without a GPU they run on the CPU.",
    )
    precision: Optional[str] = _flag(
        None, "fp32, fp16 (with loss scaling) or bf16; default: fp32."
    )
    use_fp16: Optional[bool] = _flag(None, "Same as --precision=fp16.")
    save_checkpoints_steps: int = _flag(1000, "Steps between checkpoints.")
    keep_checkpoint_max: int = _flag(5, "Checkpoints to keep; 0 for all.")
    logging_steps: int = _flag(100, "Steps between lines of progress.")
    use_tpu: bool = _flag(False, "Must be false: there is no TPU support.")

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
    flag_values = absl_flags.FlagValues()
    definers = {
        bool: absl_flags.DEFINE_bool,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        str: absl_flags.DEFINE_string,
    }
    fields = dataclasses.fields(RunConfig)
    unknown = set(defaults) - {field.name for field in fields}
    if unknown:
        raise ValueError(f"defaults for flags that do not exist: {sorted(unknown)}")
    for field in fields:
        # Optional[x] is x for a flag: None is what it is when it is not given.
        kind = getattr(field.type, "__args__", (field.type,))[0]
        default = defaults.get(field.name, field.default)
        text = field.metadata["help"]
        definers[kind](field.name, default, text, flag_values=flag_values)
        for alias in ALIASES.get(field.name, ()):
            text = f"Same as --{field.name}."
            definers[kind](alias, None, text, flag_values=flag_values)
    for name in WITHOUT_EFFECT:
        text = "Without effect (TPU)."
        absl_flags.DEFINE_string(name, None, text, flag_values=flag_values)
    absl_flags.DEFINE_bool("help", False, "Show the flags.", flag_values=flag_values)
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
        field.name: _value(flag_values, field)
        for field in dataclasses.fields(RunConfig)
    }
    config = _with_precision(RunConfig(**values))
    checks.check(config)
    return config


def _read(argv, defaults):
    """Returns the flags of a command line."""
    flag_values = define_flags(defaults)
    try:
        rest = flag_values(argv)[1:]
    except absl_flags.Error as error:
        raise InputError(f"{error} (see --help)") from error
    if rest:
        raise InputError(f"argument {rest[0]!r} is not a flag (see --help)")
    return flag_values


def _value(flag_values, field):
    """Returns the value of a field, given by its flag or by one of its aliases."""
    names = [
        name
        for name in (field.name, *ALIASES.get(field.name, ()))
        if flag_values[name].present
    ]
    given = {name: flag_values[name].value for name in names}
    if len(set(given.values())) > 1:
        flags = " and ".join(f"--{name}={value}" for name, value in given.items())
        raise InputError(f"{flags} contradict one another: they are the same setting")
    value = given[names[0]] if names else flag_values[field.name].value
    # The forks' own default is 0, for "no second GPU".
    return 1 if field.name == "n_gpus" and value == 0 else value


def _with_precision(config):
    """Settles `precision` and its older form `use_fp16`."""
    if config.precision not in (None, *PRECISIONS):
        raise InputError(
            f"--precision={config.precision}: it must be one of {', '.join(PRECISIONS)}"
        )
    from_alias = "fp16" if config.use_fp16 else None
    if config.use_fp16 and config.precision not in (None, "fp16"):
        raise InputError(
            f"--use_fp16=true and --precision={config.precision} contradict one another"
        )
    return dataclasses.replace(
        config, precision=config.precision or from_alias or "fp32"
    )
