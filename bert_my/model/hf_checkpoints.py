"""Converts between Hugging Face folders and TensorFlow checkpoints; no torch.

The description of the encoder has one table of names for both directions. Tied and
derived tensors (the decoder of the masked-LM head, `position_ids`) are not stored in
TensorFlow checkpoints.
"""

import json
import os
from typing import Dict, NamedTuple

import numpy as np
import safetensors.numpy
import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, encoders, pretrained
from bert_my.text import vocabulary

WEIGHTS = ".safetensors"
_AVERAGE = checkpoints.average_name("")


class Report(NamedTuple):
    """Result of a conversion: the shapes of tensors."""

    converted: Dict[str, tuple]  # by the name in the output
    not_converted: Dict[str, tuple]  # by the name in the input
    are_averages: bool = False  # averages were written in place of the weights

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


def from_hf(hf_dir, output_dir, vocab_file=None):
    """Writes bert_model.ckpt, bert_config.json and vocab.txt from a folder.

    Args:
      hf_dir, output_dir: paths.
      vocab_file: path of the vocabulary; None for the folder's.

    Returns:
      `Report`.

    Raises:
      InputError: naming the file or the tensor that is missing or does not fit.
    """
    path = os.path.join(hf_dir, "config.json")
    encoder = encoders.from_hf_config(files.read_json(path), path)
    config = encoder.config
    lines = _read_vocab(hf_dir, vocab_file)
    tensors = _read_hf_tensors(hf_dir, encoder.hf_prefix)
    variables = {
        ours: _transposed(ours, tensors.pop(theirs))
        for ours, theirs in encoder.tensor_names().items()
        if theirs in tensors
    }
    shapes = {name: value.shape for name, value in variables.items()}
    _check_against_model(shapes, encoder, hf_dir)
    if len(lines) != config.vocab_size:
        raise InputError(
            f"{vocab_file or hf_dir}: the vocabulary has {len(lines)} lines, but "
            f"vocab_size is {config.vocab_size} in config.json"
        )
    written = pretrained.write(output_dir, lines, config, variables)
    _check_written(shapes, dict(tf.train.list_variables(written.init_checkpoint)))
    left = {
        name: value.shape
        for name, value in tensors.items()
        if not name.startswith(encoder.hf_not_stored)
    }
    return Report(shapes, left)


def to_hf(checkpoint, bert_config_file, vocab_file, hf_output_dir):
    """Writes model.safetensors, config.json and vocab.txt from a TensorFlow checkpoint.

    If a run has averages of its weights, they are converted, as evaluation uses them.
    Optimizer slots and the global step are left out.

    Returns:
      `Report`.

    Raises:
      InputError: if a file is missing or a variable of the encoder is.
    """
    checkpoints.check_exists(checkpoint, "tf_checkpoint")
    config = pretrained.read_bert_config(bert_config_file)
    encoder = encoders.of(config)
    hf_config = encoder.hf_config(bert_config_file)
    vocabulary.read_tokenizer(vocab_file, True, config.vocab_size)
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = dict(tf.train.list_variables(checkpoint))
    _check_against_model(shapes, encoder, checkpoint)
    names = {
        ours: theirs
        for ours, theirs in encoder.tensor_names().items()
        if ours in shapes
    }
    of_heads = {name for name in names if encoder.part_of(name) == encoders.HEAD}
    tensors = {}
    for ours, theirs in names.items():
        value = reader.get_tensor(checkpoints.name_in(shapes, ours))
        has_prefix = of_heads and ours not in of_heads
        prefix = encoder.hf_prefix if has_prefix else ""
        tensors[prefix + theirs] = np.ascontiguousarray(_transposed(ours, value))
    os.makedirs(hf_output_dir, exist_ok=True)
    path = os.path.join(hf_output_dir, "model.safetensors")
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    hf_config["architectures"] = [encoder.hf_architecture(tensors)]
    if "classifier.bias" in tensors:
        numbers = map(str, range(len(tensors["classifier.bias"])))
        hf_config["id2label"] = {number: number for number in numbers}
    files.write_json(os.path.join(hf_output_dir, "config.json"), hf_config)
    files.copy(vocab_file, os.path.join(hf_output_dir, vocabulary.VOCAB))
    meant = {name: value.shape for name, value in tensors.items()}
    read_back = safetensors.numpy.load_file(path)
    _check_written(meant, {name: value.shape for name, value in read_back.items()})
    left = {
        name: shape
        for name, shape in shapes.items()
        if name not in names and not name.endswith(checkpoints.BESIDE_WEIGHTS)
    }
    return Report(meant, left, any(name.endswith(_AVERAGE) for name in shapes))


def _transposed(variable_name, value):
    """Returns a variable's value in the other layout: kernels are transposed."""
    return value.T if variable_name.endswith("/kernel") else value


def _check_against_model(shapes, encoder, source):
    """Raises an `InputError` unless the tensors are those of the config's model.

    The pooler may be missing, as in models that were only pretrained on masked words.

    Args:
      shapes: dict variable name -> shape.
      encoder: its description, see `encoders`.
      source: path to name in the error.
    """
    expected = encoder.variable_shapes()
    for name, shape in expected.items():
        if name not in shapes:
            if encoder.part_of(name) != encoders.POOLER:
                raise InputError(f"{source}: it lacks the variable {name}")
        elif list(shapes[name]) != shape:
            raise InputError(
                f"{source}: {name} has shape {list(shapes[name])}, and {shape} by the "
                "config"
            )


def _check_written(meant, written):
    """Compares names and shapes with those read back from the written file."""
    if meant != {name: tuple(shape) for name, shape in written.items()}:
        names = sorted(set(meant) ^ set(written)) or "shapes"
        raise RuntimeError(f"the written tensors differ from the converted: {names}")


def _read_hf_tensors(hf_dir, prefix):
    """Returns the float tensors of a folder by their names without a prefix."""
    shards = sorted(name for name in os.listdir(hf_dir) if name.endswith(WEIGHTS))
    if not shards:
        raise InputError(
            f"{hf_dir}: there is no {WEIGHTS} file; save the model with "
            "transformers, by save_pretrained(..., safe_serialization=True)"
        )
    tensors = {}
    for shard in shards:
        path = os.path.join(hf_dir, shard)
        try:
            loaded = safetensors.numpy.load_file(path)
        except Exception as error:  # the package has no base class of its errors
            raise InputError(f"{path}: cannot be read: {error!r}") from error
        for name, value in loaded.items():
            # Old folders have TensorFlow's names for the two of LayerNorm.
            name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
            name = name.replace("LayerNorm.beta", "LayerNorm.bias")
            name = name[len(prefix) :] if name.startswith(prefix) else name
            is_float = np.issubdtype(value.dtype, np.floating)
            tensors[name] = value.astype(np.float32) if is_float else value
    return tensors


def _read_vocab(hf_dir, vocab_file):
    """Returns the lines of vocab.txt; without one, from tokenizer.json."""
    source = vocab_file or os.path.join(hf_dir, vocabulary.VOCAB)
    if vocab_file or os.path.exists(source):
        with open(source, encoding="utf-8", newline="\n") as reader:
            return [line.rstrip("\n") for line in reader]
    source = os.path.join(hf_dir, "tokenizer.json")
    try:
        with open(source, encoding="utf-8") as reader:
            vocab = json.load(reader)["model"]["vocab"]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{hf_dir}: neither vocab.txt nor tokenizer.json") from error
    return sorted(vocab, key=vocab.get)
