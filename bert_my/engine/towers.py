"""Towers: replicas of a model in one graph, each on its device and slice of the batch.

All towers share the variables, which live on the first tower's device. The losses of
all towers are divided by the weight of the whole batch, and their gradients are added,
so N towers give the update that one tower gives for the same batch.
"""

import tensorflow.compat.v1 as tf

_VARIABLE_OPS = ("VarHandleOp", "VariableV2", "Variable", "AutoReloadVariable")


def build(tower_fn, features, devices):
    """Builds a tower on each device.

    Args:
      tower_fn: function `(tower_index, features)` that builds one tower.
      features: dict name -> tensor `[batch_size, ...]`; `batch_size` is a multiple of
        the number of towers, which is checked if it is static.
      devices: list of device names, one for each tower.

    Returns:
      list of the results of `tower_fn`, one for each tower.

    Raises:
      ValueError: if the batch cannot be split evenly, or naming the variable that a
        later tower asks for and the first one does not have.
    """
    results = []
    for index, device in enumerate(devices):
        setter = _variables_on(devices[0], device)
        with tf.device(setter), tf.name_scope(f"tower_{index}"), tf.variable_scope(
            tf.get_variable_scope(), reuse=index > 0
        ):
            part = {
                name: _slice(name, value, index, len(devices))
                for name, value in features.items()
            }
            results.append(tower_fn(index, part))
    return results


def _variables_on(variable_device, tower_device):
    def device_of(op):
        # An op that was placed on a device by name stays there.
        return op.device or (
            variable_device if op.type in _VARIABLE_OPS else tower_device
        )

    return device_of


def _slice(name, value, index, num_towers):
    """Returns the tower's rows of a feature."""
    batch_size = value.shape.as_list()[0]
    if batch_size is None:
        batch_size = tf.shape(value)[0]
    elif batch_size % num_towers:
        raise ValueError(
            f"feature {name}: a batch of {batch_size} rows cannot be split among "
            f"{num_towers} towers"
        )
    size = batch_size // num_towers
    return value[index * size : (index + 1) * size]


class Reduction:
    """Sums over all towers: of losses, means, weights and gradients.

    Each sum over towers passes `add` or `add_slices` and nothing else, in one order for
    all graphs of a run. A subclass that overrides these two can add the values of the
    towers of other processes, too.
    """

    def add(self, parts):
        """Returns the sum of dense tensors.

        Args:
          parts: list with the tensor of each tower, all of one shape and dtype: a
            scalar, or the gradient of a variable.
        """
        return tf.add_n(parts)

    def add_slices(self, parts):
        """Returns the sum of sparse gradients, which are put one after the other.

        Args:
          parts: list with the `tf.IndexedSlices` of each tower, all of one variable.
        """
        return tf.IndexedSlices(
            tf.concat([part.values for part in parts], axis=0),
            tf.concat([part.indices for part in parts], axis=0),
            parts[0].dense_shape,
        )

    def add_pairs(self, tower_pairs):
        """Returns the sums of weighted sums and of their weights.

        Args:
          tower_pairs: for each tower a dict name -> (weighted sum, weight).

        Returns:
          dict name -> (weighted sum, weight).
        """
        return {
            name: tuple(map(self.add, zip(*(pairs[name] for pairs in tower_pairs))))
            for name in tower_pairs[0]
        }

    def add_weights(self, tower_losses):
        """Returns a dict name -> weight of all towers; see `add_pairs`."""
        return {
            name: self.add([losses[name][1] for losses in tower_losses])
            for name in tower_losses[0]
        }

    def add_gradients(self, by_tower, variables):
        """Returns the sums of gradients, on the devices of their variables.

        Args:
          by_tower: for each tower the list of its gradients, one for each variable;
            None for a variable that the tower does not use.
          variables: list of shared variables.

        Returns:
          list of (gradient, variable); the gradient is a tensor, `tf.IndexedSlices`, or
          None for a variable that no tower uses.

        Raises:
          ValueError: naming the variables that some towers use and others do not.
        """
        _check_same_variables(by_tower, variables)
        reduced = []
        for variable, parts in zip(variables, zip(*by_tower)):
            with tf.device(variable.device):
                if parts[0] is None:
                    gradient = None
                elif isinstance(parts[0], tf.IndexedSlices):
                    gradient = self.add_slices(parts)
                else:
                    gradient = self.add(parts)
            reduced.append((gradient, variable))
        return reduced


def _check_same_variables(by_tower, variables):
    used = [
        {v.name for g, v in zip(tower, variables) if g is not None}
        for tower in by_tower
    ]
    for index, names in enumerate(used):
        difference = sorted(names ^ used[0])
        if difference:
            raise ValueError(
                f"towers 0 and {index} do not train the same variables; only one of "
                f"them uses {difference}"
            )


def normalized_losses(tower_losses, reduction):
    """Divides the weighted sums of each tower by the weight of all towers.

    Args:
      tower_losses: for each tower a dict name -> (weighted sum, weight).
      reduction: `Reduction`.

    Returns:
      list with a float32 scalar for each tower; their sum is the loss of the batch,
      which is the sum of the means of the named losses.
    """
    weights = reduction.add_weights(tower_losses)
    return [normalized_loss(losses, weights) for losses in tower_losses]


def normalized_loss(losses, weights):
    """Returns the share of some rows in the loss of the batch: a float32 scalar.

    Args:
      losses: dict name -> (weighted sum, weight) of the rows.
      weights: dict name -> weight of the batch.
    """
    return tf.add_n(
        [
            # A batch without any weight has no loss, not 0/0.
            tf.math.divide_no_nan(weighted_sum, weights[name])
            for name, (weighted_sum, _) in losses.items()
        ]
    )


def gradients(losses, variables, devices, reduction):
    """Returns the gradients of the sum of the towers' losses.

    Args:
      losses: scalar of each tower.
      variables: list of shared variables.
      devices: device of each tower.
      reduction: `Reduction`.

    Returns:
      list of (gradient, variable), see `Reduction.add_gradients`.
    """
    by_tower = []
    for index, (loss, device) in enumerate(zip(losses, devices)):
        with tf.device(device), tf.name_scope(f"gradients_{index}"):
            by_tower.append(tf.gradients(loss, variables))
    return reduction.add_gradients(by_tower, variables)
