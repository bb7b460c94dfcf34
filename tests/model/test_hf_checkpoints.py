"""Conversion between Hugging Face folders and TensorFlow checkpoints."""

import errno
import json
import os

import numpy as np
import pytest
import safetensors.numpy
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, hf_checkpoints
from tests import helpers

NAMES = ("bert_model.ckpt", "bert_config.json", "vocab.txt")
HF_CONFIG = {
    **helpers.CONFIG,
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "vocab_size": 29,
}


def hf_tensors(prefix="", norm=("weight", "bias"), heads=False):
    """Random tensors with the names that transformers gives."""
    rng = np.random.RandomState(0)
    hidden, intermediate = HF_CONFIG["hidden_size"], HF_CONFIG["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (29, hidden),
        "embeddings.position_embeddings.weight": (40, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }

    def add_norm(scope):
        for name in norm:
            shapes[f"{scope}.LayerNorm.{name}"] = (hidden,)

    add_norm("embeddings")
    for index in range(2):
        layer = f"encoder.layer.{index}"
        sizes = {
            **{
                f"attention.self.{p}": (hidden, hidden)
                for p in ("query", "key", "value")
            },
            "attention.output.dense": (hidden, hidden),
            "intermediate.dense": (intermediate, hidden),
            "output.dense": (hidden, intermediate),
        }
        for name, shape in sizes.items():
            shapes[f"{layer}.{name}.weight"] = shape
            shapes[f"{layer}.{name}.bias"] = shape[:1]
        add_norm(f"{layer}.attention.output")
        add_norm(f"{layer}.output")
    shapes = {prefix + name: shape for name, shape in shapes.items()}
    if heads:
        shapes["classifier.weight"], shapes["classifier.bias"] = (3, hidden), (3,)
    return {
        name: rng.randn(*shape).astype(np.float32) for name, shape in shapes.items()
    }


def write_hf(folder, tensors, **config):
    folder.mkdir(exist_ok=True)
    safetensors.numpy.save_file(tensors, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps({**HF_CONFIG, **config}))
    (folder / "vocab.txt").write_text("".join(f"t{i}\n" for i in range(29)))
    return str(folder)


def test_names_and_shapes_fit_the_model(tmp_path):
    hf_checkpoints.from_hf(
        write_hf(tmp_path / "hf", hf_tensors()), str(tmp_path / "tf")
    )
    config = modeling.BertConfig.from_json_file(
        str(tmp_path / "tf" / "bert_config.json")
    )
    modeling.BertModel(config, False, tf.zeros([1, 2], tf.int32))
    ours = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
    written = dict(tf.train.list_variables(str(tmp_path / "tf" / "bert_model.ckpt")))
    assert written == ours
    assert config.hidden_act == "gelu_erf"  # what Hugging Face calls "gelu"


@pytest.mark.parametrize("heads", [False, True])
def test_round_trip_is_exact(tmp_path, heads):
    prefix = "bert." if heads else ""
    tensors = hf_tensors(prefix, heads=heads)
    hf_checkpoints.from_hf(write_hf(tmp_path / "hf", tensors), str(tmp_path / "tf"))
    folder = tmp_path / "tf"
    hf_checkpoints.to_hf(
        str(folder / "bert_model.ckpt"),
        str(folder / "bert_config.json"),
        str(folder / "vocab.txt"),
        str(tmp_path / "back"),
    )
    back = safetensors.numpy.load_file(str(tmp_path / "back" / "model.safetensors"))
    helpers.assert_all_close(back, tensors, atol=0)
    config = helpers.read_json(tmp_path / "back" / "config.json")
    assert {key: config[key] for key in HF_CONFIG} == HF_CONFIG
    architecture = "BertForSequenceClassification" if heads else "BertModel"
    assert config["architectures"] == [architecture]
    settings = helpers.read_json(tmp_path / "back" / "tokenizer_config.json")
    assert (settings["do_lower_case"], settings["model_max_length"]) == (True, 40)
    vocab = (tmp_path / "back" / "vocab.txt").read_bytes()
    assert vocab == (tmp_path / "hf" / "vocab.txt").read_bytes()


def test_kernels_are_transposed_and_heads_named_as_upstream(tmp_path):
    tensors = hf_tensors("bert.", heads=True)
    hf_checkpoints.from_hf(write_hf(tmp_path / "hf", tensors), str(tmp_path / "tf"))
    reader = tf.train.load_checkpoint(str(tmp_path / "tf" / "bert_model.ckpt"))
    np.testing.assert_array_equal(
        reader.get_tensor("bert/encoder/layer_1/intermediate/dense/kernel"),
        tensors["bert.encoder.layer.1.intermediate.dense.weight"].T,
    )
    np.testing.assert_array_equal(
        reader.get_tensor("output_weights"), tensors["classifier.weight"]
    )


def test_old_names_shards_half_precision_and_tokenizer_json(tmp_path):
    tensors = hf_tensors(norm=("gamma", "beta"))
    tensors = {name: value.astype(np.float16) for name, value in tensors.items()}
    tensors["embeddings.position_ids"] = np.arange(40)[None]
    tensors["something.new"] = np.zeros([2], np.float32)
    folder = tmp_path / "hf"
    write_hf(folder, {})
    names = sorted(tensors)
    for index, part in enumerate((names[::2], names[1::2])):
        path = folder / f"model-0000{index + 1}-of-00002.safetensors"
        safetensors.numpy.save_file({name: tensors[name] for name in part}, str(path))
    (folder / "model.safetensors").unlink()
    (folder / "vocab.txt").unlink()
    vocab = {f"t{index}": index for index in range(29)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}}))
    report = hf_checkpoints.from_hf(str(folder), str(tmp_path / "tf"))
    assert report.not_converted == {"something.new": (2,)}
    assert "something.new" in str(report)
    reader = tf.train.load_checkpoint(str(tmp_path / "tf" / "bert_model.ckpt"))
    gamma = reader.get_tensor("bert/embeddings/LayerNorm/gamma")
    np.testing.assert_array_equal(gamma, tensors["embeddings.LayerNorm.gamma"])
    assert (tmp_path / "tf" / "vocab.txt").read_text().split() == list(vocab)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_act": "silu"}, "hidden_act 'silu'"),
    ],
)
def test_other_models_are_refused(tmp_path, changes, message):
    folder = write_hf(tmp_path / "hf", hf_tensors(), **changes)
    with pytest.raises(InputError, match=message):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))


