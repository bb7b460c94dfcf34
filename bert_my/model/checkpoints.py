"""Checkpoints: their contents, checks against a model, and starting from them.

A check reads the index of a checkpoint only. Values are read once, by the restore.
"""

import contextlib
import logging
import os
import re

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

# Endings of the names of the slots and averages that a run keeps beside each weight.
AVERAGE = "/average"
BESIDE_WEIGHTS = ("/adam_m", "/adam_v", AVERAGE)


def average_name(variable_name):
    """Returns the name of the moving average of a variable."""
    return f"{variable_name}{AVERAGE}"


# Endings of the files of a checkpoint.
PARTS = re.compile(r"\.(index|meta|data-\d+-of-\d+)$")


def check_exists(checkpoint, flag="init_checkpoint"):
    """Raises an `InputError` if a checkpoint cannot be read.

    Args:
      checkpoint: path without the ending `.index`.
      flag: name of the flag, for the error.
    """
    if os.path.isdir(checkpoint):
        raise InputError(
            f"--{flag}={checkpoint}: it is a folder; give it as --model, or the path "
            "of a checkpoint in it, such as bert_model.ckpt"
        )
    whole = PARTS.sub("", checkpoint)
    if whole != checkpoint and tf.io.gfile.exists(f"{whole}.index"):
        raise InputError(
            f"--{flag}={checkpoint}: there is no such checkpoint; did you mean {whole}?"
        )
    if not tf.io.gfile.exists(f"{checkpoint}.index"):
        raise InputError(
            f"--{flag}={checkpoint}: there is no such checkpoint; the files would be "
            f"{checkpoint}.index and {checkpoint}.data-00000-of-00001, and the flag's "
            "value ends before .index"
        )
    try:
        tf.train.list_variables(checkpoint)
    except (tf.errors.OpError, ValueError) as error:
        raise InputError(f"--{flag}={checkpoint}: cannot be read: {error}") from error


def check_fits(checkpoint, variables, flag="init_checkpoint"):
    """Checks that a checkpoint holds variables in their shapes, by its index.

    Args:
      checkpoint: path.
      variables: list of variables.
      flag: name of the flag, for the error.

    Returns:
      `(found, missing)`: dict name in the checkpoint, of a variable's average if there
      is one -> variable; and the list of names that the checkpoint does not hold.

    Raises:
      InputError: naming the first variable whose shape differs, or that cannot be read
        because a data file is cut off; or if the checkpoint holds none of the
        variables.
    """
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = reader.get_variable_to_shape_map()
    found, missing = {}, []
    for variable in variables:
        name = variable.op.name
        shape = variable.shape.as_list()
        if name not in shapes:
            missing.append(name)
            continue
        if list(shapes[name]) != shape:
            raise InputError(
                f"--{flag}={checkpoint}: variable {name} has shape {shapes[name]} "
                f"there and {shape} here; is --bert_config_file the one of this "
                "checkpoint, and are the task's labels those it was trained with?"
            )
        found[name_in(shapes, name)] = variable
    if not found:
        raise InputError(
            f"--{flag}={checkpoint}: it holds none of the model's variables, only "
            f"{', '.join(sorted(shapes)[:3])}, ..."
        )
    if _is_cut_off(checkpoint, reader):
        check_readable(checkpoint, variables, flag)
    return found, missing


def _is_cut_off(checkpoint, reader):
    """Returns whether the data files are smaller than the tensors of the index."""
    shapes = reader.get_variable_to_shape_map()
    num_bytes = sum(
        int(np.prod(shapes[name], dtype=np.int64)) * dtype.size
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype != tf.string  # of any size
    )
    folder, prefix = os.path.split(f"{checkpoint}.data-")
    names = [x for x in tf.io.gfile.listdir(folder or ".") if x.startswith(prefix)]
    sizes = [tf.io.gfile.stat(os.path.join(folder, x)).length for x in names]
    return sum(sizes) < num_bytes


@contextlib.contextmanager
def restoring(checkpoint, variables, flag="init_checkpoint or --output_dir"):
    """Turns the error of a restore into an `InputError` that names the variable.

    Args:
      checkpoint: path; None where nothing is restored.
      variables: list of variables that are restored.
      flag: name of the flag, for the error.
    """
    try:
        yield
    except tf.errors.OpError:
        if checkpoint:
            check_readable(checkpoint, variables, flag)
        raise


def check_readable(checkpoint, variables, flag="init_checkpoint"):
    """Reads the values of variables; an `InputError` names the first unreadable one."""
    reader = tf.train.load_checkpoint(checkpoint)
    for variable in variables:
        for name in (variable.op.name, average_name(variable.op.name)):
            if reader.has_tensor(name):
                _read(reader, name, checkpoint, flag)


