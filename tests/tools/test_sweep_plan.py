"""The plan of a sweep: seeds, grids, folders and the commands made of them."""

import pytest

from bert_my.common.errors import InputError
from bert_my.tools import sweep


def plan(*command, grids=(), seeds="1", **settings):
    return sweep.make_plan(["python3", *command], grids, seeds, **settings)


@pytest.mark.parametrize(
    "text, seeds",
    [("1", [1]), ("3", [1, 2, 3]), ("17,3", [17, 3]), ("17,", [17]), ("0, 5", [0, 5])],
)
def test_seeds(text, seeds):
    assert sweep.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "x", "1,,2", "3,3", "12345", ",", "²", "4294967296,"]
)
def test_wrong_seeds_are_named(text):
    with pytest.raises(InputError, match=f"--seeds={text}:"):
        sweep.parse_seeds(text)


def test_values_of_a_grid_stay_as_typed():
    assert sweep.parse_grid("weight_decay=0, 0.10,1E-3") == (
        "weight_decay",
        ["0", "0.10", "1E-3"],
    )
    assert sweep.parse_grid("class_weights=1,1;1,5") == (
        "class_weights",
        ["1,1", "1,5"],
    )
    assert sweep.parse_grid("pair=a=b,c;") == ("pair", ["a=b,c"])


@pytest.mark.parametrize(
    "text",
    [
        "weight_decay",
        "=1",
        "--weight_decay=1",
        "label_smoothing=",
        "a=1,,2",
        "a=;",
        "a=1,2,1",
        "seed=1,2",
        "output_dir=a,b",
    ],
)
def test_wrong_grids_are_named(text):
    with pytest.raises(InputError) as error:
        sweep.parse_grid(text)
    assert str(error.value).startswith(f'--grid "{text}": ')


def test_two_grids_of_a_flag_are_refused():
    with pytest.raises(InputError, match=r'"head=cls": .* head'):
        plan("--output_dir=o", grids=["head=mean", "head=cls"])


@pytest.mark.parametrize(
    ("given", "grid", "flag"),
    [
        ("--num_gpu_cores=1", "n_gpus=2", "--n_gpus=2"),
        ("--n_gpus=1", "n_gpu=2", "--n_gpu=2"),
        ("--save_steps=5", "save_checkpoints_steps=7", "--save_checkpoints_steps=7"),
        ("--use_fp16", "precision=fp32", "--precision=fp32"),
        ("--precision=bf16", "use_fp16=true", "--use_fp16=true"),
    ],
)
def test_a_grid_takes_the_place_of_other_names_of_its_flag(given, grid, flag):
    (run,) = plan("run.py", given, "--cache_dir=c", "--output_dir=o", grids=[grid]).runs
    assert run.command[2:] == ["--cache_dir=c", flag, *run.command[-2:]]


def test_two_grids_of_one_setting_are_refused():
    with pytest.raises(InputError, match=r'"n_gpu=3": .* n_gpus'):
        plan("--output_dir=o", grids=["n_gpus=1,2", "n_gpu=3"])


def test_runs_are_the_product_of_grids_and_seeds():
    made = plan(
        "run.py",
        "--do_train",
        "--output_dir=out",
        "--cache_dir=c",
        grids=["weight_decay=0,0.1", "head=cls,mean"],
        seeds="2,5",
    )
    assert [run.name for run in made.runs] == [
        "weight_decay=0,head=cls/seed-2",
        "weight_decay=0,head=cls/seed-5",
        "weight_decay=0,head=mean/seed-2",
        "weight_decay=0,head=mean/seed-5",
        "weight_decay=0.1,head=cls/seed-2",
        "weight_decay=0.1,head=cls/seed-5",
        "weight_decay=0.1,head=mean/seed-2",
        "weight_decay=0.1,head=mean/seed-5",
    ]
    last = made.runs[-1]
    assert last.setting == {"weight_decay": "0.1", "head": "mean"}
    assert last.folder == "out/weight_decay=0.1,head=mean/seed-5"
    assert last.command == [
        "python3",
        "run.py",
        "--do_train",
        "--cache_dir=c",
        "--weight_decay=0.1",
        "--head=mean",
        "--seed=5",
        f"--output_dir={last.folder}",
    ]


def test_without_a_grid_there_are_repeats_with_a_shared_cache():
    made = plan("run.py", "--output_dir", "out", seeds="2")
    assert [run.command[2:] for run in made.runs] == [
        ["--cache_dir=out/cache", "--seed=1", "--output_dir=out/seed-1"],
        ["--cache_dir=out/cache", "--seed=2", "--output_dir=out/seed-2"],
    ]


def test_a_grid_of_caches_gets_no_other():
    (run,) = plan("--output_dir=o", grids=["cache_dir=mine"]).runs
    assert [word for word in run.command if "cache" in word] == [
        "--cache_dir=mine",
        "--output_dir=o/cache_dir=mine/seed-1",
    ]


def test_all_forms_of_a_flag_are_split_off():
    command = "python -u run.py --seed=1 --seed 3 --seed -4 --do_train --lower"
    command += " --lower=true --seeds=5 --x seed --nothing --seed="
    kept, values = sweep.split_command([*command.split(), "--t=a b"], ["seed", "lower"])
    kept = " ".join(kept)
    assert kept == "python -u run.py --do_train --seeds=5 --x seed --nothing --t=a b"
    assert values == {"seed": "", "lower": "true"}


@pytest.mark.parametrize("words", ["-u run.py", "-m bert_my.run", "-s run.py", "-x=1"])
def test_single_dashes_of_other_programs_stay(words):
    flags = ["use_xla", "use_gpu", "max_seq_length", "seed", "x_y"]
    command = ["python", *words.split(), "--do_train"]
    assert sweep.split_command([*command, "-seed=3"], flags)[0] == command


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--seed", "-4"], "-4"),
        (["-seed", "4"], "4"),
        (["-seed=4"], "4"),
        (["--seed=1", "--seed=2"], "2"),
        (["--seed", "--do_train"], None),
        (["--seed"], None),
    ],
)
def test_the_last_value_of_a_flag(words, value):
    assert sweep.split_command(words, ["seed"])[1] == {"seed": value}


def test_the_sweeps_folder_goes_before_the_commands():
    words = ("--output_dir=a", "--output_dir", "b")
    assert plan(*words).folder == "b"
    (run,) = plan(*words, output_dir="c").runs
    assert run.folder == "c/seed-1"
    assert "a" not in run.command and "b" not in run.command


def test_names_of_folders_are_safe_and_distinct():
    values = ["a/b", "a_b", "..", "x y", "x" * 300, "x" * 299 + "y"]
    runs = plan("--output_dir=o", grids=["v=" + ",".join(values)]).runs
    names = [run.name.split("/") for run in runs]
    assert all(len(parts) == 2 and len(parts[0]) < 150 for parts in names)
    assert len({run.name for run in runs}) == len(values)
    assert names[1][0] == "v=a_b"
    assert names[0][0].startswith("v=a_b-") and " " not in names[3][0]


def test_a_missing_folder_or_program_is_named():
    with pytest.raises(InputError, match="--output_dir"):
        plan("run.py")
    with pytest.raises(InputError, match="pythn"):
        sweep.make_plan(["pythn", "--output_dir=o"], [], "1")
    with pytest.raises(InputError, match="--do_train"):
        sweep.make_plan(["--do_train"], [], "1")
