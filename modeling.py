"""BERT encoder: a drop-in `modeling` with upstream's names, variables and numbers.

Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers
for Language Understanding".

The file needs nothing but TensorFlow. Tensors that other programs look up have
upstream's names: each layer's output, the pooled output, the embeddings. Optimised
kernels are opt-in: `BertModel(..., ops=...)` takes an object with the interface of
`ReferenceOps`.
"""

import collections
import copy
import json
import math
from typing import Any, Optional

import tensorflow.compat.v1 as tf

LAYER_NORM_EPSILON = 1e-12


class BertConfig:
    """Sizes and rates of a `BertModel`, as stored in `bert_config.json`."""

    def __init__(
        self,
        vocab_size: Optional[int],
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: Any = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 16,
        initializer_range: float = 0.02,
    ):
        """Builds a configuration.

        Args:
          vocab_size: number of rows of the word embedding table.
          hidden_size: width of every encoder layer and of the pooler.
          num_hidden_layers: number of encoder layers.
          num_attention_heads: heads per layer; must divide `hidden_size`.
          intermediate_size: width of the feed-forward layer.
          hidden_act: name (see `get_activation`) or function for the feed-forward.
          hidden_dropout_prob: dropout after embeddings and dense layers, 0 to 1.
          attention_probs_dropout_prob: dropout on attention probabilities, 0 to 1.
          max_position_embeddings: longest sequence in tokens.
          type_vocab_size: number of segments.
          initializer_range: standard deviation of the truncated normal initializer.
        """
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.hidden_act = hidden_act
        self.intermediate_size = intermediate_size
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range

    @classmethod
    def from_dict(cls, json_object):
        """Builds a `BertConfig` from a dict; unknown keys are kept as attributes.

        Called on a subclass it gives a `BertConfig` too, as upstream's does: the
        constructor of a subclass may need other arguments.
        """
        config = BertConfig(vocab_size=None)
        for key, value in json_object.items():
            config.__dict__[key] = value
        return config

    @classmethod
    def from_json_file(cls, json_file):
        """Builds a configuration from a `bert_config.json`."""
        with tf.io.gfile.GFile(json_file, "r") as reader:
            return cls.from_dict(json.loads(reader.read()))

    def to_dict(self):
        """Returns all settings as a new dict."""
        return copy.deepcopy(self.__dict__)

    def to_json_string(self):
        """Returns all settings as indented JSON with a final newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


class ReferenceOps:
    """The operations of the encoder that may be replaced, in plain TensorFlow.

    A subclass overrides those that it computes in another way, and is passed as `ops`.

    dtype: of the encoder's activations. Variables, the statistics of LayerNorm, softmax
      and all outputs of `BertModel` are float32 with any dtype.
    """

    dtype = tf.float32

    def read(self, weight, dtype):
        """Returns the value of a float32 weight, cast to the dtype of activations."""
        return tf.cast(weight, dtype)

    def dense(self, x, kernel, bias, activation=None):
        """Fully connected layer: `activation(x kernel + bias)`, in the dtype of `x`.

        Args:
          x: float `[rows, width]`.
          kernel: float32 `[width, units]`.
          bias: float32 `[units]`.
          activation: (optional) function.

        Returns:
          float `[rows, units]`.
        """
        output = tf.matmul(x, self.read(kernel, x.dtype))
        output = tf.nn.bias_add(output, self.read(bias, x.dtype))
        return output if activation is None else self.activate(output, activation)

    def activate(self, x, activation):
        """Applies an activation function, as `gelu`."""
        return activation(x)

    def dropout(self, x, rate):
        """Sets elements to 0 with probability `rate` > 0 and scales the others."""
        return tf.nn.dropout(x, rate=rate)

    def layer_norm(self, x, gamma, beta):
        """Normalizes the last axis, in float32; epsilon 1e-12.

        Args:
          x: float `[..., width]`.
          gamma, beta: float32 `[width]`.

        Returns:
          tensor of the shape and dtype of `x`.
        """
        # The output is called "LayerNorm/batchnorm/add_1", as in `tf.contrib.layers`.
        with tf.name_scope("LayerNorm/batchnorm"):
            wide = tf.cast(x, tf.float32)
            centered = wide - tf.reduce_mean(wide, axis=-1, keepdims=True)
            variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
            normalized = centered * tf.math.rsqrt(variance + LAYER_NORM_EPSILON)
            return tf.cast(normalized * gamma + beta, x.dtype)

    def residual_layer_norm(self, x, residual, gamma, beta, rate):
        """Layer normalization of `dropout(x) + residual`.

        Args:
          x, residual: float `[rows, width]`.
          gamma, beta: float32 `[width]`.
          rate: probability of dropping; 0 for no dropout.

        Returns:
          float `[rows, width]`.
        """
        dropped = self.dropout(x, rate) if rate else x
        return self.layer_norm(dropped + residual, gamma, beta)

    def attention(self, query, key, value, addend, rate):
        """Scaled dot-product attention, with dropout on the probabilities.

        Args:
          query: `[batch_size, num_attention_heads, from_seq_length, size_per_head]`,
            scaled.
          key, value: `[batch_size, num_attention_heads, to_seq_length, size_per_head]`.
          addend: float32, added to the scores; its shape broadcasts to theirs.
          rate: probability of dropping; 0 for no dropout.

        Returns:
          `[batch_size, num_attention_heads, from_seq_length, size_per_head]`.
        """
        scores = tf.matmul(query, key, transpose_b=True)
        probs = tf.nn.softmax(tf.cast(scores, tf.float32) + addend)
        probs = tf.cast(probs, query.dtype)
        # Dropout of a probability hides a token from another. Source: Vaswani et al.
        # 2017, 5.4.
        return tf.matmul(self.dropout(probs, rate) if rate else probs, value)

    def run_layer(self, index, build_layer, layer_input):
        """Builds an encoder layer; a subclass may recompute it for its gradient.

        Args:
          index: int, from 0.
          build_layer: function from the layer's input to its output. It may be called
            again, in the same variable scope.
          layer_input: float `[batch_size * seq_length, hidden_size]`.
        """
        return build_layer(layer_input)


REFERENCE_OPS = ReferenceOps()


class BertModel:
    """BERT encoder with embeddings and pooler, of ids of word pieces.

    ```python
    # Two texts, the first of which is a pair; the second is padded with 0.
    ids = tf.constant([[101, 7592, 102, 2088, 102], [101, 2204, 102, 0, 0]])
    segments = tf.constant([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    config = BertConfig.from_json_file("uncased_L-12_H-768_A-12/bert_config.json")
    bert = BertModel(
        config, is_training=False, input_ids=ids,
        input_mask=tf.cast(ids > 0, tf.int32), token_type_ids=segments,
    )
    bert.get_sequence_output()  # float32 [2, 5, 768]
    bert.get_pooled_output()  # float32 [2, 768]
    ```
    """

    def __init__(
        self,
        config: BertConfig,
        is_training: bool,
        input_ids,
        input_mask=None,
        token_type_ids=None,
        use_one_hot_embeddings: bool = False,
        scope: Optional[str] = None,
        *,
        comp_type=None,
        compute_type=None,
        use_position_embeddings: bool = True,
        first_token_only: bool = False,
        ops: Optional[ReferenceOps] = None,
    ):
        """Builds the model.

        Args:
          config: `BertConfig`; it is copied.
          is_training: False switches all dropout off.
          input_ids: int32 `[batch_size, seq_length]`.
          input_mask: int32, shaped like `input_ids`, 0 for padding; default: 1.
          token_type_ids: int32, shaped like `input_ids`, the segment; default: 0.
          use_one_hot_embeddings: look words up by matrix product instead of gather.
          scope: (optional) variable scope, default "bert".
          comp_type, compute_type: (optional) dtype of the encoder's activations, as
            bert-multi-gpu and NVIDIA call it; default: that of `ops`, float32.
            Variables and outputs are float32 with any.
          use_position_embeddings: whether the vectors of the positions are added, as
            bert-as-service asks.
          first_token_only: compute of the last layer what `get_pooled_output` needs;
            its `seq_length` is 1 then.
          ops: (optional) `ReferenceOps` or a subclass, which computes the encoder.

        Raises:
          ValueError: if a shape or a setting does not fit.
        """
        config = copy.deepcopy(config)
        if not is_training:
            config.hidden_dropout_prob = 0.0
            config.attention_probs_dropout_prob = 0.0
        batch_size, seq_length = get_shape_list(input_ids, expected_rank=2)
        if input_mask is None:
            input_mask = tf.ones([batch_size, seq_length], dtype=tf.int32)
        if token_type_ids is None:
            token_type_ids = tf.zeros([batch_size, seq_length], dtype=tf.int32)

        if ops is None:
            ops = ReferenceOps()
            ops.dtype = comp_type or compute_type or ReferenceOps.dtype
        with _scope_of_model(scope):
            with tf.variable_scope("embeddings"):
                words, self.embedding_table = embedding_lookup(
                    input_ids,
                    config.vocab_size,
                    config.hidden_size,
                    config.initializer_range,
                    use_one_hot_embeddings=use_one_hot_embeddings,
                )
                self.embedding_output = embedding_postprocessor(
                    words,
                    use_token_type=True,
                    token_type_ids=token_type_ids,
                    token_type_vocab_size=config.type_vocab_size,
                    use_position_embeddings=use_position_embeddings,
                    max_position_embeddings=config.max_position_embeddings,
                    initializer_range=config.initializer_range,
                    dropout_prob=config.hidden_dropout_prob,
                    ops=ops,
                )
            with tf.variable_scope("encoder"):
                layers = transformer_model(
                    input_tensor=tf.cast(self.embedding_output, ops.dtype),
                    # The mask is the same for every from-position.
                    attention_mask=tf.reshape(input_mask, [batch_size, 1, seq_length]),
                    num_hidden_layers=config.num_hidden_layers,
                    hidden_size=config.hidden_size,
                    intermediate_size=config.intermediate_size,
                    intermediate_act_fn=get_activation(config.hidden_act),
                    num_attention_heads=config.num_attention_heads,
                    attention_probs_dropout_prob=config.attention_probs_dropout_prob,
                    hidden_dropout_prob=config.hidden_dropout_prob,
                    initializer_range=config.initializer_range,
                    first_token_only=first_token_only,
                    do_return_all_layers=True,
                    ops=ops,
                )
                self.all_encoder_layers = [tf.cast(x, tf.float32) for x in layers]
            self.sequence_output = self.all_encoder_layers[-1]
            # The vector of the first token ([CLS]) stands for the whole sequence, which
            # assumes that the pooler was pretrained.
            with tf.variable_scope("pooler"):
                self.pooled_output = _dense(
                    tf.squeeze(self.sequence_output[:, 0:1, :], axis=1),
                    config.hidden_size,
                    config.initializer_range,
                    activation=tf.tanh,
                    ops=ops,
                )

    def get_pooled_output(self):
        """Returns float32 `[batch_size, hidden_size]`: the pooler's output."""
        return self.pooled_output

    def get_sequence_output(self):
        """Returns float32 `[batch_size, seq_length, hidden_size]`: the last layer."""
        return self.sequence_output

    def get_all_encoder_layers(self):
        """Returns a list of float32 `[batch_size, seq_length, hidden_size]`."""
        return self.all_encoder_layers

    def get_embedding_output(self):
        """Returns float32 `[batch_size, seq_length, hidden_size]`.

        The sum of word, segment and position embeddings after layer normalization
        (and dropout, in training): the input of the first layer.
        """
        return self.embedding_output

    def get_embedding_table(self):
        """Returns the float32 variable `[vocab_size, hidden_size]`."""
        return self.embedding_table


