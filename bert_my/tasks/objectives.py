"""Objectives: from a representation to logits, losses and predictions.

Labels of tokens (`Token`, `Crf`): `label_ids` is 0 where nothing is scored ([CLS],
padding, continuation pieces, context) and the tag's id + 1 elsewhere. `token_mask` is
1 where a token begins.
"""

from typing import NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

import modeling
from bert_my.data.features import FeatureSpec
from bert_my.model import crf
from bert_my.tasks import heads

_LABELS = "label_ids"
TOKEN_MASK = FeatureSpec("token_mask", (None,))


class LossSettings(NamedTuple):
    """Options of the training loss; evaluation uses the plain loss."""

    # Of each label, for softmax and token.
    class_weights: Optional[Tuple[float, ...]] = None
    # Of the positive side, for sigmoid: one number, or one for each label.
    pos_weight: Optional[Tuple[float, ...]] = None
    # Softmax, sigmoid, token; 0 for none. Source: Lin et al. 2017.
    focal_gamma: float = 0.0
    # Softmax, sigmoid, token; 0 to 1. Source: Szegedy et al. 2016.
    label_smoothing: float = 0.0


PLAIN_LOSS = LossSettings()


def project(representation, num_outputs, dropout_prob, ops=None):
    """Linear layer with upstream's variables `output_weights` and `output_bias`.

    Args:
      representation: float32 `[batch_size, width]` or
        `[batch_size, seq_length, width]`.
      num_outputs: int.
      dropout_prob: dropout of the representation; 0 outside of training.
      ops: (optional) see `modeling.BertModel`.

    Returns:
      float32 `[batch_size, num_outputs]` or `[batch_size, seq_length, num_outputs]`.
    """
    width = representation.shape.as_list()[-1]
    weights = tf.get_variable(
        "output_weights",
        [num_outputs, width],
        initializer=modeling.create_initializer(0.02),
    )
    bias = tf.get_variable(
        "output_bias", [num_outputs], initializer=tf.zeros_initializer()
    )
    representation = modeling.dropout(representation, dropout_prob, ops=ops)
    matrix = modeling.reshape_to_matrix(representation)
    outputs = tf.nn.bias_add(tf.matmul(matrix, weights, transpose_b=True), bias)
    return modeling.reshape_from_matrix(
        outputs, modeling.get_shape_list(representation)
    )


class Objective:
    """The layers on a representation, their predictions and their loss.

    representations: those it can be built on, by name.
    loss_options: the fields of `LossSettings` that it honours.
    label_spec: `FeatureSpec` of the labels.
    input_specs: of the features it needs besides the text's, in a served model too.
    """

    representations = heads.TEXT_REPRESENTATIONS
    loss_options = ()
    label_spec = None
    input_specs = ()

    def __init__(self, num_labels, dropout_prob, loss=PLAIN_LOSS):
        """Builds an objective.

        Args:
          num_labels: int; labels are 0 to `num_labels - 1`.
          dropout_prob: dropout of the representation in training.
          loss: `LossSettings` of training; what is not in `loss_options` is unset.
        """
        self.num_labels = num_labels
        self.dropout_prob = dropout_prob
        self.loss = loss

    def build(self, representation, features, is_training, ops=None):
        """Builds the layers on top of a representation.

        Args:
          representation: float32 `[batch_size, width]`, or
            `[batch_size, seq_length, width]` for objectives of tokens.
          features: dict with those of `input_specs`; and, if there is a loss to build,
            `label_ids` (see `label_spec`) and `is_real_example` float32 `[batch_size]`.
          is_training: bool; False switches dropout and the loss's options off.
          ops: (optional) see `modeling.BertModel`.

        Returns:
          `(losses, predictions)`, see `base.TaskOutputs`; the predictions are those of
          the class.
        """
        raise NotImplementedError

    def _project(self, representation, num_outputs, is_training, ops):
        dropout_prob = self.dropout_prob if is_training else 0.0
        return project(representation, num_outputs, dropout_prob, ops)

    def _losses(self, features, is_training, score):
        """Returns dict name -> (weighted sum, weight); empty without labels.

        Args:
          features: see `build`.
          is_training: bool.
          score: function `(labels, loss settings)` to `(losses, weights)`, both float32
            `[batch_size]`; the losses are weighted already.
        """
        if _LABELS not in features:
            return {}
        loss = self.loss if is_training else PLAIN_LOSS
        losses, weights = score(features[_LABELS], loss)
        is_real = features["is_real_example"]
        weighted_sum = tf.reduce_sum(losses * is_real)
        return {"loss": (weighted_sum, tf.reduce_sum(weights * is_real))}


