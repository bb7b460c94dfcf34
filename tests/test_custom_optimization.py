"""`custom_optimization`: loss scaling and skipped steps."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import custom_optimization
import optimization
from tests.test_optimization import ReferenceAdamW, ReferenceLamb, schedule


class Problem:
    """A loss whose gradients are fed, and its training op, in a session."""

    def __init__(self, fp16, init_lr=0.1):
        self.weight = tf.get_variable("dense/kernel", initializer=[1.0, -2.0])
        self.slope = tf.placeholder(tf.float32, [2])
        loss = tf.reduce_sum(self.weight * self.slope)
        self.train_op = custom_optimization.create_optimizer(
            loss, init_lr, 100, 0, fp16=fp16
        )
        self.session = tf.Session()
        self.session.run(tf.global_variables_initializer())

    def step(self, *slope):
        self.session.run(self.train_op, {self.slope: slope})

    def state(self):
        return {v.op.name: self.session.run(v) for v in tf.global_variables()}

    def get(self, name):
        return self.state()[name]


@pytest.mark.parametrize("fp16", [False, True])
def test_equals_the_plain_rule_for_finite_gradients(fp16):
    problem = Problem(fp16)
    expected = ReferenceAdamW({"dense/kernel": [1.0, -2.0]})
    for index, slope in enumerate([(0.1, 0.2), (3.0, -4.0), (1e-6, 0.0)]):
        problem.step(*slope)
        expected.step(
            {"dense/kernel": np.array(slope)},
            schedule(index, 0.1, 100, 0),
            clip_norm=1.0,
        )
    np.testing.assert_allclose(
        # See test_optimization for the tolerance.
        problem.get("dense/kernel"),
        expected.weights["dense/kernel"],
        atol=3e-5,
    )
    assert problem.get("global_step") == 3


@pytest.mark.parametrize("fp16", [False, True])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_non_finite_step_changes_nothing_but_the_counter(fp16, bad):
    problem = Problem(fp16)
    problem.step(0.3, 0.4)
    before = problem.state()
    problem.step(0.3, bad)
    after = problem.state()
    for name in before:
        if not name.startswith("loss_scale"):
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert after["loss_scale/num_skipped_steps"] == 1
    assert after["loss_scale/scale"] == (2.0**14 if fp16 else 2.0**15)
    problem.step(0.3, 0.4)
    assert problem.get("global_step") == 2


def test_scale_doubles_after_good_steps_in_a_row(monkeypatch):
    monkeypatch.setattr(custom_optimization, "GOOD_STEPS_TO_DOUBLE", 3)
    problem = Problem(fp16=True)
    scales = []
    for bad in (0, 0, 1, 0, 0, 0, 0):
        problem.step(0.3, np.inf if bad else 0.4)
        scales.append(problem.get("loss_scale/scale") / 2**15)
    assert scales == [1, 1, 0.5, 0.5, 0.5, 1, 1]


def test_scale_has_a_floor():
    problem = Problem(fp16=True)
    for _ in range(20):
        problem.step(np.nan, 0.0)
    assert problem.get("loss_scale/scale") == 1.0
    assert problem.get("loss_scale/num_skipped_steps") == 20


def test_gradients_of_slices_are_scaled_and_clipped():
    table = tf.get_variable("table", initializer=np.ones([4, 2], np.float32))
    loss = 7.0 * tf.reduce_sum(tf.gather(table, [2, 0, 2]))
    train_op = custom_optimization.create_optimizer(loss, 0.1, 10, 0, fp16=True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
    # Three rows of (7, 7): norm 7 sqrt(6), clipped to 1; m is a tenth of the sum.
    unit = 0.1 / np.sqrt(6)
    np.testing.assert_allclose(
        values["table/adam_m"][:, 0], [unit, 0, 2 * unit, 0], rtol=1e-5
    )


def test_skipped_steps_do_not_count_for_lamb():
    """The correction of its moments goes by the updates done."""
    weight = tf.get_variable("dense/kernel", initializer=[3.0, -4.0])
    slope = tf.placeholder(tf.float32, [2])
    step = tf.train.get_or_create_global_step()
    train_step = custom_optimization.apply_if_finite(
        optimization.LAMBOptimizer(0.1, global_step=step),
        [(slope, weight)],
        step,
        custom_optimization.LossScale(is_dynamic=False),
    )
    expected = ReferenceLamb({"dense/kernel": [3.0, -4.0]}, decay=0.0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for values in ([0.3, 0.4], [np.inf, 0.0], [np.nan, 0.0], [0.6, -0.3]):
            session.run(train_step.op, {slope: values})
            if np.isfinite(values).all():
                gradients = {"dense/kernel": np.array(values)}
                expected.step(gradients, {"dense/kernel": 0.1})
        np.testing.assert_allclose(
            session.run(weight), expected.weights["dense/kernel"], rtol=1e-6
        )
        assert session.run(step) == 2
