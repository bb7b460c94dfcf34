"""Progress of loops where there is no terminal."""

import logging

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
