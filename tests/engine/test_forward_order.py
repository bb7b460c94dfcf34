"""Forward passes that sort rows by length: results are those of the input, in order."""

import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import record_files, row_order
from bert_my.data.features import FeatureSpec
from bert_my.engine import devices, forward
from bert_my.model import ops
from bert_my.tasks import base
from tests import helpers
from tests.engine import test_towers

SPECS = (
    FeatureSpec("input_ids", (None,)),
    FeatureSpec("number", (), "float32"),
)
SEQ_LENGTH = 12
OUTPUTS = ("input_ids", "tokens", "twice")


class EchoTask:
    """Predicts what it is given, so that every row can be told from the others."""

    def build(self, features, is_training, ops):
        ids, number = features["input_ids"], features["number"]
        is_real = features["is_real_example"]
        # Not 0 at padding: what other rows of a batch are padded to must not matter.
        tokens = tf.stack([ids, 1 - ids], axis=-1)
        pair = (tf.reduce_sum(number * is_real), tf.reduce_sum(is_real))
        predictions = {"input_ids": ids, "tokens": tokens, "twice": 2.0 * number}
        return base.TaskOutputs({"loss": pair}, predictions, {"mean": pair})


def make_records(folder, num_rows):
    """Rows of random lengths, of which row i holds the numbers 100 * i + 1, ..."""
    lengths = np.random.RandomState(num_rows).randint(1, SEQ_LENGTH + 1, num_rows)
    rows = [
        {"input_ids": list(range(100 * i + 1, 100 * i + 1 + n)), "number": float(i)}
        for i, n in enumerate(lengths)
    ]
    path = str(folder / f"{num_rows}.rows")
    with record_files.creating(path) as write:
        write(record_files.Chunk(*record_files.encode(rows, SPECS)))
    return record_files.Records(path, SPECS, SEQ_LENGTH), rows


