"""Names of the files of checkpoints, and the list of a folder."""

import pytest

from bert_my.common import checkpoint_files


@pytest.mark.parametrize("text", ['"a/model.ckpt-4\\303\\251"', '"a/model.ckpt-4é"'])
def test_paths_in_a_list_may_have_any_letters(tmp_path, text):
    (tmp_path / "checkpoint").write_text(
        f'model_checkpoint_path: {text}\nall_model_checkpoint_paths: "b-1"\n',
        encoding="utf-8",
    )
    listed = checkpoint_files.read_list(str(tmp_path))
    assert listed == ("a/model.ckpt-4é", ["b-1"])
    assert listed.names == {"model.ckpt-4é", "b-1"}


@pytest.mark.parametrize("text", ["", "junk", 'model_checkpoint_path: "\\"'])
def test_a_damaged_list(tmp_path, text):
    assert checkpoint_files.read_list(str(tmp_path)) is None
    (tmp_path / "checkpoint").write_text(text)
    with pytest.raises(ValueError):
        checkpoint_files.read_list(str(tmp_path))


def test_the_checkpoint_of_a_file():
    for ending in ("", ".index", ".meta", ".data-00000-of-00001"):
        path = f"a.index/model.ckpt-4{ending}"
        assert checkpoint_files.without_ending(path) == "a.index/model.ckpt-4"
