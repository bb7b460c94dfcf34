"""Tagged sentences: every token of every layout, and errors with their lines."""

import pytest

from bert_my.common.errors import InputError
from bert_my.data import tagged
from bert_my.data.tag_columns import find_layout
from bert_my.data.tag_layouts import Layout
from bert_my.text import tag_schemes

pytestmark = pytest.mark.once


def sentences(path, needs_tags=True, like=None):
    layout = find_layout(str(path), needs_tags, like)
    return tagged.read_sentences(str(path), layout, "test")


@pytest.fixture
def read(tmp_path):
    def read_content(content, needs_tags=True, like=None):
        path = tmp_path / "train.txt"
        path.write_bytes(content.encode("utf-8"))
        return [(each.tokens, each.tags) for each in sentences(path, needs_tags, like)]

    return read_content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("中\tB-X\n国\tI-X\n\n好\tO\n", [("中国", ["B-X", "I-X"]), ("好", ["O"])]),
        ("中 B-X\n国 I-X\n\n好 O\n", [("中国", ["B-X", "I-X"]), ("好", ["O"])]),
        ("\ufeff中\tO\r\n\r\n国\tO\r\n", [("中", ["O"]), ("国", ["O"])]),
        ("\n\n中\tO\n\n\n\n国\tO\n\n\n", [("中", ["O"]), ("国", ["O"])]),
        ("中\tO\n \t\n国\tO\n  \n好\tO", [("中", ["O"]), ("国", ["O"]), ("好", ["O"])]),
        ("U.N. NNP I-NP I-ORG\nis VBZ I-VP O\n", [(["U.N.", "is"], ["I-ORG", "O"])]),
        ("New York\tB-LOC\n", [(["New York"], ["B-LOC"])]),
        ("我 B-X \n  O \n你 O\t\n", [("我 你", ["B-X", "O", "O"])]),
        ("token\ttag\n中\tO\n", [("中", ["O"])]),
        ("\nWord POS Label\na DT O\n", [("a", ["O"])]),
        ("word tag\n", []),
        # A sentence a line.
        (
            "北 京 好\tB-o E-o S-o\n我\tO\n",
            [("北京好", ["B-o", "E-o", "S-o"]), ("我", "O")],
        ),
        ("text_a\tlabel\n\n我  们\tB-o E-o \r\n", [("我们", ["B-o", "E-o"])]),
    ],
)
def test_layouts(read, content, expected):
    assert read(content) == [(tuple(tokens), tuple(t)) for tokens, t in expected]


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
    found = list(sentences(path))
    assert [each.guid for each in found] == ["test-0", "test-1"]
    assert [each.line_of(0) for each in found] == [2, 6]
    assert found[0].line_of(1) == 3


def test_a_sentence_on_one_line_has_one_line(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("a b\tO O\nc d\tO O\n")
    _, found = sentences(path)
    assert [found.line_of(0), found.line_of(1)] == [2, 2]


TABS, BLANKS = Layout("\t"), Layout(" ")
SENTENCES = Layout("\t", is_by_sentence=True, has_header=True)


@pytest.mark.parametrize(
    ("like", "content", "expected"),
    [
        (TABS, "New York\nis\n", [(("New York", "is"), None)]),
        (None, "New York\n", [(("New",), ("York",))]),
        (BLANKS, "New York\n", [(("New",), ("York",))]),
        (BLANKS, "New\n \nYork\n", [(("New", " ", "York"), None)]),
        (SENTENCES, "我 们 好\n\n你\n", [(("我", "们", "好"), None), (("你",), None)]),
        (SENTENCES, "我 们\tO O\n", [(("我", "们"), ("O", "O"))]),
        (SENTENCES, "text\n我 们\n", [(("我", "们"), None)]),
        (TABS, "token\n我\n", [(("token", "我"), None)]),
        (TABS, "我 们\tO O\n", [(("我", "们"), ("O", "O"))]),
    ],
)
def test_files_are_read_like_the_train_file(read, like, content, expected):
    assert read(content, needs_tags=False, like=like) == expected


@pytest.mark.parametrize(
    ("like", "content", "message"),
    [
        (BLANKS, "New\nYork O\n", r"txt:2: 'York O'"),
        (None, "New\nYork\tO\n", r"txt:2: 'York\\tO'"),
        (SENTENCES, "a b\na b\tO O\n", r"txt:2: 'a b\\tO O'"),
        (BLANKS, "New York\nis\n", r"txt:1: 'New York'"),
    ],
)
def test_all_or_no_lines_have_tags(read, like, content, message):
    with pytest.raises(InputError, match=message):
        read(content, needs_tags=False, like=like)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"train\.txt: "),
        ("\n \n\t\n", r"train\.txt: "),
        ("中\n", r"train\.txt:1: .*'中'"),
        ("中\tO\n国\n", r"train\.txt:2: .* a tab"),
        ("中\tO\n国 O\n", r"train\.txt:2: .* a tab.*'国 O'"),
        ("中 O\n国 \n", r"train\.txt:2: .* a blank.*'国 '"),
        ("中\tO\n\tO\n", r"train\.txt:2: .*'\\tO'"),
        ("中\tO\n国\t\n", r"train\.txt:2: .*'国\\t'"),
        ("中\tO\n\u3000\n", r"train\.txt:2: .*'\\u3000'"),
        ("a b c\tO O O\na b c\tO O\n", r"train\.txt:2: 3 .* 2 "),
        ("a\tO\nb\tB PER\n", r"train\.txt:2: 1 .* 2 "),
        ("a\tO\n" * 500 + "b\tB PER\n", r"train\.txt:501: .*'B PER'"),
        ('{"text": "a b", "label": {}}\n', r"train\.txt:1: .*JSON"),
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
        ("O B-PER I-PER L-PER U-LOC", "BILOU", ["LOC", "PER"]),
        ("NN NNP VB", None, []),
        ("O", None, []),
    ],
)
def test_scheme(tags, scheme, types):
    assert tag_schemes.find_scheme(tags.split()) == (scheme, types)


