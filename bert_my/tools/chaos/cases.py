"""The kinds of cases: what each does to a run, and what must come of it.

A case is written as `KIND:DETAIL:...`, by which it can be repeated. Its function takes
the `Trial`, whose folder and log it uses, and the details; it returns what happened in
a few words, and raises a `Fault` for what must not happen.
"""

import contextlib
import os
import re
import shutil
import signal

from bert_my.common.errors import InputError
from bert_my.engine import run_folder, run_history
from bert_my.tools.chaos import damage, disk, poison, results
from bert_my.tools.chaos.command import RUN, TRAIN
from bert_my.tools.chaos.watch import Watch

# Differences in these damaged files alone, which nothing can restore, are no fault.
_HISTORY = (run_folder.TRAINING, run_folder.EVALUATIONS)
_UNSEEN = ("missing", "flipped")  # damage to a history that no reader can notice


class Fault(Exception):
    """Something that must not happen, in a few words."""


def _check(fault):
    if fault:
        raise Fault(fault)


class Trial:
    """The folder, the log and the starts of one case.

    Attributes:
      campaign: `Campaign`, with the undisturbed run.
      folder: output folder of the case.
      log: path of the output of all its starts.
    """

    def __init__(self, campaign, path):
        self.campaign = campaign
        self.folder, self.log = os.path.join(path, "run"), os.path.join(path, "log.txt")
        os.makedirs(self.folder)

    def start(self, verb=RUN, init_checkpoint=None, **more):
        """Starts the command in the folder; returns a `Process`.

        Args:
          verb, init_checkpoint: see `Command.words`.
          **more: arguments of `Launcher.start`.
        """
        words = self.campaign.command.words(self.folder, verb, init_checkpoint)
        return self.campaign.launcher.start(words, self.log, **more)

    def run(self, verb=RUN, **more):
        """Starts the command and waits for its end; returns an `Outcome`."""
        with self.start(verb, **more) as process:
            return process.finish()

    @contextlib.contextmanager
    def on_disk(self, num_bytes):
        """Gives the folder a file system of its own; a failed case keeps the files."""
        with disk.Disk(self.folder, num_bytes) as mounted:
            try:
                yield mounted
            except Fault:
                damage.copy(self.folder, f"{self.folder}-on-disk")
                raise

    @contextlib.contextmanager
    def disturbed(self, moment, **more):
        """Starts the command; the block has the `Process` at a moment of the run."""
        with Watch(self.folder) as watch, self.start(**more) as process:
            self.campaign.wait(watch, process, moment)
            yield process

    def check_result(self, verb=RUN, tolerated=()):
        """Raises a `Fault` unless the folder holds the results of an undisturbed start.

        Args:
          verb: what was started.
          tolerated: names of results that may differ.
        """
        expected = self.campaign.results_of(verb)
        try:
            found = self.campaign.read(verb, self.folder)
        except InputError as error:
            raise Fault(str(error)) from error
        differences = [
            text
            for text in results.compare(found, expected)
            if text.split()[0].rstrip(":") not in tolerated
        ]
        _check(differences and f"another result: {'; '.join(differences[:3])}")

    def resume(self):
        """Starts the run again to its end, and compares all results.

        What the earlier start left behind must be gone, too.
        """
        outcome = self.run()
        _check(outcome.fault())
        if outcome.code != 0:
            raise Fault(f"not resumed: {outcome.summary()}")
        self.check_result()
        left = results.leftovers(self.folder, self.campaign.reference.folder)
        _check(left and f"left behind: {', '.join(left[:3])}")

    def step(self):
        """Returns the step of the last checkpoint, None if there is none."""
        tensors = results.read_tensors(self.folder)
        path = tensors and self.campaign.last_checkpoint(self.folder)
        return path and int(path.rpartition("-")[2])


def _accept(trial, outcome, compare):
    """Checks an end that may be a refusal, or else has the undisturbed results."""
    _check(outcome.fault())
    if outcome.code == 0:
        compare()
    else:
        _check(outcome.refusal_fault())
    return outcome.summary()


