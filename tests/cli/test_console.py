"""The lines of TensorFlow's libraries, which stay out of the way."""

import os
import signal
import subprocess
import sys
import warnings

import pytest

from bert_my.cli import console
from tests import helpers

pytestmark = pytest.mark.once


@pytest.mark.parametrize("argv", [[], ["--verbosity=debug"], ["--verbosity", "debug"]])
def test_library_lines_are_kept_away_and_others_are_not(capfd, monkeypatch, argv):
    monkeypatch.setattr(sys, "argv", ["program", *argv])
    library = [
        "WARNING: All log messages before absl::InitializeLog() is called",
        "I0000 00:00:1.4 1 port.cc:153] oneDNN custom operations are on.",
        "2026-01-02 03:04:05.6: W tensorflow/stream_executor/dso_loader.cc:59] no",
    ]
    with console.without_library_lines():
        os.write(2, "\n".join([*library, "Fatal: why", ""]).encode())
    shown = capfd.readouterr().err.splitlines()
    assert shown == ([*library, "Fatal: why"] if argv else ["Fatal: why"])


@pytest.mark.parametrize("argv", [[], ["--verbosity=debug"]])
def test_warnings_of_libraries_are_for_debugging(capfd, monkeypatch, argv):
    monkeypatch.setattr(sys, "argv", ["program", *argv])
    with warnings.catch_warnings(record=True) as shown, console.command_line():
        warnings.warn("of a library", stacklevel=1)
    assert bool(shown) == bool(argv)


def test_a_wrong_flag_is_the_only_line():
    found = subprocess.run(
        [sys.executable, str(helpers.ROOT / "run_classifier.py"), "--task_nam=csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.stdout == (
        "error: --task_nam: there is no such flag; did you mean --task_name? (--help "
        "lists all)\n"
    )


def test_a_reader_that_stops_ends_the_program_quietly():
    program = (
        "from bert_my.cli import console\n"
        "with console.command_line():\n"
        "    for _ in range(10000):\n"
        "        print('x' * 100)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=str(helpers.ROOT),
    )
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait() == 1
    writer.stderr.close()


@pytest.mark.parametrize(
    ("end", "status"),
    [(None, 0), (SystemExit(3), 3), (SystemExit("error: why"), 1), (ValueError(), 1)],
)
def test_a_script_ends_with_its_block(monkeypatch, end, status):
    """While the interpreter ends a signal would have no handler."""

    class EndedError(BaseException):
        pass

    def leave(status):
        raise EndedError(status)

    monkeypatch.setattr(console, "is_script", lambda: True)
    monkeypatch.setattr(console.atexit, "_run_exitfuncs", lambda: None)
    monkeypatch.setattr(console.os, "_exit", leave)
    with pytest.raises(EndedError, match=f"^{status}$"), console.command_line():
        if end:
            raise end


@pytest.mark.parametrize(("flags", "level"), [([], "3"), (["--verbosity=debug"], "")])
def test_the_level_of_library_lines(flags, level):
    code = "import os, bert_my.cli; print(os.getenv('TF_CPP_MIN_LOG_LEVEL', ''))"
    env = {x: y for x, y in os.environ.items() if x != "TF_CPP_MIN_LOG_LEVEL"}
    found = subprocess.run(
        [sys.executable, "-c", code, *flags],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=str(helpers.ROOT),
    )
    assert found.stdout.strip() == level


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)]
)
def test_a_signal_is_one_line_and_its_status(name, status, capfd):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # not ignored, as nohup does
    with pytest.raises(SystemExit) as raised, console.command_line():
        os.kill(os.getpid(), number)
    signal.signal(number, before)
    assert raised.value.code == status
    assert capfd.readouterr().err == f"Stopped by {name}\n"


def test_a_signal_while_libraries_are_loaded_is_one_line():
    program = (
        "import os, signal, sys\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, signal.SIG_DFL)\n"
        f"sys.modules['__main__'].__file__ = {str(helpers.ROOT / 'run.py')!r}\n"
        "from bert_my.cli import console\n"
        "with console.without_library_lines():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        text=True,
        cwd=str(helpers.ROOT),
    )
    assert (found.returncode, found.stderr) == (143, "Stopped by SIGTERM\n")


def test_an_error_of_a_file_is_one_line(tmp_path):
    path = str(tmp_path / "none")
    with pytest.raises(SystemExit) as raised, console.command_line():
        os.listdir(path)
    assert raised.value.code == f"error: {path}: No such file or directory"
