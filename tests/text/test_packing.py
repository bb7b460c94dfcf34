"""How two texts share the room of a sequence."""

import itertools

from bert_my.text.packing import lengths_within


def cut_step_by_step(length_a, length_b, room):
    """Upstream's rule, one token after the other."""
    while length_a + length_b > room:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return length_a, length_b


def test_is_what_the_rule_gives_step_by_step():
    for sizes in itertools.product(range(13), range(13), range(27)):
        assert lengths_within(*sizes) == cut_step_by_step(*sizes), sizes
