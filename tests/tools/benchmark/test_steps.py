"""Numbers that follow from steps, counted by hand."""

import pytest

from bert_my.tools.benchmark import machine, steps, tables


class FixedCeiling:
    measured = [4e9, 5e9]


def recorder_of(*rows, seconds):
    """Returns a `Recorder` of steps (shape, rows, tokens, FLOPs) of given times."""
    recorder = steps.Recorder(after_first=lambda: None)
    for row in rows:
        recorder.add(*row)
    recorder.steps = [
        step._replace(seconds=value) for step, value in zip(recorder.steps, seconds)
    ]
    return recorder


def test_numbers():
    recorder = recorder_of(
        ((3, 8), 3, 20, 1e9),
        ((3, 8), 3, 18, 2e9),
        ((3, 16), 3, 40, 9e9),  # a new shape: does not count
        ((3, 16), 2, 30, 4e9),  # one row fills the batch up
        seconds=[9.0, 1.0, 7.0, 3.0],
    )
    found = steps.numbers(recorder, 1, FixedCeiling)
    assert (found["rows"], found["seconds"], found["tokens"]) == (5, 4.0, 48)
    assert found["examples_per_second"] == 5 / 4
    assert found["tokens_per_second"] == 48 / 4
    assert found["gflops_per_second"] == 6 / 4
    assert found["ceiling_gflops_per_second"] == 5
    assert found["share_of_ceiling"] == pytest.approx(1.5 / 5)
    assert found["padding_share"] == pytest.approx(1 - 48 / (3 * 8 + 3 * 16))
    assert found["first_step_seconds"] == 9.0
    assert (found["num_steps"], found["num_warmup_steps"]) == (2, 1)
    assert (found["num_steps_of_new_shape"], found["num_shapes"]) == (1, 2)


def test_spread():
    found = steps.spread([4.0, 1.0, 2.0, 3.0, 9.0])
    assert list(found.values()) == [1.0, 2.0, 3.0, 4.0, 9.0]


def test_the_first_step_is_announced_once():
    calls = []
    recorder = steps.Recorder(after_first=lambda: calls.append(1))
    for _ in range(3):
        recorder.add((2, 8), 2, 5, 1.0)
    assert calls == [1]
    assert len(recorder.timed(1)) == 2
    assert not recorder.timed(0)[0].is_new_shape


def test_machine():
    found = machine.facts()
    assert found["num_cores"] >= 1 and found["cpu"]
    assert machine.peak_memory() > 1 << 20
    started = machine.seconds_since_start()
    assert started is None or 0 < started < 1e6


def test_a_table_of_numbers():
    rows = ((3, 8), 3, 20, 1e9), ((3, 8), 3, 18, 2e9)
    recorder = recorder_of(*rows, seconds=[9.0, 0.25])
    lines = tables.of_result(
        {**steps.numbers(recorder, 1, FixedCeiling), "peak_memory_bytes": 3 << 20}
    )
    cells = dict(line.rsplit("  ", 1) for line in lines)
    cells = {name.strip(): value for name, value in cells.items()}
    assert cells["examples/s"] == "12"
    assert cells["real tokens/s"] == "72"
    assert cells["peak memory, MiB"] == "3"
    assert cells["padding"] == "25.0%"
    assert cells["step, ms: min, quartiles, max"] == "250 250 250 250 250"
    assert "peak GPU memory, MiB" not in cells
