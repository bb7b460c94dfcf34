"""Progress of long loops: a bar on a terminal, lines in a log elsewhere."""

import logging
import sys
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)

SECONDS = 10.0  # between lines, at most


class Bar(tqdm):
    """A bar of `tqdm`; if stderr is no terminal, a line every `SECONDS`."""

    def __init__(self, what, unit, total=None, **more):
        """Begins at 0.

        Args:
          what: is done, for example "Encoding".
          unit: of `update`, for example "rows".
          total: (optional) number of units at the end.
          **more: arguments of `tqdm`.
        """
        super().__init__(
            desc=what,
            unit=f" {unit}",
            total=total,
            disable=not sys.stderr.isatty(),
            **more,
        )
        self._what, self._unit, self._total = what, unit, total
        self._done, self._logged_at = 0, time.monotonic()

    def update(self, n=1):
        """Counts units that are done."""
        super().update(n)
        self._done += n
        if self.disable and time.monotonic() - self._logged_at >= SECONDS:
            of = f" of {self._total:,}" if self._total else ""
            logger.info("%s: %s%s %s", self._what, f"{self._done:,}", of, self._unit)
            self._logged_at = time.monotonic()
