"""Tagged sentences: every token of every layout, and errors with their lines."""

import pytest

from bert_my.data import tagged
from bert_my.data.errors import InputError


@pytest.fixture
def read(tmp_path):
    def read_content(content, needs_tags=True):
        path = tmp_path / "train.txt"
        path.write_bytes(content.encode("utf-8"))
        sentences = tagged.read_sentences(str(path), needs_tags, "train")
        return [(each.tokens, each.tags) for each in sentences]

    return read_content


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        ("中\tB-X\n国\tI-X\n\n好\tO\n", [("中国", ["B-X", "I-X"]), ("好", ["O"])]),
        ("中 B-X\n国 I-X\n\n好 O\n", [("中国", ["B-X", "I-X"]), ("好", ["O"])]),
        ("\ufeff中\tO\r\n\r\n国\tO\r\n", [("中", ["O"]), ("国", ["O"])]),
        ("\n\n中\tO\n\n\n\n国\tO\n\n\n", [("中", ["O"]), ("国", ["O"])]),
        ("中\tO\n \t\n国\tO\n  \n好\tO", [("中", ["O"]), ("国", ["O"]), ("好", ["O"])]),
        ("U.N. NNP I-NP I-ORG\nis VBZ I-VP O\n", [(["U.N.", "is"], ["I-ORG", "O"])]),
        ("New York\tB-LOC\n", [(["New York"], ["B-LOC"])]),
    ],
)
def test_layouts(read, content, sentences):
    assert read(content) == [(tuple(tokens), tuple(t)) for tokens, t in sentences]


# All of them are white space or invisible for `str`.
STRANGE = [" ", "\u3000", "\xa0", "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\x00"]
STRANGE += ["\u200b", "\ufe0f", "👍🏽", "\ufffd", "\\", '"', "#"]


@pytest.mark.parametrize("separator", ["\t", " "])
def test_no_token_is_lost(read, separator):
    content = "".join(f"{token}{separator}O\n" for token in STRANGE)
    assert read(content) == [(tuple(STRANGE), ("O",) * len(STRANGE))]


def test_no_token_is_lost_without_tags(read):
    content = "".join(f"{token}\n" for token in [*STRANGE, "中"])
    assert read(content, needs_tags=False) == [((*STRANGE, "中"), None)]


def test_a_file_without_tags_has_sentences(read):
    assert read("\n中\t\n国\t\n\n\n好\t", needs_tags=False) == [
        (("中", "国"), None),
        (("好",), None),
    ]


def test_sentences_are_numbered_and_know_their_line(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("\na O\nb O\n\n\nc O\n")
    found = [tuple(each[2:]) for each in tagged.read_sentences(str(path), True, "test")]
    assert found == [("test-0", 2), ("test-1", 6)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"train\.txt: the file has no tokens"),
        ("\n \n\t\n", r"train\.txt: the file has no tokens"),
        ("中\n", r"train\.txt:1: there is no tag after '中'"),
        ("中\tO\n国\n", r"train\.txt:2: expected a token and its tag, .* a tab"),
        ("中\tO\n国 O\n", r"train\.txt:2: .* separated by a tab, found '国 O'"),
        ("中 O\n国 \n", r"train\.txt:2: .* separated by a blank, found '国 '"),
        ("中\tO\n\tO\n", r"train\.txt:2: .* found '\\tO'"),
        ("中\tO\n国\t\n", r"train\.txt:2: .* found '国\\t'"),
        ("中\tO\n\u3000\n", r"train\.txt:2: .* found '\\u3000'"),
    ],
)
def test_errors_name_the_line(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("tags", "scheme", "types"),
    [
        ("O B-PER I-PER B-LOC", "BIO", ["LOC", "PER"]),
        ("O I-PER I-LOC", "BIO", ["LOC", "PER"]),
        ("B-A-B I-A-B O", "BIO", ["A-B"]),
        ("O B-PER I-PER E-PER S-LOC", "BIOES", ["LOC", "PER"]),
        ("O B-PER M-PER E-PER S-PER", "BMES", ["PER"]),
        ("B M E S", "BMES", []),
        ("O S-PER", "BIOES", ["PER"]),
        ("NN NNP VB", None, []),
        ("O", None, []),
    ],
)
def test_scheme(tags, scheme, types):
    assert tagged.find_scheme(tags.split()) == (scheme, types)
