"""The record cache: made once for each content, in order, by several processes too."""

import os

import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.data import record_files
from bert_my.data.features import FeatureSpec
from bert_my.text.preprocessor import Encoded, Example, Sentence
from tests import damage

SPECS = (FeatureSpec("input_ids", (None,)),)


def encode(examples):
    return [
        [Encoded({"input_ids": [ord(c) for c in e.text_a]}, e.text_a.endswith("9"))]
        for e in examples
    ]


def make_source(path, texts, encode=encode, seq_length=8, **settings):
    path.write_text("".join(texts))
    return record_files.Source(
        name="train",
        read_examples=lambda: (Example(text) for text in texts),
        encode=encode,
        specs=SPECS,
        seq_length=seq_length,
        paths=[str(path)],
        settings=settings,
    )


def load(tmp_path, texts, num_processes=1, **settings):
    source = make_source(tmp_path / "a", texts, **settings)
    return record_files.load_or_convert(source, str(tmp_path / "cache"), num_processes)


def read(records):
    """Returns the texts of all records, read one by one and all at once."""
    every = range(records.num_examples)
    rows = [records.gather([index])["input_ids"][0] for index in every]
    together = records.gather(list(every))["input_ids"]
    texts = ["".join(map(chr, row)).rstrip("\0") for row in rows]
    assert ["".join(map(chr, row)).rstrip("\0") for row in together] == texts
    assert records.lengths.tolist() == list(map(len, texts))
    return texts


@pytest.mark.parametrize("num_processes", [1, 2])
def test_keeps_every_row_in_order(tmp_path, monkeypatch, num_processes):
    monkeypatch.setattr(record_files, "CHUNK_SIZE", 3)
    monkeypatch.setattr(record_files, "MIN_PARALLEL_CHUNKS", 4)
    texts = [f"row{index}" for index in range(29)]
    records = load(tmp_path, texts, num_processes)
    assert read(records) == texts
    assert (records.num_examples, records.num_cut_examples) == (29, 2)


def test_is_used_again_only_for_the_same_content(tmp_path):
    calls = []

    def counting(examples):
        calls.append(len(examples))
        return encode(examples)

    def load_counting(texts, **settings):
        return load(tmp_path, texts, encode=counting, **settings)

    first = load_counting(["x", "y9"])
    again = load_counting(["x", "y9"])
    assert (again.path, again.num_cut_examples) == (first.path, 1)
    assert again.lengths.tolist() == first.lengths.tolist() == [1, 2]
    assert calls == [2]
    assert load_counting(["x", "z"]).path != first.path
    assert load_counting(["x", "y9"], do_lower_case=False).path != first.path
    assert calls == [2, 2, 2]


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    def failing(examples):
        raise InputError("train.csv:1: wrong")

    with pytest.raises(InputError, match=r"train\.csv:1"):
        load(tmp_path, ["x"], encode=failing)
    assert os.listdir(str(tmp_path / "cache")) == []


def test_errors_of_worker_processes_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(record_files, "CHUNK_SIZE", 1)
    monkeypatch.setattr(record_files, "MIN_PARALLEL_CHUNKS", 2)

    def failing(examples):
        raise InputError("train.csv:1: wrong")

    with pytest.raises(InputError, match=r"train\.csv:1"):
        load(tmp_path, ["x", "y"], 2, encode=failing)


def test_a_file_without_rows_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"a: "):
        load(tmp_path, [])
    assert os.listdir(str(tmp_path / "cache")) == []


def test_rows_are_padded_to_the_longest_of_a_batch(tmp_path):
    records = load(tmp_path, ["abc", "0123456789", "x", "defghijk"], seq_length=13)

    def shape(*args):
        return records.gather(*args)["input_ids"].shape

    assert shape([0, 2]) == (2, 8)
    assert shape([0, 3]) == (2, 8)
    assert shape([1]) == (1, 13)  # not 16
    assert shape([0, 2], (2, 5, 13)) == (2, 5)
    assert shape([3, 3, 3], (2, 5, 13)) == (3, 13)


def test_parse_gives_what_gather_does_with_static_ranks(tmp_path):
    records = load(tmp_path, ["abc", "de", "f"])
    parsed = records.parse(tf.constant([2, 0], tf.int64))
    padded = records.parse(tf.constant([2, 0], tf.int64), (4, 6))
    assert parsed["input_ids"].shape.as_list() == [None, None]
    assert parsed["input_ids"].dtype == tf.int32
    with tf.Session() as session:
        found, found_padded = session.run([parsed["input_ids"], padded["input_ids"]])
    assert found.tolist() == records.gather([2, 0])["input_ids"].tolist()
    assert found_padded.tolist() == [[102, 0, 0, 0], [97, 98, 99, 0]]


def load_kept(tmp_path):
    source = make_source(tmp_path / "a", ["x", "y9"])._replace(keeps_examples=True)
    return record_files.load_or_convert(source, str(tmp_path / "cache"))


