"""Text files to documents to blocks of ids: what is a document, a sentence, a word."""

import glob
import gzip
import os

import numpy as np
import pytest

import tokenization
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.pretrain import corpus
from bert_my.pretrain.corpus import Part
from tests import helpers

CHINESE = list("我喜欢学习中国人𠮷")


@pytest.fixture
def write(tmp_path):
    """A function (content, name="a.txt") -> path, as bytes or text that is there."""

    def write_file(content, name="a.txt"):
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content.encode("utf-8")
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    return write_file


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "vocab.txt"
    vocab = helpers.SPECIAL + helpers.WORDS + helpers.PIECES + CHINESE
    path.write_text("\n".join(dict.fromkeys(vocab)) + "\n", encoding="utf-8")
    return tokenization.FullTokenizer(str(path))


def encode(tokenizer, *documents, find_words=True, max_length=1000):
    """Returns the `Block` of documents, lists of lines."""
    parts = [Part(number, lines) for number, lines in enumerate(documents)]
    return corpus.encode(parts, tokenizer, find_words, max_length)


def texts_of(tokenizer, block):
    """Returns the sentences of each document, as tokens joined by spaces."""
    tokens = tokenizer.convert_ids_to_tokens(block.tokens)
    sentences = [
        " ".join(tokens[start:end])
        for start, end in zip(block.sentences, block.sentences[1:])
    ]
    bounds = zip(block.documents, block.documents[1:])
    return [sentences[first:end] for first, end in bounds]


def documents_of(parts):
    """Returns the lines of each document of `Part`s; documents are numbered from 0."""
    documents = {}
    for part in parts:
        documents.setdefault(part.number, []).extend(part.lines)
    assert list(documents) == list(range(len(documents)))
    return list(documents.values())


@pytest.mark.parametrize(
    "content",
    [
        "a\nb\n\nc\n",
        "a\nb\n\nc",
        "\n\n  a  \nb\n\n \t\n\nc\n\n\n",
        "a\r\nb\r\n\r\nc\r\n",
        "\ufeffa\nb\n\nc\n",
    ],
)
def test_blank_lines_stand_between_documents(write, content):
    parts = list(corpus.read_parts([write(content)], line_documents=False))
    assert parts == [Part(0, ["a", "b"]), Part(1, ["c"])]


def test_a_line_can_be_a_document(write):
    parts = list(corpus.read_parts([write("a\n\nb\nc")], line_documents=True))
    assert parts == [Part(0, ["a"]), Part(1, ["b"]), Part(2, ["c"])]


def test_only_line_feeds_end_lines(write):
    content = "a\u2028b\x85c\x0bd\n"
    (part,) = corpus.read_parts([write(content)], line_documents=False)
    assert part.lines == ["a\u2028b\x85c\x0bd"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_the_end_of_a_file_ends_a_document(write, end):
    paths = [write("a\nb" + end), write("c", "c.txt"), write("", "d.txt")]
    parts = list(corpus.read_parts([*paths, write("e", "e.txt")], False))
    assert parts == [Part(0, ["a", "b"]), Part(1, ["c"]), Part(2, ["e"])]


def test_gzip(write):
    path = write("a\n\n你\n", "a.txt.gz")
    assert list(corpus.read_parts([path], False)) == [Part(0, ["a"]), Part(1, ["你"])]


def test_what_is_not_utf8_is_named(write):
    path = write(b"a\n" + "你".encode("gb18030"))
    with pytest.raises(InputError, match=r"a\.txt:2: not UTF-8"):
        list(corpus.read_parts([path], False))


def test_all_characters_are_reported(write):
    sizes = []
    list(corpus.read_parts([write("abc\n\n你好\n")], False, sizes.append))
    assert sum(sizes) == 8


def test_a_long_document_is_read_in_parts_of_one_number(write, monkeypatch):
    monkeypatch.setattr(corpus, "PART_CHARACTERS", 5)
    path = write("aaa\nbbb\nccc\nd\n\nee\n")
    assert list(corpus.read_parts([path], False)) == [
        Part(0, ["aaa", "bbb"]),
        Part(0, ["ccc", "d"]),
        Part(1, ["ee"]),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 100])
@pytest.mark.parametrize("blank", ["\n", "\n\n\n"])
def test_parts_change_no_document(write, monkeypatch, size, blank):
    monkeypatch.setattr(corpus, "PART_CHARACTERS", size)
    # Of 4, 2, 6 and 2 characters, so parts end at, before and behind the documents.
    documents = [["aa", "bb"], ["cc"], ["dd", "ee", "ff"], ["gg"]]
    texts = ["".join(f"{line}\n" for line in lines) for lines in documents]
    first, second = write(blank.join(texts[:3])), write(texts[3], "b.txt")
    parts = corpus.read_parts([first, second], line_documents=False)
    assert documents_of(parts) == documents
    all_lines = [line for lines in documents for line in lines]
    parts = corpus.read_parts([write("\n".join(all_lines), "c.txt")], True)
    assert documents_of(parts) == [[line] for line in all_lines]


def test_blocks_have_a_size_and_keep_all_parts(monkeypatch):
    monkeypatch.setattr(corpus, "BLOCK_CHARACTERS", 5)
    parts = [Part(0, ["aa", "bb"]), Part(1, ["c"]), Part(2, ["dddddd"]), Part(3, ["e"])]
    groups = list(corpus.group(parts, lambda part: "train"))
    assert groups == [
        ("train", parts[:2]),
        ("train", parts[2:3]),
        ("train", parts[3:]),
    ]


def test_a_block_is_of_one_split(monkeypatch):
    monkeypatch.setattr(corpus, "BLOCK_CHARACTERS", 3)
    parts = [Part(number, ["aa"]) for number in range(5)]
    groups = list(corpus.group(parts, lambda part: part.number % 2))
    assert groups == [
        (0, [parts[0], parts[2]]),
        (1, [parts[1], parts[3]]),
        (0, [parts[4]]),
    ]


