"""The table of a sweep: golden values, missing values, metrics shown; its plots."""

import csv
import math
import re

import numpy as np
import pytest

from bert_my.tools import sweep, sweep_report


def make_run(head, seed, state="finished", **scores):
    return sweep.Run(
        name=f"head={head}/seed-{seed}",
        setting={"head": head},
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


def text_of(folder, runs, metrics):
    return sweep_report.write(str(folder), runs, requested=metrics)


def summary_of(metric, *values):
    runs = [make_run("cls", seed, **{metric: x}) for seed, x in enumerate(values)]
    return sweep_report.Row({"head": "cls"}, runs).summary(metric)


def test_summary_is_of_a_sample():
    assert summary_of("f1", 1.0, 2.0, 6.0) == (3.0, 6.0, 7**0.5, 3)


def test_the_best_is_the_lowest_where_lower_is_better():
    assert summary_of("eval_loss", 2.0, 1.0, 6.0).best == 1.0


def test_one_value_has_no_standard_deviation():
    assert summary_of("f1", 2.5) == (2.5, 2.5, None, 1)
    assert summary_of("f1", None) == (None, None, None, 0)


def test_text(tmp_path):
    # The best loss decides: it is the lowest.
    assert text_of(tmp_path, RUNS, ["eval_loss", "f1"]) == (
        "   head  seeds   eval_loss: mean (min) ± std  f1: mean (max) ± std\n"
        "*  cls   3 of 3  3.0000 (1.0000) ± 2.6458     0.0300 (0.0600) ± 0.0265\n"
        "*  mean  2 of 3  3.0000 (2.0000) ± 1.4142     "
        "0.0400 (0.0400) ± - [defined for 1]\n"
        "   max   0 of 1  -                            -\n"
        "\n"
        "* lowest mean of eval_loss\n"
        "5 of 7 planned runs are in the table; failed: head=mean/seed-42; "
        "not run yet: head=max/seed-3.\n"
    )


def test_the_first_metric_decides_which_setting_is_best():
    def best(runs, metric):
        rows = sweep_report.tabulate(runs)
        is_best = sweep_report.find_best(rows, [metric])
        return [row.setting["head"] for row, best in zip(rows, is_best) if best]

    assert best(RUNS, "f1") == ["mean"]
    assert best(RUNS[3:], "eval_loss") == ["mean"]
    assert best(RUNS, "unknown") == []
    assert best(RUNS[:3], "f1") == []  # nothing to choose from


def test_all_settings_with_the_best_mean_are_marked(tmp_path):
    # Both have a mean loss of 3.
    text = sweep_report.write(str(tmp_path), RUNS, requested=["eval_loss"])
    assert [line[0] for line in text.splitlines()[1:4]] == ["*", "*", " "]
    _, *lines = lines_of(tmp_path / "sweep.csv")
    assert [line[3] for line in lines] == ["1", "1", "0"]
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('<td class="key" data-head="">*</td>') == 2


def test_small_and_large_values_keep_their_digits(tmp_path):
    runs = [make_run("cls", 1, mse=123456.0), make_run("cls", 2, mse=123457.0)]
    assert "1.235e+05 (1.235e+05) ± 0.7071" in text_of(tmp_path, runs, ["mse"])


def test_long_lists_of_runs_are_cut():
    runs = [make_run("cls", seed, "failed") for seed in range(13)]
    (progress,) = sweep_report.make_notes(runs, [False], [])
    assert progress.startswith("0 of 13 planned runs are in the table; failed: head=")
    assert progress.endswith("head=cls/seed-9, 3 more.")


@pytest.mark.parametrize(
    "requested, main_metric, shown",
    [
        ((), "f1", ["f1", "eval_loss"]),
        ((), "eval_loss", ["eval_loss"]),
        ((), "gone", ["a", "b", "c", "d", "f1", "eval_loss"]),
        ((), None, ["a", "b", "c", "d", "f1", "eval_loss"]),
        (("g", "gone"), "f1", ["g", "gone"]),
    ],
)
def test_metrics_shown(requested, main_metric, shown):
    names = ("a", "b", "c", "d", "eval_loss", "f1", "g")
    runs = [make_run("cls", 1, **dict.fromkeys(names, 0.5)), RUNS[-1]]
    known = sweep_report.known_metrics(runs)
    assert sweep_report.choose_metrics(known, requested, main_metric) == shown


def test_counters_are_no_metrics():
    runs = [make_run("cls", 1, f1=0.5, global_step=9, loss=0.5)]
    assert sweep_report.known_metrics(runs) == ["f1"]


def test_a_metric_that_no_run_has_is_told(tmp_path):
    assert "No metric auc; there are eval_loss, f1." in text_of(tmp_path, RUNS, ["auc"])


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


def make_scored(score, **setting):
    scores = {"f1": score, "auc": score}
    return sweep.Run(str(score), setting, 1, "", [], sweep.FINISHED, scores)


SCORED = [
    make_scored(1.0, decay="0.1", head="cls"),
    make_scored(4.0, decay="0.1", head="cls"),
    make_scored(2.0, decay="0", head="cls"),
    make_scored(7.0, decay="0", head="mean"),
]


def plot(runs, parameter):
    """Returns the axes of a plot of f1."""
    picture = sweep_report.plot(sweep_report.tabulate(runs), parameter, "f1")
    return picture.figure.axes[0]


def dots_of(axes):
    """Returns a list with the points of each line, rounded."""
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    return [np.round(line.get_xydata(), 0).tolist() for line in dots]


def ticks_of(axes):
    return [tick.get_text() for tick in axes.get_xticklabels()]


@pytest.mark.parametrize(
    ("values", "shown", "is_line"),
    [
        (["1e-3", "0", "5E-5"], ["0", "5E-5", "1e-3"], True),
        (["10", "-1", "9"], ["-1", "9", "10"], True),
        (["mean", "cls"], ["mean", "cls"], False),
        (["2", "x", "1"], ["2", "x", "1"], False),
        (["x" * 50 + "/end", "y"], ["…" + "x" * 21 + "/end", "y"], False),
    ],
)
def test_values_stand_in_order_as_typed(values, shown, is_line):
    axes = plot([make_scored(0.5, rate=value) for value in values], "rate")
    assert ticks_of(axes) == shown
    assert any(line.get_linestyle() == "-" for line in axes.lines) == is_line


def test_there_is_a_line_for_each_value_of_the_others():
    axes = plot(SCORED, "decay")
    assert dots_of(axes) == [[[0, 2], [1, 1], [1, 4]], [[0, 7]]]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["head=cls", "head=mean"]


def test_too_many_lines_become_one():
    runs = [make_scored(float(i), a=str(i % 2), b=str(i)) for i in range(9)]
    expected = [[[0, i] for i in range(0, 9, 2)] + [[1, i] for i in range(1, 9, 2)]]
    assert dots_of(plot(runs, "a")) == expected


def test_lines_go_through_means_with_bars_of_one_std():
    axes = plot(SCORED[:3], "decay")
    (line,) = [each for each in axes.lines if each.get_linestyle() == "-"]
    np.testing.assert_allclose(line.get_xydata(), [[0, 2.0], [1, 2.5]])
    (container,) = axes.containers
    # The bar of the single value has no length.
    (bar,) = [x for x in container.lines[2][0].get_segments() if np.ptp(x[:, 1])]
    half = math.sqrt(4.5)  # of 1 and 4, divided by 1
    np.testing.assert_allclose(bar, [[1, 2.5 - half], [1, 2.5 + half]])


@pytest.mark.parametrize("value", ["<b>", "好", "$x"])
def test_the_page_holds_its_pictures_and_escapes_texts(tmp_path, value):
    runs = [make_scored(1.0, head=value), make_scored(2.0, head="1 & 2")]
    sweep_report.write(str(tmp_path), runs, ["f1"])
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert '<figure id="head-f1"' in text
    assert value.replace("<", "&lt;").replace(">", "&gt;") in text
    assert "1 &amp; 2" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
