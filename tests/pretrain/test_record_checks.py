"""Shards that cannot be used are named before training; a check is made once."""

import os
import struct

import h5py
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.pretrain import records, shards
from tests import damage
from tests.pretrain import made_instances
from tests.pretrain.made_instances import SIZES, random_instances, write_shard


@pytest.fixture
def load(tmp_path):
    """A function (paths, sizes=SIZES) -> `Instances`."""

    def load_shards(*paths, sizes=SIZES):
        return records.load(list(paths), sizes, str(tmp_path / "cache"))

    return load_shards


@pytest.fixture(params=["tfrecord", "hdf5"])
def shard(request, tmp_path):
    """Path of a good file with 5 instances."""
    return write_shard(tmp_path / "a.shard", random_instances(5), request.param)


@pytest.fixture
def other_shard(shard, tmp_path):
    """A good file of the same format, to stand before a bad one."""
    path = tmp_path / "b.shard"
    path.write_bytes(read(shard))
    return str(path)


def read(path):
    with open(path, "rb") as reader:
        return reader.read()


def write(path, content):
    with open(path, "wb") as writer:
        writer.write(content)


def write_hdf5(path, **changes):
    """Writes 5 instances with some datasets changed, or left out if they are None."""
    with h5py.File(str(path), "w") as file:
        for name, rows in {**random_instances(5), **changes}.items():
            if rows is not None:
                file.create_dataset(name, data=rows)
    return str(path)


def test_counts_the_instances(load, shard, other_shard):
    records = load(shard, other_shard)
    assert [s.num_examples for s in records.shards] == [5, 5]
    assert records.num_examples == 10


@pytest.mark.parametrize("size", [1, 30, 600, -1])
def test_a_file_that_is_not_whole(load, shard, other_shard, size):
    write(shard, read(shard)[:size])
    with pytest.raises(InputError, match=r"^[^ ]*a\.shard: .*not whole"):
        load(other_shard, shard)


def test_a_damaged_tfrecord(load, tmp_path):
    path = write_shard(tmp_path / "a", random_instances(2000))
    content = bytearray(read(path))
    content[-200] ^= 1
    write(path, content)
    with pytest.raises(InputError, match=r"/a: broken after \d+ instances or later"):
        load(path)


def test_damaged_hdf5(load, tmp_path):
    path = write_shard(tmp_path / "a", random_instances(2000), "hdf5")
    content = bytearray(read(path))
    middle = len(content) // 2  # in a chunk of numbers: these fill most of the file
    content[middle : middle + 20] = bytes(20)
    write(path, content)
    with pytest.raises(InputError, match=r"/a: broken after \d+ instances .* HDF5"):
        load(path)


def test_a_file_of_something_else(load, shard, other_shard):
    write(shard, b"the cat runs today and never sleeps\n" * 9)
    with pytest.raises(InputError, match=r"a\.shard: .* not a TFRecord file"):
        load(other_shard, shard)


def test_records_that_are_no_examples(load, tmp_path):
    path = str(tmp_path / "a")
    write(path, shards.frame(b"\xff\xff\xff the cat"))
    with pytest.raises(InputError, match=r"/a: instance 1: it is not a tf\.train"):
        load(path)


@pytest.mark.parametrize("end", [b"\xff the cat", b"\x00"])
def test_a_record_further_down_that_is_no_example(load, tmp_path, end):
    """TensorFlow 1.15 dies of it."""
    examples = shards.encode_rows(random_instances(9))
    examples[6] += end
    path = str(tmp_path / "a")
    write(path, b"".join(map(shards.frame, examples)))
    with pytest.raises(InputError, match=r"/a: instance 7: it is not a tf\.train"):
        load(path)


@pytest.mark.parametrize("length", [1000, 1 << 40, (1 << 64) - 1])
def test_a_record_that_would_go_beyond_the_end(load, tmp_path, length):
    path = write_shard(tmp_path / "a", random_instances(3))
    header = struct.pack("<Q", length)
    write(path, read(path) + header + shards._checksum(header) + bytes(100))
    with pytest.raises(
        InputError, match=rf"/a: broken .*record of {length} bytes goes"
    ):
        load(path)


def test_a_library_that_dies_of_a_file_is_no_end(load, tmp_path, monkeypatch):
    path = write_shard(tmp_path / "a", random_instances(3), "hdf5")
    monkeypatch.setattr(records, "_read_blocks", lambda *_: os.kill(os.getpid(), 9))
    with pytest.raises(InputError, match=r"/a: broken; the library of HDF5 cannot"):
        load(path)


