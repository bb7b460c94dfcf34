"""The command line under test, and its variants for the folders of the cases."""

import os
import shutil
import sys
from typing import List

from bert_my.cli.flags import same_setting
from bert_my.common.errors import InputError
from bert_my.tools import sweep

# What a start does in a folder: the command itself, or a job on the trained model.
RUN, EVALUATE, PREDICT = "run", "evaluate", "predict"
TRAIN = "train"  # the command, from another initial checkpoint
_JOBS = ("do_train", "do_eval", "do_predict", "save_for_serving")
_JOB_OF = {EVALUATE: "do_eval", PREDICT: "do_predict"}
_MODEL = ("model", "vocab_file", "bert_config_file", "init_checkpoint", "vocab_add")


class Command:
    """A command line whose output goes to any folder.

    Attributes:
      is_run: whether it is a run with `--output_dir`, and not the building of a file.
      output: folder or file that the command itself names.
      given: its words, as given.
    """

    def __init__(self, words):
        """Takes the command apart.

        Args:
          words: list of str, the program first.

        Raises:
          InputError: if there is no such program, or its output is not known.
        """
        if shutil.which(words[0]) is None:
            raise InputError(f"{words[0]}: there is no such program")
        self.given = list(words)
        self._words, given = _without(words, ("output_dir", "output_file"))
        self.is_run = bool(given["output_dir"])
        self.output = given["output_dir"] or given["output_file"]
        if not self.output:
            raise InputError("the command needs --output_dir, or --output_file")
        if "overwrite_output_dir" in _given(words):
            raise InputError(
                "--overwrite_output_dir: a run that is started again would not be "
                "resumed; leave it out"
            )
        self._trained = "do_train" in _given(words)

    @property
    def verbs(self):
        """Kinds of starts that are to be tried: `RUN`, `EVALUATE`, `PREDICT`."""
        return (RUN, EVALUATE, PREDICT) if self.is_run and self._trained else (RUN,)

    def words(self, folder, verb=RUN, init_checkpoint=None):
        """Returns the words of a start.

        Args:
          folder: of the output.
          verb: `RUN`, or a job on the model in the folder, which is found there.
          init_checkpoint: (optional) in place of that of the command.
        """
        words = self._words
        if not self.is_run:
            path = os.path.join(folder, os.path.basename(self.output))
            return [*words, f"--output_file={path}"]
        if verb in _JOB_OF:
            words, _ = _without(words, (*_JOBS, *_MODEL))
            words = [*words, f"--{_JOB_OF[verb]}=true"]
        if init_checkpoint:
            words, _ = _without(words, ["init_checkpoint"])
            words = [*words, f"--init_checkpoint={init_checkpoint}"]
        if "deterministic" not in _given(words):
            words = [*words, "--deterministic=true"]
        return [*words, f"--output_dir={folder}"]

    def script(self):
        """Returns (index, path) of the Python script that the command starts.

        Raises:
          InputError: if the command is no script for the Python of this process.
        """
        program, own = os.path.abspath(shutil.which(self._words[0])), sys.executable
        # The folder tells environments apart, whose Python may be the same file.
        is_same = os.path.dirname(program) == os.path.dirname(own)
        if is_same and os.path.realpath(program) == os.path.realpath(own):
            for index, word in enumerate(self._words[1:], 1):
                if word.endswith(".py"):
                    return index, word
                if word != "-u":
                    break
        raise InputError(
            f"--fork: the command must be {sys.executable} SCRIPT.py ..., a script for "
            "the Python that runs this one"
        )


def _without(words, options) -> List[str]:
    """Splits options off, by all of their flags; see `sweep.split_command`."""
    names = [name for option in options for name in same_setting(option)]
    kept, given = sweep.split_command(words, dict.fromkeys(names))
    for option in options:
        found = (given[name] for name in same_setting(option))
        given[option] = next(filter(None, found), None)
    return kept, given


def _given(words):
    """Returns the options that a command line gives, by their own names."""
    flags = {word.lstrip("-").partition("=")[0] for word in words if word[:1] == "-"}
    return {same_setting(flag)[0] for flag in flags}
