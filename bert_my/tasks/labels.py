"""Which labels a task has: declared, given by flags, or those of the train file."""

import ast

from bert_my.data.errors import InputError


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
    given = _given(task.options) or declared
    saved = tuple(task.saved.get("labels", ()))
    if given and saved and given != saved:
        raise InputError(
            "the model in --output_dir was trained with the labels "
            f"{', '.join(saved)}; now they would be {', '.join(given)}"
        )
    if not (saved or given):
        found = set(collect())
        is_numeric = all(label.isdecimal() for label in found)
        saved = tuple(sorted(found, key=lambda x: (int(x), x) if is_numeric else x))
        task.saved["labels"] = list(saved)
    labels = saved or given
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise InputError(
            f"task {task.name}: at least two different labels are needed, found "
            f"{', '.join(labels) or 'none'}; --labels can name them"
        )
    return labels


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


def _given(options):
    """Returns the labels that `--labels` or `--num_labels` stand for."""
    names = tuple(part.strip() for part in (options.labels or "").split(",") if part)
    count = options.num_labels
    if count is None:
        return names
    if names and len(names) != count:
        raise InputError(f"--num_labels={count}, but --labels has {len(names)}")
    return names or tuple(map(str, range(count)))
