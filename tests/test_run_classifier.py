"""`import run_classifier`: upstream's examples, features and inputs."""

import importlib.util

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import run_classifier
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


def test_a_copy_in_a_package_needs_nothing_of_this_project():
    source = (helpers.ROOT / "run_classifier.py").read_text(encoding="utf-8")
    spec = importlib.util.spec_from_loader("bert.run_classifier", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(source.replace("bert_my", "is_not_there"), module.__dict__)
    assert module.InputExample("1", "a").label is None
