"""Encoder families: one description each, the only place that knows a family.

The rest of the project asks a description which configs it accepts, how the encoder is
built, which part of it a variable belongs to, how many FLOPs it takes, and the names of
its tensors in Hugging Face's files. A new family is a class beside `Bert`, and a choice
in `of`.
"""

import re

import tensorflow.compat.v1 as tf

import modeling
from bert_my.common.errors import InputError
from bert_my.model import configs

EMBEDDINGS, POOLER, HEAD = "embeddings", "pooler", "head"
# FLOPs for each weight and token of a matrix product: an addition and a multiplication,
# once forward and, in training, twice backward.
FORWARD, TRAINING = 2, 6
# Parts of the names of variables -> the family, the first that fits.
_VARIABLES = {
    "/layer_shared/": "ALBERT",
    "/inner_group_": "ALBERT",
    "/word_embeddings_2": "ALBERT",
    "discriminator_predictions/": "ELECTRA",
    "electra/": "ELECTRA",
    "/ffn_layer_0/": "MobileBERT",
    "bert/encoder/layer_0/attention/self/query/kernel": "BERT",
}
# Hugging Face's "gelu" is the erf form, upstream's is the tanh form.
_HF_ACTIVATIONS = {"gelu": "gelu_erf", "gelu_new": "gelu", "relu": "relu"}
_HF_TANH_GELUS = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
# Other variables, of embeddings, have the ending ".weight".
_HF_ENDINGS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "output_weights": "weight",
    "output_bias": "bias",
}
_HEAD_VARIABLES = (
    "cls/predictions/transform/dense/kernel",
    "cls/predictions/transform/dense/bias",
    "cls/predictions/transform/LayerNorm/gamma",
    "cls/predictions/transform/LayerNorm/beta",
    "cls/predictions/output_bias",
    "cls/seq_relationship/output_weights",
    "cls/seq_relationship/output_bias",
    "output_weights",
    "output_bias",
)
# Settings that Hugging Face's configs may lack, with its defaults.
_HF_DEFAULTS = {**configs.DEFAULTS, "vocab_size": 30522, "type_vocab_size": 2}


