"""Reading the files of a run: what they hold, and what is wrong with them."""

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.report import run_files
from tests.report import made_runs

HEADER = ["index", "guid", "text_a", "label", "predicted_label"]
COLUMNS = [*HEADER, "probability_no", "probability_yes"]
ROWS = [
    [0, "a", "one", "no", "yes", 0.3, 0.7],
    [1, "b", 'two\nlines and a\ttab and "quotes"', "yes", "no", 0.9, 0.1],
    [2, "c", "three", "yes", "yes", 0.2, 0.8],
]


@pytest.fixture
def folder(tmp_path):
    """Folder of a run with the rows above."""
    made_runs.write_task(tmp_path, "classification", ["no", "yes"])
    made_runs.write_rows(tmp_path, COLUMNS, ROWS)
    return tmp_path


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")


def read_error(folder):
    with pytest.raises(InputError) as error:
        run_files.read(folder)
    return str(error.value)


def test_files_that_are_not_there_are_none(folder):
    run = run_files.read(folder)
    assert run.task == ("made", "classification", ("no", "yes"), "eval_accuracy")
    assert run.settings is run.results is None
    assert not len(run.training.steps) and not run.evaluations
    assert run.evaluated_at.utcoffset().total_seconds() == 0


def test_classification_rows(folder):
    found = run_files.read(folder).predictions
    np.testing.assert_array_equal(found.targets, [0, 1, 1])
    np.testing.assert_array_equal(found.predicted, [1, 0, 1])
    np.testing.assert_array_equal(found.probabilities[:, 1], [0.7, 0.1, 0.8])
    assert len(found.targets) == 3


def test_mistakes_are_ordered_by_confidence(folder):
    mistakes = run_files.read(folder).predictions.mistakes
    assert mistakes == [
        ("b", ('two\nlines and a\ttab and "quotes"',), "yes", "no", 0.9),
        ("a", ("one",), "no", "yes", 0.7),
    ]


def test_only_the_worst_mistakes_are_kept(folder):
    rows = [[k, k, "text", "no", "yes", 1 - k / 100, k / 100] for k in range(60, 99)]
    made_runs.write_rows(folder, COLUMNS, rows)
    mistakes = run_files.read(folder).predictions.mistakes
    assert [each.guid for each in mistakes] == [str(k) for k in range(98, 78, -1)]


def test_equal_mistakes_stay_in_order(folder):
    made_runs.write_rows(
        folder, COLUMNS, [[k, k, "x", "no", "yes", 0.4, 0.6] for k in range(23)]
    )
    mistakes = run_files.read(folder).predictions.mistakes
    assert [each.guid for each in mistakes] == [str(k) for k in range(20)]


def test_a_carriage_return_in_a_text_does_not_end_the_row(folder):
    lines = ["\t".join(COLUMNS), "0\ta\tone\rtwo\tno\tyes\t0.3\t0.7\r", ""]
    (folder / run_folder.DEV_PREDICTIONS).write_bytes("\n".join(lines).encode())
    (mistake,) = run_files.read(folder).predictions.mistakes
    assert mistake.texts == ("one two",)


def test_pairs_of_texts(folder):
    columns = [*COLUMNS[:3], "text_b", *COLUMNS[3:]]
    made_runs.write_rows(folder, columns, [[0, "a", "x", "y", "no", "yes", 0.3, 0.7]])
    assert run_files.read(folder).predictions.mistakes[0].texts == ("x", "y")


