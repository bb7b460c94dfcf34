"""Evaluation during training: its numbers, the best weights, and stopping early."""

import logging

import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.data import run_names
from bert_my.engine import dev_evaluation, evaluation, history, train_plan, training
from bert_my.metrics import metrics
from bert_my.model import checkpoints
from bert_my.tasks import base
from tests import helpers

NUM_TOWERS = 2
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
        return evaluation.EvalSettings(checkpoint, devices, 3, "fp32")

    def train(
        self,
        name,
        evaluate_every="2",
        keep_best=None,
        patience=0,
        num_towers=NUM_TOWERS,
        **changes,
    ):
        """Trains for 7 steps in the folder `name`, which it returns."""
        values = {
            "train_batch_size": 4 // num_towers,
            "num_train_epochs": 1,
            "learning_rate": 1e-2,
            "keep_checkpoint_max": 0,
            **changes,
        }
        folder = self.folder / name
        settings = helpers.train_settings(folder, num_towers, **values)
        dev = None
        if evaluate_every:
            dev_settings = dev_evaluation.DevSettings(
                str(folder), evaluate_every, keep_best, patience, metrics.is_better
            )
            dev = (self.dev_records, dev_settings, self.eval_settings(num_towers))
        training.train(self.task, self.train_records, settings, dev)
        return folder

    def evaluate(self, checkpoint):
        """Returns the scores of a checkpoint, in a graph of its own."""
        return evaluation.evaluate(
            self.task,
            self.dev_records,
            self.task.read_examples(base.DEV),
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

    def save_and_look(saver, session, path, *args, **kwargs):
        if not path.startswith(str(folder / checkpoints.BEST)):
            num_steps = len(helpers.read_lines(folder / run_names.TRAINING)) - 1
            entries = history.read_evaluations(str(folder))
            steps = [entry["step"] for entry in entries]
            written.append((kwargs["global_step"], num_steps, steps))
        return save(saver, session, path, *args, **kwargs)

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
    return {e["step"]: e for e in history.read_evaluations(str(folder))}


def test_evaluations_are_after_the_steps_asked_for_and_the_last(evaluated):
    assert list(entries_of(evaluated[0])) == [2, 4, 6, 7]


@pytest.mark.parametrize("step", [4, 7])
def test_metrics_are_those_of_the_checkpoint(bench, evaluated, step):
    folder, _ = evaluated
    expected = bench.evaluate(folder / f"model.ckpt-{step}")
    assert expected.pop("global_step") == step
    entry = entries_of(folder)[step]
    assert entry.pop("step") == step
    assert entry == pytest.approx(history.finite(expected), abs=1e-6)
    assert len({e["eval_loss"] for e in entries_of(folder).values()}) == 4


def test_best_weights_are_those_with_the_lowest_loss(evaluated):
    folder, _ = evaluated
    losses = {step: e["eval_loss"] for step, e in entries_of(folder).items()}
    best = helpers.read_checkpoint(folder / checkpoints.BEST)
    assert best.pop("global_step") == min(losses, key=losses.get)
    assert "bert/pooler/dense/kernel" in best
    trained = helpers.read_checkpoint(folder, min(losses, key=losses.get))
    # The averages, under the names of the weights, and nothing else.
    helpers.assert_all_close(
        best, {name: trained[f"{name}/average"] for name in best}, atol=0
    )


def test_no_checkpoint_is_ahead_of_what_is_written_of_its_step(evaluated):
    _, written = evaluated
    assert written == [
        (0, 0, []),
        (2, 2, [2]),
        (4, 4, [2, 4]),
        (6, 6, [2, 4, 6]),
        (7, 7, [2, 4, 6, 7]),
    ]


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
    """A function that says what the metric `auc` will be; None kills the run."""
    values = []

    def scores(scorer):
        value = values.pop(0)
        if value is None:
            raise Killed
        return {"auc": value, "eval_loss": 1.0}

    monkeypatch.setattr(evaluation.Scorer, "scores", scores)
    yield values.extend
    assert not values


def best_step(folder):
    """Returns the step of the only checkpoint in the folder of the best."""
    (path,) = (folder / checkpoints.BEST).glob("*.index")
    assert checkpoints.best(str(folder)) == str(path.with_suffix(""))
    return helpers.read_checkpoint(folder / checkpoints.BEST)["global_step"]


def test_patience_and_what_was_best_survive_a_resume(bench, scripted, caplog):
    def train(patience):
        with caplog.at_level(logging.INFO, logger="bert_my"):
            return bench.train("patient", "1", "auc", patience, num_towers=1)

    scripted([0.5, 0.7, 0.6, 0.7])  # the same value again is not better
    folder = train(patience=2)
    assert helpers.read_checkpoint(folder)["global_step"] == 4
    assert best_step(folder) == 2
    assert "Stopping: 2 evaluations without a better auc" in caplog.text
    train(patience=2)
    assert "is at step 4 of 7, and was stopped early" in caplog.text
    scripted([0.65, 0.8, float("nan")])
    train(patience=4)
    assert helpers.read_checkpoint(folder)["global_step"] == 7
    assert best_step(folder) == 6
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
    lines = helpers.read_lines(folder / run_names.TRAINING)
    assert [line.split(",")[0] for line in lines] == ["step", *"1234567"]


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
    for name in ("", checkpoints.BEST):
        helpers.assert_all_close(
            helpers.read_checkpoint(parts / name),
            helpers.read_checkpoint(whole / name),
            atol=1e-6,
        )
    for step, entry in entries_of(whole).items():
        assert entries_of(parts)[step] == pytest.approx(entry, abs=1e-6)


@pytest.mark.parametrize(
    ("evaluate_every", "steps"),
    [
        # 11 rows in steps of 4: epochs end within steps 3, 6, 9 and 11.
        (None, [3, 6, 9, 10]),
        ("epoch", [3, 6, 9, 10]),
        ("1", list(range(1, 11))),
        ("4", [4, 8, 10]),
        ("5", [5, 10]),
        ("99", [10]),
    ],
)
def test_steps_after_which_an_evaluation_is_due(evaluate_every, steps):
    settings = dev_evaluation.DevSettings("", evaluate_every, None, 0, None)
    train_settings = helpers.train_settings("", NUM_TOWERS, train_batch_size=2)
    plan = train_plan.Plan(11, 40, 10, 0, None, 0, 0)
    due = [s for s in range(1, 11) if settings.is_due(s, plan, train_settings)]
    assert due == steps


def test_every_step_ends_an_epoch_that_is_smaller_than_a_step():
    settings = dev_evaluation.DevSettings("", "epoch", None, 0, None)
    train_settings = helpers.train_settings("", NUM_TOWERS, train_batch_size=2)
    plan = train_plan.Plan(3, 40, 10, 0, None, 0, 0)
    assert all(settings.is_due(s, plan, train_settings) for s in range(1, 11))


@pytest.mark.parametrize(
    ("keep_best", "metric"),
    [(None, "auc"), ("", "auc"), ("auto", "auc"), ("f1", "f1"), ("loss", "loss")],
)
def test_metric_that_is_watched(bench, keep_best, metric):
    settings = dev_evaluation.DevSettings("", None, keep_best, 0, None)
    assert settings.metric_of(bench.task) == metric


def test_unknown_metric_is_refused_with_those_there_are(bench):
    settings = dev_evaluation.DevSettings("", None, "recal", 0, None)
    message = "--keep_best=recal.*info.*auc.*recall"
    with pytest.raises(InputError, match=message):
        settings.metric_of(bench.task)
