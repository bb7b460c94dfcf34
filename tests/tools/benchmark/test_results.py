"""Numbers that follow from steps, counted by hand; facts of the machine; tables."""

import pytest

from bert_my.tools.benchmark import measure, results


def recorder_of(*rows, seconds, num_warmup=1):
    """Returns a `Recorder` of steps (shape, rows, tokens, FLOPs) with given times."""
    peaks = iter([4e9, 5e9, 3e9, 2e9])
    recorder = measure.Recorder(len(rows), num_warmup, lambda: next(peaks), print)
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
    found = results.numbers(recorder)
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
    found = results.spread([4.0, 1.0, 2.0, 3.0, 9.0])
    assert list(found.values()) == [1.0, 2.0, 3.0, 4.0, 9.0]


def test_matrix_products_are_measured_after_the_first_step():
    recorder = recorder_of(*[((2, 8), 2, 5, 1.0)] * 3, seconds=[1.0] * 3)
    assert recorder.ceilings == [4e9, 5e9]
    recorder.measure_ceiling()
    assert recorder.ceilings == [4e9, 5e9, 3e9, 2e9]


def test_steps_of_a_new_shape_do_not_count():
    rows = [((2, 8), 2, 5, 1.0)] * 2 + [((2, 9), 2, 5, 1.0)]
    recorder = measure.Recorder(2, 1, lambda: 1.0, print)
    for row in rows:
        recorder.add(*row)
    assert len(recorder.timed) == 1
    assert not recorder.is_done
    recorder.add(*rows[-1])
    assert recorder.is_done


def test_machine():
    found = results.machine_facts()
    assert found["num_cores"] >= 1 and found["cpu"]
    assert results.peak_memory() > 1 << 20
    started = results.seconds_since_start()
    assert started is None or 0 < started < 1e6


def test_a_table_of_numbers():
    rows = ((3, 8), 3, 20, 1e9), ((3, 8), 3, 18, 2e9)
    recorder = recorder_of(*rows, seconds=[9.0, 0.25])
    lines = results.table({**results.numbers(recorder), "peak_memory_bytes": 3 << 20})
    cells = dict(line.rsplit("  ", 1) for line in lines)
    cells = {name.strip(): value for name, value in cells.items()}
    assert cells["examples/s"] == "12"
    assert cells["real tokens/s"] == "72"
    assert cells["peak memory, MiB"] == "3"
    assert cells["padding"] == "25.0%"
    assert cells["step, ms: min, quartiles, max"] == "250 250 250 250 250"
    assert "peak GPU memory, MiB" not in cells
