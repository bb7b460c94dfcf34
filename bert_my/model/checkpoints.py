"""Checkpoints: their contents, checks against a model, and restoring from them.

The checks read the index of a checkpoint only. Values are read by a `Restore`, as
float32 whatever float type they are stored in, and must be finite.
"""

import atexit
import contextlib
import functools
import glob
import logging
import os
import re
import shutil
import tempfile
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common import checkpoint_files, files, leftovers
from bert_my.common.checkpoint_files import INDEX
from bert_my.common.errors import InputError, WriteError

logger = logging.getLogger(__name__)

# Endings of the names of the slots and averages that a run keeps beside each weight.
AVERAGE = "/average"
BESIDE_WEIGHTS = ("/adam_m", "/adam_v", AVERAGE)
_STEP = re.compile(r"(.*)-(\d+)")
_LAYER = re.compile(r"(.*/layer_\d+)/")
# Characters of a path that TensorFlow reads as those of a pattern.
_WILDCARDS = re.compile(r"[*?\[\]\\]")
# Of a reader, for files that are damaged.
_READ_ERRORS = (tf.errors.OpError, ValueError, IndexError, RuntimeError)
# Bytes of the values that are given to a session at once: each call costs the time of
# preparing the graph for it.
_BYTES_AT_ONCE = 1 << 28
_MAX_NAMES = 8  # of variables in a message


def average_name(variable_name):
    """Returns the name of the moving average of a variable."""
    return f"{variable_name}{AVERAGE}"


@contextlib.contextmanager
def saving(path):
    """Turns TensorFlow's errors of writing a file or folder into a `WriteError`.

    They are of many classes. Some of them, such as that of a file that is too large,
    mean to a `tf.train.MonitoredSession` that the data are at their end.

    Args:
      path: of the checkpoint, file or folder, for the error. What is there of it at an
        error is removed, unless it is whole.
    """
    try:
        with files.writing(path):
            yield
    except (tf.errors.OpError, ValueError) as error:
        folder = os.path.dirname(path) or "."
        is_gone = not os.path.isdir(folder)
        if isinstance(error, ValueError) and not is_gone:
            raise
        leftovers.remove(
            leftovers.of_tensorflow(folder)
            + leftovers.of_checkpoints(folder, os.path.basename(path).split("-")[0])
        )
        if not os.path.exists(f"{path}.index"):  # its name may have no step
            leftovers.remove(glob.glob(f"{glob.escape(path)}.data-*"))
        # The message is like "PATH; REASON", in between of lines about the graph.
        message = getattr(error, "message", None) or str(error)
        reason = files.reason_of(message)
        if is_gone:
            reason = f"there is no folder {folder} any more"
        raise WriteError(f"{path}: cannot be written: {reason}") from error


def name_in(names, variable_name):
    """Returns the name of a variable's average in a checkpoint, or its own name.

    Args:
      names: of all tensors in the checkpoint.
      variable_name: str.
    """
    average = average_name(variable_name)
    return average if average in names else variable_name


# Paths.


def literal(path):
    """Returns a path to the same place that TensorFlow does not take for a pattern.

    TensorFlow finds checkpoints by patterns, in which `[ ] * ?` and the backslash have
    a meaning: those in a folder such as `lr[2e-5]` are neither found nor deleted. The
    path returned leads there by a link in a temporary folder, which is removed when
    the program ends.

    Args:
      path: of a folder, or of a checkpoint.
    """
    if not _WILDCARDS.search(path):
        return path
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return _link(path)
    folder, name = os.path.split(path)
    if not _WILDCARDS.search(name):
        return os.path.join(literal(folder), name)
    # The files of a checkpoint get another name.
    links = tempfile.mkdtemp(dir=_folder_of_links())
    for file_name in os.listdir(folder):
        part = checkpoint_files.PART.fullmatch(file_name)
        if part and part.group("checkpoint") == name:
            target = os.path.join(folder, file_name)
            os.symlink(target, os.path.join(links, f"checkpoint.{part['ending']}"))
    return os.path.join(links, "checkpoint")


@functools.lru_cache(maxsize=None)
def _link(folder):
    """Returns the path of a link to a folder."""
    link = os.path.join(tempfile.mkdtemp(dir=_folder_of_links()), "folder")
    os.symlink(folder, link)
    return link