@pytest.mark.parametrize(
    ("tags", "added"),
    [
        ("O B-PER I-LOC", "I-PER B-LOC"),
        ("B-PER B-LOC", "I-PER I-LOC"),
        ("O B-PER M-PER E-PER S-LOC", "S-PER B-LOC M-LOC E-LOC"),
        ("B I S", "E"),
        ("L-A-B", "B-A-B I-A-B U-A-B"),
        ("NN VB", ""),
        ("O", ""),
    ],
)
def test_tags_of_a_scheme_are_completed(tags, added):
    assert tag_schemes.complete(set(tags.split())) == {*tags.split(), *added.split()}


@pytest.mark.parametrize(
    ("tags", "odd"),
    [
        ("O B-PER I-PER tag B-LOC", ["tag"]),
        ("O B-PER I-PER B_LOC", ["B_LOC"]),
        ("O B_PER I_PER", ["B_PER", "I_PER"]),
        ("O PER-B PER-I", ["PER-B", "PER-I"]),
        ("O M-PER L-PER", ["L-PER", "M-PER"]),
        ("O B-PER I-PER", []),
        ("NN VB B-X", []),
        ("O", []),
    ],
)
def test_odd_tags(tags, odd):
    assert tag_schemes.odd_tags(set(tags.split())) == odd


@pytest.mark.parametrize(
    ("tag", "is_nested"),
    [
        ("B-ORG|B-LOC", True),
        ("B-ORG|O", True),
        ("O|O", True),
        ("i-dna+i-protein", True),
        ("B-ORG/LOC", False),
        ("B-geo-loc", False),
        ("O", False),
    ],
)
def test_tags_of_several_in_one(tag, is_nested):
    assert tag_schemes.nested_tags([tag]) == [tag] * is_nested


@pytest.mark.parametrize(
    ("content", "others"),
    [
        ("a O\n\nb O\n\n", [None, None]),
        ("a O\n\nb O", [None, ()]),
        ("\n\na O\n \n\nb O\n", [((0, ""), (0, ""), (1, ""), (1, "")), ()]),
        ("word tag\na O\n\n", [((0, "word\ttag"), (1, ""))]),
        (
            "-DOCSTART- O\na O\n-DOCSTART- -\n\nb O\n\n",
            [((0, "-DOCSTART-\tO"), (1, "-DOCSTART-\t-"), (1, "")), None],
        ),
    ],
)
def test_lines_without_a_token_are_kept(tmp_path, content, others):
    path = tmp_path / "test.txt"
    path.write_text(content)
    found = list(sentences(path))
    assert [each.other_lines for each in found] == others


def test_a_token_knows_its_line_behind_lines_without_one(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("# x y z\n1\ta\tO\n2-3\tbc\tO\n2\tb\tO\n3\tc\tO\n")
    (found,) = sentences(path)
    assert [found.line_of(index) for index in range(3)] == [2, 4, 5]


@pytest.mark.parametrize(
    ("tags", "scheme", "types", "added"),
    [
        ("o b-per", "BIO", ["per"], "i-per"),
        ("O b-per i-loc", "BIO", ["loc", "per"], "i-per b-loc"),
        ("O b-per m-per e-per s-per", "BMES", ["per"], ""),
        ("b i s", None, [], ""),
        ("O B-per b-loc", None, [], ""),
    ],
)
def test_small_marks_are_those_of_a_scheme(tags, scheme, types, added):
    tags = set(tags.split())
    assert tag_schemes.find_scheme(tags) == (scheme, types)
    assert tag_schemes.complete(tags) == {*tags, *added.split()}
    odd = ["b-loc"] if "b-loc" in tags and "B-per" in tags else []
    assert tag_schemes.odd_tags(tags) == odd
