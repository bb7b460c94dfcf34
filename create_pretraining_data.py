"""Builds data for masked-LM pretraining from text; all flags: `--help`.

The text has one sentence a line and a blank line between documents. Flags and format
are upstream's. Memory does not grow with the text, and any number of processes gives
the same instances.
"""

import dataclasses
import os
import sys
from typing import Optional

from bert_my.cli import console
from bert_my.cli.flag_sets import CommandLine
from bert_my.common import files, options
from bert_my.common.errors import InputError
from bert_my.common.options import Options, option
from bert_my.pretrain import build
from bert_my.pretrain.instances import NEXT_SENTENCE, InstanceSettings
from bert_my.pretrain.masking import RULES
from bert_my.pretrain.shards import FORMATS
from bert_my.text import vocabulary


@dataclasses.dataclass(frozen=True)
class DataConfig(Options):
    """All options."""

    input_file: Optional[str] = option(
        None, "Text files: paths and globs, separated by commas; also .gz."
    )
    output_file: Optional[str] = option(
        None, "Files to write, separated by commas; instances are spread over them."
    )
    dev_output_file: Optional[str] = option(
        None, "Hold out some documents and write their instances here."
    )
    dev_share: float = option(
        0.05,
        "Share of the documents that are held out.",
        check=options.Check(lambda value: 0 < value < 1, "be above 0 and below 1"),
    )
    vocab_file: Optional[str] = option(None, "Vocabulary of the model.")
    vocab_add: Optional[str] = option(
        None,
        "File with words, one per line, to add to the vocabulary, which is written as "
        "vocab.txt beside the output.",
    )
    do_lower_case: bool = option(True, "True for uncased models, else false.")
    line_documents: bool = option(
        False, "Each line is a document, as in a file of titles."
    )
    max_seq_length: int = option(
        128, "Tokens per instance, with special tokens.", check=options.at_least(5)
    )
    max_predictions_per_seq: int = option(
        20, "Maximum number of masked tokens per instance.", check=options.positive
    )
    masked_lm_prob: float = option(
        0.15, "Share of the tokens that are masked.", check=options.positive_share
    )
    short_seq_prob: float = option(
        0.1,
        "Share of the instances that are made shorter than max_seq_length.",
        check=options.share,
    )
    masking: Optional[str] = option(
        None,
        "wordpiece, whole_word (Chinese words by jieba), ngram (1 to 3 words) or span "
        "(half of a segment); default: wordpiece.",
        check=options.one_of(*RULES),
    )
    do_whole_word_mask: bool = option(False, "Same as --masking=whole_word.")
    next_sentence: str = option(
        "nsp",
        "nsp (is the second segment the next one), sop (are they in order) or none "
        "(one segment).",
        check=options.one_of(*NEXT_SENTENCE),
    )
    dupe_factor: int = option(
        10, "Copies of the text, each with other masks.", check=options.positive
    )
    random_seed: int = option(12345, "Seed; the same seed gives the same instances.")
    num_workers: int = option(
        1,
        "Number of processes; the instances do not depend on it.",
        check=options.positive,
    )
    format: str = option(
        "tfrecord",
        "tfrecord, or hdf5 as NVIDIA's scripts read.",
        check=options.one_of(*FORMATS),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.do_whole_word_mask and self.masking not in (None, "whole_word"):
            raise InputError(
                f"--do_whole_word_mask=true and --masking={self.masking} contradict "
                "one another"
            )
        if self.dev_share != DataConfig.dev_share and not self.dev_output_file:
            raise InputError(f"--dev_share={self.dev_share} needs --dev_output_file")


_OUTPUT_FLAGS = "--output_file and --dev_output_file"


def parse(argv):
    """Returns the `DataConfig` of a command line, or None after printing the help.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    line = CommandLine(argv, DataConfig)
    if line.shows_help():
        return None
    config = line.options()
    for name in ("input_file", "output_file", "vocab_file"):
        if not getattr(config, name):
            raise InputError(f"--{name} is needed")
    from_older_form = "whole_word" if config.do_whole_word_mask else "wordpiece"
    return dataclasses.replace(config, masking=config.masking or from_older_form)


def build_settings(config):
    """Returns the `build.BuildSettings` of a `DataConfig`.

    Raises:
      InputError: if flags do not fit one another, or no file matches.
    """
    fields = InstanceSettings._fields
    instances = InstanceSettings(**{name: getattr(config, name) for name in fields})
    # Each of two segments has at least one token.
    longest_segment = instances.max_tokens - (config.next_sentence != "none")
    longest_half = (longest_segment + 1) // 2
    if config.masking == "span" and config.max_predictions_per_seq < longest_half:
        raise InputError(
            f"--max_predictions_per_seq={config.max_predictions_per_seq}: with "
            "--masking=span half of a segment is masked; it must be at least "
            f"{longest_half}"
        )
    inputs = files.find(config.input_file, "input_file")
    outputs, dev_outputs = (
        [path for path in (paths or "").split(",") if path]
        for paths in (config.output_file, config.dev_output_file)
    )
    if not outputs:
        raise InputError("--output_file is needed")
    read = [*inputs, config.vocab_file, *filter(None, [config.vocab_add])]
    _check_outputs([*outputs, *dev_outputs], read)
    return build.BuildSettings(
        inputs=inputs,
        outputs=outputs,
        dev_outputs=dev_outputs,
        dev_share=config.dev_share,
        line_documents=config.line_documents,
        instances=instances,
        shard_format=config.format,
        dupe_factor=config.dupe_factor,
        seed=config.random_seed,
        num_workers=config.num_workers,
    )


def _check_outputs(outputs, inputs):
    """Raises an `InputError` if an output is an input, a folder or named twice."""
    written = [os.path.realpath(path) for path in outputs]
    for path in written:
        if written.count(path) > 1:
            raise InputError(f"{_OUTPUT_FLAGS}: {path} is named twice")
        if path in map(os.path.realpath, inputs):
            raise InputError(f"{_OUTPUT_FLAGS}: {path} is read, so it is not written")
        if os.path.isdir(path):
            raise InputError(f"{_OUTPUT_FLAGS}: {path} is a folder")


def load_tokenizer(config, folder):
    """Returns the tokenizer of a `DataConfig`.

    With `--vocab_add` the enlarged vocabulary is written to `vocab.txt` in a folder.
    """
    needed = ("[UNK]", "[CLS]", "[SEP]", "[MASK]")
    read = vocabulary.read_tokenizer
    tokenizer = read(config.vocab_file, config.do_lower_case, required_tokens=needed)
    if not config.vocab_add:
        return tokenizer
    added = vocabulary.add_words(tokenizer, config.vocab_add)
    path = os.path.join(folder, "vocab.txt")
    if os.path.exists(path) and not added.is_in(path):
        raise InputError(
            f"{path}: the enlarged vocabulary would replace it; delete it, or choose "
            "another folder for --output_file"
        )
    files.make_folder(folder, "output_file")
    vocabulary.write(path, added.lines)
    print(added)
    return read(path, config.do_lower_case, required_tokens=needed)


def run(config):
    """Builds the data of a `DataConfig` and prints its table of counts.

    Raises:
      InputError: if a flag or an input file is wrong.
    """
    settings = build_settings(config)
    folder = os.path.dirname(os.path.abspath(settings.outputs[0]))
    statistics = build.build(settings, load_tokenizer(config, folder))
    outputs = {"train": settings.outputs, "dev": settings.dev_outputs}
    for split, counted in statistics.items():
        print(f"{', '.join(outputs[split])}:")
        print("\n".join(counted.lines(config.next_sentence)))


def main(argv=None):
    """Runs a command line; wrong input ends the program with one line."""
    console.log_to_stderr()
    try:
        config = parse(argv or sys.argv)
        if config is not None:
            run(config)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
