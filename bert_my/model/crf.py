"""Linear-chain conditional random field, in log space and exact.

The score of a sequence of tags is the sum of its logits and of the transitions from
each tag to the next. Positions with mask 0 are no part of the chain: it links those
before and behind them. Source: Lafferty et al. 2001, "Conditional random fields".
"""

import tensorflow.compat.v1 as tf


def log_likelihood(logits, tags, mask, transitions):
    """Returns the logarithm of the probability of the given tags.

    Args:
      logits: float32 `[batch_size, seq_length, num_labels]`.
      tags: int32 `[batch_size, seq_length]`, 0 to `num_labels - 1`; ignored where mask
        is 0.
      mask: int32 `[batch_size, seq_length]`, 1 for positions of the chain, else 0.
      transitions: float32 `[num_labels, num_labels]`, from row to column.

    Returns:
      float32 `[batch_size]`; 0 for a row without a chain.
    """
    order, is_in_chain = _chain(mask)
    logits = tf.gather(logits, order, batch_dims=1)
    tags = tf.gather(tags, order, batch_dims=1)
    return _score(logits, tags, is_in_chain, transitions) - _log_partition(
        logits, is_in_chain, transitions
    )


def viterbi(logits, mask, transitions):
    """Returns the sequence of tags with the highest score.

    Args: see `log_likelihood`.

    Returns:
      int32 `[batch_size, seq_length]`; 0 where mask is 0.
    """
    order, is_in_chain = _chain(mask)
    logits = tf.gather(logits, order, batch_dims=1)

    def forward(carried, step):
        scores, _ = carried
        step_logits, is_step = step
        # [batch_size, from, to]
        candidates = tf.expand_dims(scores, -1) + transitions
        best = tf.argmax(candidates, axis=1, output_type=tf.int32)
        new_scores = tf.reduce_max(candidates, axis=1) + step_logits
        # Where there is no step each tag points to itself.
        stay = tf.broadcast_to(tf.range(tf.shape(best)[1]), tf.shape(best))
        return (
            tf.where_v2(is_step, new_scores, scores),
            tf.where_v2(is_step, best, stay),
        )

    first = logits[:, 0]
    scores, pointers = tf.scan(
        forward, _steps(logits, is_in_chain), (first, tf.zeros_like(first, tf.int32))
    )
    last = tf.argmax(scores[-1], axis=-1, output_type=tf.int32)

    def backward(tag, step_pointers):
        is_tag = tf.one_hot(tag, tf.shape(step_pointers)[1], dtype=tf.int32)
        return tf.reduce_sum(step_pointers * is_tag, axis=1)

    previous = tf.scan(backward, pointers, last, reverse=True)
    # [batch_size, seq_length]: the tags of the chain, one after the other.
    tags = tf.transpose(tf.concat([previous[1:], tf.expand_dims(last, 0)], axis=0))
    rank = tf.maximum(tf.cumsum(mask, axis=1) - 1, 0)
    return tf.gather(tags, rank, batch_dims=1) * mask


def _chain(mask):
    """Moves the positions of a chain to the front, in their order.

    Args:
      mask: int32 `[batch_size, seq_length]`.

    Returns:
      `(order, is_in_chain)`: int32 and bool `[batch_size, seq_length]`, the positions
      to gather and whether they are positions of the chain.
    """
    seq_length = tf.shape(mask)[1]
    order = tf.argsort(tf.range(seq_length) + (1 - mask) * seq_length, axis=1)
    lengths = tf.reduce_sum(mask, axis=1)
    return order, tf.sequence_mask(lengths, seq_length)


def _steps(logits, is_in_chain):
    """Returns the logits and the mask of each step, with steps on the first axis.

    The first position starts the recursions and is not a step.
    """
    is_step = is_in_chain & (tf.range(tf.shape(logits)[1]) > 0)
    return (
        tf.transpose(logits, [1, 0, 2]),
        tf.expand_dims(tf.transpose(is_step), -1),
    )


def _score(logits, tags, is_in_chain, transitions):
    """Returns the score of the given tags: float32 `[batch_size]`."""
    num_labels = logits.shape.as_list()[-1]
    one_hot = tf.one_hot(tags, num_labels)
    one_hot *= tf.cast(tf.expand_dims(is_in_chain, -1), tf.float32)
    # [batch_size, from, to]: how often each transition occurs.
    counts = tf.matmul(one_hot[:, :-1], one_hot[:, 1:], transpose_a=True)
    return tf.reduce_sum(one_hot * logits, axis=[1, 2]) + tf.reduce_sum(
        counts * transitions, axis=[1, 2]
    )


def _log_partition(logits, is_in_chain, transitions):
    """Returns the log of the sum over all tags of exp(score): float32 `[batch_size]`.

    It is the forward algorithm; 0 for a row without a chain.
    """

    def forward(scores, step):
        step_logits, is_step = step
        # [batch_size, from, to]
        candidates = tf.expand_dims(scores, -1) + transitions
        new_scores = tf.reduce_logsumexp(candidates, axis=1) + step_logits
        return tf.where_v2(is_step, new_scores, scores)

    scores = tf.foldl(forward, _steps(logits, is_in_chain), logits[:, 0])
    has_chain = tf.cast(is_in_chain[:, 0], tf.float32)
    return tf.reduce_logsumexp(scores, axis=-1) * has_chain
