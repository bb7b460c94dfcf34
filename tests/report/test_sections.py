"""Sections of the report: small runs, and what cannot be drawn."""

import numpy as np
import pytest

from bert_my.report import report
from tests.report import made_runs
from tests.report.pages import Page, read_page


def report_several(folder, rows):
    """Writes a run with the labels x and y, of which a row may have both.

    rows: list of (labels, predicted labels, probabilities of x and of y).

    Returns:
      `Page`.
    """
    made_runs.write_task(folder, "multilabel", ["x", "y"], "f1_micro")
    columns = ["index", "guid", "text_a", "label", "predicted_label"]
    columns += ["probability_x", "probability_y"]
    rows = [[k, f"g{k}", "text", *row] for k, row in enumerate(rows)]
    made_runs.write_rows(folder, columns, rows)
    report.write(folder)
    return read_page(folder)


def test_several_labels_at_once_have_a_table_of_right_and_wrong_rows(tmp_path):
    rows = [("x,y", "x", 0.9, 0.2), ("", "x", 0.7, 0.1), ("x", "x", 0.8, 0.3)]
    table = report_several(tmp_path, rows).rows
    assert ["x", "2", "1", "0", "0"] in table
    assert ["y", "0", "0", "1", "2"] in table


@pytest.mark.parametrize(
    ("cell", "sentences"),
    [
        ("", ["No threshold curves: all rows have no label", "No score histograms"]),
        ("x,y", ["No threshold curves: all rows have every label"]),
    ],
)
def test_several_labels_at_once_that_are_always_the_same(tmp_path, cell, sentences):
    text = report_several(tmp_path, 2 * [(cell, "", 0.25, 0.125)]).text
    assert all(sentence in text for sentence in sentences)


def test_labels_without_rows_have_no_curve(tmp_path):
    probabilities = np.full((7, 3), 1 / 3)
    labels = ["x", "y", "z"]
    made_runs.write_classification(tmp_path, labels, np.arange(7) % 2, probabilities)
    report.write(tmp_path)
    assert "none for 1 labels, which would need" in read_page(tmp_path).text


def write_speeds(folder, speeds):
    """Writes training.csv of a step for each speed; returns the folder."""
    folder.mkdir(exist_ok=True)
    lines = ["step,loss,learning_rate,examples_per_second"]
    lines += [f"{15 + step},0.5,1e-5,{speed}" for step, speed in enumerate(speeds)]
    (folder / "training.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_speed_that_was_logged_once_is_a_sentence(tmp_path):
    report.write(write_speeds(tmp_path, ["", "1234.56"]))
    assert "speed" not in read_page(tmp_path).pictures
    expected = "Speed of training, logged once: 1,234.6 examples per second."
    assert expected in read_page(tmp_path).text


def test_speeds_of_short_runs_are_a_sentence(tmp_path):
    folders = [write_speeds(tmp_path / name, [7, 0]) for name in "ab"]
    text = Page(report.compare(folders, tmp_path / "c")).text
    assert "logged once: a 7.0, b 7.0 examples per second." in text
