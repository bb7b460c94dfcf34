"""Warnings of dev and test sets whose scores tell little."""

import collections
import contextlib
import logging

from bert_my.common.errors import InputError
from bert_my.data import samples

logger = logging.getLogger(__name__)


def compared(train, dev_sets):
    """Yields the examples of a train set; warns of dev sets that have some of them.

    Args:
      train: iterable over the examples.
      dev_sets: dict path -> function that returns an iterator over the examples of a
        dev set.
    """
    known = {}
    for path, read in dev_sets.items():
        # A dev file that is wrong is an error when it is used.
        with contextlib.suppress(InputError):
            known[path] = set(map(samples.content_hash, read()))
    num_all, num_known = 0, collections.Counter()
    for example in train:
        num_all += 1
        content_hash = samples.content_hash(example)
        num_known.update(path for path in known if content_hash in known[path])
        yield example
    for path in filter(num_known.get, known):
        if num_known[path] == num_all:
            logger.warning(
                "%s: the dev set has all %d examples of the train set, so its scores "
                "tell nothing of other texts; --num_dev_examples holds some out",
                path,
                num_all,
            )
        else:
            warn_of_overlap(path, num_known[path], num_all)


def warn_of_overlap(path, count, num_all):
    """Warns of a dev set that has some of the examples of the train set.

    Args:
      path: of the dev set's file.
      count: number of examples of the train set that it has.
      num_all: number of examples of the train set.
    """
    logger.warning(
        "%s: %d of %d examples of the train set stand in the dev set as well",
        path,
        count,
        num_all,
    )


def warn_of_one_label(labels, path):
    """Warns if all examples of a dev or test set have the same label.

    Args:
      labels: iterable over the labels of the examples, or over all tags; without those
        that are not known.
      path: of the file.
    """
    labels = iter(labels)
    first = next(labels, None)
    if first is not None and all(label == first for label in labels):
        logger.warning(
            "%s: all examples with a label have %r, so the scores tell nothing",
            path,
            first,
        )
