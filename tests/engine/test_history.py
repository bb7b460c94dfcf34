"""`training.csv` and `evaluations.jsonl`: complete, whatever ended the run before."""

import pytest

from bert_my.data import run_names
from bert_my.engine import history
from tests import helpers

HEADER = "step,loss,learning_rate,examples_per_second"


@pytest.fixture
def path(tmp_path):
    return tmp_path / run_names.TRAINING


def test_training_history_has_a_line_for_each_step(path):
    log = history.TrainingHistory(str(path.parent), 0)
    log.add(1, 0.69314718, 2e-5)
    log.add(2, 123456789.0, 1e-5, 1234.567)
    log.close()
    assert helpers.read_lines(path) == [
        HEADER,
        "1,0.693147,2e-05,",
        "2,1.23457e+08,1e-05,1234.6",
    ]


def test_a_line_is_on_the_disk_at_once(path):
    log = history.TrainingHistory(str(path.parent), 0)
    for step in range(1, 4):
        log.add(step, 0.5, 0.1)
        assert len(helpers.read_lines(path)) == 1 + step
    log.close()


def test_lines_after_the_checkpoint_are_left_out(path):
    path.write_text(f"{HEADER}\n" + "".join(f"{i},0.5,0.1,\n" for i in range(1, 12)))
    log = history.TrainingHistory(str(path.parent), 9)
    log.add(10, 0.25, 0.1, 7)
    log.close()
    lines = helpers.read_lines(path)
    assert [line.split(",")[0] for line in lines] == ["step", *map(str, range(1, 11))]
    assert lines[-2:] == ["9,0.5,0.1,", "10,0.25,0.1,7.0"]


@pytest.mark.parametrize("rest", ["", "3", "3,", "3,0.2", "3,0.25,1e"])
def test_a_line_that_was_cut_off_is_left_out(path, rest):
    path.write_text(f"{HEADER}\n1,0.5,0.1,\n2,0.5,0.1,8.0\n{rest}")
    history.TrainingHistory(str(path.parent), 5).close()
    assert helpers.read_lines(path) == [HEADER, "1,0.5,0.1,", "2,0.5,0.1,8.0"]


def test_a_new_run_keeps_no_line(path):
    path.write_text(f"{HEADER}\n1,0.5,0.1,\n")
    history.TrainingHistory(str(path.parent / "new" / "folder"), 0).close()
    history.TrainingHistory(str(path.parent), 0).close()
    assert helpers.read_lines(path) == [HEADER]


def test_evaluations_are_read_as_they_were_written(tmp_path):
    assert history.read_evaluations(str(tmp_path)) == []
    entries = [
        {"step": 3, "auc": float("nan"), "eval_loss": float("inf")},
        {"step": 6, "auc": None, "eval_loss": 0.5, "f1_猫": -float("inf")},
    ]
    history.write_evaluations(str(tmp_path), entries)
    assert history.read_evaluations(str(tmp_path)) == [
        {"step": 3, "auc": None, "eval_loss": None},
        {"step": 6, "auc": None, "eval_loss": 0.5, "f1_猫": None},
    ]
    text = (tmp_path / run_names.EVALUATIONS).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "猫" in text


def test_evaluations_after_the_checkpoint_are_left_out(tmp_path):
    steps = [{"step": step} for step in (5, 10, 15)]
    history.write_evaluations(str(tmp_path), steps)
    assert history.read_evaluations(str(tmp_path), 10) == steps[:2]
    assert history.read_evaluations(str(tmp_path), 4) == []


def test_an_evaluation_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / run_names.EVALUATIONS
    path.write_text('{"step": 5, "auc": 0.5}\n{"step": 10, "auc"')
    assert history.read_evaluations(str(tmp_path)) == [{"step": 5, "auc": 0.5}]
