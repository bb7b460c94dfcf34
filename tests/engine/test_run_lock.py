"""The lock against a second training in one folder."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from bert_my.common.errors import InputError
from bert_my.engine import run_lock
from tests import helpers

HOLD = """
import sys, time
from bert_my.engine import run_lock
with run_lock.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(100)
"""


def test_another_process_is_named_and_frees_the_lock_when_it_is_killed(tmp_path):
    folder = str(tmp_path / "run")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        cwd=str(helpers.ROOT),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"held\n"
        message = f"process {process.pid} on {socket.gethostname()} is training there"
        with pytest.raises(InputError, match=message), run_lock.held(folder):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with run_lock.held(folder):
        holder = json.loads((tmp_path / "run" / run_lock.NAME).read_text())
        assert holder["pid"] == os.getpid()


def test_a_folder_in_the_place_of_the_lock_is_named(tmp_path):
    (tmp_path / run_lock.NAME).mkdir()
    with pytest.raises(InputError, match=run_lock.NAME), run_lock.held(str(tmp_path)):
        pass


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refuse(stream, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refuse)
    with run_lock.held(str(tmp_path)):
        assert "No locks available" in caplog.text
