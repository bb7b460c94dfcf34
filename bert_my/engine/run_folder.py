"""The files of a run in its `--output_dir`: their names, and reading and writing them.

Only the functions that look into checkpoints load TensorFlow.
"""

import glob
import logging
import os
import shutil
from typing import NamedTuple, Optional

from bert_my.common import checkpoint_files, files, leftovers
from bert_my.common.errors import InputError
from bert_my.engine import run_checkpoints, state_files
from bert_my.engine.run_checkpoints import MODEL
from bert_my.text.preprocessor import SETTINGS as PREPROCESSOR
from bert_my.text.vocabulary import VOCAB

logger = logging.getLogger(__name__)

# Files of the model.
BERT_CONFIG = "bert_config.json"
LABEL_MAP = "label_map.json"
GRAPH = "graph.pbtxt"  # of a training step, for TensorBoard
# Files that describe the run.
SETTINGS = "run_config.json"
TASK = "task.json"
IDENTITY = "run_identity.json"  # see `run_identity`
TRAINING = "training.csv"  # see `run_history`
EVALUATIONS = "evaluations.jsonl"
RESULTS = "eval_results.json"
RESULTS_AS_TEXT = "eval_results.txt"
TEST_RESULTS = "test_results.json"
DEV_PREDICTIONS = "dev_predictions.tsv"
# Folders.
BEST = "best"  # checkpoint with the best weights
REPORT = "report"
SERVING = "serving"  # exported models
CACHE = "cache"  # encoded records
WITH_ADDED_WORDS = "with_added_words"  # model files with the words of `--vocab_add`

# Names that a run gives to files and to folders, besides predictions and checkpoints.
_FILES = (
    checkpoint_files.LIST,
    GRAPH,
    VOCAB,
    BERT_CONFIG,
    LABEL_MAP,
    PREPROCESSOR,
    SETTINGS,
    TASK,
    IDENTITY,
    TRAINING,
    EVALUATIONS,
    RESULTS,
    RESULTS_AS_TEXT,
    TEST_RESULTS,
    DEV_PREDICTIONS,
)
_FOLDERS = (BEST, REPORT, SERVING, CACHE, WITH_ADDED_WORDS)
# Keys that files must have to be those of a run.
_KEYS = {
    TASK: ("task", "kind"),
    SETTINGS: ("task_name", "max_seq_length", "do_lower_case"),
}
# How to go on with a damaged file.
REMEDY_OF_IDENTITY = "delete the file, and the run is compared by its other files"
# Files that training and evaluation write, for `RunFolder.clear`. The best weights come
# first: if it is killed, they are not taken for those of the run that is left.
_OF_A_RUN = (
    BEST,
    checkpoint_files.LIST,
    f"{MODEL}-*",
    GRAPH,
    "events.out.tfevents.*",
    TRAINING,
    EVALUATIONS,
    TASK,
    IDENTITY,
    RESULTS,
    RESULTS_AS_TEXT,
    TEST_RESULTS,
    DEV_PREDICTIONS,
    REPORT,
)

_MANY_BYTES = 10 << 20  # of leftovers, to be told


class Counters(NamedTuple):
    """The state of a run: scalar variables of a checkpoint, by their names.

    A variable that is missing there is 0, as in a run whose order of rows has no such
    property; but a checkpoint of another program, as upstream's, has no position.
    """

    global_step: int
    data_position: Optional[int]  # rows consumed, also by skipped steps
    global_batch_size: int
    length_buckets: int = 0  # 1 if batches have rows of similar length
    row_blocks: int = 0  # 1 if blocks of neighbouring rows are shuffled


def read_counters(checkpoint):
    """Returns the `Counters` of a checkpoint.

    Args:
      checkpoint: path without the ending `.index`, of any folder.
    """
    from bert_my.model import checkpoints

    reader = checkpoints.Reader(checkpoint, "output_dir")
    values = {
        name: int(reader.read(name))
        for name in Counters._fields
        if name in reader.shapes
    }
    return Counters(
        **{"global_step": 0, "data_position": None, "global_batch_size": 0, **values}
    )


