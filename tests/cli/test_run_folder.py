"""The files of a run's folder that later commands read."""

import shutil

import pytest

from bert_my.cli import runner
from bert_my.common.errors import InputError
from tests import helpers

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a training, with evaluations and settings that are no defaults."""
    folder = tmp_path_factory.mktemp("trained")
    model_dir = helpers.write_tiny_model(folder / "model", num_hidden_layers=1)
    argv = helpers.command(
        model_dir,
        helpers.write_titles(folder / "titles"),
        folder / "out",
        "do_train",
        learning_rate=1e-4,
        evaluate_every="epoch",
        keep_best="eval_loss",
    )
    helpers.run(argv)
    return folder / "out"


@pytest.fixture
def old_run(trained, tmp_path):
    """A copy of it at the place of `folder`."""
    shutil.copytree(str(trained), str(tmp_path / "out"))
    return tmp_path / "out"


@pytest.fixture
def folder(tiny_model, titles, tmp_path):
    """Runs jobs in one output folder."""
    output_dir = tmp_path / "out"

    def run(*jobs, **settings):
        argv = helpers.command(tiny_model, titles, output_dir, *jobs, **settings)
        helpers.run(argv)
        return output_dir

    return run


def scores(output_dir):
    return helpers.read_json(output_dir / "eval_results.json")


def test_the_head_is_that_of_the_trained_model(folder):
    trained = scores(folder("do_train", "do_eval", head="mean"))
    assert scores(folder("do_eval")) == trained
    with pytest.raises(InputError, match=r"--head=max \(was mean\)"):
        folder("do_eval", head="max")
    with pytest.raises(InputError, match=r"--head=cls \(was mean\)"):
        folder("do_train", head="cls")


def test_the_dev_set_is_still_held_out_of_the_train_file(folder, titles):
    (titles / "eval.csv").unlink()
    output_dir = folder("do_train", "do_eval", num_dev_examples=9)
    rows = (output_dir / "dev_predictions.tsv").read_text()
    assert len(rows.splitlines()) == 1 + 9
    folder("do_eval")
    assert (output_dir / "dev_predictions.tsv").read_text() == rows
    with pytest.raises(InputError, match=r"--num_dev_examples=8 \(was 9\)"):
        folder("do_eval", num_dev_examples=8)


def test_a_trained_model_comes_before_the_defaults_of_its_script(
    tiny_model, titles, tmp_path, caplog
):
    (titles / "eval.csv").unlink()
    argv = helpers.command(tiny_model, titles, tmp_path / "out")
    defaults = {"head": "cnn", "num_dev_examples": 5}
    given = ["--do_train", "--head=mean", "--num_dev_examples=9", "--labels=1,0"]
    runner.run(runner.parse([*argv, *given], **defaults))
    config = runner.parse([*argv, "--do_eval"], **defaults)
    assert (config.head, config.num_dev_examples) == ("mean", 9)
    assert "--head=mean" in caplog.text and "cnn" in caplog.text
    runner.run(config)
    rows = (tmp_path / "out" / "dev_predictions.tsv").read_text().splitlines()
    assert len(rows) == 1 + 9
    assert rows[0].endswith("probability_1\tprobability_0")


def test_a_restart_with_nothing_to_train_leaves_the_settings(folder, old_run):
    config = (old_run / "run_config.json").read_text()
    folder("do_train", "do_eval")
    assert (old_run / "run_config.json").read_text() == config


def test_the_case_must_be_that_of_the_trained_model(folder, old_run):
    with pytest.raises(InputError, match=r"--do_lower_case=False.*True"):
        folder("do_eval", do_lower_case="false")


def test_use_of_a_model_leaves_the_files_that_describe_it(folder, old_run, caplog):
    names = ["vocab.txt", "bert_config.json", "preprocessor.json", "label_map.json"]
    names += ["task.json", "run_config.json", "run_identity.json"]
    before = [(old_run / name).read_bytes() for name in names]
    folder("do_eval", num_train_epochs=5, max_seq_length=9)
    assert [(old_run / name).read_bytes() for name in names] == before
    assert "--max_seq_length=9" in caplog.text and "trained with 12" in caplog.text
    config = helpers.read_json(old_run / "run_config.json")
    assert (config["num_train_epochs"], config["learning_rate"]) == (1, 1e-4)


def test_an_evaluation_of_another_checkpoint_describes_no_model(folder, old_run):
    checkpoint = old_run.with_name("trained") / "model.ckpt-7"
    old_run.rename(old_run.with_name("trained"))
    output_dir = folder("do_eval", init_checkpoint=checkpoint)
    assert (output_dir / "task.json").exists()
    assert not (output_dir / "vocab.txt").exists()
    assert not (output_dir / "run_config.json").exists()


def test_another_data_set_is_refused_before_it_is_read(folder, old_run, tmp_path):
    rows = [("1", "review", "stars"), ("2", "how", "a"), ("3", "why", "b")]
    other = helpers.write_rows(tmp_path / "other.csv", rows, delimiter=",")
    message = r"--output_dir=\S+ holds another run: .*train data \S+other\.csv"
    with pytest.raises(InputError, match=message):
        folder("do_train", train_file=other)
    with pytest.raises(InputError, match=r"task csv \(was info\)"):
        folder("do_predict", task_name="csv", test_file=other)


def test_what_a_run_goes_on_with_is_said(folder, old_run, caplog):
    caplog.set_level("INFO")
    folder("do_train", num_train_epochs=0.5)  # fewer than were trained
    assert "Nothing left to train" in caplog.text
    (line,) = (each for each in caplog.messages if "without effect" in each)
    assert "--learning_rate=5e-05 (was 0.0001)" in line
    words = ["--task_name=info", f"--output_dir={old_run}", "--do_predict"]
    assert runner.parse(["program", *words]).max_seq_length == 12


def test_best_weights_of_an_earlier_training_are_not_taken(folder, old_run):
    assert list((old_run / "best").glob("model.ckpt-7.index"))
    folder("do_train", num_train_epochs=2)
    folder("do_eval")
    assert scores(old_run)["global_step"] == 13
