"""Graph mode for all tests, and the tiny model and data set that many of them use."""

import logging

import pytest

from bert_my.cli import compat
from tests import helpers

compat.use_graph_mode()


@pytest.fixture(autouse=True)
def _fresh_graph():
    helpers.reset_graph()


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """Undoes what `runner.main` sets up, so that pytest sees what is logged."""
    yield
    logger = logging.getLogger("bert_my")
    logger.handlers, logger.propagate = [], True


@pytest.fixture
def tiny_model(tmp_path):
    """Folder with the vocab.txt and bert_config.json of a tiny BERT."""
    return helpers.write_tiny_model(tmp_path / "model")


@pytest.fixture
def titles(tmp_path):
    """Folder with a small data set of the task `info`."""
    return helpers.write_titles(tmp_path / "titles")
