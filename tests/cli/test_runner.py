"""Whole runs, as users start them, and every kind of wrong input before training."""

import json
import os
import shutil

import pytest

from bert_my.cli import runner
from bert_my.common.errors import InputError
from bert_my.engine import hooks
from bert_my.tasks import classification
from tests import helpers

ALL_JOBS = ("do_train", "do_eval", "do_predict", "save_for_serving")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder of a tiny model, folder of titles, folder of a run with `do_train`)."""
    folder = tmp_path_factory.mktemp("trained")
    model_dir = helpers.write_tiny_model(folder / "model", num_hidden_layers=1)
    data_dir = helpers.write_titles(folder / "titles")
    helpers.run(helpers.command(model_dir, data_dir, folder / "out", "do_train"))
    return model_dir, data_dir, folder / "out"


def test_everything_in_one_run(tiny_model, titles, tmp_path):
    output_dir = tmp_path / "out"
    helpers.run(
        helpers.command(tiny_model, titles, output_dir, *ALL_JOBS, num_gpu_cores=2)
    )
    results = (output_dir / "eval_results.txt").read_text().splitlines()
    keys = [line.split(" = ")[0] for line in results]
    of_labels = [f"{n}_{k}" for n in ("f1", "precision", "recall") for k in "01"]
    assert set(of_labels) < set(keys) and keys == sorted(keys)
    assert [key for key in keys if key not in of_labels] == [
        "auc",
        "average_precision",
        "eval_accuracy",
        "eval_loss",
        "f1",
        "f1_macro",
        "f1_micro",
        "global_step",
        "log_loss",
        "loss",
        "mcc",
        "precision",
        "recall",
    ]
    as_json = helpers.read_json(output_dir / "eval_results.json")
    assert as_json["global_step"] == 4  # 26 rows in batches of 2 x 4
    values = dict(line.split(" = ") for line in results)
    assert float(values["eval_loss"]) == as_json["eval_loss"]
    assert helpers.read_json(output_dir / "label_map.json") == {"0": 0, "1": 1}
    assert helpers.read_json(output_dir / "run_config.json")["n_gpus"] == 2
    for name in ("vocab.txt", "bert_config.json"):
        assert (output_dir / name).stat().st_size
    assert len((output_dir / "predict.txt").read_text().splitlines()) == 11
    assert len(list((output_dir / "serving").iterdir())) == 1


@pytest.mark.once
def test_scripts_run_from_any_folder(tiny_model, titles, tmp_path):
    """As those of the top folder do in `test_training_options`."""
    output_dir = tmp_path / "out"
    argv = helpers.command(tiny_model, titles, output_dir, "do_train", "do_eval")
    helpers.run_script("bert_my/run_classifier_lr.py", argv, cwd=tmp_path)
    assert (output_dir / "eval_results.txt").exists()


@pytest.mark.slow  # `test_console` shows it for a wrong flag
def test_a_wrong_command_line_is_one_line(tiny_model, titles, tmp_path):
    argv = helpers.command(tiny_model, titles, tmp_path, "do_train", max_seq_length=41)
    process = helpers.run_script("run_classifier_mgpu.py", argv, check=False)
    assert process.returncode == 1
    error = process.stdout.strip().splitlines()[-1]
    assert error.startswith(
        "error: --max_seq_length=41 is over max_position_embeddings"
    )
    assert "Traceback" not in process.stdout


@pytest.mark.once
def test_prediction_without_a_test_file_takes_the_dev_file(trained, titles, tmp_path):
    (titles / "test.csv").unlink()
    model_dir, _, run = trained
    argv = helpers.command(
        model_dir,
        titles,
        tmp_path / "out",
        "do_predict",
        init_checkpoint=run / "model.ckpt-7",
    )
    helpers.run(argv)
    assert len((tmp_path / "out" / "predict.txt").read_text().splitlines()) == 13


@pytest.mark.once
def test_evaluation_alone_uses_the_folders_checkpoint(trained, tmp_path):
    model_dir, data_dir, run = trained

    def scores(output_dir, *jobs, **settings):
        argv = helpers.command(model_dir, data_dir, output_dir, *jobs, **settings)
        helpers.run(argv)
        return helpers.read_json(output_dir / "eval_results.json")

    expected = scores(run, "do_train", "do_eval")  # nothing is left to train
    assert scores(run, "do_eval") == expected
    checkpoint = run / "model.ckpt-7"
    other = scores(tmp_path, "do_eval", init_checkpoint=checkpoint, n_gpus=3)
    assert other == pytest.approx(expected, abs=1e-5)


@pytest.mark.once
def test_output_folder_can_be_the_models(tiny_model, titles):
    helpers.run(helpers.command(tiny_model, titles, tiny_model, "do_train"))
    assert (tiny_model / "vocab.txt").stat().st_size


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def refused(tiny_model, titles, tmp_path, monkeypatch):
    """Runs a command that must be refused before training."""

    def no_training(*args):
        raise AssertionError("training has started")

    monkeypatch.setattr("bert_my.engine.training._run", no_training)

    def run(message, **settings):
        argv = helpers.command(
            tiny_model, titles, tmp_path / "out", "do_train", "do_eval", more=settings
        )
        with pytest.raises(InputError, match=message):
            helpers.run(argv)

    return run


def test_missing_files(refused, tmp_path, titles):
    refused("--vocab_file=nowhere.txt", vocab_file="nowhere.txt")
    refused("--bert_config_file=nowhere.json", bert_config_file="nowhere.json")
    refused("--init_checkpoint=nowhere", init_checkpoint="nowhere")
    refused("--data_dir=nowhere", data_dir="nowhere")
    train = titles / "train.csv"
    refused("--data_dir=.*is a file; give it as --train_file", data_dir=train)
    refused("--train_file=.*is a folder; give it as --data_dir", train_file=titles)
    (titles / "eval.csv").unlink()
    refused("do_eval.*--dev_file")
    refused("--dev_file=nowhere.csv", dev_file="nowhere.csv")


@pytest.mark.parametrize(
    ("job", "file_flag"),
    [
        ("do_train", "train_file"),
        ("do_eval", "dev_file"),
        ("do_predict", "test_file"),
        ("do_predict", "dev_file"),
    ],
)
def test_without_a_data_folder_files_must_be_named(
    tiny_model, tmp_path, job, file_flag
):
    argv = helpers.command(tiny_model, "", tmp_path / "out", job)
    message = rf"^--data_dir=.*{job}.*--.*{file_flag}"
    with pytest.raises(InputError, match=message):
        helpers.run(argv)
    with pytest.raises(InputError, match=f"--{file_flag}=nowhere"):
        helpers.run([*argv, f"--{file_flag}=nowhere"])


@pytest.mark.once
def test_a_train_file_and_a_number_of_dev_examples_are_enough(tiny_model, tmp_path):
    helpers.write_titles(tmp_path)
    argv = helpers.command(tiny_model, "", tmp_path / "out", "do_train", "do_eval")
    train_file = tmp_path / "train.csv"
    helpers.run([*argv, f"--train_file={train_file}", "--num_dev_examples=7"])
    assert len(helpers.read_table(tmp_path / "out" / "dev_predictions.tsv")) == 1 + 7


def test_unreadable_config(refused, tmp_path):
    def config(**changes):
        return json.dumps({"vocab_size": 29, **helpers.CONFIG, **changes})

    for text, message in (
        ("{", r"config\.json"),
        ("[1]", r"config\.json"),
        ("{}", "lacks vocab_size"),
        (config(hidden_size="big"), "hidden_size.*big"),
        (config(num_hidden_layers=0), "num_hidden_layers.*0"),
        (config(max_position_embeddings=None), "max_position_embeddings.*None"),
        (config(hidden_size=30), "hidden_size.*30"),
        (config(hidden_act=3), r"\b3\b"),
        (config(hidden_act="swish"), "swish"),
    ):
        refused(message, bert_config_file=write(tmp_path / "config.json", text))


def test_vocabulary_that_does_not_fit(refused, tmp_path, tiny_model):
    vocab = (tiny_model / "vocab.txt").read_text(encoding="utf-8")
    refused(
        "30.*vocab_size.*29",
        vocab_file=write(tmp_path / "vocab.txt", vocab + "more\n"),
    )
    refused(
        r"\[CLS\]",
        vocab_file=write(tmp_path / "vocab.txt", vocab.replace("[CLS]", "[cls]")),
    )


@pytest.mark.once
def test_checkpoint_that_does_not_fit(trained, titles, tmp_path):
    wide = helpers.write_tiny_model(tmp_path / "wide", intermediate_size=41)
    argv = helpers.command(
        wide,
        titles,
        tmp_path / "out",
        "do_train",
        init_checkpoint=trained[2] / "model.ckpt-7",
    )
    with pytest.raises(InputError, match=r"intermediate/dense/\w+.*37"):
        helpers.run(argv)
    assert not list((tmp_path / "out").glob("model.ckpt*"))


def test_wrong_case_of_a_published_model(refused, tmp_path):
    folder = tmp_path / "uncased_L-12_H-768_A-12"
    folder.mkdir()
    refused(
        "--do_lower_case=False",
        init_checkpoint=folder / "bert_model.ckpt",
        do_lower_case="false",
    )


def test_wrong_rows_in_any_needed_file(refused, titles):
    with open(str(titles / "eval.csv"), "a") as stream:
        stream.write("9,a cat,2\n")
    refused(r"eval\.csv:14.*'2'.*'0', '1'")
    shutil.copy(str(titles / "test.csv"), str(titles / "eval.csv"))
    with open(str(titles / "train.csv"), "a") as stream:
        stream.write("9,a cat\n")
    refused(r"train\.csv:27\b")


def test_files_and_folders_that_cannot_be_used(refused, titles, tmp_path):
    blocked = write(tmp_path / "file", "")
    refused("--output_dir=", output_dir=blocked / "out")
    refused("--cache_dir=", cache_dir=blocked)
    (titles / "eval.csv").unlink()
    (titles / "eval.csv").mkdir()
    refused("do_eval.*--dev_file")  # a folder is none


def test_unknown_head_and_gpu(refused):
    refused("--head=tail.*info.*cls, cnn", head="tail")
    refused("--use_gpu=true", use_gpu="true")


def test_untrained_model_is_not_evaluated(tiny_model, titles, tmp_path):
    with pytest.raises(InputError, match=r"--output_dir="):
        helpers.run(helpers.command(tiny_model, titles, tmp_path / "out", "do_eval"))


@pytest.mark.once
def test_a_run_that_only_skips_is_one_line(tiny_model, titles, tmp_path, monkeypatch):
    def fail(*args):
        raise hooks.NonFiniteTrainingError("50 steps in a row")

    monkeypatch.setattr(hooks.SkippedStepsHook, "after_run", fail)
    with pytest.raises(SystemExit, match=r"^error: .*50"):
        runner.main(argv=helpers.command(tiny_model, titles, tmp_path, "do_train"))


def test_records_that_are_cut_in_a_run_are_one_line(
    tiny_model, titles, tmp_path, monkeypatch
):
    """Where they are read, TensorFlow makes an error of its own of it."""
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: read(*args)[:-4])
    argv = helpers.command(tiny_model, titles, tmp_path, "do_train")
    with pytest.raises(SystemExit, match=r"^error: .*\.rows"):
        runner.main(argv=argv)


def test_main_prints_help(capsys):
    runner.main(argv=["program", "--help"])
    assert "--train_batch_size" in capsys.readouterr().out


def test_main_turns_wrong_input_into_an_exit(capsys):
    with pytest.raises(SystemExit, match=r"error: --task_name=nothing"):
        runner.main(
            argv=[
                "program",
                "--task_name=nothing",
                "--do_train",
                "--data_dir=d",
                "--output_dir=o",
                "--bert_config_file=b",
                "--vocab_file=v",
            ]
        )


@pytest.mark.once
def test_defaults_of_the_task_hold_unless_given(
    tiny_model, titles, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        classification.InfoTask, "defaults", {"train_batch_size": 13, "seed": 5}
    )
    argv = helpers.command(tiny_model, titles, tmp_path / "out", "do_train", seed=6)
    runner.main(argv=[flag for flag in argv if "train_batch_size" not in flag])
    config = helpers.read_json(tmp_path / "out" / "run_config.json")
    assert (config["train_batch_size"], config["seed"]) == (13, 6)
    assert (tmp_path / "out" / "model.ckpt-2.index").exists()
