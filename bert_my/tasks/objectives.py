"""Objectives: from a representation to logits, losses and predictions.

Labels of tokens (`Token`, `Crf`): `label_ids` is 0 where nothing is scored ([CLS],
padding, continuation pieces, context) and the tag's id + 1 elsewhere. `token_mask` is
1 where a token begins.
"""

import tensorflow.compat.v1 as tf

import modeling
from bert_my.data.features import FeatureSpec
from bert_my.model import crf
from bert_my.tasks import heads
from bert_my.tasks.loss_options import PLAIN_LOSS

_LABELS = "label_ids"
TOKEN_MASK = FeatureSpec("token_mask", (None,))


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
    """The last layer on a representation, its predictions and its loss.

    representations: dict name -> representation (see `heads`) that the layer can stand
      on.
    loss_options: fields of `LossSettings` that the loss honours.
    label_spec: `FeatureSpec` of the labels.
    input_specs: tuple of the `FeatureSpec` of further inputs, in an exported model too.
    """

    representations = heads.TEXT_REPRESENTATIONS
    loss_options = ()
    label_spec = None
    input_specs = ()

    def __init__(self, num_labels, dropout_prob, loss=PLAIN_LOSS):
        """Builds an objective.

        Args:
          num_labels: int, number of logits; labels are 0 to `num_labels - 1`.
          dropout_prob: dropout of the representation in training.
          loss: `LossSettings` of training; fields not in `loss_options` are unset.
        """
        self.num_labels = num_labels
        self.dropout_prob = dropout_prob
        self.loss = loss

    def build(self, representation, features, is_training, ops=None):
        """Builds the last layer, the predictions, and the loss if there are labels.

        Args:
          representation: float32 `[batch_size, width]`, or
            `[batch_size, seq_length, width]` for objectives of tokens.
          features: dict with those of `input_specs`; and, if there is a loss to build,
            `label_ids` (see `label_spec`) and `is_real_example` float32 `[batch_size]`.
          is_training: bool; False switches dropout and the options of the loss off.
          ops: (optional) see `modeling.BertModel`.

        Returns:
          `(losses, predictions)`, see `base.TaskOutputs`. The loss is called `loss`,
          the predictions are `logits` and those of `predict`.
        """
        dropout_prob = self.dropout_prob if is_training else 0.0
        logits = project(representation, self.num_labels, dropout_prob, ops)
        predictions = {"logits": logits, **self.predict(logits, features)}
        if _LABELS not in features:
            return {}, predictions
        settings = self.loss if is_training else PLAIN_LOSS
        losses, weights = self.score(logits, features[_LABELS], settings)
        is_real = features["is_real_example"]
        weighted_sum = tf.reduce_sum(losses * is_real)
        return {"loss": (weighted_sum, tf.reduce_sum(weights * is_real))}, predictions

    def predict(self, logits, features):
        """Returns the predictions of the class as a dict name -> tensor.

        Args:
          logits: float32 `[batch_size, num_labels]`, or
            `[batch_size, seq_length, num_labels]` for objectives of tokens.
          features: see `build`.
        """
        raise NotImplementedError

    def score(self, logits, labels, settings):
        """Returns the losses and their weights, both float32 `[batch_size]`.

        Args:
          logits: see `predict`.
          labels: tensor of `label_spec`.
          settings: `LossSettings`; the losses are multiplied by the weights already.
        """
        raise NotImplementedError


