"""Reading shards: each row once an epoch, in which order."""

import numpy as np
import pytest

from bert_my.pretrain import pretraining_shards, shard_checks
from tests.pretrain import made_instances
from tests.pretrain.made_instances import (
    SIZES,
    random_instances,
    read_records,
    row_numbers,
)

COUNTS = (7, 1, 12, 5)


@pytest.fixture(params=["tfrecord", "hdf5"])
def load(request, tmp_path, monkeypatch):
    """A function (counts=COUNTS) -> `Instances` of such shards."""
    for module in (pretraining_shards, shard_checks):
        monkeypatch.setattr(module, "HDF5_ROWS", 2)

    def load_shards(counts=COUNTS):
        first, paths = 0, []
        for index, count in enumerate(counts):
            rows = random_instances(count, first)
            path = tmp_path / f"{index}.shard"
            paths.append(made_instances.write_shard(path, rows, request.param))
            first += count
        return shard_checks.load(paths, SIZES, str(tmp_path / "cache"))

    return load_shards


def test_without_a_seed_rows_come_in_file_order(load):
    records = load()
    assert records.num_examples == sum(COUNTS)
    assert row_numbers(read_records(records)) == list(range(sum(COUNTS)))


def test_an_epoch_has_each_row_once(load):
    rows = row_numbers(read_records(load(), seed=3, num_epochs=3))
    for epoch in np.split(np.array(rows), 3):
        assert sorted(epoch.tolist()) == list(range(sum(COUNTS)))


def test_every_epoch_has_another_order(load):
    rows = row_numbers(read_records(load(), seed=3, num_epochs=2))
    assert rows[: sum(COUNTS)] != rows[sum(COUNTS) :]


def test_the_seed_decides_about_the_order(load):
    records = load()

    def rows(seed):
        return row_numbers(read_records(records, seed, num_epochs=2))

    assert rows(3) == rows(3)
    assert rows(3) != rows(4)


def test_rows_of_a_file_mix(load):
    rows = row_numbers(read_records(load((60,)), seed=3))
    follows = [later == row + 1 for row, later in zip(rows, rows[1:])]
    assert sum(follows) < 8  # one by chance
    assert {row // 20 for row in rows[:20]} == {0, 1, 2}


def test_rows_of_all_files_mix(load):
    counts = (40, 40, 40)
    rows = np.array(row_numbers(read_records(load(counts), seed=3)))
    files = rows // 40
    for file in range(3):
        for third in np.split(files, 3):
            # 13 by chance, with a standard error below 2.5.
            assert 4 <= (third == file).sum() <= 22


def test_files_mix_where_the_buffer_is_small(load, monkeypatch):
    monkeypatch.setattr(pretraining_shards, "SHUFFLE_BUFFER", 8)
    rows = np.array(row_numbers(read_records(load((40, 40, 40)), seed=3)))
    assert len(set((rows[:30] // 40).tolist())) == 3


def test_only_common_padding_is_cut(load):
    for batch in read_records(load(), batch_size=1):
        length = int(batch["input_mask"].sum())
        width = min(-(-length // 8) * 8, SIZES.max_seq_length)
        for name in ("input_ids", "input_mask", "segment_ids"):
            assert batch[name].shape == (1, width)
        num_predictions = int(batch["masked_lm_weights"].sum())
        for name in ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights"):
            assert batch[name].shape == (1, num_predictions)
        assert batch["next_sentence_labels"].shape == (1, 1)


def test_what_is_not_cut_stays_as_it_is(load):
    expected = random_instances(9)
    batches = read_records(load((9,)), batch_size=2)
    for index, batch in enumerate(batches):
        for name, rows in batch.items():
            original = expected[name][2 * index : 2 * index + 2]
            width = rows.shape[1]
            assert rows.tolist() == original[:, :width].tolist()
            assert not original[:, width:].any()
            assert rows.dtype == original.dtype


def test_an_instance_without_predictions_is_read(tmp_path):
    rows = random_instances(2)
    for name in ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights"):
        rows[name] = np.zeros_like(rows[name])
    path = made_instances.write_shard(tmp_path / "a", rows)
    records = shard_checks.load([path], SIZES, str(tmp_path))
    (batch,) = read_records(records)
    assert batch["masked_lm_weights"].tolist() == [[0.0], [0.0]]
