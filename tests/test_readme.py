"""The README says what is true: its example of a task works, its flags exist."""

import dataclasses
import itertools
import re

import pytest

import create_pretraining_data
from bert_my.cli import flags
from bert_my.tasks import heads
from tests import helpers

README = (helpers.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.once
def test_the_example_of_a_task_works(tiny_model, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (code,) = (block for block in blocks if "@register" in block)
    code = "\n".join(line[3:] for line in code.split("\n"))
    exec(code, {})
    data = tmp_path / "data"
    data.mkdir()
    rows = ["how the cat runs\twhy a cat runs\t1", "a dog\tthe tree wins\t0"]
    for split, num_copies in (("train", 6), ("dev", 3), ("test", 2)):
        (data / f"{split}.tsv").write_text("\n".join(rows * num_copies) + "\n")
    helpers.check_task("faq", tiny_model, data, tmp_path / "out", num_rows=4)
    header = (tmp_path / "out" / "predictions.tsv").read_text().split("\n")[0]
    assert "text_a\ttext_b\tlabel" in header


def test_flags_exist_and_defaults_are_right():
    fields = {field.name: field for field in dataclasses.fields(flags.RunConfig)}
    of_data = {f.name for f in dataclasses.fields(create_pretraining_data.DataConfig)}
    known = {*of_data, *itertools.chain(*map(flags.same_setting, fields))}
    scripts = {
        "tf1",
        "gpu",
        "data_dir",
        "hf_dir",
        "tf_checkpoint",
        "hf_output_dir",
        "model",
        "help",
        "all",
    }
    named = set(re.findall(r"--([a-z_0-9]+)", README)) - scripts
    assert named <= known, named - known
    table = re.findall(r"^\| `--(\w+)`[^|]*\| ([\d.e-]+) \|", README, re.MULTILINE)
    assert len(table) > 5
    for name, default in table:
        assert float(default) == fields[name].default, name


def test_heads_and_files_exist():
    for head in {**heads.TEXT_REPRESENTATIONS, **heads.TOKEN_REPRESENTATIONS}:
        assert f"`{head}`" in README
    for path in re.findall(
        r"`((?:bert_my|scripts|tests|docs|examples)/[\w/.]+)`", README
    ):
        if "faq" not in path:
            assert (helpers.ROOT / path).exists(), path
