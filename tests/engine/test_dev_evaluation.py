"""Evaluation during training: its numbers, the best weights, and stopping early."""

import logging
import math
import shutil
import types

import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.engine import (
    dev_evaluation,
    evaluation,
    forward,
    run_folder,
    run_history,
    state_files,
    training,
)
from bert_my.engine.run_folder import RunFolder
from bert_my.model import checkpoints
from bert_my.tasks import base
from tests import helpers

NUM_TOWERS = 1
NAN = float("nan")


class Bench:
    """A task with a train set of 26 rows, of which a step takes 4, and a dev set."""

    def __init__(self, folder, **config):
        model_dir = helpers.write_tiny_model(folder / "model", **config)
        self.task = helpers.make_task(model_dir, helpers.write_titles(folder / "data"))
        self.train_records, self.dev_records = (
            helpers.make_records(self.task, split, folder / "cache")
            for split in (base.TRAIN, base.DEV)
        )
        self.folder = folder

    def eval_settings(self, num_towers=NUM_TOWERS, checkpoint=None):
        devices = helpers.cpu_devices(num_towers)
        return forward.EvalSettings(checkpoint, devices, 3, "fp32")

    def train(
        self,
        name,
        evaluate_every="2",
        keep_best=None,
        patience=0,
        num_towers=NUM_TOWERS,
        other_sets=None,
        **changes,
    ):
        """Trains for 7 steps in the folder `name`, which it returns."""
        values = {
            "train_batch_size": 4 // num_towers,
            "num_train_epochs": 1,
            "learning_rate": 1e-2,
            "keep_checkpoint_max": 0,
            "evaluate_every": evaluate_every,
            "keep_best": keep_best,
            "early_stop_patience": patience,
            **changes,
        }
        folder = self.folder / name
        settings = helpers.train_settings(folder, num_towers, **values)
        dev = None
        if evaluate_every:
            sets = {"dev": self.dev_records, **(other_sets or {})}
            dev = (sets, self.eval_settings(num_towers))
        training.train(self.task, self.train_records, settings, dev)
        return folder

    def evaluate(self, checkpoint):
        """Returns the scores of a checkpoint, in a graph of its own."""
        return evaluation.evaluate(
            self.task,
            {"dev": self.dev_records},
            self.eval_settings(checkpoint=str(checkpoint)),
            str(self.folder),
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("dev"), num_hidden_layers=1)


@pytest.fixture(scope="module")
def evaluated(bench):
    """A run that keeps the averages of the weights with the lowest loss.

    (its folder; for each checkpoint its step, how many steps were in the history by
    then, and the steps of the evaluations).
    """
    written = []
    folder = bench.folder / "evaluated"
    save = tf.train.Saver.save

    def save_and_look(saver, session, path, global_step, **kwargs):
        if not path.startswith(str(folder / run_folder.BEST)):
            num_steps = len(helpers.read_lines(folder / run_folder.TRAINING)) - 1
            entries = run_history.read_evaluations(RunFolder(folder))
            steps = [entry["step"] for entry in entries]
            written.append((global_step, num_steps, steps))
        return save(saver, session, path, global_step, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.train.Saver, "save", save_and_look)
        bench.train(
            folder.name,
            "2",
            "eval_loss",
            ema_decay=0.5,
            save_checkpoints_steps=2,
        )
    return folder, written


def entries_of(folder):
    return {e["step"]: e for e in run_history.read_evaluations(RunFolder(folder))}


def test_evaluations_are_after_the_steps_asked_for_and_the_last(evaluated):
    assert list(entries_of(evaluated[0])) == [2, 4, 6, 7]


@pytest.mark.parametrize("step", [4, 7])
def test_metrics_are_those_of_the_checkpoint(bench, evaluated, step):
    folder, _ = evaluated
    expected = bench.evaluate(folder / f"model.ckpt-{step}")
    assert expected.pop("global_step") == step
    entry = entries_of(folder)[step]
    assert entry.pop("step") == step
    assert entry == pytest.approx(state_files.finite(expected), abs=1e-6)
    assert len({e["eval_loss"] for e in entries_of(folder).values()}) == 4


def test_best_weights_are_those_with_the_lowest_loss(evaluated):
    folder, _ = evaluated
    losses = {step: e["eval_loss"] for step, e in entries_of(folder).items()}
    best = helpers.read_checkpoint(folder / run_folder.BEST)
    assert best.pop("global_step") == min(losses, key=losses.get)
    (name,) = (each for each in best if each.startswith("best/eval_loss/"))
    assert best.pop(name) == pytest.approx(min(losses.values()))
    assert "bert/pooler/dense/kernel" in best
    trained = helpers.read_checkpoint(folder, min(losses, key=losses.get))
    # The averages, under the names of the weights, and nothing else.
    helpers.assert_all_close(
        best, {name: trained[f"{name}/average"] for name in best}, atol=0
    )


