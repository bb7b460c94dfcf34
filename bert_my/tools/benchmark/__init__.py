"""Benchmark: speed and memory of training, prediction and encoding; comparisons."""