class RunFolder:
    """The folder of a run. Any of its files may be missing, and the folder too.

    path: str, the folder.
    """

    def __init__(self, path):
        self.path = str(path)

    def path_of(self, name):
        """Returns the path of a file or folder, which need not exist."""
        return os.path.join(self.path, name)

    # Checkpoints.

    def latest_checkpoint(self):
        """Returns the path of the newest checkpoint that is whole, or None.

        Raises:
          InputError: if none is whole; see `run_checkpoints.find`.
        """
        return run_checkpoints.find(self.path).path

    def has_checkpoint(self):
        """Returns whether there are trained weights, the last or the best ones.

        Raises:
          InputError: if there are such weights and none are whole.
        """
        try:
            if self.latest_checkpoint():
                return True
        except InputError:
            if self.best_checkpoint() is None:
                raise
        return self.best_checkpoint() is not None

    def checkpoint_to_resume(self):
        """Returns `latest_checkpoint`; a warning names what is damaged.

        Raises:
          InputError: if none is whole, or only the best weights are left of a run.
        """
        path = run_checkpoints.find(self.path).to_resume()
        best = None if path else self.best_checkpoint()
        if best:
            raise InputError(
                f"{best} has the best weights of a run whose last checkpoint is gone; "
                "a new training would replace them: put that checkpoint back, or begin "
                "anew with another folder or --overwrite_output_dir"
            )
        return path

    def best_checkpoint(self):
        """Returns the path of the checkpoint with the best weights, or None.

        Raises:
          InputError: if they are damaged.
        """
        remedy = "delete this folder to go on without the best weights"
        return run_checkpoints.find(self.path_of(BEST), remedy).to_use(remedy)

    def trained_checkpoint(self):
        """Returns the checkpoint to use of a trained model, or None.

        The best one, unless the last training was without `--keep_best`: then it was
        left by an earlier training, and the last checkpoint is the one.
        """
        settings = self.read_settings()
        if settings is None and os.path.isdir(self.path_of(BEST)):
            raise InputError(
                f"{self.path_of(SETTINGS)} is missing, which tells whether the weights "
                f"in {self.path_of(BEST)} are those of the last training; put it back, "
                "or delete that folder to use the last weights"
            )
        keeps_best = (settings or {}).get("keep_best")
        return (keeps_best and self.best_checkpoint()) or run_checkpoints.find(
            self.path
        ).to_use()

    # Starting anew.

    def check_overwrite(self, init_checkpoint):
        """Raises an `InputError` if `clear` would delete the initial checkpoint."""
        checkpoint = os.path.realpath(f"{init_checkpoint}.index")
        for path in map(os.path.realpath, self._paths_of_run()):
            if os.path.commonpath([path, checkpoint]) == path:
                raise InputError(
                    f"--overwrite_output_dir: --init_checkpoint={init_checkpoint} is "
                    "part of the run that would be deleted"
                )

    def clear(self, prediction_files):
        """Deletes the run; exported models and other files stay.

        Args:
          prediction_files: names of the task's prediction files.
        """
        paths = self._paths_of_run(prediction_files)
        for path in paths:
            with files.writing(path):
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.remove(path)
        if paths:
            logger.warning("%s: the run in it was deleted", self.path)

    def _paths_of_run(self, names=()):
        folder = glob.escape(self.path)
        patterns = [os.path.join(folder, name) for name in (*_OF_A_RUN, *names)]
        return [path for pattern in patterns for path in glob.glob(pattern)]

    # What killed runs left.

    def remove_leftovers(self, record_dir, is_training):
        """Removes what processes left that were killed while they wrote.

        Args:
          record_dir: folder of encoded records, which other runs may share.
          is_training: whether this run trains. No other training writes into its
            folder, so what is no temporary file of a process is removed too.
        """
        best, serving = self.path_of(BEST), self.path_of(SERVING)
        folders = [self.path, best, serving, self.path_of(REPORT), record_dir]
        found = [path for each in folders for path in leftovers.of_processes(each)]
        if is_training:
            for each in (self.path, best):
                found += leftovers.temporary(each)
                found += leftovers.of_tensorflow(each)
                found += leftovers.of_checkpoints(each, MODEL)
            found += glob.glob(os.path.join(glob.escape(serving), "temporary-*"))
            found += self._unlisted_best()
        found = set(found)
        size = leftovers.remove(found)
        if size >= _MANY_BYTES:
            logger.info(
                "%s: %d files that killed runs had left are removed, %.0f MB",
                self.path,
                len(found),
                size / 1e6,
            )

    def _unlisted_best(self):
        """Returns the files of best weights that their list does not name.

        None, if the list is damaged: then they may be all that there is.
        """
        folder = self.path_of(BEST)
        listed = leftovers.listed_checkpoints(folder)
        paths = [os.path.join(folder, name) for name in listed or ()]
        if not paths or not all(os.path.exists(f"{path}.index") for path in paths):
            return []
        pattern = os.path.join(glob.escape(folder), f"{MODEL}-*")
        return [
            path
            for path in glob.glob(pattern)
            if not path.startswith(tuple(f"{each}." for each in paths))
        ]

    # Model, task and settings.

    def describe(self, task, vocab_file, settings, identity):
        """Writes the files that are needed to use, resume or repeat a training.

        Args:
          task: `Task`.
          vocab_file: path of the vocabulary, or None.
          settings: dict of all options of the run.
          identity: `run_identity.Identity`.
        """
        with files.replacing(self.path_of(BERT_CONFIG)) as writer:
            writer.write(task.bert_config.to_json_string())
        if vocab_file:
            files.copy(vocab_file, self.path_of(VOCAB))
        if task.preprocessor:
            task.preprocessor.save(self.path)
        files.write_json(self.path_of(LABEL_MAP), task.label_map, sort_keys=False)
        self.describe_task(task)
        state_files.write_json(self.path_of(SETTINGS), settings)
        state_files.write_json(self.path_of(IDENTITY), identity._asdict())

    def describe_task(self, task):
        """Writes the description of the task, which the report reads."""
        state_files.write_json(self.path_of(TASK), task.description)

    def read_settings(self):
        """Returns the options of the last training as a dict, or None."""
        return self._read(SETTINGS)

    def read_task(self):
        """Returns the description of the task, see `Task.description`, or None."""
        return self._read(TASK)

    def read_identity(self):
        """Returns what decides the weights of the run as a dict, or None."""
        return self._read(IDENTITY, REMEDY_OF_IDENTITY)

    def check_vocabulary(self, added):
        """Raises an `InputError` if the run has other words.

        Args:
          added: `vocabulary.AddedWords`.
        """
        path = self.path_of(VOCAB)
        if os.path.exists(path) and not added.is_in(path):
            raise InputError(
                f"--vocab_add: the run in --output_dir has the vocabulary {path}, and "
                "now it would be another; to go on with other words choose another "
                "folder and give the run's model as --init_checkpoint, or train anew "
                "with --overwrite_output_dir"
            )

    # Results.

    def write_results(self, scores, name=RESULTS):
        """Writes and logs the metrics of a final evaluation.

        Those of the dev set are written as text and as JSON, others as JSON.

        Args:
          scores: dict metric -> number.
          name: of the JSON file: `RESULTS` or `TEST_RESULTS`.
        """
        lines = [f"{name} = {scores[name]}" for name in sorted(scores)]
        if name == RESULTS:
            with files.replacing(self.path_of(RESULTS_AS_TEXT)) as writer:
                writer.writelines(line + "\n" for line in lines)
        path = self.path_of(name)
        files.write_json(path, state_files.finite(scores))
        logger.info("Evaluation (%s):\n  %s", path, "\n  ".join(lines))

    def read_results(self):
        """Returns the metrics of the final evaluation as a dict, or None."""
        return self._read(RESULTS)

    def _read(self, name, remedy=state_files.REMEDY):
        """Returns the dict in a file of the run, None without one."""
        return state_files.read_json(self.path_of(name), _KEYS.get(name, ()), remedy)

    # Names that something else has.

    def check_places(self, prediction_files):
        """Raises an `InputError` for a folder in the place of a file, or vice versa.

        Args:
          prediction_files: names of the task's prediction files.
        """
        pattern = os.path.join(glob.escape(self.path), f"{MODEL}-*.*")
        of_checkpoints = map(os.path.basename, glob.glob(pattern))
        for name in (*_FILES, *prediction_files, *of_checkpoints):
            path = self.path_of(name)
            if os.path.lexists(path) and not os.path.isfile(path):
                raise InputError(
                    f"{path}: it is no file, and a file of this name is part of the "
                    "run; move it away"
                )
        for name in _FOLDERS:
            path = self.path_of(name)
            if os.path.lexists(path) and not os.path.isdir(path):
                raise InputError(
                    f"{path}: it is no folder, and a folder of this name is part of "
                    "the run; move it away"
                )
