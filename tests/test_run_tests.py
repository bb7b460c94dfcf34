"""The runner of the tests: a folder that fails hides no other."""

import sys

import pytest

from tests import helpers

FILES = {
    "tests/test_top.py": "def test_passes(): pass\n",
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
    settings = "[pytest]\naddopts = -m 'not slow'\nmarkers = slow\n"
    (tmp_path / "pytest.ini").write_text(settings)
    (tmp_path / "other").symlink_to(sys.prefix)

    def run(*argv):
        argv = ["program", f"{sys.prefix},other", *argv]
        found = helpers.run_script("scripts/run_tests.py", argv, tmp_path, check=False)
        summary = found.stdout.split("== Summary\n")[1].splitlines()
        return found.returncode, [line.replace(sys.prefix, "first") for line in summary]

    return run


def results(summary):
    """Returns a dict (environment, folder) -> number of tests that passed, as text."""
    cells = [line.split() for line in summary]
    return {(row[0], row[1]): row[-2] for row in cells if row[-1] == "passed"}


def test_a_failing_folder_hides_no_other(run):
    status, summary = run()
    assert status == 1
    # What does not depend on TensorFlow runs in the first environment.
    assert results(summary) == {
        ("first", "tests"): "1",
        ("first", "tests/text"): "1",
        ("other", "tests"): "1",
    }
    assert sum("tests/engine" in line and "1 failed" in line for line in summary) == 2


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
