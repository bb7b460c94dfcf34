"""Errors and files, for all parts."""