def test_multilabel_rows(tmp_path):
    made_runs.write_task(tmp_path, "multilabel", ["p", "q", "r"])
    columns = [*HEADER, "probability_p", "probability_q", "probability_r"]
    rows = [
        [0, "a", "one", "p,r", "p", 0.9, 0.2, 0.4],
        [1, "b", "two", "-", "q", 0.1, 0.8, 0.3],
        [2, "c", "three", "", "", 0.1, 0.4, 0.3],
    ]
    made_runs.write_rows(tmp_path, columns, rows)
    found = run_files.read(tmp_path).predictions
    np.testing.assert_array_equal(found.targets, [[1, 0, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(found.predicted, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    # Of row a only r is wrong, and was left out with 1 - 0.4.
    assert [(m.guid, m.probability) for m in found.mistakes] == [("b", 0.8), ("a", 0.6)]


def test_regression_rows(tmp_path):
    made_runs.write_task(tmp_path, "regression")
    columns = ["index", "guid", "text_a", "label", "prediction"]
    rows = [[0, "a", "x", 1.5, 1.25], [1, "b", "y", 2, 4.5], [2, "c", "z", 3, 3]]
    made_runs.write_rows(tmp_path, columns, rows)
    found = run_files.read(tmp_path).predictions
    np.testing.assert_array_equal(found.targets, [1.5, 2, 3])
    np.testing.assert_array_equal(found.predicted, [1.25, 4.5, 3])
    assert [(m.guid, m.probability) for m in found.mistakes] == [
        ("b", 2.5),
        ("a", -0.25),
    ]


def test_labeling_rows(tmp_path):
    made_runs.write_task(tmp_path, "labeling", made_runs.TAGS)
    columns = ["index", "guid", "token", "label", "predicted_label"]
    rows = [
        [0, "a", "Anna", "B-PER", "B-PER"],
        [0, "a", '"', "O", "O"],
        [1, "b", "New", "B-LOC", "B-LOC"],
        [1, "b", "York", "I-LOC", "O"],
    ]
    made_runs.write_rows(tmp_path, columns, rows)
    found = run_files.read(tmp_path).predictions
    assert found.targets == [["B-PER", "O"], ["B-LOC", "I-LOC"]]
    assert found.predicted == [["B-PER", "O"], ["B-LOC", "O"]]
    assert len(found.targets) == 2
    (mistake,) = found.mistakes
    assert mistake.texts == ("New", "York") and mistake.predicted == ("B-LOC", "O")


def test_of_tags_without_entities_each_wrong_one_is_a_mistake(tmp_path):
    made_runs.write_task(tmp_path, "labeling", ("NN", "VB", "VN"))
    columns = ["index", "guid", "token", "label", "predicted_label"]
    rows = [
        [0, "a", "x", "NN", "NN"],
        [1, "b", "y", "NN", "NN"],
        [1, "b", "z", "NN", "VN"],
    ]
    made_runs.write_rows(tmp_path, columns, rows)
    (mistake,) = run_files.read(tmp_path).predictions.mistakes
    assert mistake.texts == ("y", "z")


def test_training_without_speed_is_nan(tmp_path):
    lines = [
        "step,loss,learning_rate,examples_per_second",
        "1,0.5,1e-5,",
        "2,inf,2e-5,8",
    ]
    write(tmp_path, run_folder.TRAINING, "\n".join(lines) + "\n")
    training = run_files.read(tmp_path).training
    np.testing.assert_array_equal(training.steps, [1, 2])
    np.testing.assert_array_equal(training.losses, [0.5, np.nan])
    np.testing.assert_array_equal(training.learning_rates, [1e-5, 2e-5])
    np.testing.assert_array_equal(training.examples_per_second, [np.nan, 8])


def test_after_a_resume_the_later_line_of_a_step_counts(tmp_path):
    lines = [
        "step,loss,learning_rate,examples_per_second",
        "3,1,0,",
        "4,1,0,",
        "3,7,0,",
    ]
    write(tmp_path, run_folder.TRAINING, "\n".join(lines) + "\n")
    training = run_files.read(tmp_path).training
    assert training.steps.tolist() == [3, 4] and training.losses.tolist() == [7, 1]


def test_lines_cut_off_at_the_end_are_left_out(tmp_path):
    header = "step,loss,learning_rate,examples_per_second\n"
    write(tmp_path, run_folder.TRAINING, header + "1,0.5,0.1,\n2,0.4,")
    write(tmp_path, run_folder.EVALUATIONS, '{"step": 5, "f1": null}\n{"step": 6, "f')
    run = run_files.read(tmp_path)
    assert run.training.steps.tolist() == [1]
    assert run.evaluations == [{"step": 5, "f1": None}]


def test_evaluations_are_ordered_by_step(tmp_path):
    lines = ['{"step": 9, "f1": 1}', '{"step": 3, "f1": 2}', '{"step": 9, "f1": 3}', ""]
    write(tmp_path, run_folder.EVALUATIONS, "\n".join(lines))
    evaluations = run_files.read(tmp_path).evaluations
    assert [(each["step"], each["f1"]) for each in evaluations] == [(3, 2), (9, 3)]


@pytest.mark.parametrize(
    "name,text,message",
    [
        ("task.json", "{", "task.json: not JSON"),
        ("task.json", "[]", "task.json: not a JSON object"),
        ("task.json", '{"task": "a", "kind": "x"}', "kind is 'x', not one of class"),
        ("task.json", '{"task": "a", "kind": "multilabel"}', "labels are missing"),
        ("task.json", '{"kind": "regression"}', "task.json: there is no task;"),
        ("eval_results.json", '{"f1": "good"}', "f1 is 'good', not a number"),
        ("run_config.json", "1", "run_config.json: not a JSON object"),
        ("evaluations.jsonl", '{"f1": 1}\n', "evaluations.jsonl:1: there is no step"),
        ("evaluations.jsonl", 'x\n{"step": 1}\n', "evaluations.jsonl:1: not JSON"),
        ("training.csv", "step,loss\n", "training.csv:1: the columns are not"),
        (
            "training.csv",
            "step,loss,learning_rate,examples_per_second\n1,a,1,\n",
            "training.csv:2: 1,a,1,: could not convert",
        ),
    ],
)
def test_broken_files_are_named(folder, name, text, message):
    write(folder, name, text)
    assert message in read_error(folder)


@pytest.mark.parametrize(
    "row,message",
    [
        ([0, "a", "x", "no", "maybe", 0.3, 0.7], ":2: label 'maybe' is not one of"),
        ([0, "a", "x", "no", "yes", 0.3], ":2: 6 cells, but the header 7"),
        ([0, "a", "x", "no", "yes", 0.3, 1.7], ":2: probability 1.7 is not between"),
        ([0, "a", "x", "no", "yes", 0.3, "nan"], ":2: nan is not a finite number"),
        ([0, "a", "x", "no", "yes", 0.3, "-"], ":2: could not convert"),
    ],
)
def test_broken_rows_are_named(folder, row, message):
    made_runs.write_rows(folder, COLUMNS, [row])
    assert f"{run_folder.DEV_PREDICTIONS}{message}" in read_error(folder)


def test_predictions_of_another_task_are_refused(folder):
    made_runs.write_task(folder, "regression")
    assert "but a run with this task.json has" in read_error(folder)


def test_pretraining_has_no_predictions(folder):
    made_runs.write_task(folder, "pretraining")
    assert run_files.read(folder).predictions is None


def test_predictions_without_rows_are_refused(folder):
    made_runs.write_rows(folder, COLUMNS, [])
    assert "no rows below the header" in read_error(folder)


def test_a_file_that_is_not_utf8_is_named(folder):
    (folder / run_folder.RESULTS).write_bytes(b'{"f\xff": 1}')
    assert "eval_results.json:1: not UTF-8" in read_error(folder)


def test_no_folder_and_a_folder_without_a_run_are_refused(tmp_path):
    assert "there is no such folder" in read_error(tmp_path / "nothing")
    assert "holds none of the files of a run" in read_error(tmp_path)
