"""Model FLOPs of a step, and the peak that they are compared with."""

import dataclasses
import logging

import numpy as np
import pytest

from bert_my.engine import devices, training
from bert_my.model import encoders
from bert_my.tasks import base
from tests import helpers
from tests.engine import toy_tasks
from tests.engine.step_runs import StepRun


@pytest.mark.parametrize("passes", [1, pytest.param(2, marks=pytest.mark.once)])
def test_flops_of_a_step(tiny_model, passes):
    """Padding does not count; masked words and a second pass do."""
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
    expected = encoders.of(task.bert_config).flops(
        lengths.sum(), (lengths**2).sum(), 24, encoders.TRAINING
    )
    work = run.fetch(run.graph.work)
    assert work["tokens"] == lengths.sum()
    assert work["flops"] == pytest.approx(passes * expected)


def test_nothing_is_counted_that_nobody_asked_for(tiny_model):
    assert set(StepRun(tiny_model).graph.work) == {"tokens"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_peak(monkeypatch, precision):
    monkeypatch.setattr(devices, "_PEAK_SIZES", {False: 64})
    peaks = [devices.measure_peak(helpers.cpu_devices(n), precision) for n in (1, 2)]
    # Logical devices share one CPU; timings of so small matrices vary.
    assert min(peaks) > 0
    assert max(peaks) / min(peaks) < 100


@pytest.mark.once
def test_a_run_tells_its_share(tiny_model, titles, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(devices, "_PEAK_SIZES", {False: 64})
    task = helpers.make_task(tiny_model, titles)
    records = helpers.make_records(task, base.TRAIN, tmp_path / "cache")
    settings = helpers.train_settings(
        tmp_path, 2, train_batch_size=2, report_mfu=True, logging_steps=5
    )
    with caplog.at_level(logging.INFO, logger="bert_my"):
        training.train(task, records, dataclasses.replace(settings, num_train_steps=10))
    assert "TFLOP/s" in caplog.text and "fp32" in caplog.text
    lines = [r.getMessage() for r in caplog.records if "mfu " in r.getMessage()]
    assert len(lines) == 2
