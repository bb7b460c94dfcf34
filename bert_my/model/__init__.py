"""Encoders, checkpoints, conversion of weights, recurrent layers and decoding."""
