"""The results of a sweep: tables with golden and missing values, plots, the page."""

import csv
import json
import math
import re

import numpy as np
import pytest

from bert_my.tools import sweep, sweep_report


def make_run(head, seed, state="finished", **scores):
    return sweep.Run(
        name=f"head={head}/seed-{seed}",
        setting=(("head", head),),
        seed=seed,
        folder="",
        command=[],
        state=state,
        scores=scores if state == "finished" else None,
    )


# Standard deviations by hand: of 1, 2, 6 sqrt((4 + 1 + 9) / 2), of 2, 4 sqrt(2).
RUNS = [
    make_run("cls", 3, f1=0.01, eval_loss=1.0),
    make_run("cls", 17, f1=0.02, eval_loss=2.0),
    make_run("cls", 42, f1=0.06, eval_loss=6.0),
    make_run("mean", 3, f1=0.04, eval_loss=2.0),
    make_run("mean", 17, f1=None, eval_loss=4.0),
    make_run("mean", 42, "failed"),
    make_run("max", 3, "not run yet"),
]


def text_of(runs, metrics):
    rows = sweep_report.tabulate(runs)
    best = sweep_report.find_best(rows, metrics)
    cells = sweep_report.make_cells(rows, metrics)
    return sweep_report.to_text(
        cells, best, sweep_report.make_notes(runs, best, metrics)
    )


def test_summary_is_of_a_sample():
    assert sweep_report.summarize([1.0, 2.0, 6.0], "f1") == (3.0, 6.0, 7**0.5, 3)


def test_the_best_is_the_lowest_where_lower_is_better():
    assert sweep_report.summarize([2.0, 1.0, 6.0], "eval_loss").best == 1.0


def test_one_value_has_no_standard_deviation():
    assert sweep_report.summarize([2.5], "f1") == (2.5, 2.5, None, 1)
    assert sweep_report.summarize([], "f1") == (None, None, None, 0)


def test_text():
    # The best loss decides: it is the lowest.
    assert text_of(RUNS, ["eval_loss", "f1"]) == (
        "   head  seeds   eval_loss                 f1\n"
        "                 mean (min) ± std          mean (max) ± std\n"
        "*  cls   3 of 3  3.0000 (1.0000) ± 2.6458  0.0300 (0.0600) ± 0.0265\n"
        "*  mean  2 of 3  3.0000 (2.0000) ± 1.4142  "
        "0.0400 (0.0400) ± - [defined for 1]\n"
        "   max   0 of 1  -                         -\n"
        "\n"
        "* lowest mean of eval_loss\n"
        "5 of 7 planned runs are in the table; failed: head=mean/seed-42; "
        "not run yet: head=max/seed-3.\n"
    )


def test_the_first_metric_decides_which_setting_is_best():
    rows = sweep_report.tabulate(RUNS)
    assert sweep_report.find_best(rows, ["f1"]) == [1]
    assert sweep_report.find_best(rows[1:], ["eval_loss"]) == [0]
    assert sweep_report.find_best(rows, ["unknown"]) == []
    assert sweep_report.find_best(rows[:1], ["f1"]) == []  # nothing to choose from


def test_all_settings_with_the_best_mean_are_marked(tmp_path):
    # Both have a mean loss of 3.
    text = sweep_report.write(str(tmp_path), RUNS, requested=["eval_loss"])
    assert [line[0] for line in text.splitlines()[2:5]] == ["*", "*", " "]
    _, *lines = lines_of(tmp_path / "sweep.csv")
    assert [line[3] for line in lines] == ["1", "1", "0"]
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<b>* cls</b>" in page and "<b>* mean</b>" in page


def test_small_and_large_values_keep_their_digits():
    runs = [make_run("cls", 1, mse=123456.0), make_run("cls", 2, mse=123457.0)]
    assert "1.235e+05 (1.235e+05) ± 0.7071" in text_of(runs, ["mse"])


@pytest.mark.parametrize(
    "requested, main_metric, shown",
    [
        ((), "f1", ["f1", "eval_loss"]),
        ((), "eval_loss", ["eval_loss"]),
        ((), "gone", ["a", "f1", "g", "eval_loss"]),
        ((), None, ["a", "f1", "g", "eval_loss"]),
        (("g", "gone"), "f1", ["g", "gone"]),
    ],
)
def test_metrics_shown(tmp_path, requested, main_metric, shown):
    if main_metric:
        task = {"main_metric": main_metric}
        (tmp_path / "task.json").write_text(json.dumps(task))
    names = ("a", "eval_loss", "f1", "g")
    run = make_run("cls", 1, **dict.fromkeys(names, 0.5))
    runs = [run._replace(folder=str(tmp_path)), RUNS[-1]]
    assert sweep_report.choose_metrics(runs, requested) == shown


def test_a_metric_that_no_run_has_is_told():
    assert "No metric auc; there are eval_loss, f1." in text_of(RUNS, ["auc"])


