"""Heads: golden values, and every representation with every objective that fits.

Of a whole head: gradients, and rows that do not see one another or padding.
"""

import collections
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.data import labels
from bert_my.engine import towers
from bert_my.tasks import base, heads, objectives, text
from bert_my.tasks.loss_options import PLAIN_LOSS
from bert_my.tasks.options import TaskOptions
from bert_my.text import postprocessor
from tests import helpers
from tests.model import test_recurrent

NUM_LABELS = 3
IDS = np.array([[2, 6, 9, 3, 0, 0, 0], [2, 7, 3, 0, 0, 0, 0], [2, 5, 6, 7, 8, 9, 3]])
LABELS = {
    "softmax": np.array([2, 0, 1]),
    "sigmoid": np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]]),
    "mse": np.array([0.5, -1.0, 2.0]),
    # The last row has context, and continuation pieces, that are not scored.
    "token": np.array(
        [[0, 1, 3, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0, 0], [0, 0, 3, 0, 1, 2, 0]]
    ),
}
LABELS["crf"] = LABELS["token"]
TOKEN_MASK = np.array(
    [[0, 1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 1, 1, 0]]
)


def make_cases():
    """Yields pairs of objective and head; of those alike all but one are slow."""
    telling = {("crf", "lstm"), ("token", "last4")}
    for name, objective in objectives.OBJECTIVES.items():
        for index, head in enumerate(objective.representations):
            is_telling = name == "softmax" or not index or (name, head) in telling
            marks = () if is_telling else pytest.mark.slow
            yield pytest.param((name, head), marks=marks, id=f"{name}-{head}")


def rows_of(name):
    """Returns the features of three rows for an objective."""
    rows = {
        "input_ids": IDS,
        "input_mask": (IDS > 0).astype(int),
        "segment_ids": np.zeros_like(IDS),
        "label_ids": LABELS[name],
        "is_real_example": np.array([1.0, 0.5, 1.0]),
    }
    if name in ("token", "crf"):
        rows["token_mask"] = TOKEN_MASK
    return rows


class HeadTask(text.TextTask):
    """A task with a head that is made without files."""

    postprocessor_class = postprocessor.Postprocessor


def num_labels_of(name):
    return 1 if name == "mse" else NUM_LABELS


def build(name, head, features):
    """Returns (losses, predictions) of a forward pass; see `TaskOutputs`."""
    # One layer is enough to mix the tokens of a row, and quicker to build.
    config = modeling.BertConfig(30, **{**helpers.CONFIG, "num_hidden_layers": 1})
    task = HeadTask(
        base.TaskInputs(TaskOptions(), config, max_seq_length=IDS.shape[1]),
        types.SimpleNamespace(labels=labels.Labels("abc"[: num_labels_of(name)])),
        splits=None,
        chosen={"objective": name, "head": head},
        loss=PLAIN_LOSS,
    )
    return task.build(features, is_training=False)[:2]


def load_heads(session):
    """Gives the layers on top of the encoder weights large enough to see errors."""
    rng = np.random.RandomState(5)
    for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name):
        if not variable.op.name.startswith("bert/"):
            variable.load(0.1 * rng.randn(*variable.shape.as_list()), session)


class Head:
    """A head whose batches may have any size and length, as in an exported model."""

    def __init__(self, name, head):
        self.name, self.head = name, head
        self.rows = rows_of(name)
        with tf.Graph().as_default():
            tf.set_random_seed(1)
            self._features = self._placeholders()
            losses, self._predictions = build(name, head, self._features)
            self._loss = losses["loss"]
            variables = {v.op.name: v for v in tf.trainable_variables()}
            gradients = tf.gradients(self._loss[0], list(variables.values()))
            found = dict(zip(variables, gradients))
            self.unused = {name for name, g in found.items() if g is None}
            self._gradients = {
                name: tf.convert_to_tensor(g)
                for name, g in found.items()
                if g is not None
            }
            self.session = tf.Session()
            with self.session.as_default():
                self.session.run(tf.global_variables_initializer())
                load_heads(self.session)

    def _placeholders(self):
        specs = objectives.OBJECTIVES[self.name](num_labels_of(self.name), 0.0)
        shapes = {"label_ids": specs.label_spec.shape, "is_real_example": ()}
        return {
            name: tf.placeholder(
                tf.float32 if value.dtype.kind == "f" else tf.int32,
                [None, *shapes.get(name, (None,))],
            )
            for name, value in self.rows.items()
        }

    def _run(self, fetches, rows):
        return self.session.run(
            fetches, {self._features[name]: value for name, value in rows.items()}
        )

    def predict(self, rows):
        return self._run(self._predictions, rows)

    def learn(self, rows):
        """Returns ((weighted sum, weight), gradients by variable)."""
        return self._run([self._loss, self._gradients], rows)


