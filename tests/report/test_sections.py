"""Sections of the report: small runs, and what cannot be drawn."""

import numpy as np
import pytest

from bert_my.report import plots, report, sections_dev, sections_training
from bert_my.report.sections_training import Line, draw_lines
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


def test_label_counts_golden_values():
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 0], [1, 0]], bool)
    predicted = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 1]], bool)
    # True and false positives, false and true negatives.
    expected = [[2, 1], [1, 2], [1, 0], [1, 2]]
    each = sections_dev.EachLabel(["x", "y"], targets, predicted, targets * 0.5)
    np.testing.assert_array_equal(each.counts, expected)


def test_most_confused_counts_both_directions():
    # Wrong rows that touch each label: 2, 3, 1.
    counts = np.array([[9, 2, 0], [0, 5, 1], [0, 0, 8]])
    np.testing.assert_array_equal(sections_dev.most_confused(counts, 2), [0, 1])
    np.testing.assert_array_equal(sections_dev.most_confused(counts, 1), [1])


def test_scores_of_single_labels(tmp_path):
    # Label 0 is right twice and taken for 2 once, ...
    targets = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    predicted = np.array([0, 0, 2, 1, 0, 2, 2, 2, 1])
    labels = ["x", "y", "z"]
    made_runs.write_classification(tmp_path, labels, targets, np.eye(3)[predicted])
    report.write(tmp_path)
    rows = read_page(tmp_path).rows
    # Of y 1 of 2 rows is right, and 1 of the 7 others wrong: (1/2 + 6/7) / 2.
    assert ["y", "2", "0.5000", "0.5000", "0.5000", "0.6786"] in rows
    assert ["z", "4", "0.7500", "0.7500", "0.7500", "0.7750"] in rows


def test_scores_of_several_labels_at_once(tmp_path):
    rows = [("x", "x", 0.9, 0.2), ("x,y", "", 0.4, 0.3), ("", "x", 0.8, 0.1)]
    table = report_several(tmp_path, rows).rows
    # Nobody predicts y: its precision is 0.
    assert ["x", "2", "0.5000", "0.5000", "0.5000", "0.5000"] in table
    assert ["y", "1", "0.0000", "0.0000", "0.0000", "1.0000"] in table


def test_names_that_matplotlib_would_hide_are_in_the_legend():
    points = np.arange(3.0)
    lines = [Line(plots.shown(name), points, points) for name in ("_a", "b")]
    (axes,) = draw_lines("name", "title", "y", lines).figure.axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [" _a", "b"]


def test_a_single_step_has_a_tick_of_its_own():
    line = Line("", np.array([15]), np.array([0.5]))
    (axes,) = draw_lines("name", "title", "loss", [line]).figure.axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [15]


def test_smooth_cuts_the_window_off_at_the_ends():
    smoothed = sections_training.smooth(np.array([3.0, 6.0, 0.0, 12.0]), 3)
    np.testing.assert_allclose(smoothed, [4.5, 3, 6, 6])


def test_smooth_leaves_out_nan():
    smoothed = sections_training.smooth(
        np.array([1.0, np.nan, 3.0, np.nan, np.nan, np.nan]), 3
    )
    np.testing.assert_allclose(smoothed, [1, 2, 3, 3, np.nan, np.nan])


@pytest.mark.parametrize("num_values,window", [(1, 3), (137, 7), (1000, 51)])
def test_smoothing_window_is_odd(num_values, window):
    assert sections_training.smoothing_window(num_values) == window
