"""Models and a task that several tests of the engine use."""

import pytest

from tests import helpers


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """Folder of a tiny BERT of two layers."""
    return helpers.write_tiny_model(tmp_path_factory.mktemp("two_layers"))


@pytest.fixture(scope="session")
def small_model_dir(tmp_path_factory):
    """Folder of a tiny BERT of one layer."""
    folder = tmp_path_factory.mktemp("one_layer")
    return helpers.write_tiny_model(folder, num_hidden_layers=1)


@pytest.fixture(scope="module")
def task(small_model_dir, tmp_path_factory):
    """The task `info` with a model of one layer."""
    titles = helpers.write_titles(tmp_path_factory.mktemp("titles"))
    return helpers.make_task(small_model_dir, titles)
