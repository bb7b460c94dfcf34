"""AdamW, LAMB and their learning-rate schedule: a drop-in `optimization`.

The file needs nothing but TensorFlow, and `custom_optimization` for `fp16=True`.

Source: Devlin et al. 2019, A.2; Loshchilov and Hutter 2019 for the decoupled decay; You
et al. 2020, "Large Batch Optimization for Deep Learning", for LAMB.
"""

import functools
import importlib
import re

import tensorflow.compat.v1 as tf

CLIP_NORM = 1.0
WEIGHT_DECAY_RATE = 0.01
EPSILON = 1e-6
NOT_DECAYED = ("LayerNorm", "layer_norm", "bias")


def create_optimizer(
    loss, init_lr, num_train_steps, num_warmup_steps, use_tpu=False, fp16=False
):
    """Creates the training op of one replica: clip, AdamW, count the step.

    Args:
      loss: float scalar.
      init_lr, num_train_steps, num_warmup_steps: see `learning_rate_at`.
      use_tpu: must be False.
      fp16: scale the loss and skip steps that are not finite, see
        `custom_optimization`, which has to be beside this file then.

    Returns:
      op that updates the trainable variables and adds 1 to the global step.

    Raises:
      ValueError: if `use_tpu`.
      RuntimeError: under a `tf.distribute` strategy with several replicas.
    """
    if use_tpu:
        raise ValueError("use_tpu=True is not supported: there is no TPU support here.")
    schedule = (init_lr, num_train_steps, num_warmup_steps)
    if fp16:
        return _custom_optimization().create_optimizer(loss, *schedule, fp16=True)
    optimizer = create_optimizer_mgpu(*schedule)
    global_step = tf.train.get_or_create_global_step()
    variables = tf.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), CLIP_NORM)
    update = optimizer.apply_gradients(zip(gradients, variables))
    with tf.control_dependencies([update]):
        return tf.group(tf.assign_add(global_step, 1))


def create_optimizer_mgpu(init_lr, num_train_steps, num_warmup_steps):
    """Returns the AdamW of `create_optimizer`, for scripts with towers of their own.

    The caller averages and clips the gradients, and counts the steps.

    Args:
      init_lr, num_train_steps, num_warmup_steps: see `learning_rate_at`.
    """
    global_step = tf.train.get_or_create_global_step()
    learning_rate = learning_rate_at(
        global_step, init_lr, num_train_steps, num_warmup_steps
    )
    return create_adamw(tf.identity(learning_rate, name="learning_rate"))


def _custom_optimization():
    """Returns the module with the loss scale, which is built on this one."""
    package = f"{__package__}." if __package__ else ""
    return importlib.import_module(f"{package}custom_optimization")


def learning_rate_at(global_step, init_lr, num_train_steps, num_warmup_steps):
    """Linear warm-up from 0, then the linear decay to 0 that began at step 0.

    Args:
      global_step: integer scalar, steps done so far.
      init_lr: highest learning rate, per step.
      num_train_steps: step at which the learning rate is 0.
      num_warmup_steps: steps of warm-up; 0 or None for none.

    Returns:
      float32 scalar.
    """
    step = tf.cast(global_step, tf.float32)
    # Without `max`: it may be a tensor.
    num_train_steps = tf.maximum(tf.cast(num_train_steps, tf.float32), 1.0)
    decayed = init_lr * (1.0 - tf.minimum(step / num_train_steps, 1.0))
    if not num_warmup_steps:
        return decayed
    warming = init_lr * (step / num_warmup_steps)
    return tf.where_v2(step < num_warmup_steps, warming, decayed)


def create_adamw(learning_rate):
    """Returns the optimizer with which BERT was pretrained.

    Args:
      learning_rate: float or float32 scalar tensor, per step.
    """
    return AdamWeightDecayOptimizer(
        learning_rate,
        weight_decay_rate=WEIGHT_DECAY_RATE,
        exclude_from_weight_decay=NOT_DECAYED,
    )