def test_missing_parts_are_named(tmp_path):
    tensors = hf_tensors()
    del tensors["encoder.layer.1.output.dense.bias"]
    folder = write_hf(tmp_path / "hf", tensors)
    with pytest.raises(InputError, match="bert/encoder/layer_1/output/dense/bias"):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    (tmp_path / "hf" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no \.safetensors file"):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))


def test_a_config_or_vocabulary_that_does_not_fit(tmp_path):
    folder = write_hf(tmp_path / "hf", hf_tensors(), intermediate_size=41)
    with pytest.raises(InputError, match=r"intermediate/dense/\w+ has shape .*41"):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    folder = write_hf(tmp_path / "hf", hf_tensors())
    with open(f"{folder}/vocab.txt", "a") as stream:
        stream.write("one more\n")
    with pytest.raises(InputError, match="30 lines, but vocab_size is 29"):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    assert not (tmp_path / "tf").exists()


def convert(tmp_path, tensors=None, **files):
    """Converts a folder with further JSON files; returns the folder written."""
    folder = write_hf(tmp_path / "hf", hf_tensors() if tensors is None else tensors)
    for name, value in files.items():
        (tmp_path / "hf" / f"{name}.json").write_text(json.dumps(value))
    hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    return tmp_path / "tf"


def write_bfloat16(path, values):
    """Writes a tensor of the type that NumPy does not have."""
    content = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    about = {"dtype": "BF16", "shape": values.shape, "data_offsets": [0, len(content)]}
    header = json.dumps({"embeddings.word_embeddings.weight": about}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)


def test_bfloat16_becomes_float32(tmp_path):
    tensors, name = hf_tensors(), "embeddings.word_embeddings.weight"
    values = (tensors.pop(name).view(np.uint32) & 0xFFFF0000).view(np.float32)
    (tmp_path / "hf").mkdir()
    write_bfloat16(tmp_path / "hf" / "words.safetensors", values)
    weights = checkpoints.read_weights(str(convert(tmp_path, tensors) / NAMES[0]))
    assert {x.dtype for x in weights.values()} == {np.dtype(np.float32)}
    found = weights["bert/embeddings/word_embeddings"]
    np.testing.assert_array_equal(found, values)


def test_weights_that_are_not_finite_are_named(tmp_path):
    tensors = hf_tensors()
    tensors["pooler.dense.bias"][1] = np.inf
    with pytest.raises(InputError, match=r"1 of .* of pooler\.dense\.bias are NaN or"):
        convert(tmp_path, tensors)
    tensors["pooler.dense.bias"] = np.zeros(32, np.int64)
    with pytest.raises(InputError, match=r"pooler\.dense\.bias is of type int64"):
        convert(tmp_path, tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "is it whole"),
        (lambda content: content[:5], "its header is not whole"),
        (lambda content: b"", "its header is not whole"),
        (lambda content: content[:8] + b"x" + content[9:], "cannot be read"),
        (lambda content: content.replace(b'"F32"', b'"F8X"', 1), "of type F8X"),
    ],
)
def test_a_damaged_file_of_weights_is_named(tmp_path, change, message):
    folder = write_hf(tmp_path / "hf", hf_tensors())
    path = tmp_path / "hf" / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"model\.safetensors: .*{message}"):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))