class Bert:
    """BERT (Devlin et al. 2019), with a config.

    scope: variable scope of the encoder, and its name in `--freeze`.
    word_embeddings: name of the word table.
    token_variables: names of the variables with a row for each token.
    hf_model_type: name of the family, `model_type` of its configs.
    hf_prefix: of the encoder's tensors in Hugging Face's models with a head.
    hf_not_stored: beginnings of names of Hugging Face's tensors that are derived or
      tied to others.
    """

    scope = "bert"
    word_embeddings = "bert/embeddings/word_embeddings"
    token_variables = (word_embeddings, "cls/predictions/output_bias")
    hf_model_type = "bert"
    hf_prefix = "bert."
    hf_not_stored = ("embeddings.position_ids", "cls.predictions.decoder.")

    def __init__(self, config):
        """Takes a `modeling.BertConfig`."""
        self.config = config

    @property
    def parts(self):
        """The names of the encoder's parts, from the bottom to the top."""
        numbers = range(self.config.num_hidden_layers)
        return (EMBEDDINGS, *(f"layer_{number}" for number in numbers), POOLER)

    @classmethod
    def check_config(cls, settings, source):
        """Raises an `InputError` if settings are not those of a BERT.

        Args:
          settings: dict, of a bert_config.json.
          source: file or flag to name in the error.
        """
        configs.check_family(settings, cls.hf_model_type, source)
        configs.check_settings(settings, source)

    def build(self, features, is_training, first_token_only=False, ops=None):
        """Builds the encoder; returns a `modeling.BertModel`.

        Args:
          features: dict with `input_ids`, `input_mask` and `segment_ids`, int32
            `[batch_size, seq_length]`.
          is_training, first_token_only, ops: see `modeling.BertModel`.
        """
        return modeling.BertModel(
            config=self.config,
            is_training=is_training,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
            scope=self.scope,
            first_token_only=first_token_only,
            ops=ops,
        )

    def variable_shapes(self):
        """Returns a dict from the names of the encoder's variables to their shapes."""
        with tf.Graph().as_default():
            ids = tf.zeros([1, 1], tf.int32)
            modeling.BertModel(self.config, False, ids, scope=self.scope)
            return {v.op.name: v.shape.as_list() for v in tf.global_variables()}

    def part_of(self, variable_name):
        """Returns the part that a variable belongs to: one of `parts`, or `HEAD`."""
        match = re.match(rf"{self.scope}/(?:encoder/)?(\w+)/", variable_name)
        return match[1] if match and match[1] in self.parts else HEAD

    def flops(self, num_tokens, num_pairs, num_masked, per_weight):
        """Returns the model FLOPs of some rows.

        Embeddings, pooler and other heads do not count: they are a small share.
        Source: Chowdhery et al. 2022, "PaLM: Scaling Language Modeling with Pathways",
        appendix B.

        Args:
          num_tokens: of all rows without padding; a number or a tensor, as the others.
          num_pairs: pairs of tokens of one row: the sum of the squared lengths.
          num_masked: masked words to predict: each goes through a layer of the hidden
            size and the word embeddings.
          per_weight: `FORWARD` or `TRAINING`.
        """
        config = self.config
        hidden_size, num_layers = config.hidden_size, config.num_hidden_layers
        # Query, key, value and output; and the two of the feed-forward layer.
        layer = 4 * hidden_size**2 + 2 * hidden_size * config.intermediate_size
        prediction = hidden_size**2 + hidden_size * config.vocab_size
        # Products of each token with the keys and with the values of its row.
        attention = 2 * num_layers * hidden_size
        return per_weight * (
            num_layers * layer * num_tokens
            + attention * num_pairs
            + prediction * num_masked
        )

    def tensor_names(self):
        """Returns a dict from the variables of a BERT with all its heads to tensors.

        The values are the names in Hugging Face's files, without `hf_prefix`. Kernels
        are transposed there.
        """
        variables = (*self.variable_shapes(), *_HEAD_VARIABLES)
        return {name: _tensor_name(name, self.scope) for name in variables}

    @classmethod
    def from_hf_config(cls, settings, source):
        """Returns the description of a model by its Hugging Face config.

        Args:
          settings: dict, of a config.json.
          source: path of the file, for errors.

        Raises:
          InputError: naming a setting that is not supported.
        """
        configs.check_family(settings, cls.hf_model_type, source)
        settings = {**_HF_DEFAULTS, **settings}
        activation = settings["hidden_act"]
        if activation in _HF_TANH_GELUS:
            activation = "gelu_new"
        if activation not in tuple(_HF_ACTIVATIONS):
            raise InputError(f"{source}: hidden_act {activation!r} is not supported")
        known = {key: settings[key] for key in configs.DEFAULTS}
        known["hidden_act"] = _HF_ACTIVATIONS[activation]
        configs.check_settings({**settings, **known}, source)
        return cls(modeling.BertConfig.from_dict(known))

    def hf_config(self, source):
        """Returns the settings of the model's Hugging Face config.

        Args:
          source: path of the config's file, for the error.

        Raises:
          InputError: if the activation has no name there.
        """
        activations = {ours: theirs for theirs, ours in _HF_ACTIVATIONS.items()}
        if self.config.hidden_act not in activations:
            raise InputError(
                f"{source}: hidden_act {self.config.hidden_act!r} has no name in "
                "Hugging Face's BERT"
            )
        return {
            **{key: getattr(self.config, key) for key in configs.DEFAULTS},
            "hidden_act": activations[self.config.hidden_act],
            "layer_norm_eps": modeling.LAYER_NORM_EPSILON,
            "model_type": self.hf_model_type,
        }

    @staticmethod
    def hf_architecture(tensors):
        """Returns Hugging Face's class of a model that has these tensors.

        Classifiers are not among them.
        """
        if "cls.predictions.bias" in tensors:
            return "BertForPreTraining"
        return "BertModel"


# Families by the `model_type` of their configs; BERT's configs may lack it.
_FAMILIES = {"bert": Bert}


def of(config):
    """Returns the description of the encoder with a config."""
    return _FAMILIES.get(getattr(config, "model_type", "bert"), Bert)(config)


def _family(settings, source):
    """Returns the description's class by the value of a config's JSON file."""
    if not isinstance(settings, dict):
        raise InputError(f"{source}: it is no JSON object, so not the config of a BERT")
    return _FAMILIES.get(str(settings.get("model_type")), Bert)


def from_config(settings, source):
    """Returns the description of the encoder with the settings of a bert_config.json.

    Args:
      settings: value of the JSON file.
      source: file or flag to name in the error.

    Raises:
      InputError: naming a setting that is wrong or not supported.
    """
    _family(settings, source).check_config(settings, source)
    return of(modeling.BertConfig.from_dict(settings))


def from_hf_config(settings, source):
    """Returns the description of a model by its Hugging Face config; see `Bert`."""
    return _family(settings, source).from_hf_config(settings, source)


def family_of(variable_names):
    """Returns the name of the family that a checkpoint is of, or None.

    Args:
      variable_names: list, of the checkpoint.
    """
    for part, family in _VARIABLES.items():
        if any(part in name for name in variable_names):
            return family
    return None


def _tensor_name(variable_name, encoder_scope):
    """Returns Hugging Face's name of a variable of an encoder or its heads."""
    scope, _, last = variable_name.rpartition("/")
    scope = re.sub(rf"^{encoder_scope}/", "", f"{scope}/")
    scope = re.sub(r"layer_(\d+)", r"layer/\1", scope)
    ending = _HF_ENDINGS.get(last, f"{last}/weight")
    return ((scope.lstrip("/") or "classifier/") + ending).replace("/", ".")