def _scope_of_model(scope):
    """Returns the variable scope of a `BertModel`, by default "bert", made unique.

    Where variables are to be reused and the unique name has none, it is "bert" as it
    stands: a second tower of a script made for the first releases of upstream.
    """
    if scope is not None or tf.get_variable_scope().reuse is not True:
        return tf.variable_scope(scope, default_name="bert")
    unique = tf.variable_scope(None, default_name="bert", auxiliary_name_scope=False)
    with unique as found:
        prefix = f"{found.name}/"
    exists = any(x.name.startswith(prefix) for x in tf.global_variables())
    return tf.variable_scope(found if exists else "bert")


def gelu(x):
    """Gaussian error linear unit, tanh form: what published BERT weights expect.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Args:
      x: float tensor of any shape, or numbers.
    """
    x = tf.convert_to_tensor(x)
    # Without pow, which is slow and imprecise in fp16. In this order of operations
    # oneDNN fuses the activation with the matrix product before it. The product with a
    # name of its own lets the result be "mul_3", as upstream's.
    cube = tf.multiply(x, tf.square(x), name="cube")
    inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * cube)
    return (0.5 * x) * (1.0 + tf.tanh(inner))


def gelu_erf(x):
    """Gaussian error linear unit, exact form: what Hugging Face calls "gelu"."""
    x = tf.convert_to_tensor(x)
    return (0.5 * x) * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


