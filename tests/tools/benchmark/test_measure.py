"""Steps counted by hand; each mode runs the engine, and its numbers agree."""

import json

import numpy as np
import pytest

from bert_my.model import encoders
from bert_my.tools.benchmark import main, measure, workload
from tests import helpers


def run(settings, tmp_path, capsys):
    """Runs a benchmark; returns its numbers."""
    found = main.run(settings, ["program"])
    printed = capsys.readouterr().out
    assert printed.startswith("examples_per_second ")
    assert json.loads(printed.splitlines()[-1]) == json.loads(json.dumps(found))
    assert found["examples_per_second"] == found["rows"] / found["seconds"]
    assert found["peak_memory_bytes"] > 0
    assert found["settings"]["steps"] == 4
    return found


def mask_of(*lengths, width):
    """Returns the mask of a batch with rows of these lengths."""
    return (np.arange(width) < np.array(lengths)[:, None]).astype("int32")


def recorder_of(*masks, seconds, num_warmup=1):
    """Returns a `Recorder` of steps on batches, with given times."""
    recorder = measure.Recorder(len(masks), num_warmup)
    for mask in masks:
        recorder.add(mask)
    recorder.steps = [
        step._replace(seconds=value) for step, value in zip(recorder.steps, seconds)
    ]
    return recorder


def test_numbers():
    found = recorder_of(
        mask_of(7, 8, 5, width=8),
        mask_of(8, 5, 5, width=8),
        mask_of(16, 12, 12, width=16),  # a new shape: does not count
        mask_of(16, 14, 0, width=16),  # one row fills the batch up
        seconds=[9.0, 1.0, 7.0, 3.0],
    ).numbers(lambda tokens, pairs: 1e9 * tokens + pairs)
    assert (found["rows"], found["seconds"], found["tokens"]) == (5, 4.0, 48)
    assert found["examples_per_second"] == 5 / 4
    assert found["tokens_per_second"] == 48 / 4
    pairs = 8**2 + 2 * 5**2 + 16**2 + 14**2
    assert found["gflops_per_second"] == (48 + pairs / 1e9) / 4
    assert found["padding_share"] == pytest.approx(1 - 48 / (3 * 8 + 3 * 16))
    assert found["first_step_seconds"] == 9.0
    assert (found["num_steps"], found["num_warmup_steps"]) == (2, 1)
    assert (found["num_steps_of_new_shape"], found["num_shapes"]) == (1, 2)
    json.dumps(found)


def test_steps_of_a_new_shape_do_not_count():
    masks = [mask_of(3, 2, width=8)] * 2 + [mask_of(3, 2, width=9)]
    recorder = recorder_of(*masks, seconds=[1.0] * 3)
    assert len(recorder.timed) == 1
    assert not recorder.is_done
    recorder.add(masks[-1])
    recorder.add(masks[-1])
    assert recorder.is_done


def check_steps(found, num_rows):
    assert found["rows"] == num_rows
    assert found["tokens_per_second"] == found["tokens"] / found["seconds"]
    assert found["num_steps"] == 4
    assert 0 <= found["padding_share"] < 1


@pytest.mark.once
def test_train_on_two_towers_in_parts(settings_of, tmp_path, capsys):
    settings = settings_of("--towers=2", "--gradient_accumulation_steps=2")
    found = run(settings, tmp_path, capsys)
    check_steps(found, 4 * 3 * 2 * 2)
    assert found["towers"] == 2
    # One epoch to warm up, so that every shape has been seen, and one for the time.
    assert found["num_warmup_steps"] == 4


@pytest.mark.parametrize(
    ("adversarial", "passes"), [("", 1), pytest.param("fgm", 2, marks=pytest.mark.once)]
)
def test_full_rows(settings_of, tmp_path, capsys, adversarial, passes):
    argv = [f"--adversarial={adversarial}"] if adversarial else []
    settings = settings_of("--lengths=full", *argv)
    found = run(settings, tmp_path, capsys)
    check_steps(found, 12)
    assert (found["padding_share"], found["num_shapes"]) == (0.0, 1)
    assert found["num_warmup_steps"] == 5
    assert found["tokens"] == 12 * 24
    encoder = encoders.of(workload.bert_config(settings))
    expected = passes * encoder.flops(12 * 24, 12 * 24**2, 0, encoders.TRAINING)
    assert found["gflops_per_second"] * found["seconds"] == pytest.approx(
        expected / 1e9, rel=1e-5
    )


def test_predict(settings_of, tmp_path, capsys):
    settings = settings_of("--mode=predict")
    found = run(settings, tmp_path, capsys)
    check_steps(found, 12)
    lengths = workload.row_lengths(settings).astype("int64")
    assert found["tokens"] == lengths.sum()
    assert found["num_steps_of_new_shape"] == 0
    # Counted by hand: 2 layers of width 32 and 37, an addition and a multiplication.
    weights = 2 * (4 * 32**2 + 2 * 32 * 37)
    pairs = 2 * 2 * 32 * (lengths**2).sum()
    expected = 2 * (weights * lengths.sum() + pairs)
    assert found["gflops_per_second"] * found["seconds"] * 1e9 == pytest.approx(
        expected
    )


def test_a_short_warm_up_of_prediction(settings_of, tmp_path):
    settings = settings_of("--mode=predict", "--lengths=full", "--warmup_steps=2")
    found = measure.predict(settings, str(tmp_path))
    assert (found["num_warmup_steps"], found["num_steps"]) == (2, 4)


@pytest.mark.once
def test_encode(settings_of, tmp_path, capsys):
    found = run(settings_of("--mode=encode", "--batch_size=50"), tmp_path, capsys)
    assert found["rows"] == 200
    assert found["cached_seconds"] > 0
    assert found["tokens"] > 200 * 5


@pytest.mark.once
def test_the_script(settings_of, tmp_path):
    path = tmp_path / "out.json"
    argv = ["--mode=encode", "--steps=2", "--batch_size=4", f"--json={path}"]
    done = helpers.run_script("scripts/benchmark.py", ["", *argv])
    assert helpers.read_json(path)["rows"] == 8
    assert "examples_per_second" in done.stdout
    refused = helpers.run_script("scripts/benchmark.py", ["", "--x=1"], check=False)
    assert refused.returncode
    assert "error: --x: there is no such flag" in refused.stdout


def test_speeds():
    found = measure.speeds(num_rows=6, num_tokens=60, seconds=4.0)
    assert (found["rows"], found["tokens"], found["seconds"]) == (6, 60, 4.0)
    assert found["examples_per_second"] == 1.5
    assert found["tokens_per_second"] == 15.0


def test_the_spread_of_steps():
    masks = [mask_of(3, width=8)] * 6
    recorder = recorder_of(*masks, seconds=[7.0, 4.0, 1.0, 2.0, 3.0, 9.0])
    found = recorder.numbers(lambda tokens, pairs: 0)["step_seconds"]
    assert list(found.values()) == [1.0, 2.0, 3.0, 4.0, 9.0]


def test_facts_of_the_process():
    found = measure.machine_facts()
    assert found["num_cores"] >= 1 and found["cpu"]
    assert measure.peak_memory_bytes() > 1 << 20
    started = measure.seconds_since_start()
    assert started is None or 0 < started < 1e6
