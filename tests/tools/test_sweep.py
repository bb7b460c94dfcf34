"""Sweeps of a small program in place of a task's command, and failures of runs."""

import contextlib
import csv
import fcntl
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.tools import sweep
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
        sys.exit("error: no file in " + flags["output_dir"] + "\\nmore of it")
    if kind == "long":
        print(*range(99), sep="\\n")
        sys.exit(3)
    if kind == "silent":
        sys.exit()
    if kind in ("stubborn", "children"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if kind == "children":
        if not os.fork():
            time.sleep(60)
            os._exit(0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if kind in ("interrupt", "stubborn", "terminate", "children"):
        number = signal.SIGTERM if kind == "terminate" else signal.SIGINT
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to terminate"))
        os.kill(os.getppid(), number)
        time.sleep(60)
    if kind == "hang":
        print("pid", os.getpid(), flush=True)
        time.sleep(60)
decay = float(flags.get("weight_decay", 0))
accuracy = 0.5 + decay + int(flags["seed"]) ** 2 / 64
scores = {"eval_accuracy": accuracy, "eval_loss": 1 / accuracy, "global_step": 9}
(folder / "eval_results.json").write_text(json.dumps(scores))
task = {"task": "csv", "kind": "", "main_metric": "eval_accuracy"}
(folder / "task.json").write_text(json.dumps(task))
"""


@pytest.fixture
def command(tmp_path):
    """The words of a command, whose folder is `out`."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return [sys.executable, str(program), f"--output_dir={tmp_path / 'out'}"]


def make_plan(command, *more, grids=(), seeds="3"):
    return sweep.make_plan([*command, *more], grids, seeds)


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


def test_finished_runs_are_not_repeated(command, tmp_path):
    sweep.run(make_plan(command, seeds="2"))
    assert sweep.run(make_plan(command, seeds="3")) == 0
    assert starts(tmp_path) == ["1", "2", "3"]


def test_a_crash_leaves_the_others(command, tmp_path, capsys):
    plan = make_plan(command, "--at=crash:2")
    assert sweep.run(plan) == 1
    assert starts(tmp_path) == ["1", "2", "3"]
    shown = capsys.readouterr().out
    assert "seed-2: failed" in shown and "\n  | MemoryError: no room\n" in shown
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


def test_wrong_input_is_shown_without_the_log(command, tmp_path, capsys):
    assert sweep.run(make_plan(command, "--at=reject:2")) == 1
    folder = tmp_path / "out" / "seed-2"
    said = f"  error: no file in {folder}\n  Exit code 1; its log: {folder}/log.txt\n"
    assert said in capsys.readouterr().out


def test_of_a_long_log_the_end_is_shown(command, capsys):
    assert sweep.run(make_plan(command, "--at=long:1", seeds="1")) == 1
    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("  ")]
    assert lines[:12] == [f"  | {number}" for number in range(87, 99)]
    assert lines[12].startswith("  Exit code 3; its log: ")


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


def test_another_command_is_run_and_the_old_run_is_kept(command, tmp_path, capsys):
    sweep.run(make_plan(command, seeds="1"))
    plan = make_plan(command, "--x=5", seeds="1")
    assert sweep.read_run(*plan.runs).state == sweep.OTHER_COMMAND
    assert sweep.run(plan) == 0
    assert starts(tmp_path) == ["1", "1"]
    assert "seed-1: was another command, and is now seed-1.old" in (
        capsys.readouterr().out
    )
    assert (tmp_path / "out" / "seed-1.old" / "eval_results.json").exists()
    assert sweep.run(plan) == 0
    assert starts(tmp_path) == ["1", "1"]


@pytest.mark.parametrize("words", [["--data_dir", "{}"], ["--train_file={}/a.csv"]])
def test_other_data_is_run_again(command, tmp_path, words):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.csv", "nohup.out"):
        (data / name).write_text("a")
    plan = make_plan(command, *[word.format(data) for word in words], seeds="1")
    sweep.run(plan)
    (data / "nohup.out").write_text("more")
    (data / "a.csv").write_text("a")
    sweep.run(plan)
    assert starts(tmp_path) == ["1"]
    (data / "a.csv").write_text("b")
    sweep.run(plan)
    assert starts(tmp_path) == ["1", "1"]
    (data / "a.csv").unlink()
    assert sweep.read_run(*plan.runs).state == sweep.FINISHED


def test_folders_of_others_are_left_alone(command, tmp_path):
    mine = tmp_path / "out" / "seed-1" / "mine"
    mine.mkdir(parents=True)
    with pytest.raises(InputError, match=r"seed-1: .*sweep_run\.json"):
        sweep.run(make_plan(command))
    assert mine.exists()


def test_the_beginning_of_a_record_is_no_obstacle(command, tmp_path):
    folder = tmp_path / "out" / "seed-1"
    folder.mkdir(parents=True)
    (folder / "sweep_run.json.17.tmp").write_text("{")
    assert sweep.run(make_plan(command, seeds="1")) == 0


def test_broken_results_are_those_of_a_failed_run(command, tmp_path):
    sweep.run(make_plan(command, seeds="2"))
    (tmp_path / "out" / "seed-1" / "eval_results.json").write_text("{")
    (tmp_path / "out" / "seed-2" / "task.json").write_text("{")
    runs = map(sweep.read_run, make_plan(command, seeds="2").runs)
    assert [run.state for run in runs] == [sweep.FAILED, sweep.FINISHED]
    assert "seed-1" in sweep.write_table(make_plan(command, seeds="2"))


def test_a_cache_folder_of_the_command_stays_in_its_place(command):
    (run,) = make_plan(command, "--cache_dir", "here", "--x=5", seeds="1").runs
    assert run.command[2:5] == ["--cache_dir", "here", "--x=5"]


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_a_broken_record_is_named(command, tmp_path, text):
    sweep.run(make_plan(command, seeds="1"))
    (tmp_path / "out" / "seed-1" / "sweep_run.json").write_text(text)
    with pytest.raises(InputError, match=r"seed-1/sweep_run\.json: "):
        sweep.run(make_plan(command))


@pytest.fixture(params=[signal.default_int_handler])
def _at_interrupt(request):
    """Ctrl-C arrives, even if whoever started the tests ignores it (as nohup does)."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_at_interrupt")
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


@pytest.mark.usefixtures("_at_interrupt")
def test_a_run_that_does_not_stop_is_killed(command, monkeypatch):
    monkeypatch.setattr(sweep, "GRACE_SECONDS", 0.3)
    assert sweep.run(make_plan(command, "--at=stubborn:1")) == 130


@pytest.mark.usefixtures("_at_interrupt")
def test_a_child_process_that_does_not_stop_is_killed(command, tmp_path):
    """It would hold the lock, and the next sweep would be refused."""
    assert sweep.run(make_plan(command, "--at=children:1")) == 130
    with open(str(tmp_path / "out" / sweep.LOCK), "w") as lock:
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.1)
    pytest.fail("the child process holds the lock")


@pytest.mark.parametrize(
    "_at_interrupt", [signal.default_int_handler, signal.SIG_IGN], indirect=True
)
@pytest.mark.usefixtures("_at_interrupt")
def test_a_terminated_sweep_terminates_its_run(command, tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert sweep.run(make_plan(command, "--at=terminate:2")) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert "seed-2: stopped" in capsys.readouterr().out
    log = (tmp_path / "out" / "seed-2" / "log.txt").read_text()
    assert "told to terminate" in log


def test_a_run_left_behind_keeps_others_out(command, tmp_path):
    words = [*command, "--at=hang:1"]
    process = subprocess.Popen(
        [sys.executable, str(helpers.ROOT / "scripts" / "sweep.py"), "--", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "out" / "seed-1" / "log.txt"
    deadline = time.time() + 20
    while not log.exists() or "pid" not in log.read_text():
        assert time.time() < deadline
        time.sleep(0.02)
    process.kill()
    assert "started" in process.communicate()[0]
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
        (["--seeds=2"], 2, "command"),
        (["--seeds=2", "python3", "--do_eval"], 2, "--do_eval: put the task's"),
        (["--sed=2", "--", "python3"], 2, "--sed=2"),
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