class Softmax(Objective):
    """One of several labels: cross entropy.

    Predictions: `logits` and `probabilities` float32 `[batch_size, num_labels]`,
    `label` int32 `[batch_size]`. With class weights the loss is the weighted mean.
    """

    loss_options = ("class_weights", "focal_gamma", "label_smoothing")
    label_spec = FeatureSpec(_LABELS, (), is_input=False)

    def build(self, representation, features, is_training, ops=None):
        logits = self._project(representation, self.num_labels, is_training, ops)

        def score(labels, loss):
            return _cross_entropy(logits, labels, loss)

        predictions = _softmax_predictions(logits)
        return self._losses(features, is_training, score), predictions


class Sigmoid(Objective):
    """Any of several labels, independent of one another: binary cross entropies.

    Labels are multi-hot. The loss of an example is the mean over all labels.
    Predictions: `logits` and `probabilities` float32 `[batch_size, num_labels]`,
    `label` int32 `[batch_size, num_labels]`, 1 for a probability above 0.5.
    """

    loss_options = ("pos_weight", "focal_gamma", "label_smoothing")

    @property
    def label_spec(self):
        return FeatureSpec(_LABELS, (self.num_labels,), is_input=False)

    def build(self, representation, features, is_training, ops=None):
        logits = self._project(representation, self.num_labels, is_training, ops)

        def score(labels, loss):
            losses = tf.reduce_mean(_binary_cross_entropy(logits, labels, loss), axis=1)
            return losses, tf.ones_like(losses)

        probabilities = tf.sigmoid(logits)
        predictions = {
            "logits": logits,
            "probabilities": probabilities,
            "label": tf.cast(probabilities > 0.5, tf.int32),
        }
        return self._losses(features, is_training, score), predictions


class Mse(Objective):
    """A number: squared error.

    Predictions: `logits` float32 `[batch_size, 1]`, `prediction` float32
    `[batch_size]`.
    """

    label_spec = FeatureSpec(_LABELS, (), "float32", is_input=False)

    def build(self, representation, features, is_training, ops=None):
        logits = self._project(representation, 1, is_training, ops)
        prediction = tf.squeeze(logits, axis=1)

        def score(labels, loss):
            losses = tf.math.squared_difference(prediction, labels)
            return losses, tf.ones_like(losses)

        predictions = {"logits": logits, "prediction": prediction}
        return self._losses(features, is_training, score), predictions


class Token(Objective):
    """A tag for each token, independent of one another: cross entropy.

    The weight of the loss is the number of scored tokens. Predictions: `logits` and
    `probabilities` float32 `[batch_size, seq_length, num_labels]`, `label` int32
    `[batch_size, seq_length]`, 0 where no token begins.
    """

    representations = heads.TOKEN_REPRESENTATIONS
    loss_options = Softmax.loss_options
    label_spec = FeatureSpec(_LABELS, (None,), is_input=False)
    input_specs = (TOKEN_MASK,)

    def build(self, representation, features, is_training, ops=None):
        logits = self._project(representation, self.num_labels, is_training, ops)

        def score(labels, loss):
            is_scored = tf.cast(labels > 0, tf.float32)
            # Where nothing is scored any tag will do.
            tags = tf.maximum(labels - 1, 0)
            losses, weights = _cross_entropy(logits, tags, loss)
            return (
                tf.reduce_sum(losses * is_scored, axis=1),
                tf.reduce_sum(weights * is_scored, axis=1),
            )

        predictions = _softmax_predictions(logits)
        predictions["label"] *= features[TOKEN_MASK.name]
        return self._losses(features, is_training, score), predictions


