"""The script that makes pretraining data, from text files to shards."""

import os
import random
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

import create_pretraining_data
import tokenization
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.pretrain import corpus
from tests import helpers
from tests.pretrain import made_instances

pytestmark = pytest.mark.once

# Each document has a word of its own, so a token tells its document.
NUM_DOCUMENTS = 40
OWN_WORDS = [f"w{number}" for number in range(NUM_DOCUMENTS)]
NUM_TOKENS = 1840  # of all documents
VOCAB = [*helpers.SPECIAL, *helpers.WORDS, *helpers.PIECES, *OWN_WORDS]


@pytest.fixture
def text(tmp_path):
    """A file with documents of 1 to 9 sentences."""
    rng = random.Random(7)
    documents = []
    for word in OWN_WORDS:
        words = [*helpers.WORDS, "cats", "dogs", *[word] * 20]
        lines = [" ".join(rng.choices(words, k=9)) for _ in range(rng.randint(1, 9))]
        documents.append("\n".join([word, *lines]) + "\n")
    (tmp_path / "text.txt").write_text("\n".join(documents), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return tmp_path / "text.txt"


@pytest.fixture
def build(text, tmp_path, monkeypatch):
    """A function (flags...) that builds into out/a unless told otherwise -> folder.

    A block holds about four documents, and some documents are of two parts.
    """
    monkeypatch.setattr(corpus, "BLOCK_CHARACTERS", 800)
    monkeypatch.setattr(corpus, "PART_CHARACTERS", 200)

    def run(**flags):
        create_pretraining_data.run(
            create_pretraining_data.parse(command(tmp_path, **flags))
        )
        return tmp_path / "out"

    return run


def command(tmp_path, **flags):
    """Returns a command line, of which flags that are None are left out."""
    values = {
        "input_file": tmp_path / "text.txt",
        "output_file": tmp_path / "out" / "a",
        "vocab_file": tmp_path / "vocab.txt",
        "max_seq_length": 24,
        "max_predictions_per_seq": 5,
        "dupe_factor": 2,
        **flags,
    }
    given = {name: value for name, value in values.items() if value is not None}
    return ["program", *[f"--{name}={value}" for name, value in given.items()]]


def documents_of(path):
    """Returns the words that tell the documents of the instances of a file."""
    instances = made_instances.read_tfrecords([path])
    found = {VOCAB[index] for index in made_instances.unmasked(instances).ravel()}
    return found & set(OWN_WORDS)


def read_table(printed):
    """Returns the numbers of the table as a dict name -> text."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
    return dict(row for row in rows if len(row) == 2)


@pytest.mark.parametrize("next_sentence", ["nsp", "sop", "none"])
@pytest.mark.parametrize("masking", ["wordpiece", "whole_word", "ngram", "span"])
def test_every_kind_of_instance(build, masking, next_sentence):
    folder = build(
        masking=masking, next_sentence=next_sentence, max_predictions_per_seq=11
    )
    instances = made_instances.read_tfrecords([folder / "a"])
    assert instances["input_ids"].shape[1] == 24
    assert instances["input_ids"].max() < len(VOCAB)
    assert documents_of(folder / "a") == set(OWN_WORDS)
    pairs = made_instances.segments(instances, sep=VOCAB.index("[SEP]"))
    assert {bool(b) for _, b in pairs} == {next_sentence != "none"}
    labels = set(instances["next_sentence_labels"].ravel().tolist())
    assert labels == ({0} if next_sentence == "none" else {0, 1})


@pytest.mark.parametrize("format_name", ["tfrecord", "hdf5"])
def test_the_number_of_processes_changes_nothing(build, tmp_path, format_name):
    contents = []
    for num_workers in (1, 2, 3):
        folder = build(
            num_workers=num_workers,
            output_file=f"{tmp_path}/out/a,{tmp_path}/out/b",
            dev_output_file=f"{tmp_path}/out/dev",
            format=format_name,
        )
        files = sorted(folder.iterdir())
        names = ["a", "b", "dev"]
        counts = [f".{name}.counts.json" for name in names]
        assert [path.name for path in files] == [*counts, *names]
        contents.append([path.read_bytes() for path in files])
    assert contents[0] == contents[1] == contents[2]


def test_the_seed_decides(build):
    content = (build() / "a").read_bytes()
    assert (build() / "a").read_bytes() == content
    assert (build(random_seed=6) / "a").read_bytes() != content


def test_copies_of_the_text_differ_in_their_masks(build):
    settings = {"next_sentence": "none", "short_seq_prob": 0}
    once = made_instances.read_tfrecords([build(dupe_factor=1, **settings) / "a"])
    thrice = made_instances.read_tfrecords([build(dupe_factor=3, **settings) / "a"])
    rows = sorted(made_instances.unmasked(once).tolist())
    # The text, once, and two special tokens in each row.
    assert once["input_mask"].sum() - 2 * len(rows) == NUM_TOKENS
    assert sorted(made_instances.unmasked(thrice).tolist()) == sorted(rows * 3)
    masked = {tuple(ids) for ids in thrice["input_ids"].tolist()}
    assert len(masked) > 2.5 * len({tuple(ids) for ids in rows})


def test_instances_are_spread_over_several_files(build, tmp_path):
    paths = [tmp_path / "out" / name for name in "abc"]
    build(output_file=",".join(map(str, paths)))
    counts = [len(made_instances.read_tfrecords([path])["input_ids"]) for path in paths]
    assert max(counts) - min(counts) <= 1


def test_held_back_documents_are_in_no_other_file(build, tmp_path):
    folder = build(dev_output_file=tmp_path / "out" / "dev", dev_share=0.2)
    train, dev = documents_of(folder / "a"), documents_of(folder / "dev")
    assert train | dev == set(OWN_WORDS)
    assert not train & dev
    assert len(dev) == 8


def test_held_back_documents_are_used_once(build, tmp_path):
    settings = {"next_sentence": "none", "short_seq_prob": 0, "dev_share": 0.5}
    folder = build(dev_output_file=tmp_path / "out" / "dev", **settings)
    num_tokens = {}
    for name in ("a", "dev"):
        instances = made_instances.read_tfrecords([folder / name])
        num_rows = len(instances["input_ids"])
        num_tokens[name] = instances["input_mask"].sum() - 2 * num_rows
    assert num_tokens["a"] // 2 + num_tokens["dev"] == NUM_TOKENS


def test_hdf5_holds_the_same_instances(build, tmp_path):
    folder = build()
    expected = made_instances.read_tfrecords([folder / "a"])
    build(output_file=folder / "a.hdf5", format="hdf5")
    with h5py.File(str(folder / "a.hdf5"), "r") as file:
        for name in file:
            rows = np.reshape(file[name][:], expected[name].shape)
            assert rows.tolist() == expected[name].tolist()


def test_what_killed_builds_left_is_removed_beside_every_output(build, tmp_path):
    left = []
    for name in ("out", "dev"):
        (tmp_path / name).mkdir()
        left.append(tmp_path / name / f"a.{files.host()}.{2**22 + 1}.0123abcd.tmp")
        left[-1].touch()
    build(dev_output_file=tmp_path / "dev" / "dev", dev_share=0.2)
    assert not any(path.exists() for path in left)


def test_lines_can_be_documents(build, text):
    text.write_text("w1 cat cat\nw2 dog dog\n", encoding="utf-8")
    folder = build(line_documents="true")
    assert documents_of(folder / "a") == {"w1", "w2"}


def test_added_words_have_ids_of_their_own(build, text, tmp_path, capsys):
    text.write_text("covid wins\nlockdown\n\nthe cat\n", encoding="utf-8")
    (tmp_path / "words.txt").write_text("covid\nlockdown\ncat\n", encoding="utf-8")
    folder = build(vocab_add=tmp_path / "words.txt")
    vocab = tokenization.load_vocab(str(folder / "vocab.txt"))
    assert len(vocab) == len(VOCAB) + 2
    instances = made_instances.read_tfrecords([folder / "a"])
    found = set(made_instances.unmasked(instances).ravel().tolist())
    assert {vocab["covid"], vocab["lockdown"], vocab["cat"]} <= found
    assert VOCAB.index("[UNK]") not in found
    assert "2 words added to the vocabulary" in capsys.readouterr().out


def test_the_table_agrees_with_the_records(build, tmp_path, text, capsys):
    text.write_text(text.read_text() + "\nxyz xyz\n" * 50, encoding="utf-8")
    build(dev_output_file=tmp_path / "out" / "dev", dev_share=0.25)
    printed = capsys.readouterr().out
    train, dev = printed[: printed.index("dev:")], printed[printed.index("dev:") :]
    for part, name, num_documents in ((train, "a", 68), (dev, "dev", 22)):
        table = read_table(part)
        instances = made_instances.read_tfrecords([tmp_path / "out" / name])
        num_rows, num_tokens = (
            len(instances["input_ids"]),
            instances["input_mask"].sum(),
        )
        num_masked = int(instances["masked_lm_weights"].sum())
        padding = 1 - num_tokens / instances["input_mask"].size
        assert table["documents"] == str(num_documents)
        assert table["instances"] == f"{num_rows:,}"
        assert table["mean length in tokens"] == f"{num_tokens / num_rows:.1f}"
        assert table["padding"] == f"{100 * padding:.2f} %"
        assert table["masked tokens"] == f"{num_masked:,}"
        share = num_masked / num_tokens
        assert table["masked among real tokens"] == f"{100 * share:.2f} %"
        share = instances["next_sentence_labels"].mean()
        assert table["random next segments"] == f"{100 * share:.2f} %"


def test_the_table_counts_the_text(build, text, capsys, caplog):
    text.write_text("the cat\nxyz\n\ndog dog\n", encoding="utf-8")
    build()
    table = read_table(capsys.readouterr().out)
    assert table["documents"] == "2"
    assert table["tokens of text"] == "5"
    assert table["[UNK] among them"] == "20.00 %"
    assert "20.00 % of the tokens are [UNK]" in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"input_file": None}, "--input_file"),
        ({"output_file": None}, "--output_file"),
        ({"output_file": ","}, "--output_file"),
        ({"vocab_file": None}, "--vocab_file"),
        ({"input_file": "{}/x*.txt"}, r"--input_file.*/x\*\.txt"),
        ({"vocab_file": "{}/x"}, "--vocab_file=.*/x\\b"),
        ({"vocab_file": "{}/text.txt"}, r"text\.txt.*\[UNK\], \[CLS\]"),
        ({"output_file": "{}/text.txt"}, r"--output_file.*text\.txt"),
        ({"dev_output_file": "{}/text.txt"}, r"--output_file.*text\.txt"),
        ({"output_file": "{}/vocab.txt"}, r"--output_file.*vocab\.txt"),
        ({"output_file": "{0}/a,{0}/./a"}, "--output_file.*/a\\b"),
        ({"dev_output_file": "{}/out/a"}, "--output_file.*/a\\b"),
        ({"output_file": "{}"}, "--output_file"),
        ({"output_file": "{}/vocab.txt/a"}, r"--output_file=.*vocab\.txt"),
        (
            {"vocab_add": "{}/words.txt", "output_file": "{}/a"},
            r"/vocab\.txt",
        ),
        (
            {"vocab_add": "{}/words.txt", "output_file": "{}/words.txt"},
            r"--output_file.*words\.txt",
        ),
        ({"masking": "words"}, "--masking=words.*wordpiece, whole"),
        ({"next_sentence": "x"}, "--next_sentence=x.*nsp, sop, none"),
        ({"format": "csv"}, "--format=csv.*tfrecord, hdf5"),
        ({"max_seq_length": 4}, "--max_seq_length=4.*5"),
        ({"masked_lm_prob": 0}, "--masked_lm_prob=0"),
        ({"short_seq_prob": 1.1}, "--short_seq_prob=1.1"),
        ({"dev_share": 1}, "--dev_share=1"),
        ({"dupe_factor": 0}, "--dupe_factor=0"),
        ({"num_workers": 0}, "--num_workers=0"),
        ({"num_workers": "two"}, "--num_workers=two"),
        ({"mask": "x"}, "--mask: there is no such flag"),
        (
            {"masking": "ngram", "do_whole_word_mask": "true"},
            "--do_whole_word_mask=true.*--masking=ngram",
        ),
        (
            {"masking": "span", "max_predictions_per_seq": 9},
            "--max_predictions_per_seq=9.*--masking=span.*10",
        ),
    ],
)
def test_flags_that_are_refused(build, tmp_path, flags, message):
    (tmp_path / "words.txt").write_text("zebra\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    flags = {
        name: value.format(tmp_path) if isinstance(value, str) else value
        for name, value in flags.items()
    }
    with pytest.raises(InputError, match=message):
        build(**flags)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("the cat\nruns\n", {}, r"text\.txt.*--next_sentence"),
        ("", {"next_sentence": "none"}, r"text\.txt.*\b0\b"),
        ("\u200b\n\n", {}, r"text\.txt.*\b0\b.*\b2\b"),
        (
            "cat\n\nwhy\n",
            {"next_sentence": "sop"},
            r"text\.txt",
        ),
        (
            "cat\n\ndog\n\nwhy\n\nhow\n",
            {"dev_output_file": "{}/out/dev", "dev_share": 0.25},
            r"--dev_share=0.25.*\b1\b.*\b2\b",
        ),
        ("cat\n\n\udcff\n", {}, r"text\.txt:3\b"),
    ],
)
def test_text_that_is_refused(build, text, tmp_path, content, flags, message):
    text.write_bytes(content.encode("utf-8", "surrogateescape"))
    flags = {name: str(value).format(tmp_path) for name, value in flags.items()}
    with pytest.raises(InputError, match=message):
        build(**flags)
    assert os.listdir(str(tmp_path / "out")) == []


@pytest.mark.parametrize("next_sentence", ["sop", "none"])
def test_one_document_is_enough_without_nsp(build, text, next_sentence):
    text.write_text("w1 cat\nw1 dog\n", encoding="utf-8")
    assert documents_of(build(next_sentence=next_sentence) / "a") == {"w1"}


def test_do_whole_word_mask_is_an_older_form_of_masking(build):
    content = (build(masking="whole_word") / "a").read_bytes()
    assert (build(do_whole_word_mask="true") / "a").read_bytes() == content
    assert (build() / "a").read_bytes() != content


def test_a_wrong_input_ends_with_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        create_pretraining_data.main(["program", "--input_file=x"])
    assert str(error.value) == "error: --output_file is needed"


def test_help_names_the_flags(capsys):
    create_pretraining_data.main(["program", "--help"])
    assert "--[no]do_whole_word_mask" in capsys.readouterr().out


def run_python(code, argv):
    """Runs code in a new process; returns what it prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        cwd=str(helpers.ROOT),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def test_tensorflow_is_not_imported(text, tmp_path):
    code = (
        "import sys, create_pretraining_data\n"
        "create_pretraining_data.main()\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    run_python(code, command(tmp_path, masking="ngram")[1:])
    assert documents_of(tmp_path / "out" / "a") == set(OWN_WORDS)


PEAK = """
import re
import create_pretraining_data
from bert_my.pretrain import corpus
corpus.BLOCK_CHARACTERS, corpus.PART_CHARACTERS = 80000, 20000
create_pretraining_data.main()
print("peak", re.search("VmHWM:.* ([0-9]+) kB", open("/proc/self/status").read())[1])
"""


def write_long_text(path, num_lines):
    """Writes lines, of which the second half is one document; returns the size."""
    rng = random.Random(1)
    with open(str(path), "w", encoding="utf-8") as writer:
        for index in range(num_lines):
            line = " ".join(rng.choices(helpers.WORDS[:12], k=12))
            is_last = index < num_lines / 2 and rng.random() < 0.2
            writer.write(line + ("\n\n" if is_last else "\n"))
    return os.path.getsize(str(path))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux only")
def test_memory_does_not_grow_with_the_text(text, tmp_path):
    argv = command(tmp_path, dupe_factor=1)[1:]
    peaks, sizes = [], []
    for num_lines in (8000, 80000):
        sizes.append(write_long_text(text, num_lines))
        peaks.append(1024 * int(run_python(PEAK, argv).split("peak")[1]))
    # As ids alone it would take as much as this.
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) // 2, (peaks, sizes)
