"""Orders of rows, every row once an epoch and repeatable, and the lengths padded to."""

import collections
import itertools
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import row_order


def make_lengths(num_rows, seed=1):
    """As of texts: few are long."""
    drawn = np.random.RandomState(seed).lognormal(3.0, 0.6, num_rows)
    return np.clip(drawn, 3, 100).astype(np.int32)


def make_records(lengths, seq_length=100):
    return types.SimpleNamespace(
        num_examples=len(lengths), lengths=lengths, seq_length=seq_length
    )


def padded(lengths, padded_lengths):
    """Returns the length that each row is padded to, one by one."""
    return [min(p for p in padded_lengths if p >= length) for length in lengths]


ODD_SIZES = [(103, 10), (100, 10), (7, 10), (31, 10), (10, 3), (1, 4), (53, 53)]


@pytest.mark.parametrize(("num_rows", "batch_size"), ODD_SIZES)
@pytest.mark.parametrize("mode", row_order.MODES)
def test_every_row_is_seen_once_an_epoch(num_rows, batch_size, mode, monkeypatch):
    monkeypatch.setattr(row_order, "WINDOW_BATCHES", 3)
    records = make_records(make_lengths(num_rows))
    order = row_order.for_training(records, batch_size, 5, mode)
    whole = order.rows(0, 7 * num_rows)
    assert whole.dtype == np.int64
    for epoch in whole.reshape(7, num_rows):
        assert sorted(epoch) == list(range(num_rows))
    # From anywhere to anywhere, in any order of asking.
    random = np.random.RandomState(2)
    for _ in range(30):
        begin, end = sorted(random.choice(7 * num_rows + 1, 2, replace=False))
        np.testing.assert_array_equal(order.rows(begin, end), whole[begin:end])


@pytest.mark.parametrize("mode", row_order.MODES)
def test_order_depends_on_the_seed_and_the_epoch(mode):
    records = make_records(make_lengths(200))

    def rows(seed):
        return row_order.for_training(records, 8, seed, mode).rows(0, 400)

    np.testing.assert_array_equal(rows(3), rows(3))
    assert (rows(3) != rows(4)).any()
    assert (rows(3)[:200] != rows(3)[200:]).any()
    # Any number is a seed.
    assert len({tuple(rows(seed)) for seed in (-1, 0, 1 << 33 | 5, 12345)}) == 4


@pytest.mark.parametrize("seed", [0, 3, 12345, -7, 2**31 - 1, 2**33 + 5])
def test_random_order_is_the_one_of_older_versions(seed):
    """They took the seeds of an epoch from a dataset that was shuffled."""
    tf.set_random_seed(seed)
    numbers = tf.data.Dataset.range(1 << 12).shuffle(1 << 12, seed=seed)
    dataset = numbers.batch(4).take(1).repeat()
    iterator = tf.data.make_initializable_iterator(dataset)
    following = iterator.get_next()
    with tf.Session() as session:
        session.run(iterator.initializer)
        seeds = [session.run(following) for _ in range(5)]
    expected = [np.random.RandomState(each).permutation(29) for each in seeds]
    found = row_order.RandomOrder(29, seed).rows(0, 5 * 29)
    np.testing.assert_array_equal(found, np.concatenate(expected))


BLOCKS = np.array([0, 5, 6, 11, 16, 18, 23, 28, 30])


@pytest.mark.parametrize("window_blocks", [1, 3, 8, 100])
def test_order_by_blocks_has_every_row_once_an_epoch(monkeypatch, window_blocks):
    monkeypatch.setattr(row_order, "WINDOW_BLOCKS", window_blocks)
    whole = row_order.BlockOrder(BLOCKS, 5).rows(0, 4 * 30)
    assert whole.dtype == np.int64
    for epoch in whole.reshape(4, 30):
        assert sorted(epoch) == list(range(30))
    assert len({tuple(epoch) for epoch in whole.reshape(4, 30)}) == 4
    order = row_order.BlockOrder(BLOCKS, 5)
    random = np.random.RandomState(2)
    for _ in range(30):
        begin, end = sorted(random.choice(4 * 30 + 1, 2, replace=False))
        np.testing.assert_array_equal(order.rows(begin, end), whole[begin:end])
    other = row_order.BlockOrder(BLOCKS, 6).rows(0, 4 * 30)
    assert (other != whole).any()


