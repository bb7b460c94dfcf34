"""Data files of a project, and the way in which they would be read."""

import itertools
import os

from bert_my.common import text_files
from bert_my.common.errors import InputError
from bert_my.data import splits
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions

_TABLES = (".csv", ".tsv", ".jsonl", ".json", ".txt")
_RECORDS = (".tf_record", ".tfrecord", ".tfrecords", ".hdf5")
# A larger file is not read for its labels.
_LARGEST = 100 << 20
_MOST_LABELS = 8
# Names of files that are no data.
_OTHERS = (
    *("vocab", "config", "requirements", "license", "readme", "version"),
    *("results", "eval_"),
)
_SAMPLE = 200  # lines


def is_data(path):
    """Returns whether a file may be one of data, by its name."""
    name = os.path.basename(path).lower()
    if any(part in name for part in _OTHERS):
        return False
    return _plain(name).endswith((*_TABLES, *_RECORDS))


def _plain(name):
    return name[: -len(".gz")] if name.endswith(".gz") else name


def describe(path):
    """Yields lines on a data file."""
    if _plain(path).endswith(_RECORDS):
        yield f"{path}: records; run_pretraining_mgpu.py reads those of pretraining"
        return
    if os.path.getsize(path) > _LARGEST:
        yield f"{path}: {os.path.getsize(path) >> 20} MiB, not read"
        return
    stem = os.path.basename(path).split(".")[0]
    errors = []
    for task_class, split in _candidates(path, stem):
        try:
            yield f"{path}: {_read_as(task_class, split, path)}"
            break
        except InputError as error:
            errors.append(str(error))
    else:
        if _plain(path).endswith(".txt") and _is_running_text(path):
            yield (
                f"{path}: lines without columns; give it to create_pretraining_data.py "
                "as --input_file, or as --test_file"
            )
        else:
            yield errors[0]
        return
    if _split_of(task_class, stem) is None:
        yield f"  give it as --train_file={path}, --dev_file or --test_file"


def _candidates(path, stem):
    """Yields (`Task` class, split) in which a file may be read, the best first."""
    folder = os.path.basename(os.path.dirname(path))
    try:  # the task that is called as the folder is
        task_class = base.get_task_class(folder)
    except InputError:
        pass
    else:
        split = _split_of(task_class, stem)
        if split and hasattr(task_class, "schema_class"):
            yield task_class, split
    for name in ("csv", "ner"):
        yield base.get_task_class(name), splits.TRAIN


def _split_of(task_class, stem):
    """Returns the split of the file with a stem in --data_dir, or None."""
    found = [split for split, stems in task_class.files.items() if stem in stems]
    return found[0] if found else None


def _read_as(task_class, split, path):
    """Returns task, columns and labels of a file that is read by a task, as text.

    Raises:
      InputError: if the task cannot read it.
    """
    options = TaskOptions(train_file=path)
    schema = task_class.schema_class(
        splits.Splits(None, task_class.files, options),
        object.__new__(task_class),
        options,
        {},
        False,
    )
    num_rows = sum(1 for _ in schema.read(path, split))
    names = schema.labels.names
    shown = ", ".join(names[:_MOST_LABELS])
    more = ", ..." if len(names) > _MOST_LABELS else ""
    parts = [f"--task_name={task_class.name}", f"{num_rows} examples"]
    structure = getattr(schema, "structure", None)
    if structure is not None:
        header = "with a header" if structure.has_header else "no header"
        parts += [str(structure.dialect), header, str(structure.roles)]
    return "; ".join([*parts, f"{len(names)} labels: {shown}{more}"])


def _is_running_text(path):
    """Returns whether the first lines of a file are text without tabs."""
    lines = itertools.islice(text_files.read_lines(path), _SAMPLE)
    try:
        return not any("\t" in line for _, line in lines)
    except InputError:
        return False
