"""Flags of the benchmark: those of the engine are fields of `RunConfig`."""

import dataclasses

import pytest

from bert_my.cli import flags
from bert_my.common.errors import InputError
from bert_my.tools.benchmark import settings


def test_the_engines_flags_are_those_of_a_run():
    fields = {field.name for field in dataclasses.fields(flags.RunConfig)}
    assert {*settings.RENAMED, *settings.SETTLED} <= fields
    found = {field.name for field in settings.engine_fields()}
    assert {"precision", "gradient_accumulation_steps", "optimizer", "use_gpu"} <= found
    assert not found & {field.name for field in dataclasses.fields(settings.Benchmark)}


def test_flags_reach_the_engine(request_of):
    request = request_of("--precision=bf16", "--towers=2", "--deterministic")
    assert request.engine == {"precision": "bf16", "deterministic": True}
    values = settings.engine_settings(
        request, "out", task_name="info", do_train=True, bert_config_file="b"
    )
    config = flags.parse(settings.as_argv(values), {})
    assert (config.precision, config.deterministic, config.n_gpus) == ("bf16", True, 2)
    assert (config.train_batch_size, config.predict_batch_size) == (3, 3)
    assert (config.max_seq_length, config.output_dir) == (24, "out")
    assert config.learning_rate == flags.RunConfig.learning_rate


def test_lengths_follow_from_the_mode(request_of):
    assert request_of().own.lengths == "titles"
    assert request_of("--mode=pretrain").own.lengths == "full"


def test_prediction_takes_the_seed_of_its_weights(request_of):
    assert request_of("--mode=predict", "--seed=3").engine == {"seed": 3}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--batch_sise=3"], "Unknown command line flag 'batch_sise'. Did you mean"),
        (["--train_batch_size=3"], "Unknown command line flag 'train_batch_size'"),
        (["--do_train"], "Unknown command line flag 'do_train'"),
        (["fast"], "argument 'fast' is not a flag"),
        (["--mode=fast"], "--mode=fast: it must be one of train, predict, pretrain,"),
        (["--model=tiny"], "--model=tiny: it must be one of mini, base, large, or"),
        (["--lengths=long"], "--lengths=long: it must be one of titles, full"),
        (["--compare=keras"], "--compare=keras: it must be one of huggingface"),
        (["--steps=0"], "--steps=0: it must be positive"),
        (["--seq_length=4"], "--seq_length=4: it must be 5 or more"),
        (["--end_to_end"], "--end_to_end: --mode=train has no use for it"),
        (["--vocab_file=v"], "--vocab_file: --mode=train has no use for it"),
        (
            ["--mode=predict", "--end_to_end", "--compare=huggingface"],
            "--compare: --mode=predict on text has no use for it",
        ),
        (
            ["--mode=predict", "--input=synthetic"],
            "--input: --mode=predict has no use for it",
        ),
        (
            ["--mode=predict", "--optimizer=lamb"],
            "--optimizer: --mode=predict has no use for it",
        ),
        (
            ["--mode=encode", "--precision=bf16"],
            "--precision: --mode=encode has no use for it",
        ),
        (
            ["--compare=huggingface", "--length_buckets=off"],
            "--length_buckets: the other side of --compare does not know it",
        ),
        (["--mode=pretrain", "--lengths=titles"], "--lengths=titles: pretraining is"),
    ],
)
def test_refused(request_of, argv, message):
    with pytest.raises(InputError) as error:
        request_of(*argv)
    assert str(error.value).startswith(message)
