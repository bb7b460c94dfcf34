"""The options of tasks: files, columns, labels and head; data of pretraining.

Needs no TensorFlow, so that a command line can be checked without loading it.
"""

import dataclasses
from typing import Optional

from bert_my.common import options, text_files
from bert_my.common.errors import InputError
from bert_my.common.options import FREE, Options, option
from bert_my.data.tables import is_quoting
from bert_my.pretrain.instances import NEXT_SENTENCE
from bert_my.tasks.loss_options import LossOptions


@dataclasses.dataclass(frozen=True)
class HeadOptions(Options):
    """The layers above the encoder."""

    head: Optional[str] = option(
        None,
        "Representation that the last layer gets from the encoder, for example cls, "
        "mean or cnn; default: the task's.",
    )
    objective: Optional[str] = option(
        None, "Loss and decoding, for example crf or token; default: the task's."
    )


@dataclasses.dataclass(frozen=True)
class TextOptions(HeadOptions, LossOptions):
    """Files, columns, labels, head and loss of tasks on texts with labels."""

    labels: Optional[str] = option(
        None, "Labels in the order of their ids, separated by commas.", on_resume=FREE
    )
    num_labels: Optional[int] = option(
        None,
        "Number of labels; without names they are called 0, 1, 2, ...",
        check=options.between(1, options.MOST_LABELS),
    )
    train_file: Optional[str] = option(
        None, "Train file, instead of one in data_dir.", on_resume=FREE
    )
    dev_file: Optional[str] = option(
        None,
        "Dev file, instead of one in data_dir; or several, separated by commas, of "
        "which the first decides which weights are the best.",
        aliases=("validation_file", "eval_file", "eval_files_dir"),
        on_resume=FREE,
    )
    test_file: Optional[str] = option(
        None, "Test file, instead of one in data_dir.", on_resume=FREE
    )
    text_column: Optional[str] = option(
        None,
        "Column of the text: its name in the header, or its number from 1.",
        aliases=("text_column_name",),
    )
    text_pair_column: Optional[str] = option(None, "Column of the second text, if any.")
    label_column: Optional[str] = option(
        None,
        "Column of the label, or of the tags, where -1 is the last column.",
        aliases=("label_column_name",),
    )
    header: Optional[bool] = option(
        None, "Whether the first row of tables is a header; default: inferred."
    )
    quoting: Optional[str] = option(
        None,
        "Quotes in tables: csv (they enclose cells, as in RFC 4180) or none (they are "
        "characters), also of single files, as in csv,dev=none; default: inferred.",
        check=options.Check(
            is_quoting, "be csv or none, or as in csv,dev=none,test=none"
        ),
    )
    encoding: Optional[str] = option(
        None,
        "Encoding of the data files, for example gb18030; default: UTF-8.",
        check=options.Check(
            text_files.is_encoding, "be the name of an encoding of text"
        ),
    )
    num_dev_examples: int = option(
        0,
        "Without a dev file: number of train examples that are held out as the dev "
        "set, a random sample with the shares of the labels.",
        check=options.count_or_zero,
    )
    max_train_examples: int = option(
        0,
        "Train on a random sample of the examples, at most this many, with the shares "
        "of the labels; 0: on all.",
        check=options.count_or_zero,
        aliases=("max_train_samples",),
    )


@dataclasses.dataclass(frozen=True)
class PretrainingOptions(Options):
    """Shards of pretraining instances, and evaluation on them."""

    input_file: Optional[str] = option(
        None, "Shards: paths, globs and folders, separated by commas.", on_resume=FREE
    )
    input_dir: Optional[str] = option(
        None,
        "Folder of shards, instead of input_file.",
        aliases=("input_files_dir",),
        on_resume=FREE,
    )
    max_predictions_per_seq: int = option(
        20,
        "Maximum number of masked tokens per instance, as the data was built.",
        check=options.between(1, options.MOST_MASKED),
    )
    next_sentence: str = option(
        "nsp",
        "Meaning of next_sentence_labels: nsp (is it the next segment), sop (are the "
        "segments in order) or none (not trained).",
        check=options.one_of(*NEXT_SENTENCE),
    )
    max_eval_steps: int = option(
        0,
        "Evaluate the first batches only, at most this many; 0: all.",
        check=options.count_or_zero,
        on_resume=FREE,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.input_file and self.input_dir:
            raise InputError("--input_file and --input_dir contradict one another")


@dataclasses.dataclass(frozen=True)
class TaskOptions(TextOptions, PretrainingOptions):
    """All options of a task."""


OF_PRETRAINING = options.names(PretrainingOptions)
# Options that pretraining has no use for.
OF_TEXTS = tuple(name for name in options.names(TextOptions) if name != "dev_file")


def check_meaning(options, meaningless, who):
    """Raises an `InputError` for an option that would be without effect.

    Args:
      options: `TaskOptions`.
      meaningless: names of the options that the task has no use for.
      who: the task's name, for the error.
    """
    for name in meaningless:
        value = getattr(options, name)
        if value != getattr(TaskOptions, name):
            raise InputError(f"--{name}={value}: {who} has no use for it")
