"""Fixtures for tests of command lines."""

import pytest


@pytest.fixture(autouse=True)
def _without_report(without_report):
    """The report has tests of its own; `test_training_options` looks for one."""
