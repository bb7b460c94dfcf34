"""Record files written without TensorFlow are what TensorFlow reads and writes."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.pretrain import shards
from tests.pretrain import made_instances

# On both sides of each number of bytes that a varint may have.
BOUNDS = [0, 1, 127, 128, 2**14 - 1, 2**14, 2**21 - 1, 2**21, 2**28, 2**35 - 1]


def parse(record):
    """Returns the lists of numbers of a serialized example, by name."""
    features = tf.train.Example.FromString(record).features.feature
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in features.items()
    }


def write_by_tensorflow(path, records):
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path.read_bytes()


@pytest.mark.parametrize("largest", BOUNDS)
def test_ints_parse_back(largest):
    values = [value for value in BOUNDS if value <= largest]
    rows = np.array([values, values[::-1], [0] * len(values)])
    records = shards.encode_rows({"input_ids": rows})
    assert [parse(record) for record in records] == [
        {"input_ids": row} for row in rows.tolist()
    ]


def test_random_ints_parse_back():
    rng = np.random.RandomState(3)
    rows = 2 ** rng.randint(0, 22, (50, 300)) - rng.randint(0, 2, (50, 300))
    records = shards.encode_rows({"x": rows.astype(np.int32)})
    assert [parse(record)["x"] for record in records] == rows.tolist()


def test_negative_ints_parse_back():
    rows = np.array([[-1, 5, 300], [2**40, -(2**63), 0]])
    records = shards.encode_rows({"x": rows})
    assert [parse(record)["x"] for record in records] == rows.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_parse_back(dtype):
    rows = np.array([[0.0, 1.0, -2.5], [1e-30, 3e8, 0.1]], dtype)
    records = shards.encode_rows({"weights": rows})
    expected = rows.astype(np.float32).tolist()
    assert [parse(record)["weights"] for record in records] == expected


def test_features_keep_their_names_and_kinds():
    arrays = {
        "input_ids": np.array([[5, 300], [7, 0]], np.int32),
        "a" * 200: np.array([[1], [2]], np.int64),
        "weights": np.array([[0.5], [0.25]], np.float32),
        "mask": np.array([[True], [False]]),
    }
    assert [parse(record) for record in shards.encode_rows(arrays)] == [
        {"input_ids": [5, 300], "a" * 200: [1], "weights": [0.5], "mask": [1]},
        {"input_ids": [7, 0], "a" * 200: [2], "weights": [0.25], "mask": [0]},
    ]


def test_no_rows():
    assert shards.encode_rows({"x": np.zeros((0, 3), np.int32)}) == []


def test_records_are_those_that_protocol_buffers_write():
    """Of one feature: of several the order in a message is not defined."""
    for rows in (np.array([BOUNDS, BOUNDS[::-1]]), np.array([[0.5, 0.0]], np.float32)):
        for row, record in zip(rows.tolist(), shards.encode_rows({"x": rows})):
            example = tf.train.Example()
            feature = example.features.feature["x"]
            is_float = isinstance(row[0], float)
            values = feature.float_list if is_float else feature.int64_list
            values.value.extend(row)
            assert record == example.SerializeToString()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 5000])
def test_frames_are_those_of_tensorflow(tmp_path, size):
    records = [np.random.RandomState(size).bytes(size), b"x" * size]
    expected = write_by_tensorflow(tmp_path / "a.tfrecord", records)
    assert b"".join(map(shards.frame, records)) == expected


def test_tensorflow_reads_a_file_and_checks_its_sums(tmp_path):
    records = shards.encode_rows({"x": np.arange(600).reshape(200, 3)})
    content = b"".join(map(shards.frame, records))
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    assert made_instances.rows_of(tf.data.TFRecordDataset(str(path))) == records
    path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    with pytest.raises(tf.errors.DataLossError):
        made_instances.rows_of(tf.data.TFRecordDataset(str(path)))
