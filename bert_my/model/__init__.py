"""Encoder families, fused operations, checkpoints, conversion, CRF and LSTM layers."""