def test_sentences_and_documents(tokenizer):
    block = encode(tokenizer, ["the cat runs.", "why?"], ["你好"], ["a dog"])
    assert texts_of(tokenizer, block) == [
        ["the cat runs .", "why ?"],
        ["你 好"],
        ["a dog"],
    ]
    assert block.numbers.tolist() == [0, 1, 2]


def test_lines_and_documents_without_tokens_are_left_out(tokenizer):
    nothing = "\u200b\u200b"
    block = encode(tokenizer, ["why", nothing, "cat"], [nothing], [nothing, "dog"])
    assert texts_of(tokenizer, block) == [["why", "cat"], ["dog"]]
    assert block.numbers.tolist() == [0, 2]
    assert encode(tokenizer, [nothing]) is None


def test_many_lines_are_encoded_in_order(tokenizer):
    lines = helpers.make_texts(10)
    assert texts_of(tokenizer, encode(tokenizer, lines)) == [lines]


def word_starts(tokenizer, line):
    """Returns a line's tokens, with a bar before each word but the first."""
    block = encode(tokenizer, [line])
    tokens = tokenizer.convert_ids_to_tokens(block.tokens)
    pairs = zip(tokens, block.is_word_start)
    return " ".join("|" * bool(start) + token for token, start in pairs)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cats runs.", "|cat ##s |runs |."),
        ("我喜欢学习", "|我 |喜 欢 |学 习"),
        ("喜欢cats学习", "|喜 欢 |cat ##s |学 习"),
        ("喜欢 Càts, 中国", "|喜 欢 |cat ##s |, |中 国"),
        ("𠮷喜欢𠮷", "|𠮷 |喜 欢 |𠮷"),
        ("\u200b喜欢\u200b学习", "|喜 欢 |学 习"),
    ],
)
def test_words(tokenizer, line, words):
    assert word_starts(tokenizer, line) == words


def test_without_words_each_token_is_one(tokenizer):
    block = encode(tokenizer, ["cats 喜欢"], find_words=False)
    assert block.is_word_start.tolist() == [True] * 4


def test_a_block_is_stored_as_it_is(tokenizer, tmp_path):
    parts = [Part(3, ["the cat", "喜欢"]), Part(3, ["cats"]), Part(7, ["xyz why"])]
    block = corpus.encode(parts, tokenizer, find_words=True, max_length=1000)
    unknown_id = tokenizer.vocab["[UNK]"]
    stored = block.store(str(tmp_path / "0.npz"), unknown_id)
    for read, expected in zip(stored.read(), block):
        assert read.dtype == expected.dtype
        assert read.tolist() == expected.tolist()
    assert (stored.first_document, stored.last_document) == (3, 7)
    assert stored.counts == {"documents": 2, "tokens": 8, "unknown": 1}


@pytest.mark.parametrize("max_length", [1, 2, 3, 7, 12, 50])
def test_short_sentences_lose_nothing(tokenizer, max_length):
    rng = np.random.RandomState(7)
    documents = [
        [" ".join(["cat"] * n) for n in rng.randint(1, 13, rng.randint(1, 6))]
        for _ in range(9)
    ]
    block = encode(tokenizer, *documents)
    short = encode(tokenizer, *documents, max_length=max_length)
    lengths = np.diff(short.sentences)
    assert lengths.min() >= 1
    assert lengths.max() <= max_length
    assert short.tokens.tolist() == block.tokens.tolist()
    # The documents begin at the same tokens, and all old sentences still begin.
    assert (
        short.sentences[short.documents].tolist()
        == block.sentences[block.documents].tolist()
    )
    assert set(block.sentences.tolist()) <= set(short.sentences.tolist())
    assert len(lengths) == (-(-np.diff(block.sentences) // max_length)).sum()


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ("a1.txt", ["a1.txt"]),
        ("*.txt", ["a1.txt", "a2.txt"]),
        ("b.csv,*.txt", ["b.csv", "a1.txt", "a2.txt"]),
        ("a2.txt,*.txt,a?.txt,", ["a2.txt", "a1.txt"]),
        ("*", ["a1.txt", "a2.txt", "b.csv", "c[3].txt.gz"]),
        ("c[3].txt.gz", ["c[3].txt.gz"]),
    ],
)
def test_input_files(write, tmp_path, monkeypatch, patterns, found):
    for name in ("a2.txt", "a1.txt", "b.csv", "c[3].txt.gz"):
        write("", name)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert files.find(patterns, "input_file") == found


@pytest.mark.parametrize("pattern", ["x*.txt", "missing.txt", "folder"])
def test_a_pattern_without_files_is_named_with_its_flag(write, tmp_path, pattern):
    path = write("")
    (tmp_path / "folder").mkdir()
    missing = os.path.join(glob.escape(str(tmp_path)), pattern)
    with pytest.raises(InputError) as error:
        files.find(f"{path},{missing}", "train_file")
    assert str(error.value) == f"--train_file: there is no file {missing}"


def test_no_pattern_at_all(tmp_path):
    with pytest.raises(InputError, match="--input_file is needed"):
        files.find(",", "input_file")


def test_a_line_without_an_end_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LINE_CHARACTERS", 10)
    path = tmp_path / "a.txt"
    path.write_text("the cat runs today and sleeps\n\na dog\n", encoding="utf-8")
    parts = list(corpus.read_parts([str(path)], False))
    assert [part.number for part in parts] == [0, 1]
    assert "".join(parts[0].lines).replace(" ", "") == "thecatrunstodayandsleeps"
    assert max(map(len, parts[0].lines)) <= 10
