"""Exponential moving averages of the weights, for evaluation, prediction and export.

Source: Polyak and Juditsky 1992; Tarvainen and Valpola 2017, 3.
"""

import tensorflow.compat.v1 as tf

from bert_my.model import checkpoints


class Averages:
    """The averages of a list of variables, kept in variables."""

    def __init__(self, variables, decay):
        """Creates the variables of the averages.

        Args:
          variables: list of variables.
          decay: of the average, per step, 0 to 1; lower in the first steps, so that the
            average forgets the initial weights.
        """
        self._decay = decay
        self._averages = {}
        for variable in variables:
            with tf.device(variable.device):
                self._averages[variable.op.name] = tf.get_variable(
                    checkpoints.average_name(variable.op.name),
                    variable.shape.as_list(),
                    initializer=tf.zeros_initializer(),
                    trainable=False,
                )
        self._variables = list(variables)

    def update(self, global_step):
        """Returns the op to run after a step, once the weights have changed.

        Args:
          global_step: integer scalar, steps done before this one.
        """
        step = tf.cast(global_step, tf.float32)
        # At first the average follows the weights closely, by the rule of TensorFlow's
        # ExponentialMovingAverage(num_updates): (1 + n) / (10 + n).
        decay = tf.minimum(self._decay, step / (step + 9.0))
        updates = []
        for variable in self._variables:
            average = self._averages[variable.op.name]
            with tf.device(variable.device):
                difference = variable.read_value() - average.read_value()
                updates.append(tf.assign_add(average, (1.0 - decay) * difference))
        return tf.group(*updates)

    def of(self, variable):
        """Returns the average of a variable, or the variable if it has none."""
        return self._averages.get(variable.op.name, variable)

    def getter(self, getter, name, *args, **kwargs):
        """A `custom_getter` for scopes that use averages in place of weights."""
        return self.of(getter(name, *args, **kwargs))
