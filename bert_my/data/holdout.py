"""A dev set that is cut from the end of the train set, without holding the train set.

Rows of one group (see `features.Example`) that stand together are not parted: those on
both sides of the cut all stay in the train set.
"""

import collections

from bert_my.common.errors import InputError


def last(examples, count, path):
    """Returns an iterator over the last `count` examples, less those of a cut group.

    Args:
      examples: iterable.
      count: int.
      path: of the train file, for errors.

    Raises:
      InputError: if none is left.
    """
    held = collections.deque(examples, maxlen=count + 1)
    before = held.popleft() if len(held) > count else None
    collections.deque(_pop_group(before, held, count, path), maxlen=0)
    return iter(held)


def all_but_last(examples, count, path):
    """Yields all examples that `last` does not return; see there.

    Raises:
      InputError: if there are none in one of both sets.
    """
    held, total, before = collections.deque(), 0, None
    for total, example in enumerate(examples, 1):
        held.append(example)
        if total > count:
            before = held.popleft()
            yield before
    if total <= count:
        raise InputError(f"--num_dev_examples={count}: {path} has {total} examples")
    yield from _pop_group(before, held, count, path)


def _pop_group(before, held, count, path):
    """Takes the examples of the group of `before` from the front, and yields them."""
    group = getattr(before, "group", "")
    while held and group != "" and getattr(held[0], "group", "") == group:
        yield held.popleft()
    if before is not None and not held:
        raise InputError(
            f"--num_dev_examples={count}: the last examples of {path} are all of one "
            "group, so none is left for the dev set"
        )
