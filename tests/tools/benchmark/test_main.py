"""The command line of the benchmark: own flags, flags of the engine, heartbeat."""

import dataclasses
import logging
import threading
import time

import pytest

from bert_my.cli import flags
from bert_my.common.errors import InputError
from bert_my.tools.benchmark import main, measure


def test_flags_of_the_engine_are_those_of_a_run():
    fields = {field.name: field for field in dataclasses.fields(main.Settings)}
    of_run = {field.name: field for field in dataclasses.fields(flags.RunConfig)}
    names = set(fields) & set(of_run)
    assert {"adversarial", "freeze", "head", "intra_op_threads", "seed"} < names
    # The benchmark's model is a size or a config file, that of a run a folder.
    for name in names - {"max_seq_length", "model"}:
        assert fields[name].type == of_run[name].type
        assert fields[name].default == of_run[name].default


def test_flags_reach_the_engine(settings_of):
    settings = settings_of("--precision=bf16", "--towers=2", "--deterministic")
    config = measure.run_config(settings, "out", do_train=True, bert_config_file="b")
    assert (config.precision, config.deterministic, config.n_gpus) == ("bf16", True, 2)
    assert (config.train_batch_size, config.predict_batch_size) == (3, 3)
    assert (config.max_seq_length, config.output_dir) == (24, "out")
    assert config.learning_rate == flags.RunConfig.learning_rate


def test_prediction_takes_the_seed_of_its_weights(settings_of):
    settings = settings_of("--mode=predict", "--seed=3")
    assert measure.run_config(settings, "out").seed == 3


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (["--batch_sise=3"], "batch_sise"),
        (["--num_train_steps=3"], "num_train_steps"),
        (["--batch_size=0"], "batch_size=0: "),
        (["--do_train"], "do_train"),
        (["fast"], "fast"),
        (["--mode=fast"], "--mode=fast: "),
        (["--model=tiny"], "--model=tiny: "),
        (["--lengths=long"], "--lengths=long: "),
        (["--compare=keras"], "--compare=keras: "),
        (["--steps=0"], "--steps=0: "),
        (["--seq_length=4"], "seq_length=4: "),
        (["--mode=pretrain"], "--mode=pretrain: "),
        (["--vocab_file=v"], "--vocab_file: "),
        (["--mode=encode", "--compare=huggingface"], "--compare: "),
        (["--mode=predict", "--optimizer=lamb"], "--optimizer: "),
        (["--mode=encode", "--head=mean"], "--head: "),
        (["--mode=encode", "--precision=bf16"], "--precision: "),
        (["--mode=encode", "--warmup_steps=3"], "--warmup_steps: "),
        (["--compare=huggingface", "--length_buckets=off"], "--length_buckets: "),
        (["--compare=huggingface", "--towers=2"], "--n_gpus: "),
    ],
)
def test_refused(settings_of, argv, flag):
    with pytest.raises(InputError) as error:
        settings_of(*argv)
    assert flag in str(error.value)


def test_a_default_is_no_contradiction(settings_of):
    assert settings_of("--mode=predict", "--optimizer=adamw").mode == "predict"


def test_the_heartbeat_repeats_the_last_message(capfd):
    deadline, printed = time.monotonic() + 20, ""
    logger = logging.getLogger("bert_my.tools")
    with main.heartbeat(seconds=0.01):
        logger.warning("first")
        logger.warning("second")
        while "second, 0 s" not in printed:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            printed += capfd.readouterr().err


def test_the_heartbeat_ends_with_its_block():
    before = threading.active_count()
    with pytest.raises(KeyError), main.heartbeat():
        assert threading.active_count() == before + 1
        raise KeyError
    assert threading.active_count() == before


def test_a_table_of_numbers():
    lines = main.table(
        {
            "examples_per_second": 12345.6,
            "padding_share": 0.25,
            "peak_memory_bytes": 3 << 20,
            "peak_gpu_memory_bytes": None,
            "step_seconds": {"min": 0.25, "max": 1.5},
            "use_xla": False,
        }
    )
    assert [line.split() for line in lines] == [
        ["examples_per_second", "12,346"],
        ["padding_share", "0.25"],
        ["peak_memory_bytes", "3,145,728"],
        ["step_seconds", "0.25", "1.5"],
        ["use_xla", "False"],
    ]
