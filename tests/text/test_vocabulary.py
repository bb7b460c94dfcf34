"""The vocabulary's file, and words that are put into it."""

import re
import subprocess
import sys

import pytest

from bert_my.common.errors import InputError
from bert_my.text import vocabulary
from tests import helpers

# ids:      5            6      7        8            9       10       11
VOCAB = [
    "[unused0]",
    "co",
    "##vid",
    "[unused7]",
    "zebra",
    "fish",
    "##fish",
    "[unusual]",
]


@pytest.fixture
def vocab_file(tmp_path):
    return write(tmp_path / "vocab.txt", *helpers.SPECIAL, *VOCAB)


@pytest.fixture
def add_words(tmp_path, vocab_file):
    """A function (lines of the words' file, do_lower_case=True) -> `AddedWords`."""

    def add(*lines, do_lower_case=True):
        tokenizer = vocabulary.read_tokenizer(vocab_file, do_lower_case)
        return vocabulary.add_words(tokenizer, write(tmp_path / "words.txt", *lines))

    return add


def write(path, *lines):
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))
    return str(path)


def read_added(tmp_path, added, do_lower_case=True):
    """Returns the tokenizer of the file that `AddedWords` make."""
    path = str(tmp_path / "new_vocab.txt")
    vocabulary.write(path, added.lines)
    return vocabulary.read_tokenizer(path, do_lower_case, len(added.lines))


def encode(tokenizer, text):
    """Returns the ids of a text, which are the same on both paths."""
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
    assert list(tokenizer.encode_batch([text])[0].ids) == ids
    return ids


@pytest.mark.parametrize(
    ("lines", "warnings"),
    [
        (helpers.SPECIAL, []),
        ([f"{line}\r" for line in helpers.SPECIAL], []),
        # Google's Chinese vocabulary has it in two lines.
        ([*helpers.SPECIAL, "\u2028", "a", "\u2028"], []),
        (
            [*helpers.SPECIAL, "a", "b", "a", "b ", "a"],
            ["tokens in several lines, .* 2, 'a' .lines 6, 8, 10., 'b'"],
        ),
        (
            [*helpers.SPECIAL, "", " ", "a", "", "\r"],
            ["empty lines: 4, .* line 7, line 9, ..."],
        ),
        (helpers.SPECIAL[1:], [r"it lacks \[PAD\]$"]),
        (
            ["\ufeff" + helpers.SPECIAL[0], *helpers.SPECIAL[1:]],
            ["byte-order mark", r"it lacks \[PAD\]$"],
        ),
    ],
)
def test_odd_lines_are_told(tmp_path, caplog, lines, warnings):
    vocabulary.read_tokenizer(write(tmp_path / "vocab.txt", *lines), True)
    assert len(caplog.messages) == len(warnings)
    for message, pattern in zip(caplog.messages, warnings):
        assert re.search(pattern, message)
        assert str(tmp_path) in message


def test_lines_that_are_not_utf8_are_told(tmp_path, caplog):
    path = tmp_path / "vocab.txt"
    path.write_bytes(
        "\n".join([*helpers.SPECIAL, "café", "naïve", "a"]).encode("latin-1")
    )
    vocabulary.read_tokenizer(str(path), True)
    assert "lines that are not UTF-8" in caplog.text
    assert "2 of 8, line 6, line 7" in caplog.text
    with pytest.raises(
        InputError, match=r"lacks b; lines that are not UTF-8, .* 2 of 8"
    ):
        vocabulary.read_tokenizer(str(path), True, required_tokens=["b"])
    assert not vocabulary.has_capitals(str(path))


