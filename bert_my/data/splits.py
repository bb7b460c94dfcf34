"""Files of a data set by split, and a dev set that is held out of the train file."""

import collections
import itertools
import logging
import os
import re
from typing import NamedTuple, Optional

from bert_my.common import files
from bert_my.common.errors import InputError, no_such_path
from bert_my.data import dev_sets, samples

logger = logging.getLogger(__name__)

TRAIN, DEV, TEST = "train", "dev", "test"
STEMS = {TRAIN: ("train",), DEV: ("dev", "validation"), TEST: ("test",)}
_PLAIN_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
_SUFFIXES = (*_PLAIN_SUFFIXES, *(suffix + ".gz" for suffix in _PLAIN_SUFFIXES))
_RANDOM = "random"
_MAX_LOGGED = 20  # labels


class _Selection(NamedTuple):
    """Row numbers, from 0, of the examples of a train file."""

    dev: frozenset  # those of the dev set; empty if it has a file
    train: Optional[frozenset]  # those of the train set; None for all others


class Splits:
    """Files of a data set by split, and the rows of each split.

    Without a dev file `num_dev_examples` of the train file are the dev set, and not
    part of the train set: a random sample that depends on the contents of the file
    alone, with whole groups (see `preprocessor.Example`). Of a data set that declares
    so, and of a model that was trained so, they are the last ones; then a group at the
    cut stays in the train set.
    """

    def __init__(
        self,
        data_dir,
        stems,
        options,
        num_dev_examples=0,
        preferred=(),
        saved=None,
        takes_last=False,
        is_stratified=False,
    ):
        """Describes a data set; looks for no file yet.

        Args:
          data_dir: folder, or None.
          stems: split -> names of its file, without suffix.
          options: with `train_file`, `dev_file` and `test_file`, which win over the
            files in the folder, and `max_train_examples`.
          num_dev_examples: int; 0 for no dev set from the train file.
          preferred: splits whose stems are in the order of preference: files of later
            stems may lie in the folder too.
          saved: description of the trained model, see `description`; {} for none.
          takes_last: whether the last examples are the dev set.
          is_stratified: whether a sample has the shares of the labels.
        """
        self._data_dir = data_dir
        self._dev_files = _dev_files(options.dev_file)
        self._stems = stems
        self._options = options
        self._preferred = preferred
        self.num_dev_examples = num_dev_examples
        # Models that were trained before there were samples do not tell.
        saved_last = bool(saved) and saved.get("row_selection") != _RANDOM
        self.takes_last = takes_last or saved_last
        # Digest of the train file and numbers of its rows, see `_as_saved`.
        self._dev_rows = (saved or {}).get("dev_rows")
        self._is_stratified = is_stratified
        self._without_file = set()  # splits
        self._selection = None

    @property
    def description(self):
        """JSON-able dict for the argument `saved`; whole after `draw`."""
        found = {
            "num_dev_examples": self.num_dev_examples,
            "row_selection": "last" if self.takes_last else _RANDOM,
        }
        if self._dev_rows:
            found["dev_rows"] = self._dev_rows
        return found

    @property
    def settings(self):
        """JSON-able dict of all that the rows of a split depend on, but the files."""
        return {
            "num_held_out": self.num_dev_examples * self.is_held_out(DEV),
            "max_train_examples": self._options.max_train_examples,
            "takes_last": self.takes_last,
            "dev_rows": self._dev_rows,
        }

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
                f"{who}: there is no train file to find the {needed} in"
                f"{self._looked_for}; give --{flag}, or the --output_dir of a trained "
                "model"
            )
        return path

    @property
    def _looked_for(self):
        """Names of the train file that are expected in `--data_dir`, for an error."""
        if not self._data_dir:
            return ""
        names = ", ".join(
            stem + suffix for stem in self._stems[TRAIN] for suffix in _PLAIN_SUFFIXES
        )
        return f", none of {names} in --data_dir={self._data_dir}"

    def split_of(self, path):
        """Returns the split that a file is for; `DEV` for any dev set."""
        splits = (TRAIN, *self.dev_splits)
        found = next((split for split in splits if self.path(split) == path), TEST)
        return found if found in (TRAIN, TEST) else DEV

    def is_held_out(self, split):
        """Returns whether a split is held out of the train file."""
        return split == DEV and self.num_dev_examples > 0 and self._find(DEV) is None

    @property
    def dev_splits(self):
        """`DEV` and the names of further dev sets, those of their files."""
        return (DEV, *list(self._dev_files)[1:])

    def _find(self, split):
        flag = "dev_file" if split in self.dev_splits else f"{split}_file"
        if split in self.dev_splits:
            given = self._dev_files.get(split)
        else:
            given = getattr(self._options, flag)
        if given is not None and not os.path.isfile(given):
            hint = "it is a folder; give it as --data_dir"
            reason = hint if os.path.isdir(given) else no_such_path(given, "file")
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
        if not found:
            self._warn_of_others(split)
        return os.path.join(self._data_dir, found[0]) if found else None

    def _warn_of_others(self, split):
        """Warns of files that may be meant for a split, but have another name."""
        if split in self._without_file:
            return
        self._without_file.add(split)
        stems = "|".join(map(re.escape, self._stems[split]))
        is_meant = re.compile(rf"({stems})(-\d+-of-\d+)?\..*", re.IGNORECASE).fullmatch
        others = sorted(filter(is_meant, os.listdir(self._data_dir)))
        if others:
            logger.warning(
                "--data_dir=%s: not read: %s; the name of a file is %s, with %s, also "
                "with .gz",
                self._data_dir,
                ", ".join(others),
                " or ".join(self._stems[split]),
                " or ".join(_PLAIN_SUFFIXES),
            )

    def select(self, split, read, path):
        """Returns an iterator over the examples of a split among those of its file.

        Args:
          split: `TRAIN`, `DEV` or `TEST`.
          read: function without arguments that returns an iterator over the examples of
            the file.
          path: of the file, for errors.

        Raises:
          InputError: if the train or the dev set would be empty, or the dev set of a
            trained model is not known.
        """
        if split != TRAIN and not self.is_held_out(split):
            return read()
        if self.takes_last:
            return self._select_last(split, read(), path)
        self.draw(read, path)
        dev, train = self._selection
        if split == DEV:
            return _chosen(read(), lambda row: row in dev)
        return _chosen(
            read(), lambda row: row not in dev and (train is None or row in train)
        )

    def count(self, read, path, labels_of, needs_set):
        """Returns two `Counter`s of labels: of the train file, and of the train set.

        Args:
          read, path: see `select`, of the train file.
          labels_of: function from an example to its labels, an iterable.
          needs_set: False if the train set need not be counted: its counter is empty.

        Raises:
          InputError: see `select`.
        """
        of_file, of_set = collections.Counter(), collections.Counter()

        def counted():
            for example in read():
                of_file.update(labels_of(example))
                yield example

        if self.takes_last:
            rest = counted()
            train_set = self.select(TRAIN, lambda: rest, path) if needs_set else ()
            of_set.update(itertools.chain.from_iterable(map(labels_of, train_set)))
            # The examples behind the train set count for the file as well.
            collections.deque(rest, maxlen=0)
            return of_file, of_set
        self.draw(counted, path)
        if not of_file:
            collections.deque(counted(), maxlen=0)
        if needs_set:
            train_set = self.select(TRAIN, read, path)
            of_set.update(itertools.chain.from_iterable(map(labels_of, train_set)))
        return of_file, of_set

    def _select_last(self, split, examples, path):
        if split == DEV:
            return _last(examples, self.num_dev_examples, path)
        if self.is_held_out(DEV):
            examples = _all_but_last(examples, self.num_dev_examples, path)
        return itertools.islice(examples, self._options.max_train_examples or None)

    def draw(self, read, path):
        """Chooses the rows of the dev set and of the train set, if not done before.

        A trained model keeps the rows of its dev set.

        Args:
          read, path: see `select`, of the train file.

        Raises:
          InputError: see `select`.
        """
        if self._selection is not None or self.takes_last:
            return
        dev, most = [], self._options.max_train_examples
        if self.is_held_out(DEV) and self._dev_rows:
            dev = self._saved_dev_rows(path)
        needs_dev = self.is_held_out(DEV) and not dev
        if not (needs_dev or most):
            self._selection = _Selection(frozenset(dev), None)
            return
        found = samples.Examples(self._is_stratified)
        for example in read():
            found.add(example)
        units = found.in_order()
        if needs_dev:
            dev, units = self._dev_of(units, len(found), path)
            self._dev_rows = _as_saved(dev, path)
            logger.info("%s: the dev set %s", path, _described(dev, found))
        elif dev:
            units = [rows for rows in units if not set(dev).intersection(rows)]
        train = None
        if 0 < most < len(found) - len(dev):
            train, _ = samples.take(units, most)
            if not train:
                raise InputError(
                    f"--max_train_examples={most}: a group of {path} has "
                    f"{len(units[0])} examples"
                )
            logger.info("%s: the train set %s", path, _described(train, found))
        self._selection = _Selection(frozenset(dev), train and frozenset(train))
        if needs_dev:
            train = itertools.chain.from_iterable(units) if train is None else train
            num_in_both, num_all = found.count_equal(dev, train)
            if num_in_both:
                dev_sets.warn_of_overlap(path, num_in_both, num_all)

    def _saved_dev_rows(self, path):
        """Returns the rows of the dev set of the trained model.

        Raises:
          InputError: if the train file is not that of the model.
        """
        if self._dev_rows["of"] != files.digest(path):
            raise InputError(
                f"--num_dev_examples={self.num_dev_examples}: {path} has changed since "
                "the model in --output_dir was trained, so its dev set is not known; "
                "give --dev_file, or the train file as it was"
            )
        return list(map(int, self._dev_rows["rows"].split()))

    def _dev_of(self, units, num_examples, path):
        """Returns (rows of the dev set, units that are left for the train set).

        Raises:
          InputError: if no row would be left for one of the sets.
        """
        count = self.num_dev_examples
        if num_examples <= count:
            raise _too_many(count, num_examples, path)
        dev, units = samples.take(units, count)
        if not (dev and units):
            raise InputError(
                f"--num_dev_examples={count}: {path} has few groups of examples, so "
                "none is left for one of the sets"
            )
        return dev, units


