"""Flags: upstream's and the forks' command lines, and contradictions."""

import dataclasses

import pytest

from bert_my.cli import flags
from bert_my.common.errors import InputError

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
        (["--precision=fp8"], "--precision=fp8.*fp32, fp16, bf16"),
        (["--use_tpu=true"], "--use_tpu=true"),
        (["--train_batch_sise=3"], "train_batch_sise"),
        (["--train_batch_size=x"], "train_batch_size"),
        (["--train_batch_size=0"], "--train_batch_size=0"),
        (["--learning_rate=-1"], "--learning_rate"),
        (["--learning_rate=nan"], "--learning_rate=nan"),
        (["--num_train_epochs=inf"], "--num_train_epochs"),
        (["--weight_decay=-1"], "--weight_decay=-1"),
        (["--keep_checkpoint_max=-1"], "--keep_checkpoint_max"),
        (["--task_name="], "--task_name"),
        (["--warmup_proportion=2"], "--warmup_proportion"),
        (["--max_seq_length=2"], "--max_seq_length"),
        (["--do_train=false"], "--do_train.*--do_eval"),
        (["--bert_config_file="], "--bert_config_file"),
        (["stray"], "stray"),
    ],
)
def test_refused(argv, message):
    with pytest.raises(InputError, match=message):
        parse(*argv)


def test_defaults_of_a_task_lose_against_the_command_line():
    assert parse(learning_rate=1e-3).learning_rate == 1e-3
    assert parse("--learning_rate=0.5", learning_rate=1e-3).learning_rate == 0.5
    with pytest.raises(ValueError, match="no_such_flag"):
        parse(no_such_flag=1)


def test_help_names_every_flag(capsys):
    assert flags.parse(["program", "--help"], {}) is None
    text = capsys.readouterr().out
    for name in [field.name for field in dataclasses.fields(flags.RunConfig)]:
        assert f"--{name}:" in text or f"--[no]{name}:" in text
    assert "--num_gpu_cores:" in text and "--master:" in text


def test_flags_of_two_scripts_do_not_collide():
    flags.define_flags({})
    flags.define_flags({})


def test_steps_and_epochs_contradict_one_another():
    epochs = "--num_train_steps.*--num_train_epochs"
    for given, flags_named in (
        (["--num_train_steps=3", "--num_train_epochs=1"], epochs),
        (["--max_steps=3", "--num_train_epochs=1"], epochs),
        (
            ["--warmup_steps=3", "--warmup_proportion=0.1"],
            "--num_warmup_steps.*--warmup_proportion",
        ),
    ):
        with pytest.raises(InputError, match=flags_named):
            parse(*given)


def test_epochs_that_are_given_come_before_a_default_number_of_steps():
    defaults = {"num_train_steps": 7, "num_warmup_steps": 2}
    config = flags.parse([*NEEDED, "--do_train", "--num_train_epochs=2"], defaults)
    assert (config.num_train_steps, config.num_warmup_steps) == (None, 2)
    config = flags.parse([*NEEDED, "--do_train"], defaults)
    assert (config.num_train_steps, config.num_warmup_steps) == (7, 2)
