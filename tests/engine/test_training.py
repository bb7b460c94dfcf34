"""The training loop: resuming, skipped steps and what it refuses."""

import dataclasses
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common import signals
from bert_my.common.errors import InputError, WriteError
from bert_my.engine import checkpoint_hook, hooks, training
from bert_my.model import checkpoints, fused
from bert_my.tasks import base
from tests import helpers


@pytest.fixture(scope="module")
def records(task, tmp_path_factory):
    return helpers.make_records(task, base.TRAIN, tmp_path_factory.mktemp("cache"))


def make_settings(output_dir, num_towers=1, **changes):
    values = {
        "train_batch_size": 6 // num_towers,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "save_checkpoints_steps": 4,
        **changes,
    }
    return helpers.train_settings(output_dir, num_towers, **values)


@pytest.fixture(scope="module")
def finished(task, records, tmp_path_factory):
    """The folder of a run of one epoch: 5 steps."""
    folder = tmp_path_factory.mktemp("finished")
    training.train(task, records, make_settings(folder, num_train_epochs=1))
    return folder


@pytest.fixture
def one_epoch(finished, tmp_path):
    """A copy of that run, for a test to change."""
    shutil.copytree(str(finished), str(tmp_path / "one_epoch"))
    return tmp_path / "one_epoch"


def test_training_lowers_the_loss(task, records, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="bert_my"):
        training.train(
            task,
            records,
            make_settings(
                tmp_path / "out",
                num_train_epochs=30,
                learning_rate=2e-3,
                logging_steps=5,
                save_checkpoints_steps=1000,
            ),
        )
    lines = [r.getMessage() for r in caplog.records if "examples/s" in r.getMessage()]
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < 0.1 < losses[0]
    assert "ETA" in lines[0]
    assert list((tmp_path / "out").glob("events.*"))


