"""The jobs of a run: the checkpoint that they use."""

import numpy as np
import pytest

from bert_my.cli import jobs
from bert_my.common.errors import InputError
from bert_my.model import checkpoints

pytestmark = pytest.mark.once


def test_a_checkpoint_that_is_deleted_meanwhile_is_replaced(tmp_path, monkeypatch):
    newer = str(tmp_path / "model.ckpt-8")
    used = []

    def job(checkpoint):
        used.append(checkpoint)
        if len(used) == 1:
            raise InputError("gone")
        for path in tmp_path.glob("model.ckpt-8.*"):
            path.unlink()
        assert checkpoints.read_weights(checkpoint)["a"].tolist() == [2, 3]

    checkpoints.write({"a": np.array([2, 3], np.float32)}, newer)
    monkeypatch.setattr(jobs, "_choose_checkpoint", lambda config: newer)
    jobs._use(None, job, str(tmp_path / "model.ckpt-6"))
    assert len(used) == 2
    assert not list(tmp_path.iterdir())


def test_an_error_of_a_checkpoint_that_is_there_is_not_hidden(tmp_path):
    (tmp_path / "model.ckpt-8.index").touch()

    def job(checkpoint):
        raise InputError("wrong row")

    with pytest.raises(InputError, match="wrong row"):
        jobs._use(None, job, str(tmp_path / "model.ckpt-8"))