@functools.lru_cache(maxsize=None)
def _folder_of_links():
    # In an array of batch jobs $TMPDIR itself may be such as `job[3]`.
    places = (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")
    place = next(x for x in places if not _WILDCARDS.search(x) and os.path.isdir(x))
    folder = tempfile.mkdtemp(prefix="checkpoints-", dir=place)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def exists(checkpoint):
    """Returns whether there is the index of a checkpoint."""
    return os.path.isfile(f"{checkpoint}{INDEX}")


def without_ending(path):
    """Returns the path of the checkpoint of which a path is one of the files.

    Of a file named `checkpoint`, the list of the checkpoints in a folder, it is the
    folder. Other paths are returned as they are.
    """
    if exists(path) or os.path.isdir(path):
        return path
    if os.path.basename(path) == checkpoint_files.LIST and os.path.isfile(path):
        return os.path.dirname(path) or "."
    return checkpoint_files.without_ending(path)


def resolve(path, flag="init_checkpoint"):
    """Returns the path of the checkpoint that a path of a user means.

    The path of one of a checkpoint's files means the checkpoint. A folder means the
    checkpoint that its file named `checkpoint` names, or else the only one in it, or
    the newest of one run. A line says so.

    Args:
      path: value of the flag.
      flag: name of the flag, for the line and the error.

    Raises:
      InputError: if there is no such checkpoint, there are several, or its index
        cannot be read.
    """
    meant = without_ending(path)
    if os.path.isdir(meant) and not exists(meant):
        meant = find_in(meant, flag)
        if meant is None:
            raise InputError(
                f"--{flag}={path}: it is a folder without a checkpoint; give the path "
                "of a checkpoint's files without their endings, such as "
                "FOLDER/bert_model.ckpt, or a folder of Hugging Face's as --model"
            )
    check_exists(meant, flag)
    if meant != path:
        logger.info("--%s=%s is taken as %s", flag, path, meant)
    return meant


def find_in(folder, flag):
    """Returns the path of the checkpoint that a folder means, see `resolve`, or None.

    Args:
      folder: path.
      flag: name of the flag that gives the folder, for the error.

    Raises:
      InputError: if there are several checkpoints.
    """
    names = [x[: -len(INDEX)] for x in os.listdir(folder) if x.endswith(INDEX)]
    found = sorted(name for name in names if exists(os.path.join(folder, name)))
    named = _read_list(folder)
    if named in found:
        return os.path.join(folder, named)
    by_step = {}  # step -> name, of each prefix
    for name in found:
        has_step = _STEP.fullmatch(name)
        prefix, step = has_step.groups() if has_step else (name, 0)
        by_step.setdefault(prefix, {})[int(step)] = name
    if len(by_step) > 1:
        raise InputError(
            f"--{flag}={folder}: there are several checkpoints, {', '.join(found)}; "
            "give one of them as --init_checkpoint too"
        )
    for steps in by_step.values():
        return os.path.join(folder, steps[max(steps)])
    return None


def _read_list(folder):
    """Returns the name of the checkpoint that a folder's list names, or None.

    The path in the list may be one of another machine, from which this is a copy.
    """
    try:
        listed = checkpoint_files.read_list(folder)
    except (OSError, ValueError):
        return None
    return listed and os.path.basename(listed.latest)


def check_exists(checkpoint, flag="init_checkpoint"):
    """Raises an `InputError` if the index of a checkpoint cannot be read.

    Args:
      checkpoint: path without the ending `.index`.
      flag: name of the flag, for the error.
    """
    Reader(checkpoint, flag)


# Contents.


# Of variables that were read: (identity of the checkpoint, name) -> `Reader.is_finite`.
_is_finite = {}


def _identity(checkpoint):
    """Returns a tuple that is another one when the files of a checkpoint change.

    Links to the files have the same one.
    """
    folder, name = os.path.split(checkpoint)
    found = []
    for each in sorted(os.listdir(folder or ".")):
        if each.startswith((f"{name}{INDEX}", f"{name}.data-")):
            status = os.stat(os.path.join(folder, each))
            state = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
            found.append((each, *state))
    return tuple(found)


class Reader:
    """The variables of a checkpoint.

    path: of the checkpoint, without the ending `.index`.
    flag: name of the flag that gives it, for errors.
    shapes: dict name -> list of int.
    """

    def __init__(self, path, flag="init_checkpoint"):
        """Reads the index.

        Raises:
          InputError: if it is missing or cannot be read.
        """
        self.path, self.flag = path, flag
        if not exists(path):
            raise InputError(
                f"--{flag}={path}: there is no such checkpoint; the files would be "
                f"{path}.index and {path}.data-00000-of-00001, and the flag's value "
                "ends before .index"
            )
        try:
            self._identity = _identity(path)
            self._reader = tf.train.load_checkpoint(literal(path))
            self.shapes = self._reader.get_variable_to_shape_map()
        except OSError as error:
            raise InputError(
                f"--{flag}={path}: {error.filename} cannot be read: {error.strerror}"
            ) from error
        except _READ_ERRORS as error:
            raise InputError(
                f"--{flag}={path}: cannot be read: {_first_line(error)}"
            ) from error

    def read(self, name):
        """Returns the value of a variable; floats of every type become float32.

        Raises:
          InputError: naming the variable, if it cannot be read.
        """
        try:
            value = np.asarray(self._reader.get_tensor(name))
        except _READ_ERRORS as error:
            # After an interrupted copy the index may be whole and the data cut off.
            raise InputError(
                f"--{self.flag}={self.path}: variable {name} cannot be read; is the "
                f"file {self.path}.data-* whole? ({_first_line(error)})"
            ) from error
        if not self.is_float(name):  # to NumPy bfloat16 is none
            return value
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            return value.astype(np.float32, copy=False)

    def read_finite(self, name):
        """Returns the value of a variable, see `read`.

        Raises:
          InputError: naming the variable, if it cannot be read, or holds NaN or
            infinite numbers.
        """
        value = self.read(name)
        check_finite(name, value, f"--{self.flag}={self.path}")
        return value

    def is_finite(self, name):
        """Returns whether a variable has neither NaN nor infinite numbers.

        It is read once by this process, as long as the files do not change.

        Raises:
          InputError: naming the variable, if it cannot be read.
        """
        key = self._identity, name
        if key not in _is_finite:
            _is_finite[key] = _num_not_finite(self.read(name)) == 0
        return _is_finite[key]

    def is_float(self, name):
        """Returns whether a variable holds floats, of any type."""
        return self._reader.get_variable_to_dtype_map()[name].is_floating


def check_finite(name, value, source):
    """Raises an `InputError` if a tensor holds NaN or infinite numbers.

    Args:
      name: of the tensor, for the error.
      value: array.
      source: file or flag, for the error.
    """
    num_wrong = _num_not_finite(value)
    if num_wrong:
        raise InputError(
            f"{source}: {num_wrong:,} of the {value.size:,} numbers of {name} are NaN "
            "or infinite, so the model is of no use; take an earlier checkpoint, or "
            "the weights from which it was trained (in an --output_dir that has such a "
            "checkpoint, with --overwrite_output_dir)"
        )


def _num_not_finite(value):
    if value.dtype != np.float32:
        return 0
    return value.size - np.count_nonzero(np.isfinite(value))


def _first_line(error):
    return str(error).split("\n", 1)[0]


def read_weights(checkpoint):
    """Returns the weights of a checkpoint as a dict, which are finite.

    See `each_weight`.
    """
    weights = {}
    for name, value in each_weight(checkpoint):
        check_finite(name, value, f"--init_checkpoint={checkpoint}")
        weights[name] = value
    return weights


def each_weight(checkpoint):
    """Yields (name, array) of the weights of a checkpoint, one at a time.

    Of a variable with an average it is the average. Optimizer slots and counters are
    left out.

    Args:
      checkpoint: path, of `--init_checkpoint`.

    Raises:
      InputError: if the checkpoint cannot be read.
    """
    reader = Reader(checkpoint)
    for name, shape in sorted(reader.shapes.items()):
        # Counters and the variables of the loss scale are scalars, unlike weights.
        if shape and not name.endswith(BESIDE_WEIGHTS):
            yield name, reader.read(name_in(reader.shapes, name))


# Restoring.


class Restore(NamedTuple):
    """The variables of a graph whose values are in a checkpoint."""

    reader: Reader
    sources: list  # of (name in the checkpoint, variable)

    @property
    def variables(self):
        """The list of the variables."""
        return [variable for _, variable in self.sources]

    def check(self):
        """Reads all values that this process has not read yet.

        Raises:
          InputError: naming the variable that cannot be read or is not finite.
        """
        for name in dict.fromkeys(name for name, _ in self.sources):
            if not self.reader.is_finite(name):
                self.reader.read_finite(name)  # for the error

    def run(self, session):
        """Gives the variables of a session their values; nothing is added to its graph.

        Raises:
          InputError: see `check`.
        """
        feeds, ops, num_bytes = {}, [], 0
        for name, variable in self.sources:
            value = self.reader.read_finite(name)
            initial_value = variable.initializer.inputs[1].name
            if feeds and (
                initial_value in feeds or num_bytes + value.nbytes > _BYTES_AT_ONCE
            ):
                session.run(ops, feeds)
                feeds, ops, num_bytes = {}, [], 0
            feeds[initial_value] = value
            ops.append(variable.initializer)
            num_bytes += value.nbytes
        session.run(ops, feeds)


def check_fits(reader, variables):
    """Checks that a checkpoint holds variables in their shapes, by its index.

    A variable whose average is in the checkpoint is restored to it. A warning names
    layers and other variables of the encoder that the checkpoint has beyond these.

    Args:
      reader: `Reader`.
      variables: list of variables.

    Returns:
      `(restore, missing)`: `Restore` of the variables that the checkpoint holds, and
      the list of names of the others.

    Raises:
      InputError: naming the first variable whose shape or kind of numbers differs; or
        if the checkpoint holds none of the variables.
    """
    source, shapes = f"--{reader.flag}={reader.path}", reader.shapes
    sources, missing = [], []
    for variable in variables:
        name = variable.op.name
        shape = variable.shape.as_list()
        if name not in shapes:
            missing.append(name)
            continue
        if list(shapes[name]) != shape:
            raise InputError(
                f"{source}: variable {name} has shape {shapes[name]} there and {shape} "
                "here; is --bert_config_file the one of this checkpoint, and are the "
                "task's labels those it was trained with?"
            )
        if variable.dtype.is_floating and not reader.is_float(name):
            raise InputError(
                f"{source}: variable {name} holds no floats there; is it the "
                "checkpoint of a quantized model?"
            )
        sources.append((name_in(shapes, name), variable))
    if not sources:
        raise InputError(
            f"{source}: it holds none of the model's variables, only "
            f"{', '.join(sorted(shapes)[:3])}, ..."
        )
    unused = _unused(shapes, variables)
    if unused:
        logger.warning(
            "%s: of the encoder in it, the model has no place for %s; is "
            "--bert_config_file the one of this checkpoint?",
            source,
            _listed(unused),
        )
    return Restore(reader, sources), missing


def _unused(names, variables):
    """Returns the names in a checkpoint that are of the encoder but not of the model.

    Args:
      names: of all tensors in the checkpoint.
      variables: list of all variables of the model.
    """
    known = {variable.op.name for variable in variables}
    scopes = {name.split("/")[0] for name in known if _LAYER.match(name)}

    def is_slot(name):
        return os.path.dirname(name) in known or name.endswith(BESIDE_WEIGHTS)

    return [
        name
        for name in names
        if name.split("/")[0] in scopes and name not in known and not is_slot(name)
    ]


def _listed(names):
    """Returns names of variables as text, those of a layer as one."""
    by_part = {}  # layer, or variable outside of the layers -> names
    for name in names:
        layer = _LAYER.match(name)
        by_part.setdefault(layer[1] if layer else name, []).append(name)
    parts = [
        of_part[0] if len(of_part) == 1 else f"{part}/* ({len(of_part)} variables)"
        for part, of_part in sorted(by_part.items(), key=_with_numbers)
    ]
    more = len(parts) - _MAX_NAMES
    return ", ".join(parts[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _with_numbers(item):
    """Returns the key of an item (name, value) that sorts layer 10 behind layer 9."""
    return [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", item[0])]


def restore_trained(checkpoint, variables):
    """Returns the `Restore` of a trained model.

    A variable is restored to its average, if the checkpoint has one.

    Args:
      checkpoint: path, of `--init_checkpoint` or in `--output_dir`.
      variables: list of variables.

    Raises:
      InputError: if the checkpoint lacks a variable or a shape differs.
    """
    reader = Reader(checkpoint, "init_checkpoint or --output_dir")
    restore, missing = check_fits(reader, variables)
    if missing:
        raise InputError(
            f"{checkpoint}: it lacks {', '.join(missing[:3])}; evaluation, prediction "
            "and export need a trained model: add --do_train=true, or give the folder "
            "of one as --output_dir or its checkpoint as --init_checkpoint"
        )
    return restore


def restore_initial(
    checkpoint, variables, is_head=lambda variable: False, is_strict=False
):
    """Returns the `Restore` of the variables that start from a checkpoint.

    Logs which variables start at random; it is a warning if any is of the encoder.

    Args:
      checkpoint: path.
      variables: list of variables.
      is_head: function from a variable to whether it is one of a task and not of the
        encoder. It may have another shape in the checkpoint, that of another task's
        labels; it then starts at random.
      is_strict: whether an encoder that starts at random in part is an error.

    Raises:
      InputError: see `check_fits` and `is_strict`.
    """
    reader = Reader(checkpoint)
    others = [
        variable.op.name
        for variable in variables
        if is_head(variable)
        and reader.shapes.get(variable.op.name) not in (None, variable.shape.as_list())
    ]
    if others:
        logger.warning(
            "The checkpoint has %s for other labels", ", ".join(sorted(others))
        )
    fitting = [each for each in variables if each.op.name not in others]
    restore, missing = check_fits(reader, fitting)
    heads = {variable.op.name for variable in variables if is_head(variable)}
    at_random = [name for name in missing if name not in heads]
    start = (
        f"{len(restore.sources)} of {len(variables)} variables start from {checkpoint}"
    )
    if at_random and is_strict:
        raise InputError(
            f"--strict_init: {start}; it lacks {_listed(at_random)} of the encoder; is "
            "--bert_config_file the one of this checkpoint?"
        )
    if at_random:
        logger.warning(
            "%s; of the encoder, %s are not in it and start at random: is "
            "--bert_config_file the one of this checkpoint?",
            start,
            _listed(at_random),
        )
    else:
        logger.info("%s; at random: %s", start, ", ".join(others + missing) or "none")
    return restore


def restore_resumed(checkpoint, variables, starts_anew=None):
    """Returns the `Restore` of a run that is resumed from a checkpoint.

    Args:
      checkpoint: path.
      variables: list of all variables.
      starts_anew: (optional) for a checkpoint of another program: function from a name
        to whether the variable keeps its initial value where the checkpoint does not
        have it. The average of a weight then starts as the weight.

    Returns:
      `(restore, missing)`: `missing` is the list of names that the checkpoint lacks
      and that do not start anew.

    Raises:
      InputError: see `check_fits`.
    """
    reader = Reader(checkpoint, "output_dir")
    found, missing = check_fits(reader, variables)
    # A run goes on with the weights, and with the averages beside them.
    sources = [(variable.op.name, variable) for variable in found.variables]
    if starts_anew:
        by_name = {variable.op.name: variable for variable in variables}
        for name in missing:
            weight = name[: -len(AVERAGE)] if name.endswith(AVERAGE) else name
            if weight in reader.shapes:
                sources.append((weight, by_name[name]))
        restored = {variable.op.name for _, variable in sources}
        missing = [x for x in missing if x not in restored and not starts_anew(x)]
    return Restore(reader, sources), missing


# Writing.


def write(variables, path):
    """Writes a checkpoint.

    Args:
      variables: dict name -> array.
      path: without the ending `.index`; its folder exists.
    """
    config = tf.ConfigProto(device_count={"GPU": 0})
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        names = sorted(variables)  # the order in which `tf.train.Saver` writes
        tensors = [
            tf.placeholder(variables[name].dtype, variables[name].shape)
            for name in names
        ]
        save = tf.raw_ops.SaveV2(
            prefix=path,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=tensors,
        )
        with saving(path):
            session.run(save, dict(zip(tensors, map(variables.get, names))))


def num_parameters(variables):
    """Returns the number of elements in a list of variables."""
    return int(sum(np.prod(variable.shape.as_list()) for variable in variables))
