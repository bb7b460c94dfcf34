"""Random samples of the examples of a file that depend on its contents alone."""

import collections
import hashlib
import itertools
from array import array

# Share of a stratum that equal examples may have and stay together; with more the
# sample would not have the shares of the strata.
_MOST_EQUAL = 0.1


class Examples:
    """The examples of a file, as far as a sample of them is drawn by it.

    An example has a rank by the hash of its text, so neither the order of the file nor
    a seed counts. Those of a group, and equal ones, come one behind the other, and
    those of each stratum, for example a label, are spread evenly over the whole order:
    any part of the order has the shares of the strata, rounded.
    """

    def __init__(self, is_stratified):
        """Holds no example yet.

        Args:
          is_stratified: whether the labels of the examples are strata; without groups.
        """
        self._is_stratified = is_stratified
        self._hashes = array("Q")
        self._units = array("l")  # number of the stratum, or of the group, of each
        self._numbers = {}  # stratum or group -> its number

    def __len__(self):
        return len(self._hashes)

    def add(self, example):
        """Adds the next example of the file: an `Example` or a `Sentence`."""
        unit = getattr(example, "group", "")
        if unit == "":
            unit = example.label if self._is_stratified else None
            key = ("stratum", unit)
        else:
            key = ("group", unit)
        self._hashes.append(content_hash(example))
        self._units.append(self._numbers.setdefault(key, len(self._numbers)))

    def in_order(self):
        """Returns the list of the lists of row numbers that are not to be parted."""
        rows_of = collections.defaultdict(list)
        for row, unit in enumerate(self._units):
            rows_of[unit].append(row)
        ordered = []
        for (kind, _), number in self._numbers.items():
            rows = rows_of[number]
            if kind == "group":
                ordered.append((self._hashes[rows[0]] / 2**64, rows))
                continue
            rows.sort(key=lambda row: (self._hashes[row], row))
            index = 0
            for unit in self._equal(rows):
                ordered.append(((index + 0.5) / len(rows), unit))
                index += len(unit)
        ordered.sort(key=lambda each: (each[0], self._hashes[each[1][0]]))
        return [rows for _, rows in ordered]

    def _equal(self, rows):
        """Yields lists of neighbouring rows of a stratum that have one text."""
        for _, equal in itertools.groupby(rows, self._hashes.__getitem__):
            unit = list(equal)
            if len(unit) > _MOST_EQUAL * len(rows):
                yield from ([row] for row in unit)
            else:
                yield unit

    def labels_of(self, rows):
        """Returns dict label -> number of some rows with it; empty without strata."""
        labels = [label for kind, label in self._numbers if kind == "stratum"]
        if not self._is_stratified or len(labels) < len(self._numbers):
            return {}
        counts = collections.Counter(self._units[row] for row in rows)
        return {label: counts[number] for number, label in enumerate(labels)}

    def count_equal(self, some, others):
        """Returns (number of other rows with a text of some rows, number of others)."""
        known = {self._hashes[row] for row in some}
        are_known = [self._hashes[row] in known for row in others]
        return sum(are_known), len(are_known)


def content_hash(example):
    """Returns the hash of the text of an example as an int below 2^64."""
    digest = hashlib.blake2b(example.content.encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def take(units, count):
    """Returns (rows of the first units that fit into a count; list of other units)."""
    taken, others = [], []
    for rows in units:
        if len(taken) + len(rows) > count:
            others.append(rows)
        else:
            taken += rows
    return taken, others
