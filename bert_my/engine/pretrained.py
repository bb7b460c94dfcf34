"""The files of a pretrained model: reading them, and saying what is wrong with them."""

import tensorflow.compat.v1 as tf

import modeling
import tokenization
from bert_my.data.errors import InputError

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)


def _check_is_file(path, flag):
    if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise InputError(f"--{flag}={path}: there is no such file")


def read_bert_config(path):
    """Returns the `modeling.BertConfig` of a `bert_config.json`.

    Raises:
      InputError: if the file cannot be read or is not the config of a BERT.
    """
    _check_is_file(path, "bert_config_file")
    try:
        config = modeling.BertConfig.from_json_file(path)
        modeling.get_activation(str(config.hidden_act))
    except (ValueError, AttributeError, tf.errors.OpError) as error:
        raise InputError(
            f"--bert_config_file={path}: not the config of a BERT: {error}"
        ) from error
    for name in _SIZES:
        value = getattr(config, name)
        if not isinstance(value, int) or value <= 0:
            raise InputError(
                f"--bert_config_file={path}: {name} is {value!r}, not a positive number"
            )
    if config.hidden_size % config.num_attention_heads:
        raise InputError(
            f"--bert_config_file={path}: hidden_size {config.hidden_size} is not a "
            f"multiple of num_attention_heads {config.num_attention_heads}"
        )
    return config


def read_tokenizer(vocab_file, do_lower_case, vocab_size, required_tokens=()):
    """Returns the `tokenization.FullTokenizer` of a vocabulary file.

    Args:
      vocab_file: path.
      do_lower_case: as the model was pretrained.
      vocab_size: number of lines that the file must have.
      required_tokens: tokens that it must hold.

    Raises:
      InputError: if the file cannot be read or does not fit.
    """
    _check_is_file(vocab_file, "vocab_file")
    try:
        tokenizer = tokenization.FullTokenizer(vocab_file, do_lower_case)
    except tf.errors.OpError as error:
        raise InputError(
            f"--vocab_file={vocab_file}: cannot be read: {error}"
        ) from error
    num_lines = max(tokenizer.vocab.values(), default=-1) + 1
    if num_lines != vocab_size:
        raise InputError(
            f"--vocab_file={vocab_file} has {num_lines} lines, but vocab_size is "
            f"{vocab_size} in the --bert_config_file"
        )
    missing = [token for token in required_tokens if token not in tokenizer.vocab]
    if missing:
        raise InputError(f"--vocab_file={vocab_file}: it lacks {', '.join(missing)}")
    return tokenizer
