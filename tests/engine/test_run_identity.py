"""The identity of a run: a command that is for another run is refused by name."""

import json
import types

import pytest

import modeling
from bert_my.cli import flags
from bert_my.common import files, options
from bert_my.common.errors import InputError
from bert_my.engine import run_folder, run_identity
from bert_my.engine.run_folder import RunFolder
from tests import helpers

LABELS = ("no", "yes")


@pytest.fixture
def model(tiny_model):
    return tiny_model


def config_of(model, output_dir="out", **changes):
    values = {
        "task_name": "info",
        "do_train": True,
        "output_dir": str(output_dir),
        "vocab_file": str(model / "vocab.txt"),
        **changes,
    }
    return flags.RunConfig(**values)


def identity_of(model, config=None, data=(), **bert_config):
    """Returns the `Identity` of a run as it is written."""
    found = run_identity.of(
        config or config_of(model),
        modeling.BertConfig(vocab_size=29, **{**helpers.CONFIG, **bert_config}),
    )
    task = types.SimpleNamespace(
        labels=LABELS, description={"head": "cls", "labels": LABELS}, num_held_out=0
    )
    found = run_identity.of_task(found, task)
    return found._replace(train_files=files.contents(map(str, data)))


def refusal(kept, asked, config):
    with pytest.raises(InputError) as caught:
        run_identity.check(kept, asked, config)
    message = str(caught.value)
    assert message.startswith("--output_dir=out holds ")
    assert "another --output_dir" in message and "--overwrite_output_dir" in message
    assert "\n" not in message
    return message


def test_what_is_used_of_the_options_is_compared_on_resume():
    refused = options.names(flags.RunConfig, options.REFUSED)
    assert {*run_identity.OF_THE_MODEL, *run_identity.INHERITED} <= set(refused)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"task_name": "csv"}, "task csv (was info)"),
        ({"seed": 7}, "--seed=7 (was 12345)"),
        ({"optimizer": "lamb"}, "--optimizer=lamb (was adamw)"),
        ({"freeze": "embeddings"}, "--freeze=embeddings (was not given)"),
        ({"labels": "yes,no"}, "labels yes, no (was no, yes)"),
        ({"num_labels": 3}, "--num_labels=3 (was 2)"),
        ({"head": "mean"}, "--head=mean (was cls)"),
        ({"max_seq_length": 64}, "--max_seq_length=64 (was 128)"),
        ({"text_column": "title"}, "--text_column=title (was not given)"),
    ],
)
def test_another_run_is_refused_by_what_differs(model, changes, expected):
    config = config_of(model, **changes)
    asked = run_identity.of(config, modeling.BertConfig(29, **helpers.CONFIG))
    assert expected in refusal(identity_of(model), asked, config)


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 1.0}, {"num_train_epochs": 9.0}, {"n_gpus": 2}]
)
def test_a_run_may_go_on_in_another_way(model, changes):
    config = config_of(model, **changes)
    run_identity.check(identity_of(model), identity_of(model, config), config)


@pytest.mark.parametrize("is_training", [True, False])
def test_another_model_is_refused(model, is_training):
    config = config_of(model, do_train=is_training)
    asked = identity_of(model, config, num_attention_heads=2, hidden_act="relu")
    message = refusal(identity_of(model), asked, config)
    assert "num_attention_heads 2 (was 4); hidden_act relu (was gelu)" in message


def test_dropout_and_seed_do_not_matter_to_a_trained_model(model):
    config = config_of(model, do_train=False, seed=7)
    asked = identity_of(model, config, hidden_dropout_prob=0.5)
    run_identity.check(identity_of(model), asked, config)
    with pytest.raises(InputError, match=r"hidden_dropout_prob 0\.5 \(was 0\.1\)"):
        run_identity.check(identity_of(model), asked, config_of(model))


def test_another_vocabulary_of_the_same_size_is_refused(model, tmp_path):
    kept = identity_of(model)
    other = tmp_path / "other.txt"
    lines = helpers.read_lines(model / "vocab.txt")
    other.write_text("\r\n".join(lines), encoding="utf-8")  # the same tokens
    config = config_of(model, vocab_file=str(other))
    run_identity.check(kept, identity_of(model, config), config)
    other.write_text("\n".join(lines[:-2] + lines[:-3:-1]), encoding="utf-8")
    message = refusal(kept, identity_of(model, config), config)
    assert "vocabulary 29 tokens (" in message


