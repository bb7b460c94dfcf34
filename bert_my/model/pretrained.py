"""The files of a pretrained model: reading and writing them, and adding words."""

import json
import os
from typing import NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common import caches, files
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, encoders
from bert_my.text import vocabulary

# Endings of the files of a checkpoint that `checkpoints.write` writes.
_PARTS = (".index", ".data-00000-of-00001")


class ModelFiles(NamedTuple):
    """Paths of the files of a model, by the names of the flags that take them."""

    vocab_file: str
    bert_config_file: str
    init_checkpoint: Optional[str]  # None: the weights start at random


def read_bert_config(path):
    """Returns the `modeling.BertConfig` of a `bert_config.json`.

    Raises:
      InputError: if the file cannot be read or is not the config of a BERT; one of
        another family is named.
    """
    if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise InputError(f"--bert_config_file={path}: there is no such file")
    try:
        with tf.io.gfile.GFile(path, "rb") as reader:
            settings = json.loads(reader.read().decode("utf-8-sig"))
    except (ValueError, RecursionError, tf.errors.OpError) as error:
        raise InputError(
            f"--bert_config_file={path}: not the config of a BERT: {error}"
        ) from error
    return encoders.from_config(settings, f"--bert_config_file={path}").config


def write(folder, lines, config, variables=None):
    """Writes the files of a model into a folder, which is created if necessary.

    Args:
      folder: path.
      lines: of the vocabulary, list of str.
      config: `modeling.BertConfig`.
      variables: dict name -> array, or None for an untrained model.

    Returns:
      `ModelFiles`.
    """
    written = ModelFiles(
        os.path.join(folder, vocabulary.VOCAB),
        os.path.join(folder, "bert_config.json"),
        os.path.join(folder, "bert_model.ckpt") if variables else None,
    )
    os.makedirs(folder, exist_ok=True)
    parts = (f"{written.init_checkpoint}{part}" for part in _PARTS)
    for path in (*written[:2], *parts):
        caches.make_room(path)
    if variables:
        checkpoints.write(variables, written.init_checkpoint)
    with files.replacing(written.bert_config_file) as writer:
        writer.write(config.to_json_string())
    vocabulary.write(written.vocab_file, lines)
    return written


def write_with_added_words(folder, added, config, checkpoint=None):
    """Writes the files of a model that knows the added words.

    The rows of an added word start as the mean of the rows of its pieces in the old
    vocabulary. All other weights stay as they are.

    Args:
      folder: path; created if necessary.
      added: `vocabulary.AddedWords`.
      config: `modeling.BertConfig` of the model without the words. Rows that it has
        beyond the old vocabulary, for padding, are used for words at its end.
      checkpoint: path, or None for an untrained model.

    Returns:
      `ModelFiles`.

    Raises:
      InputError: if the checkpoint cannot be read, is not finite or is of another
        vocabulary.
    """
    weights, encoder = None, encoders.of(config)
    vocab_size = max(config.vocab_size, len(added.lines))
    if checkpoint:
        weights = checkpoints.read_weights(checkpoint)
        if encoder.word_embeddings not in weights:
            raise InputError(
                f"--init_checkpoint={checkpoint}: it lacks {encoder.word_embeddings}"
            )
        for name in set(encoder.token_variables) & set(weights):
            rows = weights[name]  # float [num_old_lines, ...]
            if len(rows) != config.vocab_size:
                raise InputError(
                    f"--init_checkpoint={checkpoint}: {name} has {len(rows)} rows, but "
                    f"vocab_size is {config.vocab_size} in the --bert_config_file"
                )
            weights[name] = np.empty((vocab_size, *rows.shape[1:]), rows.dtype)
            weights[name][: len(rows)] = rows
            for index, pieces in added.old_pieces.items():
                weights[name][index] = rows[pieces].mean(axis=0)
    settings = {**config.to_dict(), "vocab_size": vocab_size}
    config = modeling.BertConfig.from_dict(settings)
    return write(folder, added.lines, config, weights)
