"""How two texts share the room of a sequence."""


def lengths_within(length_a, length_b, room):
    """Returns the lengths to which two texts are cut so that they fit together.

    The longer text loses tokens one by one, the second one if both are as long, so that
    a short text keeps its words. Source: Devlin et al. 2019, figure 2, and its code.

    Args:
      length_a, length_b: in tokens.
      room: the most tokens of both together.
    """
    excess = max(length_a + length_b - room, 0)
    # What the longer one loses until both are as long; then they take turns.
    alone = min(excess, abs(length_a - length_b))
    rest = excess - alone
    is_a_longer = length_a > length_b
    cut_a = rest // 2 + alone * is_a_longer
    cut_b = rest - rest // 2 + alone * (not is_a_longer)
    return length_a - cut_a, length_b - cut_b