def check_is_one_replica():
    """Raises a RuntimeError under a `tf.distribute` strategy with several replicas.

    There each replica would be trained on its own rows, and none by the others'.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync > 1:
        raise RuntimeError(
            f"{type(strategy).__name__} has {strategy.num_replicas_in_sync} replicas, "
            "whose gradients this optimizer does not add up, so each would train "
            "alone; train without tf.distribute and use the towers of "
            "run_classifier_mgpu.py or run_pretraining_mgpu.py (--n_gpus) instead"
        )


class _MomentsOptimizer(tf.train.Optimizer):
    """Base of Adam and LAMB: two slots, decoupled decay and its exceptions.

    A subclass has `_update(gradient, scale, variable, adam_m, adam_v)` and the
    `_default_name` of its optimizers.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay_rate=0.0,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=EPSILON,
        exclude_from_weight_decay=None,
        name=None,
        rate_multiplier=None,
    ):
        """Builds the optimizer.

        Args:
          learning_rate: float or float32 scalar tensor, per step.
          weight_decay_rate: share of a weight that is subtracted, times the rate.
          beta_1: decay of the mean of the gradients.
          beta_2: decay of the mean of the squared gradients.
          epsilon: added to the square root of the second mean.
          exclude_from_weight_decay: list of patterns of names that do not decay.
          name: (optional) name of the optimizer, which no variable or op depends on.
          rate_multiplier: (optional) function from a variable's name to the factor of
            its learning rate.
        """
        super().__init__(False, name or self._default_name)
        # No tensor is made here: the optimizer may be used in another graph.
        self.learning_rate = learning_rate
        self.weight_decay_rate = weight_decay_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.exclude_from_weight_decay = exclude_from_weight_decay
        self._rate_multiplier = rate_multiplier

    def apply_gradients(self, grads_and_vars, global_step=None, name=None, scale=None):
        """Creates the op that updates weights and slots.

        Args:
          grads_and_vars: (gradient, variable) pairs; those without gradient are left
            out. A gradient may be `tf.IndexedSlices`.
          global_step: ignored, as upstream does: the caller counts the steps.
          name: name of the op.
          scale: (optional) float32 scalar by which the gradients are multiplied.

        Raises:
          RuntimeError: under a `tf.distribute` strategy with several replicas.
        """
        pairs = [(g, v) for g, v in grads_and_vars if g is not None and v is not None]
        slots = self.create_slots([variable for _, variable in pairs])
        gradients = [tf.convert_to_tensor(gradient) for gradient, _ in pairs]
        # No weight may change while a gradient is still being computed from it.
        with tf.control_dependencies(gradients):
            updates = [
                self._update(gradient, scale, variable, *slot)
                for gradient, (_, variable), slot in zip(gradients, pairs, slots)
            ]
            return tf.group(*updates, name=name)

    def create_slots(self, variables):
        """Returns the (adam_m, adam_v) of each variable; creates those missing.

        To be called before an `apply_gradients` inside a `tf.cond`, where no variable
        can be created.

        Raises:
          RuntimeError: under a `tf.distribute` strategy with several replicas.
        """
        check_is_one_replica()
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            return [self._slots_of(variable) for variable in variables]

    def _slots_of(self, variable):
        def zeros(slot):
            with tf.device(variable.device):
                return tf.get_variable(
                    name=f"{self._get_variable_name(variable.name)}/{slot}",
                    shape=variable.shape.as_list(),
                    dtype=tf.float32,
                    trainable=False,
                    initializer=tf.zeros_initializer(),
                    use_resource=_is_resource(variable),
                )

        return zeros("adam_m"), zeros("adam_v")

    def _rate_of(self, name):
        """Returns the learning rate of the variable of that name."""
        if self._rate_multiplier is None:
            return self.learning_rate
        return self.learning_rate * self._rate_multiplier(name)

    def _do_use_weight_decay(self, param_name):
        """Returns whether the weights of `param_name` decay."""
        return bool(self.weight_decay_rate) and not self._is_excluded(param_name)

    def _is_excluded(self, param_name):
        """Returns whether `param_name` is one of the exceptions."""
        patterns = self.exclude_from_weight_decay or []
        return any(re.search(pattern, param_name) for pattern in patterns)

    @staticmethod
    def _get_variable_name(param_name):
        """Returns the name of a variable without ":0"."""
        return re.sub(r":\d+$", "", param_name)


class AdamWeightDecayOptimizer(_MomentsOptimizer):
    """Adam without bias correction and with decoupled weight decay."""

    _default_name = "AdamWeightDecayOptimizer"  # of subclasses too, as upstream's

    def __init__(self, *args, jit=None, **kwargs):
        """Builds the optimizer.

        Args:
          jit: (optional) function that compiles another one, as `tf.function` with XLA;
            each resource variable is then updated in one pass over memory. Default:
            TensorFlow's Adam kernel.
          *args, **kwargs: see `_MomentsOptimizer`.
        """
        super().__init__(*args, **kwargs)
        self._jit = jit

    def _update(self, gradient, scale, variable, adam_m, adam_v):
        """Updates one variable: decay, then TensorFlow's Adam kernel.

        Upstream subtracts `learning_rate * (adam + decay * weight)` at once. Decaying
        first is the same up to rounding, as Adam's part does not read the weight.
        """
        if self._jit and _is_resource(variable):
            return self._update_in_one_pass(gradient, scale, variable, adam_m, adam_v)
        gradient = _scaled(gradient, scale)
        name = self._get_variable_name(variable.name)
        learning_rate = self._rate_of(name)
        # Raw ops also work in a replica of a `tf.distribute` strategy, where TensorFlow
        # 1.15 refuses to assign to a variable without aggregation.
        ops = tf.raw_ops
        if _is_resource(variable):
            subtract = functools.partial(
                ops.AssignSubVariableOp, resource=variable.handle
            )
            apply_adam = ops.ResourceApplyAdam
            state = {"var": variable.handle, "m": adam_m.handle, "v": adam_v.handle}
        else:  # where the caller has not enabled resource variables
            subtract = functools.partial(tf.assign_sub, variable)
            apply_adam = ops.ApplyAdam
            state = {"var": variable, "m": adam_m, "v": adam_v}
        decay = []
        if self._do_use_weight_decay(name):
            rate = learning_rate * self.weight_decay_rate
            decay.append(subtract(value=rate * variable))
        with tf.control_dependencies(decay), tf.device(variable.device):
            return apply_adam(
                **state,
                # Powers of 0 switch the bias correction off, as in upstream's formula.
                beta1_power=0.0,
                beta2_power=0.0,
                lr=learning_rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )

    def _update_in_one_pass(self, gradient, scale, variable, adam_m, adam_v):
        """Updates one variable as `_update` does, by a function that is compiled."""
        name = self._get_variable_name(variable.name)
        learning_rate = self._rate_of(name)
        decay = self.weight_decay_rate if self._do_use_weight_decay(name) else 0.0
        with tf.device(variable.device):
            return self._jit(_adamw)(
                variable.handle,
                adam_m.handle,
                adam_v.handle,
                gradient,
                tf.ones([]) if scale is None else scale,
                learning_rate,
                learning_rate * decay,
                self.beta_1,
                self.beta_2,
                self.epsilon,
            )


