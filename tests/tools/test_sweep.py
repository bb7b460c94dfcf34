"""Sweeps of a small program in place of a task's command, and failures of runs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.tools import sweep, sweep_plan
from tests import helpers

# Scores are known from the flags; --at names the seed that does something else.
PROGRAM = """
import json, os, pathlib, signal, sys, time

flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(flags["output_dir"])
with open(str(folder.parent / "starts.txt"), "a") as starts:
    starts.write(flags["seed"] + "\\n")
print("program at work", flush=True)
kind, _, seed = flags.get("at", "").partition(":")
if seed in (flags["seed"], "all"):
    if kind == "crash":
        raise MemoryError("no room")
    if kind == "reject":
        sys.exit("error: no file in " + flags["output_dir"])
    if kind == "silent":
        sys.exit()
    if kind == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if kind in ("interrupt", "stubborn"):
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    if kind == "hang":
        print("pid", os.getpid(), flush=True)
        time.sleep(60)
if kind == "together":
    deadline = time.time() + 20
    while len((folder.parent / "starts.txt").read_text().split()) < 2:
        assert time.time() < deadline, "the other run has not started"
        time.sleep(0.02)
decay = float(flags.get("weight_decay", 0))
accuracy = 0.5 + decay + int(flags["seed"]) ** 2 / 64
scores = {"eval_accuracy": accuracy, "eval_loss": 1 / accuracy, "global_step": 9}
(folder / "eval_results.json").write_text(json.dumps(scores))
(folder / "task.json").write_text('{"main_metric": "eval_accuracy"}')
"""


@pytest.fixture
def command(tmp_path):
    """The words of a command, whose folder is `out`."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return [sys.executable, str(program), f"--output_dir={tmp_path / 'out'}"]


def make_plan(command, *more, grids=(), seeds="3"):
    return sweep_plan.make_plan([*command, *more], grids, seeds)


def starts(tmp_path):
    """Returns the seeds in the order in which their runs were started."""
    return (tmp_path / "out" / "starts.txt").read_text().split()


