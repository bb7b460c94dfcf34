"""`optimization` against upstream's formula in numpy."""

import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import custom_optimization
import optimization

NAMES = ("dense/kernel", "dense/bias", "LayerNorm/gamma", "table")


class ReferenceAdamW:
    """Upstream's update: m, v, then w -= lr * (m / (sqrt(v) + eps) + decay * w)."""

    def __init__(self, weights, decay=0.01):
        self.weights = {name: np.array(w, np.float64) for name, w in weights.items()}
        self.m = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.v = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.decay = decay

    def step(self, gradients, learning_rate, clip_norm=None):
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
        factor = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
        for name, gradient in gradients.items():
            g = gradient * factor
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g * g
            update = self.m[name] / (np.sqrt(self.v[name]) + 1e-6)
            if not any(part in name for part in ("LayerNorm", "bias")):
                update += self.decay * self.weights[name]
            self.weights[name] -= learning_rate * update


def schedule(step, init_lr, num_train_steps, num_warmup_steps):
    """Upstream's schedule."""
    if num_warmup_steps and step < num_warmup_steps:
        return init_lr * step / num_warmup_steps
    return init_lr * (1 - min(step, num_train_steps) / num_train_steps)


def make_variables(rng):
    shapes = [(3, 5), (5,), (5,), (7, 2)]
    values = {
        name: rng.randn(*shape).astype(np.float32) for name, shape in zip(NAMES, shapes)
    }
    return {
        name: tf.get_variable(name, initializer=value) for name, value in values.items()
    }, values


@pytest.mark.parametrize("num_warmup_steps", [0, 3])
def test_create_optimizer_equals_upstreams_formula(num_warmup_steps):
    variables, initial = make_variables(np.random.RandomState(0))
    scale = tf.placeholder(tf.float32, [])
    rows = [1, 3, 1]
    loss = scale * (
        sum(tf.reduce_sum(tf.square(variables[name])) for name in NAMES[:3])
        + tf.reduce_sum(tf.gather(variables["table"], rows))
    )
    train_op = optimization.create_optimizer(loss, 0.1, 8, num_warmup_steps, False)
    expected = ReferenceAdamW(initial)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, factor in enumerate([0.01, 1.0, 30.0, 0.001, 2.0, 1.0]):
            session.run(train_op, {scale: factor})
            gradients = {
                name: 2 * factor * expected.weights[name] for name in NAMES[:3]
            }
            # The norm counts every looked-up row by itself, as TensorFlow's clip does.
            norm = np.sqrt(
                sum(np.sum(np.square(g)) for g in gradients.values())
                + len(rows) * 2 * factor**2
            )
            gradients["table"] = np.zeros([7, 2])
            np.add.at(gradients["table"], rows, factor)
            clip = min(1.0, 1.0 / norm)
            expected.step(
                {name: clip * g for name, g in gradients.items()},
                schedule(step, 0.1, 8, num_warmup_steps),
            )
        values, step = session.run([variables, tf.train.get_global_step()])
    assert step == 6
    for name in NAMES:
        # The fused kernel takes 1 - 0.999 in float32, which is 1.3e-5 off: 6.5e-6 of an
        # update, and an update of 0.1 can be sqrt(1000) times as large at the start.
        np.testing.assert_allclose(values[name], expected.weights[name], atol=3e-5)


