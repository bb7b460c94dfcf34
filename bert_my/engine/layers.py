"""What of a model trains, and how fast: frozen parts and layer-wise learning rates."""

import re

from bert_my.common.errors import InputError

_PARTS = {
    "embeddings": r"bert/embeddings/",
    "pooler": r"bert/pooler/",
    "bert": r"bert/",
}


def freeze(variables, spec, num_layers):
    """Returns the variables that train.

    Args:
      variables: list of variables.
      spec: names of parts, layers and ranges of layers separated by commas, for
        example "embeddings,0-5"; None for none.
      num_layers: layers of the encoder.

    Raises:
      InputError: if a part does not exist, or nothing is left to train.
    """
    if not spec:
        return list(variables)
    patterns = [_pattern(part.strip(), spec, num_layers) for part in spec.split(",")]
    left = [v for v in variables if not any(re.match(p, v.op.name) for p in patterns)]
    if not left:
        raise InputError(f"--freeze={spec}: nothing is left to train")
    return left


def _pattern(part, spec, num_layers):
    if part in _PARTS:
        return _PARTS[part]
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not 0 <= first <= last < num_layers:
        raise InputError(
            f"--freeze={spec}: {part!r} is none of {', '.join(_PARTS)}, a layer from 0 "
            f"to {num_layers - 1}, or a range of layers such as 0-{num_layers - 1}"
        )
    numbers = "|".join(map(str, range(first, last + 1)))
    return rf"bert/encoder/layer_({numbers})/"


def describe(variables):
    """Returns the parts that a list of variables belongs to, as text."""
    parts = {}
    for variable in variables:
        match = re.match(r"bert/(?:encoder/)?(\w+)/", variable.op.name)
        parts.setdefault(match[1] if match else "head")
    return ", ".join(parts)


def depth_of(variable_name, num_layers):
    """Returns how far up a variable is: 0 the embeddings, 1 layer 0, last the rest."""
    match = re.match(r"bert/encoder/layer_(\d+)/", variable_name)
    if match:
        return int(match[1]) + 1
    return 0 if variable_name.startswith("bert/embeddings/") else num_layers + 1


def rate_multiplier(num_layers, layer_lr_decay, head_factor):
    """Returns the function from a variable's name to the factor of its learning rate.

    Args:
      num_layers: layers of the encoder.
      layer_lr_decay: factor from each layer to the one below; the pooler has 1. Source:
        Howard and Ruder 2018, 3.2; Clark et al. 2020 for BERT.
      head_factor: factor of what is no part of the encoder.
    """

    def multiplier(name):
        factor = layer_lr_decay ** (num_layers + 1 - depth_of(name, num_layers))
        return factor if name.startswith("bert/") else factor * head_factor

    return multiplier
