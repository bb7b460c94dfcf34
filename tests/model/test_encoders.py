"""The description of BERT: its configs, parts, FLOPs; other families are refused."""

import ast
import json

import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common.errors import InputError
from bert_my.model import encoders, pretrained
from tests import helpers

CONFIG = {"vocab_size": 29, **helpers.CONFIG}


def write_config(folder, **changes):
    path = folder / "bert_config.json"
    path.write_text(json.dumps({**CONFIG, **changes}))
    return str(path)


@pytest.mark.parametrize(
    ("settings", "family"),
    [
        # Google's ALBERT, brightmart's with its own layout, and without its width.
        (
            {"embedding_size": 16, "num_hidden_groups": 1, "inner_group_num": 1},
            "ALBERT",
        ),
        ({"embedding_size": 16, "ln_type": "postln"}, "ALBERT"),
        ({"ln_type": "preln"}, "ALBERT"),
        ({"num_hidden_groups": 1}, "ALBERT"),
        # Hugging Face's configs.
        ({"model_type": "albert", "embedding_size": 16}, "ALBERT"),
        ({"model_type": "electra", "embedding_size": 32}, "ELECTRA"),
        ({"model_type": "roberta"}, "RoBERTa"),
        ({"model_type": "distilbert"}, "distilbert"),
        ({"embedding_size": 16}, "ELECTRA"),
        ({"true_hidden_size": 16}, "MobileBERT"),
        ({"use_relative_position": True}, "NEZHA"),
    ],
)
def test_another_family_is_refused_by_name(tmp_path, settings, family):
    path = write_config(tmp_path, **settings)
    with pytest.raises(InputError) as error:
        pretrained.read_bert_config(path)
    assert path in str(error.value)
    assert family in str(error.value)
    with pytest.raises(InputError, match=family):
        encoders.Bert.from_hf_config({**CONFIG, **settings}, path)


@pytest.mark.parametrize(
    "settings",
    [
        # Google's Chinese BERT, RoBERTa-wwm-ext (a BERT), and what says nothing.
        {"directionality": "bidi", "pooler_type": "first_token_transform"},
        {"model_type": "bert", "position_embedding_type": "absolute"},
        {"embedding_size": 32, "ln_type": "postln", "use_relative_position": False},
        {"use_cache": True, "pad_token_id": 0, "torch_dtype": "float16"},
        {"layer_norm_eps": 1e-12, "is_decoder": False, "pruned_heads": {}},
        {"attention_head_size": 8, "relative_attention": False, "num_experts": None},
        {"model_type": None, "classifier_dropout": None, "dropout": "none"},
    ],
)
def test_configs_of_a_bert_are_accepted(tmp_path, settings):
    config = pretrained.read_bert_config(write_config(tmp_path, **settings))
    assert config.to_dict() == {**config.to_dict(), **settings}


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": ["bert"]},
        {"embedding_size": "32"},
        {"position_embedding_type": "relative_key"},
        {"max_relative_position": 64},
        {"relative_attention_num_buckets": 32},
        {"rope_theta": 10000.0},
        {"attention_head_size": 16},
        {"layer_norm_eps": 1e-5},
        {"is_decoder": True},
        {"is_decoder": "false"},
        {"add_cross_attention": True},
        {"tie_word_embeddings": False},
        {"tie_word_embeddings": 0},
        {"pruned_heads": {"0": [1]}},
        {"hidden_dropout_prob": 1.0},
        {"hidden_dropout_prob": -0.1},
        {"hidden_dropout_prob": True},
        {"attention_probs_dropout_prob": float("nan")},
        {"attention_probs_dropout_prob": "0.1"},
        {"attention_probs_dropout_prob": None},
        {"initializer_range": 0},
        {"initializer_range": float("inf")},
        {"hidden_size": 32.0},
        {"hidden_size": 10**11},
        {"num_hidden_layers": True},
        {"num_hidden_layers": 0},
        {"num_attention_heads": 3},
        {"intermediate_size": "37"},
        {"type_vocab_size": -2},
        {"hidden_act": "gelu_fast_tanh"},
        {"hidden_act": 1},
        {"hidden_act": ["gelu"]},
        {"hidden_act": None},
    ],
)
def test_a_setting_of_another_model_or_out_of_range_is_named(tmp_path, settings):
    path = write_config(tmp_path, **settings)
    with pytest.raises(
        InputError, match=f"^--bert_config_file={path}: .*{next(iter(settings))}"
    ):
        pretrained.read_bert_config(path)
    with pytest.raises(InputError, match=f"^{path}: .*{next(iter(settings))}"):
        encoders.from_hf_config({**CONFIG, **settings}, path)


def test_missing_settings_are_named(tmp_path, caplog):
    path = tmp_path / "bert_config.json"
    path.write_text('{"vocab_size": 29, "hidden_size": 12, "num_hidden_layers": 1}')
    with pytest.raises(InputError, match=r"it lacks num_attention_heads$"):
        pretrained.read_bert_config(str(path))
    settings = {name: CONFIG[name] for name in CONFIG if name != "type_vocab_size"}
    path.write_text(json.dumps(settings))
    assert pretrained.read_bert_config(str(path)).type_vocab_size == 16
    assert "type_vocab_size 16" in caplog.text
    # In a Hugging Face config a missing setting is the default.
    caplog.clear()
    config = encoders.from_hf_config({"hidden_size": 24}, "").config
    assert (config.vocab_size, config.type_vocab_size) == (30522, 2)
    assert (config.hidden_size, config.num_hidden_layers) == (24, 12)
    assert not caplog.text


