"""Builds: their files belong together, and counts tell what each of them held."""

import os

import pytest

from bert_my.common.errors import InputError
from bert_my.pretrain import builds, records, shards
from tests import damage
from tests.pretrain.made_instances import SIZES, random_instances

NUM_INSTANCES = 5


@pytest.fixture(params=["tfrecord", "hdf5"])
def build(request, tmp_path):
    """A function (first row=0, names=...) that builds shards -> their paths."""

    def build_shards(first_row=0, names=("a", "b"), dev=("dev",)):
        shard_format = shards.FORMATS[request.param]
        outputs = {
            split: [str(tmp_path / name) for name in of_split]
            for split, of_split in (("train", names), ("dev", dev))
            if of_split
        }
        with builds.writing(outputs, shard_format) as writers:
            for split, writer in writers.items():
                rows = random_instances(NUM_INSTANCES * len(outputs[split]), first_row)
                writer(shard_format.encode(rows))
        return [path for of_split in outputs.values() for path in of_split]

    return build_shards


@pytest.fixture
def load(tmp_path):
    """A function (paths) -> `Instances`."""
    return lambda *paths: records.load(list(paths), SIZES, str(tmp_path / "cache"))


def first_records(path):
    """Returns the first instances of a file, serialized."""
    return next(shards.format_of(path).blocks(path, SIZES.limits))[1]


def test_each_shard_has_hidden_counts(build, load, tmp_path, caplog):
    paths = build()
    assert load(*paths).num_examples == 3 * NUM_INSTANCES
    assert not caplog.messages
    names = ["a", "b", "dev"]
    assert sorted(os.listdir(str(tmp_path))) == sorted(
        [*(f".{name}.counts.json" for name in names), *names, "cache"]
    )


@pytest.mark.parametrize("build", ["tfrecord"], indirect=True)
def test_a_shard_cut_between_records_is_named(build, load):
    path, *_ = build()
    size = sum(len(shards.frame(record)) for record in first_records(path)[:3])
    os.truncate(path, size)
    with pytest.raises(
        InputError, match=r"/a: it is not as .* 3 instances, and had 5; build"
    ):
        load(path)
    os.remove(builds.counts_path(path))
    assert load(path).num_examples == 3


def test_an_empty_shard_is_named(build, load):
    path, other, _ = build()
    damage.WAYS["empty"](path)
    with pytest.raises(
        InputError, match=r"/a: it is not as .* 0 instances, and had 5; build"
    ):
        load(path, other)


def test_other_content_of_that_size_is_named(build, load):
    path, *_ = build()
    damage.WAYS["middle byte flipped"](path)
    with pytest.raises(
        InputError,
        match=r"/a: (broken|it is not as it was built: its bytes|it lacks|\w+ has)",
    ):
        load(path)


def test_counts_of_another_file_are_said_and_not_used(build, load, tmp_path, caplog):
    path, *_ = build()
    others = build(names=[tmp_path / "c"], dev=[tmp_path / "d"], first_row=2000)
    more = random_instances(NUM_INSTANCES + 2, 3000)
    shard_format = shards.format_of(others[0])
    with shards.writing([path], shard_format) as write:
        write(shard_format.encode(more))
    assert load(path).num_examples == NUM_INSTANCES + 2
    assert ".a.counts.json: it is about another file, and" in caplog.text


@pytest.mark.parametrize("way", ["empty", "middle byte flipped", "binary", "folder"])
def test_damaged_counts_are_said_and_not_used(build, load, caplog, way):
    path, *_ = build()
    damage.WAYS[way](builds.counts_path(path))
    assert load(path).num_examples == NUM_INSTANCES
    assert "a is not checked by it" in caplog.text


@pytest.mark.parametrize("num_renames", range(10))
def test_an_interrupted_build_leaves_the_old_files_or_says_so(
    build, monkeypatch, num_renames
):
    paths = build()
    old = [first_records(path) for path in paths]
    left, replace = iter(range(num_renames)), os.replace

    def interrupted(source, target):
        if next(left, None) is None:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    if num_renames < 9:
        with pytest.raises(KeyboardInterrupt):
            build(first_row=1000)
    else:
        build(first_row=1000)
    found = [first_records(path) for path in paths]
    try:
        for path in paths:
            builds.read_counts(path)
    except InputError as error:
        assert "interrupted" in str(error)
        assert 0 < num_renames < 9
    else:
        assert (found == old) == (num_renames == 0)
        assert num_renames in (0, 9)


def test_a_dev_shard_of_another_build_is_said(build, tmp_path, caplog):
    train, _, dev = build()
    builds.warn_of_other_builds([dev], [train])
    assert not caplog.messages
    build(first_row=1000, dev=())
    builds.warn_of_other_builds([dev], [train])
    assert "dev: it was not built together with the train shards" in caplog.text