def test_a_vocabulary_may_have_fewer_lines_than_the_model_has_rows(tmp_path, caplog):
    caplog.set_level("INFO")
    folder = write_hf(tmp_path / "hf", hf_tensors())
    (tmp_path / "hf" / "vocab.txt").write_text("".join(f"t{i}\n" for i in range(27)))
    hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    assert "the last 2 rows of the word embeddings are those of no token" in caplog.text
    paths = [str(tmp_path / "tf" / name) for name in NAMES]
    hf_checkpoints.to_hf(*paths, str(tmp_path / "back"))
    assert helpers.read_json(tmp_path / "back" / "config.json")["vocab_size"] == 29


@pytest.mark.once
def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        reason = os.strerror(errno.ENOSPC)
        raise safetensors.SafetensorError(f'Error: Os {{ code: 28, "{reason}" }}')

    files = [str(convert(tmp_path, hf_tensors()) / name) for name in NAMES]
    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    message = "back/model.safetensors: cannot be written: No space left on device$"
    with pytest.raises(InputError, match=message):
        hf_checkpoints.to_hf(*files, str(tmp_path / "back"))
    assert not list((tmp_path / "back").iterdir())


@pytest.mark.parametrize("case", [True, False])
def test_the_case_stays_with_the_model(tmp_path, case):
    folder = convert(tmp_path, tokenizer_config={"do_lower_case": case})
    settings = helpers.read_json(folder / "tokenizer_config.json")
    assert settings == {"do_lower_case": case}


def test_a_tokenizer_that_is_not_ours_is_said(tmp_path, caplog):
    convert(
        tmp_path,
        tokenizer_config={"do_lower_case": True, "strip_accents": False},
        added_tokens={"[E1]": 29},
        tokenizer={"added_tokens": [{"id": 30, "content": "[E2]"}, {"content": "t1"}]},
    )
    assert "strip_accents is False, which the tokenizer here cannot do" in caplog.text
    assert "2 added tokens are not in the vocabulary" in caplog.text


