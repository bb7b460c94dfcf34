"""The undisturbed run of a command, and what the cases beside it are made from."""

import os
import shutil
import signal
import time
from typing import Any, Dict, NamedTuple

from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.engine import run_folder
from bert_my.tools import sweep
from bert_my.tools.chaos import cases, damage, results
from bert_my.tools.chaos.command import RUN, TRAIN
from bert_my.tools.chaos.watch import Watch

REFERENCE = "undisturbed"
_SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2)  # of the changes, for a half-finished run


class Reference(NamedTuple):
    """The undisturbed run."""

    folder: str
    seconds: float  # wall time
    first_change: float  # seconds until something changes in the folder
    num_changes: int  # see `Watch`
    num_bytes: int  # of all files
    largest_file: int  # bytes
    results: Dict[str, Any]  # see `results.read`


class Row(NamedTuple):
    """A case and what came of it."""

    case: str
    happened: str
    fault: str  # empty if all is well
    seconds: float


class Campaign:
    """The undisturbed run of a command, and folders that cases begin with.

    Attributes:
      command: `Command`.
      launcher: `Launcher`.
      folder: where all that the campaign writes is kept.
      reference: `Reference`.
    """

    def __init__(self, command, launcher, folder):
        """Makes the undisturbed run, in place of an earlier campaign.

        Raises:
          InputError: if the folder holds other files, or the run fails.
        """
        self.command, self.launcher, self.folder = command, launcher, folder
        self._made = {}
        names = os.listdir(folder) if os.path.isdir(folder) else []
        if names and REFERENCE not in names:
            raise InputError(
                f"{folder}: holds files that are not of such a campaign; give another "
                "--output_dir, before the command"
            )
        files.make_folder(folder, "output_dir")
        for name in names:
            path = self.path_of(name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        self.reference = self._run_undisturbed()
        if launcher.seconds is None:
            launcher.seconds = 60.0 + 5.0 * self.reference.seconds

    def path_of(self, name):
        """Returns the path of a file or folder of the campaign."""
        return os.path.join(self.folder, name)

    def _run_undisturbed(self):
        folder, log = self.path_of(REFERENCE), self.path_of(f"{REFERENCE}.txt")
        os.mkdir(folder)
        words = self.command.words(folder)
        with Watch(folder) as watch, self.launcher.start(words, log) as process:
            watch.wait(process, seconds=self.launcher.seconds)
            seconds, num_changes = watch.seconds, watch.num_changes
            self._check(process.finish(), "the undisturbed run", log)
        sizes = [
            os.path.getsize(os.path.join(parent, name))
            for parent, _, names in os.walk(folder)
            for name in names
        ]
        if not sizes:
            raise InputError(f"{folder}: the undisturbed run has written nothing there")
        return Reference(
            folder,
            seconds,
            watch.first_at or 0.0,
            num_changes,
            sum(sizes),
            max(sizes),
            results.read(folder),
        )

    def _check(self, outcome, what, log):
        if outcome.code != 0:
            raise InputError(f"{what} fails: {outcome.summary()}; its log: {log}")

    def wait(self, watch, process, moment):
        """Waits for a moment of a run, or for its end.

        Args:
          watch: `Watch` of its folder, as old as the run.
          process: `Process`.
          moment: `t0.3` or `c0.3`: a share of the undisturbed run's time, from shortly
            before the first change in its folder, or of the changes there.
        """
        share = float(moment[1:])
        if moment[0] == "c":
            watch.wait(process, num_changes=max(1, share * self.reference.num_changes))
        else:
            first = 0.8 * self.reference.first_change
            seconds = first + share * (self.reference.seconds - first)
            watch.wait(process, seconds=seconds)

    def last_checkpoint(self, folder):
        """Returns the path of the last checkpoint in a folder, or None."""
        import tensorflow.compat.v1 as tf

        return tf.train.latest_checkpoint(folder)

    def copy_checkpoint(self, folder):
        """Copies the last checkpoint of the undisturbed run; returns its path."""
        path = self.last_checkpoint(self.reference.folder)
        os.makedirs(folder)
        for ending in (".index", ".data-00000-of-00001"):
            shutil.copy(path + ending, os.path.join(folder, "initial.ckpt" + ending))
        return os.path.join(folder, "initial.ckpt")

    # Made when first asked for.

    @property
    def half_finished(self):
        """Folder of a run that was killed about half-way.

        Raises:
          InputError: if the run has no checkpoint before its last one.
        """
        return self._once("half_finished", self._make_half_finished)

    @property
    def trained(self):
        """Folder of the finished run, without exported models."""
        return self._once("trained", self._make_trained)

    @property
    def verbs(self):
        """Those of `Command.verbs` that work if nothing disturbs them.

        A run without a dev file is not evaluated, and pretraining predicts nothing.
        """
        return self._once(
            "verbs", lambda _: tuple(filter(self._works, self.command.verbs))
        )

    def _works(self, verb):
        try:
            self.results_of(verb)
        except InputError as error:
            sweep.say(f"not tried: {error}")
            return False
        return True

    def results_of(self, verb):
        """Returns the results that a start has if nothing disturbs it.

        Args:
          verb: of `Command.verbs`, or `TRAIN`.
        """
        if verb == RUN:
            return self.reference.results
        return self._once(f"results_of_{verb}", lambda folder: self._run(verb, folder))

    def _once(self, name, make):
        if name not in self._made:
            self._made[name] = make(self.path_of(name))
        return self._made[name]

    def _make_half_finished(self, folder):
        end = self.last_checkpoint(self.reference.folder)
        for share in _SHARES:
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder)
            words, log = self.command.words(folder), f"{folder}.txt"
            with Watch(folder) as watch, self.launcher.start(words, log) as process:
                self.wait(watch, process, f"c{share}")
                process.send(signal.SIGKILL)
                is_killed = process.finish().code == -signal.SIGKILL
            found = self.last_checkpoint(folder)
            is_before_end = os.path.basename(found or "") != os.path.basename(end or "")
            if is_killed and ((found and is_before_end) or not end):
                return folder
        raise InputError(
            "the run has no checkpoint before its last one, and nothing to resume; "
            "give a smaller --save_checkpoints_steps"
        )

    def _make_trained(self, folder):
        damage.copy(self.reference.folder, folder)
        shutil.rmtree(os.path.join(folder, run_folder.SERVING), ignore_errors=True)
        return folder

    def _run(self, verb, folder):
        log = f"{folder}.txt"
        if verb == TRAIN:
            os.mkdir(folder)
            path = self.copy_checkpoint(f"{folder}_from")
            words = self.command.words(folder, init_checkpoint=path)
        else:
            damage.copy(self.trained, folder)
            results.remove_reported(folder)
            words = self.command.words(folder, verb)
        self._check(self.launcher.run(words, log), f"the undisturbed {verb}", log)
        return self.read(verb, folder)

    def read(self, verb, folder):
        """Returns the results of a start in a folder; see `results_of`."""
        is_training = verb in (RUN, TRAIN)
        return results.read(folder) if is_training else results.read_reported(folder)

    # Cases.

    def run(self, case):
        """Runs a case, which leaves its folder if it fails; returns a `Row`.

        Raises:
          InputError: if there is no such kind, or its details are wrong.
        """
        kind, *details = case.split(":")
        if kind not in cases.KINDS:
            raise InputError(f"--case={case}: the kinds are {', '.join(cases.KINDS)}")
        folder = self.folder_of(case)
        shutil.rmtree(folder, ignore_errors=True)
        trial, fault, happened = cases.Trial(self, folder), "", ""
        began = time.monotonic()
        try:
            happened = cases.KINDS[kind](trial, *details)
            shutil.rmtree(folder)
        except cases.Fault as error:
            fault = str(error)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"--case={case}: {error!r}") from error
        return Row(case, happened, fault, time.monotonic() - began)

    def folder_of(self, case):
        """Returns the folder of a case."""
        return self.path_of(os.path.join("cases", case.replace("/", "_")))
