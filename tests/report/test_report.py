"""The report: what the page holds for each kind of task, and what it leaves out."""

import re
import subprocess
import sys

import matplotlib.image
import pytest

from bert_my.common.errors import InputError
from bert_my.report import report
from tests import helpers
from tests.report import made_runs
from tests.report.pages import Page, read_page

TRAINING_PICTURES = {
    "training_loss",
    "learning_rate",
    "speed",
    "dev_loss",
    "dev_metrics",
}
OF_LABELS = {"calibration", "confusion", "scores_by_label"}
CURVES = {"roc", "thresholds", "precision_recall"}
OF_EACH_LABEL = OF_LABELS | CURVES | {"score_histograms"}
PICTURES = {
    "binary": OF_LABELS | CURVES | {"scores"},
    "two_rows": OF_LABELS | CURVES | {"scores"},
    "three": OF_EACH_LABEL | {"scores"},
    "chinese": OF_EACH_LABEL | {"scores"},
    "fifty": OF_EACH_LABEL | {"scores"},
    "multilabel": OF_EACH_LABEL,
    "regression": {"scatter", "residuals"},
    "labeling": {"entities", "confusion"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name -> folder of a run, with its report."""
    folders = made_runs.make_all(tmp_path_factory.mktemp("runs"))
    for folder in folders.values():
        report.write(folder)
    return folders


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_pictures_of_each_kind(runs, name):
    pictures = read_page(runs[name]).pictures
    assert set(pictures) == PICTURES[name] | TRAINING_PICTURES
    assert all(each["aria-label"] for each in pictures.values())


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_page_needs_nothing_else(runs, name):
    page = read_page(runs[name])
    assert page.source.startswith("<!DOCTYPE html>")
    assert '<meta charset="utf-8">' in page.source
    assert "<script" not in page.source and "@import" not in page.source
    for link in page.links:
        assert link.startswith(("#", "data:image/png;base64,"))


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_ids_are_unique_and_links_lead_to_them(runs, name):
    page = read_page(runs[name])
    assert len(set(page.ids)) == len(page.ids)
    links = {link[1:] for link in page.links if link.startswith("#")}
    links |= set(re.findall(r"url\(#(\w+)\)", page.source))
    assert links <= set(page.ids)


def test_names_of_labels_are_text_in_pictures(runs):
    source = read_page(runs["chinese"]).source
    assert re.search(r"<text [^>]*>\s*体育</text>", source)


def test_same_run_gives_the_same_page(runs):
    path = runs["two_rows"] / "report" / "index.html"
    before = path.read_bytes()
    report.write(runs["two_rows"])
    assert path.read_bytes() == before


def test_png_files_are_written_on_demand(runs):
    folder = runs["two_rows"] / "report"
    assert not list(folder.glob("*.png"))
    report.write(runs["two_rows"], with_png=True)
    pictures = read_page(runs["two_rows"]).pictures
    assert {path.stem for path in folder.glob("*.png")} == set(pictures)
    for name, picture in pictures.items():
        height, width, _ = matplotlib.image.imread(str(folder / f"{name}.png")).shape
        assert width / height == pytest.approx(
            int(picture["width"]) / int(picture["height"]), rel=0.01
        )


def test_a_missing_font_is_reported_once(tmp_path, caplog):
    labels = ["\U00013000", "\U00013001"]  # Egyptian hieroglyphs
    folder = made_runs.make_classification(tmp_path, labels, 31)
    report.write(folder)
    assert not caplog.records
    report.write(folder, with_png=True)
    (record,) = caplog.records
    assert "fonts-wqy-microhei" in record.getMessage()


def test_head_says_task_rows_and_date(runs):
    text = read_page(runs["binary"]).text
    assert "Task made, classification. 2 labels: 0, 1. Dev set of 613 rows." in text
    assert re.search(r"Evaluated on \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", text)
    assert "Dev set of 61 sentences." in read_page(runs["labeling"]).text


def test_results_show_the_main_metric_first_and_undefined_ones(runs):
    tiles = re.findall(
        r'class="tile( main)?">(\w+)<b>(.*?)</b>', read_page(runs["three"]).source
    )
    assert tiles == [
        (" main", "eval_accuracy", "0.8712"),
        ("", "eval_loss", "0.3120"),
        ("", "f1", "0.8600"),
        ("", "auc", "–"),
        ("", "global_step", "7"),
    ]


def test_texts_of_mistakes_are_escaped_and_whole(tmp_path):
    text = '<script>alert(1)</script>&amp; "国足"\x07 ' + "字" * 999
    made_runs.write_task(tmp_path, "classification", ["a", "<i>b"])
    columns = ["index", "guid", "text_a", "label", "predicted_label"]
    row = [0, "g<u>", text, "a", "<i>b", 0.25, 0.75]
    columns += ["probability_a", "probability_<i>b"]
    made_runs.write_rows(tmp_path, columns, [row])
    report.write(tmp_path)
    page = read_page(tmp_path)
    shown = ["1", "g<u>", text.replace("\x07", "�"), "a", "<i>b", "0.7500"]
    assert shown in page.rows
    assert "script" not in page.open and "<script" not in page.source


def test_largest_errors_of_numbers(tmp_path):
    made_runs.write_task(tmp_path, "regression")
    columns = ["index", "guid", "text_a", "label", "prediction"]
    rows = [[0, "a", "x", 1.5, 1.2500000119], [1, "b", "y", 2, 4.5]]
    made_runs.write_rows(tmp_path, columns, rows)
    report.write(tmp_path)
    shown = read_page(tmp_path).rows
    assert ["1", "b", "y", "2", "4.5", "+2.5"] in shown
    assert ["2", "a", "x", "1.5", "1.25", "-0.25"] in shown


def test_entities_are_marked_on_the_characters(runs):
    source = read_page(runs["labeling"]).source
    assert re.search(r">王小明<small>PER</small></mark>在<mark", source)
    assert re.search(r'</mark> lives in <mark style="[^"]*">New York<small>', source)


def test_single_class_dev_set_says_what_is_left_out(runs):
    page = read_page(runs["one_class"])
    assert "need rows of both labels; here all 9 rows have the label '0'" in page.text
    assert set(page.pictures) == OF_LABELS | {"scores"}


def test_png_files_of_an_earlier_report_are_deleted(tmp_path):
    folder = made_runs.write_task(tmp_path, "regression")
    columns = ["index", "guid", "text_a", "label", "prediction"]
    made_runs.write_rows(folder, columns, [[0, "a", "x", 1.5, 1.25]])
    report.write(folder, with_png=True)
    (folder / "report" / "mine.png").write_bytes(b"")
    (folder / "dev_predictions.tsv").unlink()
    report.write(folder)
    assert [path.stem for path in (folder / "report").glob("*.png")] == ["mine"]


def test_a_comparison_deletes_nothing(runs, tmp_path):
    (tmp_path / "thresholds.png").write_bytes(b"")
    report.compare([runs["two_rows"]], tmp_path)
    assert (tmp_path / "thresholds.png").exists()


def test_of_many_labels_the_worst_curves_are_shown(runs):
    text = read_page(runs["fifty"]).text
    assert "The 10 of 50 labels with the lowest AUC." in text
    assert "The 10 of 50 labels with the lowest average precision." in text


def test_of_many_labels_the_worst_have_a_histogram(runs):
    assert "The 9 of 50 labels with the lowest F1." in read_page(runs["fifty"]).text
    assert "with the lowest F1" not in read_page(runs["three"]).text


def test_settings_are_sorted(runs):
    rows = read_page(runs["binary"]).rows
    assert rows[-4:] == [
        ["learning_rate", "5e-05"],
        ["max_seq_length", "64"],
        ["seed", "0"],
        ["task_name", "made"],
    ]


@pytest.mark.parametrize(
    "left_out,sentence",
    [
        ("run_config.json", "There is no run_config.json"),
        ("task.json", "There is no task.json"),
        ("training.csv", "There is no training.csv"),
        ("evaluations.jsonl", "There is no evaluations.jsonl"),
        ("eval_results.json", "There is no eval_results.json"),
        ("dev_predictions.tsv", "There is no dev_predictions.tsv"),
    ],
)
def test_what_is_not_there_is_left_out_with_a_sentence(tmp_path, left_out, sentence):
    made_runs.make_classification(tmp_path, ["0", "1"], num_rows=11)
    (tmp_path / left_out).unlink()
    report.write(tmp_path)
    assert sentence in read_page(tmp_path).text


def test_a_run_that_has_just_begun(tmp_path):
    header = "step,loss,learning_rate,examples_per_second\n"
    (tmp_path / "training.csv").write_text(header)
    report.write(tmp_path)
    assert "There is no training.csv with steps." in read_page(tmp_path).text


def test_losses_that_are_not_finite(tmp_path):
    lines = ["step,loss,learning_rate,examples_per_second", "1,nan,0,", "2,inf,0,0", ""]
    (tmp_path / "training.csv").write_text("\n".join(lines))
    report.write(tmp_path)
    assert "The speed of training was not logged." in read_page(tmp_path).text


def test_names_of_metrics_with_labels_are_not_tiles(tmp_path):
    folder = made_runs.make_classification(tmp_path, ["体育", "财经"], 31)
    scores = {"f1_体育": 0.5, "f1_macro": 0.25, "precision_财经": 0.75}
    made_runs.write_json(folder / "eval_results.json", scores)
    report.write(folder)
    page = read_page(folder)
    assert re.findall(r'class="tile">(\w+)<', page.source) == ["f1_macro"]
    assert ["f1_体育", "0.5000"] in page.rows


def test_compare_marks_the_best_and_shows_what_differs(tmp_path):
    folders = []
    for seed, f1, loss in ((1, 0.5, 0.25), (2, 0.75, 0.5)):
        folder = tmp_path / f"run{seed}" / "output"
        made_runs.make_classification(folder, ["0", "1"], 53, seed=seed)
        scores = {"f1": f1, "eval_loss": loss, "auc": None, "eval_accuracy": 0.875}
        made_runs.write_json(folder / "eval_results.json", scores)
        folders.append(folder)
    path = report.compare(folders, tmp_path / "comparison")
    page = Page(path)
    bold = re.findall(r'data-head="metric">(\w+)<.*', page.source)
    assert bold == ["eval_accuracy", "f1", "eval_loss", "auc"]
    assert "<b>0.7500</b>" in page.source and "<b>0.2500</b>" in page.source
    assert "<b>0.5000</b>" not in page.source
    assert page.source.count("<b>0.8750</b>") == 2
    assert ["flag", "run1/output", "run2/output"] in page.rows
    assert ["seed", "1", "2"] in page.rows
    assert not any(row[0] == "task_name" for row in page.rows)
    expected = {"roc", "training_loss", "learning_rate", "speed"}
    expected |= {"dev_eval_accuracy", "dev_eval_loss", "dev_f1"}
    assert set(page.pictures) == expected


def test_compare_runs_of_different_kinds(runs, tmp_path):
    folders = [runs["regression"], runs["labeling"], runs["one_class"]]
    text = Page(report.compare(folders, tmp_path / "c")).text
    assert "one_class has no eval_results.json." in text
    assert "No run has predictions for rows of two labels." in text


def test_command_writes_one_report_or_a_comparison(runs, tmp_path):
    argv = ["program", runs["two_rows"]]
    output = helpers.run_script("scripts/report.py", argv, tmp_path).stdout
    assert output.strip() == str(runs["two_rows"] / "report" / "index.html")
    argv += [runs["regression"], "--png"]
    output = helpers.run_script("scripts/report.py", argv, tmp_path).stdout
    assert (tmp_path / output.strip().splitlines()[-1]).exists()
    assert (tmp_path / "report_comparison" / "index.html").exists()
    assert (tmp_path / "report_comparison" / "training_loss.png").exists()


def test_command_names_a_broken_file_without_traceback(tmp_path):
    (tmp_path / "task.json").write_text("{")
    result = helpers.run_script(
        "scripts/report.py", ["program", tmp_path], tmp_path, check=False
    )
    assert result.returncode == 1
    assert result.stdout.startswith(f"error: {tmp_path / 'task.json'}: not JSON")


def test_report_needs_no_tensorflow():
    code = "import sys, bert_my.report.report; print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, cwd=str(helpers.ROOT), check=True, stdout=subprocess.PIPE, text=True
    )
    assert result.stdout.strip() == "False"


def test_a_folder_that_cannot_be_written_is_named(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        report.compare([runs["two_rows"]], tmp_path / "file")
