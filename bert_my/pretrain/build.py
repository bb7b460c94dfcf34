"""Builds pretraining data from any amount of text, with any number of processes.

First all text becomes blocks of ids on disk, then instances are made of one block after
the other, once for each copy. The seed of each block follows from its number, so the
number of processes changes nothing.
"""

import collections
import functools
import os
import random
import sys
import tempfile
from typing import List, NamedTuple

from tqdm import tqdm

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import workers
from bert_my.pretrain import corpus, shards
from bert_my.pretrain.instances import InstanceSettings, Vocabulary, make_instances


class BuildSettings(NamedTuple):
    """Inputs, outputs and settings of a build."""

    inputs: List[str]  # text files
    outputs: List[str]  # files over which the instances are spread
    dev_outputs: List[str]  # the same for held-back documents; may be empty
    dev_share: float  # share of the documents held back for `dev_outputs`
    line_documents: bool  # True if each line is a document
    instances: InstanceSettings
    shard_format: str  # key of `shards.FORMATS`
    dupe_factor: int  # copies of the text, each with other masks
    seed: int
    num_workers: int


class Statistics(collections.Counter):
    """Counts that are added up over all blocks, and their table."""

    def count_instances(self, instances):
        """Adds the numbers of some instances."""
        self["instances"] += len(instances["input_ids"])
        self["positions"] += instances["input_ids"].size
        self["tokens of instances"] += int(instances["input_mask"].sum())
        self["predictions"] += int(instances["masked_lm_weights"].sum())
        self["label 1"] += int(instances["next_sentence_labels"].sum())

    def lines(self, next_sentence):
        """Returns the lines of a table.

        Args:
          next_sentence: one of `instances.NEXT_SENTENCE`.
        """
        num_tokens, instances = self["tokens of instances"], self["instances"]
        facts = [
            ("documents", f"{self['documents']:,}"),
            ("tokens of text", f"{self['tokens']:,}"),
            ("[UNK] among them", _share(self["unknown"], self["tokens"])),
            ("instances", f"{instances:,}"),
            ("mean length in tokens", f"{num_tokens / max(instances, 1):.1f}"),
            ("padding", _share(self["positions"] - num_tokens, self["positions"])),
            ("masked tokens", f"{self['predictions']:,}"),
            ("masked among real tokens", _share(self["predictions"], num_tokens)),
        ]
        label = {"nsp": "random next segments", "sop": "swapped segments"}
        if next_sentence in label:
            share = _share(self["label 1"], instances)
            facts.append((label[next_sentence], share))
        return [f"  {name:<26}{value:>16}" for name, value in facts]


def _share(part, whole):
    return f"{100 * part / max(whole, 1):.2f} %"


def build(settings, tokenizer):
    """Writes the shards.

    Args:
      settings: `BuildSettings`.
      tokenizer: `tokenization.FullTokenizer`.

    Returns:
      dict "train" -> `Statistics`, and "dev" if documents are held back.

    Raises:
      InputError: naming what is wrong with the text or with a flag.
    """
    folder = os.path.dirname(os.path.abspath(settings.outputs[0]))
    for path in (*settings.outputs, *settings.dev_outputs):
        flag = "output_file" if path in settings.outputs else "dev_output_file"
        files.make_folder(os.path.dirname(os.path.abspath(path)), flag)
    with tempfile.TemporaryDirectory(prefix="blocks-", dir=folder) as blocks_dir:
        blocks = _store_blocks(settings, tokenizer, blocks_dir)
        make = functools.partial(_make, settings, tokenizer)
        statistics = {"train": make("train", blocks["train"], settings.outputs)}
        if settings.dev_outputs:
            statistics["dev"] = make("dev", blocks["dev"], settings.dev_outputs)
    return statistics