def test_examples_of_another_task(load, tmp_path):
    rows = {"input_ids": np.ones((3, 11), int), "label_ids": np.ones((3, 1), int)}
    path = str(tmp_path / "a")
    write(path, b"".join(map(shards.frame, shards.encode_rows(rows))))
    with pytest.raises(InputError, match=r"/a: instance 1: there is no input_mask; is"):
        load(path)


def test_hdf5_that_lacks_something(load, tmp_path):
    path = write_hdf5(tmp_path / "a", segment_ids=None)
    with pytest.raises(InputError, match=r"/a: it lacks integers segment_ids"):
        load(path)


def test_hdf5_with_different_numbers_of_rows(load, tmp_path):
    path = write_hdf5(tmp_path / "a", segment_ids=np.zeros((4, 11), int))
    with pytest.raises(InputError, match=r"/a: segment_ids has 4 rows, and .* 5"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"max_seq_length": 12},
            "input_ids has 11 values, and --max_seq_length is 12",
        ),
        (
            {"max_predictions_per_seq": 2},
            "masked_lm_positions has 3 values, and --max_predictions_per_seq is 2",
        ),
        (
            {"vocab_size": 7},
            r"input_ids holds \d+, and it must be from 0 to 6 by vocab_size in "
            "--bert_config_file",
        ),
        (
            {"type_vocab_size": 1},
            "segment_ids holds 1, and it must be from 0 to 0 by type_vocab_size in",
        ),
    ],
)
def test_sizes_that_do_not_fit(load, shard, other_shard, change, message):
    load(other_shard, shard)
    with pytest.raises(InputError, match=rf"^[^ ]*a\.shard: (instance 1: )?{message}"):
        load(shard, other_shard, sizes=SIZES._replace(**change))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_ids", 90000),
        ("input_mask", 2),
        ("segment_ids", 2),
        ("masked_lm_positions", 11),
        ("masked_lm_ids", 90000),
        ("next_sentence_labels", 2),
    ],
)
def test_a_value_that_cannot_be(load, tmp_path, shard, name, value):
    instances = random_instances(5)
    instances[name][3, 0] = value
    kind = "hdf5" if read(shard).startswith(b"\x89HDF") else "tfrecord"
    path = write_shard(tmp_path / "a", instances, kind)
    with pytest.raises(InputError, match=rf"/a: {name} holds {value}, and it must be"):
        load(path)


def test_a_negative_value(load, tmp_path):
    instances = random_instances(5)
    instances["masked_lm_positions"][2, 0] = -1
    path = made_instances.write_as_upstream(tmp_path / "a", instances)
    with pytest.raises(InputError, match=r"/a: masked_lm_positions holds -1, and it m"):
        load(path)


def test_a_negative_value_in_hdf5(load, tmp_path):
    rows = random_instances(5)["masked_lm_ids"]
    rows[2, 0] = -1
    path = write_hdf5(tmp_path / "a", masked_lm_ids=rows)
    with pytest.raises(InputError, match=r"/a: masked_lm_ids holds -1, and"):
        load(path)


def test_a_misfit_far_down_is_named(load, tmp_path):
    path = write_shard(tmp_path / "a", random_instances(3))
    sizes = SIZES._replace(max_seq_length=13)
    other = write_shard(tmp_path / "b", random_instances(1, sizes=sizes))
    write(path, read(path) + read(other))
    with pytest.raises(InputError, match=r"/a: instance 4: input_ids has 13 values"):
        load(path)


def test_an_empty_file_is_left_out_with_a_warning(load, shard, tmp_path, caplog):
    (tmp_path / "empty").write_bytes(b"")
    records = load(str(tmp_path / "empty"), shard)
    assert [s.path for s in records.shards] == [shard]
    assert "empty: there is no instance in this file" in caplog.text


