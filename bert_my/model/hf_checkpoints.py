"""Converts between Hugging Face folders and TensorFlow checkpoints; no torch.

The description of the encoder has one table of names for both directions. Tied and
derived tensors (the decoder of the masked-LM head, `position_ids`) are not stored in
TensorFlow checkpoints.
"""

import logging
import os
from typing import Dict, NamedTuple, Optional

import numpy as np
import safetensors.numpy
import tensorflow.compat.v1 as tf

from bert_my.common import files, text_files
from bert_my.common.errors import InputError, WriteError
from bert_my.model import (
    checkpoints,
    encoders,
    pretrained,
    safetensors_files,
    tokenizer_files,
)
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)

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


class Purpose(NamedTuple):
    """The use that a model was trained for, as far as a Hugging Face model can tell it.

    labels: of the classifier, in the order of their ids; None if they are not known.
    head: name of the representation that the classifier stands on, see `tasks.heads`.
    objective: name of the classifier's objective, see `tasks.objectives`.
    do_lower_case: whether text is to be in lower case.
    max_seq_length: at which texts were cut; None for the most that the model can take.
    """

    labels: Optional[tuple] = None
    head: str = "cls"
    objective: str = "softmax"
    do_lower_case: Optional[bool] = None
    max_seq_length: Optional[int] = None


# Hugging Face's classes with a classifier, by what it stands on.
_CLASSES = {
    "cls": "BertForSequenceClassification",
    "sequence": "BertForTokenClassification",
}
_PROBLEM_TYPES = {
    "softmax": "single_label_classification",
    "sigmoid": "multi_label_classification",
    "mse": "regression",
}
_CLASSIFIER = ("output_weights", "output_bias")


