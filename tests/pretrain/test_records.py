"""Instances of shards as records: any rows, in any order, without common padding."""

import os

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.pretrain import records, shards
from tests import damage
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
    """A function (counts=COUNTS) -> `Instances` of such shards, in blocks of 2 rows."""
    for module in (shards, records):
        monkeypatch.setattr(module, "BLOCK_ROWS", 2)

    def load_shards(counts=COUNTS, **more):
        first, paths = 0, []
        for index, count in enumerate(counts):
            rows = random_instances(count, first)
            path = tmp_path / f"{index}.shard"
            paths.append(made_instances.write_shard(path, rows, request.param))
            first += count
        return records.load(paths, SIZES, str(tmp_path / "cache"), **more)

    return load_shards


def test_rows_are_numbered_in_the_order_of_the_files(load):
    found = load()
    assert found.num_examples == sum(COUNTS)
    assert row_numbers(read_records(found)) == list(range(sum(COUNTS)))


def test_blocks_are_of_one_file(load):
    starts = [0, 2, 4, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 24, 25]
    assert load().block_starts.tolist() == starts


def test_rows_are_read_in_any_order(load):
    rows = np.random.RandomState(3).randint(0, sum(COUNTS), 60)
    assert row_numbers(read_records(load(), rows)) == rows.tolist()


def test_the_first_rows_alone(load):
    found = load().head(9)
    assert found.num_examples == 9
    assert row_numbers(read_records(found)) == list(range(9))


def test_a_few_blocks_stay_in_memory(load, monkeypatch):
    read = []
    read_block = records.Instances.read_block

    def counted(instances, number):
        read.append(number)
        return read_block(instances, number)

    monkeypatch.setattr(records.Instances, "read_block", counted)
    found = load((9,), num_held_blocks=3)
    read_records(found, np.array([0, 5, 3, 1, 4, 2] * 5), batch_size=30)
    assert sorted(read) == [0, 1, 2]
    read_records(found, np.array([6, 0, 3, 4]), batch_size=4)
    assert len(read) > 4


@pytest.mark.parametrize(
    "way", ["gone", "cut in half", "middle byte flipped", "zeros", "folder", "pipe"]
)
def test_a_file_that_changes_after_the_check_is_named(load, way):
    found = load((9,))
    damage.WAYS[way](found.shards[0].path)
    message = (
        r"0\.shard: has changed since it was checked, in instances 5 to 6: .+; a n"
    )
    with pytest.raises(InputError, match=message):
        found.read_block(2)


def test_other_instances_of_the_same_size_are_named(load):
    found = load((9,))
    shard = found.shards[0]
    shard.checksums[2] ^= 1
    found.read_block(1)
    with pytest.raises(InputError, match=r"instances 5 to 6: they are others"):
        found.read_block(2)


def test_a_file_that_was_only_touched_is_read_on(load):
    found = load((9,))
    os.utime(found.shards[0].path, ns=(1, 1))
    assert row_numbers(read_records(found)) == list(range(9))


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
    found = records.load([path], SIZES, str(tmp_path))
    (batch,) = read_records(found)
    assert batch["masked_lm_weights"].tolist() == [[0.0], [0.0]]