def test_nothing_but_empty_files(load, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty: there is no instance in the input"):
        load(str(tmp_path / "empty"))


def test_hdf5_without_rows(load, tmp_path):
    path = write_shard(tmp_path / "a.h5", random_instances(0), "hdf5")
    with pytest.raises(InputError, match=r"a\.h5: there is no instance in the input"):
        load(path)


def test_two_formats(load, tmp_path):
    first = write_shard(tmp_path / "a", random_instances(2))
    second = write_shard(tmp_path / "b", random_instances(2), "hdf5")
    with pytest.raises(InputError, match=r"/a and .*/b: one is HDF5 and the other"):
        load(first, second)


def test_a_second_load_does_not_check_again(load, shard, monkeypatch):
    first = load(shard)
    monkeypatch.setattr(records, "_check_all", None)
    assert load(shard).shards == first.shards


@pytest.mark.parametrize("way", damage.WAYS)
def test_a_damaged_result_is_made_again_with_a_line(load, shard, tmp_path, caplog, way):
    first = load(shard)
    (path,) = (tmp_path / "cache").iterdir()
    content = path.read_bytes()
    damage.WAYS[way](str(path))
    assert load(shard).shards == first.shards
    if way != "gone":
        assert f"{path}: " in caplog.text
        assert "checked again" in caplog.text
    assert path.read_bytes() == content


def test_a_result_that_was_never_checked_is_made_again(load, shard, tmp_path, caplog):
    load(shard)
    (path,) = (tmp_path / "cache").iterdir()
    path.write_text("[1000000000]")
    assert load(shard).num_examples == 5
    assert "does not fit its checksum; the shards are checked again" in caplog.text


def test_a_shard_that_gets_its_old_times_back_is_checked_again(load, shard):
    load(shard)
    times = os.stat(shard)
    write(shard, bytes(len(read(shard))))
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputError, match="broken"):
        load(shard)


def test_a_file_that_changed_is_checked_again(load, shard):
    load(shard)
    write(shard, read(shard)[:-1])
    with pytest.raises(InputError, match="not whole"):
        load(shard)


def test_a_file_that_was_written_again_is_checked_again(load, tmp_path):
    path = write_shard(tmp_path / "a", random_instances(5))
    before = os.stat(path)
    assert load(path).num_examples == 5
    # Of the same length: the two fields of the header of a record are changed.
    content = bytearray(read(path))
    content[8:12] = struct.pack("<I", 0)
    write(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1000000))
    with pytest.raises(InputError, match="broken"):
        load(path)


def test_other_sizes_are_checked_again(load, shard):
    load(shard)
    with pytest.raises(InputError, match="vocab_size"):
        load(shard, sizes=SIZES._replace(vocab_size=6))


def test_the_default_graph_stays_empty(load, shard):
    load(shard)
    assert tf.get_default_graph().get_operations() == []


@pytest.mark.parametrize("name", ["tfrecord", "hdf5"])
def test_a_masked_position_in_the_padding(load, tmp_path, name):
    instances = made_instances.random_instances(5)
    instances["input_mask"][2] = np.arange(11) < 2
    instances["masked_lm_positions"][2] = [1, 2, 0]
    instances["masked_lm_weights"][2] = [1, 1, 0]
    path = made_instances.write_shard(tmp_path / "a", instances, name)
    with pytest.raises(InputError, match=r"/a: masked_lm_positions point at padding"):
        load(path)


@pytest.mark.parametrize("weight", [2.0, -1.0, np.nan])
def test_weights_that_are_none(load, tmp_path, weight):
    instances = made_instances.random_instances(5)
    instances["masked_lm_weights"][3, 1] = weight
    path = made_instances.write_shard(tmp_path / "a", instances)
    with pytest.raises(InputError, match=r"/a: masked_lm_weights holds"):
        load(path)


@pytest.mark.parametrize("name", ["tfrecord", "hdf5"])
def test_single_segments_are_no_data_for_pairs(load, tmp_path, name):
    instances = made_instances.random_instances(5)
    instances["segment_ids"][:] = instances["next_sentence_labels"][:] = 0
    path = made_instances.write_shard(tmp_path / "a", instances, name)
    with pytest.raises(InputError, match=r"/a: .* --next_sentence=none is trained"):
        load(path)
    assert load(path, sizes=SIZES._replace(has_pairs=False)).num_examples == 5


def test_labels_do_not_count_where_they_are_not_used(load, tmp_path):
    instances = made_instances.random_instances(5)
    del instances["next_sentence_labels"]
    path = made_instances.write_shard(tmp_path / "a", instances)
    records = load(path, sizes=SIZES._replace(has_pairs=False))
    assert "next_sentence_labels" not in dict(records.sizes.limits)
    with pytest.raises(InputError, match=r"/a: .* there is no next_sentence_labels"):
        load(path)


def test_an_unreadable_file(load, tmp_path):
    with pytest.raises(InputError, match=r"/gone: cannot be read: No such file"):
        load(str(tmp_path / "gone"))
