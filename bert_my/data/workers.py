"""Work spread over processes, in order and within bounded memory."""

import collections
import contextlib
import gc
import multiprocessing
import os
import pickle
import queue
import threading
import time
import traceback

from bert_my.common import signals
from bert_my.common.errors import InputError

# Items under way for each process: one that works and some that wait.
ITEMS_PER_WORKER = 3
# A signal to all processes may have killed the worker first; then it is why all ends.
_SECONDS_OF_SIGNAL = 0.2


class _KilledError(Exception):
    """A worker does not answer any more."""


def ordered_map(function, items, num_workers):
    """Yields `function(item)` for each item, in their order.

    The processes are forked and inherit the function with all that it refers to; items
    and results are pickled. However many items there are, only a few are under way.

    Args:
      function: of one argument.
      items: iterable.
      num_workers: processes; 1 for this one.

    Raises:
      InputError: if a process was killed, which happens where memory is short.
    """
    # The garbage collector would look at all that TensorFlow is made of, every time.
    gc.freeze()
    try:
        if num_workers == 1:
            yield from map(function, items)
        else:
            yield from _map_in_processes(function, items, num_workers)
    finally:
        gc.unfreeze()


def _map_in_processes(function, items, num_workers):
    # `multiprocessing.Pool` waits forever for a process that was killed, and workers of
    # `concurrent.futures` wait forever for a parent that was: they hold its pipe open.
    workers, pending = [], collections.deque()
    try:
        for index, item in enumerate(items):
            if len(workers) < num_workers:
                workers.append(_Worker(function, workers))
            worker = workers[index % num_workers]
            worker.put(item)
            pending.append(worker)
            if len(pending) == ITEMS_PER_WORKER * num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except _KilledError as error:
        time.sleep(_SECONDS_OF_SIGNAL)
        raise InputError(
            f"one of {num_workers} processes was killed, perhaps for lack of memory"
        ) from error
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A forked process that applies a function; it ends as soon as its parent does."""

    def __init__(self, function, others):
        """Forks the process.

        Args:
          function: of one argument.
          others: the workers so far. Their pipes are inherited, and have to be closed
            in the new process for them to see the end of the parent.
        """
        context = multiprocessing.get_context("fork")
        self._pipe, pipe = context.Pipe()
        inherited = [self._pipe, *(other._pipe for other in others)]
        self._process = context.Process(
            target=_work, args=(function, pipe, inherited), daemon=True
        )
        # An exception within the callbacks of a fork would be lost.
        with signals.deferred():
            self._process.start()
        pipe.close()
        signals.check()

    def put(self, item):
        """Gives the worker an item."""
        with _named():
            self._pipe.send(item)

    def result(self):
        """Returns the next result, or raises the error of the function."""
        with _named():
            value, error, traceback_text = self._pipe.recv()
        if error:
            raise error from RuntimeError(traceback_text)
        return value

    def end(self):
        """Ends the process, whatever it does."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def _named():
    """Turns the errors of a pipe into that of its worker."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise _KilledError from error


def _work(function, pipe, inherited):
    """Runs in a worker until it is killed or its parent has ended."""
    signals.leave_to_parent()
    for each in inherited:
        each.close()
    items = queue.Queue()
    threading.Thread(target=_receive, args=(pipe, items), daemon=True).start()
    while True:
        item = items.get()
        try:
            answer = function(item), None, ""
        except Exception as error:
            answer = None, error, traceback.format_exc()
        _send(pipe, answer)


def _send(pipe, answer):
    """Sends (result, error, its traceback) to the parent."""
    try:
        # An error whose class takes other arguments cannot be unpickled.
        pickle.loads(pickle.dumps(answer[1]))
        pipe.send(answer)
    except OSError:  # the parent has ended
        os._exit(1)
    except Exception as error:  # it cannot be pickled
        text = answer[2] or repr(error)
        pipe.send((None, RuntimeError(text.splitlines()[-1]), text))


def _receive(pipe, items):
    """Takes items as soon as they come, so that the parent need not wait for it."""
    try:
        while True:
            items.put(pipe.recv())
    except (EOFError, OSError):  # the parent has ended
        os._exit(1)