def largest(gradients):
    """Returns the largest absolute value: what rounding errors are compared with."""
    # The maximum of NaN and a number may be the number.
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients.values())
    return max(np.abs(gradient).max() for gradient in gradients.values())


@pytest.fixture(scope="module", params=make_cases())
def head(request):
    made = Head(*request.param)
    yield made
    made.session.close()


def test_padding_never_changes_a_row(head):
    padded = {
        name: np.pad(value, [(0, 0), (0, 5)], mode="constant")
        if value.shape == IDS.shape
        else value
        for name, value in head.rows.items()
    }
    expected, actual = head.predict(head.rows), head.predict(padded)
    is_real = IDS > 0
    for name, value in expected.items():
        if value.shape[:2] == IDS.shape:
            assert actual[name].shape[1] == 12
            value, actual[name] = value[is_real], actual[name][:, :7][is_real]
        np.testing.assert_allclose(actual[name], value, atol=1e-5, err_msg=name)


def test_rows_do_not_see_one_another(head):
    together = head.predict(head.rows)
    for row in range(len(IDS)):
        alone = head.predict({n: v[row : row + 1] for n, v in head.rows.items()})
        for name, value in together.items():
            np.testing.assert_allclose(alone[name][0], value[row], atol=1e-5)
    assert not np.allclose(together["logits"][0], together["logits"][1], atol=1e-3)


def test_every_variable_gets_a_gradient(head):
    _, gradients = head.learn(head.rows)
    # Only [CLS]'s own representation goes through the pooler.
    pooler = {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"}
    assert head.unused == (set() if head.head == "cls" else pooler)
    smallest = 1e-6 * largest(gradients)
    for name, gradient in gradients.items():
        # The softmax of the attention takes no notice of the key's bias.
        assert (np.abs(gradient).max() > smallest) != ("key/bias" in name), name


def test_rows_that_fill_up_a_batch_change_nothing(head):
    filled = {
        name: np.concatenate([value, np.zeros_like(value[:2])])
        for name, value in head.rows.items()
    }
    expected_loss, expected = head.learn(head.rows)
    loss, gradients = head.learn(filled)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    helpers.assert_all_close(gradients, expected, atol=1e-5 * largest(expected))


def test_a_batch_without_any_real_row_is_finite(head):
    nothing = {name: np.zeros_like(value) for name, value in head.rows.items()}
    loss, gradients = head.learn(nothing)
    assert loss == (0.0, 0.0)
    assert largest(gradients) == 0.0
    for name, value in head.predict(nothing).items():
        assert np.all(np.isfinite(value)), name


@pytest.mark.parametrize(
    ("name", "head"),
    [
        pytest.param("softmax", "cnn", marks=pytest.mark.slow),
        pytest.param("mse", "rcnn", marks=pytest.mark.slow),
        pytest.param("crf", "lstm", marks=pytest.mark.slow),
        ("crf", "sequence"),
    ],
)
def test_two_towers_learn_what_one_learns(name, head):
    def learn(num_towers):
        helpers.reset_graph()
        devices = helpers.cpu_devices(num_towers)
        names = devices.towers
        with tf.device(names[0]):
            # An even number of rows, with a static size.
            features = {
                key: tf.constant(
                    np.concatenate([value, value[:1]]),
                    tf.float32 if value.dtype.kind == "f" else tf.int32,
                )
                for key, value in rows_of(name).items()
            }
        by_tower = towers.build(
            lambda _, part: build(name, head, part)[0], features, names
        )
        losses = towers.normalized_losses(by_tower, towers.Reduction())
        pairs = towers.gradients(
            losses, tf.trainable_variables(), names, towers.Reduction()
        )
        with tf.Session(config=devices.session_config()) as session:
            session.run(tf.global_variables_initializer())
            test_recurrent.load_weights(
                {v.op.name: v for v in tf.trainable_variables()}, session
            )
            return session.run(
                {v.op.name: tf.convert_to_tensor(g) for g, v in pairs if g is not None}
            )

    one, two = learn(1), learn(2)
    helpers.assert_all_close(two, one, atol=1e-5 * largest(one))


Encoder = collections.namedtuple("Encoder", ["layers"])


class FakeEncoder(Encoder):
    """An encoder with given layers, float32 `[batch_size, seq_length, hidden_size]`."""

    def get_pooled_output(self):
        return -self.layers[-1][:, 0]

    def get_sequence_output(self):
        return self.layers[-1]

    def get_all_encoder_layers(self):
        return self.layers


LAYERS = np.random.RandomState(8).randn(6, 3, 5, 4).astype(np.float32) - 1.0
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
# What a row without real tokens has.
IS_ANY = MASK.max(-1)[:, None]


def represent(function, num_layers=6):
    """Returns (representation, weights by name) of the fake encoder."""
    encoder = FakeEncoder([tf.constant(layer) for layer in LAYERS[-num_layers:]])
    output = function(encoder, {"input_mask": tf.constant(MASK, tf.int32)})
    variables = {v.op.name: v for v in tf.trainable_variables()}
    with tf.Session() as session:
        test_recurrent.load_weights(variables, session)
        return session.run([output, variables])


def max_over_real_tokens(values):
    real = [row[is_real > 0] for row, is_real in zip(values, MASK)]
    return [row.max(0) if len(row) else np.zeros(row.shape[1]) for row in real]


def test_cls_is_the_pooled_output():
    actual, _ = represent(heads.TEXT_REPRESENTATIONS["cls"])
    np.testing.assert_array_equal(actual, -LAYERS[-1][:, 0])


@pytest.mark.parametrize("head", sorted(heads.TEXT_REPRESENTATIONS))
def test_last_layer_of_one_token_is_enough(head, monkeypatch):
    """For each head that is built so, and the others have all tokens."""
    features = {
        name: tf.constant(value, tf.float32 if name == "is_real_example" else tf.int32)
        for name, value in rows_of("softmax").items()
    }
    tf.set_random_seed(1)
    results = []
    for reuse in (False, True):
        with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
            results.append(build("softmax", head, features)[1])
        monkeypatch.setattr(heads, "OF_FIRST_TOKEN", ())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values, expected = session.run(results)
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)


