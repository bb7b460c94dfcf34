"""Checks of a model's config: is it that of a BERT, and are its numbers those of one?

Keys that change nothing, or that other programs write, are of no interest here. A key
that would change the model is refused unless its value is the one that a BERT has.
"""

import logging
import math

import modeling
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

# Families by `model_type`, as Hugging Face calls them.
_FAMILY_NAMES = {"albert": "ALBERT", "electra": "ELECTRA", "roberta": "RoBERTa"}
# Settings that a BERT does not have, with the family that has them.
_FOREIGN_SETTINGS = {
    "num_hidden_groups": "ALBERT",
    "inner_group_num": "ALBERT",
    "true_hidden_size": "MobileBERT",
    "use_relative_position": "NEZHA",
    "max_relative_position": "NEZHA",
    "pos_att_type": "DeBERTa",
    "attention_window": "Longformer",
    "attention_type": "BigBird",
    "use_task_id": "ERNIE",
    "head_ratio": "ConvBERT",
    "num_experts": "mixtures of experts",
}
# Parts of names of settings of other positions than BERT's.
_OTHER_POSITIONS = ("relative", "rotary", "rope_", "alibi", "sinusoid")
# Names of the width of a head, which is `hidden_size / num_attention_heads` in a BERT.
_HEAD_SIZES = (
    "attention_head_size",
    "attention_key_size",
    "head_dim",
    "hidden_size_per_head",
    "size_per_head",
)
# Settings that change the model -> the value that a BERT has, also if it is not given.
_FIXED = {
    "position_embedding_type": "absolute",
    "layer_norm_eps": modeling.LAYER_NORM_EPSILON,
    "layer_norm_epsilon": modeling.LAYER_NORM_EPSILON,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "tie_word_embeddings": True,
    "pruned_heads": {},
    "quantization_config": None,
    "directionality": "bidi",
    "normalization_type": "layer_norm",
    "do_layer_norm_before": False,
    "pre_norm": False,
    "pre_layer_norm": False,
    "share_parameter_across_layers": False,
    "use_bias": True,
    "scale_embedding": False,
    "ln_type": "postln",
}
# Settings with the largest number that makes sense.
_MOST = {
    "vocab_size": 10**7,
    "hidden_size": 1 << 16,
    "num_hidden_layers": 1000,
    "num_attention_heads": 1 << 16,
    "intermediate_size": 1 << 20,
    "max_position_embeddings": 10**6,
    "type_vocab_size": 10**6,
}
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")
# Largest standard deviation of initial weights.
_MOST_RANGE = 100
# Without one of these the model is another one, and the checkpoint may fit it still.
_NEEDED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
)
# The settings of a BERT with their defaults.
DEFAULTS = modeling.BertConfig(vocab_size=None).to_dict()


def check_settings(settings, source):
    """Checks the settings of a BERT; warns of those that are missing.

    Args:
      settings: dict.
      source: file or flag to name in errors.

    Raises:
      InputError: naming the setting that is missing, of the wrong type or out of range.
    """
    missing = [name for name in DEFAULTS if name not in settings]
    needed = [name for name in _NEEDED if name in missing]
    if needed:
        raise InputError(f"{source}: it lacks {', '.join(needed)}")
    if missing:
        taken = ", ".join(f"{name} {DEFAULTS[name]!r}" for name in missing)
        logger.warning("%s: not given, so the defaults are used: %s", source, taken)
    _check_values({**DEFAULTS, **settings}, source)


def check_family(settings, expected, source):
    """Raises an `InputError` for settings that would make the model no BERT.

    Args:
      settings: dict, of a bert_config.json or a Hugging Face config.json.
      expected: `model_type` of the family, which a config may lack.
      source: file or flag to name in the error.
    """
    model_type = settings.get("model_type")
    embedding_size = settings.get("embedding_size")
    foreign = [name for name in _FOREIGN_SETTINGS if settings.get(name)]
    if model_type not in (expected, None):
        family = _FAMILY_NAMES.get(str(model_type), model_type)
        reason = f"model_type is {model_type!r}"
    elif foreign:
        name = foreign[0]
        family = _FOREIGN_SETTINGS[name]
        reason = f"it has {name}, which is {settings[name]!r}"
    elif embedding_size not in (None, settings.get("hidden_size")):
        family, reason = "ALBERT or ELECTRA", f"embedding_size is {embedding_size!r}"
    elif settings.get("ln_type", "postln") != "postln":
        family, reason = "ALBERT", f"ln_type is {settings['ln_type']!r}"
    else:
        _check_fixed(settings, source)
        return
    raise InputError(
        f"{source}: this is the config of another family, {family}, not of a BERT: "
        f"{reason}"
    )


def _check_fixed(settings, source):
    """Raises an `InputError` for a setting that is not the one of a BERT."""
    for name, value in settings.items():
        if value and any(part in name.lower() for part in _OTHER_POSITIONS):
            raise InputError(
                f"{source}: {name} is {value!r}; other positions than the learnt ones "
                "of a BERT are not supported"
            )
    for name, value in _FIXED.items():
        given = settings.get(name)
        is_same = given == value and isinstance(given, bool) == isinstance(value, bool)
        if given is not None and not is_same:
            raise InputError(
                f"{source}: {name} is {given!r}, which is not supported; a BERT here "
                f"has {value!r}"
            )


def _check_values(settings, source):
    """Raises an `InputError` for a value of the wrong type or out of range.

    Args:
      settings: dict with all settings of a `modeling.BertConfig`.
      source: file or flag to name in the error.
    """

    def refuse(name, must):
        raise InputError(f"{source}: {name} is {settings[name]!r}; it must be {must}")

    for name, most in _MOST.items():
        value = settings[name]
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not 1 <= value <= most:
            refuse(name, f"a whole number from 1 to {most}")
    for name in _RATES:
        if not _is_number(settings[name]) or not 0 <= settings[name] < 1:
            refuse(name, "a number, at least 0 and less than 1")
    deviation = settings["initializer_range"]
    if not _is_number(deviation) or not 1e-9 <= deviation <= _MOST_RANGE:
        refuse("initializer_range", f"a number from 1e-09 to {_MOST_RANGE}")
    if settings["hidden_size"] % settings["num_attention_heads"]:
        raise InputError(
            f"{source}: hidden_size {settings['hidden_size']} is not a multiple of "
            f"num_attention_heads {settings['num_attention_heads']}"
        )
    head_size = settings["hidden_size"] // settings["num_attention_heads"]
    for name in _HEAD_SIZES:
        if settings.get(name, head_size) not in (head_size, None):
            refuse(name, f"{head_size}, hidden_size / num_attention_heads")
    activation = settings["hidden_act"]
    if not isinstance(activation, str) or not activation:
        refuse("hidden_act", "the name of an activation, as gelu")
    try:
        modeling.get_activation(activation)
    except ValueError as error:
        raise InputError(f"{source}: not the config of a BERT: {error}") from error


def _is_number(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