def _store_blocks(settings, tokenizer, folder):
    """Returns a dict split -> list of `StoredBlock`.

    Raises:
      InputError: if a split has too few documents.
    """
    encoder = corpus.Encoder(
        tokenizer, find_words=settings.instances.masking in ("whole_word", "ngram")
    )
    share = settings.dev_share if settings.dev_outputs else 0.0
    stored = {"train": [], "dev": []}

    def split_of(part):
        # Spread evenly: of 0.05 these are the documents 20, 40, 60, ...
        is_dev = int((part.number + 1) * share) > int(part.number * share)
        return "dev" if is_dev else "train"

    def store(item):
        index, split, parts = item
        return split, encoder.store(os.path.join(folder, f"{index}.npz"), parts)

    with _progress("Reading", unit=" characters", unit_scale=True) as progress:
        parts = corpus.read_parts(
            settings.inputs, settings.line_documents, progress.update
        )
        groups = corpus.group(parts, split_of)
        items = ((index, *group) for index, group in enumerate(groups))
        for split, block in workers.ordered_map(store, items, settings.num_workers):
            if block:
                stored[split].append(block)
    _check_enough(settings, stored)
    return stored


def _check_enough(settings, stored):
    """Raises an `InputError` if a split has too few documents."""
    needed = 2 if settings.instances.next_sentence == "nsp" else 1
    for split, blocks in stored.items():
        if split == "dev" and not settings.dev_outputs:
            continue
        numbers = {n for b in blocks for n in (b.first_document, b.last_document)}
        if len(numbers) >= needed:
            continue
        what = ", ".join(settings.inputs[:3])
        if split == "dev" or not numbers:
            flag = f" for --dev_share={settings.dev_share}" if split == "dev" else ""
            raise InputError(
                f"{what}: too few documents{flag}: {len(numbers)} with text, needed "
                f"are {needed}; a blank line stands between documents, or with "
                "--line_documents each line is one"
            )
        raise InputError(
            f"{what}: all text is one document, and --next_sentence=nsp needs segments "
            "of another one; put blank lines between documents, or choose "
            "--line_documents, --next_sentence=sop or --next_sentence=none"
        )


def _make(settings, tokenizer, split, blocks, outputs):
    """Writes the instances of a split; returns its `Statistics`."""
    num_copies = settings.dupe_factor if split == "train" else 1
    vocabulary = Vocabulary.of(tokenizer)
    shard_format = shards.FORMATS[settings.shard_format]

    def make(job):
        copy, index, other = job
        block = blocks[index].read()
        instances = make_instances(
            block,
            block if other == index else blocks[other].read(),
            settings.instances,
            vocabulary,
            f"{settings.seed}/{split}/{copy}/{index}",
        )
        counted = Statistics()
        counted.count_instances(instances)
        return shard_format.encode(instances), counted

    total = _count_text(blocks)
    jobs = _jobs(settings, split, blocks, num_copies)
    with shards.open_shards(outputs, shard_format) as write, _progress(
        f"Writing {split}", total=num_copies * len(blocks), unit=" blocks"
    ) as progress:
        for encoded, counted in workers.ordered_map(make, jobs, settings.num_workers):
            write(encoded)
            total.update(counted)
            progress.update()
        if not total["instances"]:
            raise InputError(
                f"{', '.join(settings.inputs[:3])}: the text gives no instance for "
                f"{', '.join(outputs)}: no document has two tokens, which "
                "--next_sentence=sop needs"
            )
    return total


def _count_text(blocks):
    """Returns the `Statistics` of the text of `StoredBlock`s."""
    # A document that goes on in the next block counts once.
    num_split = sum(
        a.last_document == b.first_document for a, b in zip(blocks, blocks[1:])
    )
    return Statistics(
        documents=sum(block.num_documents for block in blocks) - num_split,
        tokens=sum(block.num_tokens for block in blocks),
        unknown=sum(block.num_unknown for block in blocks),
    )


def _jobs(settings, split, blocks, num_copies):
    """Yields (copy, block, block of random next segments), by their numbers.

    Copy by copy, so that copies of a text stand far from one another.
    """
    for copy in range(num_copies):
        rng = random.Random(f"{settings.seed}/{split}/{copy}")
        order = list(range(len(blocks)))
        rng.shuffle(order)
        for index in order:
            other = index
            if settings.instances.next_sentence == "nsp":
                other = rng.choice(order)
                while not _has_other_documents(blocks[other], blocks[index]):
                    other = rng.choice(order)
            yield copy, index, other


def _has_other_documents(other, block):
    """Returns True if `other` has a different document for each document of `block`."""
    if other.first_document != other.last_document:
        return True
    return not block.first_document <= other.first_document <= block.last_document


def _progress(name, **more):
    return tqdm(desc=name, disable=not sys.stderr.isatty(), **more)
