"""Tools on top of runs: sweeps and the benchmark; no other part imports them."""

import itertools


def align(rows):
    """Returns lines of text in which the cells of a column have one width.

    Args:
      rows: sequences of strings; short ones have no cells in the last columns.
    """
    columns = itertools.zip_longest(*rows, fillvalue="")
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]
