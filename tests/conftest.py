"""Graph mode for all tests, and the tiny model and data set that many of them use."""

import gc
import logging

import pytest
from tensorflow.python.framework import ops

from bert_my.cli import compat
from tests import helpers

compat.use_graph_mode()
# What was imported lives for ever, and graphs are made of so many objects that looking
# for garbage took a sixth of the time of building them.
gc.freeze()
gc.set_threshold(20000, 5, 5)


@pytest.fixture(autouse=True)
def _fresh_graph():
    """An empty default graph; what keeps graphs in memory after their test is cut.

    `tf.custom_gradient` registers a gradient for each call, and never removes it. The
    function refers to tensors, and thereby to the graph: 17 MiB and more for each.
    """
    helpers.reset_graph()
    yield
    registry = getattr(ops, "gradient_registry", None) or ops._gradient_registry
    for name in [n for n in registry.list() if n.startswith("CustomGradient-")]:
        del registry._registry[name]


@pytest.fixture(autouse=True, scope="module")
def _collect_garbage():
    """Frees the graphs of a module's fixtures."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """Undoes what `runner.main` sets up, so that pytest sees what is logged."""
    yield
    logger = logging.getLogger("bert_my")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def tiny_model(tmp_path):
    """Folder with the vocab.txt and bert_config.json of a BERT of one tiny layer."""
    return helpers.write_tiny_model(tmp_path / "model", num_hidden_layers=1)


@pytest.fixture
def titles(tmp_path):
    """Folder with a small data set of the task `info`."""
    return helpers.write_titles(tmp_path / "titles")


@pytest.fixture
def without_report(monkeypatch):
    """Leaves out the drawing of the report, a third of the time of a small run."""
    monkeypatch.setattr("bert_my.report.report.write", lambda folder: folder)