@pytest.mark.parametrize("content", ["[]", "null", '{"a', "", "\xff", "[" * 5000])
def test_a_file_that_is_no_config_is_named(tmp_path, content):
    path = tmp_path / "bert_config.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=f"^--bert_config_file={path}: "):
        pretrained.read_bert_config(str(path))


def test_a_byte_order_mark_before_a_config_is_left_out(tmp_path):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8-sig")
    assert pretrained.read_bert_config(str(path)).vocab_size == 29


def make_encoder(**changes):
    return encoders.of(modeling.BertConfig(**{**CONFIG, **changes}))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("bert/embeddings/word_embeddings", "embeddings"),
        ("bert/embeddings/LayerNorm/beta", "embeddings"),
        ("bert/encoder/layer_0/output/dense/bias", "layer_0"),
        ("bert/encoder/layer_11/attention/self/query/kernel", "layer_11"),
        ("bert/pooler/dense/kernel", "pooler"),
        ("output_weights", "head"),
        ("cls/predictions/transform/dense/kernel", "head"),
        ("lstm/bert/embeddings/x", "head"),
        ("bert/encoder/layer_12/output/dense/bias", "head"),  # of no such layer
    ],
)
def test_part_of_a_variable(name, part):
    assert make_encoder(num_hidden_layers=12).part_of(name) == part


def test_each_variable_of_the_encoder_has_a_part():
    encoder = make_encoder()
    parts = [encoder.part_of(name) for name in encoder.variable_shapes()]
    assert list(dict.fromkeys(parts)) == list(encoder.parts)
    assert encoder.variable_shapes()[encoder.word_embeddings] == [29, 32]


def test_tensor_names_are_those_of_the_variables():
    encoder = make_encoder()
    names = encoder.tensor_names()
    of_encoder = {name for name in names if encoder.part_of(name) != encoders.HEAD}
    assert of_encoder == set(encoder.variable_shapes())
    assert len(names) == len(set(names.values()))
    assert set(encoder.token_variables) <= set(names)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("bert/embeddings/word_embeddings", "embeddings.word_embeddings.weight"),
        ("bert/embeddings/LayerNorm/gamma", "embeddings.LayerNorm.weight"),
        (
            "bert/encoder/layer_1/attention/self/query/kernel",
            "encoder.layer.1.attention.self.query.weight",
        ),
        (
            "bert/encoder/layer_1/output/LayerNorm/beta",
            "encoder.layer.1.output.LayerNorm.bias",
        ),
        ("bert/pooler/dense/bias", "pooler.dense.bias"),
        (
            "cls/predictions/transform/dense/kernel",
            "cls.predictions.transform.dense.weight",
        ),
        ("cls/predictions/output_bias", "cls.predictions.bias"),
        ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
        ("output_weights", "classifier.weight"),
        ("output_bias", "classifier.bias"),
    ],
)
def test_tensors_have_the_names_of_hugging_face(ours, theirs):
    assert make_encoder().tensor_names()[ours] == theirs


def test_build_is_given_all_inputs():
    features = {
        name: tf.placeholder(tf.int32, [None, 5])
        for name in ("input_ids", "input_mask", "segment_ids")
    }
    model = make_encoder().build(features, is_training=False, first_token_only=True)
    assert model.get_sequence_output().shape.as_list() == [None, 1, 32]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        ones = {key: [[1, 1, 1, 1, 1]] for key in features.values()}
        expected = session.run(model.pooled_output, ones)
        for other in features.values():
            zeros = {**ones, other: [[1, 0, 0, 0, 0]]}
            assert abs(session.run(model.pooled_output, zeros) - expected).max() > 1e-4


def test_flops_counted_by_hand():
    encoder = make_encoder(
        vocab_size=5,
        hidden_size=2,
        num_hidden_layers=3,
        intermediate_size=7,
        num_attention_heads=1,
    )
    # Of a layer: 4 matrices of 2 x 2 and 2 of 2 x 7, for 3 tokens; the products with
    # the keys and with the values, of 2 numbers each, for 2 * 2 + 1 pairs of tokens.
    layer = (4 * 4 + 2 * 14) * 3 + 2 * 2 * 5
    assert encoder.flops(3, 5, 0, encoders.TRAINING) == 6 * 3 * layer
    assert encoder.flops(3, 5, 0, encoders.FORWARD) == 2 * 3 * layer
    # A matrix of 2 x 2 and one of 2 x 5 for each masked word.
    words = encoder.flops(3, 5, 4, encoders.TRAINING) - 6 * 3 * layer
    assert words == 6 * 4 * (4 + 10)


def test_no_other_module_knows_the_family():
    """Neither the names of its variables nor the class that builds it."""
    # Two tools build the model of another project's modeling.py, to compare with ours.
    others = (
        "bert_my/model/encoders.py",
        "bert_my/tools/benchmark/upstream.py",
        "bert_my/tools/project/hidden_worker.py",
    )
    found = []
    for folder in ("bert_my", "scripts"):
        for path in sorted((helpers.ROOT / folder).rglob("*.py")):
            name = path.relative_to(helpers.ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                text, attribute = getattr(node, "s", ""), getattr(node, "attr", "")
                is_name = isinstance(text, str) and text.startswith("bert/")
                if (is_name or attribute == "BertModel") and name not in others:
                    found.append(f"{name}:{node.lineno}")
    assert not found
