"""A dev set that is cut from the end of the train set, without holding the train set.

Examples of the same group (see `features.Example`) that lie on both sides of the cut
all stay in the train set.
"""

import collections

from bert_my.data.errors import InputError


def last(examples, count):
    """Returns an iterator over the last `count` examples, less those of a cut group."""
    held = collections.deque(examples, maxlen=count + 1)
    if len(held) > count:
        before = held.popleft()
        while held and _are_of_one_group(before, held[0]):
            held.popleft()
    return iter(held)


def all_but_last(examples, count, path):
    """Yields all examples that `last` does not return.

    Raises:
      InputError: naming the file, if one of both sets would be empty.
    """
    held, total, before = collections.deque(), 0, None
    for total, example in enumerate(examples, 1):
        held.append(example)
        if total > count:
            before = held.popleft()
            yield before
    if total <= count:
        raise InputError(f"--num_dev_examples={count}: {path} has {total} examples")
    while held and _are_of_one_group(before, held[0]):
        before = held.popleft()
        yield before
    if not held:
        raise InputError(
            f"--num_dev_examples={count}: the last examples of {path} are all of one "
            "group, so none is left for the dev set"
        )


def _are_of_one_group(first, second):
    group = getattr(first, "group", "")
    return group != "" and group == getattr(second, "group", "")
