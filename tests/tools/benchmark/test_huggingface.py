"""The comparison with transformers: same work, in turns; refused without torch."""

import json
import logging
import os
import subprocess
import sys

import pytest

from bert_my.common.errors import InputError
from bert_my.tools.benchmark import huggingface, main, workload

pytestmark = pytest.mark.once

has_torch = not subprocess.run(
    [sys.executable, "-c", "import torch, transformers"], stderr=subprocess.DEVNULL
).returncode


def result_of(speed, **more):
    """Returns what one side tells."""
    found = dict.fromkeys(huggingface.COMPARED, speed)
    found.update(precision="fp32", peak_gpu_memory_bytes=None, **more)
    return found


def test_the_same_work(settings_of, monkeypatch):
    starts = fake_run(monkeypatch, "{}")
    settings = settings_of(
        "--towers=2", "--gradient_accumulation_steps=3", "--mode=train", "--seed=5"
    )
    huggingface._run_theirs(settings, "other", {"precision": "bf16"}, None)
    work = json.loads(starts[0][1]["input"])
    assert work["batch_size"] == 3 * 2 * 3
    assert (work["num_parts"], work["precision"], work["seed"]) == (3, "bf16", 5)
    assert len(work["lengths"]) == 4 * 18
    assert work["lengths"] == workload.row_lengths(settings).tolist()
    assert work["config"]["hidden_size"] == 32
    assert work["num_warmup"] is None


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("relu", InputError, r"--model=.* relu"),
        ("gelu_erf", InterruptedError, "our side runs"),
    ],
)
def test_only_models_with_gelu_are_compared(
    settings_of, tiny_model, tmp_path, monkeypatch, activation, error, message
):
    """Before anything runs."""

    def run_ours(*args):
        raise InterruptedError("our side runs")

    fake_run(monkeypatch, "0")
    monkeypatch.setattr(huggingface, "_in_new_process", run_ours)
    config = json.loads((tiny_model / "bert_config.json").read_text())
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**config, "hidden_act": activation}))
    settings = settings_of(f"--model={path}", "--compare=huggingface")
    with pytest.raises(error, match=message):
        huggingface.compare(settings, None)


def test_sides_take_turns(settings_of, monkeypatch, caplog):
    calls = []

    def ours(run_ours, settings):
        assert run_ours is main.run_here
        calls.append("ours")
        return result_of({1: 6.0, 4: 2.0, 6: 4.0}[len(calls)])

    def theirs(settings, python, last, wait_policy):
        calls.append(wait_policy)
        assert python == "other"
        speed = {None: 0.5, "PASSIVE": 3.0}[wait_policy] / len(calls)
        return result_of(speed, wait_policy=wait_policy)

    fake_run(monkeypatch, "0")
    monkeypatch.setattr(huggingface, "_in_new_process", ours)
    monkeypatch.setattr(huggingface, "_run_theirs", theirs)
    settings = settings_of("--compare=huggingface", "--hf_python=other")
    caplog.set_level(logging.INFO)
    found = huggingface.compare(settings, main.run_here)
    # The slower way of waiting is tried once.
    assert calls == ["ours", None, "PASSIVE", "ours", "PASSIVE", "ours", "PASSIVE"]
    # Theirs: 3 / 3, 3 / 5 and 3 / 7.
    assert found["ratio"] == 4.0 / 0.6
    assert found["ratio_of_best"] == 6.0 / 1.0
    assert caplog.messages[:2] == [
        "Benchmark: round 1, our side",
        "Benchmark: round 1, transformers",
    ]
    (line,) = [x for x in main.table(found) if x.startswith("examples_per_second")]
    assert line.split() == ["examples_per_second", "4", "0.6", "6.667"]


def fake_run(monkeypatch, output):
    """Makes programs print an output; returns the list of their starts."""
    starts = []

    def run(argv, **arguments):
        starts.append((argv, arguments))
        return subprocess.CompletedProcess(argv, 0, output, "")

    monkeypatch.setattr(huggingface.subprocess, "run", run)
    return starts


def test_our_side_runs_in_a_new_process(settings_of):
    settings = settings_of("--compare=huggingface", "--hf_python=x", "--hf_compile")
    number, alone = huggingface._in_new_process(process_and_settings, settings)
    assert number != os.getpid()
    assert alone.compare is None and alone.steps == 4


def process_and_settings(settings):
    return os.getpid(), settings


def test_a_choice_of_precision_is_taken_over(settings_of, monkeypatch):
    starts = fake_run(monkeypatch, "{}")
    for argv in (["--precision=auto"], ["--precision=bf16"], []):
        settings = settings_of("--compare=huggingface", *argv)
        ours = {"precision": "fp32"}
        huggingface._run_theirs(settings, "other", ours, "PASSIVE")
    seen = [json.loads(arguments["input"])["precision"] for _, arguments in starts]
    assert seen == ["fp32", "bf16", "fp32"]
    assert all(x["env"]["OMP_WAIT_POLICY"] == "PASSIVE" for _, x in starts)


@pytest.mark.skipif(has_torch, reason="torch and transformers are there")
def test_without_torch_there_is_one_line(settings_of):
    with pytest.raises(InputError) as error:
        huggingface.compare(settings_of("--compare=huggingface"), main.run_here)
    assert "\n" not in str(error.value)
    assert "--compare=huggingface: " in str(error.value)
    assert "--hf_python" in str(error.value)
    assert "ModuleNotFoundError: No module named" in str(error.value)


def test_a_python_that_is_not_there(settings_of):
    settings = settings_of("--compare=huggingface", "--hf_python=/nowhere/python")
    with pytest.raises(InputError, match="--hf_python=/nowhere/python: "):
        huggingface.compare(settings, main.run_here)


@pytest.mark.skipif(not has_torch, reason="needs torch and transformers")
@pytest.mark.parametrize("mode", ["train", "predict"])
def test_their_side(settings_of, mode):
    settings = settings_of(f"--mode={mode}")
    ours = {"precision": "fp32"}
    found = huggingface._run_theirs(settings, sys.executable, ours, None)
    num_tokens = workload.row_lengths(settings).sum()
    speeds = found["tokens_per_second"], found["examples_per_second"]
    assert speeds[0] / speeds[1] == pytest.approx(num_tokens / 12)
