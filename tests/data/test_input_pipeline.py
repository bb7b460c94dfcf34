"""Batches: every row, static shapes, repeatable order, and resuming anywhere."""

import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import features, input_pipeline, record_cache

SPECS = (
    features.FeatureSpec("input_ids", (None,)),
    features.FeatureSpec("label_ids", (), is_input=False),
)
NUM_EXAMPLES = 11


@pytest.fixture
def records(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for index in range(NUM_EXAMPLES):
            row = {"input_ids": [1] * (index % 4 + 1), "label_ids": index + 1}
            writer.write(features.serialize(row, SPECS))
    return record_cache.Records(path, NUM_EXAMPLES, 0, SPECS, seq_length=6)


def batches(dataset, limit=100):
    output = []
    tensors, initializer = input_pipeline.next_features(dataset)
    with tf.Session() as session:
        session.run(initializer)
        for _ in range(limit):
            try:
                output.append(session.run(tensors))
            except tf.errors.OutOfRangeError:
                break
    return output


def labels(batch):
    """The labels of the real rows of a batch; checks that the others are zeros."""
    is_real = batch["is_real_example"].astype(bool)
    assert not batch["input_ids"][~is_real].any()
    assert not batch["label_ids"][~is_real].any()
    return batch["label_ids"][is_real].tolist()


def all_labels(output):
    return [label for batch in output for label in labels(batch)]


@pytest.mark.parametrize("batch_size", [1, 4, 11, 16])
def test_eval_keeps_every_row_in_order(records, batch_size):
    output = batches(input_pipeline.eval_batches(records, batch_size))
    assert all_labels(output) == list(range(1, 12))
    for batch in output:
        assert batch["input_ids"].shape == (batch_size, 6)


@pytest.mark.parametrize(
    ("batch_size", "num_epochs", "rows"),
    [(4, 1, 11), (4, 2, 22), (3, 0.5, 6), (16, 3, 33), (5, 1.2, 14)],
)
def test_train_sees_every_row_as_often_as_asked(records, batch_size, num_epochs, rows):
    assert input_pipeline.rows_of_epochs(NUM_EXAMPLES, num_epochs) == rows
    num_steps = -(-rows // batch_size)
    dataset = input_pipeline.train_batches(records, batch_size, rows, seed=3)
    output = batches(dataset, num_steps)
    counts = collections.Counter(all_labels(output))
    assert sum(counts.values()) == rows
    assert set(counts.values()) <= {int(num_epochs), int(np.ceil(num_epochs))}
    sizes = [len(labels(batch)) for batch in output]
    assert sizes[:-1] == [batch_size] * (num_steps - 1)


def test_epochs_are_shuffled_differently_and_repeatably(records):
    def run(seed):
        tf.reset_default_graph()
        dataset = input_pipeline.train_batches(records, NUM_EXAMPLES, 22, seed)
        return [labels(batch) for batch in batches(dataset, 2)]

    first, second = run(5)
    assert sorted(first) == sorted(second) == list(range(1, 12))
    assert first != second
    assert run(5) == [first, second]
    assert run(6) != [first, second]


def test_resuming_continues_where_it_stopped(records):
    def run(batch_size, first_row, limit):
        tf.reset_default_graph()
        dataset = input_pipeline.train_batches(records, batch_size, 33, 7, first_row)
        return [labels(batch) for batch in batches(dataset, limit)]

    whole = run(4, 0, 9)
    assert run(4, 5 * 4, 4) == whole[5:]
    # With another batch size or number of towers too.
    assert [label for batch in run(2, 5 * 4, 7) for label in batch] == [
        label for batch in whole[5:] for label in batch
    ]


def test_a_run_with_skipped_steps_finds_more_batches(records):
    dataset = input_pipeline.train_batches(records, 4, 11, seed=3)
    output = batches(dataset, 5)  # the plan is 3 steps
    assert sorted(all_labels(output[:3])) == list(range(1, 12))
    assert len(labels(output[3])) == 4


def test_number_of_rows_is_not_fooled_by_rounding():
    assert input_pipeline.rows_of_epochs(30, 0.1) == 3
    assert input_pipeline.rows_of_epochs(10, 0.7) == 7