@pytest.mark.parametrize("ending", ["", ".examples"])
@pytest.mark.parametrize("way", damage.WAYS)
def test_a_damaged_file_is_made_again_with_a_line(tmp_path, caplog, way, ending):
    path = load_kept(tmp_path).path + ending
    with open(path, "rb") as reader:
        content = reader.read()
    damage.WAYS[way](path)
    records = load_kept(tmp_path)
    assert records.is_new
    assert read(records) == ["x", "y9"]
    assert [each.text_a for each, _ in records.examples()] == ["x", "y9"]
    if way != "gone" or ending:
        (line,) = [each for each in caplog.messages if "made again" in each]
        assert line.startswith(path)
    with open(path, "rb") as reader:
        assert reader.read() == content
    assert not load_kept(tmp_path).is_new


def test_a_file_under_the_name_of_another_is_made_again(tmp_path):
    other, path = (load(tmp_path, texts).path for texts in (["a9"], ["b9"]))
    damage.copy_over(other, path)
    assert read(load(tmp_path, ["b9"])) == ["b9"]


def test_a_folder_in_the_place_of_a_file_is_kept(tmp_path):
    path = load(tmp_path, ["x"]).path
    damage.WAYS["folder"](path)
    load(tmp_path, ["x"])
    assert os.listdir(f"{path}.moved-0") == ["kept"]


def test_records_are_read_while_another_run_removes_or_replaces_them(tmp_path):
    records = load(tmp_path, ["abc", "defgh"])
    damage.WAYS["gone"](records.path)
    assert read(records) == ["abc", "defgh"]
    load(tmp_path, ["abc", "defgh"])
    assert read(records) == ["abc", "defgh"]


def test_a_byte_that_changes_while_records_are_read_is_named(tmp_path):
    records = load(tmp_path, ["abc", "defgh", "ij"])
    with open(records.path, "rb+") as writer:
        writer.seek(4 * 3)
        writer.write(b"D")
    assert records.gather([0, 2])["input_ids"].shape == (2, 8)
    with pytest.raises(InputError, match=r"\.rows: record 2 of 3 does not fit its ch"):
        records.gather([0, 1])


def test_kept_examples_that_change_while_they_are_read_are_named(tmp_path):
    records = load_kept(tmp_path)
    damage.WAYS["middle byte flipped"](record_files.examples_path(records.path))
    with pytest.raises(InputError, match=r"\.examples:1: .* a new start makes the fil"):
        list(records.examples())


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path):
    records = load(tmp_path, ["abc", "defgh", "ij", "k"])
    with open(records.path, "rb+") as writer:
        writer.truncate(40)
    assert records.gather([0, 1])["input_ids"].shape == (2, 8)
    with pytest.raises(InputError, match=r"\.rows: "):
        records.gather([3])
    parsed = records.parse(tf.constant([0, 3], tf.int64))
    with tf.Session() as session, pytest.raises(tf.errors.OpError, match=r"\.rows: "):
        session.run(parsed)


def test_records_longer_than_the_sequence_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"10 .* 8"):
        load(tmp_path, ["0123456789"])


def with_windows(examples):
    """Encodes each sentence in rows of two tokens, the first of which is a context."""
    return [
        [
            Encoded({"input_ids": [len(token), 1]}, about={"positions": [1 + index]})
            for index, token in enumerate(each.tokens)
        ]
        for each in examples
    ]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_kept_examples_come_with_what_belongs_to_their_rows(
    tmp_path, monkeypatch, num_processes
):
    monkeypatch.setattr(record_files, "CHUNK_SIZE", 2)
    monkeypatch.setattr(record_files, "MIN_PARALLEL_CHUNKS", 3)
    sentences = [
        Sentence(("a\u2028", "你\n"), ("O", "B-X"), "g", 7, True),
        Sentence(("\x85\r",), None, "h"),
        *[Sentence((str(index),) * (index % 3)) for index in range(9)],
    ]
    source = make_source(tmp_path / "a", [], encode=with_windows)._replace(
        read_examples=lambda: iter(sentences), keeps_examples=True
    )
    for _ in range(2):  # encoded, and cached
        records = record_files.load_or_convert(
            source, str(tmp_path / "cache"), num_processes
        )
        found = list(records.examples())
        examples = [example for example, _ in found]
        assert [type(each) for each in examples] == [Sentence] * len(sentences)
        assert [
            each._replace(
                tokens=tuple(each.tokens), tags=each.tags and tuple(each.tags)
            )
            for each in examples
        ] == sentences
        assert [about for _, about in found] == [
            [{"positions": [1 + index]} for index in range(len(each.tokens))]
            for each in sentences
        ]
    assert records.num_examples == sum(len(each.tokens) for each in sentences)


def test_fingerprint_follows_content_not_names(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("rows")
    second.write_text("rows")
    base = record_files.fingerprint([str(first)], {"lower": True})
    assert record_files.fingerprint([str(second)], {"lower": True}) == base
    assert record_files.fingerprint([str(first)], {"lower": False}) != base
    second.write_text("rows!")
    assert record_files.fingerprint([str(second)], {"lower": True}) != base
    assert record_files.fingerprint([str(first), str(first)], {"lower": True}) != base
