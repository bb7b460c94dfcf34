"""What a folder remembers of the run that trained its model."""

import pytest

from bert_my.data.errors import InputError
from tests import helpers


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
    with pytest.raises(InputError, match=r"--head=max: the model .* with --head=mean"):
        folder("do_eval", head="max")
    with pytest.raises(InputError, match=r"--head=cls"):
        folder("do_train", head="cls")


def test_the_dev_set_is_still_held_out_of_the_train_file(folder, titles):
    (titles / "eval.csv").unlink()
    output_dir = folder("do_train", "do_eval", num_dev_examples=9)
    rows = (output_dir / "dev_predictions.tsv").read_text()
    assert len(rows.splitlines()) == 1 + 9
    folder("do_eval")
    assert (output_dir / "dev_predictions.tsv").read_text() == rows
    with pytest.raises(InputError, match=r"--num_dev_examples=8: .*=9"):
        folder("do_eval", num_dev_examples=8)


def test_the_case_must_be_that_of_the_trained_model(folder):
    folder("do_train")
    with pytest.raises(InputError, match=r"--do_lower_case=False: .*=True"):
        folder("do_eval", do_lower_case="false")


def test_settings_of_the_training_are_kept_when_the_model_is_used(folder):
    output_dir = folder("do_train", num_train_epochs=2, learning_rate=1e-4)
    config = helpers.read_json(output_dir / "run_config.json")
    folder("do_eval", num_train_epochs=5)
    assert helpers.read_json(output_dir / "run_config.json") == config
    assert (config["num_train_epochs"], config["learning_rate"]) == (2, 1e-4)


def test_best_weights_of_an_earlier_training_are_not_taken(folder):
    more = {"evaluate_every": "epoch", "keep_best": "eval_loss"}
    output_dir = folder("do_train", num_train_epochs=1, **more)
    assert list((output_dir / "best").glob("model.ckpt-7.index"))
    folder("do_train", num_train_epochs=2)
    folder("do_eval")
    assert scores(output_dir)["global_step"] == 13
