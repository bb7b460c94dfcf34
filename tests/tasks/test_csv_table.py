"""The task `csv`: whatever layout, every row is read right, or one clear error."""

import csv
import io
import itertools
import json
import logging

import pytest

from bert_my.data.errors import InputError
from bert_my.tasks import base
from tests import helpers

TEXTS = [
    "the cat runs, and sleeps",
    'why "never again" is a dog here',
    "a; b | c, and more of it",
    "how the tree wins; today",
    '"the house" sleeps again today',
    "never a cat | again",
    "你好, the dog runs again",
    "a house; a tree; a dog, again",
    "the cat, again and again\nand on another line",
    "the dog wins",
]
LABELS = ["bad", "good", "bad", "good", "good", "bad", "so so", "good", "so so", "bad"]
ROWS = [
    {
        "id": f"row-{index}",
        "date": f"2026-0{1 + index // 5}-17",
        "price": 2.5 * index,
        "text": text,
        "label": label,
    }
    for index, (text, label) in enumerate(zip(TEXTS, LABELS))
]


def table(names, rows=ROWS, header=None, delimiter=",", line_end="\n", **more):
    """Returns a table as text: the columns `names`, below a header unless it is ()."""
    stream = io.StringIO()
    writer = csv.writer(
        stream, delimiter=delimiter, lineterminator=line_end, escapechar=None, **more
    )
    if header != ():
        writer.writerow(header or names)
    writer.writerows([[row[name] for name in names] for row in rows])
    return stream.getvalue()


def plain(names, rows=ROWS, header=None, delimiter="\t", line_end="\n"):
    """The same without any quotes; line ends within a text become blanks."""
    lines = [] if header == () else [list(header or names)]
    lines += [[str(row[name]).replace("\n", " ") for name in names] for row in rows]
    return "".join(delimiter.join(line) + line_end for line in lines)


def json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def make_task(tiny_model, tmp_path):
    """Returns a function from files (`train_csv="..."`) and flags to a task."""

    def make(saved=None, **values):
        options = {}
        for name, value in values.items():
            split, _, suffix = name.partition("_")
            if split in base.CsvSplits if False else split in ("train", "dev", "test"):
                path = tmp_path / f"{split}.{suffix}"
                content = value if isinstance(value, bytes) else value.encode("utf-8")
                path.write_bytes(content)
                options[f"{split}_file"] = str(path)
            else:
                options[name] = value
        return helpers.make_task(
            tiny_model, name="csv", options=base.TaskOptions(**options), saved=saved
        )

    return make


def read(task, split=base.TRAIN):
    return [(each.text_a, each.label) for each in task.read_examples(split)]