def test_order_by_blocks_reads_few_blocks_at_a_time(monkeypatch):
    """And each of them once an epoch."""
    monkeypatch.setattr(row_order, "WINDOW_BLOCKS", 4)
    starts = np.arange(0, 41 * 8, 8)
    rows = row_order.BlockOrder(starts, 3).rows(0, 320)
    windows = [set(window // 8) for window in np.split(rows, 10)]
    assert all(len(blocks) == 4 for blocks in windows)
    assert set.union(*windows) == set(range(40))
    # The blocks of a window come from anywhere, and its rows are mixed.
    assert np.mean([max(blocks) - min(blocks) for blocks in windows]) > 15
    assert np.mean(np.diff(rows) == 1) < 0.1


def test_few_blocks_are_shuffled_as_a_whole():
    rows = row_order.BlockOrder(np.array([0, 512, 1000]), 3).rows(0, 1000)
    for tenth in np.split(rows, 10):
        assert tenth.mean() == pytest.approx(500, abs=120)


def batches_of_run(lengths, batch_size, num_rows):
    """Returns the rows of the batches of a run, `[num_batches, batch_size]`."""
    order = row_order.LengthOrder(lengths, batch_size, 3)
    return order.rows(0, num_rows).reshape(-1, batch_size)


def test_batches_are_of_like_length_in_every_epoch():
    """Whatever is left over of the epochs before."""
    lengths = make_lengths(2011)
    run = batches_of_run(lengths, 8, 8 * 2011)
    spans = np.ptp(lengths[run], axis=1)
    is_mixed = np.zeros(len(run), bool)
    is_mixed[np.arange(1, 8) * 2011 // 8] = True  # an epoch ends within them
    assert np.median(spans[is_mixed]) > 20
    # But for the longest rows of a window, which are few.
    assert np.percentile(spans[~is_mixed], 95) <= 10
    assert np.median(spans[~is_mixed]) <= 2


@pytest.mark.parametrize(("step", "most"), [(1, 0.1), (8, 0.18)])
def test_batches_have_little_padding(step, most):
    """On a CPU and on a GPU; most of it is because there are few lengths."""
    lengths = make_lengths(2011)
    padded_lengths = row_order.choose_lengths(lengths, step=step)
    least = 1 - lengths.sum() / sum(padded(lengths, padded_lengths))

    def share(rows):
        return row_order.share_of_padding(lengths[rows], 8, padded_lengths)

    found = share(batches_of_run(lengths, 8, 8 * 2011).ravel())
    assert least < found < least + 0.025 < most
    assert share(np.random.RandomState(1).permutation(2011)) > 0.4


def test_order_of_the_batches_is_random():
    lengths = make_lengths(4000)
    means = lengths[batches_of_run(lengths, 8, 4000)].mean(axis=1)
    # Neither sorted nor in windows of rising length.
    neighbours = np.corrcoef(means[:-1], means[1:])[0, 1]
    assert abs(neighbours) < 0.15
    rises = np.mean(np.diff(means) > 0)
    assert 0.4 < rises < 0.6
    # Long and short ones come at any time.
    for quarter in np.split(means, 4):
        assert quarter.mean() == pytest.approx(means.mean(), rel=0.15)


def test_rows_meet_others_in_the_next_epoch():
    lengths = make_lengths(800)
    first, second = (
        {pair for rows in epoch for pair in itertools.permutations(rows, 2)}
        for epoch in np.split(batches_of_run(lengths, 8, 1600), 2)
    )
    assert len(first & second) < 0.2 * len(first)


def test_rows_of_one_length_come_in_any_order():
    lengths = np.full(400, 6, np.int32)
    run = batches_of_run(lengths, 8, 800)
    rows = run.ravel()[:400]
    assert abs(np.corrcoef(rows, np.arange(400))[0, 1]) < 0.15
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.15
    assert row_order.share_of_padding(lengths[rows], 8, (6,)) == 0


def test_windows_are_of_about_the_same_size():
    """101 batches are no window of 100 and a lone batch of any lengths."""
    lengths = make_lengths(101 * 32)
    run = batches_of_run(lengths, 32, len(lengths))
    assert np.ptp(lengths[run[-1]]) < 30
    assert np.ptp(lengths[run[:50]].min(axis=1)) > 20


@pytest.mark.parametrize("num_rows", [1, 5, 48, 49, 50, 100, 145, 200])
@pytest.mark.parametrize("batch_size", [1, 7, 12])
@pytest.mark.parametrize("num_towers", [1, 2])
def test_windows_of_a_pass(monkeypatch, num_rows, batch_size, num_towers):
    monkeypatch.setattr(row_order, "PASS_ROWS", 48)
    monkeypatch.setattr(row_order, "PASS_BATCHES", 2)
    lengths = make_lengths(num_rows)
    records = make_records(lengths)
    order = row_order.PassOrder.of(records, batch_size, num_towers, False)
    assert sorted(order.rows(0, num_rows)) == list(range(num_rows))
    assert len(order.windows) == -(-num_rows // 48)
    assert [window[0] for window in order.windows] == [
        0,
        *(window[-1] for window in order.windows[:-1]),
    ]
    assert order.windows[-1][-1] == num_rows
    for window in order.windows:
        rows = order.rows(window[0], window[-1])
        assert len(rows) <= 48
        assert (np.sort(rows) == window[0] + np.arange(len(rows))).all()
        assert (np.diff(lengths[rows]) <= 0).all()
    assert order.padded_lengths == tuple(np.unique(lengths))
    on_gpu = row_order.PassOrder.of(records, batch_size, num_towers, True)
    assert on_gpu.padded_lengths == row_order.choose_lengths(lengths, step=8)


@pytest.mark.parametrize("has_gpus", [False, True])
@pytest.mark.parametrize("num_towers", [1, 3])
@pytest.mark.parametrize("batch_size", [4, 30])
def test_batches_of_short_rows_have_more_of_them(batch_size, num_towers, has_gpus):
    """As many as fit into the tokens of a batch of the longest rows, on each tower."""
    lengths = make_lengths(5000)
    records = make_records(lengths, seq_length=200)
    order = row_order.PassOrder.of(records, batch_size, num_towers, has_gpus)
    num_tokens = batch_size * 200
    if batch_size == 30 and not has_gpus:
        num_tokens = row_order.CPU_BATCH_TOKENS
    for window in order.windows:
        sizes = np.diff(window)
        longest = lengths[order.sorted_rows[window[:-1]]]
        padded = np.array(
            [min(p for p in order.padded_lengths if p >= x) for x in longest]
        )
        expected = num_towers * np.maximum(num_tokens // padded, batch_size)
        assert (sizes[:-1] == expected[:-1]).all()
        assert 0 < sizes[-1] <= expected[-1]
    assert sizes.max() > 5 * num_towers * batch_size or batch_size == 30


@pytest.mark.parametrize(("num_towers", "batch_size"), [(1, 1), (3, 9), (1, 32)])
def test_batches_have_few_shapes(monkeypatch, batch_size, num_towers):
    """Else a long run would have kernels made, and kept, for ever more shapes."""
    monkeypatch.setattr(row_order, "PASS_ROWS", 1000)
    lengths = make_lengths(100000)
    records = make_records(lengths, seq_length=100)
    order = row_order.PassOrder.of(records, batch_size, num_towers, False)
    num_rows = np.concatenate([np.diff(window) for window in order.windows])
    firsts = np.concatenate([window[:-1] for window in order.windows])
    assert len(order.sizes) == len(num_rows)
    longest = lengths[order.sorted_rows[firsts]]
    shapes = set(zip(order.sizes, longest))
    assert len(shapes) < 0.9 * len(set(zip(num_rows, longest)))
    counts = collections.Counter(length for _, length in shapes)
    assert max(counts.values()) <= row_order.NUM_SHORT_SIZES
    assert (order.sizes % num_towers == 0).all()
    assert (num_rows <= order.sizes).all()
    # Full batches stay as they are, and little is added to the others.
    num_tokens = min(batch_size * 100, row_order.CPU_BATCH_TOKENS)
    most = num_towers * np.maximum(num_tokens // longest, batch_size)
    assert (order.sizes <= most).all()
    assert (order.sizes - num_rows < most / 8 + num_towers).all()


@pytest.mark.parametrize("lengths", [None, np.array([3, 9, 5, 9, 2], np.int32)])
def test_a_batch_of_few_rows_is_not_filled_up_to_the_size_asked_for(lengths):
    records = types.SimpleNamespace(num_examples=5, lengths=lengths, seq_length=9)
    order = row_order.PassOrder.of(records, 100000, 3, True)
    assert order.sizes.tolist() == [6]


def test_no_batch_has_fewer_rows_than_asked_for():
    """Also where its tokens are more than a CPU needs."""
    records = make_records(np.full(1000, 512, np.int32), seq_length=512)
    order = row_order.PassOrder.of(records, 64, 1, False)
    assert set(np.diff(order.windows[0])[:-1]) == {64}


def test_windows_of_long_rows_are_smaller():
    """Results that are kept until they are in order grow with tokens."""
    lengths = np.full(10000, 512, np.int32)
    records = make_records(lengths, seq_length=512)

    def largest_window(batch_size):
        order = row_order.PassOrder.of(records, batch_size, 1, True)
        return max(window[-1] - window[0] for window in order.windows)

    assert largest_window(8) == 500
    # Sixteen batches are worth sorting, whatever they hold.
    assert 1400 < largest_window(100) <= 1600


def test_rows_without_lengths_are_read_in_the_order_of_the_file():
    records = types.SimpleNamespace(num_examples=11, lengths=None)
    order = row_order.PassOrder.of(records, 2, 2, False)
    assert order.rows(0, 11).tolist() == list(range(11))
    assert [list(window) for window in order.windows] == [[0, 4], [4, 8], [8, 11]]
    assert order.sizes.tolist() == [4, 4, 4]


@pytest.mark.parametrize("step", [1, 3, 8])
def test_chosen_lengths_are_the_best_there_are(step):
    random = np.random.RandomState(step)
    for _ in range(25):
        lengths = random.randint(1, random.choice([4, 12, 30]), random.randint(1, 40))
        num_lengths = random.randint(1, 5)
        chosen = row_order.choose_lengths(lengths, num_lengths, step)
        assert list(chosen) == sorted(set(chosen))
        assert len(chosen) <= num_lengths
        assert all(length % step == 0 for length in chosen)
        assert chosen[-1] - step < lengths.max() <= chosen[-1]
        candidates = range(step, chosen[-1], step)
        best = min(
            sum(padded(lengths, [*some, chosen[-1]]))
            for number in range(min(num_lengths, len(candidates) + 1))
            for some in itertools.combinations(candidates, number)
        )
        assert sum(padded(lengths, chosen)) == best


def test_chosen_lengths_do_not_exceed_the_longest_allowed():
    lengths = np.array([9, 10, 20, 29, 30])
    assert row_order.choose_lengths(lengths, 3, 8, max_length=30) == (16, 24, 30)
    assert row_order.choose_lengths(lengths, 1, 8, max_length=30) == (30,)


def test_few_lengths_need_no_padding():
    assert row_order.choose_lengths(np.array([7, 3, 7, 5])) == (3, 5, 7)
    assert row_order.choose_lengths(np.array([7] * 9)) == (7,)
    assert len(row_order.choose_lengths(np.arange(1, 100))) == 24


def test_share_of_padding():
    lengths = np.array([3, 4, 2, 2, 9])
    # Batches of 2, 2 and 1 rows: 5 + 5, 2 + 2 and 9 slots, of which 20 are tokens.
    share = row_order.share_of_padding(lengths, 2, (2, 5, 9))
    assert share == pytest.approx(1 - 20 / 23)
