"""Pretraining from shards to a checkpoint that is fine-tuned."""

import random

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import create_pretraining_data
from bert_my.common.errors import InputError
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


@pytest.fixture
def build(text, tiny_model, tmp_path):
    """Builds shards with flags; returns (train file, dev file)."""

    def run(**more):
        folder = tmp_path / "data"
        values = {
            "input_file": text,
            "output_file": folder / "train.tfrecord",
            "dev_output_file": folder / "dev.tfrecord",
            "dev_share": 0.2,
            "vocab_file": tiny_model / "vocab.txt",
            "max_seq_length": MAX_LENGTH,
            "max_predictions_per_seq": MAX_PREDICTIONS,
            "dupe_factor": 2,
            **more,
        }
        argv = ["program", *[f"--{name}={value}" for name, value in values.items()]]
        create_pretraining_data.run(create_pretraining_data.parse(argv))
        return values["output_file"], values["dev_output_file"]

    return run


@pytest.fixture
def pretrain(tiny_model, tmp_path):
    """Runs a command line of pretraining; returns the output folder."""

    def run(shards, *jobs, output_dir=None, **more):
        values = {
            "task_name": "pretraining",
            "input_file": shards,
            "bert_config_file": tiny_model / "bert_config.json",
            "output_dir": output_dir or tmp_path / "out",
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

    return run


def test_upstreams_keys_are_written(build, pretrain):
    train, dev = build()
    output_dir = pretrain(train, "do_train", "do_eval", dev_file=dev, n_gpus=2)
    scores = helpers.read_json(output_dir / "eval_results.json")
    assert set(scores) == {
        "global_step",
        "loss",
        "eval_loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
    }
    assert scores["global_step"] == 3
    assert scores["loss"] == pytest.approx(
        scores["masked_lm_loss"] + scores["next_sentence_loss"]
    )
    assert not (output_dir / "dev_predictions.tsv").exists()


def test_variables_are_those_of_published_checkpoints(build, pretrain):
    values = helpers.read_checkpoint(pretrain(build()[0], "do_train"))
    shapes = {name: list(value.shape) for name, value in values.items()}
    for name, shape in HEADS.items():
        assert shapes[name] == shape


def test_a_pretrained_model_is_fine_tuned(
    build, pretrain, tiny_model, titles, tmp_path
):
    output_dir = pretrain(build()[0], "do_train", vocab_file=tiny_model / "vocab.txt")
    checkpoint = tf.train.latest_checkpoint(str(output_dir))
    pretrained = helpers.read_checkpoint(output_dir)
    fine_tuned = tmp_path / "fine_tuned"
    helpers.run(
        helpers.command(
            output_dir,  # its own vocabulary and config
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


def test_towers_equal_one_though_masks_differ(build, pretrain, tmp_path):
    shards, _ = build(short_seq_prob=0.9)
    no_dropout = helpers.write_tiny_model(
        tmp_path / "no_dropout", hidden_dropout_prob=0, attention_probs_dropout_prob=0
    )
    values = []
    for index, more in enumerate(
        (
            {"train_batch_size": 12},
            {"train_batch_size": 4, "n_gpus": 3},
            {"train_batch_size": 2, "n_gpus": 3, "gradient_accumulation_steps": 2},
        )
    ):
        output_dir = pretrain(
            shards,
            "do_train",
            output_dir=tmp_path / str(index),
            bert_config_file=no_dropout / "bert_config.json",
            **more,
        )
        values.append(helpers.read_checkpoint(output_dir))
    for other in values[1:]:
        helpers.assert_all_close(other, values[0], atol=2e-6)


def test_a_stopped_run_goes_on_as_if_it_was_not(build, pretrain, tmp_path):
    shards, _ = build()
    flags_of_runs = {
        "learning_rate": 1e-3,
        "num_warmup_steps": 0,
        "optimizer": "lamb",
        "save_checkpoints_steps": 2,
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(shards, "do_train", output_dir=whole, num_train_steps=4, **flags_of_runs)
    pretrain(shards, "do_train", output_dir=parts, num_train_steps=4, **flags_of_runs)
    for path in parts.glob("model.ckpt-4*"):
        path.unlink()
    (parts / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-2"\n')
    pretrain(shards, "do_train", output_dir=parts, num_train_steps=4, **flags_of_runs)
    helpers.assert_all_close(
        helpers.read_checkpoint(parts), helpers.read_checkpoint(whole), atol=1e-6
    )


def test_a_run_of_an_older_version_is_not_resumed(build, pretrain, tmp_path):
    shards, _ = build()
    folder = pretrain(shards, "do_train", num_train_steps=2)
    values = helpers.read_checkpoint(folder)
    del values["row_blocks"]
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.get_variable(name, initializer=value)
        session.run(tf.global_variables_initializer())
        tf.train.Saver(save_relative_paths=True).save(
            session, str(folder / "model.ckpt-2"), write_meta_graph=False
        )
    with pytest.raises(InputError, match=r"--output_dir=.*--init_checkpoint"):
        pretrain(shards, "do_train", num_train_steps=3)
    # It is evaluated, though, and a run that has ended is not begun again.
    pretrain(shards, "do_train", "do_eval", num_train_steps=2)
    assert (folder / "eval_results.json").exists()


def test_added_words_are_learnt(build, pretrain, tiny_model, text, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("cats\nhouses\n", encoding="utf-8")
    with_words = tmp_path / "with_words.txt"
    content = text.read_text(encoding="utf-8").replace("cat", "cats")
    with_words.write_text(content, encoding="utf-8")
    first = pretrain(build()[0], "do_train", output_dir=tmp_path / "first")
    shards, _ = build(
        input_file=with_words,
        vocab_add=words,
        output_file=tmp_path / "more" / "w.tfrecord",
    )
    output_dir = pretrain(
        shards,
        "do_train",
        vocab_add=words,
        vocab_file=tiny_model / "vocab.txt",
        init_checkpoint=tf.train.latest_checkpoint(str(first)),
        learning_rate=1e-9,
        report_mfu=True,
    )
    before, after = map(helpers.read_checkpoint, (first, output_dir))
    vocab = helpers.read_lines(output_dir / "vocab.txt")
    assert vocab == helpers.read_lines(tmp_path / "more" / "vocab.txt")
    assert vocab[-2:] == ["cats", "houses"]
    name = "bert/embeddings/word_embeddings"
    pieces = [vocab.index("cat"), vocab.index("##s")]
    np.testing.assert_allclose(
        after[name][-2], before[name][pieces].mean(axis=0), atol=1e-5
    )
    assert after["cls/predictions/output_bias"].shape == (len(vocab),)
    config = helpers.read_json(output_dir / "bert_config.json")
    assert config["vocab_size"] == len(vocab)


def test_evaluation_stops_after_max_eval_steps(build, pretrain, caplog):
    train, dev = build()
    with caplog.at_level("INFO"):
        pretrain(
            train,
            "do_train",
            "do_eval",
            dev_file=dev,
            eval_batch_size=2,
            max_eval_steps=2,
        )
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


def test_held_back_shards_are_not_trained_on(build, tiny_model):
    shards, dev = build()
    (shards.parent / "train.tfrecord.77.tmp").write_bytes(b"")
    (shards.parent / "more.tfrecord").mkdir()
    task = make_task(tiny_model, input_dir=str(shards.parent), dev_file=str(dev))
    assert task.find_files(base.TRAIN) == [str(shards)]
    assert task.find_files(base.DEV) == [str(dev)]
    task = make_task(tiny_model, input_file=str(dev), dev_file=str(dev))
    with pytest.raises(InputError, match=r"^--dev_file: "):
        task.find_files(base.TRAIN)


def test_other_words_are_refused_when_a_run_is_resumed(
    build, pretrain, tiny_model, tmp_path
):
    words = tmp_path / "words.txt"
    words.write_text("cats\n", encoding="utf-8")
    shards, _ = build(vocab_add=words)
    more = {"vocab_add": words, "vocab_file": tiny_model / "vocab.txt"}
    pretrain(shards, "do_train", **more)
    pretrain(shards, "do_train", num_train_steps=4, **more)
    words.write_text("dogs\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^--vocab_add: .*--output_dir"):
        pretrain(shards, "do_train", num_train_steps=5, **more)


def test_data_of_another_vocabulary_is_refused(build, pretrain, tiny_model, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("cats\n", encoding="utf-8")
    shards, _ = build(vocab_add=words)
    with pytest.raises(InputError, match=r"vocab\.txt: "):
        pretrain(shards, "do_train", vocab_file=tiny_model / "vocab.txt")


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
def test_refused_before_training(build, pretrain, monkeypatch, more, message):
    monkeypatch.setattr("bert_my.engine.training._run", None)
    shards, _ = build()
    with pytest.raises(InputError, match=message):
        pretrain(more.pop("input_file", shards), "do_train", **more)


def test_flags_of_pretraining_are_refused_elsewhere(tiny_model):
    for option in ({"input_file": "x"}, {"max_eval_steps": 2}):
        with pytest.raises(InputError, match="task info "):
            helpers.make_task(tiny_model, options=TaskOptions(**option))