def _too_many(count, num_examples, path):
    """Returns the error for a dev set that would be the whole file."""
    return InputError(
        f"--num_dev_examples={count}: {path} has {num_examples} examples; give fewer, "
        "so that some are left to train"
    )


def _as_saved(rows, path):
    """Returns the rows of a file for a description."""
    return {"of": files.digest(path), "rows": " ".join(map(str, sorted(rows)))}


def _described(rows, found):
    """Returns the words for a sample of the examples of a file."""
    shares = found.labels_of(rows)
    labels = [f"{label} ({count})" for label, count in sorted(shares.items())]
    shown = ", ".join(labels[:_MAX_LOGGED]) + ", ..." * (len(labels) > _MAX_LOGGED)
    return (
        f"is a random sample of {len(rows)} of its {len(found)} examples, the same "
        f"for every seed{': ' if shown else ''}{shown}"
    )


def _chosen(examples, is_chosen):
    """Returns an iterator over the examples with chosen row numbers, from 0."""
    return (each for row, each in enumerate(examples) if is_chosen(row))


def _dev_files(listed):
    """Returns a dict split -> file of `--dev_file`, which may list some by commas."""
    if not listed or os.path.isfile(listed):
        return {DEV: listed}
    first, *more = list(filter(None, map(str.strip, listed.split(",")))) or [listed]
    found = {DEV: first}
    taken = {TRAIN, DEV, TEST, _stem(first)}
    for path in more:
        stem = _stem(path)
        names = [stem, f"{os.path.basename(os.path.dirname(path))}-{stem}"]
        names += [f"{stem}-{number}" for number in range(2, len(more) + 3)]
        name = next(each for each in names if each not in taken)
        taken.add(name)
        found[name] = path
    return found


def _stem(path):
    return os.path.basename(path).split(".")[0]


def _files_in(folder, stem):
    """Returns the names of the files of a folder with a stem, in order."""
    if not os.path.isdir(folder):
        hint = "it is a file; give it as --train_file, --dev_file or --test_file"
        reason = hint if os.path.exists(folder) else no_such_path(folder, "folder")
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
        raise _too_many(count, total, path)
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
