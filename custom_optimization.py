"""A training step with loss scaling and skipped steps, for fp16.

The loss is multiplied by a scale, so that small fp16 gradients do not underflow to 0;
the sum of the gradients is divided by the scale again. A step with a gradient that is
not finite changes neither weights nor slots nor the global step; it is counted, and the
scale is halved. Source: Micikevicius et al. 2018, "Mixed precision training".
"""

import collections

import tensorflow.compat.v1 as tf

if __package__:  # copied into a package
    from . import optimization
else:
    import optimization

INITIAL_LOSS_SCALE = 2.0**15
GOOD_STEPS_TO_DOUBLE = 2000
MIN_LOSS_SCALE = 1.0

# `op` runs the step. `is_finite`: bool, False for a skipped step. `gradient_norm`:
# float32, unscaled, before clipping. `loss_scale`: float32, before the step.
# `num_skipped_steps`: int64, in all so far.
TrainStep = collections.namedtuple(
    "TrainStep",
    ["op", "is_finite", "gradient_norm", "loss_scale", "num_skipped_steps"],
)


class LossScale:
    """Factor of the loss, adapted to the range of fp16; saved with the checkpoint."""

    SCOPE = "loss_scale"  # of the variables

    def __init__(self, is_dynamic):
        """Creates the variables; with `is_dynamic` False the scale in use is 1."""
        self._is_dynamic = is_dynamic

        def variable(name, initial, dtype):
            return tf.get_variable(
                name,
                initializer=tf.constant(initial, dtype),
                trainable=False,
                # For `tf.distribute` with one replica.
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        # The same variables for every precision: a run may be resumed with another.
        with tf.variable_scope(self.SCOPE, reuse=tf.AUTO_REUSE):
            self._scale = variable("scale", INITIAL_LOSS_SCALE, tf.float32)
            self._num_good_steps = variable("num_good_steps", 0, tf.int64)
            self._num_skipped_steps = variable("num_skipped_steps", 0, tf.int64)
        self.value = tf.identity(self._scale) if is_dynamic else tf.constant(1.0)

    def count_good_step(self):
        """Returns the op to run after a finite step."""
        if not self._is_dynamic:
            return tf.no_op()
        num_good_steps = self._num_good_steps + 1
        is_due = num_good_steps >= GOOD_STEPS_TO_DOUBLE
        doubled = self.value * 2.0
        # A scale that overflows would never yield a finite step again.
        doubled = tf.where_v2(tf.math.is_finite(doubled), doubled, self.value)
        return tf.group(
            tf.assign(self._scale, tf.where_v2(is_due, doubled, self.value)),
            tf.assign(
                self._num_good_steps,
                tf.where_v2(is_due, tf.zeros_like(num_good_steps), num_good_steps),
            ),
        )

    def count_skipped_step(self):
        """Returns the op to run instead of a step that is not finite."""
        ops = [tf.assign_add(self._num_skipped_steps, 1)]
        if self._is_dynamic:
            halved = tf.maximum(self.value * 0.5, MIN_LOSS_SCALE)
            ops += [tf.assign(self._scale, halved), tf.assign(self._num_good_steps, 0)]
        return tf.group(*ops)

    def num_skipped_steps(self):
        """Returns the int64 number of skipped steps when it is read."""
        return tf.identity(self._num_skipped_steps)


def apply_if_finite(
    optimizer,
    grads_and_vars,
    global_step,
    loss_scale,
    clip_norm=optimization.CLIP_NORM,
    after_update=None,
    gradient_norm=None,
):
    """Creates a step: unscale, clip by the global norm, apply and count, or skip.

    Args:
      optimizer: an optimizer of `optimization`.
      grads_and_vars: gradients of the scaled loss, summed over all towers.
      global_step: integer variable; advanced by 1 by a finite step.
      loss_scale: `LossScale`.
      clip_norm: largest norm of all gradients together.
      after_update: (optional) function that returns an op to run in a finite step after
        the weights have changed and before the step is counted.
      gradient_norm: (optional) norm of all gradients together, not finite if a gradient
        is not; default: `tf.linalg.global_norm`.

    Returns:
      `TrainStep`.
    """
    gradients, variables = zip(*[(g, v) for g, v in grads_and_vars if g is not None])
    optimizer.create_slots(variables)
    inverse_scale = 1.0 / loss_scale.value
    # One factor unscales and clips, so each gradient is passed over once.
    if gradient_norm is None:
        gradient_norm = tf.linalg.global_norm(gradients)
    norm = gradient_norm * inverse_scale
    # Not finite as soon as any gradient is not.
    is_finite = tf.math.is_finite(norm)
    factor = inverse_scale * (clip_norm / tf.maximum(norm, clip_norm))

    def apply():
        update = optimizer.apply_gradients(zip(gradients, variables), scale=factor)
        with tf.control_dependencies([update]):
            more = after_update() if after_update else update
        with tf.control_dependencies([more]):
            advance = tf.assign_add(global_step, 1)
        return tf.group(advance, loss_scale.count_good_step())

    op = tf.cond(is_finite, apply, loss_scale.count_skipped_step)
    with tf.control_dependencies([op]):
        num_skipped_steps = loss_scale.num_skipped_steps()
    return TrainStep(op, is_finite, norm, loss_scale.value, num_skipped_steps)


def create_optimizer(loss, init_lr, num_train_steps, num_warmup_steps, fp16=False):
    """Creates the training op of one replica, like `optimization.create_optimizer`.

    Args:
      loss: float scalar, not scaled.
      init_lr, num_train_steps, num_warmup_steps: see `optimization.learning_rate_at`.
      fp16: scale the loss dynamically.

    Returns:
      op that updates the trainable variables and adds 1 to the global step, or, if a
      gradient is not finite, changes neither.

    Raises:
      RuntimeError: under a `tf.distribute` strategy with several replicas.
    """
    optimization.check_is_one_replica()
    global_step = tf.train.get_or_create_global_step()
    optimizer = optimization.create_optimizer_mgpu(
        init_lr, num_train_steps, num_warmup_steps
    )
    loss_scale = LossScale(is_dynamic=fp16)
    variables = tf.trainable_variables()
    gradients = tf.gradients(loss * loss_scale.value, variables)
    return apply_if_finite(
        optimizer, zip(gradients, variables), global_step, loss_scale
    ).op
