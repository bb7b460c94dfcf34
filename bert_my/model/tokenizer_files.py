"""The tokenizer's files in a model's folder: the case of its texts.

They are those of Hugging Face's folders. A converted model keeps its case in a
`tokenizer_config.json` beside `vocab.txt`.
"""

import logging
import os

from bert_my.common import files
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)

CONFIG = "tokenizer_config.json"
FAST = "tokenizer.json"  # vocabulary and settings of the "fast" tokenizers
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
# Files with settings -> keys under which the settings stand.
_SETTINGS = {CONFIG: (), FAST: ("normalizer",)}
_CASE = {CONFIG: "do_lower_case", FAST: "lowercase"}
_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def _read(folder, name):
    """Returns the settings in a file as a dict, {} if there are none."""
    path = os.path.join(folder, name)
    value = files.read_json(path) if os.path.exists(path) else None
    for key in _SETTINGS[name]:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def read_added_tokens(folder):
    """Returns the set of the tokens that were added to a Hugging Face tokenizer."""
    path = os.path.join(folder, ADDED_TOKENS)
    added = files.read_json(path) if os.path.exists(path) else {}
    path = os.path.join(folder, FAST)
    fast = files.read_json(path) if os.path.exists(path) else {}
    listed = fast.get("added_tokens") if isinstance(fast, dict) else None
    contents = [x.get("content") for x in listed or () if isinstance(x, dict)]
    return {x for x in (*added, *contents) if isinstance(x, str)}


def read_case(folder):
    """Returns whether text is to be in lower case, by the tokenizer's files, or None.

    Args:
      folder: path, of the model.

    Raises:
      InputError: if a file is not JSON.
    """
    for name, key in _CASE.items():
        value = _read(folder, name).get(key)
        if isinstance(value, bool):
            return value
    return None


def find_case(folder, checkpoint="", vocab_file=None):
    """Returns whether text is to be in lower case; None if nothing tells it.

    By the tokenizer's files; else by "cased", "uncased" or "chinese" in the name of the
    checkpoint or the folder; else by words with capitals in the vocabulary.

    Args:
      folder: path, of the model.
      checkpoint: (optional) name of the checkpoint.
      vocab_file: (optional) path of the vocabulary.
    """
    case = read_case(folder)
    if case is not None:
        return case
    for name in (checkpoint, os.path.basename(os.path.realpath(folder))):
        name = name.lower()
        if "uncased" in name or "chinese" in name:
            return True
        if "cased" in name:
            return False
    if vocab_file is None or not os.path.exists(vocab_file):
        return None
    return not vocabulary.has_capitals(vocab_file)


def warn_of_differences(folder):
    """Warns of settings by which the folder's tokenizer makes other tokens of a text.

    Args:
      folder: path, of a Hugging Face model.
    """
    case = read_case(folder)
    for name in _SETTINGS:
        settings = _read(folder, name)
        chinese = settings.get(
            "tokenize_chinese_chars", settings.get("handle_chinese_chars")
        )
        accents = settings.get("strip_accents")
        others = {"tokenize_chinese_chars": chinese} if chinese is False else {}
        # The tokenizer here strips accents where it puts text in lower case.
        if accents is not None and accents != case:
            others["strip_accents"] = accents
        if others:
            listed = ", ".join(f"{key} is {value}" for key, value in others.items())
            logger.warning(
                "%s: %s, which the tokenizer here cannot do: some words become other "
                "tokens than those the model has learnt",
                os.path.join(folder, name),
                listed,
            )
            return


def write_case(folder, do_lower_case):
    """Writes the case of a model's texts beside its vocabulary."""
    files.write_json(os.path.join(folder, CONFIG), {"do_lower_case": do_lower_case})


def write(folder, do_lower_case, max_length):
    """Writes the files by which transformers makes the tokenizer of a `vocab.txt`.

    Args:
      folder: path.
      do_lower_case: bool.
      max_length: of a sequence with special tokens, at which texts are cut.
    """
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": do_lower_case,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": max_length,
        **_SPECIAL,
    }
    files.write_json(os.path.join(folder, CONFIG), settings)
    files.write_json(os.path.join(folder, SPECIAL_TOKENS), _SPECIAL)
