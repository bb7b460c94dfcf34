"""Which labels a task has: declared, given by flags, or those of the train file."""

import ast
import logging

from bert_my.common.errors import InputError
from bert_my.tasks import base

logger = logging.getLogger(__name__)

# What often stands for no label.
NONE = "-"
# The log shows the commonest only.
MAX_LOGGED = 50
# A label that fewer examples have cannot be learnt, and may be a slip.
MOST_OF_RARE = 2


def choose(task, declared, collect):
    """Returns the tuple of labels of a task, in the order of their ids.

    Those of the flags win, then those of the trained model, then the declared ones;
    otherwise they are collected, sorted, as numbers if all are.

    Args:
      task: `Task`.
      declared: tuple, maybe empty.
      collect: function without arguments, to an iterable of labels.

    Raises:
      InputError: if flags and the trained model do not agree, or there are too few.
    """
    names, saved = named(task.options), tuple(task.saved.get("labels", ()))
    if names and saved and names != saved:
        raise InputError(
            f"--labels={task.options.labels}: the model in --output_dir was trained "
            f"with the labels {', '.join(saved)}"
        )
    labels = names or saved or declared
    if task.options.num_labels is not None:
        labels = _counted(task, labels)
    if not labels:
        found = set(collect())
        is_numeric = all(label.isdecimal() for label in found)
        labels = tuple(sorted(found, key=lambda x: (int(x), x) if is_numeric else x))
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise InputError(
            f"task {task.name}: at least two different labels are needed, found "
            f"{', '.join(labels) or 'none'}; --labels can name them"
        )
    return labels


def train_file(task, what, flag):
    """Returns the path of the train file, from which something is to be found out.

    Args:
      task: `Task`.
      what: in the plural, for the error.
      flag: that tells it as well.

    Raises:
      InputError: if there is none.
    """
    paths = task.find_files(base.TRAIN)
    if not paths:
        raise InputError(
            f"task {task.name}: there is no train file to find the {what} in; give "
            f"--{flag}, or the --output_dir of a trained model"
        )
    return paths[0]


def parse_list(cell):
    """Returns the items of a list in JSON or Python as texts; None for other cells."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    try:
        # null, true and false are no labels, so that both kinds can be read alike.
        items = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return None
    return [str(item).strip() for item in items]


def are_known(task, declared):
    """Returns whether `choose` has no need of the train file."""
    given = named(task.options) or task.options.num_labels is not None
    return bool(given or declared or task.saved.get("labels"))


def named(options):
    """Returns the tuple of names that `--labels` gives; empty without it.

    Raises:
      InputError: if a name is empty.
    """
    if options.labels is None:
        return ()
    names = tuple(part.strip() for part in options.labels.split(","))
    if "" in names:
        raise InputError(f"--labels={options.labels}: a name is empty")
    return names


def log_counts(task, counts, num_empty):
    """Logs how often the labels occur that were collected, and warns of strange ones.

    Args:
      task: `Task`.
      counts: `collections.Counter` of labels.
      num_empty: number of train examples without text.
    """
    shown = [f"{label} ({count})" for label, count in counts.most_common(MAX_LOGGED)]
    rest = len(counts) - len(shown)
    more = [f"and {rest} more"] if rest else []
    logger.info("Labels of the train file: %s", ", ".join(shown + more))
    rare = sorted(label for label, count in counts.items() if count <= MOST_OF_RARE)
    if rare:
        more = ", ..." if len(rare) > MAX_LOGGED else ""
        logger.warning(
            "task %s: labels that no more than %d train examples have: %s%s",
            task.name,
            MOST_OF_RARE,
            ", ".join(rare[:MAX_LOGGED]),
            more,
        )
    if NONE in counts:
        logger.warning(
            "task %s: %d train examples have the label %r, which often stands for none",
            task.name,
            counts[NONE],
            NONE,
        )
    if num_empty:
        logger.warning(
            "task %s: the text of %d train examples is empty", task.name, num_empty
        )


def _counted(task, labels):
    """Returns labels if they are as many as `--num_labels`, or 0, 1, ... for none."""
    count = task.options.num_labels
    if labels and len(labels) != count:
        whose = f"task {task.name}"
        if named(task.options):
            whose = "--labels"
        elif task.saved.get("labels"):
            whose = "the model in --output_dir"
        raise InputError(
            f"--num_labels={count}, but {whose} has {len(labels)}: {', '.join(labels)}"
        )
    return labels or tuple(map(str, range(count)))