def run(records, batch_size, num_towers=1):
    """Returns the list of `Batch`es of a pass, and the widths that were computed."""
    devices = helpers.cpu_devices(num_towers)
    settings = forward.EvalSettings(None, devices, batch_size, "fp32")
    widths = []
    with tf.Graph().as_default(), tf.Session(
        config=devices.session_config()
    ) as session:
        forward_pass = forward.build_pass(EchoTask(), records, settings, OUTPUTS)

        def fetch(tensors):
            values = session.run(tensors)
            if tensors is forward_pass.fetches:
                widths.append(values[0]["input_ids"].shape[1])
            return values

        return list(forward_pass.batches(fetch)), widths


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of at most 12 rows, or of 2 batches."""
    monkeypatch.setattr(row_order, "PASS_ROWS", 12)
    monkeypatch.setattr(row_order, "PASS_BATCHES", 2)


def read_in_file_order(monkeypatch):
    """Makes forward passes as if the lengths of rows were not known."""

    def in_file_order(records, batch_size, num_towers, has_gpus):
        return row_order.PassOrder.in_file_order(
            records.num_examples, batch_size * num_towers
        )

    monkeypatch.setattr(row_order.PassOrder, "of", in_file_order)


def check(output, rows):
    """Compares a pass with the rows that went in."""
    place = 0
    for batch in output:
        assert batch.first_row == place
        ids = batch.predictions["input_ids"]
        tokens = batch.predictions["tokens"]
        assert tokens.shape == (*ids.shape, 2)
        expected = rows[place : place + len(ids)]
        place += len(ids)
        for row, row_ids, row_tokens in zip(expected, ids, tokens):
            length = len(row["input_ids"])
            assert row_ids.tolist() == row["input_ids"] + [0] * (len(row_ids) - length)
            assert row_tokens[:length, 0].tolist() == row["input_ids"]
            assert row_tokens[:length, 1].tolist() == [1 - x for x in row["input_ids"]]
        numbers = [row["number"] for row in expected]
        assert batch.predictions["twice"].tolist() == [2 * x for x in numbers]
        for pairs in (batch.losses, batch.means):
            ((total, weight),) = pairs.values()
            assert (total, weight) == (sum(numbers), len(numbers))
    assert place == len(rows)


@pytest.mark.once
@pytest.mark.parametrize(
    "batch_size",
    [5, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 3, 4))],
)
def test_rows_are_in_the_order_of_the_input(small_windows, tmp_path, batch_size):
    """For every number of rows in the last batch and in the last window."""
    for num_rows in range(1, 27):
        records, rows = make_records(tmp_path, num_rows)
        output, widths = run(records, batch_size)
        check(output, rows)
        most = max(12, 2 * batch_size)
        assert len(output) == -(-num_rows // most)
        assert max(len(batch.predictions["input_ids"]) for batch in output) <= most
        assert len(widths) <= sum(
            -(-len(batch.predictions["input_ids"]) // batch_size) for batch in output
        )


def test_rows_of_several_towers_are_in_order(small_windows, tmp_path):
    records, rows = make_records(tmp_path, 23)
    check(run(records, 2, num_towers=3)[0], rows)


def test_windows_hold_several_batches_padded_as_they_need(small_windows, tmp_path):
    records, rows = make_records(tmp_path, 24)
    output, widths = run(records, 4)
    assert [len(batch.predictions["input_ids"]) for batch in output] == [12, 12]
    lengths = [len(row["input_ids"]) for row in rows]
    expected, narrowest = [], []
    for window in (lengths[:12], lengths[12:]):
        longest_first = sorted(window, reverse=True)
        while longest_first:
            expected.append(longest_first[0])
            # As many as fit where 4 rows of 12 tokens do.
            del longest_first[: 48 // longest_first[0]]
        narrowest.append(expected[-1])
    assert widths == expected
    # Where a batch was narrower than the longest row there are zeros.
    ids, tokens = output[0].predictions["input_ids"], output[0].predictions["tokens"]
    assert ids.shape == (12, max(lengths[:12]))
    shortest = np.argmin(lengths[:12])
    assert not tokens[shortest, narrowest[0] :].any()


def test_records_without_lengths_are_read_in_their_order(tmp_path):
    """As those of pretraining: a window is a batch."""
    records, rows = make_records(tmp_path, 11)
    plain = types.SimpleNamespace(
        num_examples=11,
        lengths=None,
        parse=records.parse,
    )
    output, widths = run(plain, 4)
    assert [len(batch.predictions["input_ids"]) for batch in output] == [4, 4, 3]
    check(output, rows)
    # Multiples of 8, or as long as a row may be.
    assert set(widths) <= {8, SEQ_LENGTH}


def write_tags(path, num_sentences):
    """Sentences of the tiny model's words, of which the longest have two windows."""
    random = np.random.RandomState(5)
    lines = []
    for _ in range(num_sentences):
        words = random.choice(helpers.WORDS, random.randint(1, 18))
        lines += [f"{word} {'B-A' if 'a' in word else 'O'}" for word in words] + [""]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    "precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)]
)
def test_a_fast_pass_is_the_plain_one(
    small_windows, tiny_model, tmp_path, monkeypatch, precision
):
    """Sorted, with copies of weights and LayerNorm in one kernel, and with none."""
    cpus = helpers.cpu_devices(2)
    if not devices.supports(devices.PRECISIONS[precision], cpus):
        pytest.skip(f"this TensorFlow cannot compute {precision} on a CPU")
    helpers.write_titles(tmp_path, dev=29)
    task = helpers.make_task(tiny_model, tmp_path)
    records = helpers.make_records(task, base.DEV, tmp_path / "cache")

    def probabilities(precision):
        settings = forward.EvalSettings(None, cpus, 3, precision)
        config = cpus.session_config()
        with tf.Graph().as_default(), tf.Session(config=config) as session:
            forward_pass = forward.build_pass(
                task, records, settings, ["probabilities"]
            )
            session.run(tf.global_variables_initializer())
            test_towers.set_weights(session)
            batches = list(forward_pass.batches(session.run))
        return np.concatenate([each.predictions["probabilities"] for each in batches])

    fast = probabilities(precision)
    read_in_file_order(monkeypatch)
    monkeypatch.setattr(forward, "supports_fused_layer_norm", lambda *args: False)
    monkeypatch.setattr(
        ops.HoistedWeights,
        "read",
        lambda hoisted, weight, dtype: tf.cast(weight, dtype),
    )
    assert len(fast) == 29
    assert np.ptp(fast[:, 0]) > 0.1
    # 8 bits of mantissa.
    atol = {"fp32": 1e-5, "bf16": 0.03}[precision]
    for plain in {precision, "fp32"}:
        np.testing.assert_allclose(fast, probabilities(plain), atol=atol)


@pytest.mark.parametrize("name", [pytest.param("info", marks=pytest.mark.slow), "ner"])
def test_scores_and_predictions_are_those_without_buckets(
    small_windows, tiny_model, tmp_path, monkeypatch, without_report, name
):
    """Of sentences in several windows too, whose tokens have to stay together."""
    data_dir = tmp_path / "data"
    if name == "info":
        helpers.write_titles(data_dir, dev=29)
    else:
        for split in ("train", "dev"):
            write_tags(data_dir / f"{split}.txt", 29)
    argv = helpers.command(tiny_model, data_dir, tmp_path / "out", "do_train")
    more = [f"--task_name={name}", "--learning_rate=1e-3"]
    helpers.run([*argv, *more])
    outputs = []
    for is_sorted in (True, False):
        if not is_sorted:
            read_in_file_order(monkeypatch)
        helpers.run([*argv, *more, "--do_train=false", "--do_eval", "--do_predict"])
        outputs.append(
            (
                helpers.read_json(tmp_path / "out" / "eval_results.json"),
                helpers.read_table(tmp_path / "out" / "dev_predictions.tsv"),
                helpers.read_lines(tmp_path / "out" / "predict.txt"),
            )
        )
    (scores, table, lines), (expected_scores, expected_table, expected) = outputs
    assert scores == pytest.approx(expected_scores, abs=1e-6, nan_ok=True)
    assert lines == expected
    for row, expected_row in zip(table, expected_table):
        for cell, expected_cell in zip(row, expected_row):
            if cell != expected_cell:
                assert float(cell) == pytest.approx(float(expected_cell), abs=2e-6)
    assert len(table) == len(expected_table) > 29
