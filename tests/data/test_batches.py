"""Batches: every row, static shapes, repeatable order, and resuming anywhere."""

import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import batches, features, record_files, row_order

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
    with record_files.creating(path) as write:
        write(record_files.Chunk(*record_files.encode(rows, SPECS)))
    return record_files.Records(path, SPECS, seq_length=6)


def run(dataset, limit=100):
    output = []
    tensors, initializer = batches.next_features(dataset)
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


def test_a_run_of_less_than_one_batch_is_filled_up_as_far_as_asked(records):
    order = row_order.RandomOrder(NUM_EXAMPLES, 3)
    dataset = batches.train_batches(records, order, 1000, 5, filled_size=6)
    batch, again = run(dataset, 2)
    assert len(labels(batch)) == 5
    assert batch["label_ids"].shape == (6,)
    assert labels(again) == labels(batch)


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
def test_a_pass_by_length(records, batch_size, num_towers, sizes):
    """The longest rows first, and padded no further; rows of 6 tokens fit a batch.

    Batches are filled up to a multiple of the number of towers, or so that few sizes
    come about.
    """
    order = row_order.PassOrder.of(records, batch_size, num_towers, False)
    output = run(batches.eval_batches(records, order))
    expected = sorted(range(1, 12), key=lambda label: -((label - 1) % 4))
    assert all_labels(output) == expected
    assert [len(batch["label_ids"]) for batch in output] == sizes
    assert_padded(output, (1, 2, 3, 4))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 16])
def test_a_pass_in_the_order_of_the_file(records, batch_size):
    order = row_order.PassOrder.in_file_order(NUM_EXAMPLES, batch_size)
    output = run(batches.eval_batches(records, order))
    assert all_labels(output) == list(range(1, 12))
    for batch in output:
        assert batch["input_ids"].shape == (batch_size, 6)


def train(records, batch_size, num_rows, padded_lengths, first_row=0, seed=3, limit=9):
    """Returns the first batches of a run, by length if there are `padded_lengths`."""
    tf.reset_default_graph()
    mode = row_order.OFF if padded_lengths is None else row_order.AUTO
    order = row_order.for_training(records, batch_size, seed, mode)
    dataset = batches.train_batches(
        records, order, batch_size, num_rows, first_row, padded_lengths
    )
    return run(dataset, limit)


@both_orders
@pytest.mark.parametrize(
    ("batch_size", "num_epochs", "rows"),
    [(4, 1, 11), (4, 2, 22), (3, 0.5, 6), (16, 3, 33), (5, 1.2, 14)],
)
def test_train_sees_every_row_as_often_as_asked(
    records, batch_size, num_epochs, rows, padded_lengths
):
    num_steps = -(-rows // batch_size)
    output = train(records, batch_size, rows, padded_lengths, limit=num_steps)
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
def test_a_run_is_resumed_at_any_row(records, padded_lengths):
    def resume(first_row, limit):
        output = train(records, 4, 31, padded_lengths, first_row, limit=limit)
        return [labels(batch) for batch in output]

    whole = resume(0, 8)
    rows = [label for batch in whole for label in batch]
    assert len(rows) == 31
    for first_row in range(31):
        num_steps = -(-(31 - first_row) // 4)
        rest = resume(first_row, num_steps)
        assert [label for batch in rest for label in batch] == rows[first_row:]
        if first_row % 4 == 0:
            assert rest == whole[first_row // 4 :]
    # A run in which all rows were seen, and then some more for skipped steps.
    assert resume(31 + 8, 6) == whole[2:]


def test_without_buckets_the_batch_size_does_not_change_the_order(records):
    by_four, by_two = (
        all_labels(train(records, size, 33, None, first_row=20, limit=limit))
        for size, limit in ((4, 4), (2, 7))
    )
    assert by_four == by_two


@both_orders
def test_skipped_rows_are_not_read(records, monkeypatch, padded_lengths):
    read = []
    gather = records.gather

    def counted(indices, *more):
        read.extend(indices.tolist())
        return gather(indices, *more)

    monkeypatch.setattr(records, "gather", counted)
    num_rows = 10**9
    output = train(records, 4, num_rows, padded_lengths, num_rows - 10, limit=3)
    assert len(all_labels(output)) == 10
    assert len(read) < 40


@both_orders
def test_a_run_with_skipped_steps_begins_again(records, padded_lengths):
    output = train(records, 4, 11, padded_lengths, limit=6)  # the plan is 3 steps
    assert sorted(all_labels(output[:3])) == list(range(1, 12))
    assert all_labels(output[3:]) == all_labels(output[:3])
