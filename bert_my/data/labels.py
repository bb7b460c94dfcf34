"""Labels of texts: one name of several, any number of names, or a number.

Each kind turns a cell of a table into a label, checks it, and gives its number for the
model. The names are those of the flags, else of the trained model, else declared by the
data set, else those of the train file.
"""

import ast
import collections
import logging
import math
import os
import re
from typing import Dict, NamedTuple, Optional

from bert_my.common.errors import InputError
from bert_my.data import columns

logger = logging.getLogger(__name__)


class LabelCounts(NamedTuple):
    """Number of train examples, or tokens, with each label, and of all.

    A label that no example can be expected to have may have the count None.
    """

    by_label: Dict[str, Optional[int]]
    total: int


NO_LABEL = "-"  # often stands for none
# With more labels than this, most must come again, or they are something else.
MAX_LABELS_OF_FEW_ROWS = 20
# Control characters and marks that cannot be seen; joiners are part of words.
INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
# Data frames with gaps write 1.0 for 1.
_WHOLE_NUMBER = re.compile(r"\+?(-?\d+)(\.0*)?")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?|[-+]?\.\d+")
# The log shows the commonest only.
_MAX_LOGGED = 50
# A label that fewer examples have cannot be learnt, and may be a slip.
_MOST_OF_RARE = 2


class Labels:
    """One kind of labels.

    names: in the order of their ids; () if not known yet.
    hint: description of a label, for errors.
    placeholders: labels that stand for none in a test file whose rows all have the
      same.
    """

    hint = None
    placeholders = ()

    def __init__(self, names=()):
        self.names = tuple(names)
        self.ids = {name: index for index, name in enumerate(self.names)}
        # Of two names of one number neither has other spellings.
        counts = collections.Counter(map(_plain_number, self.names))
        self._by_number = {
            _plain_number(name): name
            for name in self.names
            if counts[_plain_number(name)] == 1
        }

    def read(self, cell):
        """Returns the label in a cell as text, not yet checked; None for no label.

        Args:
          cell: str, or None for a column that is not there.

        Raises:
          ValueError: if the cell holds a list of the wrong length, or a control
            character.
        """
        label = (cell or "").strip()
        if INVISIBLE.search(label):
            raise ValueError(
                f"label {label!r} has a control character, or another that is invisible"
            )
        return label or None

    def find_name(self, label):
        """Returns the name that is a label, or another spelling of its number."""
        return label if label in self.ids else self._by_number.get(_plain_number(label))

    def check(self, label):
        """Returns a label as it is kept.

        Raises:
          ValueError: if it is none.
        """
        raise NotImplementedError

    def value(self, label):
        """Returns the feature `label_ids` of a checked label, or of None."""
        raise NotImplementedError

    def names_of(self, label):
        """Returns the list of the names that a checked label stands for."""
        return [label]


class OneLabel(Labels):
    """One of several names; its value is the id."""

    @property
    def hint(self):
        return f"one of {', '.join(self.names)}"

    def read(self, cell):
        items = _parse_list((cell or "").strip())
        if items is None:
            return super().read(cell)
        if len(items) != 1:
            raise ValueError(
                f"there are {len(items)} labels in {cell!r}, but one is "
                "needed; --task_name=mlabel learns any number of them"
            )
        return items[0] or None

    def check(self, label):
        name = self.find_name(label)
        if name is None:
            raise ValueError(
                f"label {label!r} is not one of {', '.join(map(repr, self.names))}"
            )
        return name

    def value(self, label):
        return self.ids.get(label, 0)

    @staticmethod
    def collect(cells, sample, who, is_column_given):
        """Returns the `Counter` of the labels in a train file.

        Args:
          cells: `Counter` of all label cells.
          sample: list of the first examples.
          who: the task, for errors.
          is_column_given: whether a flag names a column.

        Raises:
          InputError: if they do not seem to be labels.
        """
        num_examples = sum(cells.values())
        if _are_too_many(cells, num_examples):
            raise InputError(
                f"{who}: {num_examples} train examples have {len(cells)} "
                f"different labels, such as {min(cells)!r} and {max(cells)!r}; "
                "--label_column names another column, and --task_name=regression "
                "learns numbers"
            )
        if all(map(_NUMBER.fullmatch, cells)) and any("." in cell for cell in cells):
            logger.info(
                "%s: the labels are numbers, each a class of its own; if they are "
                "scores, --task_name=regression learns their values",
                who,
            )
        return _with_one_spelling(cells, who)


