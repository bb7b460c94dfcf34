"""The error for wrong input of users: files, rows, flags."""


class InputError(Exception):
    """Names the wrong file, row, variable or flag; shown without a traceback."""