def _read(reader, name, checkpoint, flag):
    """Returns the value of a variable, or raises an `InputError` that names it."""
    try:
        return reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, IndexError) as error:
        # After an interrupted copy the index may be whole and the data cut off.
        raise InputError(
            f"--{flag}={checkpoint}: variable {name} cannot be read; is the file "
            f"{checkpoint}.data-* whole? ({str(error).splitlines()[0]})"
        ) from error


def saver_for(checkpoint, variables):
    """Returns a `tf.train.Saver` that restores variables from a checkpoint.

    A variable is restored to its average, if the checkpoint has one. The restore is to
    be run within `restoring`.

    Args:
      checkpoint: path, of `--init_checkpoint` or in `--output_dir`.
      variables: list of variables.

    Raises:
      InputError: if the checkpoint lacks a variable or a shape differs.
    """
    flags = "init_checkpoint or --output_dir"
    found, missing = check_fits(checkpoint, variables, flags)
    if missing:
        raise InputError(
            f"{checkpoint}: it lacks {', '.join(missing[:3])}; evaluation, prediction "
            "and export need a trained model: add --do_train=true, or give the folder "
            "of one as --output_dir or its checkpoint as --init_checkpoint"
        )
    return tf.train.Saver(found)


def name_in(names, variable_name):
    """Returns the name of a variable's average in a checkpoint, or its own name.

    Args:
      names: of all tensors in the checkpoint.
      variable_name: str.
    """
    average = average_name(variable_name)
    return average if average in names else variable_name


def initialize_from(checkpoint, variables, is_head=lambda variable: False):
    """Initializes variables with the values that a checkpoint has of them.

    To be called before the session is created, and the initializers are to be run
    within `restoring`. Logs which variables start at random.

    Args:
      checkpoint: path.
      variables: list of variables.
      is_head: function from a variable to whether it may have another shape in the
        checkpoint, that of another task's labels; it then starts at random.
    """
    check_exists(checkpoint)
    shapes = dict(tf.train.list_variables(checkpoint))
    others = [
        variable.op.name
        for variable in variables
        if is_head(variable)
        and shapes.get(variable.op.name) not in (None, variable.shape.as_list())
    ]
    if others:
        logger.warning(
            "The checkpoint has %s for other labels", ", ".join(sorted(others))
        )
    fitting = [each for each in variables if each.op.name not in others]
    found, missing = check_fits(checkpoint, fitting)
    missing = others + missing
    tf.train.init_from_checkpoint(
        checkpoint, {name: variable.op.name for name, variable in found.items()}
    )
    logger.info(
        "%d of %d variables start from %s; at random: %s",
        len(found),
        len(variables),
        checkpoint,
        ", ".join(missing) or "none",
    )


def resume_from(checkpoint, variables, starts_anew):
    """Initializes variables with the values of a checkpoint of another program.

    The average of a weight starts as the weight. To be called before the session is
    created, see `initialize_from`.

    Args:
      checkpoint: path; its variables fit, see `check_fits`.
      variables: list of variables.
      starts_anew: function from a name to whether the variable keeps its initial value
        where the checkpoint does not have it.

    Returns:
      list of names that the checkpoint lacks and that do not start anew.
    """
    reader = tf.train.load_checkpoint(checkpoint)
    found, of_averages, missing = {}, {}, []
    for variable in variables:
        name = variable.op.name
        weight = name[: -len(AVERAGE)] if name.endswith(AVERAGE) else name
        if reader.has_tensor(name):
            found[name] = variable
        elif reader.has_tensor(weight):
            of_averages[weight] = variable
        elif not starts_anew(name):
            missing.append(name)
    for sources in (found, of_averages):
        tf.train.init_from_checkpoint(checkpoint, sources)
    return missing


def read_weights(checkpoint):
    """Returns the weights of a checkpoint as a dict; see `each_weight`."""
    return dict(each_weight(checkpoint))


def each_weight(checkpoint):
    """Yields (name, array) of the weights of a checkpoint, one at a time.

    Of a variable with an average it is the average. Optimizer slots and counters are
    left out.

    Args:
      checkpoint: path, of `--init_checkpoint`.

    Raises:
      InputError: if the checkpoint cannot be read.
    """
    check_exists(checkpoint)
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = reader.get_variable_to_shape_map()
    for name, shape in sorted(shapes.items()):
        # Counters and the variables of the loss scale are scalars, unlike weights.
        if shape and not name.endswith(BESIDE_WEIGHTS):
            name_there = name_in(shapes, name)
            yield name, _read(reader, name_there, checkpoint, "init_checkpoint")


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
        session.run(save, dict(zip(tensors, map(variables.get, names))))


def num_parameters(variables):
    """Returns the number of elements in a list of variables."""
    return int(sum(np.prod(variable.shape.as_list()) for variable in variables))