class AnyLabels(Labels):
    """Any number of names; the value is a 0 or 1 for each label.

    A cell holds names separated by `,` (or `|`, `;`, or else by blanks), or a JSON
    list, or a 0 or 1 for each label, as in `1,0,1`. An empty cell, or `-`, is a row
    without any label. A checked label has its names in the order of their ids,
    separated by commas.
    """

    placeholders = (NO_LABEL,)

    @property
    def hint(self):
        return (
            f"any of {', '.join(self.names)} separated by commas, or a 0 or 1 for "
            "each of them"
        )

    def read(self, cell):
        # An empty cell is a set of labels, an absent column is not.
        return None if cell is None else super().read(cell) or NO_LABEL

    def check(self, label):
        found = {self.find_name(part) or part for part in self._names_in(label)}
        unknown = sorted(found - set(self.ids))
        if unknown:
            raise ValueError(
                f"labels {', '.join(map(repr, unknown))} are not among "
                f"{', '.join(self.names)}"
            )
        return ",".join(name for name in self.names if name in found) or NO_LABEL

    def _names_in(self, cell):
        parts = [cell] if cell in self.ids else _split(cell, _separator(cell))
        if len(parts) > 1 and set(parts) <= {"0", "1"}:
            # A cell that could be names too, as "0,1" of two labels, is zeros and ones.
            if len(parts) == len(self.names):
                return [name for name, bit in zip(self.names, parts) if bit == "1"]
            if parts != ["0", "1"]:
                raise ValueError(
                    f"label {cell!r}: {len(parts)} zeros and ones for "
                    f"{len(self.names)} labels"
                )
        return parts

    def value(self, label):
        found = set(self.names_of(label))
        return [int(name in found) for name in self.names]

    def names_of(self, label):
        return [] if label in (None, NO_LABEL) else label.split(",")

    @staticmethod
    def collect(cells, sample, who, is_column_given):
        """Returns the `Counter` of the labels in a train file; see `OneLabel`."""
        plain = [cell for cell in cells if _parse_list(cell) is None]
        # A blank is part of a name if there is another separator anywhere in the file.
        separator = _separator("".join(plain))
        counts = collections.Counter()
        for cell, count in cells.items():
            for name in _split(cell, separator):
                counts[name] += count
        if set(counts) <= {"0", "1"}:
            raise InputError(
                f"{who}: the train file has a 0 or 1 for each label; give "
                "--num_labels, or --labels with their names"
            )
        if any("," in name for name in counts):
            raise InputError(f"{who}: the name of a label has no comma")
        if not is_column_given:
            _check_names(counts, sum(cells.values()), sample, who)
        return _with_one_spelling(counts, who)


class Number(Labels):
    """A number; its value is itself."""

    hint = "a number"
    placeholders = ("-1", "-1.0")

    def check(self, label):
        try:
            is_finite = math.isfinite(float(label))
        except ValueError:
            is_finite = False
        if not is_finite:
            raise ValueError(f"label {label!r} is not a number")
        return label

    def value(self, label):
        return float(label or 0)


def _plain_number(label):
    """Returns a whole number without sign and decimals that add nothing: 1 for +1.0.

    Other labels are returned as they are; 1.10 may be another chapter than 1.1.
    """
    match = _WHOLE_NUMBER.fullmatch(label)
    return match.group(1) if match else label


def _with_one_spelling(counts, who):
    """Returns a `Counter` of labels in which no number has two spellings."""
    found = collections.Counter()
    for label, count in counts.items():
        found[_plain_number(label)] += count
    if len(found) == len(counts):
        return counts
    logger.info(
        "%s: labels that are the same number as another are one with it: %s",
        who,
        ", ".join(sorted(label for label in counts if label not in found)),
    )
    return found


def check_is_there(label):
    """Returns a label of a train file; a `ValueError` for the gap of a data frame."""
    if label.lower() in ("nan", "<na>"):
        raise ValueError(
            f"the label is {label!r}, which stands for none; take the row out, or, if "
            "it is a label, name all of them by --labels"
        )
    return label


