"""Work spread over processes: order, errors, and how far it reads ahead."""

import functools
import multiprocessing
import os
import signal
import subprocess

import pytest

from bert_my.common import signals
from bert_my.common.errors import InputError
from bert_my.data import workers
from tests import helpers

pytestmark = pytest.mark.once


@pytest.fixture(params=[1, 3])
def num_workers(request):
    return request.param


@pytest.fixture
def no_hanging():
    """Ends a test that waits forever."""

    def stop(*_):
        raise AssertionError("still waiting")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("num_items", [0, 1, 2, 50])
def test_order_is_kept(num_workers, num_items):
    found = workers.ordered_map(lambda x: x * x, range(num_items), num_workers)
    assert list(found) == [x * x for x in range(num_items)]


def test_processes_share_the_work():
    found = workers.ordered_map(lambda _: os.getpid(), range(50), 3)
    pids = set(found)
    assert os.getpid() not in pids
    assert len(pids) <= 3
    assert set(workers.ordered_map(lambda _: os.getpid(), range(5), 1)) == {os.getpid()}


def test_functions_may_refer_to_what_cannot_be_pickled(num_workers):
    with open(__file__, encoding="utf-8") as stream:
        found = workers.ordered_map(lambda x: (x, stream.fileno()), [1], num_workers)
        assert list(found) == [(1, stream.fileno())]


def test_errors_of_the_function_arrive_after_the_results_before(num_workers):
    def function(item):
        if item == 7:
            raise InputError(f"item {item} is wrong")
        return item

    found = []
    with pytest.raises(InputError, match="item 7 is wrong"):
        found.extend(workers.ordered_map(function, range(50), num_workers))
    found = []
    with pytest.raises(InputError):
        for result in workers.ordered_map(function, range(50), num_workers):
            found.append(result)
    assert found == list(range(7))


def test_errors_of_the_items_arrive(num_workers):
    def items():
        yield from range(12)
        raise InputError("a.txt:13: not UTF-8")

    with pytest.raises(InputError, match=r"a\.txt:13"):
        list(workers.ordered_map(abs, items(), num_workers))


def test_a_process_that_dies_is_an_error(no_hanging):
    def function(item):
        if item == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(InputError, match="2 processes"):
        list(workers.ordered_map(function, range(50), 2))


def test_only_a_few_items_are_read_ahead(num_workers):
    num_read = 0

    def items():
        nonlocal num_read
        for item in range(1000):
            num_read += 1
            yield item

    most = 0
    for index, _ in enumerate(workers.ordered_map(abs, items(), num_workers), 1):
        most = max(most, num_read - index)
    assert num_read == 1000
    assert most < workers.ITEMS_PER_WORKER * num_workers


def test_the_rest_can_be_left(num_workers, no_hanging):
    for _ in range(10):  # what could wait forever does so now and then
        found = workers.ordered_map(abs, iter(range(1000)), num_workers)
        assert next(found) == 0
        found.close()
        with pytest.raises(StopIteration):
            next(found)


ENDLESS = """
import os, sys, time
from bert_my.data import workers

def function(item):
    print(os.getpid(), flush=True)
    time.sleep(60)

list(workers.ordered_map(function, range(9), 2))
"""


@pytest.mark.once
def test_workers_end_with_a_parent_that_is_killed(no_hanging):
    with helpers.start_python(ENDLESS, stdout=subprocess.PIPE) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        assert parent.stdout.read() == ""  # the end: no process has it open any more
    assert len(set(pids)) == 2


def test_a_signal_while_workers_are_forked_is_not_lost(no_hanging, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    start = multiprocessing.get_context("fork").Process.start

    def start_and_interrupt(process):
        start(process)
        os.kill(os.getpid(), signal.SIGINT)

    process_class = multiprocessing.get_context("fork").Process
    monkeypatch.setattr(process_class, "start", start_and_interrupt)
    with pytest.raises(signals.Stopped), signals.handled():
        list(workers.ordered_map(abs, range(9), 2))
    signal.signal(signal.SIGINT, before)


class OfTwoArgumentsError(Exception):
    def __init__(self, file, row):
        super().__init__(f"{file}:{row}")


def of_a_local_object(item):
    error = ValueError(f"train.csv:{item}")
    error.cause = lambda: None
    return error


@pytest.mark.parametrize(
    "make_error",
    [of_a_local_object, functools.partial(OfTwoArgumentsError, "train.csv")],
)
def test_an_error_that_cannot_be_sent_arrives_as_text(make_error, no_hanging):
    def function(item):
        raise make_error(item)

    with pytest.raises(RuntimeError, match=r"train\.csv:0"):
        list(workers.ordered_map(function, range(3), 2))
