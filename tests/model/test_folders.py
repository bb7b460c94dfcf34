"""Folders of models: which files, which checkpoint and which case are found."""

import json
import os
import shutil

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.model import encoders, folders, hf_checkpoints, pretrained
from tests import damage


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("")
    return folder


def model(folder, *checkpoints, vocab="the\n##ing\n[CLS]\n<S>\n"):
    touch(folder, "bert_config.json", *(f"{name}.index" for name in checkpoints))
    (folder / "vocab.txt").write_text(vocab)
    return folder


def find(path, **known):
    return folders.find(str(path), "nowhere", **known)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["bert_model.ckpt"], "bert_model.ckpt"),
        (["model.ckpt-900", "model.ckpt-12000"], "model.ckpt-12000"),
        (["chinese_wwm_ext_L-12"], "chinese_wwm_ext_L-12"),
    ],
)
def test_the_checkpoint_of_any_name(tmp_path, names, expected):
    found = find(model(tmp_path, *names))
    assert found.init_checkpoint == str(tmp_path / expected)
    assert found.vocab_file == str(tmp_path / "vocab.txt")


def test_a_checkpoint_can_be_named_instead_of_its_folder(tmp_path):
    model(tmp_path, "a.ckpt", "b.ckpt")
    for ending in ("", ".index", ".data-00000-of-00001"):
        found = find(f"{tmp_path}/b.ckpt{ending}")
        assert found.init_checkpoint == f"{tmp_path}/b.ckpt"


def test_files_of_other_names(tmp_path):
    touch(tmp_path, "x.ckpt.index", "bert_config_tiny.json", "my_vocab.txt")
    touch(tmp_path, "tokenizer_config.json")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    found = find(tmp_path)
    assert found.bert_config_file.endswith("bert_config_tiny.json")
    assert found.vocab_file.endswith("my_vocab.txt")


