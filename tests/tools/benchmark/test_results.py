"""Facts of the machine, spread of numbers, and the table of a result."""

from bert_my.tools.benchmark import results


def test_speeds():
    found = results.speeds(num_rows=6, num_tokens=60, seconds=4.0)
    assert (found["rows"], found["tokens"], found["seconds"]) == (6, 60, 4.0)
    assert found["examples_per_second"] == 1.5
    assert found["tokens_per_second"] == 15.0


def test_spread():
    found = results.spread([4.0, 1.0, 2.0, 3.0, 9.0])
    assert list(found.values()) == [1.0, 2.0, 3.0, 4.0, 9.0]


def test_machine():
    found = results.machine_facts()
    assert found["num_cores"] >= 1 and found["cpu"]
    assert results.peak_memory() > 1 << 20
    started = results.seconds_since_start()
    assert started is None or 0 < started < 1e6


def test_a_table_of_numbers():
    lines = results.table(
        {
            **results.speeds(num_rows=3, num_tokens=18, seconds=0.25),
            "padding_share": 0.25,
            "peak_memory_bytes": 3 << 20,
            "peak_gpu_memory_bytes": None,
            "step_seconds": results.spread([0.25]),
        }
    )
    cells = dict(line.rsplit("  ", 1) for line in lines)
    cells = {name.strip(): value for name, value in cells.items()}
    assert cells["examples/s"] == "12"
    assert cells["real tokens/s"] == "72"
    assert cells["peak memory, MiB"] == "3"
    assert cells["padding"] == "25.0%"
    assert cells["step, ms: min, quartiles, max"] == "250 250 250 250 250"
    assert "peak GPU memory, MiB" not in cells
