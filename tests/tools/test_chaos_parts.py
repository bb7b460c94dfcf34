"""Parts of the fault injection: commands, damage, results, starts."""

import os
import signal
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.tools.chaos import command, damage, poison, process, results
from bert_my.tools.chaos.watch import Watch
from scripts import chaos


def make_command(*more):
    words = ["run.py", "--do_train", "--do_eval=true", "--model=M", "--max_seq_len=9"]
    return command.Command([sys.executable, *words, "--output_dir=O", *more])


def test_command_runs_in_any_folder():
    words = make_command().words("F")
    assert words[1:] == [
        *("run.py", "--do_train", "--do_eval=true", "--model=M", "--max_seq_len=9"),
        *("--deterministic=true", "--output_dir=F"),
    ]


def test_prediction_finds_the_model_in_the_folder():
    words = make_command("--vocab_file", "V").words("F", command.PREDICT)
    assert words[2:-2] == ["--max_seq_len=9", "--do_predict=true"]


def test_builder_of_a_file_is_run_alone():
    built = command.Command([sys.executable, "build.py", "--output_file=a/b.tfrecord"])
    assert built.words("F")[2:] == ["--output_file=F/b.tfrecord"]
    assert built.verbs == (command.RUN,)


@pytest.mark.parametrize(
    "words, message",
    [
        (["no-such-program"], "no such program"),
        ([sys.executable, "run.py"], "needs --output_dir"),
        (
            [sys.executable, "--output_dir=O", "--overwrite_output_dir"],
            "--overwrite_output_dir",
        ),
    ],
)
def test_command_that_cannot_be_tried_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        command.Command(words)


def test_flags_may_stand_behind_the_command():
    words = ["--seed=3", "python", "run.py", "--seed=7", "--kills=4", "--signals"]
    args = chaos.parse_args(words)
    assert (args.seed, args.kills, args.signals, args.damage) == ("3", "4", "5", None)
    assert args.command == ["python", "run.py", "--seed=7"]
    same = chaos.parse_args(["--seed=3", "--kills=4", "--signals", "--", *args.command])
    assert same == args


@pytest.mark.parametrize("way", damage.WAYS)
def test_damage_is_the_same_each_time(tmp_path, way):
    seen = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        folder.mkdir()
        path = folder / "state.json"
        path.write_bytes(b'{"step": 12}\n')
        damage.damage(str(path), way)
        is_file = path.is_file() and os.stat(str(path)).st_mode & 0o400
        seen.append(path.read_bytes() if is_file else sorted(os.listdir(str(folder))))
        assert seen[-1] != b'{"step": 12}\n'
    assert seen[0] == seen[1]


def test_unreadable_file_is_unreadable_for_root_too(tmp_path):
    path = tmp_path / "file"
    path.touch()
    damage.damage(str(path), "unreadable")
    words = [sys.executable, "-S", "-c", f"open({str(path)!r})"]
    launcher = process.Launcher(20)
    outcome = launcher.run(
        words, str(tmp_path / "log"), setup=[damage.obey_permissions]
    )
    assert "PermissionError" in outcome.fault()


def write_run(folder, weight=1.0):
    """Writes the files of a finished run; returns its folder as str."""
    folder.mkdir()
    path = str(folder / "model.ckpt-3")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("dense/kernel", initializer=[[weight, 2.0]])
        tf.get_variable("global_step", initializer=np.int64(3))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(save_relative_paths=True).save(session, path)
    (folder / "training.csv").write_text("step,loss,speed\n1,0.5,\n2,0.4,77.0\n")
    (folder / "predict.txt").write_text("0\n1\n")
    return str(folder)


def test_results_differ_by_a_bit_of_a_weight(tmp_path):
    one = results.read(write_run(tmp_path / "1"))
    assert not results.compare(results.read(write_run(tmp_path / "2")), one)
    other = write_run(tmp_path / "3", np.nextafter(np.float32(1), np.float32(2)))
    (tmp_path / "3" / "predict.txt").unlink()
    assert sorted(results.compare(results.read(other), one)) == [
        "predict.txt is missing",
        "weights: 1 of 2 tensors differ (dense/kernel)",
    ]


def test_speed_is_no_result_but_a_lost_step_is(tmp_path):
    one = results.read(write_run(tmp_path / "1"))
    other = write_run(tmp_path / "2")
    history = tmp_path / "2" / "training.csv"
    history.write_text(history.read_text().replace("77", "1"))
    assert not results.compare(results.read(other), one)
    history.write_text("step,loss,speed\n2,0.4,77.0\n")
    differences = results.compare(results.read(other), one)
    assert differences == ["training.csv: 2 of 3 lines are the same"]


def test_beginning_of_a_file_is_a_half_file(tmp_path):
    whole, part = write_run(tmp_path / "1"), write_run(tmp_path / "2")
    assert not results.half_files(part, whole)
    with open(os.path.join(part, "predict.txt"), "w") as stream:
        stream.write("0")
    assert results.half_files(part, whole) == ["predict.txt"]


def test_listed_checkpoint_of_another_step_is_no_leftover(tmp_path):
    """A signal has the run save after another step."""
    (tmp_path / "whole").mkdir()
    folder = write_run(tmp_path / "run")
    (tmp_path / "run" / "model.ckpt-2.index").touch()
    left = results.leftovers(folder, str(tmp_path / "whole"))
    assert [path for path in left if "ckpt" in path] == ["model.ckpt-2.index"]


def test_poison_writes_one_nan(tmp_path):
    folder = write_run(tmp_path / "run")
    tensors = results.read_tensors(folder)
    assert poison.kinds(tensors) == ["dense/kernel"]
    poison.poison(tf.train.latest_checkpoint(folder), "dense/kernel")
    reader = tf.train.load_checkpoint(folder)
    np.testing.assert_array_equal(reader.get_tensor("dense/kernel"), [[1.0, np.nan]])
    assert reader.get_tensor("global_step") == 3


def test_layers_are_one_kind_of_variable():
    names = ["layer_0/kernel", "layer_10/kernel", "layer_2/bias", "global_step"]
    tensors = dict.fromkeys(names[:3], ("float32",))
    assert poison.kinds({**tensors, "global_step": ("int64",)}) == [names[0], names[2]]


@pytest.mark.parametrize("is_forked", [True, False])
def test_start_ends_as_python_does(tmp_path, is_forked):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "if __name__ == '__main__':\n"
        "    print(sys.argv[1])\n"
        "    sys.exit('error: ' + sys.argv[1])\n"
    )
    launcher = process.Launcher(20, (1, str(script)) if is_forked else None)
    words = [sys.executable, str(script), "no such row"]
    outcome = launcher.run(words, str(tmp_path / "log"))
    assert (outcome.code, outcome.errors) == (1, ["error: no such row"])
    assert outcome.refusal_fault() is None


def test_watch_sees_changes_in_new_folders(tmp_path):
    words = ["sh", "-c", f"mkdir {tmp_path}/new; sleep 0.1; touch {tmp_path}/new/a"]
    launcher = process.Launcher(20)
    with Watch(str(tmp_path)) as watch, launcher.start(words, os.devnull) as started:
        watch.wait(started, seconds=20)
    # mkdir; touch makes a file and closes it.
    assert watch.num_changes == 3
    assert watch.first_at < watch.seconds


def test_killed_start_ends_by_its_signal(tmp_path):
    launcher = process.Launcher(20)
    with launcher.start(["sleep", "30"], str(tmp_path / "log")) as started:
        started.send(signal.SIGKILL)
        assert started.finish().code == -signal.SIGKILL
