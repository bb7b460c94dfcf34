"""`tokenization`: upstream's results, and the cached path equal to the reference."""

import glob
import gzip
import pickle
import random
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

import tokenization
from tests import helpers

WORDS = [
    "play",
    "##play",
    "##er",
    "pl",
    "re",
    "jump",
    "##ing",
    ",",
    "i",
    "##s",
    "的",
    "ab",
]


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text(
        "".join(f"{token}\n" for token in [*helpers.SPECIAL, *WORDS]), encoding="utf-8"
    )
    return str(path)


def test_full_tokenizer(vocab_file):
    tokenizer = tokenization.FullTokenizer(vocab_file)
    tokens = tokenizer.tokenize("REplay\u00e9r,jumping")
    assert tokens == ["re", "##play", "##er", ",", "jump", "##ing"]
    ids = tokenizer.convert_tokens_to_ids(tokens)
    assert ids == [9, 6, 7, 12, 10, 11]
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
    assert tokenizer.mark_unk_tokens(["re", "Re"]) == ["re", "[UNK]"]


@pytest.mark.parametrize(
    ("lower", "text", "words"),
    [
        (True, "von北京ab", ["von", "北", "京", "ab"]),
        (True, "\n\t Nein;DOch  \r wOhin: ", ["nein", ";", "doch", "wohin", ":"]),
        (False, "\n\t Nein;DOch  \r wOhin: ", ["Nein", ";", "DOch", "wOhin", ":"]),
        (True, "\u00c5ngstr\u00f6m", ["angstrom"]),
        (False, "\u00c5ngstr\u00f6m", ["\u00c5ngstr\u00f6m"]),
        (True, "a\u2028b\u0085c\u00a0d", ["a", "bc", "d"]),  # U+0085 is a control
        (True, "x\ufffd\u0000y", ["xy"]),
        (True, "[UNK]", ["[", "unk", "]"]),
        (True, "ΟΔΟΣ", ["οδος"]),
        (True, "İstanbul", ["istanbul"]),
        (True, "$1.50", ["$", "1", ".", "50"]),
        (True, "", []),
    ],
)
def test_basic_tokenizer(lower, text, words):
    assert tokenization.BasicTokenizer(do_lower_case=lower).tokenize(text) == words


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("_clean_text", "a\u200bb\0c\ufffd\td\u3000e\r\n京", "abc d e  京"),
        ("_tokenize_chinese_chars", "x京\t\U00020000y", "x 京 \t \U00020000 y"),
        ("_is_chinese_char", 0x4E00, True),
        ("_is_chinese_char", 0x4DC0, False),  # hexagrams, between two blocks
        ("_is_chinese_char", 0x30AB, False),  # Kana
        ("_run_strip_accents", "ÅÉ n\u0303", "AE n"),
        ("_run_split_on_punc", "ab-c..d", ["ab", "-", "c", ".", ".", "d"]),
        ("_run_split_on_punc", "", []),
        ("_run_split_on_punc", "a b!", ["a b", "!"]),
    ],
)
def test_steps_of_the_basic_tokenizer(method, given, expected):
    tokenizer = tokenization.BasicTokenizer(do_lower_case=False)
    assert getattr(tokenizer, method)(given) == expected


def _overriding(method, result):
    body = {method: lambda self, value: result(value)}
    return type("Overriding", (tokenization.BasicTokenizer,), body)()


@pytest.mark.parametrize(
    ("method", "result", "words"),
    [
        ("_clean_text", lambda text: f"{text[:3]} Ö!", ["den", "o", "!"]),
        ("_tokenize_chinese_chars", lambda text: text, ["den北tag", ",", "loben"]),
        ("_is_chinese_char", lambda code: chr(code) in "T", ["den北", "t", "ag"]),
        ("_run_strip_accents", lambda text: "<", ["<", "<", "<"]),
        ("_run_split_on_punc", lambda text: [text], ["den", "北", "tag,", "loben"]),
    ],
)
def test_a_step_that_a_subclass_overrides_takes_effect(
    vocab_file, method, result, words
):
    tokenizer = _overriding(method, result)
    assert tokenizer.tokenize("DEN北Tag, löben")[: len(words)] == words
    full = tokenization.FullTokenizer(vocab_file)
    full.basic_tokenizer = tokenizer
    assert full.tokenize("DEN北Tag")[0] == "[UNK]"


def test_parts_of_the_full_tokenizer_may_be_replaced(vocab_file):
    """As projects do that tokenize character by character."""
    tokenizer = tokenization.FullTokenizer(vocab_file)

    class Characters(tokenization.WordpieceTokenizer):
        def tokenize(self, text):
            return list(text)

    tokenizer.wordpiece_tokenizer = Characters(tokenizer.vocab)
    assert tokenizer.tokenize("re Is") == ["r", "e", "i", "s"]


