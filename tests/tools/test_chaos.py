"""Campaigns on a small program in place of a run: what passes, and what is found."""

import os
import re
import shlex
import sys

import pytest

from bert_my.common.errors import InputError
from bert_my.tools.chaos import campaign, plan, process
from bert_my.tools.chaos.command import Command
from bert_my.tools.chaos.process import Launcher
from tests import helpers

# A run of 12 steps that can be resumed; --fault names what it does wrong.
PROGRAM = """
import fcntl, json, os, pathlib, signal, sys, time

flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
folder, fault = pathlib.Path(flags["output_dir"]), flags.get("fault")
stopped = []
if fault != "deaf":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: stopped.append(number))

def write(name, value):
    temporary = folder / (name if fault == "half" else name + ".tmp")
    with open(str(temporary), "w") as stream:
        json.dump(value, stream)
    os.replace(str(temporary), str(folder / name))

def read():
    state = json.loads((folder / "state.json").read_text())
    if set(state) != {"step", "weight"}:
        raise ValueError
    return state

def begin():
    if not os.path.lexists(str(folder / "state.json")):
        return {"step": 0, "weight": 1}
    try:
        return read()
    except (OSError, ValueError):
        if fault == "raises":
            raise ValueError("junk")
        if fault == "hangs":
            time.sleep(60)
        if fault == "begins anew":
            return {"step": 0, "weight": 2}
        raise OSError("state.json is broken; delete the folder")

def main():
    if fault == "predicts not" and "--do_predict=true" in sys.argv:
        sys.exit("error: --do_predict: there is no use for it")
    lock = open(str(folder / ".lock"), "w")
    if fault != "shares":
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for left in folder.glob("*.tmp"):
        left.unlink()
    state = begin()
    if fault == "litters" and state["step"]:
        (folder / "left.tmp").touch()
    if fault == "forgets" and state["step"]:
        state["step"] += 1
    if fault == "abandons" and not os.fork():
        time.sleep(60)
        os._exit(0)
    while state["step"] < 12:
        weight = state["weight"] * 31 % 10007
        state = {"step": state["step"] + 1, "weight": weight}
        time.sleep(0.01)
        write("state.json", state)
        if stopped:
            sys.exit(128 + stopped[0])
    write("eval_results.json", {"weight": state["weight"], "text": "x" * 9000})

try:
    main()
except OSError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A function that makes the campaign of the program with a fault."""
    monkeypatch.setattr(process, "ORPHAN_SECONDS", 0.5)

    def make_campaign(fault=None, program=PROGRAM):
        path = tmp_path / "program.py"
        path.write_text(program)
        words = [sys.executable, "-S", str(path), f"--output_dir={tmp_path}/o"]
        words += [f"--fault={fault}"] if fault else []
        words += ["--do_train"] if fault == "predicts not" else []
        launcher = Launcher(seconds=2 if fault == "hangs" else 20)
        return campaign.Campaign(Command(words), launcher, str(tmp_path / "chaos"))

    return make_campaign


def test_a_robust_program_passes_all_kinds(make, capsys):
    numbers = {"kills": 2, "damage": 4, "full_disk": 4, "signals": 2, "second_run": 1}
    robust = make()
    planned = plan.make(robust, numbers, seed=4)
    assert plan.run(robust, planned, ["chaos"]) == 0, capsys.readouterr().out
    assert len({case.partition(":")[0] for case in planned}) >= 5
    assert not os.listdir(robust.path_of("cases"))


@pytest.mark.parametrize(
    "fault, case, found",
    [
        ("forgets", "kill:c0.5", "another result: eval_results.json differs"),
        ("abandons", "kill:c0.3", "1 child processes outlived it"),
        ("litters", "kill:c0.5", "left behind: left.tmp"),
        ("raises", "damage:run:text:state.json", "traceback, "),
        ("hangs", "damage:run:empty:state.json", "hang"),
        ("begins anew", "damage:run:unreadable:state.json", "another result"),
        ("half", "full_disk:file:0.5", "half files: eval_results.json"),
        ("deaf", "signal:TERM:c0.4", "exit -15, not 143"),
        ("shares", "second_run:run:c0.3", "the second run was not refused"),
    ],
)
def test_fault_is_found(make, fault, case, found):
    assert found in make(fault).run(case).fault


def test_failed_case_is_kept_and_can_be_repeated(make, capsys):
    faulty = make("begins anew")
    case = "damage:run:cut:state.json"
    assert plan.run(faulty, [case], ["scripts/chaos.py"]) == 1
    words = shlex.split(re.search("repeat: (.*)", capsys.readouterr().out).group(1))
    assert words == ["scripts/chaos.py", f"--case={case}", "--", *faulty.command.given]
    assert "state.json" in os.listdir(os.path.join(faulty.folder_of(case), "run"))
    with open(faulty.path_of(plan.TABLE)) as stream:
        assert "another result" in stream.read()


def test_same_seed_draws_the_same_cases(make):
    this = make()
    numbers = {"kills": 5, "signals": 5}
    drawn = [list(plan.make(this, numbers, seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.once
def test_a_job_that_fails_undisturbed_is_not_tried(make, capsys):
    this = make("predicts not")
    drawn = plan.make(this, {"damage": plan.ALL}, 1)
    verbs = {case.split(":")[1] for case in drawn}
    assert verbs == {"run", "evaluate"}
    assert capsys.readouterr().out.count("not tried: the undisturbed predict") == 1


def test_folder_of_other_files_is_refused(make, tmp_path):
    (tmp_path / "chaos").mkdir()
    (tmp_path / "chaos" / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds files"):
        make()


def test_command_that_fails_undisturbed_is_refused(make, tmp_path):
    with pytest.raises(InputError, match="undisturbed run fails: exit 7"):
        make(program="import sys; sys.exit(7)")


@pytest.mark.parametrize(
    "cases",
    [
        [
            "kill:c0.6",
            "damage:predict:text:checkpoint",
            "nan:predict:output_bias",
            "signal:TERM:c0.6",
            "full_disk:file:0.5",
        ],
        pytest.param(
            ["second_run:run:c0.6", "damage:run:cut:task.json"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_training_passes_a_few_of_each_kind(tiny_model, tmp_path, cases):
    data = helpers.write_titles(tmp_path / "titles", train=12, dev=4)
    settings = {"num_train_epochs": 2, "save_checkpoints_steps": 2}
    run = helpers.command(tiny_model, data, tmp_path / "run", "do_train", **settings)
    words = ["--fork", *(f"--case={case}" for case in cases), "--", sys.executable]
    words += [str(helpers.ROOT / "run_classifier_mgpu.py"), *run[1:]]
    ended = helpers.run_script("scripts/chaos.py", ["chaos", *words], check=False)
    assert ended.returncode == 0, ended.stdout
    assert all(re.search(f"ok .* {case}: ", ended.stdout) for case in cases)
