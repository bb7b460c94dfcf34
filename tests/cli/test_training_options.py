"""Training options from the command line to what the run leaves behind."""

import logging
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my import metrics
from bert_my.cli import flags, jobs
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_history, training
from bert_my.engine.run_folder import RunFolder
from tests import helpers

ALL_JOBS = ("do_train", "do_eval", "do_predict", "save_for_serving")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("options")


@pytest.fixture(scope="module")
def model_dir(folder):
    return helpers.write_tiny_model(folder / "model", num_hidden_layers=1)


@pytest.fixture(scope="module")
def data_dir(folder):
    """A data set without a test file: the dev file is predicted."""
    data_dir = helpers.write_titles(folder / "data")
    (data_dir / "test.csv").unlink()
    return data_dir


@pytest.fixture(scope="module")
def best_run(folder, model_dir, data_dir):
    """A finished run in which the first evaluation, after step 2, was the best."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "is_better", lambda name, value, best: best is None)
        helpers.run(
            helpers.command(
                model_dir,
                data_dir,
                folder / "best_run",
                *ALL_JOBS,
                n_gpus=2,
                train_batch_size=3,
                learning_rate=1e-2,
                evaluate_every=2,
                keep_best="auto",
                ema_decay=0.5,
            )
        )
    return folder / "best_run"


@pytest.fixture
def old_run(best_run, tmp_path):
    """A copy of that run, for a test to change."""
    shutil.copytree(str(best_run), str(tmp_path / "old_run"))
    return tmp_path / "old_run"


def test_the_best_weights_are_evaluated(best_run):
    steps = [
        entry["step"] for entry in run_history.read_evaluations(RunFolder(best_run))
    ]
    assert steps == [2, 4, 5]
    scores = helpers.read_json(best_run / "eval_results.json")
    assert scores.pop("global_step") == 2
    best = run_history.read_evaluations(RunFolder(best_run))[0]
    del best["step"]
    assert scores == pytest.approx(best, abs=1e-6)


def test_the_best_weights_are_predicted_with_and_exported(
    best_run, model_dir, data_dir
):
    # The same rows with the same weights: the files are the same.
    predicted = helpers.read_lines(best_run / "predictions.tsv")
    assert predicted == helpers.read_lines(best_run / "dev_predictions.tsv")
    helpers.check_export(helpers.make_task(model_dir, data_dir), best_run)


def test_a_run_with_evaluation_has_a_report(best_run):
    page = (best_run / "report" / "index.html").read_text(encoding="utf-8")
    assert "keep_best" in page


def write_checkpoint(path, step):
    with tf.Graph().as_default(), tf.Session() as session:
        global_step = tf.train.get_or_create_global_step()
        session.run(tf.assign(global_step, step))
        return tf.train.Saver().save(session, str(path / "model.ckpt"), step)


@pytest.mark.parametrize(
    ("keep_best", "has_best", "expected", "message"),
    [
        ("f1", True, "best", "The best weights of the run are used"),
        (None, True, "last", "those in best/ are older"),
        ("f1", False, "last", "there are none in best/"),
        (None, False, "last", None),
    ],
)
def test_weights_that_are_used_by_what_the_last_training_kept(
    tmp_path, caplog, keep_best, has_best, expected, message
):
    paths = {"last": write_checkpoint(tmp_path, 5)}
    if has_best:
        (tmp_path / "best").mkdir()
        paths["best"] = write_checkpoint(tmp_path / "best", 2)
    settings = {
        "task_name": "info",
        "max_seq_length": 12,
        "do_lower_case": True,
        "keep_best": keep_best,
    }
    files.write_json(str(tmp_path / "run_config.json"), settings)
    config = flags.parse(helpers.command(*[tmp_path] * 3, "do_eval"), {})
    with caplog.at_level(logging.INFO, logger="bert_my"):
        assert jobs._choose_checkpoint(config) == paths[expected]
    assert message in caplog.text if message else not caplog.text


def run_files(output_dir):
    """Returns path -> content of all but encoded records."""
    return {
        str(path.relative_to(output_dir)): path.read_bytes()
        for path in output_dir.rglob("*")
        if path.is_file() and "cache" not in path.parts
    }


@pytest.fixture
def refused(model_dir, data_dir, old_run):
    """Runs a command that must be refused and leave the run in the folder alone."""
    before = run_files(old_run)

    def run(message, **settings):
        argv = helpers.command(
            model_dir,
            data_dir,
            old_run,
            "do_train",
            "do_eval",
            more={"overwrite_output_dir": "true", **settings},
        )
        with pytest.raises(InputError, match=message):
            helpers.run(argv)
        assert run_files(old_run) == before

    return run


@pytest.mark.once
def test_wrong_options_are_refused_and_nothing_is_deleted(
    refused, tmp_path, data_dir, old_run
):
    refused("--freeze=1", freeze="1")
    refused("--keep_best=f3.*info", keep_best="f3")
    refused("--init_checkpoint=nowhere", init_checkpoint="nowhere")
    for path in (old_run / "model.ckpt-5", old_run / "best" / "model.ckpt-2"):
        refused("--overwrite_output_dir.*--init_checkpoint=", init_checkpoint=path)
    refused("--class_weights=1,2,3", class_weights="1,2,3")
    refused("--objective=crf.*info", objective="crf")
    empty = tmp_path / "empty.csv"
    empty.write_text("id,title,label\n")
    refused(r"empty\.csv", dev_file=empty, evaluate_every=1)


@pytest.mark.once
def test_an_initial_checkpoint_that_does_not_fit_deletes_nothing(
    refused, tmp_path, best_run
):
    narrow = helpers.write_tiny_model(tmp_path / "narrow", intermediate_size=41)
    refused(
        r"intermediate/dense/\w+.*37",
        bert_config_file=narrow / "bert_config.json",
        init_checkpoint=best_run / "model.ckpt-5",
    )


@pytest.mark.once
def test_flags_that_need_a_dev_file_are_named(refused, tmp_path, data_dir):
    shutil.copy(str(data_dir / "train.csv"), str(tmp_path / "train.csv"))
    message = "--keep_best.*--early_stop_patience.*--dev_file"
    refused(
        message,
        keep_best="auto",
        early_stop_patience=1,
        do_eval="false",
        data_dir=tmp_path,
    )


@pytest.mark.once
def test_overwriting_deletes_the_run_and_nothing_else(
    old_run, model_dir, data_dir, caplog
):
    kept = ["notes.txt", "serving/1/saved_model.pb", "bert_model.ckpt.index"]
    for name in kept:
        (old_run / name).parent.mkdir(parents=True, exist_ok=True)
        (old_run / name).write_text("mine")
    exports = run_files(old_run / "serving")
    records = {path.name for path in (old_run / "cache").iterdir()}
    with caplog.at_level(logging.INFO, logger="bert_my"):
        helpers.run(
            helpers.command(
                model_dir,
                data_dir,
                old_run,
                "do_train",
                "overwrite_output_dir",
                train_batch_size=13,
            )
        )
    assert "the run in it was deleted" in caplog.text
    assert "Resuming" not in caplog.text
    # 26 rows in steps of 13; another batch size would not resume the old run.
    steps = [
        line.split(",")[0] for line in helpers.read_lines(old_run / "training.csv")
    ]
    assert steps == ["step", "1", "2"]
    found = run_files(old_run)
    checkpoints = {name for name in found if name.endswith("-2.index")}
    assert checkpoints == {"model.ckpt-2.index"}
    gone = (
        "best/",
        "report/",
        "eval",
        "dev_pred",
        "predict",
        "test_res",
        "model.ckpt-5",
    )
    assert not [name for name in found if name.startswith(gone)]
    assert all(found[name] == b"mine" for name in kept)
    assert run_files(old_run / "serving") == exports
    assert records <= {path.name for path in (old_run / "cache").iterdir()}


@pytest.mark.once
def test_overwriting_needs_do_train(old_run, model_dir, data_dir):
    before = run_files(old_run)
    helpers.run(
        helpers.command(
            model_dir, data_dir, old_run, "do_predict", "overwrite_output_dir"
        )
    )
    after = run_files(old_run)
    assert set(before) <= set(after)
    assert after["training.csv"] == before["training.csv"]


def test_model_folder_as_output_folder_can_be_overwritten(tmp_path):
    argv = helpers.command(
        tmp_path,
        tmp_path,
        tmp_path,
        "do_train",
        "overwrite_output_dir",
        init_checkpoint=tmp_path / "bert_model.ckpt",
    )
    (tmp_path / "bert_model.ckpt.index").write_text("")
    (tmp_path / "model.ckpt-7.index").write_text("")
    config = flags.parse(argv, {})
    config.folder.check_overwrite(config.init_checkpoint)


@pytest.mark.once
def test_number_of_examples(tmp_path, model_dir, data_dir):
    shutil.copy(str(data_dir / "train.csv"), str(tmp_path / "train.csv"))
    helpers.run(
        helpers.command(
            model_dir,
            tmp_path,
            tmp_path / "out",
            "do_train",
            "do_predict",
            num_dev_examples=5,
            max_train_examples=9,
        )
    )
    # 9 rows in steps of 4.
    assert helpers.read_checkpoint(tmp_path / "out")["data_position"] == 9
    assert (tmp_path / "out" / "model.ckpt-3.index").exists()
    _, *rows = helpers.read_table(tmp_path / "out" / "predictions.tsv")
    found = [int(row[1][len("train") :]) for row in rows]
    assert len(found) == 5
    assert found == sorted(found)


class Stopped(RuntimeError):
    """After the loss of the first step."""


@pytest.fixture(scope="module")
def calm_model(folder):
    """Without dropout."""
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return helpers.write_tiny_model(folder / "calm", num_hidden_layers=1, **off)


@pytest.fixture(scope="module")
def first_loss(folder, calm_model, data_dir):
    """A function that runs a command up to its first loss, over all train rows."""
    checkpoint = folder / "initial.ckpt"

    def run(**settings):
        if checkpoint.with_suffix(".ckpt.index").exists():
            settings["init_checkpoint"] = checkpoint
        losses = []

        def run_a_step(graph, plan, *args):
            devices = plan.settings.devices
            with tf.Session(config=devices.session_config()) as session:
                initializers = [tf.global_variables_initializer()]
                session.run([*initializers, tf.tables_initializer()])
                losses.append(session.run(graph.loss))
                if "init_checkpoint" not in settings:
                    tf.train.Saver().save(session, str(checkpoint))
            raise Stopped

        argv = helpers.command(
            calm_model,
            data_dir,
            folder / "losses",
            "do_train",
            **{"train_batch_size": 13, "n_gpus": 2, **settings},
        )
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(training, "_run", run_a_step)
            helpers.run(argv)
        return losses[0]

    return run


@pytest.fixture(scope="module")
def likelihoods(folder, calm_model, data_dir, first_loss):
    """(-log probability of each label `[26, 2]`, labels `[26]`) at the start."""
    first_loss()
    helpers.run(
        helpers.command(
            calm_model,
            data_dir,
            folder / "initial",
            "do_predict",
            dev_file=data_dir / "train.csv",
            init_checkpoint=folder / "initial.ckpt",
        )
    )
    _, *rows = helpers.read_table(folder / "initial" / "predictions.tsv")
    probabilities = np.array([[float(cell) for cell in row[-2:]] for row in rows])
    return -np.log(probabilities), np.array([int(row[3]) for row in rows])


@pytest.mark.once
def test_options_of_the_loss_reach_the_graph(first_loss, likelihoods):
    parts, labels = likelihoods
    losses = parts[np.arange(26), labels]
    weights = np.array([1.0, 3.0])[labels]
    weighted = np.sum(weights * losses) / np.sum(weights)
    for option, expected in (
        ({}, np.mean(losses)),
        ({"class_weights": "1,3"}, weighted),
        ({"pos_weight": "3"}, weighted),
        ({"focal_gamma": 2}, np.mean((1 - np.exp(-losses)) ** 2 * losses)),
        ({"label_smoothing": 0.1}, np.mean(0.9 * losses + 0.1 * parts.mean(axis=1))),
    ):
        # Probabilities are written as they are: only float32 rounds.
        assert first_loss(**option) == pytest.approx(expected, rel=1e-5), option
    assert abs(weighted - np.mean(losses)) > 1e-3


def test_deterministic_runs_are_the_same_bit_by_bit(tmp_path, model_dir, data_dir):
    """With dropout and two towers, each in a process of its own, from any folder."""
    # The other jobs must only not be refused: once is enough.
    for name, *used in (["first", "do_eval", "save_for_serving"], ["second"]):
        argv = helpers.command(
            model_dir,
            data_dir,
            tmp_path / name,
            "do_train",
            *used,
            "deterministic",
            n_gpus=2,
            precision="fp16",
        )
        helpers.run_script("run_classifier_mgpu.py", argv, cwd=tmp_path)
    first, second = (helpers.read_checkpoint(tmp_path / n) for n in ("first", "second"))
    helpers.assert_all_close(first, second, atol=0)
    assert first["global_step"] == 4


@pytest.mark.once
def test_several_dev_files_and_a_test_file_with_labels(tmp_path, model_dir, data_dir):
    """All dev sets are evaluated; the test file is scored as the last of them."""
    dev, test = data_dir / "eval.csv", tmp_path / "hard.csv"
    test.write_text("".join((data_dir / "train.csv").read_text().splitlines(True)[:6]))
    output_dir = tmp_path / "out"
    helpers.run(
        helpers.command(
            model_dir,
            data_dir,
            output_dir,
            *("do_train", "do_eval", "do_predict"),
            dev_file=f"{dev},{test}",
            test_file=test,
            keep_best="auto",
        )
    )
    of_run = run_history.read_evaluations(RunFolder(str(output_dir)))
    results = helpers.read_json(output_dir / "eval_results.json")
    scores = helpers.read_json(output_dir / "test_results.json")
    for found in (*of_run, results):
        assert {"auc", "auc@hard", "eval_loss", "eval_loss@hard"} <= set(found)
    for name in ("eval_accuracy", "eval_loss", "log_loss"):
        assert scores[name] == pytest.approx(results[f"{name}@hard"], abs=1e-6)
        assert scores[name] != results[name]
    assert len((output_dir / "predict.txt").read_text().splitlines()) == 6
    # Of rows without a label there is no loss, and they do not count.
    rows = test.read_text().splitlines(True)
    test.write_text("".join([*rows, "x,some title,-1\n"]))
    argv = helpers.command(model_dir, "", output_dir, "do_predict", test_file=test)
    helpers.run(argv)
    again = helpers.read_json(output_dir / "test_results.json")
    assert again["log_loss"] == pytest.approx(scores["log_loss"], abs=1e-6)
    assert "eval_loss" not in again
    assert len((output_dir / "predict.txt").read_text().splitlines()) == 7
