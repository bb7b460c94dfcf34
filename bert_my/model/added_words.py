"""A pretrained model for a vocabulary into which words were put."""

import numpy as np

import modeling
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, pretrained
from bert_my.model.checkpoints import WORD_EMBEDDINGS

# Variables with a row for each line of the vocabulary.
_BY_TOKEN = (WORD_EMBEDDINGS, "cls/predictions/output_bias")


def write_model(folder, added, config, checkpoint=None):
    """Writes the files of a model that knows the added words.

    A word's rows start as the mean of those of the pieces that it was split into, which
    is what the model knows of it. All other weights stay as they are.

    Args:
      folder: path; it is made if it is not there.
      added: `vocabulary.AddedWords`.
      config: `modeling.BertConfig` of the model as it is.
      checkpoint: path, or None for a model that is not trained.

    Returns:
      `pretrained.ModelFiles`.

    Raises:
      InputError: if the checkpoint cannot be read or is of another vocabulary.
    """
    weights = None
    if checkpoint:
        weights = checkpoints.read_weights(checkpoint)
        if WORD_EMBEDDINGS not in weights:
            raise InputError(
                f"--init_checkpoint={checkpoint}: it lacks {WORD_EMBEDDINGS}"
            )
        for name in set(_BY_TOKEN) & set(weights):
            if len(weights[name]) != added.num_old_lines:
                raise InputError(
                    f"--init_checkpoint={checkpoint}: {name} has {len(weights[name])} "
                    f"rows, but the --vocab_file has {added.num_old_lines} lines"
                )
            weights[name] = _with_added_rows(weights[name], added)
    settings = {**config.to_dict(), "vocab_size": len(added.lines)}
    config = modeling.BertConfig.from_dict(settings)
    return pretrained.write(folder, added.lines, config, weights)


def _with_added_rows(rows, added):
    """Returns the rows of the new vocabulary.

    Args:
      rows: float `[num_old_lines, ...]`.
      added: `vocabulary.AddedWords`.

    Returns:
      float `[len(added.lines), ...]`.
    """
    new_rows = np.empty((len(added.lines), *rows.shape[1:]), rows.dtype)
    new_rows[: len(rows)] = rows
    for index, pieces in added.old_pieces.items():
        new_rows[index] = rows[pieces].mean(axis=0)
    return new_rows
