"""The same ten rows as tables of many layouts, for the tests of the task `csv`."""

import csv
import io
import json

from bert_my.tasks import base

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
    {"text": text, "label": label, "more": more, "id": f"row-{index}", "n": index % 2}
    for index, (text, label, more) in enumerate(zip(TEXTS, LABELS, TEXTS[::-1]))
]
EXPECTED = list(zip(TEXTS, LABELS))


def table(*names, header=None, rows=ROWS, delimiter=",", **more):
    """Returns a table as text, with the columns `names`.

    header: dict column -> its name, or None for no header.
    more: settings of `csv.writer`.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, **{"lineterminator": "\n", **more})
    if header is not None:
        writer.writerow([header.get(name, name) for name in names])
    for index, row in enumerate(rows):
        row = {"date": f"2026-0{1 + index // 5}-17", "price": 2.5 * index, **row}
        writer.writerow([row[name] for name in names])
    return stream.getvalue()


def json_lines(*names, rows=ROWS):
    objects = [{name: row[name] for name in names if name in row} for row in rows]
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


def read(task, split=base.TRAIN):
    return [(each.text_a, each.label) for each in task.read_examples(split)]
