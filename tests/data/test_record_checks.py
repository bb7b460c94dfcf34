"""Checks of records: the share of the unknown token, texts and labels that are one."""

import numpy as np
import pytest

from bert_my.data import features, record_checks, record_files

LABEL = features.FeatureSpec("label_ids", (), is_input=False)
LABELS = features.FeatureSpec("label_ids", (3,), "float32", is_input=False)
TAGS = features.FeatureSpec("label_ids", (None,), is_input=False)


@pytest.fixture
def make_records(tmp_path):
    """A function (lists of ids, labels, spec of the labels) -> `Records`."""

    def make(texts, labels=None, spec=LABEL):
        specs = (*features.TEXT_SPECS, spec)
        rows = [
            {
                "input_ids": ids,
                "input_mask": [1] * len(ids),
                "segment_ids": [0] * len(ids),
                "label_ids": label,
            }
            for ids, label in zip(texts, labels or [0] * len(texts))
        ]
        path = str(tmp_path / "a.rows")
        with record_files.creating(path) as write:
            write(record_files.Chunk(*record_files.encode(rows, specs)))
        return record_files.Records(path, specs, seq_length=9)

    return make


def test_special_tokens_and_padding_are_no_tokens_of_a_text(make_records):
    records = make_records([[2, 7, 1, 1, 3], [2, 7, 3], [2, 3]])
    assert record_checks.unknown_share(records, 1, [2, 3]) == 0.5
    assert record_checks.unknown_share(records, 0, [2, 3]) == 0.0


def test_of_a_large_set_evenly_spread_rows_are_looked_at(make_records, monkeypatch):
    monkeypatch.setattr(record_checks, "_RUN_ROWS", 2)
    records = make_records([[7], [7], [1], [7]] * 25)
    assert record_checks.unknown_share(records, 1, []) == 0.25
    few = list(record_checks._runs(records, 20))
    assert sum(len(rows["input_ids"]) for rows in few) == 20


@pytest.mark.parametrize(
    ("texts", "is_one"),
    [([[2, 7, 3]] * 5, True), ([[2, 7, 3]] * 4 + [[2, 7, 7, 3]], False)],
)
def test_one_text(make_records, monkeypatch, texts, is_one):
    monkeypatch.setattr(record_checks, "_RUN_ROWS", 2)
    assert record_checks.has_one_text(make_records(texts)) == is_one


@pytest.mark.parametrize(
    ("spec", "labels", "is_one"),
    [
        (LABEL, [1, 1, 1], True),
        (LABEL, [1, 1, 0], False),
        (LABELS, [[1, 0, 1]] * 3, True),
        (LABELS, [[1, 0, 0]] * 3, True),
        (LABELS, [[1, 0, 1]] * 2 + [[1, 1, 1]], False),
        (TAGS, [[0, 4, 0], [0, 4, 4, 0], [0, 0]], True),
        (TAGS, [[0, 4, 0], [0, 4, 5, 0], [0, 0]], False),
    ],
)
def test_one_label(make_records, monkeypatch, spec, labels, is_one):
    monkeypatch.setattr(record_checks, "_RUN_ROWS", 2)
    lengths = [np.size(label) if spec is TAGS else 3 for label in labels]
    records = make_records([[7] * length for length in lengths], labels, spec)
    assert record_checks.has_one_label(records, spec) == is_one
