"""Files of a data set by split, and a dev set that is cut from the train file."""

import collections
import itertools
import os

from bert_my.common.errors import InputError

TRAIN, DEV, TEST = "train", "dev", "test"
STEMS = {TRAIN: ("train",), DEV: ("dev",), TEST: ("test",)}
_PLAIN_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
_SUFFIXES = (*_PLAIN_SUFFIXES, *(suffix + ".gz" for suffix in _PLAIN_SUFFIXES))


class Splits:
    """Files of a data set by split, and the rows of each split.

    Without a dev file the last `num_dev_examples` of the train file are the dev set,
    and not part of the train set. Neighbouring rows of one group (see
    `preprocessor.Example`) are not parted: a group at the cut stays in the train set.
    """

    def __init__(self, data_dir, stems, options, num_dev_examples=0, preferred=()):
        """Describes a data set; looks for no file yet.

        Args:
          data_dir: folder, or None.
          stems: split -> names of its file, without suffix.
          options: with `train_file`, `dev_file` and `test_file`, which win over the
            files in the folder, and `max_train_examples`.
          num_dev_examples: int; 0 for no dev set from the train file.
          preferred: splits whose stems are in the order of preference: files of later
            stems may lie in the folder too.
        """
        self._data_dir = data_dir
        self._stems = stems
        self._options = options
        self._preferred = preferred
        self.num_dev_examples = num_dev_examples

    def path(self, split):
        """Returns the path of the file with the rows of a split, or None.

        Raises:
          InputError: if the file that a flag names does not exist, or two files of the
            folder could be meant.
        """
        return self._find(TRAIN if self.is_held_out(split) else split)

    def train_file(self, who, needed, flag):
        """Returns the path of the train file, from which something is inferred.

        Args:
          who: the task, for the error.
          needed: what is inferred, in words.
          flag: gives the same.

        Raises:
          InputError: if there is no train file; see also `path`.
        """
        path = self.path(TRAIN)
        if path is None:
            raise InputError(
                f"{who}: there is no train file to find the {needed} in; give "
                f"--{flag}, or the --output_dir of a trained model"
            )
        return path

    def is_held_out(self, split):
        """Returns whether a split is the end of the train file."""
        return split == DEV and self.num_dev_examples > 0 and self._find(DEV) is None

    def _find(self, split):
        flag = f"{split}_file"
        given = getattr(self._options, flag)
        if given is not None and not os.path.isfile(given):
            hint = "it is a folder; give it as --data_dir"
            reason = hint if os.path.isdir(given) else "there is no such file"
            raise InputError(f"--{flag}={given}: {reason}")
        if given is not None or not self._data_dir:
            return given
        by_stem = [_files_in(self._data_dir, stem) for stem in self._stems[split]]
        if split in self._preferred:
            by_stem = list(filter(None, by_stem))[:1]
        found = list(itertools.chain.from_iterable(by_stem))
        if len(found) > 1:
            raise InputError(
                f"--data_dir={self._data_dir}: cannot tell which to read of "
                f"{', '.join(found)}; keep one of them"
            )
        return os.path.join(self._data_dir, found[0]) if found else None

    def select(self, split, examples, path):
        """Returns an iterator over the examples of a split among those of its file.

        Args:
          split: `TRAIN`, `DEV` or `TEST`.
          examples: iterable over those of the file.
          path: of the file, for errors.

        Raises:
          InputError: if the train or the dev set would be empty.
        """
        if self.is_held_out(split):
            return _last(examples, self.num_dev_examples, path)
        if split != TRAIN:
            return iter(examples)
        if self.is_held_out(DEV):
            examples = _all_but_last(examples, self.num_dev_examples, path)
        return itertools.islice(examples, self._options.max_train_examples or None)

    def count(self, examples, path, labels_of, needs_set):
        """Returns two `Counter`s of labels: of the train file, and of the train set.

        Args:
          examples: iterable over those of the train file; read once.
          path: of the train file, for errors.
          labels_of: function from an example to its labels, an iterable.
          needs_set: False if the train set need not be counted: its counter is empty.

        Raises:
          InputError: see `select`.
        """
        of_file, of_set = collections.Counter(), collections.Counter()

        def counted():
            for example in examples:
                of_file.update(labels_of(example))
                yield example

        rest = counted()
        for example in self.select(TRAIN, rest, path) if needs_set else ():
            of_set.update(labels_of(example))
        # The examples behind the train set count for the file as well.
        collections.deque(rest, maxlen=0)
        return of_file, of_set


def _files_in(folder, stem):
    """Returns the names of the files of a folder with a stem, in order."""
    if not os.path.isdir(folder):
        hint = "it is a file; give it as --train_file, --dev_file or --test_file"
        reason = hint if os.path.exists(folder) else "there is no such folder"
        raise InputError(f"--data_dir={folder}: {reason}")
    names = [stem + suffix for suffix in _SUFFIXES]
    return [name for name in names if os.path.isfile(os.path.join(folder, name))]


def _last(examples, count, path):
    """Returns an iterator over the last examples, less those of a group that is cut."""
    held = collections.deque(examples, maxlen=count + 1)
    before = held.popleft() if len(held) > count else None
    collections.deque(_pop_group(before, held, count, path), maxlen=0)
    return iter(held)


def _all_but_last(examples, count, path):
    """Yields all examples that `_last` does not return."""
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