class Crf(Objective):
    """A tag for each token, as a chain: negative log likelihood.

    The chain runs over the scored tokens for the loss, and over all tokens for
    predictions. The weight of the loss is the number of scored tokens, so that it does
    not depend on how texts are cut into windows. Predictions: `logits` float32
    `[batch_size, seq_length, num_labels]`, `label` int32 `[batch_size, seq_length]`,
    0 where no token begins.
    """

    representations = heads.TOKEN_REPRESENTATIONS
    label_spec = Token.label_spec
    input_specs = Token.input_specs

    def build(self, representation, features, is_training, ops=None):
        logits = self._project(representation, self.num_labels, is_training, ops)
        with tf.variable_scope("crf"):
            variable = tf.get_variable(
                "transitions",
                [self.num_labels, self.num_labels],
                initializer=tf.zeros_initializer(),
            )
        # Its value, read once outside of all loops.
        transitions = tf.convert_to_tensor(variable)

        def score(labels, loss):
            is_scored = tf.cast(labels > 0, tf.int32)
            likelihood = crf.log_likelihood(logits, labels - 1, is_scored, transitions)
            return -likelihood, tf.cast(tf.reduce_sum(is_scored, axis=1), tf.float32)

        tags = crf.viterbi(logits, features[TOKEN_MASK.name], transitions)
        predictions = {"logits": logits, "label": tags}
        return self._losses(features, is_training, score), predictions


OBJECTIVES = {
    "softmax": Softmax,
    "sigmoid": Sigmoid,
    "mse": Mse,
    "token": Token,
    "crf": Crf,
}


def _softmax_predictions(logits):
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "label": tf.argmax(logits, axis=-1, output_type=tf.int32),
    }


def _cross_entropy(logits, labels, loss):
    """Returns (weighted losses, weights), float32 and shaped like `labels`.

    Args:
      logits: float32 `[..., num_labels]`.
      labels: int32 `[...]`.
      loss: `LossSettings`; the focal factor is that of the true label, and class
        weights come last.
    """
    true_label_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=logits
    )
    losses = true_label_loss
    if loss.label_smoothing:
        # The target is (1 - s) for the true label and s / num_labels for every label.
        even_loss = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        losses += loss.label_smoothing * (even_loss - true_label_loss)
    if loss.focal_gamma:
        # 1 - p, without the rounding of p to 1.
        error = -tf.math.expm1(-true_label_loss)
        losses *= _focal_factor(error, loss.focal_gamma)
    weights = tf.ones_like(losses)
    if loss.class_weights is not None:
        weights = tf.gather(tf.constant(loss.class_weights, tf.float32), labels)
    return losses * weights, weights


def _binary_cross_entropy(logits, labels, loss):
    """Returns the loss of each label: float32 `[batch_size, num_labels]`.

    Args:
      logits: float32 `[batch_size, num_labels]`.
      labels: int32 `[batch_size, num_labels]`, 0 or 1.
      loss: `LossSettings`.
    """
    labels = tf.cast(labels, tf.float32)
    targets = labels * (1.0 - loss.label_smoothing) + 0.5 * loss.label_smoothing
    if loss.pos_weight is None:
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    else:
        losses = tf.nn.weighted_cross_entropy_with_logits(
            labels=targets,
            logits=logits,
            pos_weight=tf.constant(loss.pos_weight, tf.float32),
        )
    if loss.focal_gamma:
        error = tf.sigmoid(logits * (1.0 - 2.0 * labels))
        losses *= _focal_factor(error, loss.focal_gamma)
    return losses


def _focal_factor(error, gamma):
    """Returns `error ** gamma`: how little an example counts that is learnt already.

    Args:
      error: float32, 1 minus the probability of what is true.
      gamma: > 0.
    """
    # Below 1, gamma gives an infinite slope at 0.
    return tf.pow(tf.maximum(error, 1e-12), gamma)
