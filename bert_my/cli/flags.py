"""The options of a run, from which the flags of the scripts are derived.

A new option is declared in a group that `RunConfig` inherits, beside the code that uses
it; nothing here has to be changed. Needs no TensorFlow.
"""

import dataclasses
import os
from typing import Optional

from bert_my.cli.flag_sets import CommandLine
from bert_my.cli.other_flags import OTHERS
from bert_my.common.errors import InputError
from bert_my.common.options import FREE, MOST_ROWS, MOST_TOKENS, Check, one_of, option
from bert_my.engine.options import DeviceOptions, EvalOptions, TrainOptions
from bert_my.engine.run_folder import CACHE, IDENTITY, SETTINGS
from bert_my.tasks.options import TaskOptions

VERBOSITIES = ("debug", "info", "warning", "error")
MODEL_NEEDED = (
    "--model is needed, the folder of a model; or --bert_config_file, with "
    "--vocab_file and --init_checkpoint"
)
# Flags that ask for training where no job is named.
_OF_TRAINING = ("learning_rate", "num_train_epochs", "num_train_steps")
_JOBS = ("do_train", "do_eval", "do_predict", "save_for_serving")


@dataclasses.dataclass(frozen=True)
class RunConfig(TaskOptions, TrainOptions, EvalOptions, DeviceOptions):
    """All options of a run; here its jobs, data and model files."""

    task_name: Optional[str] = option(
        None, "Name of the task.", aliases=("task",), on_resume=FREE
    )
    do_train: bool = option(False, "Train on the train file.", on_resume=FREE)
    do_eval: bool = option(False, "Evaluate on the dev (or eval) file.", on_resume=FREE)
    do_predict: bool = option(
        False,
        "Predict the test file, or the dev file if there is no test file.",
        on_resume=FREE,
    )
    save_for_serving: bool = option(
        False, "Export a SavedModel to output_dir/serving/<timestamp>.", on_resume=FREE
    )
    data_dir: Optional[str] = option(
        None, "Folder with the data set.", aliases=("data_path",), on_resume=FREE
    )
    cache_dir: Optional[str] = option(
        None, "Folder for encoded records; default: output_dir/cache.", on_resume=FREE
    )
    model: Optional[str] = option(
        None,
        "Folder of a model, for vocabulary, config, weights and case: Google's, a "
        "run's --output_dir or Hugging Face's. The four flags win.",
        aliases=("model_name_or_path", "pretrained_model_name_or_path", "bert_model"),
        on_resume=FREE,
    )
    bert_config_file: Optional[str] = option(
        None, "bert_config.json of the model.", aliases=("config_file",), on_resume=FREE
    )
    vocab_file: Optional[str] = option(
        None, "Vocabulary the model was pretrained with.", on_resume=FREE
    )
    vocab_add: Optional[str] = option(
        None,
        "File with words, one per line, to add to the vocabulary and the word "
        "embeddings.",
        on_resume=FREE,
    )
    do_lower_case: bool = option(
        True, "Lowercase the text: true for uncased models, else false."
    )
    max_seq_length: int = option(
        128,
        "Maximum sequence length in wordpieces; longer ones are truncated.",
        check=Check(
            lambda value: 4 <= value <= MOST_TOKENS,
            f"hold [CLS], two [SEP] and some text, and be at most {MOST_TOKENS}",
        ),
        aliases=("max_seq_len", "max_length"),
    )
    use_tpu: bool = option(
        False, "Must be false: there is no TPU support.", on_resume=FREE
    )
    verbosity: str = option(
        "info",
        "debug (TensorFlow's log lines too), info, warning or error.",
        check=one_of(*VERBOSITIES),
        on_resume=FREE,
    )

    def __post_init__(self):
        super().__post_init__()
        parts = (
            self.train_batch_size,
            self.n_gpus or 1,
            self.gradient_accumulation_steps,
        )
        num_rows = parts[0] * parts[1] * parts[2]
        if num_rows > MOST_ROWS:
            raise InputError(
                f"--train_batch_size={parts[0]} on {parts[1]} towers, "
                f"--gradient_accumulation_steps={parts[2]}: a step would have "
                f"{num_rows} rows; it must have at most {MOST_ROWS}"
            )

    @property
    def record_dir(self):
        """Folder for encoded records."""
        return self.cache_dir or self.folder.path_of(CACHE)

    @property
    def evaluates_in_training(self):
        """True if the dev set is evaluated while the model trains."""
        return self.do_train and bool(self.dev_flags)

    @property
    def begins_anew(self):
        """True if the run in the output folder is to be deleted."""
        return self.do_train and self.overwrite_output_dir

    def check_needed(self):
        """Raises an `InputError` naming a flag that must be given, or must not be."""
        if self.use_tpu:
            raise InputError(
                "--use_tpu=true: there is no TPU support; leave the flag out"
            )
        if not any(getattr(self, job) for job in _JOBS):
            raise InputError(
                f"at least one of {', '.join('--' + job for job in _JOBS)} is needed"
            )
        for name in ("task_name", "output_dir"):
            if not getattr(self, name):
                raise InputError(f"--{name} is needed")
        paths = map(self.folder.path_of, (SETTINGS, IDENTITY))
        is_run = any(map(os.path.exists, paths))
        if not self.bert_config_file and not self.model and not is_run:
            raise InputError(MODEL_NEEDED)

    def check_task(self, task_class):
        """Raises an `InputError` naming the flag that a class of tasks cannot use."""
        for job in _JOBS:
            if getattr(self, job) and job not in task_class.jobs:
                raise InputError(f"--{job}: task {task_class.name} has no use for it")
        if self.vocab_add and not task_class.adds_words:
            raise InputError(
                f"--vocab_add: task {task_class.name} learns too little of new words; "
                "add them in pretraining"
            )
        if not self.vocab_file and (task_class.needs_vocab or self.vocab_add):
            raise InputError("--vocab_file is needed, or --model")


def read(argv, defaults=None):
    """Returns the `CommandLine` of a run; see there for the errors."""
    return CommandLine(argv, RunConfig, defaults, OTHERS)


def parse(argv, defaults=None):
    """Returns the `RunConfig` of a command line, or None if it asks for help.

    Args:
      argv, defaults: see `CommandLine`.

    Raises:
      InputError: naming the flag that is unknown, missing or wrong, or contradicts
        another.
    """
    command = read(argv, defaults)
    config = command.options()
    if config is not None:
        config = config.with_older_forms()
        given = command.given()
        # As scripts without flags for jobs, which train.
        if not given.keys() & set(_JOBS) and given.keys() & set(_OF_TRAINING):
            config = dataclasses.replace(config, do_train=True)
        config.check_needed()
    return config


def same_setting(flag):
    """Returns all flags that set the option of a flag; the option's name is first."""
    for field in dataclasses.fields(RunConfig):
        others = (*field.metadata["aliases"], *field.metadata["older_forms"])
        converted = [
            name
            for name, each in OTHERS.converted.items()
            if field.name in each.options
        ]
        if flag in (field.name, *others, *converted):
            return (field.name, *others, *converted)
    return (flag,)