def test_mean_golden_values():
    actual, _ = represent(heads.TEXT_REPRESENTATIONS["mean"])
    last = LAYERS[-1]
    expected = [last[0].mean(0), last[1, :2].mean(0), np.zeros(4)]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_max_golden_values():
    actual, _ = represent(heads.TEXT_REPRESENTATIONS["max"])
    np.testing.assert_array_equal(actual, max_over_real_tokens(LAYERS[-1]))
    assert np.min(actual[1]) < 0  # where zeros in place of padding would win


def test_cnn_golden_values():
    actual, weights = represent(heads.TEXT_REPRESENTATIONS["cnn"])
    expected = []
    for tokens, is_real in zip(LAYERS[-1], MASK):
        # Zeros stand behind the last real token, as many as a filter can see.
        num_real = is_real.sum()
        padded = np.concatenate([tokens[:num_real], np.zeros((3, 4))])
        filters = []
        for width in (1, 2, 3, 4):
            kernel = weights[f"cnn/width_{width}/kernel"].reshape(4 * width, 256)
            bias = weights[f"cnn/width_{width}/bias"]
            at = [
                padded[i : i + width].ravel() @ kernel + bias for i in range(num_real)
            ]
            # ReLU is never below 0, and a row without tokens has 0.
            filters.append(np.max([*at, np.zeros(256)], axis=0))
        expected.append(np.concatenate(filters))
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert actual.shape == (3, 1024)


def test_rcnn_golden_values():
    actual, weights = represent(heads.TEXT_REPRESENTATIONS["rcnn"])
    contexts = test_recurrent.lstm(weights, LAYERS[-1], MASK, scope="rcnn/lstm")
    values = np.concatenate([contexts, LAYERS[-1]], axis=-1)
    kernel = weights["rcnn/projection/kernel"][0]
    hidden = np.tanh(values @ kernel + weights["rcnn/projection/bias"])
    np.testing.assert_allclose(actual, max_over_real_tokens(hidden), atol=1e-4)
    assert actual.shape == (3, 512)


def test_lstm_golden_values():
    actual, weights = represent(heads.TOKEN_REPRESENTATIONS["lstm"])
    expected = test_recurrent.lstm(weights, LAYERS[-1], MASK)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert actual.shape == (3, 5, 512)


@pytest.mark.parametrize(("num_layers", "width"), [(6, 16), (4, 16), (2, 8)])
def test_last_layers_golden_values(num_layers, width):
    cls, _ = represent(heads.TEXT_REPRESENTATIONS["last4"], num_layers)
    tokens, _ = represent(heads.TOKEN_REPRESENTATIONS["last4"], num_layers)
    # [batch_size, seq_length, layer, hidden_size]
    layers = np.moveaxis(LAYERS[-min(num_layers, 4) :], 0, 2)
    np.testing.assert_array_equal(tokens, layers.reshape(3, 5, width))
    np.testing.assert_array_equal(cls, tokens[:, 0])


def test_sequence_is_the_last_layer():
    actual, _ = represent(heads.TOKEN_REPRESENTATIONS["sequence"])
    np.testing.assert_array_equal(actual, LAYERS[-1])


def test_variables_are_in_the_scope_of_their_head():
    names = set()
    for name, function in heads.TEXT_REPRESENTATIONS.items():
        helpers.reset_graph()
        _, weights = represent(function)
        assert all(variable.startswith(f"{name}/") for variable in weights)
        names |= set(weights)
    assert {name.split("/")[0] for name in names} == {"cnn", "rcnn"}
