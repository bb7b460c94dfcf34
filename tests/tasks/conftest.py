"""Fixtures for tests of several tasks."""

import functools

import pytest

from bert_my.tasks.options import TaskOptions
from tests import helpers


@pytest.fixture(autouse=True)
def _without_report(without_report):
    """The report has tests of its own."""


@pytest.fixture
def make_named_task(tiny_model, tmp_path):
    """Returns a function that makes a task of a name, contents of files, and flags.

    The contents are those of `train`, `dev` and `test`; the flags are fields of
    `TaskOptions`; `saved` and `data_dir` are those of `Task.load`.
    """

    def make(name, suffix="tsv", saved=None, data_dir=None, **values):
        for split in {"train", "dev", "test"} & set(values):
            path = tmp_path / f"{split}.{suffix}"
            path.write_bytes(values.pop(split).encode("utf-8"))
            values[f"{split}_file"] = str(path)
        options = TaskOptions(**values)
        return helpers.make_task(
            tiny_model, data_dir, name, options=options, saved=saved
        )

    return make


@pytest.fixture
def make_csv_task(make_named_task):
    """The same for the task `csv`."""
    return functools.partial(make_named_task, "csv", suffix="csv")


@pytest.fixture
def one_layer_model(tmp_path):
    """A model with one layer, for whole runs: most of their time builds the graph."""
    return helpers.write_tiny_model(tmp_path / "one_layer", num_hidden_layers=1)
