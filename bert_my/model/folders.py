"""The files of a model in a folder of Google's or of Hugging Face's format."""

import hashlib
import logging
import os
from typing import NamedTuple, Optional

from bert_my.common import caches, checkpoint_files, files, leftovers, progress
from bert_my.common.checkpoint_files import INDEX
from bert_my.common.errors import InputError
from bert_my.model import (
    checkpoints,
    hf_checkpoints,
    safetensors_files,
    tokenizer_files,
)
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)

HF_CONFIG = "config.json"
HF_WEIGHTS = (safetensors_files.ENDING, ".bin", ".h5", ".msgpack")
# Files that are converted, besides the weights.
_CONVERTED = {
    HF_CONFIG,
    vocabulary.VOCAB,
    tokenizer_files.CONFIG,
    tokenizer_files.FAST,
    tokenizer_files.ADDED_TOKENS,
}
_EXPECTED = (
    "vocab.txt, bert_config.json and bert_model.ckpt.index, or config.json and "
    "model.safetensors"
)


class Found(NamedTuple):
    """The files of a model, by the names of the flags that take them."""

    vocab_file: str
    bert_config_file: str
    init_checkpoint: Optional[str]
    do_lower_case: bool

    def describe(self):
        """Returns the files and the case as text."""
        case = "text in lower case" if self.do_lower_case else "text keeps its case"
        names = map(os.path.basename, filter(None, self[:3]))
        return f"{', '.join(names)}; {case}"


def find(
    path,
    cache_dir,
    checkpoint=None,
    do_lower_case=None,
    vocab_file=None,
    bert_config_file=None,
):
    """Returns the `Found` of a model's folder.

    Args:
      path: folder, or a checkpoint in it.
      cache_dir: folder in which converted Hugging Face models are kept.
      checkpoint: (optional) path of the weights, if they are known.
      do_lower_case: (optional) case of the text, if it is known.
      vocab_file, bert_config_file: (optional) paths, if they are known.

    Raises:
      InputError: if there is no such folder, if a file is missing, or if there are
        several and none is the newest of a run.
    """
    folder, named = _split(path)
    checkpoint = checkpoint or named
    names = sorted(os.listdir(folder))
    has_index = named or any(name.endswith(INDEX) for name in names)
    if not has_index and HF_CONFIG in names and _has_hf_weights(names):
        converted = _convert(folder, cache_dir, vocab_file)
        case = (
            tokenizer_files.find_case(folder)
            if do_lower_case is None
            else do_lower_case
        )
        return find(
            converted, cache_dir, checkpoint, case, vocab_file, bert_config_file
        )
    if not has_index and not checkpoint:
        raise _no_model(path, folder)
    vocab_file = vocab_file or _only_file(
        folder, names, "vocab_file", vocabulary.VOCAB, "vocab"
    )
    config = bert_config_file or _only_file(
        folder, names, "bert_config_file", "bert_config.json", "config"
    )
    checkpoint = checkpoint or checkpoints.find_in(folder, "model")
    if do_lower_case is None:
        do_lower_case = tokenizer_files.find_case(
            folder, os.path.basename(checkpoint), vocab_file
        )
    return Found(vocab_file, config, checkpoint, do_lower_case)


def _split(path):
    """Returns (folder, checkpoint or None) of a path; raises if there is neither."""
    meant = checkpoints.without_ending(path)
    if os.path.isdir(meant) or checkpoints.exists(meant):
        if meant != path:
            logger.info("--model=%s is taken as %s", path, meant)
        if os.path.isdir(meant):
            return meant, None
        return os.path.dirname(meant) or ".", meant
    if os.path.isfile(path):
        raise InputError(
            f"--model={path}: it is a file; give the folder with {_EXPECTED}"
        )
    raise InputError(
        f"--model={path}: there is no such folder, and nothing is downloaded; give the "
        f"path of a folder with {_EXPECTED}"
    )


def _has_hf_weights(names):
    return any(name.endswith(HF_WEIGHTS) for name in names)


def _no_model(path, folder):
    """Returns the error for a folder without weights; names one in it with some."""
    for name in sorted(os.listdir(folder)):
        inner = os.path.join(folder, name)
        if os.path.isdir(inner) and any(
            x.endswith((INDEX, *HF_WEIGHTS)) for x in os.listdir(inner)
        ):
            return InputError(
                f"--model={path}: there is no model in it; did you mean {inner}?"
            )
    names = os.listdir(folder)
    if _has_hf_weights(names):
        return InputError(f"--model={path}: there is no {HF_CONFIG} in it")
    parts = sorted(x for x in names if checkpoint_files.PART.fullmatch(x))
    if parts:
        lacking = checkpoint_files.without_ending(parts[0]) + INDEX
        return InputError(f"--model={path}: there is {parts[0]}, but no {lacking}")
    return InputError(
        f"--model={path}: there are no weights in it; expected are {_EXPECTED} (to "
        "begin with random weights, give --vocab_file and --bert_config_file instead)"
    )


def _only_file(folder, names, flag, usual_name, part):
    """Returns the path of a file by its usual name, or else of the one named alike.

    Args:
      folder: path.
      names: of the files in it.
      flag: gives the file, for the error.
      usual_name: name that wins over others.
      part: of the names of such files.
    """
    suffix = os.path.splitext(usual_name)[1]
    if usual_name in names:
        return os.path.join(folder, usual_name)
    found = [name for name in names if part in name and name.endswith(suffix)]
    # Of tokenizers and training, beside Hugging Face's config.json.
    found = [name for name in found if not name.startswith(("tokenizer", "run_"))]
    if len(found) == 1:
        return os.path.join(folder, found[0])
    what = "vocabulary" if part == "vocab" else "config"
    why = f"is none, such as {usual_name}"
    if found:
        why = f"are several: {', '.join(found)}"
    raise InputError(f"--model={folder}: of the {what} there {why}; give --{flag} too")


def _convert(folder, cache_dir, vocab_file):
    """Returns the folder of a converted Hugging Face model, converted once.

    Args:
      folder: path.
      cache_dir: see `find`.
      vocab_file: path of the vocabulary, or None for the folder's.
    """
    state = hashlib.blake2b(digest_size=8)
    for name in sorted(os.listdir(folder)):
        if name in _CONVERTED or name.endswith(safetensors_files.ENDING):
            content = files.digest(os.path.join(folder, name))
            state.update(f"{name} {content}\n".encode())
    if vocab_file:
        state.update(files.digest(vocab_file).encode())
    name = os.path.basename(os.path.realpath(folder))
    converted = os.path.join(cache_dir, f"{name}-{state.hexdigest()}")
    if os.path.lexists(converted):
        try:
            caches.check_seal(converted)
            logger.info("--model=%s: converted before, %s", folder, converted)
            return converted
        except InputError as error:
            logger.warning("%s; the model is converted again", error)
    files.make_folder(cache_dir, "cache_dir")
    leftovers.remove(leftovers.of_processes(cache_dir))
    with files.temporary_folder(converted) as temporary:
        with progress.stage("Converting the model"):
            hf_checkpoints.from_hf(folder, temporary, vocab_file)
        caches.seal(temporary)
        caches.move_files(temporary, converted)
    logger.info("--model=%s: converted, once, into %s", folder, converted)
    return converted