def test_ids_of_a_fast_tokenizer_keep_their_places(tmp_path):
    folder = write_hf(tmp_path / "hf", hf_tensors())
    (tmp_path / "hf" / "vocab.txt").unlink()
    path = tmp_path / "hf" / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": {"c": 3, "a": 0, "b": 1}}}))
    hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    lines = helpers.read_lines(tmp_path / "tf" / "vocab.txt")
    assert lines == ["a", "b", "[no token 2]", "c"]
    path.write_text(json.dumps({"model": {"type": "Unigram", "vocab": [["a", 1.0]]}}))
    with pytest.raises(InputError, match=r"tokenizer\.json: its model is Unigram"):
        hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        (
            {"labels": ("no", "yes", "?"), "do_lower_case": False, "max_seq_length": 7},
            ("BertForSequenceClassification", "single_label_classification"),
        ),
        (
            {"labels": ("a", "b", "c"), "objective": "sigmoid"},
            ("BertForSequenceClassification", "multi_label_classification"),
        ),
        (
            {"labels": ("O", "B", "I"), "head": "sequence", "objective": "token"},
            ("BertForTokenClassification", None),
        ),
        ({"head": "mean"}, ("BertModel", None)),
    ],
)
def test_what_a_model_was_trained_for_goes_with_it(tmp_path, purpose, expected):
    folder = convert(tmp_path, hf_tensors("bert.", heads=True))
    purpose = hf_checkpoints.Purpose(**purpose)
    paths = [str(folder / name) for name in NAMES]
    hf_checkpoints.to_hf(*paths, str(tmp_path / "back"), purpose)
    config = helpers.read_json(tmp_path / "back" / "config.json")
    assert (*config["architectures"], config.get("problem_type")) == expected
    if purpose.labels:
        assert list(config["id2label"].values()) == list(purpose.labels)
        assert config["label2id"] == {x: i for i, x in enumerate(purpose.labels)}
    else:
        assert "id2label" not in config
    settings = helpers.read_json(tmp_path / "back" / "tokenizer_config.json")
    assert settings["model_max_length"] == (purpose.max_seq_length or 40)
    assert settings["do_lower_case"] is (purpose.do_lower_case is not False)


def test_labels_of_another_run_are_refused(tmp_path):
    folder = convert(tmp_path, hf_tensors("bert.", heads=True))
    paths = [str(folder / name) for name in NAMES]
    with pytest.raises(InputError, match=r"3 rows, and the run's labels are 2: a, b"):
        hf_checkpoints.to_hf(
            *paths, str(tmp_path / "back"), hf_checkpoints.Purpose(("a", "b"))
        )
    assert not (tmp_path / "back").exists()


def test_a_checkpoint_with_fewer_layers_does_not_go_back(tmp_path):
    hf_checkpoints.from_hf(
        write_hf(tmp_path / "hf", hf_tensors()), str(tmp_path / "tf")
    )
    paths = [str(tmp_path / "tf" / name) for name in NAMES]
    config = helpers.read_json(paths[1])
    for changes, message in (
        ({"num_hidden_layers": 3}, "lacks the variable bert/encoder/layer_2"),
        ({"hidden_act": "tanh"}, "hidden_act 'tanh'"),
    ):
        (tmp_path / "tf" / NAMES[1]).write_text(json.dumps({**config, **changes}))
        with pytest.raises(InputError, match=message):
            hf_checkpoints.to_hf(*paths, str(tmp_path / "back"))
        assert not (tmp_path / "back").exists()
    with pytest.raises(InputError, match="--vocab_file=nowhere"):
        (tmp_path / "tf" / NAMES[1]).write_text(json.dumps(config))
        hf_checkpoints.to_hf(*paths[:2], "nowhere", str(tmp_path / "back"))


@pytest.mark.parametrize(
    ("theirs", "ours", "back"),
    [
        pytest.param("gelu", "gelu_erf", "gelu", marks=pytest.mark.slow),
        ("gelu_pytorch_tanh", "gelu", "gelu_new"),
    ],
)
def test_activations_keep_their_meaning(tmp_path, theirs, ours, back):
    folder = write_hf(tmp_path / "hf", hf_tensors(), hidden_act=theirs)
    hf_checkpoints.from_hf(folder, str(tmp_path / "tf"))
    tf_folder = tmp_path / "tf"
    assert helpers.read_json(tf_folder / "bert_config.json")["hidden_act"] == ours
    hf_checkpoints.to_hf(
        *(str(tf_folder / name) for name in ("bert_model.ckpt", "bert_config.json")),
        str(tf_folder / "vocab.txt"),
        str(tmp_path / "back"),
    )
    assert helpers.read_json(tmp_path / "back" / "config.json")["hidden_act"] == back
