"""Pretraining from shards to a checkpoint that is fine-tuned."""

import functools
import random
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import create_pretraining_data
from bert_my.common.errors import InputError
from bert_my.model import checkpoints
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from tests import helpers

MAX_LENGTH, MAX_PREDICTIONS = 18, 4
HEADS = {
    "cls/predictions/transform/dense/kernel": [32, 32],
    "cls/predictions/transform/dense/bias": [32],
    "cls/predictions/transform/LayerNorm/gamma": [32],
    "cls/predictions/transform/LayerNorm/beta": [32],
    "cls/predictions/output_bias": [29],
    "cls/seq_relationship/output_weights": [2, 32],
    "cls/seq_relationship/output_bias": [2],
}


# Flags of the run that several tests look at or go on with.
RUN = {
    "n_gpus": 2,
    "optimizer": "lamb",
    "learning_rate": 1e-3,
    "num_train_steps": 4,
    "num_warmup_steps": 0,
    "save_checkpoints_steps": 2,
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """File with 40 documents of 2 to 6 sentences."""
    rng = random.Random(3)
    path = tmp_path_factory.mktemp("text") / "text.txt"
    documents = [
        "\n".join(helpers.make_texts(rng.randint(2, 6), seed=index))
        for index in range(40)
    ]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with one layer: most of the time of a run builds the graph."""
    path = tmp_path_factory.mktemp("model")
    return helpers.write_tiny_model(path, num_hidden_layers=1)


def write_shards(text, model, folder, **more):
    """Builds shards with flags; returns (train file, dev file)."""
    values = {
        "input_file": text,
        "output_file": folder / "train.tfrecord",
        "dev_output_file": folder / "dev.tfrecord",
        "dev_share": 0.2,
        "vocab_file": model / "vocab.txt",
        "max_seq_length": MAX_LENGTH,
        "max_predictions_per_seq": MAX_PREDICTIONS,
        "dupe_factor": 2,
        **more,
    }
    argv = ["program", *[f"--{name}={value}" for name, value in values.items()]]
    create_pretraining_data.run(create_pretraining_data.parse(argv))
    return values["output_file"], values["dev_output_file"]


def run_pretraining(model, shards, output_dir, *jobs, **more):
    """Runs a command line of pretraining; returns the output folder."""
    values = {
        "task_name": "pretraining",
        "input_file": shards,
        "bert_config_file": model / "bert_config.json",
        "output_dir": output_dir,
        "max_seq_length": MAX_LENGTH,
        "max_predictions_per_seq": MAX_PREDICTIONS,
        "train_batch_size": 4,
        "num_train_steps": 3,
        "num_warmup_steps": 1,
        **dict.fromkeys(jobs, "true"),
        **more,
    }
    helpers.run(["program", *[f"--{n}={value}" for n, value in values.items()]])
    return values["output_dir"]


@pytest.fixture(scope="module")
def shards(text, model, tmp_path_factory):
    """(train file, dev file) of shards."""
    return write_shards(text, model, tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def trained(shards, model, tmp_path_factory):
    """Output folder of a run with `RUN` that ended after four steps, evaluated."""
    train, dev = shards
    more = {"dev_file": dev, "vocab_file": model / "vocab.txt", **RUN}
    folder = tmp_path_factory.mktemp("trained") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bert_my.report.report.write", lambda folder: folder)
        return run_pretraining(model, train, folder, "do_train", "do_eval", **more)


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the folder of that run."""
    shutil.copytree(str(trained), str(tmp_path / "copied"))
    return tmp_path / "copied"


@pytest.fixture
def build(text, model, tmp_path):
    """Returns a function that builds shards with flags, see `write_shards`."""
    return functools.partial(write_shards, text, model, tmp_path / "data")


@pytest.fixture
def pretrain(model, tmp_path):
    """Returns a function that runs a command line, see `run_pretraining`."""

    def run(shards, *jobs, output_dir=None, **more):
        return run_pretraining(
            model, shards, output_dir or tmp_path / "out", *jobs, **more
        )

    return run


def test_upstreams_keys_are_written(trained):
    scores = helpers.read_json(trained / "eval_results.json")
    assert set(scores) == {
        "global_step",
        "loss",
        "eval_loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
    }
    assert scores["global_step"] == 4
    assert scores["loss"] == pytest.approx(
        scores["masked_lm_loss"] + scores["next_sentence_loss"]
    )
    assert not (trained / "dev_predictions.tsv").exists()


def test_variables_are_those_of_published_checkpoints(trained):
    values = helpers.read_checkpoint(trained)
    shapes = {name: list(value.shape) for name, value in values.items()}
    for name, shape in HEADS.items():
        assert shapes[name] == shape


@pytest.mark.once
def test_a_pretrained_model_is_fine_tuned(trained, titles, tmp_path):
    checkpoint = tf.train.latest_checkpoint(str(trained))
    pretrained = helpers.read_checkpoint(trained)
    fine_tuned = tmp_path / "fine_tuned"
    helpers.run(
        helpers.command(
            trained,  # its own vocabulary and config
            titles,
            fine_tuned,
            "do_train",
            init_checkpoint=checkpoint,
            learning_rate=1e-9,
        )
    )
    found = helpers.read_checkpoint(fine_tuned)
    for name in found:
        if name.startswith("bert/") and not name.endswith(("adam_m", "adam_v")):
            np.testing.assert_allclose(found[name], pretrained[name], atol=1e-6)


def make_task(model_dir, **options):
    return helpers.make_task(
        model_dir,
        name="pretraining",
        max_seq_length=MAX_LENGTH,
        options=TaskOptions(max_predictions_per_seq=MAX_PREDICTIONS, **options),
    )


@pytest.mark.parametrize(
    "more",
    [
        {"train_batch_size": 6},
        pytest.param(
            {"train_batch_size": 3, "gradient_accumulation_steps": 2},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_towers_equal_one_though_masks_differ(build, pretrain, tmp_path, more):
    shards, _ = build(short_seq_prob=0.9)
    no_dropout = helpers.write_tiny_model(
        tmp_path / "no_dropout",
        num_hidden_layers=1,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
    )
    more = {"n_gpus": 2, **more}
    one, two = (
        helpers.read_checkpoint(
            pretrain(
                shards,
                "do_train",
                output_dir=tmp_path / str(index),
                bert_config_file=no_dropout / "bert_config.json",
                **flags,
            )
        )
        for index, flags in enumerate(({"train_batch_size": 12}, more))
    )
    helpers.assert_all_close(two, one, atol=2e-6)


def test_a_stopped_run_goes_on_as_if_it_was_not(shards, pretrain, trained, copied):
    train, dev = shards
    for path in copied.glob("model.ckpt-4*"):
        path.unlink()
    (copied / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-2"\n')
    pretrain(train, "do_train", output_dir=copied, dev_file=dev, **RUN)
    helpers.assert_all_close(
        helpers.read_checkpoint(copied), helpers.read_checkpoint(trained), atol=1e-6
    )


def test_a_run_of_an_older_version_is_not_resumed(shards, pretrain, copied):
    values = helpers.read_checkpoint(copied)
    del values["row_blocks"]
    checkpoints.write(values, str(copied / "model.ckpt-4"))
    (copied / "eval_results.json").unlink()
    flags = {**RUN, "dev_file": shards[1], "output_dir": copied}
    with pytest.raises(InputError, match=r"--output_dir=.*--init_checkpoint"):
        pretrain(shards[0], "do_train", **{**flags, "num_train_steps": 5})
    # It is evaluated, though, and a run that has ended is not begun again.
    pretrain(shards[0], "do_train", "do_eval", **flags)
    assert (copied / "eval_results.json").exists()


@pytest.fixture(scope="module")
def with_words(trained, text, model, tmp_path_factory):
    """(output folder, shards, flags) of a run that goes on with added words."""
    tmp_path = tmp_path_factory.mktemp("with_words")
    words = tmp_path / "words.txt"
    words.write_text("cats\nhouses\n", encoding="utf-8")
    new_text = tmp_path / "text.txt"
    content = text.read_text(encoding="utf-8").replace("cat", "cats")
    new_text.write_text(content, encoding="utf-8")
    shards, _ = write_shards(new_text, model, tmp_path / "more", vocab_add=words)
    flags = {
        "vocab_add": words,
        "vocab_file": model / "vocab.txt",
        "init_checkpoint": tf.train.latest_checkpoint(str(trained)),
        "learning_rate": 1e-9,
        "report_mfu": True,
    }
    folder = run_pretraining(model, shards, tmp_path / "out", "do_train", **flags)
    return folder, shards, flags


def test_added_words_are_learnt(trained, with_words):
    output_dir, shards, _ = with_words
    before, after = map(helpers.read_checkpoint, (trained, output_dir))
    vocab = helpers.read_lines(output_dir / "vocab.txt")
    assert vocab == helpers.read_lines(shards.parent / "vocab.txt")
    assert vocab[-2:] == ["cats", "houses"]
    name = "bert/embeddings/word_embeddings"
    pieces = [vocab.index("cat"), vocab.index("##s")]
    np.testing.assert_allclose(
        after[name][-2], before[name][pieces].mean(axis=0), atol=1e-5
    )
    assert after["cls/predictions/output_bias"].shape == (len(vocab),)
    config = helpers.read_json(output_dir / "bert_config.json")
    assert config["vocab_size"] == len(vocab)


def test_evaluation_stops_after_max_eval_steps(shards, pretrain, copied, caplog):
    train, dev = shards
    more = {"dev_file": dev, "eval_batch_size": 2, "max_eval_steps": 2}
    with caplog.at_level("INFO"):
        pretrain(train, "do_eval", output_dir=copied, **more)
    assert "--max_eval_steps=2: 4 of " in caplog.text


def test_learns(build, pretrain):
    train, _ = build(next_sentence="none")
    output_dir = pretrain(
        train,
        "do_train",
        next_sentence="none",
        learning_rate=5e-3,
        train_batch_size=16,
        num_train_steps=40,
        num_warmup_steps=4,
    )
    with open(str(output_dir / "training.csv")) as stream:
        losses = [float(line.split(",")[1]) for line in list(stream)[1:]]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_held_back_shards_are_not_trained_on(build, model):
    shards, dev = build()
    (shards.parent / "train.tfrecord.77.tmp").write_bytes(b"")
    (shards.parent / "more.tfrecord").mkdir()
    task = make_task(model, input_dir=str(shards.parent), dev_file=str(dev))
    assert task.find_files(base.TRAIN) == [str(shards)]
    assert task.find_files(base.DEV) == [str(dev)]
    task = make_task(model, input_file=f"{shards.parent},{shards}", dev_file=str(dev))
    assert task.find_files(base.TRAIN) == [str(shards)]
    task = make_task(model, input_file=f"{shards}*")
    assert task.find_files(base.TRAIN) == [str(shards)]
    task = make_task(model, input_file=f"{shards}.*")
    with pytest.raises(InputError, match="only files of unfinished builds"):
        task.find_files(base.TRAIN)
    (shards.parent / "empty").mkdir()
    task = make_task(model, input_file=str(shards.parent / "empty"))
    with pytest.raises(InputError, match=r"^--input_file=.*empty: there is no file"):
        task.find_files(base.TRAIN)
    task = make_task(model, input_file=str(dev), dev_file=str(dev))
    with pytest.raises(InputError, match=r"^--dev_file: "):
        task.find_files(base.TRAIN)


def test_other_words_are_refused_when_a_run_is_resumed(with_words, pretrain, tmp_path):
    folder, shards, flags = with_words
    run = functools.partial(
        pretrain,
        shards,
        "do_train",
        output_dir=shutil.copytree(str(folder), str(tmp_path / "out")),
        **flags,
    )
    run(num_train_steps=4)
    other = tmp_path / "other.txt"
    other.write_text("dogs\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^--vocab_add: .*--output_dir"):
        run(num_train_steps=5, vocab_add=other)


def test_data_of_another_vocabulary_is_refused(with_words, pretrain, model):
    _, shards, _ = with_words
    with pytest.raises(InputError, match=r"vocab\.txt: "):
        pretrain(shards, "do_train", vocab_file=model / "vocab.txt")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"input_file": "/nowhere/*.tfrecord"},
            "--input_file: there is no file /nowhere",
        ),
        ({"input_file": ""}, "--input_file or --input_dir is needed"),
        (
            {"input_file": "", "input_dir": "/nowhere"},
            "--input_dir=/nowhere: there is no",
        ),
        (
            {"max_seq_length": 20},
            "train.tfrecord: .*18 values, and --max_seq_length is 20",
        ),
        ({"next_sentence": "maybe"}, "--next_sentence=maybe: it must be one of nsp"),
        ({"labels": "a,b"}, "--labels=a,b: task pretraining has no use"),
        ({"num_processes": 2}, "--num_processes: .*a model of its own"),
        ({"process_index": 0}, "--process_index: .*a model of its own"),
        ({"data_dir": "x"}, "--data_dir=x: task pretraining has no use"),
        ({"input_dir": "x"}, "--input_file and --input_dir contradict"),
    ],
)
def test_refused_before_training(shards, pretrain, monkeypatch, more, message):
    monkeypatch.setattr("bert_my.engine.training._run", None)
    input_file = more.get("input_file", shards[0])
    rest = {name: value for name, value in more.items() if name != "input_file"}
    with pytest.raises(InputError, match=message):
        pretrain(input_file, "do_train", **rest)


def test_flags_of_pretraining_are_refused_elsewhere(tiny_model):
    for option in ({"input_file": "x"}, {"max_eval_steps": 2}):
        with pytest.raises(InputError, match="task info "):
            helpers.make_task(tiny_model, options=TaskOptions(**option))