def lines_of(path):
    with open(str(path), encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_csv_files_hold_every_metric_and_run(tmp_path):
    sweep_report.write(str(tmp_path), RUNS, requested=["f1"])
    header, *lines = lines_of(tmp_path / "sweep.csv")
    assert header == [
        "head",
        "num_finished",
        "num_planned",
        "is_best",
        "eval_loss_mean",
        "eval_loss_min",
        "eval_loss_std",
        "eval_loss_num_values",
        "f1_mean",
        "f1_max",
        "f1_std",
        "f1_num_values",
    ]
    assert lines[1] == [
        "mean",
        "2",
        "3",
        "1",
        "3.0",
        "2.0",
        str(2**0.5),
        "2",
        "0.04",
        "0.04",
        "",
        "1",
    ]
    assert lines[2] == ["max", "0", "1", "0", "", "", "", "0", "", "", "", "0"]
    header, *lines = lines_of(tmp_path / "sweep_runs.csv")
    assert header == ["head", "seed", "run", "state", "eval_loss", "f1"]
    assert len(lines) == 7
    assert lines[4] == ["mean", "17", "head=mean/seed-17", "finished", "4.0", ""]
    assert lines[5] == ["mean", "42", "head=mean/seed-42", "failed", "", ""]


def test_a_sweep_of_which_nothing_is_finished_has_a_table(tmp_path):
    text = sweep_report.write(str(tmp_path), RUNS[-1:])
    assert text.endswith(
        "0 of 1 planned runs are in the table; not run yet: head=max/seed-3.\n"
    )
    assert (tmp_path / "report" / "index.html").exists()


def run_of(score, **setting):
    return sweep.Run(
        name=f"{setting}/{score}",
        setting=tuple(setting.items()),
        seed=1,
        folder="",
        command=[],
        state="finished",
        scores={"f1": score, "auc": score},
    )


PLOTTED = [
    run_of(1.0, decay="0.1", head="cls"),
    run_of(4.0, decay="0.1", head="cls"),
    run_of(2.0, decay="0", head="cls"),
    run_of(7.0, decay="0", head="mean"),
]


@pytest.mark.parametrize(
    "values, positions, are_numbers",
    [
        (["1", "3", "2"], [1, 3, 2], True),
        (["-1", "1e2"], [-1, 100], True),
        (["cls", "mean"], [0, 1], False),
        (["2", "x", "1"], [0, 1, 2], False),
        (["1", "inf"], [0, 1], False),
    ],
)
def test_places_on_the_axis(values, positions, are_numbers):
    actual = sweep_report.axis_positions(values)
    assert actual == (dict(zip(values, positions)), are_numbers)


@pytest.mark.parametrize(
    "values, scale",
    [
        (["1", "3", "2"], "linear"),
        (["0", "0.1", "0.5"], "linear"),
        (["-1", "100"], "linear"),
        (["0"], "linear"),
        (["0.1", "1e-3"], "symlog"),
        (["0", "0.1", "0.001"], "symlog"),
        (["cls", "mean"], "linear"),
    ],
)
def test_an_axis_of_wide_range_is_logarithmic(values, scale):
    runs = [run_of(0.5, rate=value) for value in values]
    (axes,) = sweep_report.plot(runs, "rate", "f1").axes
    assert axes.get_xscale() == scale
    assert axes.get_xlabel() == "rate" + " (logarithmic)" * (scale != "linear")


def test_0_is_a_decade_below_the_smallest_value():
    runs = [run_of(0.5, rate=value) for value in ("0", "0.001", "0.01", "0.1")]
    (axes,) = sweep_report.plot(runs, "rate", "f1").axes
    places = axes.xaxis.get_transform().transform(np.array([0, 0.001, 0.01, 0.1]))
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0], rtol=0.12)


def test_there_is_a_line_for_each_value_of_the_others():
    assert sweep_report.group_scores(PLOTTED, "decay", "f1") == {
        "head=cls": {"0.1": [1.0, 4.0], "0": [2.0]},
        "head=mean": {"0": [7.0]},
    }


def test_too_many_lines_become_one():
    runs = [run_of(float(i), a=str(i % 2), b=str(i)) for i in range(9)]
    assert sweep_report.group_scores(runs, "a", "f1") == {
        "all other settings": {"0": [0, 2, 4, 6, 8], "1": [1, 3, 5, 7]}
    }


def test_lines_go_through_means_with_bars_of_one_std():
    figure = sweep_report.plot(PLOTTED[:3], "decay", "f1")
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


def test_groups_at_one_value_are_drawn_side_by_side():
    figure = sweep_report.plot(PLOTTED, "decay", "f1")
    (axes,) = figure.axes
    figure.canvas.draw()
    pixels = [
        line.get_transform().transform(line.get_xydata())[0, 0]
        for line in axes.lines
        if line.get_marker() == "o"
    ]
    assert len(pixels) == 2
    assert 5 < pixels[1] - pixels[0] < 15
    assert all(axes.bbox.x0 < pixel < axes.bbox.x1 for pixel in pixels)


def test_ticks_are_the_values_as_typed():
    runs = [run_of(0.5, rate=value) for value in ("5E-5", "0", "1e-3")]
    (axes,) = sweep_report.plot(runs, "rate", "f1").axes
    ticks = zip(axes.get_xticks(), (t.get_text() for t in axes.get_xticklabels()))
    assert [text for _, text in sorted(ticks)] == ["0", "5E-5", "1e-3"]


def test_values_that_are_the_same_number_share_a_place():
    runs = [run_of(1.0, rate="1"), run_of(2.0, rate="1.0")]
    (axes,) = sweep_report.plot(runs, "rate", "f1").axes
    dots = [each for each in axes.lines if each.get_marker() == "o"]
    assert [each.get_xydata().tolist() for each in dots] == [[[1, 1], [1, 2]]]


def test_a_long_value_is_cut_at_its_beginning():
    runs = [run_of(0.5, path="x" * 50 + "/end")]
    (axes,) = sweep_report.plot(runs, "path", "f1").axes
    (tick,) = axes.get_xticklabels()
    assert tick.get_text() == "…" + "x" * 36 + "/end"


def write_page(folder, metrics, value="<b>"):
    sweep_report.write_page(
        str(folder),
        cells=[["head", "f1"], ["", "mean"], [value, "1"], ["$x", "2"]],
        best=[0],
        notes=["1 & 2"],
        runs=[run_of(1.0, head=value), run_of(2.0, head="$x")],
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
