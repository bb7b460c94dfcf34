"""Plots of a sweep: positions on the axis, lines and bars; the page with all plots."""

import math
import re

import numpy as np
import pytest

from bert_my.tools import sweep_page, sweep_plan


def make_run(score, **setting):
    return sweep_plan.Run(
        name=f"{setting}/{score}",
        setting=tuple(setting.items()),
        seed=1,
        folder="",
        command=[],
        state="finished",
        scores={"f1": score, "auc": score},
    )


RUNS = [
    make_run(1.0, decay="0.1", head="cls"),
    make_run(4.0, decay="0.1", head="cls"),
    make_run(2.0, decay="0", head="cls"),
    make_run(7.0, decay="0", head="mean"),
]


@pytest.mark.parametrize(
    "values, positions, kind",
    [
        (["1", "3", "2"], [1, 3, 2], "linear"),
        (["0", "0.1", "0.5"], [0, 0.1, 0.5], "linear"),
        (["-1", "100"], [-1, 100], "linear"),
        (["0"], [0], "linear"),
        (["0.1", "1e-3"], [-1, -3], "log"),
        (["0", "0.1", "0.001"], [-4, -1, -3], "log with 0"),
        (["cls", "mean"], [0, 1], "categories"),
        (["2", "x", "1"], [0, 1, 2], "categories"),
        (["1", "inf"], [0, 1], "categories"),
    ],
)
def test_places_on_the_axis(values, positions, kind):
    actual, actual_kind = sweep_page.axis_positions(values)
    assert actual_kind == kind
    assert [actual[value] for value in values] == pytest.approx(positions)


def test_there_is_a_line_for_each_value_of_the_others():
    assert sweep_page.group_scores(RUNS, "decay", "f1") == {
        "head=cls": {"0.1": [1.0, 4.0], "0": [2.0]},
        "head=mean": {"0": [7.0]},
    }


def test_too_many_lines_become_one():
    runs = [make_run(float(i), a=str(i % 2), b=str(i)) for i in range(9)]
    assert sweep_page.group_scores(runs, "a", "f1") == {
        "all other settings": {"0": [0, 2, 4, 6, 8], "1": [1, 3, 5, 7]}
    }


def test_lines_go_through_means_with_bars_of_one_std():
    figure = sweep_page.plot(RUNS[:3], "decay", "f1")
    (axes,) = figure.axes
    (line,) = [each for each in axes.lines if each.get_linestyle() == "-"]
    np.testing.assert_allclose(line.get_xydata(), [[0, 2.0], [0.1, 2.5]])
    (container,) = axes.containers
    # The bar of the single value has no length.
    (bar,) = [x for x in container.lines[2][0].get_segments() if np.ptp(x[:, 1])]
    half = math.sqrt(4.5)  # of 1 and 4, divided by 1
    np.testing.assert_allclose(bar, [[0.1, 2.5 - half], [0.1, 2.5 + half]])
    dots = [each for each in axes.lines if each.get_marker() == "o"]
    assert sorted(y for each in dots for y in each.get_ydata()) == [1.0, 2.0, 4.0]


def test_ticks_are_the_values_as_typed():
    runs = [make_run(0.5, rate=value) for value in ("5E-5", "0", "1e-3")]
    (axes,) = sweep_page.plot(runs, "rate", "f1").axes
    ticks = zip(axes.get_xticks(), (t.get_text() for t in axes.get_xticklabels()))
    assert [text for _, text in sorted(ticks)] == ["0", "5E-5", "1e-3"]
    assert axes.get_xlabel() == "rate (logarithmic, 0 apart)"


def test_values_that_are_the_same_number_share_a_place():
    runs = [make_run(1.0, rate="1"), make_run(2.0, rate="1.0")]
    (axes,) = sweep_page.plot(runs, "rate", "f1").axes
    dots = [each for each in axes.lines if each.get_marker() == "o"]
    assert [each.get_xydata().tolist() for each in dots] == [[[1, 1], [1, 2]]]


def test_a_long_value_is_cut_at_its_beginning():
    runs = [make_run(0.5, path="x" * 50 + "/end")]
    (axes,) = sweep_page.plot(runs, "path", "f1").axes
    (tick,) = axes.get_xticklabels()
    assert tick.get_text() == "…" + "x" * 36 + "/end"


def write_page(folder, metrics, value="<b>"):
    sweep_page.write(
        str(folder),
        cells=[["head", "f1"], ["", "mean"], [value, "1"], ["$x", "2"]],
        best=[0],
        notes=["1 & 2"],
        runs=[make_run(1.0, head=value), make_run(2.0, head="$x")],
        metrics=metrics,
    )
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_holds_its_pictures_and_escapes_texts(tmp_path):
    text = write_page(tmp_path, ["f1"])
    assert '<figure id="head-f1"' in text
    assert "* &lt;b&gt;" in text and "1 &amp; 2" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_values_in_any_script_can_be_drawn(tmp_path):
    assert "好" in write_page(tmp_path, ["f1"], value="好")