def choose(options, saved, declared, who):
    """Returns the tuple of labels that are known without the train file, or ().

    Those of the flags win, then those of the trained model, then the declared ones.

    Args:
      options: with `labels` and `num_labels`.
      saved: labels of the trained model, or ().
      declared: those that the data set declares, or ().
      who: the task, for errors.

    Raises:
      InputError: if flags and the trained model do not agree, or there are too few.
    """
    given, saved = named(options), tuple(saved)
    if given and saved and given != saved:
        raise InputError(
            f"--labels={options.labels}: the model in --output_dir was trained "
            f"with the labels {', '.join(saved)}"
        )
    labels, count = given or saved or tuple(declared), options.num_labels
    if count is not None and labels and len(labels) != count:
        whose = "--labels" if given else "the model in --output_dir" if saved else who
        raise InputError(
            f"--num_labels={count}, but {whose} has {len(labels)}: {', '.join(labels)}"
        )
    if count is not None:
        labels = labels or tuple(map(str, range(count)))
    return check_enough(labels, who) if labels else ()


def check_enough(labels, who):
    """Returns labels; an `InputError` if there are not two or more, all unlike."""
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise InputError(
            f"{who}: at least two different labels are needed, found "
            f"{', '.join(labels) or 'none'}; --labels can name them"
        )
    return labels


def named(options):
    """Returns the tuple of names that `--labels` gives; empty without it.

    Raises:
      InputError: if a name is empty.
    """
    if options.labels is None:
        return ()
    names = tuple(part.strip() for part in options.labels.split(","))
    if len(names) == 1 and os.path.isfile(names[0]):
        raise InputError(
            f"--labels={options.labels}: it is a file; names separated by commas are "
            f'needed: --labels="$(paste -sd, {names[0]})"'
        )
    if "" in names:
        raise InputError(f"--labels={options.labels}: a name is empty")
    return names


def in_order(found):
    """Returns collected labels as a tuple, sorted, as numbers if all are."""
    is_numeric = all(map(_NUMBER.fullmatch, found))
    return tuple(sorted(found, key=lambda x: (float(x), x) if is_numeric else x))


def log_counts(counts, num_empty, who):
    """Logs the frequency of collected labels, and warns of strange ones.

    Args:
      counts: `collections.Counter` of labels.
      num_empty: number of train examples without text.
      who: the task.
    """
    shown = [f"{label} ({count})" for label, count in counts.most_common(_MAX_LOGGED)]
    rest = len(counts) - len(shown)
    more = [f"and {rest} more"] if rest else []
    logger.info("Labels of the train file: %s", ", ".join(shown + more))
    rare = sorted(label for label, count in counts.items() if count <= _MOST_OF_RARE)
    if rare:
        more = ", ..." if len(rare) > _MAX_LOGGED else ""
        logger.warning(
            "%s: labels that no more than %d train examples have: %s%s",
            who,
            _MOST_OF_RARE,
            ", ".join(rare[:_MAX_LOGGED]),
            more,
        )
    for label in filter(columns.is_placeholder, sorted(counts)):
        if not _NUMBER.fullmatch(label):
            logger.warning(
                "%s: %d train examples have the label %r, which often stands for none",
                who,
                counts[label],
                label,
            )
    if num_empty:
        logger.warning("%s: the text of %d train examples is empty", who, num_empty)


def _are_too_many(labels, num_examples):
    """Returns whether a collection is too large for labels of some examples."""
    return len(labels) > max(MAX_LABELS_OF_FEW_ROWS, num_examples / 2)


def _check_names(found, num_examples, sample, who):
    """Raises an `InputError` for names that seem to be the text: many, or sentences."""
    num_words = _num_words([each.label for each in sample])
    num_words_of_texts = _num_words([each.text_a for each in sample])
    is_text = num_words >= columns.WORDS_OF_A_TEXT
    are_many = _are_too_many(found, num_examples)
    if are_many or (is_text and num_words > num_words_of_texts):
        raise InputError(
            f"{who}: {num_examples} train examples have {len(found)} "
            f"different labels, such as {min(found)!r} and {max(found)!r}, in "
            f"cells such as {sample[0].label!r}; if this is the text, give "
            "--label_column and --text_column, as names of the header or as "
            "numbers from 1"
        )


def _num_words(cells):
    """Returns the mean number of words; of numbers, too, and Chinese ones by length."""
    mean = sum(len(cell.split()) for cell in cells) / max(len(cells), 1)
    return max(mean, columns.num_words(cells))


def _parse_list(cell):
    """Returns the items of a list in JSON or Python as texts; None for other cells."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    try:
        # null, true and false are no labels, so that both kinds can be read alike.
        items = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return None
    return [str(item).strip() for item in items]


def _separator(text):
    """Returns the character between names in a text; None for blanks."""
    return next((char for char in ",|;" if char in text), None)


def _split(cell, separator):
    parts = _parse_list(cell)
    if parts is None:
        parts = [part.strip() for part in cell.split(separator)]
    return [part for part in parts if part and part != NO_LABEL]