@pytest.mark.parametrize("name", ["vocab.txt", "bert_config.json"])
def test_a_file_of_the_run_that_was_changed_is_named(model, name):
    kept = identity_of(model)
    kept = kept._replace(vocabulary="30 tokens", bert_config={"hidden_size": 1})
    file = {"vocab_file": str(model / "vocab.txt")}
    if name == "bert_config.json":
        file = {"bert_config_file": str(model / name), "vocab_file": None}
    config = config_of(model, model, do_train=False, **file)
    with pytest.raises(InputError, match=rf"^{model / name}: was changed"):
        run_identity.check(kept, identity_of(model, config), config)


def test_other_train_data_is_refused_wherever_it_lies(model, tmp_path):
    paths = [tmp_path / name for name in ("a.csv", "moved.csv", "other.csv")]
    for path, text in zip(paths, "aab"):
        path.write_text(text)
    config = config_of(model)
    kept = identity_of(model, data=paths[:1])
    run_identity.check(kept, identity_of(model, data=paths[1:2]), config)
    asked = identity_of(model, data=paths[2:])
    assert run_identity.is_other_data(kept, asked)
    message = refusal(kept, asked, config)
    assert f"train data {paths[2]} (was {paths[0]})" in message
    paths[0].write_text("c")
    message = refusal(kept, identity_of(model, data=paths[:1]), config)
    assert f"train data {paths[0]}, whose content has changed" in message
    asked = identity_of(model, data=[paths[1], paths[2]])
    assert "2 files of train data (were 1)" in refusal(kept, asked, config)


def test_weights_of_labels_are_compared_by_the_content_of_their_file(model, tmp_path):
    path = tmp_path / "weights"
    path.write_text("no\t1\nyes\t2\n")
    config = config_of(model, class_weights=str(path))
    kept = identity_of(model, config)
    path.write_text("no\t1\nyes\t3\n")
    path.touch()
    assert "--class_weights=weights:" in refusal(
        kept, identity_of(model, config), config
    )


class Folder(RunFolder):
    """A folder with a checkpoint."""

    def has_checkpoint(self):
        return True


def test_an_identity_is_read_as_it_was_written(model, tmp_path):
    data = tmp_path / "train.csv"
    data.write_text("a")
    kept = identity_of(model, data=[data])
    path = tmp_path / run_folder.IDENTITY
    path.write_text(json.dumps(kept._asdict()))
    assert run_identity.read(RunFolder(tmp_path)) is None  # nothing is trained
    assert run_identity.read(Folder(tmp_path)) == kept
    for text in ("", "{", '{"task": "info"}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"run_identity\.json.*delete the file"):
            run_identity.read(Folder(tmp_path))


@pytest.mark.parametrize("name", [run_folder.SETTINGS, run_folder.TASK])
def test_other_broken_files_of_a_run_are_found_with_it(tmp_path, name):
    (tmp_path / name).write_text("{")
    with pytest.raises(InputError, match=rf"{name}: not JSON"):
        run_identity.read(Folder(tmp_path))


def write_old_run(folder, model, **settings):
    """Writes the files of a run of a version without identities."""
    folder.mkdir()
    for name in ("vocab.txt", "bert_config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    settings = {
        "task_name": "info",
        "do_train": True,
        "do_lower_case": True,
        "seed": 12345,
        "max_seq_length": 17,
        **settings,
    }
    (folder / run_folder.SETTINGS).write_text(json.dumps(settings))
    task = {"task": "info", "kind": "", "labels": LABELS, "head": "mean"}
    (folder / run_folder.TASK).write_text(json.dumps(task))
    return Folder(folder)


def test_a_run_of_an_older_version_is_known_by_its_files(model, tmp_path):
    kept = run_identity.read(write_old_run(tmp_path / "old", model))
    assert (kept.task, kept.labels, kept.train_files) == ("info", LABELS, None)
    assert kept.options["max_seq_length"] == 17 and kept.options["head"] == "mean"
    config = config_of(model, max_seq_length=17)
    asked = run_identity.of(config, modeling.BertConfig(29, **helpers.CONFIG))
    kept = kept._replace(bert_config={**kept.bert_config, "num_hidden_layers": 2})
    run_identity.check(kept, asked, config)
    config = config_of(model, max_seq_length=17, seed=1)
    asked = run_identity.of(config, modeling.BertConfig(29, **helpers.CONFIG))
    assert "--seed=1 (was 12345)" in refusal(kept, asked, config)


def test_an_evaluation_of_an_older_version_binds_nothing(model, tmp_path):
    old = write_old_run(tmp_path / "old", model, do_train=False)
    assert run_identity.read(old) is None


def test_changes_are_told_with_both_values(model):
    old = {"learning_rate": 5e-5, "num_train_epochs": 3.0, "keep_best": None}
    config = config_of(model, learning_rate=2e-5, num_train_epochs=3.0)
    assert run_identity.changes(old, config) == ["--learning_rate=2e-05 (was 5e-05)"]
