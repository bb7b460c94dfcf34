"""Checkpoints of a project: family, shapes and health, and the files that fit them."""

import os
import re
from typing import Dict, NamedTuple

import numpy as np

import modeling
from bert_my.common import files as files_lib
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, encoders, folders, pretrained
from bert_my.text import vocabulary

_INDEX = ".index"
_WORDS, _POSITIONS = "word_embeddings", "position_embeddings"
_LAYER = re.compile(r"/layer_(\d+)/")


class Model(NamedTuple):
    """A checkpoint and the files of the project that fit it."""

    checkpoint: str
    config: str
    vocab_file: str


class Files(NamedTuple):
    """Files of a project that models are made of."""

    configs: Dict[str, modeling.BertConfig]
    vocabularies: Dict[str, int]  # path -> number of lines


def find_files(paths):
    """Returns the `Files` among the paths of a project."""
    found = Files({}, {})
    for path in paths:
        name = os.path.basename(path)
        try:
            if "config" in name and name.endswith(".json"):
                found.configs[path] = pretrained.read_bert_config(path)
            elif "vocab" in name and name.endswith(".txt"):
                tokenizer = vocabulary.read_tokenizer(path, False)
                found.vocabularies[path] = max(tokenizer.inv_vocab, default=-1) + 1
        except (InputError, ValueError, TypeError, AttributeError):
            continue  # of another program
    return found


def describe(path, files, models):
    """Yields lines on a checkpoint.

    Args:
      path: of its index.
      files: `Files` of the project.
      models: list to which a `Model` is added if a config and a vocabulary fit.
    """
    checkpoint = path[: -len(_INDEX)]
    try:
        shapes = checkpoints.Reader(checkpoint).shapes
    except InputError as error:
        yield f"{checkpoint}: {error}"
        return
    family = encoders.family_of(shapes)
    yield f"{checkpoint}: {_summary(family, shapes)}"
    yield f"  {_health(checkpoint)}"
    if family != "BERT":
        return
    folder = os.path.dirname(path)
    fits = {
        "config": [x for x, config in files.configs.items() if _fits(config, shapes)],
        "vocabulary": [
            x
            for x, num_lines in files.vocabularies.items()
            if num_lines == _rows(shapes, _WORDS)
        ],
    }
    for what, others in zip(fits, files):
        # A file beside the checkpoint is the one that belongs to it.
        fits[what].sort(key=lambda x: os.path.dirname(x) != folder)
        beside = [x for x in others if os.path.dirname(x) == folder]
        wrong = [x for x in beside if x not in fits[what]]
        if wrong:
            yield f"  {wrong[0]}, beside it, does not fit"
        yield f"  {what}: {', '.join(fits[what][:3]) or 'none in the project fits'}"
    if all(fits.values()):
        models.append(Model(checkpoint, fits["config"][0], fits["vocabulary"][0]))


def describe_hf(path):
    """Yields lines on a folder in Hugging Face's format.

    Args:
      path: of its config.json.
    """
    folder = os.path.dirname(path)
    weights = [x for x in os.listdir(folder) if x.endswith(folders.HF_WEIGHTS)]
    if not weights:
        return
    try:
        encoders.from_hf_config(files_lib.read_json(path), path)
    except InputError as error:
        yield str(error)
        return
    if any(name.endswith(".safetensors") for name in weights):
        yield f"{folder}: in Hugging Face's format; --model={folder} converts it"
    else:
        yield (
            f"{folder}: in Hugging Face's format, {', '.join(sorted(weights))} alone; "
            "save it as model.safetensors with transformers"
        )


def _rows(shapes, ending):
    """Returns the number of rows of the table whose name has an ending, or None."""
    rows = [shape[0] for name, shape in shapes.items() if name.endswith(ending)]
    return rows[0] if rows else None


def _summary(family, shapes):
    """Returns family and sizes as text."""
    if family is None:
        names = ", ".join(sorted(shapes)[:3])
        return f"of no family that is known here: {len(shapes)} variables, {names}, ..."
    tables = [x for name, x in shapes.items() if name.endswith(_WORDS)]
    layers = {match.group(1) for match in map(_LAYER.search, shapes) if match}
    positions = _rows(shapes, _POSITIONS)
    parts = [
        family,
        f"{len(layers)} layers",
        f"{tables[0][0]} words of size {tables[0][1]}" if tables else "",
        f"{positions} positions" if positions else "no table of positions",
        "with optimizer slots" if any(x.endswith("/adam_m") for x in shapes) else "",
    ]
    return ", ".join(filter(None, parts))


def _health(checkpoint):
    """Returns the state of the values as text."""
    wrong = []
    try:
        for name, value in checkpoints.each_weight(checkpoint):
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                wrong.append(f"{name} is not finite")
            elif value.ndim > 1 and value.size and not value.any():
                wrong.append(f"{name} is all zeros")
    except InputError as error:
        return str(error)
    if wrong:
        return f"wrong values in {len(wrong)} variables: {', '.join(wrong[:3])}"
    return "all values can be read and are finite"


def _fits(config, shapes):
    """Returns whether a checkpoint holds the encoder of a config."""
    expected = encoders.of(config).variable_shapes()
    return all(list(shapes.get(name, ())) == x for name, x in expected.items())
