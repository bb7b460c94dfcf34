"""Upstream's modules in the benchmark, represented by ours with the same interface."""

import pytest

from bert_my.common.errors import InputError
from bert_my.tools.benchmark import upstream, workload
from tests import helpers


@pytest.mark.parametrize("mode", ["train", "predict"])
def test_all_rows_are_padded(settings_of, tmp_path, mode):
    settings = settings_of(
        f"--mode={mode}", f"--upstream_dir={helpers.ROOT}", "--warmup_steps=1"
    )
    found = upstream.run(settings, str(tmp_path))
    lengths = workload.row_lengths(settings)
    # Four batches of three; the first is for the warm-up, and comes again at the end.
    assert (found["rows"], found["num_steps"]) == (12, 4)
    assert found["tokens"] == lengths.sum()
    assert found["padding_share"] == pytest.approx(1 - lengths.mean() / 24)
    assert found["precision"] == "fp32"


def test_modules_that_do_not_fit(settings_of, tmp_path):
    settings = settings_of(f"--upstream_dir={tmp_path}")
    with pytest.raises(InputError, match=r"--upstream_dir=.* modeling.py"):
        upstream.run(settings, str(tmp_path))
    for code, reason in (
        ("import tensorflow as tf\ntf.no_such_thing\n", "no_such_thing"),
        ("import no_such_module\n", "no_such_module"),
        ("", "BertModel"),
    ):
        (tmp_path / "modeling.py").write_text(code)
        with pytest.raises(InputError, match=f"--upstream_dir=.*{reason}"):
            upstream.run(settings, str(tmp_path))


def test_flags_without_effect_on_upstream_are_refused(settings_of):
    for flag, value in (("precision", "bf16"), ("n_gpus", 2), ("freeze", "bert")):
        with pytest.raises(InputError, match=f"--{flag}: "):
            settings_of("--upstream_dir=x", f"--{flag}={value}")
    with pytest.raises(InputError, match="--upstream_dir: "):
        settings_of("--upstream_dir=x", "--mode=encode")