def test_wordpiece_tokenizer():
    tokenizer = tokenization.WordpieceTokenizer(vocab=set(WORDS))
    assert tokenizer.tokenize("") == []
    expected = ["re", "##play", "##er", "jump", "##ing"]
    assert tokenizer.tokenize("replayer jumping") == expected
    assert tokenizer.tokenize("replayerX jumping") == ["[UNK]", "jump", "##ing"]
    assert tokenizer.tokenize("i" + "s" * 199) == ["i", *["##s"] * 199]
    assert tokenizer.tokenize("i" + "s" * 200) == ["[UNK]"]


def test_character_classes():
    for char in "\n \r\t\u2003\u3000":
        assert tokenization._is_whitespace(char)
    for char in "_q\u200b":
        assert not tokenization._is_whitespace(char)
    for char in "\x07\x7f\u200b":
        assert tokenization._is_control(char)
    for char in "q\n \t\U0001f40d":
        assert not tokenization._is_control(char)
    for char in "~@!^。¿":
        assert tokenization._is_punctuation(char)
    for char in "q7 ü":
        assert not tokenization._is_punctuation(char)


def test_conversions():
    assert tokenization.convert_tokens_to_ids({"a": 3, "b": 4}, ["b", "a"]) == [4, 3]
    assert tokenization.convert_ids_to_tokens({3: "a"}, [3]) == ["a"]
    with pytest.raises(KeyError):
        tokenization.convert_by_vocab({"a": 3}, ["b"])
    assert tokenization.convert_to_unicode(b"caf\xc3\xa9\xff") == "café"
    assert tokenization.printable_text("é") == "é"
    with pytest.raises(ValueError, match="int"):
        tokenization.convert_to_unicode(3)
    assert tokenization.whitespace_tokenize("  a b\n") == ["a", "b"]