_ACTIVATIONS = {
    "linear": None,
    "relu": tf.nn.relu,
    "gelu": gelu,
    "gelu_erf": gelu_erf,
    "tanh": tf.tanh,
}


def get_activation(activation_string):
    """Maps a name to a function; None and "linear" give None.

    Args:
      activation_string: a name, or anything else, which is returned as it is.

    Raises:
      ValueError: if no activation has that name.
    """
    if not isinstance(activation_string, str):
        return activation_string
    if not activation_string:
        return None
    name = activation_string.lower()
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"hidden_act: no activation is called {name!r}; known are "
            f"{', '.join(sorted(_ACTIVATIONS))}"
        )
    return _ACTIVATIONS[name]


def get_assignment_map_from_checkpoint(tvars, init_checkpoint):
    """Finds which variables a checkpoint can initialize.

    Args:
      tvars: list of variables.
      init_checkpoint: path of a checkpoint.

    Returns:
      `(assignment_map, initialized_variable_names)`: an ordered dict from name to name
      for `tf.train.init_from_checkpoint`, and a dict with 1 for every `name` and
      `name:0` in it.
    """
    names = {variable.name.rsplit(":", 1)[0] for variable in tvars}
    assignment_map = collections.OrderedDict()
    initialized_variable_names = {}
    for name, _ in tf.train.list_variables(init_checkpoint):
        if name in names:
            assignment_map[name] = name
            initialized_variable_names[name] = 1
            initialized_variable_names[name + ":0"] = 1
    return assignment_map, initialized_variable_names


