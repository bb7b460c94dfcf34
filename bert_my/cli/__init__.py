"""Flags, the runner and the TensorFlow compatibility switch."""

import os

from bert_my.cli import console
from bert_my.common import signals

# Loading TensorFlow takes seconds in which a script may be interrupted.
if console.is_script():
    signals.leave_at_once()
# Hides what TensorFlow's libraries log: some lines that they mark as errors are none,
# and real errors come as exceptions. Must be set before TensorFlow is imported.
if not console.is_debugging():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
