"""Builds data for masked-LM pretraining from text; all flags: `--help`.

The text has one sentence a line and a blank line between documents. Flags and format
are upstream's.

First all text becomes blocks of ids on disk, then instances are made of one block after
the other, once for each copy. So memory does not grow with the text. The seed of each
block follows from its number, so any number of processes gives the same instances.
"""

import collections
import dataclasses
import logging
import os
import random
import sys
from typing import Optional

from bert_my.cli import console
from bert_my.cli.flag_sets import CommandLine
from bert_my.common import files, leftovers, options
from bert_my.common.errors import InputError
from bert_my.common.options import Options, option
from bert_my.common.progress import Bar
from bert_my.data import workers
from bert_my.pretrain import builds, corpus
from bert_my.pretrain.instances import NEXT_SENTENCE, Vocabulary, make_instances
from bert_my.pretrain.masking import RULES
from bert_my.pretrain.shards import FORMATS
from bert_my.text import vocabulary

logger = logging.getLogger("bert_my.create_pretraining_data")

MOST_COPIES, MOST_PROCESSES = 10000, 256
_OUTPUT_FLAGS = "--output_file and --dev_output_file"


@dataclasses.dataclass(frozen=True)
class DataConfig(Options):
    """All options of a build; `make_instances` reads those of one instance, too."""

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
        128,
        "Tokens per instance, with special tokens.",
        check=options.between(5, options.MOST_TOKENS),
    )
    max_predictions_per_seq: int = option(
        20,
        "Maximum number of masked tokens per instance.",
        check=options.between(1, options.MOST_MASKED),
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
        10,
        "Copies of the text, each with other masks.",
        check=options.between(1, MOST_COPIES),
    )
    random_seed: int = option(
        12345,
        "Seed; the same seed gives the same instances.",
        check=options.between(-options.MOST, options.MOST),
    )
    num_workers: int = option(
        1,
        "Number of processes; the instances do not depend on it.",
        check=options.between(1, MOST_PROCESSES),
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
        # Each of two segments has at least one token.
        longest_segment = self.max_tokens - (self.next_sentence != "none")
        longest_half = (longest_segment + 1) // 2
        if self.masking == "span" and self.max_predictions_per_seq < longest_half:
            raise InputError(
                f"--max_predictions_per_seq={self.max_predictions_per_seq}: with "
                "--masking=span half of a segment is masked; it must be at least "
                f"{longest_half}"
            )

    @property
    def max_tokens(self):
        """The most tokens of text in an instance."""
        return self.max_seq_length - (2 if self.next_sentence == "none" else 3)


def parse(argv):
    """Returns the `DataConfig` of a command line, or None after printing the help.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    config = CommandLine(argv, DataConfig).options()
    if config is None:
        return None
    for name in ("input_file", "output_file", "vocab_file"):
        if not (getattr(config, name) or "").strip(","):
            raise InputError(f"--{name} is needed")
    from_older_form = "whole_word" if config.do_whole_word_mask else "wordpiece"
    return dataclasses.replace(config, masking=config.masking or from_older_form)


def find_files(config):
    """Returns (list of text files, dict split -> list of files to write).

    Raises:
      InputError: if no file matches, or an output is read or named twice.
    """
    inputs = files.find(config.input_file, "input_file")
    train = list(filter(None, config.output_file.split(",")))
    dev = list(filter(None, (config.dev_output_file or "").split(",")))
    read = [*inputs, config.vocab_file, *filter(None, [config.vocab_add])]
    _check_outputs([*train, *dev], read)
    return inputs, {"train": train, "dev": dev} if dev else {"train": train}


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


def _store_blocks(config, tokenizer, inputs, splits, folder):
    """Writes the blocks of text files.

    Args:
      config: `DataConfig`.
      tokenizer: `tokenization.FullTokenizer`.
      inputs: list of text files.
      splits: "train", and "dev" if documents are held out.
      folder: to write into.

    Returns:
      dict split -> list of `StoredBlock`, in the order of the text.
    """
    find_words = config.masking in ("whole_word", "ngram")
    unknown_id = tokenizer.vocab[tokenizer.wordpiece_tokenizer.unk_token]
    share = config.dev_share if "dev" in splits else 0.0

    def split_of(part):
        # Spread evenly: of 0.05 these are the documents 20, 40, 60, ...
        is_dev = int((part.number + 1) * share) > int(part.number * share)
        return "dev" if is_dev else "train"

    def store(item):
        index, (split, parts) = item
        block = corpus.encode(parts, tokenizer, find_words, config.max_tokens)
        path = os.path.join(folder, f"{index}.npz")
        return split, block and block.store(path, unknown_id)

    stored = {split: [] for split in splits}
    with Bar("Reading", "characters", unit_scale=True) as progress:
        parts = corpus.read_parts(inputs, config.line_documents, progress.update)
        items = enumerate(corpus.group(parts, split_of))
        for split, block in workers.ordered_map(store, items, config.num_workers):
            if block:
                stored[split].append(block)
    return stored


def _check_enough(config, about, split, blocks):
    """Raises an `InputError` if a split has too few documents.

    Args:
      config: `DataConfig`.
      about: names of the text files.
      split: "train" or "dev".
      blocks: list of `StoredBlock`.
    """
    needed = 2 if config.next_sentence == "nsp" else 1
    found = len({n for b in blocks for n in (b.first_document, b.last_document)})
    if found >= needed:
        return
    if split == "dev" or not found:
        flag = f" for --dev_share={config.dev_share}" if split == "dev" else ""
        raise InputError(
            f"{about}: too few documents{flag}: {found} with text, needed are "
            f"{needed}; a blank line stands between documents, or with "
            "--line_documents each line is one"
        )
    raise InputError(
        f"{about}: all text is one document, and --next_sentence=nsp needs segments "
        "of another one; put blank lines between documents, or choose "
        "--line_documents, --next_sentence=sop or --next_sentence=none"
    )


def _write(config, tokenizer, about, split, blocks, write):
    """Writes the instances of a split by a `shards.Writer`; returns its counts."""
    num_copies = config.dupe_factor if split == "train" else 1
    token_ids = Vocabulary.of(tokenizer)
    shard_format = FORMATS[config.format]

    def make(job):
        copy, index, other = job
        block = blocks[index].read()
        instances = make_instances(
            block,
            block if other == index else blocks[other].read(),
            config,
            token_ids,
            f"{config.random_seed}/{split}/{copy}/{index}",
        )
        return shard_format.encode(instances), _count_instances(instances)

    total = _count_text(blocks)
    jobs = _jobs(config, split, blocks, num_copies)
    with Bar(f"Writing {split}", "blocks", num_copies * len(blocks)) as progress:
        for encoded, counted in workers.ordered_map(make, jobs, config.num_workers):
            write(encoded)
            total.update(counted)
            progress.update()
        if not total["instances"]:
            raise InputError(
                f"{about}: the text gives no instance of {split}: no document has two "
                "tokens, which --next_sentence=sop needs"
            )
    return total


def _count_instances(instances):
    """Returns the counts of the return value of `make_instances`."""
    return collections.Counter(
        instances=len(instances["input_ids"]),
        positions=instances["input_ids"].size,
        instance_tokens=int(instances["input_mask"].sum()),
        predictions=int(instances["masked_lm_weights"].sum()),
        labels=int(instances["next_sentence_labels"].sum()),
    )


def _count_text(blocks):
    """Returns the counts of the text of `StoredBlock`s."""
    # A document that goes on in the next block counts once.
    num_split = sum(
        a.last_document == b.first_document for a, b in zip(blocks, blocks[1:])
    )
    total = collections.Counter(documents=-num_split)
    for block in blocks:
        total.update(block.counts)
    return total


def _jobs(config, split, blocks, num_copies):
    """Yields (copy, block, block of random next segments), by their numbers.

    Copy by copy, so that copies of a text stand far from one another.
    """
    is_nsp = config.next_sentence == "nsp"
    for copy in range(num_copies):
        rng = random.Random(f"{config.random_seed}/{split}/{copy}")
        order = list(range(len(blocks)))
        rng.shuffle(order)
        for index in order:
            other = rng.choice(order) if is_nsp else index
            while is_nsp and not _has_other_documents(blocks[other], blocks[index]):
                other = rng.choice(order)
            yield copy, index, other


def _has_other_documents(other, block):
    """Returns True if `other` has a different document for each document of `block`."""
    is_single = other.first_document == other.last_document
    is_within = block.first_document <= other.first_document <= block.last_document
    return not (is_single and is_within)


def describe(counts, next_sentence):
    """Returns the lines of a table of the counts of a split.

    Args:
      counts: `collections.Counter`, sums of `_count_text` and `_count_instances`.
      next_sentence: one of `instances.NEXT_SENTENCE`.
    """
    num_tokens, instances = counts["instance_tokens"], counts["instances"]
    num_padding = counts["positions"] - num_tokens
    facts = [
        ("documents", f"{counts['documents']:,}"),
        ("tokens of text", f"{counts['tokens']:,}"),
        ("[UNK] among them", _share(counts["unknown"], counts["tokens"])),
        ("instances", f"{instances:,}"),
        ("mean length in tokens", f"{num_tokens / max(instances, 1):.1f}"),
        ("padding", _share(num_padding, counts["positions"])),
        ("masked tokens", f"{counts['predictions']:,}"),
        ("masked among real tokens", _share(counts["predictions"], num_tokens)),
    ]
    label = {"nsp": "random next segments", "sop": "swapped segments"}
    if next_sentence in label:
        facts.append((label[next_sentence], _share(counts["labels"], instances)))
    return [f"  {name:<26}{value:>16}" for name, value in facts]


def _share(part, whole):
    return f"{100 * part / max(whole, 1):.2f} %"


def run(config):
    """Builds the data of a `DataConfig` and prints its table of counts.

    Raises:
      InputError: naming the flag or the input file that is wrong.
    """
    inputs, outputs = find_files(config)
    folder = os.path.dirname(os.path.abspath(outputs["train"][0]))
    tokenizer = load_tokenizer(config, folder)
    for split, flag in (("train", "output_file"), ("dev", "dev_output_file")):
        for path in outputs.get(split, ()):
            parent = os.path.dirname(os.path.abspath(path))
            files.make_folder(parent, flag)
            leftovers.remove(leftovers.of_processes(parent))
    about = ", ".join(inputs[:3])
    with files.temporary_folder(os.path.join(folder, "blocks")) as blocks_dir:
        stored = _store_blocks(config, tokenizer, inputs, outputs, blocks_dir)
        for split, blocks in stored.items():
            _check_enough(config, about, split, blocks)
        with builds.writing(outputs, FORMATS[config.format]) as writers:
            statistics = {
                split: _write(config, tokenizer, about, split, blocks, writers[split])
                for split, blocks in stored.items()
            }
    for split, counts in statistics.items():
        print(f"{', '.join(outputs[split])}:")
        print("\n".join(describe(counts, config.next_sentence)))
    unknown = sum(counts["unknown"] for counts in statistics.values())
    tokens = sum(counts["tokens"] for counts in statistics.values())
    if unknown > vocabulary.MOST_UNKNOWN * tokens:
        logger.warning(
            "%s of the tokens are [UNK]; does --vocab_file=%s suit the text, and is "
            "--do_lower_case=%s right?",
            _share(unknown, tokens),
            config.vocab_file,
            config.do_lower_case,
        )


def main(argv=None):
    """Runs a command line; wrong input ends the program with one line."""
    with console.command_line():
        config = parse(argv or sys.argv)
        if config is not None:
            run(config)


if __name__ == "__main__":
    main()
