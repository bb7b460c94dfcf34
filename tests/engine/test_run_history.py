"""The course of a training in the folder of its run, whatever ended it before."""

import math

import pytest

from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.engine.run_folder import RunFolder
from bert_my.engine.run_history import (
    TrainingHistory,
    read_evaluations,
    read_training,
    write_evaluations,
)
from tests import helpers

pytestmark = pytest.mark.once

HEADER = "step,loss,learning_rate,examples_per_second"


@pytest.fixture
def path(tmp_path):
    return tmp_path / run_folder.TRAINING


def test_training_history_has_a_line_for_each_step(path):
    log = TrainingHistory(RunFolder(path.parent), 0)
    log.add(1, 0.69314718, 2e-5)
    log.add(2, 123456789.0, 1e-5, 1234.567)
    log.close()
    assert helpers.read_lines(path) == [
        HEADER,
        "1,0.693147,2e-05,",
        "2,1.23457e+08,1e-05,1234.6",
    ]


def test_a_line_is_on_the_disk_at_once(path):
    log = TrainingHistory(RunFolder(path.parent), 0)
    for step in range(1, 4):
        log.add(step, 0.5, 0.1)
        assert len(helpers.read_lines(path)) == 1 + step
    log.close()


def test_lines_after_the_checkpoint_are_left_out(path):
    path.write_text(f"{HEADER}\n" + "".join(f"{i},0.5,0.1,\n" for i in range(1, 12)))
    log = TrainingHistory(RunFolder(path.parent), 9)
    log.add(10, 0.25, 0.1, 7)
    log.close()
    lines = helpers.read_lines(path)
    assert [line.split(",")[0] for line in lines] == ["step", *map(str, range(1, 11))]
    assert lines[-2:] == ["9,0.5,0.1,", "10,0.25,0.1,7.0"]


def test_steps_that_are_missing_are_said(path, caplog):
    path.write_text(f"{HEADER}\n1,0.5,0.1,\n2,0.5,0.1,\n3,0.5,0.")
    TrainingHistory(RunFolder(path.parent), 2).close()
    assert not caplog.messages
    TrainingHistory(RunFolder(path.parent), 5).close()
    assert "training.csv: 3 of the 5 steps so far are not in it" in caplog.text


@pytest.mark.parametrize("rest", ["", "3", "3,", "3,0.2", "3,0.25,1e"])
def test_a_line_that_was_cut_off_is_left_out(path, rest):
    path.write_text(f"{HEADER}\n1,0.5,0.1,\n2,0.5,0.1,8.0\n{rest}")
    TrainingHistory(RunFolder(path.parent), 5).close()
    assert helpers.read_lines(path) == [HEADER, "1,0.5,0.1,", "2,0.5,0.1,8.0"]


def test_a_new_run_keeps_no_line(path):
    path.write_text(f"{HEADER}\n1,0.5,0.1,\n")
    TrainingHistory(RunFolder(path.parent / "new" / "folder"), 0).close()
    TrainingHistory(RunFolder(path.parent), 0).close()
    assert helpers.read_lines(path) == [HEADER]


def test_evaluations_are_read_as_they_were_written(tmp_path):
    assert read_evaluations(RunFolder(tmp_path)) == []
    entries = [
        {"step": 3, "auc": float("nan"), "eval_loss": float("inf")},
        {"step": 6, "auc": None, "eval_loss": 0.5, "f1_猫": -float("inf")},
    ]
    write_evaluations(RunFolder(tmp_path), entries)
    assert read_evaluations(RunFolder(tmp_path)) == [
        {"step": 3, "auc": None, "eval_loss": None},
        {"step": 6, "auc": None, "eval_loss": 0.5, "f1_猫": None},
    ]
    text = (tmp_path / run_folder.EVALUATIONS).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "猫" in text


def test_evaluations_after_the_checkpoint_are_left_out(tmp_path):
    steps = [{"step": step} for step in (5, 10, 15)]
    write_evaluations(RunFolder(tmp_path), steps)
    assert read_evaluations(RunFolder(tmp_path), 10) == steps[:2]
    assert read_evaluations(RunFolder(tmp_path), 4) == []


def test_an_evaluation_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / run_folder.EVALUATIONS
    path.write_text('{"step": 5, "auc": 0.5}\n{"step": 10, "auc"')
    assert read_evaluations(RunFolder(tmp_path)) == [{"step": 5, "auc": 0.5}]


def test_steps_are_read_ascending_and_the_later_of_two_counts(path):
    path.write_text(f"{HEADER}\n2,0.5,0.1,\n1,0.7,0.2,8.5\n2,nan,0.3,\n3,0.2")
    first, second = read_training(RunFolder(path.parent))
    assert first == (1, 0.7, 0.2, 8.5)
    assert second[0] == 2 and math.isnan(second[1])
    assert read_training(RunFolder(path.parent / "nowhere")) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b\n", 1),
        (f"{HEADER}\n1,0.5,0.1\n", 2),
        (f"{HEADER}\nx,1,1,\n", 2),
        (f"{HEADER}\n1e999,1,1,\n", 2),
    ],
)
def test_a_broken_line_of_the_steps_is_named(path, text, line):
    path.write_text(text)
    with pytest.raises(InputError, match=rf"training\.csv:{line}:"):
        read_training(RunFolder(path.parent))


@pytest.mark.parametrize("line", ['{"auc": 1}', '{"step": 2, "auc": "1"}', "[2]"])
def test_a_line_that_is_no_evaluation_is_named(tmp_path, line):
    path = tmp_path / run_folder.EVALUATIONS
    path.write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(InputError, match=r"evaluations\.jsonl:2: .*delete the file"):
        read_evaluations(RunFolder(tmp_path), 5)


def test_a_history_that_is_no_text_is_not_advised_an_encoding(path):
    path.write_bytes(f"{HEADER}\n1,\xff".encode("latin-1"))
    with pytest.raises(InputError, match=r"training\.csv:2: not UTF-8") as caught:
        read_training(RunFolder(path.parent))
    assert "--encoding" not in str(caught.value)
