"""Brings TensorFlow 1.15 and 2.x into the same mode."""

import os

from bert_my.cli import console

with console.without_library_lines():
    import tensorflow.compat.v1 as tf
    from tensorflow.python.util import deprecation


def use_graph_mode():
    """Switches TensorFlow 1.15 and 2.x to the same mode: graphs, resource variables.

    Must be called before any graph is built.
    """
    shows_all = console.is_debugging()
    tf.logging.set_verbosity(tf.logging.INFO if shows_all else tf.logging.ERROR)
    # TensorFlow 1.15 inspects the arguments of each operation for deprecated ones, in
    # vain where nobody sees the warning: 7 % of the time of a small run.
    deprecation._PRINT_DEPRECATION_WARNINGS = shows_all
    tf.disable_v2_behavior()
    tf.enable_resource_variables()


def make_deterministic():
    """Makes ops use deterministic kernels, where there are several."""
    os.environ["TF_DETERMINISTIC_OPS"] = "1"  # for TensorFlow 1.15
    enable = getattr(tf.config.experimental, "enable_op_determinism", None)
    if enable is not None:
        enable()
