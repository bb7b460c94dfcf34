"""The model of a run: `--model`, flags that win over it, and the run's own folder."""

import json
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.cli import model_files, runner
from bert_my.common.errors import InputError
from bert_my.engine.run_folder import RunFolder
from bert_my.model import checkpoints, hf_checkpoints
from bert_my.tasks import base
from tests import helpers


@pytest.fixture
def parse(tiny_model, tmp_path):
    """Returns a function from flags to the `RunConfig` of a run without model flags."""

    def run(*argv, jobs=("do_train",), **settings):
        words = helpers.command(tiny_model, "d", tmp_path / "out", *jobs, **settings)
        ours = ("--vocab_file", "--bert_config_file", "--max_seq_length")
        return runner.parse([x for x in words if not x.startswith(ours)] + list(argv))

    return run


@pytest.fixture
def model(tiny_model):
    """Folder of a model with a checkpoint."""
    write_checkpoint(tiny_model, "bert_model.ckpt")
    return tiny_model


def write_checkpoint(folder, name):
    folder.mkdir(exist_ok=True)
    checkpoints.write({"bert/a": np.ones([2], np.float32)}, str(folder / name))


def write_run(folder, model, steps, **settings):
    """Writes the files of a trained run that tell its model."""
    folder.mkdir()
    for name in ("vocab.txt", "bert_config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    known = {"task_name": "info", "do_lower_case": False, "max_seq_length": 17}
    settings = {**known, **settings}
    (folder / "run_config.json").write_text(json.dumps(settings))
    (folder / "task.json").write_text(
        json.dumps({"task": "info", "kind": "classification"})
    )
    for step in steps:
        write_checkpoint(folder, f"model.ckpt-{step}")
        tf.train.update_checkpoint_state(str(folder), f"model.ckpt-{step}")
    return folder


def test_the_folder_gives_what_no_flag_does(parse, model, caplog):
    config = parse(f"--model={model}")
    assert config.vocab_file == str(model / "vocab.txt")
    assert config.bert_config_file == str(model / "bert_config.json")
    assert config.init_checkpoint == str(model / "bert_model.ckpt")
    assert config.do_lower_case is True
    config = parse(f"--model={model}", "--vocab_file=v", "--init_checkpoint=c")
    assert (config.vocab_file, config.init_checkpoint) == ("v", "c")
    assert config.bert_config_file == str(model / "bert_config.json")
    assert parse(f"--model={model}", "--nodo_lower_case").do_lower_case is False
    assert "--do_lower_case=False is used" in caplog.text


def test_a_run_is_a_model(parse, model, tmp_path):
    run = write_run(tmp_path / "run", model, [900, 1000])
    config = parse(f"--model={run}")
    assert config.init_checkpoint == str(run / "model.ckpt-1000")
    assert (config.do_lower_case, config.max_seq_length) == (False, 128)
    settings = {**helpers.read_json(run / "run_config.json"), "keep_best": "auc"}
    settings["do_lower_case"] = True
    (run / "run_config.json").write_text(json.dumps(settings))
    write_checkpoint(run / "best", "model.ckpt-900")
    tf.train.update_checkpoint_state(str(run / "best"), "model.ckpt-900")
    config = parse(f"--model={run}")
    assert config.init_checkpoint == str(run / "best" / "model.ckpt-900")
    assert config.do_lower_case is True
    config = parse(f"--model={run / 'best'}")
    assert config.init_checkpoint == str(run / "best" / "model.ckpt-900")
    assert config.vocab_file == str(run / "vocab.txt")


def test_a_checkpoint_of_a_run_is_a_model(parse, model, tmp_path, caplog):
    caplog.set_level("INFO")
    run = write_run(tmp_path / "run", model, [900, 1000])
    config = parse(f"--model={run}/model.ckpt-900.index")
    assert config.init_checkpoint == str(run / "model.ckpt-900")
    assert config.do_lower_case is False
    assert f"is taken as {run}/model.ckpt-900" in caplog.text


@pytest.mark.parametrize("flag", ["vocab_file", "init_checkpoint"])
def test_the_case_beside_the_files_that_are_given(parse, model, tmp_path, flag, caplog):
    folder = tmp_path / "cased"
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    given = {"vocab_file": str(model / "vocab.txt"), flag: str(folder / "x")}
    words = [f"--{name}={value}" for name, value in given.items()]
    words.append(f"--bert_config_file={model / 'bert_config.json'}")
    caplog.set_level("INFO")
    assert parse(*words).do_lower_case is False
    assert f"that of the tokenizer's files in {folder}" in caplog.text
    assert parse(*words, "--do_lower_case").do_lower_case is True
    assert "--do_lower_case=True is used" in caplog.text


def test_what_a_run_was_trained_for(model, tmp_path):
    run = write_run(tmp_path / "run", model, [9])
    task = {"task": "mlabel", "kind": "multilabel", "labels": ["a", "b"]}
    task.update(head="mean", objective="sigmoid")
    (run / "task.json").write_text(json.dumps(task))
    expected = hf_checkpoints.Purpose(("a", "b"), "mean", "sigmoid", False, 17)
    for path in (run / "model.ckpt-9", run / "best" / "model.ckpt-9"):
        assert model_files.purpose_of(str(path)) == expected
    path = str(model / "bert_model.ckpt")
    assert model_files.purpose_of(path) == hf_checkpoints.Purpose()


def test_a_run_tells_what_is_to_be_converted(model, tmp_path):
    find = model_files.find_to_convert
    run = write_run(tmp_path / "run", model, [900, 1000], keep_best="auc")
    files = [str(run / name) for name in ("bert_config.json", "vocab.txt")]
    assert find(str(run)) == (str(run / "model.ckpt-1000"), *files)
    write_checkpoint(run / "best", "model.ckpt-900")
    tf.train.update_checkpoint_state(str(run / "best"), "model.ckpt-900")
    best = str(run / "best" / "model.ckpt-900")
    for path in (run, run / "best", best, f"{best}.index"):
        assert find(str(path)) == (best, *files)
    last = str(run / "model.ckpt-1000")
    assert find(last, "v", "c") == (last, "c", "v")
    (run / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"^--vocab_file is needed: there is no .*run"):
        find(last)


def test_a_trained_run_needs_no_model(parse, model, tmp_path):
    with pytest.raises(InputError, match=r"^--model is needed"):
        parse(jobs=["do_predict"])
    run = write_run(tmp_path / "out", model, [3])
    config = parse(jobs=["do_predict"])
    assert config.vocab_file == str(run / "vocab.txt")
    assert (config.do_lower_case, config.max_seq_length) == (False, 17)
    assert config.init_checkpoint is None
    assert parse("--max_seq_length=9", jobs=["do_predict"]).max_seq_length == 9
    with pytest.raises(InputError, match=r"^--model is needed"):
        parse("--overwrite_output_dir")


@pytest.mark.parametrize(
    ("flags", "files", "expected"),
    [
        (["--save_steps=7"], {base.TRAIN: ["t"], base.DEV: ["d"]}, "7"),
        (["--save_steps=7"], {base.TRAIN: ["t"], base.DEV: []}, None),
        # Of pretraining without a dev file.
        (["--save_steps=7"], {base.TRAIN: ["t"], base.DEV: ["t"]}, None),
        (
            ["--save_steps=7", "--num_dev_examples=5"],
            {base.TRAIN: ["t"], base.DEV: ["t"]},
            "7",
        ),
        (["--save_checkpoints_steps=7"], {base.TRAIN: ["t"], base.DEV: ["d"]}, None),
        (
            ["--save_steps=7", "--eval_steps=5"],
            {base.TRAIN: ["t"], base.DEV: ["d"]},
            "5",
        ),
    ],
)
def test_save_steps_evaluate_a_dev_file_that_is_there(
    parse, model, flags, files, expected
):
    config = parse(f"--model={model}", *flags)
    task = types.SimpleNamespace(find_files=files.get)
    assert runner._with_evaluations(task, config).evaluate_every == expected


def test_files_of_a_trained_model_that_are_missing_are_looked_for(
    tmp_path, monkeypatch
):
    """Their readers name them; another model's are not looked for elsewhere."""
    kept = types.SimpleNamespace(vocabulary="31 tokens")
    monkeypatch.setattr("bert_my.engine.run_identity.read", lambda folder: kept)
    config = types.SimpleNamespace(folder=RunFolder(tmp_path), begins_anew=False)
    assert model_files._find_in_output(config) == {
        "vocab_file": str(tmp_path / "vocab.txt"),
        "bert_config_file": str(tmp_path / "bert_config.json"),
    }