# The spelling of upstream's first versions, which many projects call.
get_assigment_map_from_checkpoint = get_assignment_map_from_checkpoint


def dropout(input_tensor, dropout_prob, *, ops=None):
    """Sets elements to 0 with probability `dropout_prob` and scales the others.

    Args:
      input_tensor: float, of any shape.
      dropout_prob: probability of *dropping*, 0 <= p < 1 (unlike TF 1's `keep_prob`).
      ops: (optional) see `BertModel`.
    """
    if dropout_prob is None or dropout_prob == 0.0:
        return input_tensor
    return (ops or REFERENCE_OPS).dropout(input_tensor, dropout_prob)


def layer_norm(input_tensor, name=None, *, ops=None):
    """Normalizes the last axis, in float32; epsilon 1e-12.

    Source: Ba et al. 2016, arXiv:1607.06450.
    """
    weights = _layer_norm_weights(input_tensor, name)
    return (ops or REFERENCE_OPS).layer_norm(input_tensor, *weights)


def _layer_norm_weights(input_tensor, name=None):
    """Returns the variables gamma and beta, float32 `[width]`."""
    width = input_tensor.shape.as_list()[-1]
    # In the collections that `tf.contrib.layers.layer_norm` puts them in.
    keys = [tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES]
    with tf.variable_scope(name, default_name="LayerNorm", auxiliary_name_scope=False):
        beta = tf.get_variable(
            "beta", [width], initializer=tf.zeros_initializer(), collections=keys
        )
        gamma = tf.get_variable(
            "gamma", [width], initializer=tf.ones_initializer(), collections=keys
        )
    return gamma, beta


def layer_norm_and_dropout(input_tensor, dropout_prob, name=None, *, ops=None):
    """Drops out elements of the normalized tensor."""
    return dropout(layer_norm(input_tensor, name, ops=ops), dropout_prob, ops=ops)


def create_initializer(initializer_range=0.02):
    """Returns a truncated normal initializer with that standard deviation."""
    return tf.truncated_normal_initializer(stddev=initializer_range)


