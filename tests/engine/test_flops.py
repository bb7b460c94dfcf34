"""Model FLOPs, counted by hand, and the peak that they are compared with."""

import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.engine import flops, training
from bert_my.tasks import base
from tests import helpers
from tests.engine import toy_tasks
from tests.engine.step_runs import StepRun


def evaluate(tensor):
    with tf.Session() as session:
        return session.run(tensor)


def test_of_a_step_counted_by_hand():
    config = modeling.BertConfig(
        5, hidden_size=2, num_hidden_layers=3, intermediate_size=7
    )
    lengths = tf.constant([2.0, 1.0, 0.0])
    # Of a layer: 4 matrices of 2 x 2 and 2 of 2 x 7, for 3 tokens; the products with
    # the keys and with the values, of 2 numbers each, for 2 * 2 + 1 pairs of tokens.
    layer = (4 * 4 + 2 * 14) * 3 + 2 * 2 * 5
    assert evaluate(flops.of_step(config, lengths, 0.0)) == 6 * 3 * layer
    # A matrix of 2 x 2 and one of 2 x 5 for each word to guess.
    words = evaluate(flops.of_step(config, lengths, 4.0)) - 6 * 3 * layer
    assert words == 6 * 4 * (4 + 10)


@pytest.mark.parametrize("passes", [1, 2])
def test_of_the_graph(tiny_model, passes):
    """Padding does not count, words to guess do, and a second pass."""
    task = toy_tasks.GuessTask()
    batch = toy_tasks.make_batches(1)[0]
    batch["masked_lm_weights"] = np.float32([[1, 0.5, 0]] * 12)
    run = StepRun(
        tiny_model,
        2,
        batch,
        task=task,
        report_mfu=True,
        adversarial="fgm" if passes == 2 else None,
    )
    lengths = batch["input_mask"].sum(axis=1)
    expected = evaluate(
        flops.of_step(task.bert_config, tf.constant(lengths, tf.float32), 24.0)
    )
    work = run.fetch(run.graph.work)
    assert work["tokens"] == lengths.sum()
    assert work["flops"] == pytest.approx(passes * expected)


def test_nothing_is_counted_that_nobody_asked_for(tiny_model):
    assert set(StepRun(tiny_model).graph.work) == {"tokens"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_peak(monkeypatch, precision):
    monkeypatch.setattr(flops, "_SIZES", {False: 64})
    peaks = [flops.measure_peak(helpers.cpu_devices(n), precision) for n in (1, 2)]
    # Logical devices share one CPU; timings of so small matrices vary.
    assert min(peaks) > 0
    assert max(peaks) / min(peaks) < 100


def test_a_run_tells_its_share(tiny_model, titles, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(flops, "_SIZES", {False: 64})
    task = helpers.make_task(tiny_model, titles)
    records = helpers.make_records(task, base.TRAIN, tmp_path / "cache")
    settings = helpers.train_settings(
        tmp_path, 2, train_batch_size=2, report_mfu=True, logging_steps=5
    )
    with caplog.at_level(logging.INFO, logger="bert_my"):
        training.train(task, records, settings._replace(num_train_steps=10))
    assert "TFLOP/s" in caplog.text and "fp32" in caplog.text
    lines = [r.getMessage() for r in caplog.records if "mfu " in r.getMessage()]
    assert len(lines) == 2
