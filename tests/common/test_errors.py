"""Suggestions in errors, of the value that was meant."""

import pytest

from bert_my.common import errors


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("lable", "; did you mean label?"), ("TEXT", "; did you mean text?"), ("x", "")],
)
def test_the_word_that_is_most_alike(word, suggestion):
    assert errors.did_you_mean(word, ["text", "label"]) == suggestion


def test_a_path_that_is_most_alike(tmp_path):
    (tmp_path / "train.csv").write_text("")
    (tmp_path / "trian").mkdir()
    path = str(tmp_path / "train.csv")
    reason = errors.no_such_path(str(tmp_path / "trian.csv"), "file")
    assert reason == f"there is no such file; did you mean {path}?"
    assert errors.no_such_path(str(tmp_path / "xyz"), "folder") == (
        "there is no such folder"
    )
    assert errors.no_such_path(str(tmp_path / "no" / "a.csv"), "file") == (
        f"there is no such file, and no folder {tmp_path / 'no'}"
    )