def _dense(
    input_tensor, units, initializer_range, activation=None, name="dense", *, ops
):
    """Fully connected layer, computed in the dtype of its input.

    Args:
      input_tensor: float `[rows, width]`.

    Returns:
      float `[rows, units]`.
    """
    width = input_tensor.shape.as_list()[-1]
    with tf.variable_scope(name):
        kernel = tf.get_variable(
            "kernel", [width, units], initializer=create_initializer(initializer_range)
        )
        bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        return ops.dense(input_tensor, kernel, bias, activation)


def _dense_add_norm(input_tensor, residual, initializer_range, dropout_prob, *, ops):
    """Projects to the width of `residual`; dropout, sum and layer normalization."""
    width = residual.shape.as_list()[-1]
    output = _dense(input_tensor, width, initializer_range, ops=ops)
    weights = _layer_norm_weights(output)
    return ops.residual_layer_norm(output, residual, *weights, rate=dropout_prob)


def embedding_lookup(
    input_ids,
    vocab_size: int,
    embedding_size: int = 128,
    initializer_range: float = 0.02,
    word_embedding_name: str = "word_embeddings",
    use_one_hot_embeddings: bool = False,
):
    """Looks up the vectors of ids.

    Args:
      input_ids: int32 `[batch_size, seq_length]` or `[batch_size, seq_length, n]`.
      vocab_size: number of rows of the table.
      embedding_size: width of the table.
      initializer_range: standard deviation of the table at the start.
      word_embedding_name: name of the table.
      use_one_hot_embeddings: matrix product with one-hot rows instead of gather.

    Returns:
      `(output, table)`: float32 `[batch_size, seq_length, n * embedding_size]` and the
      variable `[vocab_size, embedding_size]`.
    """
    if input_ids.shape.ndims == 2:
        input_ids = tf.expand_dims(input_ids, axis=-1)
    table = tf.get_variable(
        name=word_embedding_name,
        shape=[vocab_size, embedding_size],
        initializer=create_initializer(initializer_range),
    )
    shape = get_shape_list(input_ids)
    flat_ids = tf.reshape(input_ids, [-1])
    if use_one_hot_embeddings:
        output = tf.matmul(tf.one_hot(flat_ids, depth=vocab_size), table)
    else:
        # Gather from the value, not from the variable, which may live on another
        # device than this tower: a gather of its handle would have to run there.
        output = tf.gather(tf.convert_to_tensor(table), flat_ids)
    output = tf.reshape(output, [*shape[:-1], shape[-1] * embedding_size])
    return output, table


def embedding_postprocessor(
    input_tensor,
    use_token_type: bool = False,
    token_type_ids=None,
    token_type_vocab_size: int = 16,
    token_type_embedding_name: str = "token_type_embeddings",
    use_position_embeddings: bool = True,
    position_embedding_name: str = "position_embeddings",
    initializer_range: float = 0.02,
    max_position_embeddings: int = 512,
    dropout_prob: float = 0.1,
    *,
    ops: Optional[ReferenceOps] = None,
):
    """Adds segment and position embeddings, then normalizes and drops out.

    Args:
      input_tensor: float `[batch_size, seq_length, width]`.
      use_token_type: whether to add segment embeddings.
      token_type_ids: int32 `[batch_size, seq_length]`; needed for segments.
      token_type_vocab_size: number of segments.
      token_type_embedding_name: name of the segment table.
      use_position_embeddings: whether the vectors of the positions are added.
      position_embedding_name: name of the position table.
      initializer_range: standard deviation of both tables at the start.
      max_position_embeddings: rows of the position table; may exceed `seq_length`.
      dropout_prob: dropout on the result.
      ops: (optional) see `BertModel`.

    Returns:
      float tensor shaped like `input_tensor`.

    Raises:
      ValueError: if segments are wanted and `token_type_ids` is None.
    """
    _, seq_length, width = get_shape_list(input_tensor, expected_rank=3)
    init = create_initializer(initializer_range)
    output = input_tensor
    if use_token_type:
        if token_type_ids is None:
            raise ValueError("use_token_type=True without token_type_ids")
        shape = [token_type_vocab_size, width]
        table = tf.get_variable(token_type_embedding_name, shape, initializer=init)
        # A product is faster than a gather for so few rows, above all backwards.
        one_hot_ids = tf.one_hot(
            tf.reshape(token_type_ids, [-1]), depth=token_type_vocab_size
        )
        output += tf.reshape(
            tf.matmul(one_hot_ids, table), get_shape_list(input_tensor)
        )
    if use_position_embeddings:
        shape = [max_position_embeddings, width]
        table = tf.get_variable(position_embedding_name, shape, initializer=init)
        is_short = tf.assert_less_equal(seq_length, max_position_embeddings)
        with tf.control_dependencies([is_short]):
            # [1, seq_length, width]: positions do not depend on the row.
            output += tf.expand_dims(tf.slice(table, [0, 0], [seq_length, -1]), 0)
    return layer_norm_and_dropout(output, dropout_prob, ops=ops)


