"""Record files: rows are read as written, in any order; wrong rows are named."""

import resource

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.data import record_files
from bert_my.data.features import FeatureSpec

SPECS = (
    FeatureSpec("label_ids", (), is_input=False),
    FeatureSpec("input_ids", (None,)),
    FeatureSpec("weights", (2, 3), "float32"),
    FeatureSpec("scores", (None,), "float32"),
    FeatureSpec("target", (), "float32"),
)


def make_rows(lengths, seed=3):
    rng = np.random.RandomState(seed)
    return [
        {
            "label_ids": int(rng.randint(-(2**31), 2**31 - 1)),
            "input_ids": rng.randint(-9, 99999, length).tolist(),
            "weights": rng.randn(2, 3).tolist(),
            "scores": rng.randn(length).tolist(),
            "target": float(rng.randn()),
        }
        for length in lengths
    ]


def write(path, rows, specs=SPECS, chunk_size=3):
    with record_files.creating(str(path)) as write_rows:
        for begin in range(0, len(rows), chunk_size):
            chunk = record_files.encode(rows[begin : begin + chunk_size], specs)
            write_rows(record_files.Chunk(*chunk))
    return record_files.Records(str(path), specs, seq_length=12)


@pytest.mark.parametrize(
    "indices",
    [[0], [7], [2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7], [5, 6, 1, 2, 2, 0], [7, 6], [4]],
)
@pytest.mark.parametrize("block_rows", [1, 3, 8, 64])
def test_rows_are_read_in_any_order(tmp_path, monkeypatch, indices, block_rows):
    monkeypatch.setattr(record_files, "_BLOCK_ROWS", block_rows)
    rows = make_rows([4, 1, 9, 0, 2, 2, 11, 3])
    file = write(tmp_path / "a", rows)
    assert file.lengths.tolist() == [4, 1, 9, 0, 2, 2, 11, 3]
    found = file.gather(indices, (12,))
    for spec in SPECS:
        dtype = np.dtype(spec.dtype)
        shape = [12 if size is None else size for size in spec.shape]
        expected = np.zeros((len(indices), *shape), dtype)
        for place, index in enumerate(indices):
            values = np.array(rows[index][spec.name], dtype)
            where = (place, slice(len(values))) if values.ndim else place
            expected[where] = values
        assert found[spec.name].dtype == dtype
        np.testing.assert_array_equal(found[spec.name], expected)


def test_rows_without_sequences(tmp_path):
    specs = [FeatureSpec("a", (2,)), FeatureSpec("b", ())]
    file = write(tmp_path / "a", [{"a": [n, n], "b": -n} for n in range(5)], specs)
    found = file.gather([4, 0, 1])
    assert found["a"].tolist() == [[4, 4], [0, 0], [1, 1]]
    assert found["b"].tolist() == [-4, 0, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1.0]}, "input_ids and scores .* have 2 and 1 tokens"),
        ({"weights": [[1.0, 2.0]]}, r"weights is of shape \(1, 2\), not \(2, 3\)"),
        ({"label_ids": [1]}, r"label_ids is of shape \(1,\), not \(\)"),
    ],
)
def test_features_that_do_not_fit_are_named(change, message):
    row = {**make_rows([2])[0], **change}
    with pytest.raises(ValueError, match=message):
        record_files.encode([row], SPECS)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(InputError, match="rows: cannot be written: File too large"):
            write(tmp_path / "rows", make_rows([9] * 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
