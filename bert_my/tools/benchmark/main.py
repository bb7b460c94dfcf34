"""The command line of the benchmark."""

import json
import logging
import sys
import tempfile

from bert_my.cli import compat, console, exits
from bert_my.common import files
from bert_my.tools.benchmark import (
    from_text,
    huggingface,
    machine,
    measure,
    settings,
    tables,
    upstream,
)

logger = logging.getLogger(__name__)

# A load from which the numbers say more of what else is running.
_BUSY = 0.5


def main(argv=None):
    """Measures what a command line asks for, and prints it as a table and as JSON.

    Args:
      argv: arguments with the program's name first; default: `sys.argv`.
    """
    compat.use_graph_mode()
    console.log_to_stderr()
    argv = argv or sys.argv
    with exits.one_line_for():
        request = settings.parse(argv)
        if request is not None:
            run(request, argv)


def run(request, argv):
    """Does the work of a `settings.Request`; prints and returns its numbers."""
    load = machine.load_average()
    if load > _BUSY:
        logger.warning(
            "Something else uses this machine (load %.2f in the last minute): the "
            "numbers will be too low, and a comparison will favour one side",
            load,
        )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        if request.own.compare:
            found = huggingface.compare(request, folder, logger.info)
            found.update(machine.facts())
            lines = tables.of_comparison(found)
        else:
            found = _measure(request, folder)
            lines = tables.of_result(found)
    found["command"] = argv
    found["settings"] = {**vars(request.own), **request.engine}
    if request.own.json:
        files.write_json(request.own.json, found)
    print("\n".join(lines))
    print(json.dumps(found, sort_keys=True))
    return found


def _measure(request, folder):
    own = request.own
    if own.mode == settings.ENCODE:
        return from_text.encode(request, folder)
    if own.end_to_end:
        return from_text.end_to_end(request, folder)
    if own.upstream_dir:
        return upstream.run(request, folder)
    setup = measure.set_up(request, folder)
    work = measure.predict if own.mode == settings.PREDICT else measure.train
    return work(setup)


if __name__ == "__main__":
    main()
