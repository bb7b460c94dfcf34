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


def test_settings_of_the_training_are_kept_when_the_model_is_used(folder, old_run):
    config = helpers.read_json(old_run / "run_config.json")
    folder("do_eval", num_train_epochs=5)
    assert helpers.read_json(old_run / "run_config.json") == config
    assert (config["num_train_epochs"], config["learning_rate"]) == (1, 1e-4)


def test_best_weights_of_an_earlier_training_are_not_taken(folder, old_run):
    assert list((old_run / "best").glob("model.ckpt-7.index"))
    folder("do_train", num_train_epochs=2)
    folder("do_eval")
    assert scores(old_run)["global_step"] == 13
