"""Builds data for masked-LM pretraining from text; all flags: `--help`.

The text has one sentence a line and a blank line between documents. Flags and format
are upstream's. Memory does not grow with the text, and any number of processes gives
the same instances.
"""

import dataclasses
import os
import sys

from bert_my.cli import console
from bert_my.cli.flag_sets import CommandLine
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.pretrain import build
from bert_my.pretrain.build import DataConfig
from bert_my.text import vocabulary

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


def find_files(config):
    """Returns (list of text files, dict split -> list of files to write).

    Raises:
      InputError: if no file matches, or an output is read or named twice.
    """
    inputs = files.find(config.input_file, "input_file")
    outputs = {
        split: [path for path in (paths or "").split(",") if path]
        for split, paths in (
            ("train", config.output_file),
            ("dev", config.dev_output_file),
        )
    }
    if not outputs["train"]:
        raise InputError("--output_file is needed")
    read = [*inputs, config.vocab_file, *filter(None, [config.vocab_add])]
    _check_outputs([*outputs["train"], *outputs["dev"]], read)
    return inputs, {split: paths for split, paths in outputs.items() if paths}


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
    path = os.path.join(folder, vocabulary.VOCAB)
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
    inputs, outputs = find_files(config)
    folder = os.path.dirname(os.path.abspath(outputs["train"][0]))
    tokenizer = load_tokenizer(config, folder)
    statistics = build.build(config, tokenizer, inputs, outputs)
    for split, counts in statistics.items():
        print(f"{', '.join(outputs[split])}:")
        print("\n".join(build.describe(counts, config.next_sentence)))


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
