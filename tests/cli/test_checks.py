"""Ranges of the training options, and what contradicts itself: refused by name."""

import pytest

from bert_my.cli import checks, flags
from bert_my.common.errors import InputError
from bert_my.tasks import base

NEEDED = [
    "program",
    "--task_name=info",
    "--output_dir=o",
    "--bert_config_file=b",
    "--vocab_file=v",
]


def parse(*argv, job="--do_train"):
    return flags.parse([*NEEDED, "--data_dir=d", job, *argv], {})


@pytest.mark.parametrize(
    ("flag", "values", "named"),
    [
        ("evaluate_every", "0 -1 1.5 Epoch ² 1e3", "epoch"),
        ("ema_decay", "1 1.5 -0.1 nan inf", "0.*1"),
        ("label_smoothing", "1 -0.1 nan", "0.*1"),
        ("layer_lr_decay", "0 1.01 -1 nan", "0.*1"),
        ("head_learning_rate", "0 -1 nan inf", ""),
        ("adversarial", "pgd FGM", "fgm"),
        ("adversarial_epsilon", "0 -1 nan inf", ""),
        ("early_stop_patience", "-1", "0"),
        ("focal_gamma", "-1 nan inf", "0"),
        ("max_train_examples", "-1", "0"),
        ("num_dev_examples", "-1", "0"),
        ("num_labels", "0 -2", ""),
        ("optimizer", "adam LAMB", "adamw.*lamb"),
        ("length_buckets", "on 8 Auto", "auto.*off"),
        ("adam_epsilon", "0 -1 nan inf", ""),
        ("num_train_steps", "0 -1", ""),
        ("num_warmup_steps", "-1", "0"),
        ("gradient_accumulation_steps", "0 -1", ""),
    ],
)
def test_values_out_of_range_are_refused(flag, values, named):
    for value in values.split():
        with pytest.raises(InputError, match=f"^--{flag}=.*{named}"):
            parse(f"--{flag}={value}")


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("evaluate_every", "1", "1"),
        ("evaluate_every", "epoch", "epoch"),
        ("ema_decay", "0.999", 0.999),
        ("label_smoothing", "0", 0),
        ("layer_lr_decay", "0.01", 0.01),
        ("layer_lr_decay", "1", 1),
        ("head_learning_rate", "1e-3", 1e-3),
        ("adversarial", "fgm", "fgm"),
        ("early_stop_patience", "3", 3),
        ("max_train_examples", "5", 5),
        ("optimizer", "lamb", "lamb"),
        ("num_warmup_steps", "0", 0),
    ],
)
def test_values_in_range_are_accepted(flag, text, value):
    assert getattr(parse(f"--{flag}={text}"), flag) == value


def test_steps_have_shorter_names():
    config = parse("--max_steps=7", "--warmup_steps=2")
    assert (config.num_train_steps, config.num_warmup_steps) == (7, 2)
    with pytest.raises(InputError, match=r"--num_train_steps=8.*--max_steps=7"):
        parse("--max_steps=7", "--num_train_steps=8")


def test_options_are_off_by_default():
    config = parse()
    for name in (
        "freeze",
        "head_learning_rate",
        "adversarial",
        "evaluate_every",
        "keep_best",
        "class_weights",
        "pos_weight",
        "num_train_steps",
        "num_warmup_steps",
    ):
        assert getattr(config, name) is None
    for name in ("ema_decay", "early_stop_patience", "focal_gamma", "label_smoothing"):
        assert getattr(config, name) == 0
    assert config.layer_lr_decay == 1
    assert not config.deterministic
    assert not config.evaluates_in_training


@pytest.mark.parametrize(
    "flag", ["evaluate_every=epoch", "keep_best=auto", "early_stop_patience=2"]
)
def test_each_of_three_flags_makes_a_run_evaluate_while_it_trains(flag):
    config = parse(f"--{flag}")
    assert config.evaluates_in_training
    assert config.dev_flags == [f"--{flag.split('=')[0]}"]
    # As the other training options, without effect if nothing trains.
    assert not parse(f"--{flag}", job="--do_eval").evaluates_in_training


def test_a_run_begins_anew_only_if_it_trains():
    assert parse("--overwrite_output_dir").begins_anew
    assert not parse("--overwrite_output_dir", job="--do_eval").begins_anew
    assert not parse().begins_anew


@pytest.mark.parametrize(
    ("task_name", "argv", "message"),
    [
        ("info", ["--vocab_file="], "--vocab_file"),
        ("info", ["--vocab_add=words.txt"], "--vocab_add.*info"),
        (
            "pretraining",
            ["--vocab_file=", "--vocab_add=w.txt"],
            "--vocab_file",
        ),
        ("pretraining", ["--do_predict"], "--do_predict.*pretraining"),
        ("pretraining", ["--save_for_serving"], "--save_for_serving.*pretraining"),
    ],
)
def test_flags_that_do_not_suit_a_task_are_refused(task_name, argv, message):
    with pytest.raises(InputError, match=message):
        checks.check_task(parse(*argv), base.get_task_class(task_name))


def test_pretraining_needs_no_vocabulary():
    checks.check_task(parse("--vocab_file="), base.get_task_class("pretraining"))
