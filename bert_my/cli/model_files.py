"""The model files of a run, where `--model` or the run's own folder has them."""

import logging
import os

from bert_my.cli.flags import MODEL_NEEDED
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.model import folders

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
    length = None
    if config.model:
        found = _find_in(config.model, config.cache_dir, given)
    elif config.bert_config_file:
        return {}
    else:
        found = _find_in_output(config)
        # The texts are cut where those of the trained model were.
        length = config.folder.read_settings()["max_seq_length"]
    values = {**found._asdict(), "max_seq_length": length}
    case = given.get("do_lower_case", found.do_lower_case)
    if case != found.do_lower_case:
        logger.warning(
            "--do_lower_case=%s is used, and the model's files say %s",
            case,
            found.do_lower_case,
        )
    return {
        name: value
        for name, value in values.items()
        if value is not None and given.get(name) in (None, "")
    }


def _find_in(path, cache_dir, given):
    """Returns the `folders.Found` of the value of `--model`."""
    run, trained = _find_run(path)
    path = run.path if trained else path
    cache_dir = cache_dir or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(_USUAL_CACHE), "bert_my"
    )
    checkpoint = given.get("init_checkpoint") or trained
    case = run.read_settings()["do_lower_case"] if trained else None
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
    outer = run_folder.RunFolder(os.path.dirname(os.path.abspath(path)))
    best = outer.read_settings() and outer.best_checkpoint()
    if best and os.path.dirname(best) == os.path.abspath(path):
        return outer, best
    return run, None


def _find_in_output(config):
    """Returns the `folders.Found` of the trained model in the output folder."""
    run = config.folder
    checkpoint = None if config.begins_anew else run.latest_checkpoint()
    if not checkpoint or not run.read_settings():
        raise InputError(MODEL_NEEDED)
    case = run.read_settings()["do_lower_case"]
    found = folders.find(run.path, None, checkpoint, case)
    logger.info("The model in --output_dir: %s", found.describe())
    # The run's checkpoint is found by itself.
    return found._replace(init_checkpoint=None)
