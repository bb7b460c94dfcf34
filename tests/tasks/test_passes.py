"""A train file is read few times, and not at all once its records are made."""

import builtins
import collections
import io
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from tests import helpers


def write_json_lines(path, num_rows=60):
    texts = helpers.make_texts(num_rows)
    rows = [{"text": f"{text} again", "label": "ab"["cat" in text]} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def opened(monkeypatch):
    """Returns the `Counter` of the files that are opened from now on, by real path."""
    counts = collections.Counter()

    def counting(function):
        def open_and_count(path, *args, **kwargs):
            if isinstance(path, (str, bytes, os.PathLike)):
                counts[os.path.realpath(os.fsdecode(path))] += 1
            return function(path, *args, **kwargs)

        return open_and_count

    monkeypatch.setattr(builtins, "open", counting(builtins.open))
    monkeypatch.setattr(io, "open", counting(io.open))
    monkeypatch.setattr(os, "open", counting(os.open))
    monkeypatch.setattr(files, "HashedFile", counting(files.HashedFile))
    return counts


# Of a file with more lines than the sample its first rows are read by themselves.
@pytest.mark.parametrize(
    ("content", "limit"),
    [pytest.param("json", 5, marks=pytest.mark.slow), ("tags", 5), ("csv", 6)],
)
def test_a_train_file_is_opened_few_times(
    one_layer_model, tmp_path, opened, content, limit
):
    path = tmp_path / f"train.{content}"
    flags = {"task_name": "csv"}
    if content == "json":
        write_json_lines(path)
    elif content == "csv":
        rows = [(text, "ab"["cat" in text]) for text in helpers.make_texts(700)]
        helpers.write_rows(path, [("text", "label"), *rows], delimiter=",")
    else:
        lines = [f"{word} {'B-X' if word == 'cat' else 'O'}" for word in helpers.WORDS]
        path.write_text("\n".join([*lines, "", *lines, "", *lines]), encoding="utf-8")
        flags = {"task_name": "ner", "objective": "token"}
    argv = helpers.command(
        one_layer_model,
        "",
        tmp_path / "out",
        "do_train",
        "do_eval",
        train_file=path,
        num_dev_examples=2,
        class_weights="auto",
        num_train_epochs=0.1,
        **flags,
    )
    opened.clear()  # the file was written
    helpers.run(argv)
    assert 0 < opened[os.path.realpath(str(path))] <= limit


@pytest.mark.parametrize("name", ["csv", "ner"])
def test_a_task_with_records_needs_no_file(tiny_model, tmp_path, name):
    data = tmp_path / "data"
    data.mkdir()
    if name == "csv":
        write_json_lines(data / "train.json")
    else:
        lines = "a B-X\nb I-X\n\n" * 9
        (data / "train.txt").write_text(lines)
    options = TaskOptions(num_dev_examples=3)
    task = helpers.make_task(tiny_model, data, name, options=options)
    examples = list(task.read_examples(base.DEV))
    description = json.dumps(task.description)
    records = task.load_records(base.DEV, str(tmp_path / "cache"))
    shutil.rmtree(str(data))
    assert json.dumps(task.description) == description
    encoded = task.encode(examples)
    assert sum(map(len, encoded)) == records.num_examples == 3
    features = records.gather([0, 1, 2])
    inputs = {
        spec.name: tf.constant(features[spec.name]) for spec in task.feature_specs
    }
    inputs["is_real_example"] = tf.ones([3])
    outputs = task.build(inputs, is_training=True)
    assert outputs.losses
    rows = [
        {"label": np.zeros(12, int), "probabilities": np.array([0.75, 0.25])}
        for _ in range(3)
    ]
    if name == "csv":
        rows = [{**row, "label": 0} for row in rows]
    kept = list(records.examples())
    results = [
        task.postprocessor(example, [{**row, **(about or {})}])
        for (example, (about,)), row in zip(kept, rows)
    ]
    pairs = [(example, result) for (example, _), result in zip(kept, results)]
    assert set(task.score(pairs)) == set(task.metric_names)
    stream = io.StringIO()
    for writer in task.writers.values():
        writer.begin(stream)
        for index, pair in enumerate(pairs):
            writer.add(stream, index, *pair)
        writer.end(stream)
    assert stream.getvalue()