@pytest.mark.parametrize(
    ("folder", "checkpoint", "vocab", "expected"),
    [
        ("uncased_L-2", "bert_model.ckpt", "The\n", True),
        ("cased_L-2", "bert_model.ckpt", "the\n", False),
        ("multi_cased_L-2", "bert_model.ckpt", "the\n", False),
        ("chinese_L-12", "bert_model.ckpt", "The\n", True),
        ("m", "chinese_wwm.ckpt", "The\n", True),
        ("m", "bert_model.ckpt", "[CLS]\nthe\n<S>\n", True),
        ("m", "bert_model.ckpt", "[CLS]\nthe\n##Ing\n", False),
    ],
)
def test_the_case_of_text(tmp_path, folder, checkpoint, vocab, expected):
    folder = model(tmp_path / folder, checkpoint, vocab=vocab)
    assert find(folder).do_lower_case is expected
    assert find(folder, do_lower_case=not expected).do_lower_case is not expected
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": not expected})
    )
    assert find(folder).do_lower_case is not expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["vocab.txt", "bert_config.json"], "there are no weights"),
        (
            ["vocab.txt", "bert_config.json", "a.ckpt.index", "model.ckpt-3.index"],
            "several checkpoints, a.ckpt, model.ckpt-3; give.*--init_checkpoint",
        ),
        (["bert_config.json", "a.ckpt.index"], "of the vocabulary.*--vocab_file"),
        (
            ["vocab.txt", "a_config.json", "b_config.json", "a.ckpt.index"],
            "several: a_config.json, b_config.json; give --bert_config_file",
        ),
        (["config.json", "vocab.txt", "pytorch_model.bin"], "config.json: not valid"),
        (["vocab.txt", "model.safetensors"], "there is no config.json"),
        (["a.ckpt.data-00000-of-00001"], r"but no a\.ckpt\.index"),
    ],
)
def test_what_is_missing_or_not_clear_is_named(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        folders.find(str(touch(tmp_path / "m", *names)), str(tmp_path / "cache"))


def test_files_that_are_known_need_not_be_there(tmp_path):
    folder = touch(tmp_path / "m", "a_vocab.txt", "b_vocab.txt", "a.ckpt.index")
    found = find(folder, vocab_file="v", bert_config_file="c", do_lower_case=True)
    assert found[:3] == ("v", "c", str(folder / "a.ckpt"))


def test_names_of_models_and_outer_folders(tmp_path):
    with pytest.raises(InputError, match=r"bert-base-chinese.*nothing is downloaded"):
        find("bert-base-chinese")
    inner = model(tmp_path / "uncased", "bert_model.ckpt")
    with pytest.raises(InputError, match=f"did you mean {inner}"):
        find(tmp_path)


@pytest.fixture
def hf(tiny_model, tmp_path):
    """Hugging Face folder of a model."""
    config = pretrained.read_bert_config(str(tiny_model / "bert_config.json"))
    lines = (tiny_model / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    shapes = encoders.of(config).variable_shapes()
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    written = pretrained.write(str(tmp_path / "tf"), lines, config, weights)
    hf = tmp_path / "model-cased"
    hf_checkpoints.to_hf(
        written.init_checkpoint, written.bert_config_file, written.vocab_file, str(hf)
    )
    (hf / "tokenizer_config.json").unlink()  # so that the folder's name tells the case
    return hf


def test_a_hugging_face_folder_is_converted_once(hf, tmp_path, monkeypatch):
    found = folders.find(str(hf), str(tmp_path / "cache"))
    assert found.do_lower_case is False
    assert pretrained.read_bert_config(found.bert_config_file).hidden_size == 32
    monkeypatch.setattr(hf_checkpoints, "from_hf", None)
    assert folders.find(str(hf), str(tmp_path / "cache")) == found
    (hf / "tokenizer_config.json").write_text("{}")  # another state of the folder
    with pytest.raises(TypeError):
        folders.find(str(hf), str(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").iterdir())) == 1


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """A function that finds a model after one conversion -> (`Found`, its folder)."""
    hf = touch(tmp_path / "hf", "config.json", "model.safetensors")

    def from_hf(_, folder, vocab_file):
        files = ("bert_config.json", "m.ckpt.index", "m.ckpt.data-0", "vocab.txt")
        for name in files:
            with open(os.path.join(folder, name), "w") as writer:
                writer.write(name * 9)

    monkeypatch.setattr(hf_checkpoints, "from_hf", from_hf)

    def find_converted():
        found = folders.find(str(hf), str(tmp_path / "cache"))
        return found, tmp_path / "cache" / found.vocab_file.split("/")[-2]

    return find_converted


@pytest.mark.parametrize("way", damage.WAYS)
def test_a_damaged_conversion_is_made_again_with_a_line(convert, caplog, way):
    found, folder = convert()
    before = contents(folder)
    for name in before:
        damage.WAYS[way](str(folder / name))
        assert convert() == (found, folder)
        assert {path: (folder / path).read_bytes() for path in before} == before
        (line,) = [each for each in caplog.messages if "converted again" in each]
        assert line.startswith(f"{folder}/")
        caplog.clear()
    convert()
    assert not caplog.messages


def test_a_file_in_the_place_of_a_conversion_is_moved(convert):
    found, folder = convert()
    before = contents(folder)
    shutil.rmtree(str(folder))
    folder.write_text("junk")
    assert convert() == (found, folder)
    assert contents(folder) == before


def test_other_weights_of_the_same_size_and_time_are_converted(hf, tmp_path):
    cache = str(tmp_path / "cache")
    first = folders.find(str(hf), cache)
    weights = hf / "model.safetensors"
    status = weights.stat()
    other = hf / "other"
    other.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(weights)
    assert folders.find(str(hf), cache).init_checkpoint != first.init_checkpoint


def test_a_vocabulary_by_flag_for_a_hugging_face_folder(hf, tmp_path):
    vocab_file = tmp_path / "words.txt"
    (hf / "vocab.txt").rename(vocab_file)
    cache = str(tmp_path / "cache")
    with pytest.raises(InputError, match=r"neither vocab.txt nor tokenizer.json"):
        folders.find(str(hf), cache)
    found = folders.find(str(hf), cache, vocab_file=str(vocab_file))
    assert found.vocab_file == str(vocab_file)
    other = folders.find(str(hf), cache, "x.ckpt", vocab_file=str(vocab_file))
    assert other == found._replace(init_checkpoint="x.ckpt")
