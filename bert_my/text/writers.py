"""Writers of prediction files: one for each file format.

A writer is made with a function `(index, example, result)` that formats an example and
its result, see `postprocessor`; the index is the example's, from 0.
"""

import csv
import json


class Writer:
    """Base of the writers. `format`: see the top of this file."""

    def __init__(self, format):
        self.format = format

    def begin(self, stream):
        """Writes the beginning of a file to a text stream."""

    def add(self, stream, index, example, result):
        """Writes an example."""
        raise NotImplementedError

    def end(self, stream):
        """Writes the end of a file."""


class Lines(Writer):
    """Plain lines. `format` returns an iterable of lists of cells, joined by tabs."""

    def add(self, stream, index, example, result):
        for cells in self.format(index, example, result):
            self.write(stream, cells)

    def write(self, stream, cells):
        """Writes a line."""
        stream.write("\t".join(map(str, cells)) + "\n")


class Tsv(Lines):
    """A table with a header. `format` returns an iterable of lists of cells.

    Cells are separated by tabs and quoted where they must be, as spreadsheets and
    pandas read them by themselves: texts may hold tabs, quotes and line ends.
    """

    def __init__(self, header, format):
        super().__init__(format)
        self.header = header

    def begin(self, stream):
        self.write(stream, self.header)

    def write(self, stream, cells):
        # A carriage return is a line end for many readers, but not for `csv.writer`.
        has_return = any("\r" in str(cell) for cell in cells)
        quoting = csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
        writer = csv.writer(
            stream, delimiter="\t", lineterminator="\n", quoting=quoting
        )
        writer.writerow(cells)


class Json(Writer):
    """One JSON object for all examples. `format` returns (key, JSON-able value)."""

    def begin(self, stream):
        stream.write("{")

    def add(self, stream, index, example, result):
        key, value = self.format(index, example, result)
        stream.write(",\n" if index else "\n")
        stream.write(f"{json.dumps(key, ensure_ascii=False)}: ")
        json.dump(value, stream, ensure_ascii=False)

    def end(self, stream):
        stream.write("\n}\n")
