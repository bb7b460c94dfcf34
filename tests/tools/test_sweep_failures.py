"""What is said about runs of a sweep that failed."""

import pytest

from bert_my.tools import sweep_failures, sweep_plan

CHATTER = [
    "2024-01-31 10:20:30.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210]",
    "2024-01-31 10:20:30.123457: W external/local_tsl/tsl/framework/allocator.cc:83]",
    "WARNING:tensorflow:From /x.py:7: f is deprecated",
]
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "x.py", line 7, in <module>',
    "    raise ValueError(1)",
]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["error: no file", *CHATTER], "error: no file"),
        ([*TRACEBACK, "ValueError: 1", "error: no file"], "error: no file"),
        ([*TRACEBACK, "ValueError: 1", "more of it"], "ValueError: 1"),
        ([*TRACEBACK, "", "A: 1", "During ...", *TRACEBACK, "B: 2"], "B: 2"),
        ([*TRACEBACK, "A: 1", "Exception ignored in: x", *TRACEBACK, "B: 2"], "A: 1"),
        (["2 errors", "Killed"], None),
        (TRACEBACK, None),
        ([], None),
    ],
)
def test_the_reason_of_a_failure(lines, reason):
    assert sweep_failures.find_reason(lines) == reason


def make_run(name):
    return sweep_plan.Run(name, (), 1, f"out/{name}", [])


def describe(failures, name, lines, exit_code=1):
    return failures.describe(make_run(name), exit_code, f"{name}.txt", lines)


def test_an_exception_comes_before_the_log_without_chatter():
    lines = [*CHATTER, "step 1", *TRACEBACK, "ValueError: 1"]
    assert describe(sweep_failures.Failures(), "a", lines) == [
        "ValueError: 1",
        "Exit code 1; the end of a.txt:",
        *(f"| {line}" for line in lines[3:]),
    ]


def test_wrong_input_needs_no_log():
    said = describe(sweep_failures.Failures(), "a", [*CHATTER, "error: no file"])
    assert said == ["error: no file", "Exit code 1; its log: a.txt"]


def test_runs_that_differ_in_their_folder_failed_alike():
    failures = sweep_failures.Failures()
    describe(failures, "a", ["error: no out/a/x"])
    said = describe(failures, "b", ["error: no out/b/x"])
    assert said == ["Exit code 1, like a; its log: b.txt"]


def test_runs_with_other_reasons_are_told_apart():
    failures = sweep_failures.Failures()
    describe(failures, "a", ["error: no file"])
    assert describe(failures, "b", ["error: no room"])[0] == "error: no room"


def test_without_a_reason_each_log_is_shown():
    failures = sweep_failures.Failures()
    for name in ("a", "b"):
        assert describe(failures, name, ["Killed"], -9) == [
            f"Exit code -9; the end of {name}.txt:",
            "| Killed",
        ]


def test_of_a_long_log_the_end_is_shown():
    said = describe(sweep_failures.Failures(), "a", [str(k) for k in range(99)])
    assert len(said) == 13 and said[-1] == "| 98"