@pytest.mark.once
def test_several_dev_sets(bench, caplog):
    caplog.set_level(logging.INFO)
    titles = helpers.write_titles(bench.folder / "other", dev=9, train=5)
    task = helpers.make_task(bench.folder / "model", titles)
    records = helpers.make_records(task, base.DEV, bench.folder / "cache")
    sets = {"other": records}
    folder = bench.train("several", "3", "eval_loss", other_sets=sets)
    entries = entries_of(folder)
    alone = evaluation.evaluate(
        bench.task,
        sets,
        bench.eval_settings(checkpoint=str(folder / "model.ckpt-7")),
        str(bench.folder),
    )
    found = {
        name: entries[7][f"{name}@other"] for name in alone if name != "global_step"
    }
    del alone["global_step"]
    assert found == pytest.approx(state_files.finite(alone), abs=1e-6)
    # The first set decides.
    best = helpers.read_checkpoint(folder / run_folder.BEST)["global_step"]
    assert best == min(entries, key=lambda step: entries[step]["eval_loss"])
    (line,) = [each for each in caplog.messages if "after step 7" in each]
    assert line.endswith(f"eval_loss@other {entries[7]['eval_loss@other']:.4f}")


def test_no_checkpoint_is_ahead_of_what_is_written_of_its_step(evaluated):
    _, written = evaluated
    assert written == [
        (0, 0, []),
        (2, 2, [2]),
        (4, 4, [2, 4]),
        (6, 6, [2, 4, 6]),
        (7, 7, [2, 4, 6, 7]),
    ]


@pytest.mark.once
def test_training_is_the_same_without_evaluations(bench, evaluated):
    folder, _ = evaluated
    plain = bench.train("plain", evaluate_every=None, ema_decay=0.5)
    helpers.assert_all_close(
        helpers.read_checkpoint(folder, 7), helpers.read_checkpoint(plain, 7), atol=0
    )


class Killed(RuntimeError):
    """The run ends here, without a checkpoint."""


@pytest.fixture
def scripted(monkeypatch):
    """Returns a function that sets the next values of `auc`; None kills the run.

    With NaN a prediction is not finite.
    """
    values = []

    def scores(task, records, batches):
        value = values.pop(0)
        if value is None:
            raise Killed
        if math.isnan(value):
            raise forward.NonFinitePrediction(0)
        return {"auc": value, "eval_loss": 1.0}

    monkeypatch.setattr(evaluation, "scores", scores)
    yield values.extend
    assert not values


def best_step(folder):
    """Returns the step of the only checkpoint in the folder of the best."""
    (path,) = (folder / run_folder.BEST).glob("*.index")
    assert RunFolder(folder).best_checkpoint() == str(path.with_suffix(""))
    return helpers.read_checkpoint(folder / run_folder.BEST)["global_step"]


@pytest.mark.once
def test_patience_and_what_was_best_survive_a_resume(bench, scripted, caplog):
    def train(patience):
        with caplog.at_level(logging.INFO, logger="bert_my"):
            return bench.train("patient", "1", "auc", patience, num_towers=1)

    scripted([0.5, 0.7, 0.6, 0.7])  # the same value again is not better
    folder = train(patience=2)
    assert helpers.read_checkpoint(folder)["global_step"] == 4
    assert best_step(folder) == 2
    assert "2 evaluations without a better auc" in caplog.text
    train(patience=2)
    assert "step 4 of 7" in caplog.text
    scripted([0.65, 0.8, float("nan")])
    train(patience=4)
    assert helpers.read_checkpoint(folder)["global_step"] == 7
    assert best_step(folder) == 6
    assert "after step 7 does not count: the predictions for row 1" in caplog.text
    values = [(step, e["auc"]) for step, e in entries_of(folder).items()]
    assert values == [
        (1, 0.5),
        (2, 0.7),
        (3, 0.6),
        (4, 0.7),
        (5, 0.65),
        (6, 0.8),
        (7, None),
    ]


