"""Adversarial training: gradients of a batch and of its adversarial perturbation.

Source: Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text
Classification" (the fast gradient method, on the word embeddings).
"""

import tensorflow.compat.v1 as tf


def add_fgm(grads_and_vars, table, epsilon, gradients_of):
    """Adds the gradients at perturbed word embeddings to the gradients of a batch.

    The perturbation goes along the gradient of the word embedding table; its Euclidean
    norm over the whole table is `epsilon`.

    Args:
      grads_and_vars: list of (gradient, variable), including the table's.
      table: the variable of the word embeddings.
      epsilon: float.
      gradients_of: function that builds the model again, in a scope that reuses the
        variables, and returns its list of (gradient, variable).

    Returns:
      list of (gradient, variable).
    """
    by_name = {variable.op.name: gradient for gradient, variable in grads_and_vars}
    # The table's gradient as a whole: a word that occurs twice has one perturbation.
    direction = tf.convert_to_tensor(by_name[table.op.name])
    norm = tf.norm(direction)
    # A gradient of 0 has no direction. With one that is not finite the step is skipped.
    perturbation = tf.stop_gradient(tf.math.divide_no_nan(direction, norm) * epsilon)

    def perturbed(getter, name, *args, **kwargs):
        value = getter(name, *args, **kwargs)
        return value + perturbation if name == table.op.name else value

    scope = tf.get_variable_scope()
    with tf.variable_scope(scope, reuse=True, custom_getter=perturbed):
        more = gradients_of()
    return [
        (_add(gradient, by_name[variable.op.name]), variable)
        for gradient, variable in more
    ]


def _add(a, b):
    if a is None or b is None:
        return a if b is None else b
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)
