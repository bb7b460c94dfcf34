"""Each mode runs the engine, and its numbers agree with one another."""

import json

import pytest

from bert_my.model import encoders
from bert_my.tools.benchmark import main, measure, workload
from tests import helpers


def run(settings, tmp_path, capsys):
    """Runs a benchmark; returns its numbers."""
    found = main.run(settings, ["program"])
    printed = capsys.readouterr().out
    assert printed.startswith("examples/s ")
    assert json.loads(printed.splitlines()[-1]) == json.loads(json.dumps(found))
    assert found["examples_per_second"] == found["rows"] / found["seconds"]
    assert found["peak_memory_bytes"] > 0
    assert found["settings"]["steps"] == 4
    return found


def check_steps(found, num_rows):
    assert found["rows"] == num_rows
    assert found["tokens_per_second"] == found["tokens"] / found["seconds"]
    assert found["num_steps"] == 4
    assert 0 <= found["padding_share"] < 1
    assert found["share_of_ceiling"] * max(
        found["all_ceilings_gflops_per_second"]
    ) == pytest.approx(found["gflops_per_second"])
    assert len(found["all_ceilings_gflops_per_second"]) == 4


def test_train_on_two_towers_in_parts(settings_of, tmp_path, capsys):
    settings = settings_of("--towers=2", "--gradient_accumulation_steps=2")
    found = run(settings, tmp_path, capsys)
    check_steps(found, 4 * 3 * 2 * 2)
    assert found["towers"] == 2
    # One epoch to warm up, so that every shape has been seen, and one for the time.
    assert found["num_warmup_steps"] == 4


@pytest.mark.parametrize("mode", ["train", "pretrain"])
@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_full_rows(settings_of, tmp_path, capsys, mode, kind):
    argv = [f"--mode={mode}", "--lengths=full", f"--input={kind}"]
    found = run(settings_of(*argv), tmp_path, capsys)
    check_steps(found, 12)
    assert (found["padding_share"], found["num_shapes"]) == (0.0, 1)
    assert found["num_warmup_steps"] == 5
    assert found["tokens"] == 12 * 24
    settings = settings_of(*argv)
    config = workload.bert_config(settings.model, 24)
    num_masked = 12 * workload.num_masked(24) if mode == "pretrain" else 0
    encoder = encoders.of(config)
    expected = encoder.flops(12 * 24, 12 * 24**2, num_masked, 6)
    assert found["gflops_per_second"] * found["seconds"] == pytest.approx(
        expected / 1e9, rel=1e-5
    )


def test_predict(settings_of, tmp_path, capsys):
    settings = settings_of("--mode=predict")
    found = run(settings, tmp_path, capsys)
    check_steps(found, 12)
    lengths = workload.row_lengths("titles", 12, 24).astype("int64")
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
    found = measure.predict(settings, str(tmp_path), print)
    assert (found["num_warmup_steps"], found["num_steps"]) == (2, 4)


def test_encode(settings_of, tmp_path, capsys):
    found = run(settings_of("--mode=encode", "--batch_size=50"), tmp_path, capsys)
    assert found["rows"] == 200
    assert found["cached_seconds"] > 0
    assert found["tokens"] > 200 * 5


def test_end_to_end(settings_of, tmp_path, capsys):
    settings = settings_of("--mode=predict", "--end_to_end")
    found = run(settings, tmp_path, capsys)
    assert found["rows"] == 12
    parts = found["encoding_seconds"] + found["prediction_seconds"]
    assert parts == pytest.approx(found["seconds"])


def test_the_script(settings_of, tmp_path):
    path = tmp_path / "out.json"
    argv = ["--mode=encode", "--steps=2", "--batch_size=4", f"--json={path}"]
    done = helpers.run_script("scripts/benchmark.py", ["", *argv])
    assert helpers.read_json(path)["rows"] == 8
    assert "examples/s" in done.stdout
    refused = helpers.run_script("scripts/benchmark.py", ["", "--x=1"], check=False)
    assert refused.returncode
    assert "error: Unknown command line flag 'x'" in refused.stdout