def kill(trial, moments):
    """Kills the run at moments `A+B...`, one for each start; then it must end well."""
    happened = []
    for moment in moments.split("+"):
        with trial.disturbed(moment) as process:
            is_late = not process.is_running()
            process.send(signal.SIGKILL)
            outcome = process.finish()
        if is_late:
            _check(outcome.fault() or (outcome.code and outcome.summary()))
            happened.append("had ended")
            break
        _check(outcome.num_orphans and outcome.fault())
        happened.append(f"killed at {_at(trial)}")
    trial.resume()
    return ", ".join(happened)


def _at(trial):
    try:
        step = trial.step()
    except InputError:
        return "a broken checkpoint"
    return "no checkpoint" if step is None else f"checkpoint {step}"


def stop(trial, names, moment):
    """Sends signals `INT`, or `INT+INT` for two; the run must save and be resumed."""
    numbers = [getattr(signal, f"SIG{name}") for name in names.split("+")]
    with trial.disturbed(moment) as process:
        is_late = not process.is_running()
        for number in numbers:
            # The terminal sends it to all processes; `kill` and schedulers to one.
            process.send(number, to_group=number != signal.SIGTERM)
        outcome = process.finish()
    _check(outcome.fault())
    if not is_late:
        # A second one may come when the interpreter, which ends, has no handler left.
        allowed = {128 + numbers[0], -numbers[0] if numbers[1:] else None}
        if outcome.code not in allowed:
            raise Fault(f"exit {outcome.code}, not {128 + numbers[0]}")
        if len(numbers) == 1:
            _check_saved(trial)
    trial.resume()
    return "had ended" if is_late else f"exit {outcome.code} at {_at(trial)}"


def _check_saved(trial):
    """Raises a `Fault` if steps that the history tells of were not saved."""
    try:
        rows = run_history.read_training(run_folder.RunFolder(trial.folder))
        step = trial.step()
    except InputError as error:
        raise Fault(str(error)) from error
    if rows and (step is None or step < rows[-1][0]):
        raise Fault(f"checkpoint {step}, though {rows[-1][0]} steps were done")


def full_disk(trial, how, share):
    """Runs out of room; `how`: `disk` fills up at a share of the run's bytes, `file`
    limits every file to a share of the largest."""
    reference = trial.campaign.reference
    if how == "file":
        limit = max(1, int(float(share) * reference.largest_file))
        outcome = trial.run(max_bytes=limit)
        _check_after_loss(trial, outcome)
        trial.resume()
        return f"{limit:,} bytes a file: {outcome.summary()}"
    size = max(1, int(float(share) * reference.num_bytes))
    with trial.on_disk(size) as mounted:
        outcome = trial.run()
        _check_after_loss(trial, outcome)
        mounted.resize(10 * reference.num_bytes + (64 << 20))
        trial.resume()
    return f"{size:,} bytes: {outcome.summary()}"


def _check_after_loss(trial, outcome):
    """Checks the end of a run that could not write, and what it left."""
    _accept(trial, outcome, trial.check_result)
    half = results.half_files(trial.folder, trial.campaign.reference.folder)
    _check(half and f"half files: {', '.join(half[:3])}")
    try:
        results.read_tensors(trial.folder)
    except InputError as error:
        raise Fault(str(error)) from error


def read_only(trial, moment):
    """Takes the right to write in the folders of the run at a moment."""
    with trial.disturbed(moment, setup=(damage.obey_permissions,)) as process:
        _set_mode(trial.folder, 0o500)
        outcome = process.finish()
    _set_mode(trial.folder, 0o700)
    _check_after_loss(trial, outcome)
    trial.resume()
    return outcome.summary()


def _set_mode(folder, mode):
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(parent, mode)


def vanished(trial, moment):
    """Renames the output folder at a moment of the run."""
    away = f"{trial.folder}-away"
    with trial.disturbed(moment) as process:
        is_late = not process.is_running()
        os.rename(trial.folder, away)
        outcome = process.finish()
    _check(outcome.refusal_fault() if outcome.code else outcome.fault())
    shutil.rmtree(trial.folder, ignore_errors=True)
    os.rename(away, trial.folder)
    if outcome.code == 0:  # all was written before
        trial.check_result()
    trial.resume()
    return ("had ended: " if is_late else "") + outcome.summary()


