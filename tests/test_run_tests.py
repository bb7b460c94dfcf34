"""The runner of the tests: which tests run where, and what their end is."""

import sys

import pytest

from scripts import run_tests
from tests import helpers

pytestmark = pytest.mark.once

FILES = {
    "tests/test_top.py": (
        "import pytest\n"
        "def test_passes(): pass\n"
        "@pytest.mark.once\n"
        "def test_is_pure(): pass\n"
    ),
    "tests/engine/test_a.py": "def test_fails(): assert False\n",
    "tests/text/test_b.py": (
        "import pytest\n"
        "def test_passes(): pass\n"
        "@pytest.mark.slow\n"
        "def test_is_slow(): pass\n"
    ),
}


@pytest.fixture
def run(tmp_path):
    """Runs the tests above as if in two environments; returns (status, summary)."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = "[pytest]\naddopts = -m 'not slow'\nmarkers = slow\n  once\n"
    (tmp_path / "pytest.ini").write_text(settings)
    (tmp_path / "other").symlink_to(sys.prefix)

    def run(*argv):
        argv = ["program", f"{sys.prefix},other", *argv]
        found = helpers.run_script("scripts/run_tests.py", argv, tmp_path, check=False)
        summary = found.stdout.split("== Summary\n")[1].splitlines()
        return found.returncode, [line.replace(sys.prefix, "first") for line in summary]

    return run


def results(summary):
    """Returns a dict (environment, folders) -> number of tests that passed, as text."""
    cells = [line.split() for line in summary]
    return {(row[0], row[1]): row[-2] for row in cells if row[-1] == "passed"}


def test_what_depends_on_tensorflow_runs_in_each_environment(run):
    status, summary = run()
    assert status == 1
    assert results(summary) == {
        ("first", "tests,tests/engine,tests/text"): "3",
        ("other", "tests,tests/engine"): "1",
    }
    assert ["1 failed" in line for line in summary] == [True, True]


def test_all_runs_slow_tests_in_both_environments(run):
    status, summary = run("--all", "tests/text")
    assert status == 0
    assert results(summary) == dict.fromkeys(
        [("first", "tests/text"), ("other", "tests/text")], "2"
    )


def test_arguments_go_to_pytest(run):
    status, summary = run("tests/text/test_b.py", "tests/test_top.py", "-k", "passes")
    assert status == 0
    assert results(summary) == {("first", "files"): "2", ("other", "files"): "2"}
    assert run("tests/text", "-k", "nowhere")[0] == 5


def test_large_folders_have_a_process_of_their_own(tmp_path):
    groups = {}
    for name, num_bytes in (("a", 6), ("b", 4), ("c", 1), ("d", 11), ("e", 1)):
        path = tmp_path / name
        path.write_bytes(b"x" * num_bytes)
        groups[name] = [str(path)]
    joined = run_tests.join_small(groups, 10)
    assert list(joined) == ["a,b", "c", "d", "e"]
    assert joined["a,b"] == [*groups["a"], *groups["b"]]