class Softmax(Objective):
    """One of several labels: cross entropy.

    Predictions: `probabilities` float32 `[batch_size, num_labels]`, `label` int32
    `[batch_size]`. With class weights the loss is the weighted mean.
    """

    loss_options = ("class_weights", "focal_gamma", "label_smoothing")
    label_spec = FeatureSpec(_LABELS, (), is_input=False)

    def predict(self, logits, features):
        return {
            "probabilities": tf.nn.softmax(logits),
            "label": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    def score(self, logits, labels, settings):
        return _cross_entropy(logits, labels, settings)


class Sigmoid(Objective):
    """Any of several labels, independent of one another: binary cross entropies.

    Labels are multi-hot. The loss of an example is the mean over all labels.
    Predictions: `probabilities` float32 `[batch_size, num_labels]`, `label` int32
    `[batch_size, num_labels]`, 1 for a probability above 0.5.
    """

    loss_options = ("pos_weight", "focal_gamma", "label_smoothing")

    @property
    def label_spec(self):
        return FeatureSpec(_LABELS, (self.num_labels,), is_input=False)

    def predict(self, logits, features):
        probabilities = tf.sigmoid(logits)
        label = tf.cast(probabilities > 0.5, tf.int32)
        return {"probabilities": probabilities, "label": label}

    def score(self, logits, labels, settings):
        labels = tf.cast(labels, tf.float32)
        smoothing = settings.label_smoothing
        targets = labels * (1.0 - smoothing) + 0.5 * smoothing
        if settings.pos_weight is None:
            losses = tf.nn.sigmoid_cross_entropy_with_logits(
                labels=targets, logits=logits
            )
        else:
            losses = tf.nn.weighted_cross_entropy_with_logits(
                labels=targets,
                logits=logits,
                pos_weight=tf.constant(settings.pos_weight, tf.float32),
            )
        if settings.focal_gamma:
            error = tf.sigmoid(logits * (1.0 - 2.0 * labels))
            losses *= _focal_factor(error, settings.focal_gamma)
        losses = tf.reduce_mean(losses, axis=1)
        return losses, tf.ones_like(losses)


class Mse(Objective):
    """A number: squared error. Prediction: `prediction` float32 `[batch_size]`."""

    label_spec = FeatureSpec(_LABELS, (), "float32", is_input=False)

    def predict(self, logits, features):
        return {"prediction": tf.squeeze(logits, axis=1)}

    def score(self, logits, labels, settings):
        losses = tf.math.squared_difference(tf.squeeze(logits, axis=1), labels)
        return losses, tf.ones_like(losses)


class Token(Softmax):
    """A tag for each token, independent of one another: cross entropy.

    The weight of the loss is the number of scored tokens. Predictions: `probabilities`
    float32 `[batch_size, seq_length, num_labels]`, `label` int32
    `[batch_size, seq_length]`, 0 where no token begins.
    """

    representations = heads.TOKEN_REPRESENTATIONS
    label_spec = FeatureSpec(_LABELS, (None,), is_input=False)
    input_specs = (TOKEN_MASK,)

    def predict(self, logits, features):
        predictions = super().predict(logits, features)
        predictions["label"] *= features[TOKEN_MASK.name]
        return predictions

    def score(self, logits, labels, settings):
        is_scored = tf.cast(labels > 0, tf.float32)
        # Tokens that are not scored need an id in range; their weight is 0.
        tags = tf.maximum(labels - 1, 0)
        losses, weights = _cross_entropy(logits, tags, settings)
        return (
            tf.reduce_sum(losses * is_scored, axis=1),
            tf.reduce_sum(weights * is_scored, axis=1),
        )


class Crf(Objective):
    """A tag for each token, as a chain: negative log likelihood.

    The chain runs over the scored tokens for the loss, and over all tokens for
    predictions. The weight of the loss is the number of scored tokens, so that it does
    not depend on how texts are cut into windows. Prediction: `label` int32
    `[batch_size, seq_length]`, 0 where no token begins.
    """

    representations = heads.TOKEN_REPRESENTATIONS
    label_spec = Token.label_spec
    input_specs = Token.input_specs

    def predict(self, logits, features):
        mask = features[TOKEN_MASK.name]
        return {"label": crf.viterbi(logits, mask, self._transitions())}

    def score(self, logits, labels, settings):
        is_scored = tf.cast(labels > 0, tf.int32)
        likelihood = crf.log_likelihood(
            logits, labels - 1, is_scored, self._transitions()
        )
        return -likelihood, tf.cast(tf.reduce_sum(is_scored, axis=1), tf.float32)

    def _transitions(self):
        """Returns the scores of transitions, float32 `[num_labels, num_labels]`."""
        with tf.variable_scope("crf", reuse=tf.AUTO_REUSE):
            variable = tf.get_variable(
                "transitions",
                [self.num_labels, self.num_labels],
                initializer=tf.zeros_initializer(),
            )
        # The variable's value, read outside of all loops.
        return tf.convert_to_tensor(variable)


OBJECTIVES = {
    "softmax": Softmax,
    "sigmoid": Sigmoid,
    "mse": Mse,
    "token": Token,
    "crf": Crf,
}


def _cross_entropy(logits, labels, settings):
    """Returns (weighted losses, weights), float32 and shaped like `labels`.

    Args:
      logits: float32 `[..., num_labels]`.
      labels: int32 `[...]`.
      settings: `LossSettings`; the focal factor is that of the true label, and class
        weights come last.
    """
    true_label_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=logits
    )
    losses = true_label_loss
    if settings.label_smoothing:
        # The target is (1 - s) for the true label and s / num_labels for every label.
        even_loss = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        losses += settings.label_smoothing * (even_loss - true_label_loss)
    if settings.focal_gamma:
        # 1 - p, without the rounding of p to 1.
        error = -tf.math.expm1(-true_label_loss)
        losses *= _focal_factor(error, settings.focal_gamma)
    weights = tf.ones_like(losses)
    if settings.class_weights is not None:
        weights = tf.gather(tf.constant(settings.class_weights, tf.float32), labels)
    return losses * weights, weights


def _focal_factor(error, gamma):
    """Returns `error ** gamma`.

    Args:
      error: float32, 1 minus the probability of the true label.
      gamma: > 0.
    """
    # Below 1, gamma gives an infinite slope at 0.
    return tf.pow(tf.maximum(error, 1e-12), gamma)
