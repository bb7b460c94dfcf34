"""Builds: files of instances that get their names together, and counts of each of them.

The counts of `NAME` are in the hidden file `.NAME.counts.json` beside it. A shard whose
counts are missing is not checked by them, so that it may be moved, and shards of other
programs have none.
"""

import contextlib
import hashlib
import logging
import os
from typing import NamedTuple

from bert_my.common import caches, files
from bert_my.common.errors import InputError
from bert_my.pretrain import shards

logger = logging.getLogger(__name__)

_HEAD_SIZE = 256


class Counts(NamedTuple):
    """A shard as it was built.

    build: digest of all files that were built together.
    is_finished: False while the files of a build get their names.
    num_instances, num_bytes: of the shard.
    digest: of its bytes.
    head: of its first bytes.
    """

    build: str
    is_finished: bool
    num_instances: int
    num_bytes: int
    digest: str
    head: str

    def is_of(self, path):
        """Returns whether a file is this shard, perhaps damaged or cut."""
        with files.reading(path):
            size = os.path.getsize(path)
        is_cut = size < self.num_bytes
        return size == self.num_bytes or (
            is_cut and (size < _HEAD_SIZE or _head(path) == self.head)
        )


def counts_path(path):
    """Returns the path of the counts of a shard."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.counts.json")


def read_counts(path):
    """Returns the `Counts` of a shard, None if there are none or they are of another.

    Raises:
      InputError: if the build that would replace the shard was not finished.
    """
    place = counts_path(path)
    if not os.path.lexists(place):
        return None
    try:
        counts = Counts(**caches.read_json(place))
    except (InputError, TypeError) as error:
        logger.warning("%s; %s is not checked by it", error, path)
        return None
    if not counts.is_finished:
        raise InputError(
            f"{path}: the build that writes it was interrupted, and the files of two "
            "builds may be there; run create_pretraining_data.py again"
        )
    if not counts.is_of(path):
        logger.warning(
            "%s: it is about another file, and %s is not checked by it", place, path
        )
        return None
    return counts


def warn_of_other_builds(dev_paths, train_paths):
    """Warns if a dev shard was built with other train shards than those here."""
    builds = {
        counts.build for counts in map(read_counts, train_paths) if counts is not None
    }
    for path in dev_paths:
        counts = read_counts(path)
        if builds and counts and counts.build not in builds:
            logger.warning(
                "%s: it was not built together with the train shards, whose documents "
                "may be in it",
                path,
            )


def _head(path):
    with files.reading(path), open(path, "rb") as reader:
        head = reader.read(_HEAD_SIZE)
    return hashlib.blake2b(head, digest_size=8).hexdigest()


@contextlib.contextmanager
def writing(outputs, shard_format):
    """Gives a dict name of a split -> `shards.Writer` of its files.

    When all went well, the files of all splits replace older ones. Whenever that is
    interrupted, `read_counts` refuses the files.

    Args:
      outputs: dict name of a split -> list of files.
      shard_format: one of `shards.FORMATS`.
    """
    paths = [path for of_split in outputs.values() for path in of_split]
    # Stacks end from the last to the first: marks, shards, counts. All is written
    # before, so that a full disk leaves what there was.
    with contextlib.ExitStack() as counts_stack, contextlib.ExitStack() as stack:
        temporary = {p: stack.enter_context(files.replacing_path(p)) for p in paths}
        with contextlib.ExitStack() as opened:
            writers = {
                split: opened.enter_context(
                    shards.writing([temporary[path] for path in of_split], shard_format)
                )
                for split, of_split in outputs.items()
            }
            yield writers
        sizes = [size for writer in writers.values() for size in writer.counts]
        counts = [_count(temporary[path], n) for path, n in zip(paths, sizes)]
        digests = " ".join(each.digest for each in counts).encode()
        build = hashlib.blake2b(digests, digest_size=8).hexdigest()
        with contextlib.ExitStack() as marks_stack:
            for path, each in zip(paths, counts):
                for its_stack, is_finished in (
                    (counts_stack, True),
                    (marks_stack, False),
                ):
                    each = each._replace(build=build, is_finished=is_finished)
                    writer = its_stack.enter_context(files.replacing(counts_path(path)))
                    writer.write(caches.as_json(each._asdict()))
                    writer.flush()


def _count(path, num_instances):
    """Returns the `Counts` of a file, of no build yet."""
    size = os.path.getsize(path)
    return Counts("", False, num_instances, size, files.digest(path), _head(path))
