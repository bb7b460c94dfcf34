"""A pretrained model for a vocabulary with added words."""

import numpy as np

import modeling
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, encoders, pretrained


def write_model(folder, added, config, checkpoint=None):
    """Writes the files of a model that knows the added words.

    The rows of an added word start as the mean of the rows of its pieces in the old
    vocabulary. All other weights stay as they are.

    Args:
      folder: path; created if necessary.
      added: `vocabulary.AddedWords`.
      config: `modeling.BertConfig` of the model without the words.
      checkpoint: path, or None for an untrained model.

    Returns:
      `pretrained.ModelFiles`.

    Raises:
      InputError: if the checkpoint cannot be read or is of another vocabulary.
    """
    weights, encoder = None, encoders.of(config)
    if checkpoint:
        weights = checkpoints.read_weights(checkpoint)
        if encoder.word_embeddings not in weights:
            raise InputError(
                f"--init_checkpoint={checkpoint}: it lacks {encoder.word_embeddings}"
            )
        for name in set(encoder.token_variables) & set(weights):
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
