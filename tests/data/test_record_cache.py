"""The record cache: made once for each content, in order, by several processes too."""

import os

import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import record_cache
from bert_my.data.errors import InputError
from bert_my.data.features import EncodedExample, Example, FeatureSpec

SPECS = (FeatureSpec("input_ids", (None,)),)


def encode(examples):
    return [
        EncodedExample(
            {"input_ids": [ord(c) for c in e.text_a]}, e.text_a.endswith("9")
        )
        for e in examples
    ]


def make_source(path, texts, encode_batch=encode, **settings):
    path.write_text("".join(texts))
    return record_cache.Source(
        name="train",
        read_examples=lambda: (Example(text) for text in texts),
        encode_batch=encode_batch,
        specs=SPECS,
        seq_length=8,
        paths=[str(path)],
        settings=settings,
    )


def read(records):
    texts = []
    for record in tf.python_io.tf_record_iterator(records.path):
        example = tf.train.Example.FromString(record)
        ids = example.features.feature["input_ids"].int64_list.value
        texts.append("".join(map(chr, ids)))
    return texts


@pytest.mark.parametrize("num_processes", [1, 2])
def test_keeps_every_row_in_order(tmp_path, monkeypatch, num_processes):
    monkeypatch.setattr(record_cache, "CHUNK_SIZE", 3)
    monkeypatch.setattr(record_cache, "MIN_PARALLEL_CHUNKS", 4)
    texts = [f"row{index}" for index in range(29)]
    records = record_cache.load_or_convert(
        make_source(tmp_path / "a", texts), str(tmp_path / "cache"), num_processes
    )
    assert read(records) == texts
    assert (records.num_examples, records.num_cut_examples) == (29, 2)


def test_is_used_again_only_for_the_same_content(tmp_path):
    calls = []

    def counting(examples):
        calls.append(len(examples))
        return encode(examples)

    def load(texts, **settings):
        source = make_source(tmp_path / "a", texts, counting, **settings)
        return record_cache.load_or_convert(source, str(tmp_path / "cache"))

    first = load(["x", "y9"])
    assert load(["x", "y9"]) == first
    assert calls == [2]
    assert load(["x", "z"]).path != first.path
    assert load(["x", "y9"], do_lower_case=False).path != first.path
    assert calls == [2, 2, 2]


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    def failing(examples):
        raise InputError("train.csv:1: wrong")

    source = make_source(tmp_path / "a", ["x"], failing)
    with pytest.raises(InputError, match=r"train\.csv:1"):
        record_cache.load_or_convert(source, str(tmp_path / "cache"))
    assert os.listdir(str(tmp_path / "cache")) == []


def test_errors_of_worker_processes_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(record_cache, "CHUNK_SIZE", 1)
    monkeypatch.setattr(record_cache, "MIN_PARALLEL_CHUNKS", 2)

    def failing(examples):
        raise InputError("train.csv:1: wrong")

    source = make_source(tmp_path / "a", ["x", "y"], failing)
    with pytest.raises(InputError, match=r"train\.csv:1"):
        record_cache.load_or_convert(source, str(tmp_path / "cache"), 2)


def test_a_file_without_rows_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no rows"):
        record_cache.load_or_convert(
            make_source(tmp_path / "a", []), str(tmp_path / "cache")
        )
