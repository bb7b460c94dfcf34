"""Checkpoints of a project: family, health, files that fit; hidden states."""

import os
import shutil
import sys

import numpy as np
import pytest

import modeling
from bert_my.model import checkpoints, encoders
from bert_my.tools.project import hidden_states, hidden_worker, models, sources


@pytest.fixture
def weights(tiny_model):
    """Weights of the tiny model by name."""
    path = str(tiny_model / "bert_config.json")
    encoder = encoders.of(modeling.BertConfig.from_json_file(path))
    rng = np.random.RandomState(3)
    shapes = encoder.variable_shapes()
    return {x: rng.normal(0, 0.2, y).astype(np.float32) for x, y in shapes.items()}


def describe(folder, weights):
    """Writes a checkpoint; returns its lines and the models that can be used."""
    checkpoints.write(weights, str(folder / "bert_model.ckpt"))
    files, usable = models.find_files(list(sources.walk(str(folder)))), []
    index = str(folder / "bert_model.ckpt.index")
    return "\n".join(models.describe(index, files, usable)), usable


def test_files_beside_a_checkpoint_fit(tiny_model, weights):
    text, usable = describe(tiny_model, weights)
    assert "BERT, 1 layers, 29 words of size 32, 40 positions" in text
    assert "all values can be read and are finite" in text
    (model,) = usable
    assert model.vocab_file == str(tiny_model / "vocab.txt")


def test_files_that_do_not_fit_and_wrong_values_are_named(tiny_model, weights):
    with open(str(tiny_model / "vocab.txt"), "a") as writer:
        writer.write("more\n")
    config = (tiny_model / "bert_config.json").read_text()
    config = config.replace('"intermediate_size": 37', '"intermediate_size": 38')
    (tiny_model / "bert_config.json").write_text(config)
    weights["bert/pooler/dense/bias"][3] = np.nan
    weights["bert/pooler/dense/kernel"][:] = 0
    text, usable = describe(tiny_model, weights)
    assert "bert_config.json, beside it, does not fit" in text
    assert "vocab.txt, beside it, does not fit" in text
    assert "wrong values in 2 variables: bert/pooler/dense/bias is not finite" in text
    assert not usable


def test_a_checkpoint_that_is_cut_off_is_named(tiny_model, weights):
    checkpoints.write(weights, str(tiny_model / "bert_model.ckpt"))
    data = str(tiny_model / "bert_model.ckpt.data-00000-of-00001")
    os.truncate(data, os.path.getsize(data) // 2)
    index = str(tiny_model / "bert_model.ckpt.index")
    text = "\n".join(models.describe(index, models.Files({}, {}), []))
    assert "cannot be read; is the file" in text


def test_folders_of_hugging_face(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "bert", "vocab_size": 29}')
    assert list(models.describe_hf(str(config))) == []
    (tmp_path / "tf_model.h5").touch()
    (text,) = models.describe_hf(str(config))
    assert "tf_model.h5 alone; save it as model.safetensors" in text
    (tmp_path / "model.safetensors").touch()
    (text,) = models.describe_hf(str(config))
    assert f"--model={tmp_path} converts it" in text
    config.write_text('{"model_type": "gpt2", "vocab_size": 29}')
    (text,) = models.describe_hf(str(config))
    assert "gpt2" in text


@pytest.mark.parametrize(
    "name, family",
    [
        ("bert/encoder/transformer/group_0/inner_group_0/ffn_1/x", "ALBERT"),
        ("electra/embeddings/word_embeddings", "ELECTRA"),
        ("bert/encoder/layer_0/attention/self/query/kernel", "BERT"),
        ("model/h0/attn/c_attn/w", None),
    ],
)
def test_family_of_a_checkpoint(name, family):
    assert encoders.family_of([name, "global_step"]) == family


@pytest.fixture
def own_modeling(tmp_path):
    """Path of a copy of our modeling.py, as that of another project."""
    path = str(tmp_path / "modeling.py")
    shutil.copy(os.path.join(sources.ROOT, "modeling.py"), path)
    return path


def append(path, line):
    with open(path, "a") as writer:
        writer.write(f"\n{line}\n")


def test_hidden_states_differ_with_another_layer_norm(
    tiny_model, weights, own_modeling, monkeypatch
):
    def compute(_, path, model, inputs):
        arguments = model.config, model.checkpoint, np.load(inputs)
        return hidden_worker.compute(path, *arguments), "this Python", None

    monkeypatch.setattr(hidden_states, "_compute", compute)
    _, (model,) = describe(tiny_model, weights)
    assert "hidden states 0.0e+00" in hidden_states.compare(own_modeling, model)
    append(own_modeling, "ReferenceOps.layer_norm = lambda self, x, *_: x")
    other = hidden_states.compare(own_modeling, model)
    assert "largest difference" in other
    assert "states 0.0e+00" not in other


@pytest.mark.slow
def test_each_modeling_has_a_process(tiny_model, weights, own_modeling):
    _, (model,) = describe(tiny_model, weights)
    python = sys.executable
    assert "hidden states 0.0e+00" in hidden_states.compare(own_modeling, model, python)
    append(own_modeling, "import module_that_is_missing")
    text = hidden_states.compare(own_modeling, model, python)
    assert "not computed" in text
    assert "No module named 'module_that_is_missing'" in text
    assert not os.path.exists(os.path.join(own_modeling, "../__pycache__"))
