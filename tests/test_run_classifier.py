"""`import run_classifier`: upstream's examples, features and inputs."""

import importlib.util

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
import run_classifier
from bert_my.model import checkpoints
from run_classifier import InputExample, PaddingInputExample
from tests import helpers
from tokenization import FullTokenizer

LABELS = ["no", "yes"]
EXAMPLES = [
    InputExample("1", "the cat runs", "why", "yes"),
    InputExample(guid="2", text_a="how the dog sleeps again today", label="no"),
    InputExample("3", "a cat", "the dog wins today again never", "no"),
    PaddingInputExample(),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    model = helpers.write_tiny_model(tmp_path_factory.mktemp("model"))
    return FullTokenizer(str(model / "vocab.txt"))


@pytest.fixture(scope="module")
def features(tokenizer):
    return run_classifier.convert_examples_to_features(EXAMPLES, LABELS, 8, tokenizer)


def test_features(features, tokenizer):
    texts = [
        " ".join(tokenizer.convert_ids_to_tokens(each.input_ids)) for each in features
    ]
    assert texts[0] == "[CLS] the cat runs [SEP] why [SEP] [PAD]"
    assert texts[1] == "[CLS] how the dog sleeps again today [SEP]"
    # The longer text is cut; of two of one length the second.
    assert texts[2] == "[CLS] a cat [SEP] the dog wins [SEP]"
    assert features[0].segment_ids == [0, 0, 0, 0, 0, 1, 1, 0]
    assert features[0].input_mask == [1] * 7 + [0]
    assert [each.label_id for each in features] == [1, 0, 0, 0]
    assert [each.is_real_example for each in features] == [True] * 3 + [False]
    assert features[3].input_ids == features[3].input_mask == [0] * 8


def batches(input_fn):
    iterator = tf.data.make_one_shot_iterator(input_fn({"batch_size": 3}))
    following, found = iterator.get_next(), []
    with tf.Session() as session:
        for _ in range(2):
            found.append(session.run(following))
    return found


def test_inputs_from_memory_and_from_a_file_are_alike(features, tokenizer, tmp_path):
    path = str(tmp_path / "x.tfrecord")
    run_classifier.file_based_convert_examples_to_features(
        EXAMPLES, LABELS, 8, tokenizer, path
    )
    in_memory = batches(run_classifier.input_fn_builder(features, 8, False, False))
    of_file = batches(run_classifier.file_based_input_fn_builder(path, 8, False, False))
    assert [len(batch["label_ids"]) for batch in in_memory] == [3, 1]
    for left, right in zip(in_memory, of_file):
        for name, values in left.items():
            assert values.dtype == right[name].dtype == np.int32
            np.testing.assert_array_equal(values, right[name])
    assert [list(batch["is_real_example"]) for batch in of_file] == [[1, 1, 1], [0]]


def test_rows_of_a_table(tmp_path):
    path = helpers.write_rows(tmp_path / "x.tsv", [("a", '"b'), ("c", "d")])
    rows = run_classifier.DataProcessor._read_tsv(str(path))
    assert rows == [["a", '"b'], ["c", "d"]]


def examples_of(processor, folder):
    read = (processor.get_train_examples, processor.get_dev_examples)
    examples = [example for each in read for example in each(str(folder))]
    return [(x.guid, x.text_a, x.text_b, x.label) for x in examples]


@pytest.mark.parametrize(
    "name, files, expected, test",
    [
        (
            "Cola",
            {"train": ["s 1 x a"], "dev": ["s 0 * b"], "test": ["id sentence", "1 c"]},
            [("train-0", "a", None, "1"), ("dev-0", "b", None, "0")],
            ("test-1", "c", None, "0"),
        ),
        (
            "Mrpc",
            dict.fromkeys(("train", "dev", "test"), ("q 1 2 a b", "1 8 9 c d")),
            [("train-1", "c", "d", "1"), ("dev-1", "c", "d", "1")],
            ("test-1", "c", "d", "0"),
        ),
        (
            "Mnli",
            dict.fromkeys(
                ("train", "dev_matched", "test_matched"),
                ("0 1 2 3 4 5 6 7 8 9", "7 1 2 3 4 5 6 7 c d e neutral"),
            ),
            [("train-7", "c", "d", "neutral"), ("dev-7", "c", "d", "neutral")],
            ("test-7", "c", "d", "contradiction"),
        ),
        (
            "Xnli",
            {
                "multinli/multinli.train.zh": ["a b c", "c d contradictory"],
                "xnli.dev": ["l", "en neutral 2 3 4 5 a b", "zh neutral 2 3 4 5 c d"],
            },
            [("train-1", "c", "d", "contradiction"), ("dev-2", "c", "d", "neutral")],
            None,
        ),
    ],
)
def test_files_of_published_sets(tmp_path, name, files, expected, test):
    (tmp_path / "multinli").mkdir()
    for stem, lines in files.items():
        helpers.write_rows(tmp_path / f"{stem}.tsv", [line.split() for line in lines])
    processor = getattr(run_classifier, f"{name}Processor")()
    assert examples_of(processor, tmp_path) == expected
    assert expected[0][3] in processor.get_labels()
    if test is None:
        with pytest.raises(NotImplementedError):
            processor.get_test_examples(str(tmp_path))
    else:
        (found,) = processor.get_test_examples(str(tmp_path))
        assert (found.guid, found.text_a, found.text_b, found.label) == test


def make_model_fn(tiny_model, **changes):
    arguments = {
        "bert_config": modeling.BertConfig.from_json_file(
            str(tiny_model / "bert_config.json")
        ),
        "num_labels": 3,
        "init_checkpoint": None,
        "learning_rate": 1e-2,
        "num_train_steps": 10,
        "num_warmup_steps": 0,
        "use_tpu": False,
        "use_one_hot_embeddings": False,
    }
    return run_classifier.model_fn_builder(**{**arguments, **changes})


def test_model_with_the_names_and_values_of_upstream(tiny_model):
    config = modeling.BertConfig.from_json_file(str(tiny_model / "bert_config.json"))
    ids = tf.constant([[2, 5, 3], [2, 7, 3]])
    outputs = run_classifier.create_model(
        config, False, ids, None, None, tf.constant([1, 2]), 3, False
    )
    weights = {v.op.name: v for v in tf.global_variables() if "bert" not in v.name}
    assert sorted(weights) == ["output_bias", "output_weights"]
    pooled = tf.get_default_graph().get_tensor_by_name("bert/pooler/dense/Tanh:0")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(weights["output_bias"], [0.5, -1.0, 0.25]))
        loss, losses, logits, probabilities = session.run(outputs)
        hidden, kernel = session.run([pooled, weights["output_weights"]])
    np.testing.assert_allclose(logits, hidden @ kernel.T + [0.5, -1, 0.25], atol=1e-6)
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(losses, -np.log(expected[[0, 1], [1, 2]]), atol=1e-6)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-6)


