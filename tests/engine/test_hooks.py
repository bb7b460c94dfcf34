"""Hooks: the numbers that a run reports, and the steps they are of."""

import glob
import itertools
import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.engine import hooks, train_plan
from bert_my.engine.events import EventWriter
from bert_my.engine.run_folder import RunFolder
from bert_my.engine.run_history import TrainingHistory
from tests import helpers
from tests.engine import toy_tasks
from tests.engine.step_runs import StepRun

NUM_TOKENS = 7  # of the batch below, without padding


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A `StepRun` of a task with two losses and a mean, which counts FLOPs."""
    model_dir = helpers.write_tiny_model(tmp_path_factory.mktemp("hooks"))
    batch = toy_tasks.make_batches(1)[0]
    mask = np.zeros_like(batch["input_mask"])
    mask[0, :4] = mask[1, :3] = 1
    batch["input_mask"] = mask
    return StepRun(model_dir, 2, batch, task=toy_tasks.GuessTask(), report_mfu=True)


def report(
    run, folder, bad_steps=(), num_steps=5, num_rows=None, logging_steps=2, **more
):
    """Runs steps with a `ProgressHook` that reports every second one.

    Returns the names of the values that it fetched beside those of every step, for each
    step that was run.
    """
    fetched = []

    class Hook(hooks.ProgressHook):
        def before_run(self, run_context):
            arguments = super().before_run(run_context)
            fetched.append(sorted(arguments.fetches[2]))
            return arguments

    settings = helpers.train_settings(
        folder, 2, train_batch_size=6, logging_steps=logging_steps
    )
    num_rows = num_rows or 12 * num_steps
    plan = train_plan.Plan(settings, 24, num_rows, num_steps, 0, None, 0, 0)
    log = TrainingHistory(RunFolder(folder), 0)
    hook = Hook(run.graph, plan, log, EventWriter(str(folder)), **more)
    with run.tf_graph.as_default(), tf.train.MonitoredSession(
        tf.train.ChiefSessionCreator(config=run.session_config), hooks=[hook]
    ) as session:
        run.session = session
        for index in range(num_steps + len(bad_steps)):
            weights = run.batch["weights"]
            bad = np.full_like(weights, np.inf)
            run.step(weights=bad if index in bad_steps else weights)
    log.close()
    return fetched


def lines_of(caplog):
    return [r.getMessage() for r in caplog.records if "step " in r.getMessage()]


ALL = ["row_loss", "word_accuracy", "word_loss"]


def test_more_values_are_fetched_in_steps_that_are_reported(
    run, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(hooks, "UNTIMED_STEPS", 0)
    with caplog.at_level(logging.INFO, logger="bert_my"):
        fetched = report(run, tmp_path)
    assert fetched == [[], ALL, [], ALL, ALL]  # the last step is reported
    lines = lines_of(caplog)
    assert [line.split()[1] for line in lines] == ["2/5", "4/5", "5/5"]
    for line in lines:
        words = line.split()
        values = {name: words[words.index(name) + 1] for name in (*ALL, "tokens/s")}
        assert float(values["word_loss"]) > 0
        steps_per_second = float(words[words.index("steps/s") + 1])
        # Both are rounded.
        assert float(values["tokens/s"]) == pytest.approx(
            NUM_TOKENS * steps_per_second, abs=1
        )
        assert "mfu" not in line
    tags = {
        value.tag
        for path in glob.glob(str(tmp_path / "events*"))
        for event in tf.train.summary_iterator(path)
        for value in event.summary.value
    }
    assert {*ALL, "loss", "learning_rate", "tokens_per_second"} <= tags
    header, *rows = helpers.read_lines(tmp_path / "training.csv")
    assert header == "step,loss,learning_rate,examples_per_second"
    assert len(rows) == 5


def test_a_silence_of_ten_seconds_is_broken(run, tmp_path, caplog, monkeypatch):
    """The clock jumps by 4 s whenever it is read, twice or more in a step."""
    ticks = itertools.count(0, 4)
    monkeypatch.setattr(hooks.time, "time", lambda: float(next(ticks)))
    with caplog.at_level(logging.INFO, logger="bert_my"):
        report(run, tmp_path, num_steps=9, logging_steps=100)
    steps = [int(r.getMessage().split()[1][:-2]) for r in caplog.records]
    assert steps[-1] == 9
    assert len(steps) > 3 and max(np.diff([0, *steps])) <= 2


def test_short_runs_report_no_speed_and_no_rows_that_are_not_there(
    run, tmp_path, caplog
):
    with caplog.at_level(logging.INFO, logger="bert_my"):
        report(run, tmp_path, num_steps=2, num_rows=20)
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.startswith("step 2/2 epoch 0.83 loss ")
    assert "/s" not in line and "ETA" not in line
    assert helpers.read_lines(tmp_path / "training.csv")[-1].endswith(",")


def test_a_skipped_step_moves_the_report_to_the_next(run, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="bert_my"):
        fetched = report(run, tmp_path, bad_steps=[1, 2])
    assert fetched == [[], ALL, ALL, ALL, [], ALL, ALL]
    assert [line.split()[1] for line in lines_of(caplog)] == ["2/5", "4/5", "5/5"]
    assert len(helpers.read_lines(tmp_path / "training.csv")) == 6


def test_share_of_the_peak(run, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(hooks, "UNTIMED_STEPS", 0)
    with tf.Session(graph=run.tf_graph, config=run.session_config) as run.session:
        step_flops = float(run.fetch(run.graph.work["flops"]))
    with caplog.at_level(logging.INFO, logger="bert_my"):
        report(run, tmp_path, peak_flops=100 * step_flops)
    for line in lines_of(caplog):
        words = line.split()
        steps_per_second = float(words[words.index("steps/s") + 1])
        share = words[words.index("mfu") + 1]
        assert share.endswith("%")
        # A step is a hundredth of what is possible in a second.
        assert float(share[:-1]) == pytest.approx(steps_per_second, abs=0.06)
