"""The results of a run's folder, to the bit, and what must not be left in it."""

import collections
import fnmatch
import glob
import hashlib
import os
import re

from bert_my.cli import console
from bert_my.common.errors import InputError
from bert_my.common.leftovers import listed_checkpoints
from bert_my.engine import run_folder, run_lock
from bert_my.text.vocabulary import VOCAB

WEIGHTS = "weights"  # of the last checkpoint, with slots and counters
# What a start leaves under a name of its own, or only while it lives.
_OF_A_START = ("events.out.tfevents.*", ".lock", run_lock.NAME)
# What differs from run to run though the results are the same.
_VOLATILE = (
    *_OF_A_START,
    "checkpoint",
    f"{run_folder.MODEL}-*",
    "graph.pbtxt",
    run_folder.SETTINGS,  # names the folder
)
# What evaluation and prediction write.
REPORTED = (
    run_folder.RESULTS,
    run_folder.RESULTS_AS_TEXT,
    run_folder.TEST_RESULTS,
    run_folder.DEV_PREDICTIONS,
    "predict.txt",
    "predictions.tsv",
    "test_results.tsv",
)
_TEMPORARY = ("*.tmp", "*.tempstate*", "temporary-*", "*.part")
# Files that grow while the run goes on: a beginning of them is no half file.
_GROWING = (run_folder.TRAINING, run_folder.EVALUATIONS, "events.out.tfevents.*")
# Files that describe the model: evaluation and prediction must leave them alone.
_OF_THE_MODEL = (
    run_folder.BERT_CONFIG,
    run_folder.LABEL_MAP,
    run_folder.TASK,
    run_folder.SETTINGS,
    run_folder.IDENTITY,
    f"{run_folder.MODEL}-*",
    "preprocessor.json",
    VOCAB,
)


def all_files(folder):
    """Returns the paths of all files, relative to the folder, sorted.

    Files below a folder of an exported model or of events come under the same name each
    time: digits of times are written as `*`.
    """
    paths = []
    for parent, _, names in os.walk(folder):
        paths += [os.path.relpath(os.path.join(parent, name), folder) for name in names]
    return sorted(re.sub(r"\b\d{10}\b", "*", path) for path in paths)


def find(folder, name):
    """Returns the path of a file that `all_files` names, None if it is not there."""
    found = sorted(glob.glob(os.path.join(glob.escape(folder), name)))
    return found[-1] if found else None


def matches(path, patterns):
    """Returns whether the last part of a path matches one of the patterns."""
    return any(fnmatch.fnmatch(os.path.basename(path), each) for each in patterns)


def digest(path):
    """Returns a digest of a file's bytes, None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.sha1(stream.read()).hexdigest()
    except OSError:
        return None


def read_tensors(folder):
    """Returns a dict name -> (dtype, shape, digest) of the last checkpoint, or None.

    Raises:
      InputError: if the checkpoint is broken.
    """
    with console.without_library_lines():
        import tensorflow.compat.v1 as tf

    path = folder
    try:
        path = tf.train.latest_checkpoint(folder)
        if path is None:
            return None
        reader = tf.train.load_checkpoint(path)
        tensors = {}
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            content = hashlib.sha1(value.tobytes()).hexdigest()
            tensors[name] = str(value.dtype), value.shape, content
    except Exception as error:  # of several classes, by version
        line = str(error).partition("\n")[0]
        raise InputError(f"{path}: broken: {line}") from error
    return tensors


def _training_rows(path):
    """Returns the lines of a training history without the speed, which varies."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return [line.rpartition(",")[0] for line in stream]


def read_reported(folder):
    """Returns a dict of the digests of what evaluation and prediction write."""
    paths = {name: os.path.join(folder, name) for name in REPORTED}
    return {name: digest(paths[name]) for name in paths if os.path.exists(paths[name])}


def read(folder):
    """Returns a dict of all results: tensors, and lines or digests of files.

    Raises:
      InputError: if a checkpoint is broken.
    """
    found = {}
    for name, place in ((WEIGHTS, ""), (run_folder.BEST, run_folder.BEST)):
        tensors = read_tensors(os.path.join(folder, place))
        if tensors is not None:
            found[name] = tensors
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) or matches(name, (*_VOLATILE, *_TEMPORARY)):
            continue
        is_training = name == run_folder.TRAINING and os.access(path, os.R_OK)
        found[name] = _training_rows(path) if is_training else digest(path)
    for name in all_files(folder):
        if name.startswith((run_folder.SERVING, run_folder.REPORT)):
            found[name] = True
    return found


def compare(found, expected):
    """Returns a list of texts, each naming a result that is not as expected.

    Args:
      found, expected: see `read`; what is found besides does not count.
    """
    differences = []
    for name, value in expected.items():
        actual = found.get(name)
        if actual is None:
            differences.append(f"{name} is missing")
        elif actual == value:
            continue
        elif isinstance(value, dict):
            names = sorted(
                x for x in {*value, *actual} if value.get(x) != actual.get(x)
            )
            differences.append(
                f"{name}: {len(names)} of {len(value)} tensors differ ({names[0]})"
            )
        elif isinstance(value, list):
            same = sum(
                (collections.Counter(actual) & collections.Counter(value)).values()
            )
            differences.append(f"{name}: {same} of {len(value)} lines are the same")
        else:
            differences.append(f"{name} differs")
    return differences


def remove_reported(folder, kept=None):
    """Removes what evaluation and prediction have written, but for the file `kept`."""
    for name in REPORTED:
        path = os.path.join(folder, name)
        if name != kept and os.path.exists(path):
            os.remove(path)


def leftovers(folder, reference):
    """Returns the files in a folder that the undisturbed run does not leave.

    Events do not count, of which every start makes a file; of exported models, whose
    names are times, there may be several. Checkpoints that are listed may be of other
    steps.
    """
    known = set(all_files(reference))
    listed = listed_checkpoints(folder) or ()
    return [
        path
        for path in all_files(folder)
        if path not in known
        and not matches(path, _OF_A_START)
        and re.sub(r"\.(index|meta|data-[-\w]+)$", "", path) not in listed
    ]


def half_files(folder, whole):
    """Returns the files under a final name that hold a beginning of their content.

    Args:
      folder: of a run that was disturbed.
      whole: folder of the undisturbed run.
    """
    found = []
    for name in all_files(folder):
        if matches(name, (*_GROWING, *_TEMPORARY)):
            continue
        path, other = find(folder, name), find(whole, name)
        if path is None or other is None or os.path.isdir(other):
            continue
        if os.path.getsize(path) < os.path.getsize(other):
            with open(path, "rb") as part, open(other, "rb") as entire:
                content = part.read()
                if entire.read(len(content)) == content:
                    found.append(name)
    return found


def description(folder):
    """Returns a dict name -> digest of the files that describe the model."""
    return {
        name: digest(os.path.join(folder, name))
        for name in os.listdir(folder)
        if matches(name, _OF_THE_MODEL)
    }