@pytest.mark.once  # `test_dev_evaluation` resumes a run with dropout on both
@pytest.mark.parametrize("use_xla", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_resumed_run_equals_an_uninterrupted_one(
    task, records, tmp_path, monkeypatch, use_xla
):
    """With dropout, which compiled functions draw otherwise, and two towers."""
    if use_xla and not fused.supports_jit():
        pytest.skip("this TensorFlow does not compile")

    def train(name):
        # A program for each padded length would have to be compiled.
        buckets = "off" if use_xla else "auto"
        settings = make_settings(
            tmp_path / name, num_towers=2, use_xla=use_xla, length_buckets=buckets
        )
        training.train(task, records, settings)

    train("whole")

    class Interrupted(RuntimeError):
        pass

    report = hooks.ProgressHook.after_run
    steps = []

    def after_run(hook, run_context, run_values):
        report(hook, run_context, run_values)
        steps.append(1)
        if len(steps) == 6:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(hooks.ProgressHook, "after_run", after_run)
        train("parts")
    # Steps after the last checkpoint are done again.
    assert 0 < helpers.read_checkpoint(tmp_path / "parts")["global_step"] < 6
    train("parts")
    helpers.assert_all_close(
        helpers.read_checkpoint(tmp_path / "parts"),
        helpers.read_checkpoint(tmp_path / "whole"),
        atol=1e-6,
    )
    histories = [
        (tmp_path / name / "training.csv").read_text().splitlines()
        for name in ("parts", "whole")
    ]
    # The speed, in the last column, is not the same.
    parts, whole = [[row.split(",")[:3] for row in rows] for rows in histories]
    assert [row[0] for row in parts] == ["step", *map(str, range(1, 10))]
    assert parts == whole


@pytest.mark.once
def test_a_run_that_is_stopped_saves_and_is_resumed(
    task, records, tmp_path, monkeypatch
):
    def train(name):
        training.train(task, records, make_settings(tmp_path / name))

    train("whole")
    report, steps = hooks.ProgressHook.after_run, []

    def after_run(*args):
        report(*args)
        steps.append(1)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(hooks.ProgressHook, "after_run", after_run)
    with signals.handled(), pytest.raises(signals.Stopped) as raised:
        train("parts")
    assert raised.value.code == 143
    assert "after step 6 of 9, saved in" in raised.value.message
    assert helpers.read_checkpoint(tmp_path / "parts")["global_step"] == 6
    train("parts")
    data = "model.ckpt-9.data-00000-of-00001"
    parts, whole = [(tmp_path / x / data).read_bytes() for x in ("parts", "whole")]
    assert parts == whole


@pytest.fixture
def limit_files():
    """Returns a function that sets the most bytes of a file; a full disk is alike."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checkpoint_that_cannot_be_written_is_one_line(
    task, records, one_epoch, limit_files, monkeypatch
):
    folder = str(one_epoch)
    before = sorted(x for x in os.listdir(folder) if x.startswith("model.ckpt"))
    save = checkpoint_hook.CheckpointHook.end

    def end(*args):
        limit_files(1000)
        save(*args)

    monkeypatch.setattr(checkpoint_hook.CheckpointHook, "end", end)
    # TensorFlow's error means the end of the data to a session.
    message = r"^.*/model\.ckpt-9: cannot be written: File too large$"
    with pytest.raises(WriteError, match=message):
        training.train(
            task, records, make_settings(one_epoch, save_checkpoints_steps=99)
        )
    after = sorted(x for x in os.listdir(folder) if x.startswith("model.ckpt"))
    assert after == before
    assert helpers.read_checkpoint(one_epoch)["global_step"] == 5


def test_a_folder_that_is_gone_is_one_line(task, records, one_epoch, monkeypatch):
    save = checkpoint_hook.CheckpointHook.after_run

    def after_run(*args):
        shutil.rmtree(str(one_epoch))
        save(*args)

    monkeypatch.setattr(checkpoint_hook.CheckpointHook, "after_run", after_run)
    settings = make_settings(one_epoch, save_checkpoints_steps=1)
    with pytest.raises(WriteError, match="one_epoch: cannot be written: No such"):
        training.train(task, records, settings)
    assert not one_epoch.exists()


KILLED = """
import os, signal, sys
from bert_my.cli import runner
from bert_my.engine import hooks

report, steps = hooks.ProgressHook.after_run, []

def after_run(*args):
    report(*args)
    steps.append(1)
    if len(steps) == 7:
        os.kill(os.getpid(), signal.SIGKILL)

hooks.ProgressHook.after_run = after_run
runner.main(argv=sys.argv)
"""


@pytest.mark.once
def test_killed_run_is_resumed(tiny_model, titles, tmp_path, caplog):
    """With dropout and SIGKILL, as a machine that goes down."""

    def argv(output_dir):
        return helpers.command(
            tiny_model,
            titles,
            output_dir,
            "do_train",
            num_train_epochs=2,
            save_checkpoints_steps=5,
        )

    helpers.run(argv(tmp_path / "whole"))
    process = subprocess.run(
        [sys.executable, "-c", KILLED, *argv(tmp_path / "parts")[1:]],
        cwd=str(helpers.ROOT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.returncode == -signal.SIGKILL
    # 26 examples, 2 epochs, batches of 4.
    assert helpers.read_checkpoint(tmp_path / "parts")["global_step"] == 5
    with caplog.at_level(logging.INFO, logger="bert_my"):
        helpers.run(argv(tmp_path / "parts"))
    assert re.search(r"resumes after step +5\n", caplog.text)
    helpers.assert_all_close(
        helpers.read_checkpoint(tmp_path / "parts", 13),
        helpers.read_checkpoint(tmp_path / "whole", 13),
        atol=1e-6,
    )


@pytest.mark.once
def test_a_copied_or_moved_folder_is_resumed_there(task, records, tmp_path, one_epoch):
    shutil.copytree(str(one_epoch), str(tmp_path / "copy"))
    one_epoch.rename(tmp_path / "moved")
    assert helpers.read_checkpoint(tmp_path / "moved")["global_step"] == 5
    for name in ("copy", "moved"):
        training.train(task, records, make_settings(tmp_path / name))
        assert helpers.read_checkpoint(tmp_path / name)["global_step"] == 9
    helpers.assert_all_close(
        helpers.read_checkpoint(tmp_path / "copy"),
        helpers.read_checkpoint(tmp_path / "moved"),
        atol=1e-6,
    )


def goes_back(folder, step, lacking=()):
    """Makes an earlier checkpoint the last one, without some of its variables."""
    path = str(folder / f"model.ckpt-{step}")
    values = helpers.read_checkpoint(folder, step)
    left = {n: v for n, v in values.items() if not n.startswith(tuple(lacking))}
    checkpoints.write(left, path)
    tf.train.update_checkpoint_state(str(folder), path)


OURS_ALONE = ("data_position", "global_batch_size", "length_buckets", "loss_scale/")


@pytest.mark.once
def test_a_run_that_upstream_trained_is_resumed(task, records, one_epoch, caplog):
    """Its checkpoint has weights, slots and the step."""
    other = one_epoch.parent / "upstream"
    shutil.copytree(str(one_epoch), str(other))
    goes_back(one_epoch, 4)
    goes_back(other, 4, OURS_ALONE)
    (other / "training.csv").unlink()
    training.train(task, records, make_settings(one_epoch))
    with caplog.at_level(logging.INFO, logger="bert_my"):
        training.train(task, records, make_settings(other))
    message = "step 4 and the global batch size 6 make 24 rows"
    assert message in caplog.text
    helpers.assert_all_close(
        helpers.read_checkpoint(other), helpers.read_checkpoint(one_epoch), atol=1e-6
    )
    # What was trained on is a run of this program.
    caplog.clear()
    training.train(task, records, make_settings(other, num_train_epochs=3))
    assert helpers.read_checkpoint(other)["global_step"] == 13
    assert message not in caplog.text


@pytest.mark.once
def test_averages_of_a_run_that_upstream_trained_start_as_the_weights(
    task, records, one_epoch
):
    goes_back(one_epoch, 4, OURS_ALONE)
    before = helpers.read_checkpoint(one_epoch)
    settings = make_settings(
        one_epoch, num_train_steps=5, ema_decay=0.9, learning_rate=1e-12
    )
    training.train(task, records, settings)
    after = helpers.read_checkpoint(one_epoch)
    names = [name for name in after if name.endswith("/average")]
    assert "output_weights/average" in names
    for name in names:
        expected = before[name.replace("/average", "")]
        np.testing.assert_allclose(after[name], expected, atol=1e-7)


@pytest.mark.once
def test_weights_alone_are_no_run(task, records, one_epoch):
    goes_back(one_epoch, 4, [*OURS_ALONE, "output_weights/adam_m"])
    with pytest.raises(InputError, match=r"lacks output_weights/adam_m;"):
        training.train(task, records, make_settings(one_epoch))


@pytest.mark.once
def test_resuming_needs_the_same_global_batch(task, records, one_epoch):
    settings = make_settings(one_epoch, train_batch_size=8)
    with pytest.raises(InputError, match=r"\b6\b.*\b8\b"):
        training.train(task, records, settings)
    # Other towers are fine as long as the product is the same.
    settings = dataclasses.replace(
        settings, devices=helpers.cpu_devices(2), train_batch_size=3
    )
    training.train(task, records, settings)
    assert helpers.read_checkpoint(one_epoch)["global_step"] == 9


@pytest.mark.once
def test_a_folder_that_is_made_anew_is_noticed(tmp_path):
    """TensorFlow makes the folder of a run that was renamed while it saved."""

    class Renaming:
        def save(self, session, path, step):
            (tmp_path / "run").rename(tmp_path / "away")
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / f"model.ckpt-{step}.index").touch()

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "graph.pbtxt").touch()
    hook = checkpoint_hook.CheckpointHook(str(tmp_path / "run"), 1, Renaming(), None)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.create_global_step()
        session.run(tf.global_variables_initializer())
        hook.begin()
        with pytest.raises(InputError, match="not the folder of the start"):
            hook._save(session)


@pytest.mark.once
@pytest.mark.parametrize(
    ("first", "then"),
    [("auto", "off"), pytest.param("off", "auto", marks=pytest.mark.slow)],
)
def test_resuming_needs_the_same_order_of_rows(task, records, tmp_path, first, then):
    settings = make_settings(tmp_path, num_train_epochs=1, length_buckets=first)
    training.train(task, records, settings)
    settings = dataclasses.replace(settings, num_train_epochs=2, length_buckets=then)
    message = f"^--length_buckets={then}.*--length_buckets={first}"
    with pytest.raises(InputError, match=message):
        training.train(task, records, settings)
    training.train(task, records, dataclasses.replace(settings, length_buckets=first))
    assert helpers.read_checkpoint(tmp_path)["global_step"] == 9


@pytest.mark.once
def test_nothing_left_to_train_is_said(task, records, one_epoch, caplog):
    before = helpers.read_checkpoint(one_epoch)
    with caplog.at_level(logging.INFO, logger="bert_my"):
        training.train(task, records, make_settings(one_epoch, num_train_epochs=1))
    assert "Nothing left to train" in caplog.text
    helpers.assert_all_close(helpers.read_checkpoint(one_epoch), before, atol=0)


def test_init_checkpoint_only_initializes(task, records, tmp_path, finished):
    trained = helpers.read_checkpoint(finished)
    path = tf.train.latest_checkpoint(str(finished))
    settings = make_settings(tmp_path / "second", init_checkpoint=path)
    # No learning rate, so that what was loaded can be seen.
    training.train(task, records, dataclasses.replace(settings, learning_rate=1e-12))
    started = helpers.read_checkpoint(tmp_path / "second")
    assert started["global_step"] == 9
    name = "bert/encoder/layer_0/output/dense/kernel"
    np.testing.assert_allclose(started[name], trained[name], atol=1e-6)
    assert not np.allclose(started[name + "/adam_m"], trained[name + "/adam_m"])


@pytest.mark.parametrize("flag", ["output_dir", "init_checkpoint"])
def test_damaged_data_of_a_checkpoint_is_named(
    task, records, tmp_path, one_epoch, flag
):
    """Found when the weights are restored, which is the only time they are read."""
    (path,) = one_epoch.glob("model.ckpt-5.data-*")
    content = bytearray(path.read_bytes())
    for place in range(0, 2000, 50):  # counters are further behind
        content[place] ^= 255
    path.write_bytes(bytes(content))
    for other in one_epoch.glob("model.ckpt-[04].*"):
        other.unlink()
    settings, named = make_settings(one_epoch), "no whole checkpoint"
    if flag == "init_checkpoint":
        checkpoint = str(one_epoch / "model.ckpt-5")
        settings = make_settings(tmp_path / "new", init_checkpoint=checkpoint)
        named = f"--{flag}="
    with pytest.raises(InputError, match=rf"{named}.* variable [\w/]+ cannot be"):
        training.train(task, records, settings)


@pytest.mark.once
def test_checkpoints_are_kept_as_asked(task, records, tmp_path):
    """Also those of an earlier start, in a folder whose name reads like a pattern."""
    folder = tmp_path / "lr[2e-5]*"
    for num_epochs in (1, 2):
        settings = make_settings(
            folder,
            save_checkpoints_steps=2,
            keep_checkpoint_max=2,
            num_train_epochs=num_epochs,
        )
        training.train(task, records, settings)
        left = sorted(x.name for x in folder.glob("*.index"))
        assert len(left) == 2
    assert left == ["model.ckpt-7.index", "model.ckpt-9.index"]
    assert len(list(folder.glob("events.*"))) in (1, 2)  # one for each start


def test_weights_that_are_not_finite_are_refused_before_anything_is_written(
    task, records, tmp_path, finished
):
    values = helpers.read_checkpoint(finished)
    values["bert/pooler/dense/bias"][3] = np.nan
    path = str(tmp_path / "model.ckpt")
    checkpoints.write(values, path)
    settings = make_settings(tmp_path / "out", init_checkpoint=path)
    with pytest.raises(InputError, match=r"1 of .* bert/pooler/dense/bias are NaN"):
        training.train(task, records, settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "num_bad_steps", [3, pytest.param(100, marks=pytest.mark.once)]
)
def test_non_finite_gradients(
    task, records, tmp_path, caplog, monkeypatch, num_bad_steps
):
    """A few bad steps are skipped and trained again; too many end the run."""
    task_build = task.build

    def build(features, is_training, ops):
        outputs = task_build(features, is_training, ops)
        position = helpers.variable("data_position")
        bad = tf.where_v2(position < num_bad_steps * 6, np.float32(np.inf), 1.0)
        weighted_sum, weight = outputs.losses["loss"]
        return outputs._replace(losses={"loss": (weighted_sum * bad, weight)})

    monkeypatch.setattr(task, "build", build)
    settings = make_settings(tmp_path, precision="fp16")
    if num_bad_steps > hooks.MAX_SKIPPED_STEPS:
        with pytest.raises(hooks.NonFiniteTrainingError, match="--precision=fp32"):
            training.train(task, records, settings)
        return
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        training.train(task, records, settings)
    assert caplog.text.count("Step skipped") == 3
    final = helpers.read_checkpoint(tmp_path)
    assert final["loss_scale/num_skipped_steps"] == 3
    assert final["loss_scale/scale"] == 2.0**12
    # Two epochs of 26 rows, and the rows of three steps that were skipped.
    assert (final["global_step"], final["data_position"]) == (9, 2 * 26 + 3 * 6)


@pytest.mark.once
def test_output_dir_of_another_program_is_refused(task, records, tmp_path):
    tf.get_variable("output_bias", [2])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(InputError, match=r"--output_dir=.*--init_checkpoint"):
        training.train(task, records, make_settings(tmp_path))


def test_the_restored_step_must_be_that_of_the_plan():
    step = tf.train.get_or_create_global_step()
    plan = types.SimpleNamespace(
        first_step=4,
        checkpoint="out/model.ckpt-4",
        settings=types.SimpleNamespace(output_dir="out"),
    )

    def restored(value):
        return types.SimpleNamespace(run=lambda session: step.load(value, session))

    with tf.Session() as session:
        training._restore(restored(4), plan, session)
        with pytest.raises(InputError, match=r"step 6 .*model\.ckpt-4.*step 4"):
            training._restore(restored(6), plan, session)
