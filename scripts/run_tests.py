"""Runs pytest on the folders of tests in each environment, two processes at a time.

Usage: run_tests.py ENVIRONMENT[,ENVIRONMENT] [--all] [PATH...] [ARGUMENTS OF PYTEST]

TensorFlow holds on to memory of graphs and sessions that are gone: several processes
give it back. Each takes 5 s of CPU to import it, so small folders share one. The first
environment runs everything, the others leave out what does not depend on TensorFlow:
the folders `PURE_PYTHON` and tests marked `once`. `scripts/test.sh` is the command for
users.
"""

import collections
import multiprocessing.pool
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

NUM_PROCESSES = 2
MAX_BYTES = 200_000  # of the test files of folders that share a process
# No result there depends on the version of TensorFlow.
PURE_PYTHON = (
    "tests/common",
    "tests/metrics",
    "tests/pretrain",
    "tests/report",
    "tests/text",
    "tests/tools",
    "tests/tools/project",
)
NO_TESTS_COLLECTED = 5  # an exit status of pytest

Job = collections.namedtuple("Job", ["environment", "name", "paths"])


def split_by_folder(paths):
    """Returns a dict name -> paths of tests that stay together.

    Args:
      paths: folders, of which each that holds tests is an entry; files and names of
        tests, which are one.
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


def num_bytes(paths):
    return sum(os.path.getsize(path.split("::")[0]) for path in paths)


def join_small(groups, max_bytes=MAX_BYTES):
    """Returns such a dict where neighbours of `max_bytes` at most are one entry."""
    joined = []
    for name, paths in groups.items():
        if joined and num_bytes([*joined[-1][1], *paths]) <= max_bytes:
            joined[-1] = (f"{joined[-1][0]},{name}", [*joined[-1][1], *paths])
        else:
            joined.append((name, paths))
    return dict(joined)


def make_jobs(environments, groups, is_all):
    """Returns the list of `Job`s, the largest first: the last ones end together."""
    jobs = []
    for environment in environments:
        runs_all = is_all or environment == environments[0]
        own = {n: p for n, p in groups.items() if runs_all or n not in PURE_PYTHON}
        jobs += [Job(environment, *item) for item in join_small(own).items()]
    return sorted(jobs, key=lambda job: num_bytes(job.paths), reverse=True)


def markers(environment, environments, is_all):
    """Returns the arguments of pytest that choose tests of an environment."""
    if is_all:
        return ["-m", ""]
    return [] if environment == environments[0] else ["-m", "not slow and not once"]


def run_job(job, arguments):
    """Runs pytest for a job.

    Returns (job, exit status, seconds, peak memory of a process in MiB, output).
    """
    command = [f"{job.environment}/bin/python", "-m", "pytest", *job.paths, *arguments]
    command += ["-o", f"cache_dir={job.environment}/.pytest_cache"]
    start = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        log.seek(0)
        output = log.read().decode("utf-8", errors="replace")
    seconds, peak = time.monotonic() - start, usage.ru_maxrss / 1024
    return job, process.returncode, seconds, peak, output


def main(argv):
    """Returns the exit status: 0 if every process of pytest succeeded."""
    environments, arguments = argv[0].split(","), argv[1:]
    is_all = "--all" in arguments
    paths = [a for a in arguments if a.startswith("tests")]
    rest = [a for a in arguments if a not in ("--all", *paths)]
    jobs = make_jobs(environments, split_by_folder(paths or ["tests"]), is_all)
    lines, statuses = [], set()
    with multiprocessing.pool.ThreadPool(NUM_PROCESSES) as pool:

        def run(job):
            chosen = markers(job.environment, environments, is_all)
            return run_job(job, [*chosen, *rest])

        for job, status, seconds, peak, output in pool.imap_unordered(run, jobs):
            print(f"== {job.name} in {job.environment}\n{output}", flush=True)
            counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)", output[-200:])
            lines.append(
                f"{job.environment:<10} {job.name} {seconds:5.0f} s"
                f" {peak:5.0f} MiB  {', '.join(counts) or f'exit status {status}'}"
            )
            statuses.add(status)
    print("== Summary", *sorted(lines), sep="\n")
    if statuses == {NO_TESTS_COLLECTED}:
        return NO_TESTS_COLLECTED
    return int(not statuses <= {0, NO_TESTS_COLLECTED})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
