"""Batches: every row, static shapes, repeatable order, and resuming anywhere."""

import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import (
    features,
    input_pipeline,
    length_buckets,
    record_cache,
    row_files,
)

SPECS = (
    features.FeatureSpec("input_ids", (None,)),
    features.FeatureSpec("label_ids", (), is_input=False),
)
NUM_EXAMPLES = 11
# Without and with length buckets; lengths are 1 to 4.
both_orders = pytest.mark.parametrize("padded_lengths", [None, (2, 4)])


@pytest.fixture
def records(tmp_path):
    path = str(tmp_path / "a.rows")
    rows = [
        {"input_ids": [1] * (index % 4 + 1), "label_ids": index + 1}
        for index in range(NUM_EXAMPLES)
    ]
    with row_files.creating(path) as write:
        write(*row_files.encode(rows, SPECS))
    return record_cache.Records(path, SPECS, seq_length=6)


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
    lengths = [(label - 1) % 4 + 1 for label in batch["label_ids"][is_real]]
    assert batch["input_ids"].sum(axis=1)[is_real].tolist() == lengths
    assert not batch["input_ids"][~is_real].any()
    assert not batch["label_ids"][~is_real].any()
    return batch["label_ids"][is_real].tolist()


def all_labels(output):
    return [label for batch in output for label in labels(batch)]


def assert_padded(output, padded_lengths):
    """Checks that batches are as wide as their longest row needs, and no wider."""
    for batch in output:
        width = batch["input_ids"].shape[1]
        longest = batch["input_ids"].sum(axis=1).max()
        if padded_lengths is None:
            assert width == 6
        else:
            assert width == min(p for p in padded_lengths if p >= longest)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 16])
def test_eval_keeps_every_row_in_order(records, batch_size):
    output = batches(input_pipeline.eval_batches(records, batch_size))
    assert all_labels(output) == list(range(1, 12))
    for batch in output:
        assert batch["input_ids"].shape == (batch_size, 6)


@pytest.mark.parametrize(
    ("batch_size", "num_towers", "sizes"),
    [
        (1, 1, [1, 1, 2, 2, 3, 2]),
        (4, 1, [6, 6]),
        (16, 1, [12]),
        (1, 2, [2, 4, 6]),
        (1, 3, [3, 6, 3]),
    ],
)
def test_eval_in_another_order(records, batch_size, num_towers, sizes):
    """The longest rows first, and padded no further; rows of 6 tokens fit a batch.

    Batches are filled up to a multiple of the number of towers, or so that few sizes
    come about.
    """
    order = length_buckets.PassOrder.of(records, batch_size, num_towers, False)
    output = batches(input_pipeline.eval_batches(records, batch_size, order))
    expected = sorted(range(1, 12), key=lambda label: -((label - 1) % 4))
    assert all_labels(output) == expected
    assert [len(batch["label_ids"]) for batch in output] == sizes
    assert_padded(output, (1, 2, 3, 4))


@both_orders
@pytest.mark.parametrize(
    ("batch_size", "num_epochs", "rows"),
    [(4, 1, 11), (4, 2, 22), (3, 0.5, 6), (16, 3, 33), (5, 1.2, 14)],
)
def test_train_sees_every_row_as_often_as_asked(
    records, batch_size, num_epochs, rows, padded_lengths
):
    num_steps = -(-rows // batch_size)
    dataset = input_pipeline.train_batches(
        records, batch_size, rows, seed=3, padded_lengths=padded_lengths
    )
    output = batches(dataset, num_steps)
    assert_padded(output, padded_lengths)
    for epoch in range(int(num_epochs)):
        seen = all_labels(output)[epoch * NUM_EXAMPLES : (epoch + 1) * NUM_EXAMPLES]
        assert sorted(seen) == list(range(1, 12))
    counts = collections.Counter(all_labels(output))
    assert sum(counts.values()) == rows
    assert set(counts.values()) <= {int(num_epochs), int(np.ceil(num_epochs))}
    sizes = [len(labels(batch)) for batch in output]
    assert sizes[:-1] == [batch_size] * (num_steps - 1)


@both_orders
def test_epochs_are_shuffled_differently_and_repeatably(records, padded_lengths):
    def run(seed):
        tf.reset_default_graph()
        dataset = input_pipeline.train_batches(
            records, NUM_EXAMPLES, 22, seed, padded_lengths=padded_lengths
        )
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
    # Without buckets another batch size or number of towers changes nothing.
    assert [label for batch in run(2, 5 * 4, 7) for label in batch] == [
        label for batch in whole[5:] for label in batch
    ]


def test_with_buckets_a_run_is_resumed_at_any_row(records):
    def run(first_row, limit):
        tf.reset_default_graph()
        dataset = input_pipeline.train_batches(records, 4, 31, 7, first_row, (2, 4))
        return [labels(batch) for batch in batches(dataset, limit)]

    whole = run(0, 8)
    rows = [label for batch in whole for label in batch]
    assert len(rows) == 31
    for first_row in range(31):
        num_steps = -(-(31 - first_row) // 4)
        rest = run(first_row, num_steps)
        assert [label for batch in rest for label in batch] == rows[first_row:]
        if first_row % 4 == 0:
            assert rest == whole[first_row // 4 :]
    # A run in which all rows were seen, and then some more for skipped steps.
    assert run(31 + 8, 6) == whole[2:]


def test_what_is_skipped_is_not_read(records, monkeypatch):
    read = []
    gather = records.gather

    def counted(indices, *more):
        read.extend(indices.tolist())
        return gather(indices, *more)

    monkeypatch.setattr(records, "gather", counted)
    num_rows = 10**9
    dataset = input_pipeline.train_batches(
        records, 4, num_rows, 7, num_rows - 10, (2, 4)
    )
    output = batches(dataset, 3)
    assert len(all_labels(output)) == 10
    assert len(read) < 40


@both_orders
def test_a_run_with_skipped_steps_finds_more_batches(records, padded_lengths):
    dataset = input_pipeline.train_batches(
        records, 4, 11, seed=3, padded_lengths=padded_lengths
    )
    output = batches(dataset, 5)  # the plan is 3 steps
    assert sorted(all_labels(output[:3])) == list(range(1, 12))
    assert len(labels(output[3])) == 4
