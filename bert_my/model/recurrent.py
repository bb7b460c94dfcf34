"""Long short-term memory over masked sequences, in plain TensorFlow ops."""

import numpy as np
import tensorflow.compat.v1 as tf

import modeling


def bidirectional_lstm(inputs, mask, num_units):
    """Reads sequences from left to right and from right to left.

    A position with mask 0 is skipped in both directions: the state stays and the output
    is 0, so padding changes nothing, wherever it is. Both directions run in one loop.
    The variables are in the scope `lstm`. Source: Hochreiter and Schmidhuber
    1997; forget gate with a bias of 1 at the start: Jozefowicz et al. 2015.

    Args:
      inputs: float32 `[batch_size, seq_length, width]`.
      mask: int32 `[batch_size, seq_length]`, 1 for real positions, else 0.
      num_units: of each direction.

    Returns:
      float32 `[batch_size, seq_length, 2 * num_units]`: forward, then backward.
    """
    batch_size, seq_length, width = modeling.get_shape_list(inputs, expected_rank=3)
    with tf.variable_scope("lstm"):
        input_kernels, recurrent_kernels, biases = zip(
            *(
                _create_weights(direction, width, num_units)
                for direction in ("forward", "backward")
            )
        )
    # The inputs' share of the gates: one product for all steps and directions.
    gates = tf.nn.bias_add(
        tf.matmul(
            modeling.reshape_to_matrix(inputs),
            tf.concat(input_kernels, axis=1),
        ),
        tf.concat(biases, axis=0),
    )
    gates = tf.reshape(gates, [batch_size, seq_length, 2, 4 * num_units])
    gates = tf.transpose(gates, [1, 2, 0, 3])  # [seq_length, 2, batch_size, ...]
    is_real = tf.expand_dims(tf.transpose(tf.cast(mask, tf.float32)), axis=-1)
    is_real = tf.stack([is_real, is_real], axis=1)  # [seq_length, 2, batch_size, 1]
    kernels = tf.stack(recurrent_kernels)
    is_real = _reverse_backward(is_real)
    states = _run(_reverse_backward(gates), is_real > 0, kernels)
    outputs = _reverse_backward(states * is_real)
    outputs = tf.transpose(outputs, [2, 0, 1, 3])  # [batch_size, seq_length, 2, ...]
    return tf.reshape(outputs, [batch_size, seq_length, 2 * num_units])


def _create_weights(direction, width, num_units):
    """Creates the variables of a direction.

    Returns:
      `(input_kernel, recurrent_kernel, bias)`: `[width, 4 * num_units]`,
      `[num_units, 4 * num_units]` and `[4 * num_units]`, for the gates in the order
      input, forget, cell, output.
    """
    size = 4 * num_units
    kernel_init = tf.glorot_uniform_initializer()
    forget_bias = np.repeat([0.0, 1.0, 0.0, 0.0], num_units).astype(np.float32)
    bias_init = tf.constant_initializer(forget_bias)
    with tf.variable_scope(direction):
        return (
            tf.get_variable("input_kernel", [width, size], initializer=kernel_init),
            tf.get_variable(
                "recurrent_kernel", [num_units, size], initializer=kernel_init
            ),
            tf.get_variable("bias", [size], initializer=bias_init),
        )


def _reverse_backward(values):
    """Reverses the second direction of `[seq_length, 2, ...]` along the first axis."""
    forward, backward = tf.unstack(values, axis=1)
    return tf.stack([forward, tf.reverse(backward, axis=[0])], axis=1)


def _run(gates, is_real, kernels):
    """Runs the recurrence of both directions.

    Args:
      gates: float32 `[seq_length, 2, batch_size, 4 * num_units]`, without the state's
        share.
      is_real: bool `[seq_length, 2, batch_size, 1]`.
      kernels: float32 `[2, num_units, 4 * num_units]`.

    Returns:
      float32 `[seq_length, 2, batch_size, num_units]`: the state after each step.
    """
    num_units = kernels.shape.as_list()[1]
    batch_size = modeling.get_shape_list(gates)[2]
    zeros = tf.zeros([2, batch_size, num_units])

    def run_step(carried, step):
        state, cell = carried
        step_gates, is_step = step
        total = step_gates + tf.matmul(state, kernels)
        input_gate, forget_gate, candidate, output_gate = tf.split(total, 4, axis=-1)
        new_cell = tf.sigmoid(forget_gate) * cell
        new_cell += tf.sigmoid(input_gate) * tf.tanh(candidate)
        new_state = tf.sigmoid(output_gate) * tf.tanh(new_cell)
        return (
            tf.where_v2(is_step, new_state, state),
            tf.where_v2(is_step, new_cell, cell),
        )

    states, _ = tf.scan(run_step, (gates, is_real), (zeros, zeros))
    return states
