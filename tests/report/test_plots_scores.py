"""Pictures of scores: what stands in them."""

import numpy as np

from bert_my.report import curves, plots, plots_labels, plots_scores, plots_thresholds


def texts(axes):
    """Returns the legend of axes."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_label_has_a_panel_of_its_own():
    panels = [(f"l{k}", np.full(k, 0.9), np.full(7 - k, 0.1)) for k in range(5)]
    figure = plots_scores.histograms_by_label(panels)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 5
    assert texts(visible[2]) == ["l2: 2 rows", "the other 5"]


def test_a_single_label_is_one_panel():
    panels = [("a", np.array([0.5]), np.array([]))]
    assert len(plots_scores.histograms_by_label(panels).axes) == 1


def test_names_that_matplotlib_would_hide_are_in_the_legend():
    points = np.arange(3.0)
    lines = [plots.Line(name, points, points) for name in ("_a", "b")]
    (axes,) = plots.lines("title", "x", "y", lines).axes
    assert texts(axes) == [" _a", "b"]
    panels = [("_x", np.array([0.5]), np.array([0.25]))]
    (axes,) = plots_scores.histograms_by_label(panels).axes
    assert texts(axes) == [" _x: 1 rows", "the other 1"]


def test_thresholds_that_reach_an_accuracy_are_marked():
    found = curves.Kept(*np.array([[0.25, 0.5, 0.75], [1, 0.5, 0.125], [0.5, 0.95, 1]]))
    (axes,) = plots_thresholds.kept(found).axes
    assert texts(axes)[2:] == [
        "95% right from 0.5000 on: 50.0% kept",
        "99% right from 0.7500 on: 12.5% kept",
    ]


def test_an_accuracy_that_is_never_reached_is_not_marked():
    found = curves.Kept(*np.array([[0.25, 0.5], [1, 0.5], [0.25, 0.5]]))
    (axes,) = plots_thresholds.kept(found).axes
    assert texts(axes) == ["share of rows kept", "accuracy of those"]


def test_rows_missed_follow_those_found_and_wrong_ones_go_left():
    counts = np.array([[3, 2, 1, 9], [5, 0, 7, 3]])
    (axes,) = plots_labels.counts_by_label(["x", "y"], counts).axes
    wrong, found, missed = (
        [(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers
    )
    assert wrong == [(0, -2), (0, 0)]
    assert found == [(0, 3), (0, 5)]
    assert missed == [(3, 1), (5, 7)]