def lines_of(path):
    with open(str(path), encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_table_has_mean_best_and_std_of_each_setting(command, tmp_path):
    plan = make_plan(command, grids=["weight_decay=0,0.1"])
    assert sweep.run(plan) == 0
    squares = np.array([1, 4, 9]) / 64
    for line, decay in zip(lines_of(tmp_path / "out" / "sweep.csv"), (0, 0.1)):
        accuracy = 0.5 + decay + squares
        assert line["num_finished"] == line["num_planned"] == "3"
        assert line["is_best"] == str(int(decay == 0.1))
        for metric, values, best in (
            ("eval_accuracy", accuracy, "max"),
            ("eval_loss", 1 / accuracy, "min"),
        ):
            golden = {"mean": np.mean(values), "std": np.std(values, ddof=1)}
            golden[best] = getattr(np, best)(values)
            for what, value in golden.items():
                assert float(line[f"{metric}_{what}"]) == pytest.approx(value)
    assert len(lines_of(tmp_path / "out" / "sweep_runs.csv")) == 6
    page = (tmp_path / "out" / "report" / "index.html").read_text(encoding="utf-8")
    assert '<figure id="weight_decay-eval_loss"' in page
    text = (tmp_path / "out" / "sweep.txt").read_text(encoding="utf-8")
    assert "6 of 6 planned runs are in the table." in text


def test_scores_are_the_numbers_of_the_results(tmp_path):
    results = {
        **{"eval_accuracy": 0.75, "auc": None, "f1": 1, "mcc": float("nan")},
        **{"global_step": 9, "loss": 0.5, "name": "x", "is_good": True},
    }
    (tmp_path / "eval_results.json").write_text(json.dumps(results))
    assert sweep.read_scores(str(tmp_path)) == {
        **{"eval_accuracy": 0.75, "auc": None, "f1": 1.0, "mcc": None},
    }


@pytest.mark.parametrize("text", [None, "", "[1]", '{"f1": 0.'])
def test_broken_files_hold_nothing(tmp_path, text):
    if text is not None:
        (tmp_path / "eval_results.json").write_text(text)
        (tmp_path / "task.json").write_text(text)
    assert sweep.read_scores(str(tmp_path)) is None
    assert sweep.read_main_metric(str(tmp_path)) is None


def test_finished_runs_are_not_repeated(command, tmp_path):
    sweep.run(make_plan(command, seeds="2"))
    assert sweep.run(make_plan(command, seeds="3")) == 0
    assert starts(tmp_path) == ["1", "2", "3"]


def test_a_crash_leaves_the_others(command, tmp_path, capsys):
    plan = make_plan(command, "--at=crash:2")
    assert sweep.run(plan) == 1
    assert starts(tmp_path) == ["1", "2", "3"]
    shown = capsys.readouterr().out
    assert "seed-2: failed" in shown and "\n  MemoryError: no room\n" in shown
    assert "2 of 3 planned runs are in the table; failed: seed-2." in shown


def test_a_crashed_run_is_run_again_and_keeps_its_log(command, tmp_path):
    plan = make_plan(command, "--at=crash:2")
    assert [sweep.run(plan), sweep.run(plan)] == [1, 1]
    assert starts(tmp_path) == ["1", "2", "3", "2"]
    log = (tmp_path / "out" / "seed-2" / "log.txt").read_text()
    assert log.count("$ ") == log.count("program at work\n") == 2


def test_results_of_an_earlier_start_do_not_count(command, tmp_path):
    plan = make_plan(command, "--at=crash:2", seeds="2,")
    sweep.run(plan)
    (tmp_path / "out" / "seed-2" / "eval_results.json").write_text('{"auc": 1}')
    assert sweep.run(plan) == 1
    assert not (tmp_path / "out" / "seed-2" / "eval_results.json").exists()


def test_the_same_failure_is_shown_once(command, tmp_path, capsys):
    assert sweep.run(make_plan(command, "--at=reject:all")) == 1
    shown = capsys.readouterr().out
    assert shown.count("error: no file in ") == 1
    log = tmp_path / "out" / "seed-3" / "log.txt"
    assert f"  Exit code 1, like seed-1; its log: {log}\n" in shown


def test_an_earlier_start_is_not_why_a_run_failed(command, tmp_path, capsys):
    plan = make_plan(command, "--at=crash:2", seeds="2,")
    sweep.run(plan)
    log = tmp_path / "out" / "seed-2" / "log.txt"
    log.write_text(log.read_text().replace("MemoryError: no room", "error: old"))
    capsys.readouterr()
    sweep.run(plan)
    shown = capsys.readouterr().out
    assert "MemoryError: no room" in shown and "error: old" not in shown


def test_a_run_without_results_has_failed(command, capsys):
    assert sweep.run(make_plan(command, "--at=silent:1", seeds="1")) == 1
    shown = capsys.readouterr().out
    assert "eval_results.json" in shown and "--do_eval" in shown
    assert "0 of 1 planned runs are in the table; failed: seed-1." in shown


def test_another_command_in_a_folder_is_refused(command, tmp_path):
    sweep.run(make_plan(command, seeds="1"))
    with pytest.raises(InputError, match=r"out/seed-1: .*--x=5; .*--restart"):
        sweep.run(make_plan(command, "--x=5"))
    assert starts(tmp_path) == ["1"]


def test_restart_runs_changed_commands_anew_and_no_others(command, tmp_path):
    sweep.run(make_plan(command, seeds="2"))
    record = tmp_path / "out" / "seed-2" / "sweep_run.json"
    record.write_text(record.read_text().replace("program.py", "other.py"))
    (tmp_path / "out" / "seed-2" / "checkpoint").write_text("of another command")
    assert sweep.run(make_plan(command, seeds="2"), restart=True) == 0
    assert starts(tmp_path) == ["1", "2", "2"]
    assert not (tmp_path / "out" / "seed-2" / "checkpoint").exists()


@pytest.mark.parametrize("restart", [False, True])
def test_folders_of_others_are_left_alone(command, tmp_path, restart):
    mine = tmp_path / "out" / "seed-1" / "mine"
    mine.mkdir(parents=True)
    with pytest.raises(InputError, match=r"seed-1: .*sweep_run\.json"):
        sweep.run(make_plan(command), restart=restart)
    assert mine.exists()


def test_a_broken_record_is_named(command, tmp_path):
    sweep.run(make_plan(command, seeds="1"))
    (tmp_path / "out" / "seed-1" / "sweep_run.json").write_text("{")
    with pytest.raises(InputError, match=r"seed-1/sweep_run\.json: "):
        sweep.run(make_plan(command))


def test_runs_can_be_at_work_together(command):
    plan = make_plan(command, "--at=together:", seeds="2")
    assert sweep.run(plan, max_parallel=2) == 0


@pytest.fixture
def _interruptible():
    """Ctrl-C arrives, even if whoever started the tests ignores it (as nohup does)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupted_sweep_has_a_table_and_goes_on_later(command, tmp_path, capsys):
    plan = make_plan(command, "--at=interrupt:2")
    assert sweep.run(plan) == 130
    assert starts(tmp_path) == ["1", "2"]
    shown = capsys.readouterr().out
    assert "1 of 3 planned runs are in the table" in shown
    assert "not finished: seed-2; not run yet: seed-3." in shown
    log = (tmp_path / "out" / "seed-2" / "log.txt").read_text()
    assert "KeyboardInterrupt" in log
    assert sweep.run(plan) == 130
    assert starts(tmp_path) == ["1", "2", "2"]


@pytest.mark.usefixtures("_interruptible")
def test_a_run_that_does_not_stop_is_killed(command, monkeypatch):
    monkeypatch.setattr(sweep, "GRACE_SECONDS", 0.3)
    before = signal.getsignal(signal.SIGINT)
    assert sweep.run(make_plan(command, "--at=stubborn:1")) == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_left_behind_keeps_others_out(command, tmp_path):
    words = [*command, "--at=hang:1"]
    process = subprocess.Popen(
        [sys.executable, str(helpers.ROOT / "scripts" / "sweep.py"), "--", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = ""
    while "started" not in line:
        line = process.stdout.readline()
        assert line
    process.kill()
    process.communicate()
    log = tmp_path / "out" / "seed-1" / "log.txt"
    deadline = time.time() + 20
    while "pid" not in log.read_text():
        assert time.time() < deadline
        time.sleep(0.02)
    try:
        with pytest.raises(InputError, match=f"{tmp_path / 'out'}: "):
            sweep.run(make_plan(words))
    finally:
        os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)


def run_script(*words):
    return helpers.run_script("scripts/sweep.py", ["sweep.py", *words], check=False)


def test_the_script_shows_the_table_and_fails_with_a_run(command, tmp_path):
    process = run_script(
        "--seeds=2",
        "--grid",
        "weight_decay=0.25",
        "--metric",
        "eval_loss",
        "--",
        *command,
        "--at=crash:2",
    )
    assert process.returncode == 1
    table = (tmp_path / "out" / "sweep.txt").read_text(encoding="utf-8")
    assert table in process.stdout
    assert "eval_loss" in table and "eval_accuracy" not in table


def test_a_closed_pipe_does_not_cost_the_table(command, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    script = str(helpers.ROOT / "scripts" / "sweep.py")
    process = subprocess.run(
        [sys.executable, script, "--", *command],
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, b"")
    assert (tmp_path / "out" / "sweep.txt").exists()


def test_dry_run_shows_commands_and_makes_nothing(command, tmp_path):
    process = run_script("--seeds=7,", "--dry_run", "--", *command, "--text=a b")
    (line,) = process.stdout.splitlines()
    assert "'--text=a b' " in line and line.endswith("/out/seed-7")
    assert process.returncode == 0 and not (tmp_path / "out").exists()


def test_dry_run_tells_what_is_finished(command):
    sweep.run(make_plan(command, seeds="1"))
    lines = sweep.describe(make_plan(command, seeds="2")).splitlines()
    assert [line.startswith("# finished: ") for line in lines] == [True, False]


@pytest.mark.parametrize(
    "words, status, message",
    [
        (["--seeds=2", "python3"], 2, "--"),
        (["--sed=2", "--", "python3"], 2, "--sed=2"),
        (["--max_parallel=0", "--", "python3"], 2, "--max_parallel=0"),
        (["--grid", "x", "--", "python3"], 1, 'error: --grid "x"'),
    ],
)
def test_a_wrong_command_line_is_one_error(words, status, message):
    process = run_script(*words)
    assert process.returncode == status
    assert message in process.stdout.splitlines()[-1]
    assert "Traceback" not in process.stdout


def test_the_script_starts_without_heavy_imports():
    code = (
        "import sys; from bert_my.tools import sweep; "
        "print({'tensorflow', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output.strip() == "set()"


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
    assert sweep.find_reason(lines) == reason


def make_run(name):
    return sweep_plan.Run(name, (), 1, f"out/{name}", [])


def describe(failures, name, lines, exit_code=1):
    return sweep.describe_failure(make_run(name), exit_code, lines, failures)


def test_an_exception_comes_before_the_log_without_chatter():
    lines = [*CHATTER, "step 1", *TRACEBACK, "ValueError: 1"]
    assert describe({}, "a", lines) == [
        "ValueError: 1",
        "Exit code 1; the end of out/a/log.txt:",
        *(f"| {line}" for line in lines[3:]),
    ]


def test_wrong_input_needs_no_log():
    said = describe({}, "a", [*CHATTER, "error: no file"])
    assert said == ["error: no file", "Exit code 1; its log: out/a/log.txt"]


def test_runs_that_differ_in_their_folder_failed_alike():
    failures = {}
    describe(failures, "a", ["error: no out/a/x"])
    said = describe(failures, "b", ["error: no out/b/x"])
    assert said == ["Exit code 1, like a; its log: out/b/log.txt"]


def test_runs_with_other_reasons_are_told_apart():
    failures = {}
    describe(failures, "a", ["error: no file"])
    assert describe(failures, "b", ["error: no room"])[0] == "error: no room"


def test_without_a_reason_each_log_is_shown():
    failures = {}
    for name in ("a", "b"):
        assert describe(failures, name, ["Killed"], -9) == [
            f"Exit code -9; the end of out/{name}/log.txt:",
            "| Killed",
        ]


def test_of_a_long_log_the_end_is_shown():
    said = describe({}, "a", [str(k) for k in range(99)])
    assert len(said) == 13 and said[-1] == "| 98"