def test_slots_have_upstreams_names_and_values():
    variable = tf.get_variable("dense/kernel", initializer=[1.0, 2.0])
    optimizer = optimization.AdamWeightDecayOptimizer(learning_rate=0.5)
    update = optimizer.apply_gradients([(tf.constant([1.0, -2.0]), variable)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(update)
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
    # m = 0.1 g; v = 0.001 g^2; w -= 0.5 m / (sqrt(v) + 1e-6).
    np.testing.assert_allclose(values["dense/kernel/adam_m"], [0.1, -0.2], rtol=1e-6)
    np.testing.assert_allclose(values["dense/kernel/adam_v"], [1e-3, 4e-3], rtol=2e-5)
    np.testing.assert_allclose(
        values["dense/kernel"], [1 - 1.5810888, 2 + 1.5811138], rtol=1e-4
    )
    assert set(values) == {"dense/kernel", "dense/kernel/adam_m", "dense/kernel/adam_v"}


def test_adam_finds_the_minimum():
    point = tf.get_variable("point", initializer=[[2.0, -1.0]])
    loss = tf.reduce_sum(tf.square(point - [[0.7, 0.3]]))
    optimizer = optimization.AdamWeightDecayOptimizer(learning_rate=0.1)
    step = tf.train.get_or_create_global_step()
    pairs = zip(tf.gradients(loss, [point]), [point])
    train_op = optimizer.apply_gradients(pairs, step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(250):
            session.run(train_op)
        np.testing.assert_allclose(session.run(point), [[0.7, 0.3]], atol=1e-2)
        assert session.run(step) == 0  # as upstream: the caller counts


@pytest.mark.parametrize("use_resource", [True, False])
def test_weights_do_not_change_while_gradients_are_computed(use_resource):
    """A slow gradient of one variable must not see another one already decayed."""
    first = tf.get_variable("a", initializer=[0.5], use_resource=use_resource)
    second = tf.get_variable("b", initializer=[2.0], use_resource=use_resource)

    def slowly(gradient):
        time.sleep(0.05)
        return gradient

    # The gradient of the first is twice the second's value, read late.
    with tf.control_dependencies([tf.py_func(slowly, [1.0], tf.float32)]):
        late = 2.0 * second
    optimizer = optimization.AdamWeightDecayOptimizer(
        1.0, weight_decay_rate=0.5, exclude_from_weight_decay=optimization.NOT_DECAYED
    )
    update = optimizer.apply_gradients([(late, first), (tf.constant([1.0]), second)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(update)
        slots = {v.op.name: session.run(v) for v in tf.global_variables()}
    np.testing.assert_allclose(slots["a/adam_m"], [0.4], rtol=1e-6)


def test_schedule_at_its_corners():
    step = tf.placeholder(tf.int64, [])
    rates = [
        optimization.learning_rate_at(step, 2e-5, num_train_steps, num_warmup_steps)
        for num_train_steps, num_warmup_steps in (
            (100, 10),
            (tf.constant(100), 0),
            (100.0, None),
            (100, 100),
        )
    ]
    with tf.Session() as session:
        for value in (0, 1, 9, 10, 50, 99, 100, 101):
            actual = session.run(rates, {step: value})
            expected = [schedule(value, 2e-5, 100, n) for n in (10, 0, 0, 100)]
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-12)


def test_tpu_is_an_error():
    with pytest.raises(ValueError, match="TPU"):
        optimization.create_optimizer(tf.constant(1.0), 0.1, 10, 0, use_tpu=True)


def test_optimizer_made_outside_the_graph_that_uses_it():
    optimizers = {
        make: make(learning_rate=0.5, **more)
        for make, more in (
            (optimization.AdamWeightDecayOptimizer, {}),
            (optimization.LAMBOptimizer, {"global_step": 0}),
        )
    }
    for make, optimizer in optimizers.items():
        assert optimizer.learning_rate == 0.5
        with tf.Graph().as_default(), tf.Session() as session:
            variable = tf.get_variable("w", initializer=[1.0, -2.0])
            update = optimizer.apply_gradients([(tf.constant([1.0, 0.0]), variable)])
            session.run(tf.global_variables_initializer())
            session.run(update)
            assert session.run(variable)[0] < 0.9, make


def test_names_of_optimizers():
    """Upstream's default is the same for classes that inherit from it."""

    class Inherited(optimization.AdamWeightDecayOptimizer):
        pass

    names = [
        optimization.AdamWeightDecayOptimizer(0.1).get_name(),
        Inherited(0.1).get_name(),
        optimization.LAMBOptimizer(0.1, global_step=0).get_name(),
        # The seventh by position, as in upstream's signature.
        Inherited(0.1, 0.0, 0.9, 0.999, 1e-6, None, "mine").get_name(),
    ]
    expected = ["AdamWeightDecayOptimizer"] * 2 + ["LAMBOptimizer", "mine"]
    assert names == expected


def test_slots_are_in_the_scope_in_which_they_are_made():
    variable = tf.get_variable("w", initializer=[1.0])
    optimizer = optimization.AdamWeightDecayOptimizer(0.1)
    with tf.variable_scope("tower"):
        op = optimizer.apply_gradients([(tf.constant([1.0]), variable)], name="update")
    assert op.name == "tower/update"
    names = {v.op.name for v in tf.global_variables()}
    assert names == {"w", "tower/w/adam_m", "tower/w/adam_v"}
    assert optimizer.get_slot_names() == optimizer.variables() == []


def test_scripts_with_towers_of_their_own():
    """As zhp510730568/bert-ad: slots beforehand, in a scope that reuses variables."""
    optimizer = optimization.create_optimizer_mgpu(0.1, 10, 0)
    variable = tf.get_variable("w", initializer=[1.0, 3.0])
    for slot in ("adam_m", "adam_v"):
        tf.get_variable(
            f"w/{slot}", [2], initializer=tf.zeros_initializer(), trainable=False
        )
    with tf.variable_scope("", reuse=True):
        pairs = optimizer.compute_gradients(tf.reduce_sum(variable))
        update = optimizer.apply_gradients(pairs)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(update)
        expected = ReferenceAdamW({"w": [1.0, 3.0]})
        expected.step({"w": np.ones(2)}, 0.1)
        np.testing.assert_allclose(
            session.run(variable), expected.weights["w"], atol=3e-5
        )


def test_fp16_skips_a_step_that_is_not_finite():
    variable = tf.get_variable("w", initializer=[1.0])
    slope = tf.placeholder(tf.float32, [1])
    loss = tf.reduce_sum(variable * slope)
    train_op = optimization.create_optimizer(loss, 0.1, 10, 0, False, fp16=True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {slope: [np.inf]})
        assert session.run([variable[0], tf.train.get_global_step()]) == [1.0, 0]
        session.run(train_op, {slope: [1.0]})
        assert session.run(variable)[0] < 1.0


def make_with_optimization(weight):
    return optimization.create_optimizer(tf.reduce_sum(weight), 0.1, 10, 0)


def make_with_custom_optimization(weight):
    return custom_optimization.create_optimizer(tf.reduce_sum(weight), 0.1, 10, 0)


def apply_alone(weight):
    optimizer = optimization.AdamWeightDecayOptimizer(0.1)
    return optimizer.apply_gradients([(tf.constant([1.0]), weight)])


@pytest.mark.parametrize(
    "make", [make_with_optimization, make_with_custom_optimization, apply_alone]
)
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_replicas_of_a_strategy_are_refused(make, num_replicas):
    strategy = tf.distribute.MirroredStrategy(
        [f"/cpu:{index}" for index in range(num_replicas)]
    )

    def replica():
        weight = tf.get_variable("w", initializer=[1.0])
        with tf.control_dependencies([make(weight)]):
            return tf.identity(weight)

    run = getattr(strategy, "run", None) or strategy.experimental_run_v2
    with strategy.scope():
        if num_replicas == 1:
            weight = run(replica)
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                assert session.run(weight) < 1.0
            return
        with pytest.raises(RuntimeError, match=r"2 replicas.*run_classifier_mgpu"):
            run(replica)


def test_variables_without_resource_handles_work_too():
    tf.disable_resource_variables()
    try:
        variable = tf.get_variable("w", initializer=[1.0])
    finally:
        tf.enable_resource_variables()
    assert variable.op.type == "VariableV2"
    loss = tf.reduce_sum(variable)
    train_op = optimization.create_optimizer(loss, 0.1, 10, 0, False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        expected = ReferenceAdamW({"w": [1.0]})
        expected.step({"w": np.array([1.0])}, 0.1)
        np.testing.assert_allclose(
            session.run(variable), expected.weights["w"], atol=3e-5
        )


class ReferenceLamb:
    """You et al. 2020, algorithm 2: updates as long as the weights of each variable."""

    def __init__(self, weights, decay=0.01):
        self.weights = {name: np.array(w, np.float64) for name, w in weights.items()}
        self.m = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.v = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.decay = decay
        self.t = 0

    def step(self, gradients, learning_rates):
        self.t += 1
        for name, g in gradients.items():
            w = self.weights[name]
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g * g
            m_hat = self.m[name] / (1 - 0.9**self.t)
            v_hat = self.v[name] / (1 - 0.999**self.t)
            r = m_hat / (np.sqrt(v_hat) + 1e-6)
            ratio = 1.0
            if not any(part in name for part in ("LayerNorm", "bias")):
                r = r + self.decay * w
                norms = np.linalg.norm(w), np.linalg.norm(r)
                ratio = norms[0] / norms[1] if min(norms) > 0 else 1.0
            self.weights[name] = w - learning_rates[name] * ratio * r


LOOKED_UP = np.array([1, 3, 1], np.int32)


def make_lamb(initial):
    """Returns (variables, gradients to feed, update); the table has half the rate."""
    variables = {n: tf.get_variable(n, initializer=w) for n, w in initial.items()}
    optimizer = optimization.LAMBOptimizer(
        0.25,
        global_step=tf.train.get_or_create_global_step(),
        weight_decay_rate=optimization.WEIGHT_DECAY_RATE,
        exclude_from_weight_decay=optimization.NOT_DECAYED,
        rate_multiplier=lambda name: 0.5 if name == "table" else 1.0,
    )
    feeds = {name: tf.placeholder(tf.float32, w.shape) for name, w in initial.items()}
    slices = tf.IndexedSlices(
        tf.gather(feeds["table"], LOOKED_UP),
        tf.constant(LOOKED_UP),
        tf.constant([7, 2]),
    )
    gradients = {**feeds, "table": slices}
    pairs = [(gradients[name], variables[name]) for name in variables]
    return variables, feeds, optimizer.apply_gradients(pairs)


@pytest.mark.parametrize("use_resource", [True, False])
def test_lamb_equals_the_formula(use_resource):
    """A plain variable, two excluded ones, looked-up rows, and norms of 0."""
    rng = np.random.RandomState(2)
    _, initial = make_variables(rng)
    initial["zero/kernel"] = np.zeros([3], np.float32)
    tf.reset_default_graph()
    if not use_resource:
        tf.disable_resource_variables()
    try:
        variables, feeds, update = make_lamb(initial)
    finally:
        tf.enable_resource_variables()
    assert (variables["table"].op.type == "VarHandleOp") == use_resource
    step = tf.train.get_global_step()
    expected, rates = ReferenceLamb(initial), dict.fromkeys(initial, 0.25)
    rates["table"] = 0.125
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for index in range(3):
            values = {name: rng.randn(*w.shape) for name, w in initial.items()}
            if index < 2:
                # No update at first, then one of weights that are 0.
                values["zero/kernel"] *= index
            session.run(update, {feeds[name]: value for name, value in values.items()})
            session.run(tf.assign_add(step, 1))
            table = np.zeros([7, 2])
            np.add.at(table, LOOKED_UP, values["table"][LOOKED_UP])
            expected.step({**values, "table": table}, rates)
        actual = session.run(variables)
    slots = {v.op.name for v in tf.global_variables()} - {"global_step", *initial}
    assert slots == {f"{n}/{slot}" for n in initial for slot in ("adam_m", "adam_v")}
    for name, weights in expected.weights.items():
        np.testing.assert_allclose(
            actual[name], weights, rtol=2e-6, atol=2e-6, err_msg=name
        )