@pytest.mark.skipif(not hasattr(tf, "estimator"), reason="no estimators")
def test_an_estimator_trains_evaluates_and_predicts(tiny_model, features, tmp_path):
    model_fn = make_model_fn(tiny_model)
    estimator = tf.estimator.Estimator(
        model_fn, str(tmp_path / "run"), params={"batch_size": 2}
    )
    build = run_classifier.input_fn_builder
    estimator.train(build(features[:3], 8, True, True), steps=10)
    input_fn = build(features[:3], 8, False, False)
    metrics = estimator.evaluate(input_fn)
    assert metrics["global_step"] == 10
    assert 0 <= metrics["eval_accuracy"] <= 1
    predictions = list(estimator.predict(input_fn))
    assert [len(each["probabilities"]) for each in predictions] == [3, 3, 3]


@pytest.mark.skipif(not hasattr(tf, "estimator"), reason="no estimators")
@pytest.mark.parametrize("dtype", [np.float16, tf.bfloat16.as_numpy_dtype])
def test_an_estimator_starts_from_short_floats(tiny_model, features, tmp_path, dtype):
    name, path = "bert/pooler/dense/bias", str(tmp_path / "model.ckpt")
    values = np.arange(32, dtype=np.float32)
    checkpoints.write({name: values.astype(dtype)}, path)
    model_fn = make_model_fn(tiny_model, init_checkpoint=path, learning_rate=0.0)
    folder = str(tmp_path / "run")
    estimator = tf.estimator.Estimator(model_fn, folder, params={"batch_size": 2})
    input_fn = run_classifier.input_fn_builder(features[:3], 8, True, True)
    estimator.train(input_fn, steps=1)
    np.testing.assert_array_equal(estimator.get_variable_value(name), values)


@pytest.mark.skipif(not hasattr(tf, "estimator"), reason="no estimators")
def test_an_estimator_does_not_keep_nan(tiny_model, features, tmp_path):
    name, path = "bert/pooler/dense/bias", str(tmp_path / "model.ckpt")
    checkpoints.write({name: np.full([32], np.nan, np.float32)}, path)
    model_fn = make_model_fn(tiny_model, init_checkpoint=path)
    folder = tmp_path / "run"
    estimator = tf.estimator.Estimator(model_fn, str(folder), params={"batch_size": 2})
    input_fn = run_classifier.input_fn_builder(features[:3], 8, True, True)
    with pytest.raises(ValueError, match=f"{name} is NaN"):
        estimator.train(input_fn, steps=1)
    assert not list(folder.glob("model.ckpt-*"))


def test_what_a_model_fn_needs_is_named(tiny_model):
    with pytest.raises(ValueError, match="use_tpu"):
        make_model_fn(tiny_model, use_tpu=True)
    if not hasattr(tf, "estimator"):
        with pytest.raises(RuntimeError, match=r"no estimators.*run_classifier\.py"):
            make_model_fn(tiny_model)


def test_a_copy_in_a_package_needs_nothing_of_this_project():
    source = (helpers.ROOT / "run_classifier.py").read_text(encoding="utf-8")
    spec = importlib.util.spec_from_loader("bert.run_classifier", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(source.replace("bert_my", "is_not_there"), module.__dict__)
    assert module.InputExample("1", "a").label is None
