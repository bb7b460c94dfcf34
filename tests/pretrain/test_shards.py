"""Others read the shards that we write, and we read theirs."""

import h5py
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.pretrain import records, shards
from bert_my.pretrain.shards import FORMATS
from tests.pretrain import made_instances
from tests.pretrain.made_instances import SIZES


@pytest.fixture(params=list(FORMATS))
def format_name(request):
    return request.param


@pytest.fixture
def load(tmp_path):
    """A function (paths) -> `Instances`."""

    def load_shards(*paths):
        return records.load(list(paths), SIZES, str(tmp_path / "cache"))

    return load_shards


def read_back(records):
    """Returns all features of all rows, in their order, with the padding cut off."""
    (batch,) = made_instances.read_records(records, batch_size=records.num_examples)
    return {
        spec.name: np.pad(
            batch[spec.name],
            [(0, 0), (0, spec.shape[0] - batch[spec.name].shape[1])],
            mode="constant",
        )
        for spec in records.sizes.specs
    }


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, rows in expected.items():
        assert found[name].dtype == rows.dtype
        assert found[name].tolist() == rows.tolist(), name


def test_round_trip(tmp_path, load, format_name):
    instances = made_instances.random_instances(29)
    path = made_instances.write_shard(tmp_path / "a", instances, format_name)
    assert_same(read_back(load(path)), instances)


def test_several_writes_follow_one_another(tmp_path, load, format_name):
    shard_format = FORMATS[format_name]
    path = str(tmp_path / "a")
    with shards.writing([path], shard_format) as write:
        for first, count in ((0, 3), (3, 0), (3, 300), (303, 1)):
            rows = made_instances.random_instances(count, first)
            write(shard_format.encode(rows))
    found = read_back(load(path))["input_ids"][:, 1] - made_instances.FIRST
    assert found.tolist() == list(range(304))


def test_hdf5_is_as_nvidia_has_it(tmp_path):
    instances = made_instances.random_instances(5)
    path = made_instances.write_shard(tmp_path / "a.hdf5", instances, "hdf5")
    with h5py.File(path, "r") as file:
        found = {name: (rows.dtype.str, rows.shape) for name, rows in file.items()}
        labels = file["next_sentence_labels"][:]
    assert found == {
        "input_ids": ("<i4", (5, 11)),
        "input_mask": ("|i1", (5, 11)),
        "segment_ids": ("|i1", (5, 11)),
        "masked_lm_positions": ("<i4", (5, 3)),
        "masked_lm_ids": ("<i4", (5, 3)),
        "next_sentence_labels": ("|i1", (5,)),
    }
    assert labels.tolist() == instances["next_sentence_labels"][:, 0].tolist()


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_hdf5_labels_of_either_shape(tmp_path, load, shape):
    instances = made_instances.random_instances(6)
    with h5py.File(str(tmp_path / "a.h5"), "w") as file:
        for name, rows in instances.items():
            if name != "masked_lm_weights":
                rows = rows.reshape(shape) if name.startswith("next") else rows
                file.create_dataset(name, data=rows, dtype="i8")
    assert_same(read_back(load(str(tmp_path / "a.h5"))), instances)


def test_upstream_reads_our_records(tmp_path):
    instances = made_instances.random_instances(7)
    path = made_instances.write_shard(tmp_path / "a.tfrecord", instances)
    # As in google-research/bert, run_pretraining.py.
    length, width = SIZES.max_seq_length, SIZES.max_predictions_per_seq
    name_to_features = {
        "input_ids": tf.FixedLenFeature([length], tf.int64),
        "input_mask": tf.FixedLenFeature([length], tf.int64),
        "segment_ids": tf.FixedLenFeature([length], tf.int64),
        "masked_lm_positions": tf.FixedLenFeature([width], tf.int64),
        "masked_lm_ids": tf.FixedLenFeature([width], tf.int64),
        "masked_lm_weights": tf.FixedLenFeature([width], tf.float32),
        "next_sentence_labels": tf.FixedLenFeature([1], tf.int64),
    }

    def decode(record):
        example = tf.parse_single_example(record, name_to_features)
        return {
            name: tf.to_int32(value) if value.dtype == tf.int64 else value
            for name, value in example.items()
        }

    rows = made_instances.rows_of(tf.data.TFRecordDataset(path).map(decode))
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert_same(found, instances)


def test_records_as_upstream_writes_them_are_read(tmp_path, load):
    instances = made_instances.random_instances(7)
    path = made_instances.write_as_upstream(tmp_path / "a.tfrecord", instances)
    assert_same(read_back(load(path)), instances)


def test_instances_are_spread_evenly_over_files(tmp_path, load, format_name):
    shard_format = FORMATS[format_name]
    paths = [str(tmp_path / str(index)) for index in range(3)]
    with shards.writing(paths, shard_format) as write:
        first = 0
        for count in (1, 4, 2, 1, 3):
            rows = made_instances.random_instances(count, first)
            write(shard_format.encode(rows))
            first += count
    rows = [made_instances.read_records(load(path)) for path in paths]
    assert [made_instances.row_numbers(batches) for batches in rows] == [
        [0, 3, 6, 9],
        [1, 4, 7, 10],
        [2, 5, 8],
    ]
