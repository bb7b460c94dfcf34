"""Progress of loops where there is no terminal."""

import logging
import time

from bert_my.common import progress


def test_a_line_comes_whenever_the_time_has_passed(caplog, monkeypatch):
    times = iter([0.0, 9.0, 11.0, 11.0, 12.0, 23.0, 23.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    caplog.set_level(logging.INFO, logger="bert_my")
    with progress.Bar("Encoding", "rows", 5000) as bar:
        for _ in range(4):
            bar.update(1000)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "Encoding: 2,000 of 5,000 rows",
        "Encoding: 4,000 of 5,000 rows",
    ]


def lines_of_a_heartbeat(capfd, number):
    """Returns the first lines that a heartbeat writes; it must be running."""
    deadline, lines = time.monotonic() + 20, []
    while len(lines) < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        lines += capfd.readouterr().err.splitlines()
    return lines


def test_a_heartbeat_names_the_inner_stage_or_bar(capfd):
    with progress.heartbeat(seconds=0.01), progress.stage("Outer"):
        assert lines_of_a_heartbeat(capfd, 1)[0].endswith(" Outer, 0 s")
        with progress.stage("Inner"):
            assert lines_of_a_heartbeat(capfd, 2)[1].endswith(" Inner, 0 s")
            with progress.Bar("Encoding", "rows", 5) as bar:
                bar.update(2)
                assert lines_of_a_heartbeat(capfd, 2)[1].endswith(" 2 of 5 rows")
        assert lines_of_a_heartbeat(capfd, 2)[1].endswith(" Outer, 0 s")


def test_a_heartbeat_is_silent_while_there_are_lines(capfd):
    with progress.heartbeat(seconds=0.2):
        for _ in range(10):
            time.sleep(0.04)
            logging.getLogger("bert_my.common").warning("a line")
        assert "a line," not in capfd.readouterr().err


def test_a_heartbeat_in_another_keeps_both(capfd):
    with progress.heartbeat(seconds=0.01):
        with progress.heartbeat(seconds=0.01):
            pass
        logging.getLogger("bert_my.common").warning("the last")
        assert "the last, 0 s" in lines_of_a_heartbeat(capfd, 2)[1]


def test_a_heartbeat_is_no_warning(capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger("bert_my"), "level", logging.WARNING)
    with progress.heartbeat(seconds=0.01):
        time.sleep(0.1)
    assert not capfd.readouterr().err