def create_attention_mask_from_input_mask(from_tensor, to_mask):
    """Spreads a 2D mask over all from-positions.

    Args:
      from_tensor: `[batch_size, from_seq_length, ...]`.
      to_mask: int32 `[batch_size, to_seq_length]`.

    Returns:
      float32 `[batch_size, from_seq_length, to_seq_length]`.
    """
    batch_size, from_seq_length = get_shape_list(from_tensor, expected_rank=[2, 3])[:2]
    to_seq_length = get_shape_list(to_mask, expected_rank=2)[1]
    to_mask = tf.cast(tf.reshape(to_mask, [batch_size, 1, to_seq_length]), tf.float32)
    return tf.ones([batch_size, from_seq_length, 1], dtype=tf.float32) * to_mask


def attention_layer(
    from_tensor,
    to_tensor,
    attention_mask=None,
    num_attention_heads: int = 1,
    size_per_head: int = 512,
    query_act=None,
    key_act=None,
    value_act=None,
    attention_probs_dropout_prob: float = 0.0,
    initializer_range: float = 0.02,
    do_return_2d_tensor: bool = False,
    batch_size=None,
    from_seq_length=None,
    to_seq_length=None,
    *,
    ops: Optional[ReferenceOps] = None,
):
    """Multi-headed attention. Source: Vaswani et al. 2017, arXiv:1706.03762, 3.2.

    Args:
      from_tensor: float `[batch_size, from_seq_length, from_width]`, or 2D.
      to_tensor: float `[batch_size, to_seq_length, to_width]`, or 2D.
      attention_mask: (optional) `[batch_size, from_seq_length or 1, to_seq_length]`,
        1 where a position may be attended to, else 0. A row with nothing to attend to
        is treated as if nothing were masked.
      num_attention_heads, size_per_head: of the projections.
      query_act, key_act, value_act: (optional) activation of the projections.
      attention_probs_dropout_prob: dropout on the attention probabilities.
      initializer_range: standard deviation of the kernels at the start.
      do_return_2d_tensor: whether to return a matrix.
      batch_size, from_seq_length, to_seq_length: int, needed for 2D inputs.
      ops: (optional) see `BertModel`.

    Returns:
      float `[batch_size, from_seq_length, num_attention_heads * size_per_head]`, or
      `[batch_size * from_seq_length, ...]` if `do_return_2d_tensor`.

    Raises:
      ValueError: if the shapes do not fit or the sizes for 2D inputs are missing.
    """
    batch_size, from_seq_length, to_seq_length = _attention_shape(
        from_tensor, to_tensor, batch_size, from_seq_length, to_seq_length
    )
    ops = ops or REFERENCE_OPS
    width = num_attention_heads * size_per_head

    def project(tensor, seq_length, activation, name):
        matrix = reshape_to_matrix(tensor)
        output = _dense(matrix, width, initializer_range, activation, name, ops=ops)
        output = tf.reshape(
            output, [batch_size, seq_length, num_attention_heads, size_per_head]
        )
        # [batch_size, num_attention_heads, seq_length, size_per_head]
        return tf.transpose(output, [0, 2, 1, 3])

    query = project(from_tensor, from_seq_length, query_act, "query")
    key = project(to_tensor, to_seq_length, key_act, "key")
    value = project(to_tensor, to_seq_length, value_act, "value")
    # The query is scaled, not the scores: fewer elements, and no overflow in fp16.
    query *= 1.0 / math.sqrt(float(size_per_head))
    if attention_mask is None:
        addend = tf.zeros([])
    else:
        # [batch_size, 1, from_seq_length or 1, to_seq_length]: the same for all heads.
        mask = tf.cast(tf.expand_dims(attention_mask, axis=1), tf.float32)
        addend = (1.0 - mask) * -10000.0
    context = ops.attention(query, key, value, addend, attention_probs_dropout_prob)
    # [batch_size, from_seq_length, num_attention_heads, size_per_head]
    context = tf.transpose(context, [0, 2, 1, 3])
    if do_return_2d_tensor:
        return tf.reshape(context, [batch_size * from_seq_length, width])
    return tf.reshape(context, [batch_size, from_seq_length, width])


