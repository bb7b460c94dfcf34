"""The table of a sweep: golden values, missing values, and the metrics shown."""

import csv

import pytest

from bert_my.tools import sweep_plan, sweep_table


def make_run(head, seed, state="finished", **scores):
    return sweep_plan.Run(
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
    rows = sweep_table.tabulate(runs)
    best = sweep_table.find_best(rows, metrics)
    cells = sweep_table.make_cells(rows, metrics)
    return sweep_table.to_text(cells, best, sweep_table.make_notes(runs, best, metrics))


def test_summary_is_of_a_sample():
    assert sweep_table.summarize([1.0, 2.0, 6.0], "f1") == (3.0, 6.0, 7**0.5, 3)


def test_the_best_is_the_lowest_where_lower_is_better():
    assert sweep_table.summarize([2.0, 1.0, 6.0], "eval_loss").best == 1.0


def test_one_value_has_no_standard_deviation():
    assert sweep_table.summarize([2.5], "f1") == (2.5, 2.5, None, 1)
    assert sweep_table.summarize([], "f1") is None


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
    rows = sweep_table.tabulate(RUNS)
    assert sweep_table.find_best(rows, ["f1"]) == [1]
    assert sweep_table.find_best(rows[1:], ["eval_loss"]) == [0]
    assert sweep_table.find_best(rows, ["unknown"]) == []
    assert sweep_table.find_best(rows[:1], ["f1"]) == []  # nothing to choose from


def test_all_settings_with_the_best_mean_are_marked(tmp_path):
    # Both have a mean loss of 3.
    text = sweep_table.write(str(tmp_path), RUNS, requested=["eval_loss"])
    assert [line[0] for line in text.splitlines()[2:5]] == ["*", "*", " "]
    _, *lines = lines_of(tmp_path / "sweep.csv")
    assert [line[3] for line in lines] == ["1", "1", "0"]
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<b>* cls</b>" in page and "<b>* mean</b>" in page


def test_small_and_large_values_keep_their_digits():
    runs = [make_run("cls", 1, mse=123456.0), make_run("cls", 2, mse=123457.0)]
    assert "1.235e+05 (1.235e+05) ± 0.7071" in text_of(runs, ["mse"])


def test_long_lists_of_runs_are_cut():
    runs = [make_run("cls", seed, "failed") for seed in range(13)]
    progress = sweep_table.describe_progress(runs)
    assert progress.startswith("0 of 13 planned runs are in the table; failed: head=")
    assert progress.endswith("head=cls/seed-9 and 3 more.")


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
    assert sweep_table.choose_metrics(runs, requested, main_metric) == shown


def test_a_metric_that_no_run_has_is_told():
    assert "No metric auc; there are eval_loss, f1." in text_of(RUNS, ["auc"])


def lines_of(path):
    with open(str(path), encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_csv_files_hold_every_metric_and_run(tmp_path):
    sweep_table.write(str(tmp_path), RUNS, requested=["f1"])
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
    text = sweep_table.write(str(tmp_path), RUNS[-1:])
    assert text.endswith(
        "0 of 1 planned runs are in the table; not run yet: head=max/seed-3.\n"
    )
    assert (tmp_path / "report" / "index.html").exists()
