"""Cuts long sequences of tokens into windows that overlap.

Every token belongs to exactly one window, in which it has context on both sides.
"""

from typing import NamedTuple


class Window(NamedTuple):
    """Token `begin` to `end` of a sequence, of which `first` to `last` belong to it."""

    begin: int
    end: int
    first: int
    last: int


def cut(lengths, room, overlap):
    """Returns the windows of a sequence, in their order.

    Args:
      lengths: number of wordpieces of each token, each 1 to `room`.
      room: wordpieces that a window can hold.
      overlap: wordpieces that neighbours share, at least, where tokens allow it; it
        must be less than `room`.

    Returns:
      list of `Window`; empty without tokens.
    """
    spans = []
    begin = 0
    while begin < len(lengths):
        end, used = begin, 0
        while end < len(lengths) and used + lengths[end] <= room:
            used += lengths[end]
            end += 1
        spans.append((begin, end))
        if end == len(lengths):
            break
        next_begin, shared = end, 0
        # The next window has to begin later, and to get beyond the end of this one.
        while next_begin - 1 > begin and shared < overlap:
            if shared + lengths[next_begin - 1] + lengths[end] > room:
                break
            next_begin -= 1
            shared += lengths[next_begin]
        begin = next_begin
    borders = [0]
    for (_, end), (begin, _) in zip(spans, spans[1:]):
        borders.append((begin + end) // 2)
    borders.append(len(lengths))
    return [
        Window(*span, first, last)
        for span, first, last in zip(spans, borders, borders[1:])
    ]