def _attention_shape(from_tensor, to_tensor, *sizes_of_2d):
    """Returns (batch_size, from_seq_length, to_seq_length) of an attention."""
    from_shape = get_shape_list(from_tensor, expected_rank=[2, 3])
    to_shape = get_shape_list(to_tensor, expected_rank=[2, 3])
    if len(from_shape) != len(to_shape):
        raise ValueError(
            f"from_tensor of rank {len(from_shape)} and to_tensor of rank "
            f"{len(to_shape)}: both must be matrices, or both of rank 3"
        )
    if len(from_shape) == 3:
        return from_shape[0], from_shape[1], to_shape[1]
    if any(size is None for size in sizes_of_2d):
        raise ValueError(
            "the sizes of matrices are not known: attention_layer needs batch_size, "
            "from_seq_length and to_seq_length"
        )
    return sizes_of_2d


def transformer_model(
    input_tensor,
    attention_mask=None,
    hidden_size: int = 768,
    num_hidden_layers: int = 12,
    num_attention_heads: int = 12,
    intermediate_size: int = 3072,
    intermediate_act_fn=gelu,
    hidden_dropout_prob: float = 0.1,
    attention_probs_dropout_prob: float = 0.1,
    initializer_range: float = 0.02,
    do_return_all_layers: bool = False,
    *,
    first_token_only: bool = False,
    ops: Optional[ReferenceOps] = None,
):
    """Transformer encoder (Vaswani et al. 2017), post-normalized.

    Args:
      input_tensor: float `[batch_size, seq_length, hidden_size]`.
      attention_mask: (optional) 1 for positions to attend to, else 0;
        `[batch_size, seq_length, seq_length]` or `[batch_size, 1, seq_length]`.
      hidden_size: width of every layer.
      num_hidden_layers: number of layers; with 0 the output is the input.
      num_attention_heads: heads per layer.
      intermediate_size: width of the feed-forward layer.
      intermediate_act_fn: activation of the feed-forward layer.
      hidden_dropout_prob: dropout of the hidden layers.
      attention_probs_dropout_prob: dropout on the attention probabilities.
      initializer_range: standard deviation of the kernels at the start.
      do_return_all_layers: whether to return a list of all layers.
      first_token_only: compute the last layer for the first token of each row alone,
        which attends to all; its `seq_length` is 1 then.
      ops: (optional) see `BertModel`.

    Returns:
      float `[batch_size, seq_length, hidden_size]`, or the list of all layers'.

    Raises:
      ValueError: if a shape or a setting is invalid.
    """
    if hidden_size % num_attention_heads != 0:
        raise ValueError(
            f"hidden_size={hidden_size} cannot be divided among num_attention_heads="
            f"{num_attention_heads}"
        )
    shape = get_shape_list(input_tensor, expected_rank=3)
    batch_size, seq_length, width = shape
    if width != hidden_size:
        raise ValueError(
            f"an input of width {width} cannot be added to layers of hidden_size="
            f"{hidden_size}"
        )
    ops = ops or REFERENCE_OPS

    def build_for_tokens(tokens, layer_input, mask, from_seq_length):
        with tf.variable_scope("attention"):
            with tf.variable_scope("self"):
                context = attention_layer(
                    from_tensor=tokens,
                    to_tensor=layer_input,
                    attention_mask=mask,
                    num_attention_heads=num_attention_heads,
                    size_per_head=hidden_size // num_attention_heads,
                    attention_probs_dropout_prob=attention_probs_dropout_prob,
                    initializer_range=initializer_range,
                    do_return_2d_tensor=True,
                    batch_size=batch_size,
                    from_seq_length=from_seq_length,
                    to_seq_length=seq_length,
                    ops=ops,
                )
            with tf.variable_scope("output"):
                attention_output = _dense_add_norm(
                    context, tokens, initializer_range, hidden_dropout_prob, ops=ops
                )
        with tf.variable_scope("intermediate"):
            intermediate_output = _dense(
                attention_output,
                intermediate_size,
                initializer_range,
                activation=intermediate_act_fn,
                ops=ops,
            )
        with tf.variable_scope("output"):
            return _dense_add_norm(
                intermediate_output,
                attention_output,
                initializer_range,
                hidden_dropout_prob,
                ops=ops,
            )

    def build_layer(layer_input):
        return build_for_tokens(layer_input, layer_input, attention_mask, seq_length)

    def build_last_layer(layer_input):
        tokens = reshape_from_matrix(layer_input, shape)[:, 0]
        mask = None if attention_mask is None else attention_mask[:, :1]
        return build_for_tokens(tokens, layer_input, mask, from_seq_length=1)

    # Layers work on matrices: reshapes cost little on a GPU but not nothing elsewhere.
    layer_output = reshape_to_matrix(input_tensor)
    all_layers = []
    for index in range(num_hidden_layers):
        is_last = index == num_hidden_layers - 1
        build = build_last_layer if is_last and first_token_only else build_layer
        with tf.variable_scope(f"layer_{index}"):
            layer_output = ops.run_layer(index, build, layer_output)
        all_layers.append(layer_output)
    last_shape = shape
    if first_token_only and all_layers:
        last_shape = [batch_size, 1, hidden_size]
    if not do_return_all_layers:
        return reshape_from_matrix(layer_output, last_shape)
    shapes = [shape] * (num_hidden_layers - 1) + [last_shape]
    return list(map(reshape_from_matrix, all_layers, shapes))


