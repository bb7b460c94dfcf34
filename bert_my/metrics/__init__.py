"""Metrics: pure functions of targets and predictions."""