def from_hf(hf_dir, output_dir, vocab_file=None):
    """Writes bert_model.ckpt, bert_config.json and vocab.txt from a folder.

    `tokenizer_config.json`, with the case of the texts, is written beside them.

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
    tokenizer_files.warn_of_differences(hf_dir)
    tensors = _read_hf_tensors(hf_dir, encoder.hf_prefix)
    variables = {}
    for ours, theirs in encoder.tensor_names().items():
        if theirs in tensors:
            value = tensors.pop(theirs)
            if value.dtype != np.float32:
                raise InputError(
                    f"{hf_dir}: {theirs} is of type {value.dtype}, not of floats"
                )
            checkpoints.check_finite(theirs, value, hf_dir)
            variables[ours] = _transposed(ours, value)
    shapes = {name: value.shape for name, value in variables.items()}
    _check_against_model(shapes, encoder, hf_dir)
    vocabulary.check_size(len(lines), config.vocab_size, vocab_file or hf_dir)
    written = pretrained.write(output_dir, lines, config, variables)
    case = tokenizer_files.find_case(hf_dir, vocab_file=written.vocab_file)
    tokenizer_files.write_case(output_dir, case)
    is_told = tokenizer_files.read_case(hf_dir) is not None
    logger.info(
        "%s: --do_lower_case=%s, by %s; %s keeps it",
        hf_dir,
        str(case).lower(),
        "its tokenizer" if is_told else "its name or the words of its vocabulary",
        os.path.join(output_dir, tokenizer_files.CONFIG),
    )
    _check_written(shapes, dict(tf.train.list_variables(written.init_checkpoint)))
    left = {
        name: value.shape
        for name, value in tensors.items()
        if not name.startswith(encoder.hf_not_stored)
    }
    return Report(shapes, left)


def to_hf(checkpoint, bert_config_file, vocab_file, hf_output_dir, purpose=None):
    """Writes a folder that transformers loads from a TensorFlow checkpoint.

    These are model.safetensors, config.json, vocab.txt and the tokenizer's files. If a
    run has averages of its weights, they are converted, as evaluation uses them.
    Optimizer slots and the global step are left out, and so is a classifier that
    stands on a representation which Hugging Face's models do not have.

    Args:
      checkpoint, bert_config_file, vocab_file: paths of the model.
      hf_output_dir: path of the folder; made if need be.
      purpose: (optional) `Purpose`.

    Returns:
      `Report`.

    Raises:
      InputError: if a file is missing, a variable of the encoder is or is not finite,
        or the labels are not those of the classifier.
    """
    purpose = purpose or Purpose()
    reader = checkpoints.Reader(checkpoint, "tf_checkpoint")
    config = pretrained.read_bert_config(bert_config_file)
    encoder = encoders.of(config)
    hf_config = encoder.hf_config(bert_config_file)
    case = purpose.do_lower_case
    if case is None:
        case = tokenizer_files.find_case(
            os.path.dirname(vocab_file), os.path.basename(checkpoint), vocab_file
        )
    # Without the file the tokenizer's error comes below.
    vocabulary.read_tokenizer(vocab_file, case is not False, config.vocab_size)
    shapes = reader.shapes
    _check_against_model(shapes, encoder, checkpoint)
    names = {
        ours: theirs
        for ours, theirs in encoder.tensor_names().items()
        if ours in shapes
    }
    if set(_CLASSIFIER) <= set(names):
        settings = _classifier_config(purpose, shapes, config.hidden_size, checkpoint)
        if settings is None:
            names = {x: theirs for x, theirs in names.items() if x not in _CLASSIFIER}
        hf_config.update(settings or {})
    of_heads = {name for name in names if encoder.part_of(name) == encoders.HEAD}
    tensors = {}
    for ours, theirs in names.items():
        value = reader.read_finite(checkpoints.name_in(shapes, ours))
        has_prefix = of_heads and ours not in of_heads
        prefix = encoder.hf_prefix if has_prefix else ""
        tensors[prefix + theirs] = np.ascontiguousarray(_transposed(ours, value))
    hf_config.setdefault("architectures", [encoder.hf_architecture(tensors)])
    os.makedirs(hf_output_dir, exist_ok=True)
    path = os.path.join(hf_output_dir, "model.safetensors")
    with files.replacing_path(path) as temporary:
        try:
            safetensors.numpy.save_file(tensors, temporary, metadata={"format": "pt"})
        except safetensors.SafetensorError as error:
            reason = files.reason_of(str(error))
            raise WriteError(f"{path}: cannot be written: {reason}") from error
    files.write_json(os.path.join(hf_output_dir, "config.json"), hf_config)
    files.copy(vocab_file, os.path.join(hf_output_dir, vocabulary.VOCAB))
    length = purpose.max_seq_length or config.max_position_embeddings
    tokenizer_files.write(hf_output_dir, case is not False, length)
    meant = {name: value.shape for name, value in tensors.items()}
    read_back = safetensors_files.each_tensor(path)
    _check_written(meant, {name: value.shape for name, value in read_back})
    left = {
        name: shape
        for name, shape in shapes.items()
        if name not in names and not name.endswith(checkpoints.BESIDE_WEIGHTS)
    }
    return Report(meant, left, any(name.endswith(_AVERAGE) for name in shapes))


def _classifier_config(purpose, shapes, hidden_size, source):
    """Returns the settings of a classifier in a Hugging Face config as a dict.

    None, with a warning, if no class there has such a classifier.

    Args:
      purpose: `Purpose`.
      shapes: dict variable name -> shape.
      hidden_size: of the encoder.
      source: path, for the error.
    """
    is_known = purpose.head in _CLASSES
    weights, bias = (shapes[name] for name in _CLASSIFIER)
    if not is_known or weights[1:] != [hidden_size]:
        logger.warning(
            "%s: its classifier stands on --head=%s, which Hugging Face's models "
            "do not have; the encoder alone is converted",
            source,
            purpose.head if not is_known else "(not known)",
        )
        return None
    num_labels = bias[0]
    labels = purpose.labels
    if purpose.objective == "mse":
        labels = ("LABEL_0",)  # as transformers names a number
    elif labels is None:
        labels = tuple(map(str, range(num_labels)))
    if len(labels) != num_labels:
        raise InputError(
            f"{source}: the classifier has {num_labels} rows, and the run's labels are "
            f"{len(labels)}: {', '.join(labels[:5])}; is it the checkpoint of this run?"
        )
    settings = {
        "architectures": [_CLASSES[purpose.head]],
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    if purpose.objective in _PROBLEM_TYPES:
        settings["problem_type"] = _PROBLEM_TYPES[purpose.objective]
    if purpose.objective == "crf":
        logger.warning(
            "%s: Hugging Face's models have no CRF; the classifier is converted "
            "without the transitions, and tags of some tokens will be others",
            source,
        )
    return settings


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
    """Returns the tensors of a folder by their names without a prefix; see `from_hf`.

    Floats of every type are float32.
    """
    ending = safetensors_files.ENDING
    shards = sorted(name for name in os.listdir(hf_dir) if name.endswith(ending))
    if not shards:
        raise InputError(
            f"{hf_dir}: there is no {ending} file; save the model with "
            "transformers, by save_pretrained(..., safe_serialization=True)"
        )
    tensors = {}
    for shard in shards:
        for name, value in safetensors_files.each_tensor(os.path.join(hf_dir, shard)):
            # Old folders have TensorFlow's names for the two of LayerNorm.
            name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
            name = name.replace("LayerNorm.beta", "LayerNorm.bias")
            name = name[len(prefix) :] if name.startswith(prefix) else name
            tensors[name] = value
    return tensors


def _read_vocab(hf_dir, vocab_file):
    """Returns the lines of vocab.txt; without one, from tokenizer.json."""
    source = vocab_file or os.path.join(hf_dir, vocabulary.VOCAB)
    fast = os.path.join(hf_dir, tokenizer_files.FAST)
    if vocab_file or os.path.exists(source):
        lines = [line for _, line in text_files.read_lines(source)]
    elif os.path.exists(fast):
        lines = _lines_of(files.read_json(fast), fast)
    else:
        raise InputError(f"{hf_dir}: there is neither vocab.txt nor tokenizer.json")
    missing = sorted(tokenizer_files.read_added_tokens(hf_dir) - set(lines))
    if missing:
        logger.warning(
            "%s: %d added tokens are not in the vocabulary, and texts do not become "
            "them here: %s",
            hf_dir,
            len(missing),
            ", ".join(missing[:5]),
        )
    return lines


def _lines_of(tokenizer, path):
    """Returns the lines of a vocabulary by the settings of a "fast" tokenizer.

    Args:
      tokenizer: value of a tokenizer.json.
      path: of the file, for the error.
    """
    model = tokenizer.get("model") if isinstance(tokenizer, dict) else None
    model = model if isinstance(model, dict) else {}
    ids = model.get("vocab")
    if model.get("type", "WordPiece") != "WordPiece" or not isinstance(ids, dict):
        raise InputError(
            f"{path}: its model is {model.get('type')}, and a BERT here has word pieces"
        )
    # An id without a token keeps its line, which no text gives.
    tokens = {index: token for token, index in ids.items()}
    return [
        tokens.get(index, f"[no token {index}]") for index in range(max(tokens) + 1)
    ]
