"""What a sweep shows of runs that failed: why first, and what failed alike once."""

import re

NUM_LOG_LINES = 12
TRACEBACK = "Traceback (most recent call last):"
# What TensorFlow's libraries say about themselves, of levels below an error.
CHATTER = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |WARNING:tensorflow:")


def find_reason(lines):
    """Returns the line that says why a run failed, or None.

    That is the last `error: ...`, which the scripts say of wrong input, or else the
    exception of the last traceback.

    lines: list of strings, the log of the run.
    """
    errors = [line for line in lines if line.startswith("error:")]
    if errors:
        return errors[-1]
    reason = None
    for index, line in enumerate(lines):
        # An exception in a destructor ends no run.
        is_ignored = index and lines[index - 1].startswith("Exception ignored in")
        if line == TRACEBACK and not is_ignored:
            after = (each for each in lines[index + 1 :] if each.strip())
            reason = next((each for each in after if each[0] != " "), reason)
    return reason


class Failures:
    """Tells about failed runs, one after another."""

    def __init__(self):
        self._names = {}  # what happened -> name of the run to which it did first

    def describe(self, run, exit_code, log_path, lines):
        """Returns what to say about a run, as lines.

        Args:
          run: `sweep_plan.Run`.
          exit_code: of its process.
          log_path: file of its log.
          lines: list of strings, the log, or the end of a long one.
        """
        reason = find_reason(lines)
        # Runs that differ only in the name of their folder failed alike.
        what = (exit_code, (reason or "").replace(run.folder, ""))
        first = self._names.setdefault(what, run.name)
        if reason and first != run.name:
            return [f"Exit code {exit_code}, like {first}; its log: {log_path}"]
        said = [reason] if reason else []
        if reason and reason.startswith("error:"):
            return [*said, f"Exit code {exit_code}; its log: {log_path}"]
        told = [line for line in lines if not CHATTER.match(line)][-NUM_LOG_LINES:]
        said.append(f"Exit code {exit_code}; the end of {log_path}:")
        return [*said, *(f"| {line}" for line in told)]
