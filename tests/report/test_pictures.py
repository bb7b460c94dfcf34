"""Pictures of predictions: their texts and marks."""

import numpy as np
import pytest

from bert_my.report import curves, pictures


def texts(axes):
    """Returns the legend of axes."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_label_has_a_panel_of_its_own():
    panels = [(f"l{k}", np.full(k, 0.9), np.full(7 - k, 0.1)) for k in range(5)]
    figure = pictures.histograms_by_label(panels)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 5
    assert texts(visible[2]) == ["l2: 2 rows", "the other 5"]


def test_a_single_label_is_one_panel():
    panels = [("a", np.array([0.5]), np.array([]))]
    assert len(pictures.histograms_by_label(panels).axes) == 1


def test_thresholds_that_reach_an_accuracy_are_marked():
    found = curves.Kept(*np.array([[0.25, 0.5, 0.75], [1, 0.5, 0.125], [0.5, 0.95, 1]]))
    (axes,) = pictures.kept(found).axes
    assert texts(axes)[2:] == [
        "95% right from 0.5000 on: 50.0% kept",
        "99% right from 0.7500 on: 12.5% kept",
    ]


def test_an_accuracy_that_is_never_reached_is_not_marked():
    found = curves.Kept(*np.array([[0.25, 0.5], [1, 0.5], [0.25, 0.5]]))
    (axes,) = pictures.kept(found).axes
    assert texts(axes) == ["share of rows kept", "accuracy of those"]


def test_rows_missed_follow_those_found_and_wrong_ones_go_left():
    counts = np.array([[3, 2, 1, 9], [5, 0, 7, 3]])
    (axes,) = pictures.counts_by_label(["x", "y"], counts).axes
    wrong, found, missed = (
        [(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers
    )
    assert wrong == [(0, -2), (0, 0)]
    assert found == [(0, 3), (0, 5)]
    assert missed == [(3, 1), (5, 7)]


def test_cells_of_a_confusion_matrix_hold_counts_and_shares():
    counts = np.array([[1234, 3], [0, 0]])
    shares = counts / np.array([[1237], [1]])
    axes = pictures.confusion(counts, shares, ["x", "y"]).axes[0]
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["1,234\n99.8%", "3\n0.2%", "0\n–", "0\n–"]
    assert axes.texts[0].get_color() == "white" and axes.texts[1].get_color() == "black"


def test_cells_of_many_labels_hold_short_counts_only():
    counts = np.diag(np.arange(13) * 777)
    axes = pictures.confusion(counts, np.eye(13), list("abcdefghijklm")).axes[0]
    cells = [text.get_text() for text in axes.texts]
    assert cells[:15] == [""] * 14 + ["777"] and cells[-1] == "9.3k"


@pytest.mark.parametrize("draw", [pictures.roc, pictures.precision_recall])
@pytest.mark.parametrize("num_curves", [2, 7])
def test_curves_have_their_scores_in_the_legend(draw, num_curves):
    is_positive, scores = np.array([False, True, True]), np.array([0.1, 0.2, 0.3])
    compute = getattr(curves, draw.__name__)
    many = [(f"l{k}", compute(is_positive, scores)) for k in range(num_curves)]
    (axes,) = draw(many).axes
    score = "AUC" if draw is pictures.roc else "AP"
    assert texts(axes) == [f"{score} 1.0000  l{k}" for k in range(num_curves)]
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(styles) >= num_curves
