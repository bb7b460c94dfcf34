"""Checkpoints with a number that is not one."""

import os
import re

import numpy as np


def kinds(tensors):
    """Returns one variable of each kind: layers, with their numbers, are alike.

    tensors: dict name -> (dtype, ...), see `results.read_tensors`; only variables of
      floating point numbers count.
    """
    found = {}
    for name in sorted(tensors):
        if "float" in tensors[name][0]:
            found.setdefault(re.sub(r"\d+", "N", name), name)
    return list(found.values())


def is_slot(name, tensors):
    """Returns whether a variable is a slot of an optimizer, for another variable."""
    return name.rpartition("/")[0] in tensors


def in_child(function, *args):
    """Calls a function in a forked process: sessions have threads, which forks lack."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function(*args)
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError(f"{function.__name__} has failed")


def poison(path, variable):
    """Writes a NaN into a checkpoint.

    Args:
      path: of the checkpoint, without the ending `.index`.
      variable: name of the variable; a checkpoint that lacks it stays as it is.
    """
    import tensorflow.compat.v1 as tf

    reader = tf.train.load_checkpoint(path)
    if not reader.has_tensor(variable):
        return
    names = sorted(reader.get_variable_to_shape_map())
    values = [np.array(reader.get_tensor(name)) for name in names]
    values[names.index(variable)].reshape(-1)[-1] = np.nan
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = [tf.placeholder(value.dtype, value.shape) for value in values]
        save = tf.raw_ops.SaveV2(
            prefix=path,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=inputs,
        )
        session.run(save, dict(zip(inputs, values)))