class LAMBOptimizer(_MomentsOptimizer):
    """Adam whose updates are as long as the weights of a variable, times the rate.

    Source: You et al. 2020, algorithm 2, with the identity as phi. As in the authors'
    code, the ratio is 1 for variables that do not decay.
    """

    _default_name = "LAMBOptimizer"

    def __init__(self, *args, global_step, **kwargs):
        """Builds the optimizer.

        Args:
          global_step: integer scalar, updates done so far, for the bias correction;
            skipped steps do not count.
          *args, **kwargs: see `_MomentsOptimizer`.
        """
        super().__init__(*args, **kwargs)
        self._global_step = global_step

    def apply_gradients(self, *args, **kwargs):
        """Creates the op that updates weights and slots, see `_MomentsOptimizer`."""
        self._num_updates = tf.cast(self._global_step, tf.float64) + 1.0
        return super().apply_gradients(*args, **kwargs)

    def _update(self, gradient, scale, variable, adam_m, adam_v):
        """Updates one variable; every value is read before any is assigned."""
        name = self._get_variable_name(variable.name)
        gradient = _scaled(gradient, scale)
        with tf.device(variable.device):
            next_m = self.beta_1 * adam_m + (1.0 - self.beta_1) * gradient
            next_v = self.beta_2 * adam_v + (1.0 - self.beta_2) * tf.square(gradient)
            unbiased_m = next_m / self._bias_correction(self.beta_1)
            unbiased_v = next_v / self._bias_correction(self.beta_2)
            update = unbiased_m / (tf.sqrt(unbiased_v) + self.epsilon)
            if self._do_use_weight_decay(name):
                update += self.weight_decay_rate * variable
            rate = self._rate_of(name)
            if not self._is_excluded(name):
                rate *= _trust_ratio(tf.norm(variable), tf.norm(update))
            return tf.group(
                tf.assign_sub(variable, rate * update),
                tf.assign(adam_m, next_m),
                tf.assign(adam_v, next_v),
            )

    def _bias_correction(self, beta):
        """Returns 1 - beta^t, in float64: in float32 1 - 0.999 is 5e-5 off."""
        power = tf.pow(tf.constant(beta, tf.float64), self._num_updates)
        return tf.cast(1.0 - power, tf.float32)


def _trust_ratio(weight_norm, update_norm):
    """Returns the quotient of two norms, or 1 if one of them is 0."""
    has_ratio = (weight_norm > 0.0) & (update_norm > 0.0)
    ratio = tf.math.divide_no_nan(weight_norm, update_norm)
    return tf.where_v2(has_ratio, ratio, tf.ones_like(ratio))


def _scaled(gradient, scale):
    return gradient if scale is None else gradient * scale


def _adamw(var, m, v, gradient, scale, rate, decay, beta_1, beta_2, epsilon):
    """Updates a variable and its slots, given by their handles.

    Args:
      gradient: of any float dtype, multiplied by `scale`.
      rate, decay: factors of Adam's update and of the weight that is subtracted.
      others: see `_MomentsOptimizer`.

    Returns:
      float32 scalar, to be used as a control dependency.
    """
    weight, mean, square = (
        tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
        for handle in (var, m, v)
    )
    gradient = tf.cast(gradient, tf.float32) * scale
    mean += (gradient - mean) * (1.0 - beta_1)
    square += (tf.square(gradient) - square) * (1.0 - beta_2)
    weight -= decay * weight
    weight -= rate * mean / (tf.sqrt(square) + epsilon)
    for handle, value in ((var, weight), (m, mean), (v, square)):
        tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    return tf.identity(scale)


def _is_resource(variable):
    return variable.op.type == "VarHandleOp"
