"""The one error for input that is not as it should be."""


class InputError(Exception):
    """Says which file, row, variable or flag is wrong; shown without a traceback."""
