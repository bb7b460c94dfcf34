"""Signals: the first ends a program in order, the second at once."""

import os
import signal
import subprocess
import time

import pytest

from bert_my.common import signals
from tests import helpers


@pytest.fixture(params=signals.STOPPING, ids=signals.name_of)
def number(request):
    """A signal that is not ignored, whoever started the tests."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_an_exit_with_its_number(number):
    with pytest.raises(SystemExit) as raised, signals.handled():
        os.kill(os.getpid(), number)
    assert raised.value.code == 128 + number
    assert signals.name_of(number) in raised.value.message
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_block_can_finish_first(number):
    with signals.handled():
        with signals.deferred():
            assert signals.requested() is None
            os.kill(os.getpid(), number)
            assert signals.requested() == number
            signals.check()
        with pytest.raises(signals.Stopped):
            signals.check()
    assert signals.requested() is None


def test_a_signal_that_is_ignored_stays_so(number):
    signal.signal(number, signal.SIG_IGN)
    with signals.handled():
        os.kill(os.getpid(), number)
        signals.check()


PROGRAM = """
from bert_my.common import signals

with signals.handled(), signals.deferred():
    print("ready", flush=True)
    while not signals.requested():
        pass
    print("received", flush=True)
    {work}
"""


@pytest.mark.once
def test_the_second_signal_ends_the_process_at_once():
    program = PROGRAM.format(work="import time; time.sleep(60)")
    with helpers.start_python(program, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        # Twice, as `timeout` does, which counts once.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "received\n"
        time.sleep(2 * signals._SECONDS_OF_ONE)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
