"""Work spread over processes, in order and within bounded memory."""

import collections
import concurrent.futures
import gc
import multiprocessing
from concurrent.futures.process import BrokenProcessPool

from bert_my.common.errors import InputError

# Items under way for each process: one that works and some that wait.
ITEMS_PER_WORKER = 3

_function = None


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
    # Unlike `multiprocessing.Pool` it does not wait forever for a process that died.
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("fork"), _start, (function,)
    )
    pending = collections.deque()
    # What is left when this ends early is waited for and not cancelled: Python 3.7
    # looks whether anything is left, drops what was cancelled, and then waits forever.
    with executor:
        try:
            for item in items:
                pending.append(executor.submit(_call, item))
                if len(pending) == ITEMS_PER_WORKER * num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            raise InputError(
                f"one of {num_workers} processes was killed, perhaps for lack of memory"
            ) from error


def _start(function):
    global _function
    _function = function


def _call(item):
    return _function(item)