def damaged(trial, verb, way, name):
    """Damages a file of a half-finished folder, which is resumed, or of a finished one,
    which is evaluated or predicts."""
    campaign = trial.campaign
    damage.copy(
        campaign.half_finished if verb == RUN else campaign.trained, trial.folder
    )
    if verb != RUN:  # those of the training must not count
        results.remove_reported(trial.folder, name)
    path = results.find(trial.folder, name)
    if path is None:
        raise InputError(f"{name}: there is no such file in the folder")
    damage.damage(path, way)
    before = results.description(trial.folder)
    setup = (damage.obey_permissions,) if way == "unreadable" else ()
    outcome = trial.run(verb, setup=setup)
    if way == "unreadable" and os.path.isfile(path):
        os.chmod(path, 0o600)

    def compare():
        is_said = os.path.basename(name) in outcome.text
        is_lost = name in _HISTORY and (is_said or way in _UNSEEN)
        tolerated = (name,) if is_lost else ()
        trial.check_result(verb, tolerated)

    happened = _accept(trial, outcome, compare)
    if outcome.errors and not _is_named(name, happened):
        raise Fault(f"the line does not name {os.path.basename(name)}: {happened}")
    if verb != RUN:
        after = results.description(trial.folder)
        changed = [x for x in before if x != name and after.get(x) != before[x]]
        _check(changed and f"{verb} has changed {', '.join(changed[:3])}")
    return happened


def _is_named(name, error):
    """Returns whether an error names a file, or the checkpoint that it is part of."""
    stem = re.sub(r"\.(index|meta|data-.*|rows.*)$", "", os.path.basename(name))
    pattern = re.escape(stem).replace(r"\*", r"\d+")
    return re.search(rf"(?<![\w-]){pattern}\b", error) is not None


def second_run(trial, verb, moment):
    """Starts another run in the folder of one that lives, or evaluates its model."""
    with trial.disturbed(moment) as first:
        is_late = not first.is_running()
        first.send(signal.SIGSTOP, to_group=True)
        has_checkpoint = trial.campaign.last_checkpoint(trial.folder) is not None
        other = trial.run(verb)
        first.send(signal.SIGCONT, to_group=True)
        outcome = first.finish()
    _check(outcome.fault())
    if outcome.code != 0:
        raise Fault(f"the first run: {outcome.summary()}")
    _check(other.fault())
    if verb == RUN and not is_late:
        if other.code == 0:
            raise Fault("the second run was not refused")
        _check(other.refusal_fault())
    elif other.code != 0 and (is_late or has_checkpoint):
        raise Fault(f"beside the run: {other.summary()}")
    trial.check_result()
    return ("had ended: " if is_late else "") + other.summary()


def not_a_number(trial, verb, variable):
    """Writes a NaN into a variable of the checkpoint that a start begins with."""
    campaign = trial.campaign
    begins = os.path.join(os.path.dirname(trial.folder), "initial")
    more = {}
    campaign.results_of(verb)  # which needs the folder of a whole checkpoint, too
    if verb == TRAIN:
        more["init_checkpoint"] = campaign.copy_checkpoint(begins)
        paths = [more["init_checkpoint"]]
    else:
        source = campaign.half_finished if verb == RUN else campaign.trained
        damage.copy(source, trial.folder)
        places = (trial.folder, os.path.join(trial.folder, run_folder.BEST))
        paths = filter(None, map(campaign.last_checkpoint, places))
    for path in paths:
        poison.in_child(poison.poison, path, variable)

    outcome = trial.run(verb, **more)
    happened = _accept(trial, outcome, lambda: trial.check_result(verb))
    is_read = verb in (RUN, TRAIN) or not poison.is_slot(
        variable, campaign.reference.results[results.WEIGHTS]
    )
    if is_read and variable not in outcome.text:
        raise Fault(f"no line names {variable}: {happened}")
    if verb == TRAIN:  # nothing of it must be left in the way of a whole one
        damage.copy(campaign.path_of("results_of_train_from"), begins)
        _check(trial.run(verb, **more).code and "not trained from a whole checkpoint")
        trial.check_result(verb)
    return happened


KINDS = {
    "kill": kill,
    "signal": stop,
    "full_disk": full_disk,
    "read_only": read_only,
    "vanished": vanished,
    "damage": damaged,
    "second_run": second_run,
    "nan": not_a_number,
}