def get_shape_list(tensor, expected_rank=None, name=None):
    """Returns the shape as a list: ints where static, scalar tensors elsewhere.

    Args:
      tensor: tensor.
      expected_rank: (optional) int or list of ints; checked if given.
      name: (optional) as what an error refers to the tensor; default: its own name.

    Raises:
      ValueError: if the rank is not the expected one.
    """
    if expected_rank is not None:
        assert_rank(tensor, expected_rank, name)
    shape = tensor.shape.as_list()
    if None not in shape:
        return shape
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if dim is None else dim for axis, dim in enumerate(shape)]


def reshape_to_matrix(input_tensor):
    """Reshapes a tensor of rank >= 2 to rank 2, keeping the last axis."""
    ndims = input_tensor.shape.ndims
    if ndims < 2:
        raise ValueError(
            f"no matrix can be made of rank {ndims}, the shape is {input_tensor.shape}"
        )
    if ndims == 2:
        return input_tensor
    return tf.reshape(input_tensor, [-1, input_tensor.shape.as_list()[-1]])


def reshape_from_matrix(output_tensor, orig_shape_list):
    """Reshapes a matrix back to the shape before `reshape_to_matrix`."""
    if len(orig_shape_list) == 2:
        return output_tensor
    width = get_shape_list(output_tensor)[-1]
    return tf.reshape(output_tensor, [*list(orig_shape_list[:-1]), width])


def assert_rank(tensor, expected_rank, name=None):
    """Raises a ValueError, naming the tensor, if its rank is not the expected one.

    Args:
      tensor, expected_rank, name: see `get_shape_list`.
    """
    ranks = [expected_rank] if isinstance(expected_rank, int) else list(expected_rank)
    if tensor.shape.ndims not in ranks:
        # Eager tensors have no name.
        name = name or getattr(tensor, "name", "input")
        scope = tf.get_variable_scope().name
        raise ValueError(
            f"{name} has rank {tensor.shape.ndims} and shape {tensor.shape}; wanted is "
            f"rank {' or '.join(map(str, ranks))}"
            + (f" (in variable scope {scope})" if scope else "")
        )
