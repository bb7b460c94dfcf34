"""Preprocessors: ids of texts, kinds of texts, and what is saved of them."""

import shutil

import pytest

import tokenization
from bert_my.common.errors import InputError
from bert_my.text import preprocessor
from bert_my.text.preprocessor import (
    Example,
    Sentence,
    TextPreprocessor,
    TokenPreprocessor,
)
from tests import helpers


@pytest.fixture
def tokenizer(tiny_model):
    return tokenization.FullTokenizer(str(tiny_model / "vocab.txt"))


def tokens_of(tokenizer, features):
    return " ".join(tokenizer.convert_ids_to_tokens(features["input_ids"]))


@pytest.mark.parametrize(
    ("text_a", "text_b", "length", "tokens", "num_second", "num_cut"),
    [
        ("the cat", None, 8, "[CLS] the cat [SEP]", 0, 0),
        ("", None, 8, "[CLS] [SEP]", 0, 0),
        ("the cat runs", None, 4, "[CLS] the cat [SEP]", 0, 1),
        ("the cat", "dog", 8, "[CLS] the cat [SEP] dog [SEP]", 2, 0),
        # The longer text loses its end first; of equal ones the second.
        ("a a a cat", "dog", 6, "[CLS] a a [SEP] dog [SEP]", 2, 2),
        ("a cat a", "a dog a", 7, "[CLS] a cat [SEP] a dog [SEP]", 3, 2),
        ("a cat", "a dog", 6, "[CLS] a cat [SEP] a [SEP]", 2, 1),
        ("the cat", "", 8, "[CLS] the cat [SEP]", 0, 0),
    ],
)
def test_texts_are_packed(
    tokenizer, text_a, text_b, length, tokens, num_second, num_cut
):
    encoder = TextPreprocessor(tokenizer, length, has_pair=text_b is not None)
    ((row,),) = encoder.encode([Example(text_a, text_b)])
    assert tokens_of(tokenizer, row.features) == tokens
    num_tokens = len(tokens.split())
    segments = [0] * (num_tokens - num_second) + [1] * num_second
    assert row.features["segment_ids"] == segments
    assert row.features["input_mask"] == [1] * num_tokens
    assert row.num_cut_tokens == num_cut


@pytest.mark.parametrize(
    "text", ["the cat", ["the cat"], {"text_a": "the cat"}, {"text": "the cat"}]
)
def test_forms_of_one_text(tokenizer, text):
    encoder = TextPreprocessor(tokenizer, 8)
    assert encoder.example(text) == Example("the cat")
    (features,) = encoder(text)
    assert tokens_of(tokenizer, features) == "[CLS] the cat [SEP]"


@pytest.mark.parametrize(
    "text",
    [
        ("the cat", "a dog"),
        ["the cat", "a dog"],
        {"text_a": "the cat", "text_b": "a dog"},
    ],
)
def test_forms_of_a_pair(tokenizer, text):
    encoder = TextPreprocessor(tokenizer, 8, has_pair=True)
    assert encoder.example(text) == Example("the cat", "a dog")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (["cats", " ", "new york"], ["cats", " ", "new york"]),
        ({"tokens": ["the", "cat"]}, ["the", "cat"]),
        ("The cat, 你好!", ["The", "cat", ",", "你", "好", "!"]),
        ({"text": "The cat"}, ["The", "cat"]),
    ],
)
def test_forms_of_a_sentence(tokenizer, text, tokens):
    assert TokenPreprocessor(tokenizer, 8).example(text) == Sentence(tuple(tokens))


WRONG = [None, 7, 2.5, b"the cat", [], {}, [7], ["a", None, "b"], [["a"]]]


@pytest.mark.parametrize("text", [*WRONG, ("a", "b"), {"text_b": "b"}])
def test_no_single_text(tokenizer, text):
    with pytest.raises(InputError):
        TextPreprocessor(tokenizer, 8).example(text)


@pytest.mark.parametrize("text", [*WRONG, "a", ("a", None), ("a", "b", "c")])
def test_no_pair(tokenizer, text):
    with pytest.raises(InputError):
        TextPreprocessor(tokenizer, 8, has_pair=True).example(text)


@pytest.mark.parametrize("text", [*WRONG, "", " ", {"tokens": 7}])
def test_no_sentence(tokenizer, text):
    with pytest.raises(InputError):
        TokenPreprocessor(tokenizer, 8).example(text)


@pytest.mark.parametrize("do_lower_case", [True, False])
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda tokenizer: TextPreprocessor(tokenizer, 4), "The cat runs again"),
        (
            lambda tokenizer: TextPreprocessor(tokenizer, 7, has_pair=True),
            ("The cat runs", "a Dog"),
        ),
        (lambda tokenizer: TokenPreprocessor(tokenizer, 5), "The cat runs again today"),
    ],
    ids=["text", "pair", "tokens"],
)
def test_a_saved_preprocessor_encodes_alike(
    tiny_model, tmp_path, make, text, do_lower_case
):
    vocab = str(tiny_model / "vocab.txt")
    encoder = make(tokenization.FullTokenizer(vocab, do_lower_case))
    encoder.save(str(tmp_path))
    shutil.copy(vocab, str(tmp_path))
    loaded = preprocessor.load(str(tmp_path))
    assert loaded.settings == encoder.settings
    assert loaded(text) == encoder(text)


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"kind": "x", "do_lower_case": true}']
)
def test_a_file_that_cannot_be_used_is_named(tiny_model, content):
    path = tiny_model / "preprocessor.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"preprocessor\.json: "):
        preprocessor.load(str(tiny_model))


def test_a_missing_vocabulary_is_named(tokenizer, tmp_path):
    TextPreprocessor(tokenizer, 8).save(str(tmp_path))
    with pytest.raises(InputError, match=r"vocab\.txt"):
        preprocessor.load(str(tmp_path))


def test_long_sentences_have_several_rows(tokenizer):
    encoder = TokenPreprocessor(tokenizer, 6)
    tokens = [word for word in helpers.WORDS if word not in "你好"]
    ((*rows, last),) = encoder.encode([Sentence(tuple(tokens))])
    assert rows
    found = [
        tokenizer.convert_ids_to_tokens([row.features["input_ids"][place]])[0]
        for row in (*rows, last)
        for place in row.about["positions"]
    ]
    assert found == tokens
