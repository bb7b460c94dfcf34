"""Flags, the runner and the TensorFlow compatibility switch."""

import os

# What TensorFlow's libraries say at their start; errors are still shown. To be set
# before TensorFlow is imported for the first time.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
