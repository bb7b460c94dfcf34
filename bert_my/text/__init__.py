"""Preprocessors, postprocessors and prediction files; no TensorFlow."""
