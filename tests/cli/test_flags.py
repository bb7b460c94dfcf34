"""Flags: upstream's and the forks' command lines, and contradictions."""

import dataclasses
import re
import subprocess
import sys

import pytest

from bert_my.cli import flags
from bert_my.common.errors import InputError
from bert_my.tasks import base
from create_pretraining_data import DataConfig
from tests import helpers

pytestmark = pytest.mark.once

NEEDED = [
    "program",
    "--task_name=info",
    "--do_train=true",
    "--data_dir=d",
    "--output_dir=o",
    "--bert_config_file=b",
    "--vocab_file=v",
]


def parse(*argv, **defaults):
    return flags.parse([*NEEDED, *argv], defaults)


def test_defaults_are_upstreams():
    config = parse()
    assert (config.max_seq_length, config.train_batch_size) == (128, 32)
    assert (config.eval_batch_size, config.predict_batch_size) == (8, 8)
    assert (config.learning_rate, config.num_train_epochs) == (5e-5, 3.0)
    assert (config.warmup_proportion, config.save_checkpoints_steps) == (0.1, 1000)
    assert (config.do_lower_case, config.do_eval, config.use_gpu) == (True, False, None)
    assert (config.n_gpus, config.precision) == (1, "fp32")


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (["--num_gpu_cores=3"], "n_gpus", 3),
        (["--n_gpu=3"], "n_gpus", 3),
        (["--n_gpus=3", "--n_gpu=3"], "n_gpus", 3),
        (["--num_gpu_cores=0"], "n_gpus", 1),
        (["--save_steps=7"], "save_checkpoints_steps", 7),
        (["--use_fp16=true"], "precision", "fp16"),
        (["--use_fp16=false"], "precision", "fp32"),
        (["--use_fp16", "--precision=fp16"], "precision", "fp16"),
        (["--use_fp16=false", "--precision=bf16"], "precision", "bf16"),
        (["--nodo_lower_case"], "do_lower_case", False),
        (["--do_lower_case=False"], "do_lower_case", False),
        (["--use_tpu=false", "--tpu_name=x", "--num_tpu_cores=8"], "use_tpu", False),
        (["--iterations_per_loop=10000", "--master=m"], "use_tpu", False),
        (["--seed", "5"], "seed", 5),
        (["--max_steps", "1e6"], "num_train_steps", 1000000),
        (["--do_eval", "True", "--seed=5"], "do_eval", True),
        (["--do_lower_case", "no"], "do_lower_case", False),
        (["--train-batch-size=5"], "train_batch_size", 5),
        (["-n_gpus", "3"], "n_gpus", 3),
    ],
)
def test_accepted(argv, field, value):
    assert getattr(parse(*argv), field) == value


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--n_gpus=2", "--num_gpu_cores=4"], "--n_gpus=2.*--num_gpu_cores=4"),
        (
            ["--save_steps=2", "--save_checkpoints_steps=4"],
            "--save_steps=2.*--save_checkpoints_steps=4|"
            "--save_checkpoints_steps=4.*--save_steps=2",
        ),
        (
            ["--use_fp16=true", "--precision=bf16"],
            "--use_fp16=true.*--precision=bf16",
        ),
        (["--use_tpu=true"], "--use_tpu=true"),
        (["--task_name="], "--task_name"),
        (["--do_train=false"], "--do_train"),
        (["--bert_config_file="], "--bert_config_file"),
        (["--input_file=a", "--input_dir=b"], "--input_file and --input_dir"),
        (["stray"], "'stray'"),
        (["do_eval=true"], "write --do_eval=true"),
        (["\u2014do_eval"], "write --do_eval"),
        ([" "], "behind a backslash"),
        (["--train_batch_sise=3"], "did you mean --train_batch_size"),
        (["--no_such=3"], "--no_such: there is no such flag"),
        (["--seed"], "--seed: its value is missing"),
        (["--train_file", "--do_eval"], "--train_file: its value is missing"),
        (["--seed=1.5"], "--seed=1.5: it must be a whole number"),
        (["--learning_rate=1e-"], "--learning_rate=1e-: it must be a number"),
        (["--do_eval=maybe"], "--do_eval=maybe: it must be true or false"),
        (
            ["--seed=1e308"],
            "--seed=1e308: it must be a whole number of at most 64 bits",
        ),
        (["--n_gpus=1000"], "--n_gpus=1000: it must be from 0 to 64"),
        (
            ["--eval_steps=99999999999"],
            "--eval_steps=99999999999: it must be from 1 to",
        ),
        (["--eval_steps=" + "9" * 5000], "it must be from 1 to"),
        (["--max_seq_length=99999999999"], "--max_seq_length=99999999999: .* at most"),
        (
            ["--batch_size=100000", "--gradient_accumulation_steps=100"],
            "--train_batch_size=100000 .*--gradient_accumulation_steps=100: ",
        ),
        (["--head_learning_rate=1e-60"], "--head_learning_rate=1e-60: it must be from"),
    ],
)
def test_refused(argv, message):
    with pytest.raises(InputError, match=message):
        parse(*argv)


@pytest.mark.parametrize("options_class", [flags.RunConfig, DataConfig])
def test_every_number_has_bounds(options_class):
    for field in dataclasses.fields(options_class):
        kind = getattr(field.type, "__args__", (field.type,))[0]
        if kind in (int, float):
            check = field.metadata["check"]
            for wrong in (float("inf"), float("nan"), -(10**400), 10**400):
                assert check and not check.holds(wrong), (field.name, wrong)