@pytest.mark.once
def test_best_weights_after_the_last_checkpoint_do_not_count(bench, scripted):
    """A run that is killed forgets the weights of steps that it does once more."""

    def train():
        return bench.train("killed", "1", "auc", num_towers=1, save_checkpoints_steps=4)

    scripted([0.5, 0.6, 0.55, 0.5, 0.52, 0.9, None])
    with pytest.raises(Killed):
        train()
    folder = bench.folder / "killed"
    assert best_step(folder) == 6
    # Of those before the checkpoint, 0.6 was the best, but its weights are gone.
    scripted([0.58, 0.57, 0.56])
    train()
    assert best_step(folder) == 5
    values = {step: e["auc"] for step, e in entries_of(folder).items()}
    assert values == {1: 0.5, 2: 0.6, 3: 0.55, 4: 0.5, 5: 0.58, 6: 0.57, 7: 0.56}
    lines = helpers.read_lines(folder / run_folder.TRAINING)
    assert [line.split(",")[0] for line in lines] == ["step", *"1234567"]


@pytest.fixture
def interrupted(bench, scripted, request):
    """A run of 4 steps that was killed in step 3; its best weights are those of step 2.

    Returns the function that resumes it with values of `auc`, and the folder.
    """

    def train(*values):
        scripted(values)
        return bench.train(
            request.node.name,
            "1",
            "auc",
            num_towers=1,
            num_train_steps=4,
            save_checkpoints_steps=2,
        )

    with pytest.raises(Killed):
        train(0.5, 0.9, None)
    return train, bench.folder / request.node.name


def test_best_weights_outlive_the_list_of_evaluations(interrupted, caplog):
    train, folder = interrupted
    (folder / run_folder.EVALUATIONS).write_text("")
    (folder / run_folder.BEST / "checkpoint").unlink()
    train(0.6, 0.7)
    assert RunFolder(folder).best_checkpoint().endswith("-2")
    assert "evaluations.jsonl: the evaluation after step 2 is not in it" in caplog.text


def test_early_stopping_needs_the_evaluations_before(tmp_path):
    folder = RunFolder(tmp_path)
    options = {"evaluate_every": "2", "early_stop_patience": 3}
    settings = helpers.train_settings(tmp_path, 1, **options)
    plan = types.SimpleNamespace(
        settings=settings, first_step=5, num_train_steps=9, num_examples=7
    )
    names = {"task_name": "info", "max_seq_length": 12, "do_lower_case": True}
    state_files.write_json(folder.path_of(run_folder.SETTINGS), {**names, **options})
    run = object.__new__(dev_evaluation.DevEvaluation)
    run._plan, run._settings, run._folder = plan, settings, folder
    run._entries = [{"step": 2}, {"step": 4}]
    run._check_entries()
    del run._entries[-1]
    message = r"evaluations\.jsonl: .*after step 4 is missing.*--early_stop_patience"
    with pytest.raises(InputError, match=message):
        run._check_entries()


def test_best_weights_of_unknown_value_are_evaluated_again(interrupted, caplog):
    caplog.set_level(logging.INFO)
    train, folder = interrupted
    path = RunFolder(folder).best_checkpoint()
    values = helpers.read_checkpoint(folder / run_folder.BEST)
    del values[next(name for name in values if name.startswith("best/auc/"))]
    checkpoints.write(values, path)
    train(0.8, 0.7, 0.75)
    assert best_step(folder) == 2
    assert "was not known; it is 0.8000" in caplog.text


@pytest.mark.slow
def test_best_weights_that_are_gone_are_said(interrupted, caplog):
    caplog.set_level(logging.INFO)
    train, folder = interrupted
    shutil.rmtree(str(folder / run_folder.BEST))
    train(0.6, 0.7)
    assert "the weights with the best auc so far, 0.9000, are not there" in caplog.text
    assert best_step(folder) == 4
    assert "auc 0.7000, kept, as the weights with 0.9000 are gone" in caplog.text


def test_resumed_run_with_all_options_equals_an_uninterrupted_one(bench, monkeypatch):
    """With dropout, frozen embeddings, averages and perturbed words."""

    def train(name):
        return bench.train(
            name,
            "2",
            "eval_loss",
            num_towers=1,
            freeze="embeddings",
            layer_lr_decay=0.5,
            ema_decay=0.5,
            adversarial="fgm",
            save_checkpoints_steps=3,
        )

    whole = train("whole")
    run = dev_evaluation.DevEvaluation.run

    def run_and_die(evaluation, session, step):
        run(evaluation, session, step)
        if step == 4:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(dev_evaluation.DevEvaluation, "run", run_and_die)
        train("parts")
    assert helpers.read_checkpoint(bench.folder / "parts")["global_step"] == 3
    parts = train("parts")
    for name in ("", run_folder.BEST):
        helpers.assert_all_close(
            helpers.read_checkpoint(parts / name),
            helpers.read_checkpoint(whole / name),
            atol=1e-6,
        )
    for step, entry in entries_of(whole).items():
        assert entries_of(parts)[step] == pytest.approx(entry, abs=1e-6)
