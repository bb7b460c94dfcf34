"""The model files of a run, where `--model` or the run's own folder has them."""

import logging
import os

from bert_my.cli.flags import MODEL_NEEDED
from bert_my.common.errors import InputError
from bert_my.engine import run_folder, run_identity
from bert_my.model import checkpoints, folders, hf_checkpoints, tokenizer_files
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)

_USUAL_CACHE = os.path.join("~", ".cache")


def find(config, given):
    """Returns a dict flag -> value for the flags of the model that are not given.

    Args:
      config: `RunConfig`.
      given: dict name -> value of the options that are given.

    Raises:
      InputError: if there is no model in the folder.
    """
    if not config.model:
        found = _find_in_output(config)
        if not found and not config.bert_config_file:
            raise InputError(MODEL_NEEDED)
        if not found:
            return _find_case(config, given)
        return {name: path for name, path in found.items() if not given.get(name)}
    found = _find_in(config.model, config.cache_dir, given)
    _warn_of_case(found.do_lower_case, given)
    return {
        name: value
        for name, value in found._asdict().items()
        if value is not None and given.get(name) in (None, "")
    }


def _find_case(config, given):
    """Returns the case that the vocabulary's or the checkpoint's folder tells, if any.

    As a dict, see `find`.
    """
    for path in filter(None, (config.vocab_file, config.init_checkpoint)):
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        case = tokenizer_files.read_case(folder)
        if case is None:
            continue
        _warn_of_case(case, given)
        if "do_lower_case" not in given:
            logger.info(
                "--do_lower_case=%s is that of the tokenizer's files in %s",
                case,
                folder,
            )
        return {} if "do_lower_case" in given else {"do_lower_case": case}
    return {}


def _warn_of_case(case, given):
    """Warns if the case that is given is not that of the model's files."""
    if given.get("do_lower_case", case) != case:
        logger.warning(
            "--do_lower_case=%s is used, and the model's files say %s",
            given["do_lower_case"],
            case,
        )


def find_to_convert(path, vocab_file=None, bert_config_file=None):
    """Returns the (checkpoint, bert_config_file, vocab_file) of `--tf_checkpoint`.

    Of the folder of a run it is the checkpoint that its evaluation uses.

    Args:
      path: value of the flag.
      vocab_file, bert_config_file: paths; None for those beside the checkpoint, or in
        the folder of its run.

    Raises:
      InputError: if a file is missing.
    """
    _, checkpoint = _find_run(path)
    if checkpoint:
        logger.info("--tf_checkpoint=%s is taken as %s", path, checkpoint)
    else:
        checkpoint = checkpoints.resolve(path, "tf_checkpoint")
    run = _run_of(checkpoint)
    folder = run.path if run else os.path.dirname(checkpoint)
    found = [bert_config_file, vocab_file]
    usual = {"bert_config_file": run_folder.BERT_CONFIG, "vocab_file": vocabulary.VOCAB}
    for index, (flag, name) in enumerate(usual.items()):
        if not found[index]:
            found[index] = os.path.join(folder, name)
            if not os.path.isfile(found[index]):
                raise InputError(f"--{flag} is needed: there is no {found[index]}")
    return (checkpoint, *found)


def purpose_of(checkpoint):
    """Returns the `hf_checkpoints.Purpose` of a run's checkpoint, also of its best.

    Args:
      checkpoint: path; of a checkpoint that is of no run nothing is known.
    """
    run = _run_of(checkpoint)
    if run is None:
        return hf_checkpoints.Purpose()
    task, settings = run.read_task() or {}, run.read_settings() or {}
    known = {name: task[name] for name in ("head", "objective") if task.get(name)}
    return hf_checkpoints.Purpose(
        labels=tuple(task.get("labels") or ()) or None,
        do_lower_case=settings.get("do_lower_case"),
        max_seq_length=settings.get("max_seq_length"),
        **known,
    )


def _run_of(checkpoint):
    """Returns the `RunFolder` of the run that a checkpoint is of, or None."""
    folder = os.path.dirname(os.path.abspath(checkpoint))
    outer, name = os.path.split(folder)
    for path in (folder, outer if name == run_folder.BEST else None):
        if path and run_folder.RunFolder(path).read_settings():
            return run_folder.RunFolder(path)
    return None


def _find_in(path, cache_dir, given):
    """Returns the `folders.Found` of the value of `--model`."""
    run, trained = _find_run(path)
    path = run.path if trained else path
    cache_dir = cache_dir or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(_USUAL_CACHE), "bert_my"
    )
    checkpoint = given.get("init_checkpoint") or trained
    if not trained:
        run = None if os.path.isdir(path) else _run_of(path)
    case = run.read_settings().get("do_lower_case") if run else None
    found = folders.find(
        path,
        cache_dir,
        checkpoint,
        case,
        given.get("vocab_file"),
        given.get("bert_config_file"),
    )
    logger.info("--model=%s: %s", path, found.describe())
    return found


def _find_run(path):
    """Returns the `RunFolder` of a path and its checkpoint to use, None without one.

    The path may be that of the best weights in the folder.
    """
    run = run_folder.RunFolder(path)
    if run.read_settings():
        return run, run.trained_checkpoint()
    outer, name = os.path.split(os.path.abspath(path))
    outer = run_folder.RunFolder(outer)
    if name == run_folder.BEST and outer.read_settings():
        return outer, outer.best_checkpoint()
    return run, None


def _find_in_output(config):
    """Returns a dict flag -> path of the files of a trained model in the output folder.

    Its checkpoint is found by itself. A pretraining may have had no vocabulary.
    """
    run = config.folder
    kept = None if config.begins_anew else run_identity.read(run)
    if kept is None:
        return {}
    paths = {"bert_config_file": run.path_of(run_folder.BERT_CONFIG)}
    if kept.vocabulary:
        paths["vocab_file"] = run.path_of(vocabulary.VOCAB)
    return paths