def test_vocabulary_is_split_at_line_feeds_only(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("a\n\u2028\nb\r\nc\x85d".encode())
    vocab = tokenization.load_vocab(str(path))
    assert vocab == {"a": 0, "": 1, "b": 2, "c\x85d": 3}


def test_a_path_that_tensorflow_opens(vocab_file):
    vocab = tokenization.load_vocab(f"file://{vocab_file}")
    assert vocab == tokenization.load_vocab(vocab_file)
    for path in ("nowhere.txt", "file:///nowhere.txt"):
        with pytest.raises(OSError, match="nowhere"):
            tokenization.load_vocab(path)


@pytest.mark.parametrize(
    ("lower", "checkpoint", "is_wrong"),
    [
        (True, "x/uncased_L-12_H-768_A-12/bert_model.ckpt", False),
        (False, "x/uncased_L-12_H-768_A-12/bert_model.ckpt", True),
        (True, "cased_L-24_H-1024_A-16/bert_model.ckpt", True),
        (False, "cased_L-24_H-1024_A-16/bert_model.ckpt", False),
        (True, "my_model/bert_model.ckpt", False),
        (True, None, False),
    ],
)
def test_case_of_checkpoint(lower, checkpoint, is_wrong):
    if not is_wrong:
        tokenization.validate_case_matches_checkpoint(lower, checkpoint)
        return
    with pytest.raises(ValueError, match="do_lower_case"):
        tokenization.validate_case_matches_checkpoint(lower, checkpoint)


def test_offsets_point_into_the_original_text(vocab_file):
    text = "  REplay\u00e9r\ufffd, 的İs"
    tokenizer = tokenization.FullTokenizer(vocab_file)
    tokens, offsets = tokenizer.tokenize_with_offsets(text)
    assert tokens == ["re", "##play", "##er", ",", "的", "i", "##s"]
    covered = [text[start:end] for start, end in offsets]
    assert covered == ["RE", "play", "\u00e9r", ",", "的", "İ", "s"]


def assert_paths_agree(tokenizer, texts):
    """Compares ids and offsets of the cached path and of the reference."""
    all_ids = tokenizer.encode_ids(texts)
    for text, ids, encoding in zip(texts, all_ids, tokenizer.encode_batch(texts)):
        tokens, offsets = tokenizer.tokenize_with_offsets(text)
        assert ids == tokenizer.convert_tokens_to_ids(tokens), repr(text)
        assert encoding.ids == ids, repr(text)
        assert encoding.offsets == offsets, repr(text)
        assert tokenizer.tokenize(text) == tokens, repr(text)


@pytest.mark.once
def test_every_character_parts_units_as_the_reference_does():
    texts, expected = [], []
    for char in map(chr, range(sys.maxunicode + 1)):
        # What is dropped is "" here and must not part the unit around it.
        cleaned, _ = tokenization.BasicTokenizer._clean(char)
        if cleaned and not cleaned.strip():
            expected += ["i", "s"]
        elif len(cleaned) > 1:  # with blanks around it
            expected += ["i", char, "s"]
        else:
            expected.append(f"i{char}s")
        texts.append(f"i{char}s")
    assert tokenization._UNIT.findall(" ".join(texts)) == expected


# Control and format characters, white space of all kinds, marks and what joins with
# them, letters whose lower case depends on their place or is longer, halves of pairs.
NASTY = (
    "replayerjumpings的UNAB09.,'-_[] \t\n\r\0\x0b\x0c\x1c\x1f\x7f\x85\xa0\xad"
    "\u0130\u0131\u0301\u0345\u05b0\u0e33\u1680\u180e\u2000\u200b\u200d\u2028\u2029"
    "\u202f\u205f\u2060\u3000\ufeff\ufffd\u03a3\u03c3\u03c2\u0391\u1fbc\u212b\u302e"
    "\ufe0f\u00df\u1e9e\ufb01\u9fff\uf900\u3400\u30ab\u3099\uac00\u1100\u1161\u11a8"
    "\ud800\udfff\ue000\U0001f600\U00020000\U0002f800\U000e0001"
)


@pytest.mark.once
@pytest.mark.parametrize(
    ("lower", "step"),
    [
        (True, 9),
        pytest.param(True, 1, marks=pytest.mark.slow),
        pytest.param(False, 1, marks=pytest.mark.slow),
    ],
)
def test_cached_path_agrees_on_every_character(vocab_file, lower, step):
    """With steps beyond U+3400, where most characters are Chinese or Hangul."""
    tokenizer = tokenization.FullTokenizer(vocab_file, lower)
    # Whether a character is kept, dropped, split off or changed shows in this.
    codes = [*range(0x3400), *range(0x3400, 0x30000, step)]
    assert_paths_agree(tokenizer, [f"i{chr(code)}s" for code in codes])


@pytest.mark.parametrize("lower", [True, False])
def test_cached_path_agrees_on_nasty_text(vocab_file, lower):
    tokenizer = _cached_tokenizer(vocab_file, lower)
    rng = random.Random(3)
    texts = [
        "".join(rng.choices(NASTY, k=rng.randint(0, 24)))
        + "".join(chr(rng.randrange(sys.maxunicode)) for _ in range(rng.randint(0, 3)))
        for _ in range(5000)
    ]
    assert_paths_agree(tokenizer, texts)


@pytest.mark.parametrize("lower", [True, False])
@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(
    texts=st.lists(
        st.text(st.one_of(st.characters(), st.sampled_from(NASTY))),
        max_size=4,
    )
)
def test_cached_path_agrees_on_random_text(vocab_file, lower, texts):
    assert_paths_agree(_cached_tokenizer(vocab_file, lower), texts)


def test_the_cache_is_bounded(vocab_file, monkeypatch):
    monkeypatch.setattr(tokenization, "MAX_UNITS", 3)
    monkeypatch.setattr(tokenization, "MAX_UNIT_LENGTH", 6)
    tokenizer = tokenization.FullTokenizer(vocab_file)
    texts = ["re play replayer jump的 i is ab, i", "é play jumping İ的"] * 2
    assert_paths_agree(tokenizer, texts)
    for cache in (tokenizer._ids, tokenizer._encodings):
        assert 0 < len(cache) <= 3
        assert max(map(len, cache)) <= 6


def test_a_tokenizer_can_be_given_to_another_process(vocab_file):
    tokenizer = tokenization.FullTokenizer(vocab_file)
    ids = tokenizer.encode_ids(["replayer", "ab"])
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert copied.encode_ids(["replayer"]) == ids[:1]
    # It is the copy itself that fills its caches, which are empty at first.
    assert list(copied._ids) == ["replayer"]
    assert copied._ids._encode.__self__ is copied


_tokenizers = {}


def _cached_tokenizer(vocab_file, lower):
    key = vocab_file, lower
    if key not in _tokenizers:
        _tokenizers[key] = tokenization.FullTokenizer(vocab_file, lower)
    return _tokenizers[key]


def real_texts(num_windows, window=1000):
    """Yields parts of every text file of the folder of real data, spread over it."""
    for path in sorted(glob.glob(str(helpers.SHARED_DATA / "*" / "*"))):
        if path.endswith((".gz", ".txt", ".tsv", ".json")) and "/vocab/" not in path:
            opener = gzip.open if path.endswith(".gz") else open
            with opener(path, "rb") as reader:
                text = reader.read().decode("utf-8")
            for start in range(0, len(text), len(text) // num_windows + 1):
                yield from text[start : start + window].split("\n")


@pytest.mark.once
@pytest.mark.skipif(
    not helpers.SHARED_DATA.exists(), reason="the folder of real data is not there"
)
@pytest.mark.parametrize(
    ("vocab", "lower", "num_windows"),
    [
        ("chinese_21128", True, 5),
        pytest.param("chinese_21128", True, 20, marks=pytest.mark.slow),
        pytest.param("uncased_en_30522", True, 20, marks=pytest.mark.slow),
        pytest.param("multi_cased_119547", False, 20, marks=pytest.mark.slow),
    ],
)
def test_cached_path_agrees_on_real_text(vocab, lower, num_windows):
    path = helpers.SHARED_DATA / "vocab" / f"{vocab}.txt"
    tokenizer = tokenization.FullTokenizer(str(path), lower)
    assert_paths_agree(tokenizer, list(real_texts(num_windows)))
