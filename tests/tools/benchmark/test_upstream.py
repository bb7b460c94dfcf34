"""Upstream's modules in the benchmark; ours stand for them, with the same interface."""

import pytest

from bert_my.common.errors import InputError
from bert_my.tools.benchmark import upstream, workload
from tests import helpers


@pytest.mark.parametrize("mode", ["train", "predict"])
def test_all_rows_are_padded(request_of, tmp_path, mode):
    request = request_of(
        f"--mode={mode}", f"--upstream_dir={helpers.ROOT}", "--warmup_steps=1"
    )
    found = upstream.run(request, str(tmp_path))
    lengths = workload.row_lengths("titles", 12, 24)
    # Four batches of three; the first is for the warm-up, and comes again at the end.
    assert (found["rows"], found["num_steps"]) == (12, 4)
    assert found["tokens"] == lengths.sum()
    assert found["padding_share"] == pytest.approx(1 - lengths.mean() / 24)
    assert found["precision"] == "fp32"


def test_modules_that_do_not_fit(request_of, tmp_path):
    with pytest.raises(InputError, match=r"--upstream_dir=.*: there is no modeling.py"):
        upstream.run(request_of(f"--upstream_dir={tmp_path}"), str(tmp_path))
    request = request_of(f"--upstream_dir={tmp_path}")
    for code, reason in (
        ("import tensorflow as tf\ntf.no_such_thing\n", "no_such_thing"),
        ("import no_such_module\n", "no_such_module"),
        ("", "BertModel"),
    ):
        (tmp_path / "modeling.py").write_text(code)
        with pytest.raises(InputError, match=f"does not run on TensorFlow .*{reason}"):
            upstream.run(request, str(tmp_path))


def test_what_upstream_does_not_know(request_of):
    for flag, value in (("precision", "bf16"), ("towers", 2), ("input", "synthetic")):
        with pytest.raises(InputError, match=f"--{flag}: upstream does not know it"):
            request_of("--upstream_dir=x", f"--{flag}={value}")
    with pytest.raises(InputError, match="--upstream_dir: --mode=encode"):
        request_of("--upstream_dir=x", "--mode=encode")