def test_tokenizing_does_without_tensorflow(vocab_file):
    code = (
        "import sys\n"
        "from bert_my.text import vocabulary\n"
        "tokenizer = vocabulary.read_tokenizer(sys.argv[1], True)\n"
        "assert list(tokenizer.encode_batch(['Covid'])[0].ids) == [6, 7]\n"
        "assert tokenizer.tokenize('fishfish') == ['fish', '##fish']\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, vocab_file]
    subprocess.run(command, check=True, cwd=str(helpers.ROOT))


def test_vocabularies_that_do_not_fit(tmp_path, vocab_file):
    for path in ("nowhere.txt", str(tmp_path)):
        with pytest.raises(InputError, match=f"^--vocab_file={path}: cannot be read: "):
            vocabulary.read_tokenizer(path, True)
    with pytest.raises(InputError, match=f"^--vocab_file={vocab_file} has 13 lines"):
        vocabulary.read_tokenizer(vocab_file, True, 12)
    with pytest.raises(InputError, match=f"^--vocab_file={vocab_file}: it lacks x, y$"):
        vocabulary.read_tokenizer(vocab_file, True, 13, ("[UNK]", "x", "y"))
    assert len(vocabulary.read_tokenizer(vocab_file, True, 13, ("[UNK]",)).vocab) == 13


@pytest.mark.parametrize(
    ("vocab_size", "level"), [(13, None), (24, "INFO"), (30522, "WARNING")]
)
def test_a_model_may_have_more_rows(vocab_file, caplog, vocab_size, level):
    caplog.set_level("INFO")
    vocabulary.read_tokenizer(vocab_file, True, vocab_size)
    assert [each.levelname for each in caplog.records] == [level] * bool(level)
    if level:
        assert f"has 13 lines, and vocab_size is {vocab_size}" in caplog.text


def test_a_cased_vocabulary_for_text_in_lower_case(tmp_path, caplog):
    path = write(tmp_path / "vocab.txt", *helpers.SPECIAL, "the", "Anna", "##s", "A1")
    vocabulary.read_tokenizer(path, False)
    assert not caplog.text
    vocabulary.read_tokenizer(path, True)
    assert "1 of the 3 words of letters" in caplog.text
    assert "such as Anna" in caplog.text


def test_words_take_free_places_and_then_new_ones(tmp_path, add_words):
    added = add_words("covid", "zebrafish", "fishfishfish", "cofish")
    assert added.old_pieces == {
        5: [6, 7],
        8: [9, 11],
        13: [10, 11, 11],
        14: [6, 11],
    }
    assert added.lines[5:] == [
        *["covid", "co", "##vid", "zebrafish", "zebra", "fish", "##fish", "[unusual]"],
        *["fishfishfish", "cofish"],
    ]
    assert added.num_old_lines == 13
    assert "4 words added" in str(added)
    assert "2 in place of [unused] tokens and 2 at its end" in str(added)
    tokenizer = read_added(tmp_path, added)
    for word, index in (("covid", 5), ("Zebrafish", 8), ("cofish", 14)):
        assert encode(tokenizer, word) == [index]
    assert encode(tokenizer, "Covid, cofishcofish fish") == [5, 1, 1, 10]


def test_the_same_files_give_the_same_ids(add_words):
    words = [f"word{index}" for index in range(20)]
    assert add_words(*words) == add_words(*words)


def test_words_are_put_in_as_the_tokenizer_sees_them(tmp_path, add_words):
    added = add_words("Covíd")
    assert added.lines[5] == "covid"
    assert added.old_pieces == {5: [6, 7]}
    assert encode(read_added(tmp_path, added), "COVID covíd") == [5, 5]
    added = add_words("Covid", do_lower_case=False)
    tokenizer = read_added(tmp_path, added, do_lower_case=False)
    assert encode(tokenizer, "Covid covid") == [5, 6, 7]


def test_known_and_repeated_words_are_skipped(add_words):
    added = add_words("fish", "", "  covid\t", "COVID", " \u3000", "Zebra", "cofish\r")
    assert added.old_pieces == {5: [6, 7], 8: [6, 11]}
    assert added.num_skipped == 3
    assert str(added).endswith("3 were there already")


def test_a_word_of_unknown_pieces_starts_from_the_unknown_token(tmp_path, add_words):
    added = add_words("dog")
    assert added.old_pieces == {5: [1]}
    assert encode(read_added(tmp_path, added), "dog") == [5]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("co-vid", "'co-vid' .* splits it into co - vid before"),
        ("鱼缸", "'鱼缸' .* splits it into 鱼 缸 before"),
        ("big fish", "splits it into big fish"),
        ("##fish", "splits it into # # fish"),
        ("[unused0]", r"splits it into \[ unused0 \]"),
        ("\u200b", "BERT drops it before"),
        ("x" * 201, "a word of 201 characters .* more than 200"),
    ],
)
def test_words_that_would_never_be_found_are_refused(add_words, word, message):
    with pytest.raises(InputError, match=rf"words\.txt:3: .*{message}"):
        add_words("covid", "", word)


def test_the_longest_word(tmp_path, add_words):
    word = "x" * 200
    assert encode(read_added(tmp_path, add_words(word)), word) == [5]


def test_a_file_of_words_that_cannot_be_read(tmp_path, vocab_file):
    tokenizer = vocabulary.read_tokenizer(vocab_file, True)
    with pytest.raises(InputError, match=r"^nowhere\.txt: cannot be read"):
        vocabulary.add_words(tokenizer, "nowhere.txt")
    (tmp_path / "words.txt").write_bytes("covid\nß\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"words\.txt:2: not UTF-8"):
        vocabulary.add_words(tokenizer, str(tmp_path / "words.txt"))


def test_lines_that_stand_twice_keep_every_id(tmp_path):
    tokens = [*helpers.SPECIAL, "a", "\u2028", "b", "a", "[unused1]", "c"]
    tokenizer = vocabulary.read_tokenizer(write(tmp_path / "vocab.txt", *tokens), True)
    added = vocabulary.add_words(tokenizer, write(tmp_path / "words.txt", "d", "e"))
    assert added.lines[5:] == ["", "", "b", "a", "d", "c", "e"]
    assert encode(read_added(tmp_path, added), "a b c d e") == [8, 7, 10, 9, 11]


@helpers.needs_shared_data
def test_words_in_a_published_vocabulary(tmp_path):
    path = str(helpers.SHARED_DATA / "vocab" / "uncased_en_30522.txt")
    words = ["Metformin", "thrombocytopenia", "Protein", "Pembrolizumab"]
    words += [f"gene{index}x" for index in range(1000)]
    old = vocabulary.read_tokenizer(path, True, 30522)
    added = vocabulary.add_words(old, write(tmp_path / "words.txt", *words))
    # 994 free places; "protein" is known.
    assert len(added.lines) == 30522 + 1003 - 994
    assert added.num_skipped == 1
    new = read_added(tmp_path, added)
    assert encode(new, "metformin THROMBOCYTOPENIA, gene999x") == [
        1,
        2,
        1010,
        31524 - 994,
    ]
    assert old.convert_ids_to_tokens(added.old_pieces[1]) == old.tokenize("metformin")
    changed = {
        index
        for index, line in enumerate(helpers.read_lines(path))
        if line != added.lines[index]
    }
    assert changed == {index for index in added.old_pieces if index < 30522}
    text = "The protein [unused3] of zebrafish was studied at 3.5 %."
    assert encode(new, text) == encode(old, text)
