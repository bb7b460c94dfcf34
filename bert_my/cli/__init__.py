"""Flags, the runner and the TensorFlow compatibility switch."""

import os

from bert_my.cli import console

# Hides what TensorFlow's libraries log at their start; errors are still shown. Must be
# set before TensorFlow is imported for the first time.
if not console.is_debugging():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
