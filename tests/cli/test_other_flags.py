"""Flags of other projects: what each stands for, and the table of them in the docs."""

import pytest

from bert_my.cli import flags, other_flags
from bert_my.common import options
from bert_my.common.errors import InputError

pytestmark = pytest.mark.once

OPTIONS = options.names(flags.RunConfig)
NEEDED = ["program", "--task_name=csv", "--do_train", "--output_dir=o", "--model=m"]
RUN_GLUE = (
    "--model_type bert --model_name_or_path folder --task_name SST-2 --do_eval "
    "--do_lower_case --data_dir glue/SST-2 --max_seq_length 128 "
    "--per_gpu_train_batch_size 64 --per_gpu_eval_batch_size 16 --learning_rate 2e-5 "
    "--num_train_epochs 3.0 --output_dir tmp --overwrite_output_dir --fp16 "
    "--fp16_opt_level O1 --max_steps -1 --max_grad_norm 1.0 --local_rank -1 "
    "--save_steps 500 --logging_steps 50 --evaluate_during_training --seed 42"
)
PADDLE = (
    "--model_type bert --model_name_or_path folder --max_predictions_per_seq 20 "
    "--batch_size 32 --learning_rate 1e-4 --weight_decay 1e-2 --adam_epsilon 1e-6 "
    "--warmup_steps 10000 --num_train_epochs 1e5 --input_dir data --output_dir tmp "
    "--logging_steps 1 --save_steps 20000 --max_steps 1000000 --n_gpu 2"
)
NVIDIA = (
    "--input_files_dir=a --eval_files_dir=b --output_dir=c --bert_config_file=d "
    "--do_train=True --do_eval=False --train_batch_size=16 --eval_batch_size=8 "
    "--max_seq_length=128 --max_predictions_per_seq=20 --num_train_steps=100 "
    "--num_accumulation_steps=4 --num_warmup_steps=10 --save_checkpoints_steps=50 "
    "--learning_rate=6e-3 --horovod=false --use_xla --use_fp16 --optimizer_type=LAMB "
    "--allreduce_post_accumulation=True --report_loss --display_loss_steps=10 "
    "--init_loss_scale=65536 --dllog_path=log.json"
)
TRAINER = (
    "--model_name_or_path folder --task_name mrpc --do_train --do_eval "
    "--max_seq_length 128 --per_device_train_batch_size 32 --learning_rate 2e-5 "
    "--num_train_epochs 3 "
    "--output_dir tmp --evaluation_strategy epoch --load_best_model_at_end True "
    "--metric_for_best_model eval_f1 --save_total_limit 2 --warmup_ratio 0.06 "
    "--report_to none --bf16 --use_fast_tokenizer False --validation_file dev.csv"
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            RUN_GLUE,
            {
                "model": "folder",
                "train_batch_size": 64,
                "eval_batch_size": 16,
                "num_train_steps": None,
                "num_train_epochs": 3.0,
                "precision": "fp16",
                "save_checkpoints_steps": 500,
                "evaluate_every": "50",
                "overwrite_output_dir": True,
                "do_train": False,
            },
        ),
        (
            PADDLE,
            {
                "train_batch_size": 32,
                "weight_decay": 0.01,
                "num_warmup_steps": 10000,
                "num_train_steps": 1000000,
                "save_checkpoints_steps": 20000,
                "evaluate_when_saving": True,
                "n_gpus": 2,
                "do_train": True,
            },
        ),
        (
            NVIDIA,
            {
                "input_dir": "a",
                "dev_file": "b",
                "optimizer": "lamb",
                "gradient_accumulation_steps": 4,
                "logging_steps": 10,
                "use_xla": True,
            },
        ),
        (
            TRAINER,
            {
                "train_batch_size": 32,
                "evaluate_every": "epoch",
                "keep_best": "f1",
                "keep_checkpoint_max": 2,
                "warmup_proportion": 0.06,
                "precision": "bf16",
                "dev_file": "dev.csv",
            },
        ),
    ],
)
def test_command_lines_of_other_projects(line, expected):
    config = flags.parse(["program", *line.split()], {"task_name": "pretraining"})
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--model_type=xlnet", "--model_type=xlnet: it must be bert"),
        ("--max_grad_norm=5", "--max_grad_norm=5.0: it must be 1.0"),
        ("--local_rank=0", "--local_rank=0: .*--n_gpus"),
        ("--horovod", "--horovod=True: .*--n_gpus"),
        ("--save_strategy=epoch", "--save_checkpoints_steps"),
        ("--lr_scheduler_type=cosine", "it must be linear"),
        ("--optim=sgd", "--optim=sgd: it must be one of adam"),
        ("--device=npu", "--device=npu: it must be gpu or cpu"),
        ("--noresume_from_checkpoint", "--overwrite_output_dir"),
        ("--eval_all_checkpoints", "--eval_all_checkpoints: use --evaluate_every"),
        ("--save_steps=2 --num_steps_per_checkpoint=3", "contradict one another"),
        ("--no_cuda --use_gpu", "--use_gpu=True and --no_cuda=True contradict"),
        ("--evaluation_strategy=never", "it must be no, steps or epoch"),
        ("--evaluation_strategy=no --eval_steps=5", "contradicts --eval_steps"),
        ("--batch_size=0", "^--batch_size=0: it must be from 1 to 1000000"),
        ("--max_steps=0", "^--max_steps=0: it must be from 1 to"),
        ("--fp16 O1", "^--fp16 O1: it must be true or false$"),
        ("--evaluate_during_training 9", r"it must be true or .*--evaluate_every"),
        ("--resume_from_checkpoint out/checkpoint-5", "resumed always"),
        ("--do_train x --seed=1", "^--do_train x: it must be true or false$"),
        ("--crf", "^--crf: use --objective=crf"),
        ("--hub_toke=x", "there is no such flag .--help"),
    ],
)
def test_what_cannot_be_honoured_is_refused(argv, message):
    with pytest.raises(InputError, match=message):
        flags.parse([*NEEDED, *argv.split()])


def test_flags_without_effect_take_any_value_or_none_and_are_named():
    argv = [*NEEDED, "--overwrite_cache", "--tpu_name", "x", "--json-summary=y"]
    assert flags.parse([*argv, "--seed=7"]).seed == 7
    (note,) = flags.read(argv).notes()
    assert note == "Without effect: --tpu_name, --overwrite_cache, --json_summary"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--amp", {"precision": "fp16"}),
        ("--noamp --noreport_loss --notf32", {"precision": "fp32"}),
        ("--full_determinism", {"deterministic": True}),
        ("--model_type BERT --eval_strategy Epoch", {"evaluate_every": "epoch"}),
        (
            "--load_best_model_at_end false --metric_for_best_model f1",
            {"keep_best": None},
        ),
        ("--metric_for_best_model f1", {"keep_best": "f1"}),
    ],
)
def test_values_of_other_flags(line, expected):
    config = flags.parse([*NEEDED, *line.split()])
    assert {name: getattr(config, name) for name in expected} == expected


def test_no_name_is_declared_twice():
    converted, without_effect, refused = other_flags.OTHERS
    names = [*converted, *without_effect, *refused]
    ours = {x for name in OPTIONS for x in flags.same_setting(name)}
    assert len(names) == len(set(names))
    assert not (ours - set(converted)) & set(names)


def test_other_names_set_what_same_setting_says():
    assert "save_steps" in flags.same_setting("save_checkpoints_steps")
    assert flags.same_setting("no_cuda")[0] == "use_gpu"