def test_a_command_line_without_jobs_trains_if_it_has_flags_of_training():
    argv = [word for word in NEEDED if not word.startswith("--do_train")]
    assert flags.parse([*argv, "--num_train_epochs=1"], {}).do_train
    assert not flags.parse([*argv, "--do_eval", "--num_train_epochs=1"], {}).do_train
    with pytest.raises(InputError, match="--do_train"):
        flags.parse(argv, {})


def test_defaults_of_a_task_lose_against_the_command_line():
    assert parse(learning_rate=1e-3).learning_rate == 1e-3
    assert parse("--learning_rate=0.5", learning_rate=1e-3).learning_rate == 0.5
    with pytest.raises(ValueError, match="no_such_flag"):
        parse(no_such_flag=1)


def test_flags_need_no_tensorflow():
    code = "import sys, bert_my.cli.flags; print('tensorflow' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=str(helpers.ROOT),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert found.stdout.strip() == "False"


def test_help_shows_the_defaults_that_were_set(capsys):
    assert flags.parse(["program", "--help"], {"head": "mean"}) is None
    (line,) = re.findall(r"--head:.*?\(default: (.*?)\)", capsys.readouterr().out, re.S)
    assert line == "'mean'"


def test_help_names_every_flag(capsys):
    assert flags.parse(["program", "--help"], {}) is None
    text = capsys.readouterr().out
    for name in [field.name for field in dataclasses.fields(flags.RunConfig)]:
        assert f"--{name}:" in text or f"--[no]{name}:" in text
    assert "--num_gpu_cores:" in text and "--master:" in text


@pytest.mark.parametrize(
    ("argv", "note"),
    [
        (
            ["--max_steps=1000000", "--num_train_epochs", "1e5"],
            "--num_train_steps=1000000 is used, and --num_train_epochs=100000.0 is not",
        ),
        (
            ["--warmup_steps=3", "--warmup_proportion=0.1"],
            "--num_warmup_steps=3 is used, and --warmup_proportion=0.1 is not",
        ),
    ],
)
def test_steps_win_over_epochs_and_shares(argv, note):
    assert flags.read([*NEEDED, *argv]).notes() == [note]
    config = parse(*argv)
    assert 3 in (config.num_warmup_steps, config.num_train_epochs / 1e5 * 3)


def test_epochs_that_are_given_come_before_a_default_number_of_steps():
    defaults = {"num_train_steps": 7, "num_warmup_steps": 2}
    config = parse("--num_train_epochs=2", **defaults)
    assert (config.num_train_steps, config.num_warmup_steps) == (None, 2)
    config = parse(**defaults)
    assert (config.num_train_steps, config.num_warmup_steps) == (7, 2)


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("evaluate_every", "0 -1 1.5 Epoch ² 1e3"),
        ("ema_decay", "1 1.5 -0.1 nan inf"),
        ("label_smoothing", "1 -0.1 nan"),
        ("layer_lr_decay", "0 1.01 -1 nan"),
        ("head_learning_rate", "0 -1 nan inf"),
        ("adversarial", "pgd FGM"),
        ("adversarial_epsilon", "0 -1 nan inf"),
        ("early_stop_patience", "-1"),
        ("focal_gamma", "-1 nan inf"),
        ("max_train_examples", "-1"),
        ("num_dev_examples", "-1"),
        ("num_labels", "0 -2"),
        ("optimizer", "adam LAMB"),
        ("length_buckets", "on 8 Auto"),
        ("next_sentence", "NSP mlm"),
        ("adam_epsilon", "0 -1 nan inf"),
        ("num_train_steps", "0 -1"),
        ("num_warmup_steps", "-1"),
        ("gradient_accumulation_steps", "0 -1"),
        ("n_gpus", "-1"),
        ("train_batch_size", "0 -1 x"),
        ("learning_rate", "-1 nan"),
        ("num_train_epochs", "0 inf"),
        ("weight_decay", "-1"),
        ("keep_checkpoint_max", "-1"),
        ("warmup_proportion", "2 -0.1"),
        ("max_seq_length", "2 3"),
        ("precision", "fp8 FP16"),
    ],
)
def test_values_out_of_range_are_refused(flag, values):
    for value in values.split():
        with pytest.raises(InputError, match=f"--{flag}={value}"):
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
    with pytest.raises(InputError, match="contradict one another"):
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
    assert not parse(f"--{flag}", "--do_train=false", "--do_eval").evaluates_in_training


def test_a_run_begins_anew_only_if_it_trains():
    assert parse("--overwrite_output_dir").begins_anew
    assert not parse(
        "--overwrite_output_dir", "--do_train=false", "--do_eval"
    ).begins_anew
    assert not parse().begins_anew


@pytest.mark.parametrize(
    ("task_name", "argv", "message"),
    [
        ("info", ["--vocab_file="], "--vocab_file is needed"),
        ("info", ["--vocab_add=words.txt"], "--vocab_add: task info learns too little"),
        (
            "pretraining",
            ["--vocab_file=", "--vocab_add=w.txt"],
            "--vocab_file is needed",
        ),
        ("pretraining", ["--do_predict"], "--do_predict: task pretraining has no use"),
        ("pretraining", ["--save_for_serving"], "--save_for_serving: task pretraining"),
    ],
)
def test_flags_that_do_not_suit_a_task_are_refused(task_name, argv, message):
    with pytest.raises(InputError, match=message):
        parse(*argv).check_task(base.get_task_class(task_name))


def test_pretraining_needs_no_vocabulary():
    parse("--vocab_file=").check_task(base.get_task_class("pretraining"))
