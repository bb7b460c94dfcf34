"""Runs pytest once per folder of tests and environment, two processes at a time.

Usage: run_tests.py ENVIRONMENT[,ENVIRONMENT] [--all] [PATH...] [ARGUMENTS OF PYTEST]

TensorFlow holds on to memory of graphs and sessions that are gone: a process per folder
gives it back. The first environment runs everything, the others leave out what does not
depend on TensorFlow. `scripts/test.sh` is the command for users.
"""

import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

NUM_PROCESSES = 2
# No result there depends on the version of TensorFlow.
PURE_PYTHON = ("tests/metrics", "tests/pretrain", "tests/report", "tests/text")
NO_TESTS_COLLECTED = 5  # an exit status of pytest

Job = collections.namedtuple("Job", ["environment", "name", "paths"])


def split_by_folder(paths):
    """Returns a dict name -> paths for one process of pytest.

    Args:
      paths: folders, of which each that holds tests gets a process of its own; files
        and names of tests, which share one.
    """
    groups = {}
    for path in paths:
        if not os.path.isdir(path):
            groups.setdefault("files", []).append(path)
            continue
        for folder in [pathlib.Path(path), *sorted(pathlib.Path(path).rglob("*/"))]:
            files = sorted(map(str, folder.glob("test_*.py")))
            if files:
                groups[str(folder)] = files
    return groups


def make_jobs(environments, groups, is_all):
    """Returns the list of `Job`s, the largest first: the last ones end together."""
    jobs = [
        Job(environment, name, paths)
        for environment in environments
        for name, paths in groups.items()
        if is_all or environment == environments[0] or name not in PURE_PYTHON
    ]

    def size(job):
        return sum(os.path.getsize(path.split("::")[0]) for path in job.paths)

    return sorted(jobs, key=size, reverse=True)


def run_jobs(jobs, arguments, log_dir):
    """Runs pytest for each job, two at a time.

    Yields (job, exit status, seconds, peak memory of a process in MiB, output).
    """
    waiting, running = list(jobs), {}
    try:
        while waiting or running:
            while waiting and len(running) < NUM_PROCESSES:
                job = waiting.pop(0)
                log = pathlib.Path(log_dir) / str(len(waiting))
                command = [f"{job.environment}/bin/python", "-m", "pytest", *job.paths]
                command += ["-o", f"cache_dir={job.environment}/.pytest_cache"]
                with log.open("wb") as stream:
                    process = subprocess.Popen(
                        [*command, *arguments], stdout=stream, stderr=stream
                    )
                running[process.pid] = job, process, log, time.monotonic()
            pid, status, usage = os.wait4(-1, 0)
            job, process, log, start = running.pop(pid)
            process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
            seconds, peak = time.monotonic() - start, usage.ru_maxrss / 1024
            output = log.read_text(encoding="utf-8", errors="replace")
            yield job, process.returncode, seconds, peak, output
    finally:
        for _, process, *_ in running.values():
            process.terminate()


def main(argv):
    """Returns the exit status: 0 if every process of pytest succeeded."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    environments, arguments = argv[0].split(","), argv[1:]
    is_all = "--all" in arguments
    paths = [a for a in arguments if a.startswith("tests")]
    rest = [a for a in arguments if a not in ("--all", *paths)]
    if is_all:
        rest += ["-m", ""]
    jobs = make_jobs(environments, split_by_folder(paths or ["tests"]), is_all)
    lines, statuses = [], set()
    with tempfile.TemporaryDirectory() as log_dir:
        for job, status, seconds, peak, output in run_jobs(jobs, rest, log_dir):
            print(f"== {job.name} in {job.environment}\n{output}", flush=True)
            counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)", output[-200:])
            lines.append(
                f"{job.environment:<10} {job.name:<22} {seconds:5.0f} s"
                f" {peak:5.0f} MiB  {', '.join(counts) or f'exit status {status}'}"
            )
            statuses.add(status)
    print("== Summary", *sorted(lines), sep="\n")
    if statuses == {NO_TESTS_COLLECTED}:
        return NO_TESTS_COLLECTED
    return int(not statuses <= {0, NO_TESTS_COLLECTED})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
