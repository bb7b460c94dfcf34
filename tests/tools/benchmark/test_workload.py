"""The work is the same every time, with the lengths and words it is to have."""

import json

import numpy as np
import pytest

from bert_my.common.errors import InputError
from bert_my.tools.benchmark import main, measure, workload
from tests import helpers


def lengths_of(kind, num_rows, seq_length):
    sizes = {"max_seq_length": seq_length, "train_batch_size": num_rows, "steps": 1}
    return workload.row_lengths(main.Settings(lengths=kind, **sizes))


def test_lengths_of_titles():
    lengths = lengths_of("titles", 20000, 64)
    assert lengths.dtype == np.int32
    assert 19.5 < lengths.mean() < 20.5
    assert 7 < lengths.std() < 9
    assert (lengths.min(), lengths.max()) == (5, 64)
    np.testing.assert_array_equal(lengths, lengths_of("titles", 20000, 64))
    # The first rows are those of a shorter benchmark.
    np.testing.assert_array_equal(lengths[:50], lengths_of("titles", 50, 64))
    assert lengths_of("titles", 1000, 16).max() == 16


def test_full_lengths():
    assert lengths_of("full", 3, 11).tolist() == [11, 11, 11]


def test_models_are_those_of_the_papers():
    config = workload.bert_config(main.Settings(model="large"))
    assert (config.vocab_size, config.max_position_embeddings) == (30522, 512)
    assert (config.num_hidden_layers, config.hidden_size) == (24, 1024)
    assert (config.num_attention_heads, config.intermediate_size) == (16, 4096)
    longer = main.Settings(model="mini", max_seq_length=600)
    assert workload.bert_config(longer).max_position_embeddings == 600


def test_too_long_for_a_model(tiny_model, tmp_path):
    path = str(tiny_model / "bert_config.json")
    settings = main.Settings(model=path, max_seq_length=41)
    with pytest.raises(InputError, match="--max_seq_length=41 "):
        measure.train(settings, str(tmp_path))


def test_records_have_the_lengths(tiny_model, tmp_path):
    task = helpers.make_task(tiny_model)
    lengths = np.int32([5, 12, 7])
    records = workload.random_records(task, lengths, str(tmp_path))
    np.testing.assert_array_equal(records.lengths, lengths)
    rows = records.gather([0, 1, 2])
    np.testing.assert_array_equal(rows["input_mask"].sum(axis=1), lengths)
    is_real = rows["input_mask"] > 0
    assert rows["input_ids"][is_real].min() >= 5
    assert rows["input_ids"].max() < task.bert_config.vocab_size
    assert set(rows["label_ids"]) <= {0, 1}


def test_a_made_up_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    workload.write_vocabulary(str(path), 500)
    lines = helpers.read_lines(path)
    assert len(set(lines)) == len(lines) == 500
    assert lines[:2] == ["[PAD]", "[UNK]"]
    assert 0.1 < np.mean([line.startswith("##") for line in lines[200:]]) < 0.3


def test_titles_are_of_words_of_the_vocabulary():
    vocab = {"tree": 0, "house": 1, "##s": 2, "[CLS]": 3, "x": 4}
    lengths = lengths_of("titles", 300, 64)
    titles = list(workload.make_titles(vocab, lengths))
    assert titles == list(workload.make_titles(vocab, lengths))
    assert 10 < np.mean([len(title.split(" ")) for title in titles]) < 16
    words = {word.strip(" ,:-?!.").lower() for t in titles for word in t.split(" ")}
    words = {word for word in words if word and not word.isdigit()}
    assert words == {"tree", "house", "trees", "houses"}


def test_titles_of_a_chinese_vocabulary():
    titles = list(workload.make_titles({"你": 0, "好": 1, "ok": 2}, np.full(9, 12)))
    assert all(len(title) == 10 and set(title) <= {"你", "好"} for title in titles)


def test_titles_can_be_written(settings_of, tmp_path):
    paths = workload.write_text_files(settings_of("--mode=encode"), str(tmp_path))
    lines = helpers.read_lines(paths["test_file"])
    assert [line.split(",")[0] for line in lines] == [str(n) for n in range(12)]
    assert json.loads(lines[1].rsplit(",", 1)[1]) == 1
