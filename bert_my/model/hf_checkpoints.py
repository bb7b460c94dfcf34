"""Converts between Hugging Face BERT folders and TensorFlow checkpoints; no torch.

One table of names serves both directions. Tied and derived tensors (the decoder of the
masked-LM head, `position_ids`) are not stored in TensorFlow checkpoints.
"""

import json
import os
from typing import Dict, NamedTuple

import numpy as np
import safetensors.numpy
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, pretrained
from bert_my.text import vocabulary


class Name(NamedTuple):
    """A tensor's name on both sides; dense kernels are transposed."""

    ours: str
    theirs: str
    is_transposed: bool = False


# Hugging Face's "gelu" is the erf form, upstream's is the tanh form.
_HF_ACTIVATIONS = {"gelu": "gelu_erf", "gelu_new": "gelu", "relu": "relu"}
_HF_TANH_GELUS = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
_CONFIG_KEYS = tuple(modeling.BertConfig(vocab_size=0).to_dict())
_AVERAGE = checkpoints.average_name("")
_NOT_STORED = ("embeddings.position_ids", "cls.predictions.decoder.")


def names(num_hidden_layers):
    """Returns the list of `Name`s that a BERT with all its heads may have."""

    table = [
        Name(
            f"bert/embeddings/{kind}_embeddings", f"embeddings.{kind}_embeddings.weight"
        )
        for kind in ("word", "position", "token_type")
    ]
    table += _layer_norm("bert/embeddings", "embeddings")
    for index in range(num_hidden_layers):
        table += _layer(f"bert/encoder/layer_{index}", f"encoder.layer.{index}")
    table += _dense("bert/pooler/dense", "pooler.dense")
    transform = "cls/predictions/transform", "cls.predictions.transform"
    table += _dense(f"{transform[0]}/dense", f"{transform[1]}.dense")
    table += _layer_norm(*transform)
    return [
        *table,
        Name("cls/predictions/output_bias", "cls.predictions.bias"),
        Name("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
        Name("cls/seq_relationship/output_bias", "cls.seq_relationship.bias"),
        Name("output_weights", "classifier.weight"),
        Name("output_bias", "classifier.bias"),
    ]


def _dense(tf_scope, hf_scope):
    return [
        Name(f"{tf_scope}/kernel", f"{hf_scope}.weight", is_transposed=True),
        Name(f"{tf_scope}/bias", f"{hf_scope}.bias"),
    ]


def _layer_norm(tf_scope, hf_scope):
    return [
        Name(f"{tf_scope}/LayerNorm/gamma", f"{hf_scope}.LayerNorm.weight"),
        Name(f"{tf_scope}/LayerNorm/beta", f"{hf_scope}.LayerNorm.bias"),
    ]


def _layer(tf_scope, hf_scope):
    parts = ("query", "key", "value")
    dense = [f"attention/self/{part}" for part in parts]
    dense += ["attention/output/dense", "intermediate/dense", "output/dense"]
    table = []
    for path in dense:
        table += _dense(f"{tf_scope}/{path}", f"{hf_scope}.{path.replace('/', '.')}")
    for path in ("attention/output", "output"):
        table += _layer_norm(
            f"{tf_scope}/{path}", f"{hf_scope}.{path.replace('/', '.')}"
        )
    return table


class Report(NamedTuple):
    """What a conversion did: shapes by the name they were written under."""

    converted: Dict[str, tuple]
    not_converted: Dict[str, tuple]  # by the name they were read under
    are_averages: bool = False  # whether averages stand for the weights

    def __str__(self):
        numbers = sum(int(np.prod(shape)) for shape in self.converted.values())
        lines = [
            f"{len(self.converted)} tensors, {numbers:,} numbers converted; names and "
            "shapes are those of the config's model and those read back"
        ]
        if self.are_averages:
            lines.append("  these are the averages of the weights, see --ema_decay")
        lines += [
            f"  not converted: {name} {list(shape)}"
            for name, shape in sorted(self.not_converted.items())
        ]
        return "\n".join(lines)


def from_hf(hf_dir, output_dir):
    """Writes bert_model.ckpt, bert_config.json and vocab.txt from a folder.

    Returns:
      `Report`.

    Raises:
      InputError: naming the file or the tensor that is missing or does not fit.
    """
    config = _read_hf_config(os.path.join(hf_dir, "config.json"))
    lines = _read_vocab(hf_dir)
    tensors = _read_hf_tensors(hf_dir)
    variables = {}
    for name in names(config.num_hidden_layers):
        if name.theirs in tensors:
            value = tensors.pop(name.theirs)
            variables[name.ours] = value.T if name.is_transposed else value
    shapes = {name: value.shape for name, value in variables.items()}
    _check_against_model(shapes, config, hf_dir)
    if len(lines) != config.vocab_size:
        raise InputError(
            f"{hf_dir}: the vocabulary has {len(lines)} lines, but vocab_size is "
            f"{config.vocab_size} in config.json"
        )
    written = pretrained.write(output_dir, lines, config, variables)
    _check_written(shapes, dict(tf.train.list_variables(written.init_checkpoint)))
    left = {
        name: value.shape
        for name, value in tensors.items()
        if not name.startswith(_NOT_STORED)
    }
    return Report(shapes, left)


def to_hf(checkpoint, bert_config_file, vocab_file, hf_output_dir):
    """Writes model.safetensors, config.json and vocab.txt from a TensorFlow checkpoint.

    Of a run with averages they are taken, as evaluation does. Optimizer slots and the
    global step are left out.

    Returns:
      `Report`.

    Raises:
      InputError: if a file is missing or a variable of the encoder is.
    """
    checkpoints.check_exists(checkpoint, "tf_checkpoint")
    config = pretrained.read_bert_config(bert_config_file)
    if config.hidden_act not in _HF_ACTIVATIONS.values():
        raise InputError(
            f"{bert_config_file}: hidden_act {config.hidden_act!r} has no "
            "name in Hugging Face's BERT"
        )
    vocabulary.read_tokenizer(vocab_file, True, config.vocab_size)
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = dict(tf.train.list_variables(checkpoint))
    _check_against_model(shapes, config, checkpoint)
    table = [name for name in names(config.num_hidden_layers) if name.ours in shapes]
    has_heads = any(not name.ours.startswith("bert/") for name in table)
    tensors = {}
    for name in table:
        value = reader.get_tensor(checkpoints.name_in(shapes, name.ours))
        prefix = "bert." if has_heads and name.ours.startswith("bert/") else ""
        tensors[prefix + name.theirs] = np.ascontiguousarray(
            value.T if name.is_transposed else value
        )
    os.makedirs(hf_output_dir, exist_ok=True)
    path = os.path.join(hf_output_dir, "model.safetensors")
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    hf_config = _hf_config(config, tensors)
    files.write_json(os.path.join(hf_output_dir, "config.json"), hf_config)
    files.copy(vocab_file, os.path.join(hf_output_dir, "vocab.txt"))
    meant = {name: value.shape for name, value in tensors.items()}
    read_back = safetensors.numpy.load_file(path)
    _check_written(meant, {name: value.shape for name, value in read_back.items()})
    left = set(shapes) - {name.ours for name in table}
    left = {
        name: shapes[name]
        for name in left
        if not name.endswith(checkpoints.BESIDE_WEIGHTS)
    }
    return Report(meant, left, any(name.endswith(_AVERAGE) for name in shapes))


def _check_against_model(shapes, config, source):
    """Raises an `InputError` unless the tensors are those of the config's model.

    The pooler may be missing, as in models that were only pretrained on masked words.

    Args:
      shapes: dict variable name -> shape.
      config: `modeling.BertConfig`.
      source: what to name in the error.
    """
    with tf.Graph().as_default():
        modeling.BertModel(config, False, tf.zeros([1, 1], tf.int32))
        expected = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
    for name, shape in expected.items():
        if name not in shapes:
            if not name.startswith("bert/pooler"):
                raise InputError(f"{source}: it lacks the variable {name}")
        elif list(shapes[name]) != shape:
            raise InputError(
                f"{source}: {name} has shape {list(shapes[name])}, and {shape} by the "
                "config"
            )


def _check_written(meant, written):
    """Compares names and shapes with what was read back from the written file."""
    as_lists = [
        {name: list(shape) for name, shape in each.items()} for each in (meant, written)
    ]
    if as_lists[0] != as_lists[1]:
        names = sorted(set(meant) ^ set(written)) or "shapes"
        raise RuntimeError(f"what was written is not what was meant: {names}")


def _read_hf_config(path):
    try:
        with open(path, encoding="utf-8") as reader:
            hf_config = json.load(reader)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    expected = {
        "model_type": "bert",
        "position_embedding_type": "absolute",
        "layer_norm_eps": 1e-12,
    }
    for key, value in expected.items():
        if hf_config.get(key, value) != value:
            raise InputError(
                f"{path}: {key} is {hf_config[key]!r}, a BERT has {value!r}"
            )
    config = {key: hf_config[key] for key in _CONFIG_KEYS if key in hf_config}
    activation = config.get("hidden_act", "gelu")
    if activation in _HF_TANH_GELUS:
        activation = "gelu_new"
    if activation not in _HF_ACTIVATIONS:
        raise InputError(f"{path}: hidden_act {activation!r} is not supported")
    config["hidden_act"] = _HF_ACTIVATIONS[activation]
    return modeling.BertConfig.from_dict(config)


def _hf_config(config, tensors):
    """Returns Hugging Face's config as a dict."""
    activations = {ours: theirs for theirs, ours in _HF_ACTIVATIONS.items()}
    architecture = "BertModel"
    if "classifier.weight" in tensors:
        architecture = "BertForSequenceClassification"
    elif "cls.predictions.bias" in tensors:
        architecture = "BertForPreTraining"
    hf_config = {key: getattr(config, key) for key in _CONFIG_KEYS}
    hf_config.update(
        architectures=[architecture],
        hidden_act=activations[config.hidden_act],
        layer_norm_eps=1e-12,
        model_type="bert",
    )
    if architecture == "BertForSequenceClassification":
        num_labels = len(tensors["classifier.bias"])
        hf_config["id2label"] = {str(index): str(index) for index in range(num_labels)}
    return hf_config


def _read_hf_tensors(hf_dir):
    """Returns the float tensors of a folder by their names without "bert."."""
    shards = sorted(
        name for name in os.listdir(hf_dir) if name.endswith(".safetensors")
    )
    if not shards:
        raise InputError(
            f"--hf_dir={hf_dir}: it has no .safetensors file; save the model with "
            "save_pretrained(..., safe_serialization=True)"
        )
    tensors = {}
    for shard in shards:
        path = os.path.join(hf_dir, shard)
        try:
            loaded = safetensors.numpy.load_file(path)
        except Exception as error:  # the package has no common class of errors
            raise InputError(f"{path}: cannot be read: {error!r}") from error
        for name, value in loaded.items():
            # Old folders have TensorFlow's names for the two of LayerNorm.
            name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
            name = name.replace("LayerNorm.beta", "LayerNorm.bias")
            name = name[len("bert.") :] if name.startswith("bert.") else name
            is_float = np.issubdtype(value.dtype, np.floating)
            tensors[name] = value.astype(np.float32) if is_float else value
    return tensors


def _read_vocab(hf_dir):
    """Returns the lines of vocab.txt, or what they would be by tokenizer.json."""
    source = os.path.join(hf_dir, "vocab.txt")
    if os.path.exists(source):
        with open(source, encoding="utf-8", newline="\n") as reader:
            return [line.rstrip("\n") for line in reader]
    source = os.path.join(hf_dir, "tokenizer.json")
    try:
        with open(source, encoding="utf-8") as reader:
            vocab = json.load(reader)["model"]["vocab"]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{hf_dir}: neither vocab.txt nor tokenizer.json") from error
    return sorted(vocab, key=vocab.get)
