"""Columns of tagged files: found by flags, header or contents, or asked for."""

import pytest

from bert_my.common.errors import InputError
from bert_my.data import tagged
from bert_my.data.columns import Roles
from bert_my.data.tag_columns import find_layout
from bert_my.data.tag_layouts import Layout

pytestmark = pytest.mark.once

CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

"""
CONLL_U = """# sent_id = 1
1-2\tvámonos\t_\t_
1\tvamos\tir\tVERB
2\tnos\tnosotros\tPRON

# sent_id = 2
1\tal\ta\tADP
1.1\tx\t_\t_
2\tmar\tmar\tNOUN
"""
GERM_EVAL = """#\thttp://example.org [2010-01-01]
1\tin\tO\tO
2\tBonn\tB-LOC\tB-ORG

#\thttp://example.org [2010-01-02]
1\tin\tO\tO
2\tRom\tB-LOC\tO
"""
KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,London,NNP,B-geo
,",",",",O
,\"\"\"\",``,O
Sentence: 2,of,IN,O
"""


@pytest.fixture
def read(tmp_path):
    def read_content(content, text=None, label=None, name="train.txt", **more):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        more.setdefault("needs_tags", True)
        layout = find_layout(str(path), wanted=Roles(text, None, label), **more)
        found = tagged.read_sentences(str(path), layout, "test")
        return " / ".join(
            " ".join(f"{token}:{tag}" for token, tag in zip(each.tokens, each.tags))
            if each.tags
            else " ".join(each.tokens)
            for each in found
        )

    return read_content


@pytest.mark.parametrize(
    ("content", "columns", "expected"),
    [
        (CONLL_2003, (), "EU:I-ORG rejects:O"),
        (CONLL_2003, (None, "2"), "EU:NNP rejects:VBZ"),
        (CONLL_2003, ("1", "-2"), "EU:I-NP rejects:I-VP"),
        (CONLL_2003, ("-3", "-1"), "NNP:I-ORG VBZ:O"),
        (CONLL_U, ("2", "4"), "vamos:VERB nos:PRON / al:ADP mar:NOUN"),
        (GERM_EVAL, ("2", "3"), "in:O Bonn:B-LOC / in:O Rom:B-LOC"),
        (GERM_EVAL, (None, "-1"), "in:O Bonn:B-ORG / in:O Rom:O"),
        (KAGGLE, (), 'London:B-geo ,:O ":O / of:O'),
        (KAGGLE, ("Word", "POS"), 'London:NNP ,:, ":`` / of:IN'),
        ("1 a NN I-NP B-X\n2 b NN I-NP O\n3 c V I-VP O\n", (), "a:B-X b:O c:O"),
        ("0\ta\tO\n1\tb\tO\n0\tc\tO\n1\td\tO\n", (), "a:O b:O / c:O d:O"),
        ("a  DT   O  \nb NN\tB-X\n", (), "a:O b:B-X"),
        ("a\t\tO\nlonger\tB-X\nb\t\tO\n", (), "a:O longer:B-X b:O"),
        ("a\tO\t\nb\tB-X\t\n", (), "a:O b:B-X"),
        ("a\tO\t\nb\tB-X\tx\n", ("1", "2"), "a:O b:B-X"),
        ("B-X\ta\nO\tb\n", (), "a:B-X b:O"),
        ("B-X a\nO b\n", (), "a:B-X b:O"),
        ("a,B-X\n1,000,O\n,,O\nb,O\n", (), "a:B-X 1,000:O ,:O b:O"),
        ("sentence_id,words,labels\n0,a,O\n0,b,O\n1,c,O\n", (), "a:O b:O / c:O"),
        (",word,tag\n0,a,O\n1,b,O\n", (), "a:O b:O"),
        ("word\tPOS\na\tDT\n", (), "a:DT"),
        ("tags\ttext\tid\nO B-X\ta b\t7\n", (), "a:O b:B-X"),
        ("token outer inner\na B-X B-X\n", (None, "2"), "a:B-X"),
        ("x\ty\tgold\na\tq\tO\n", ("x", "gold"), "a:O"),
        ("1\ta b\tO B-X\n2\tc\tO\n3\td\tO\n", (), "a:O b:B-X / c:O / d:O"),
        ("B-X O\ta b\nO\tc\n", (), "a:B-X b:O / c:O"),
        ('text,labels\n"a ,",B-X O\n', (), "a:B-X ,:O"),
        ("# O\n#b O\n\n# a remark\na O\n", (), "#:O #b:O / a:O"),
        ("###MEDLINE:1\n\n##b\tO\n###\tB-X\n", (), "##b:O ###:B-X"),
    ],
)
def test_columns(read, content, columns, expected):
    name = "train.csv" if "," in content.partition("\n")[0] else "train.txt"
    assert read(content, *columns, name=name) == expected


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        (CONLL_U, (), r"txt:2: .* 4 columns .*--text_column and --label_column"),
        (GERM_EVAL, (), r"txt:2: .* columns 3 and 4 .*--text_column and --label_colu"),
        ("a B-DNA B-protein\nb O O\n", (), "columns 2 and 3 .*--label_column"),
        ("a B-DNA O\nb O O\n", (), "columns 2 and 3 .*--label_column"),
        ("1\ta\n2\tb\n3\tc\n", (), r"txt:1: .*column 1 numbers .*--label_column"),
        ("a a NN\nb c VB\n", (), "the last column .*--label_column"),
        ("17 a B-X\n17 b O\n", (), "column 1 holds numbers, .*; give --text_column"),
        ("T1 a B-X\nT2 b O\n", (), "column 1 holds numbers, .*; give --text_column"),
        ("x a O\n" * 5, (), "column 1 is the same .*--text_column"),
        ("x a O\n" * 3 + "y b O\n" * 2, (), "column 1 is the same .*--text_column"),
        ('[{"tokens": ["a", "b"], "tags": ["O", "O"]}]\n', (), "txt:1: found JSON"),
        ("a\tO\rb\tO\r", (), r"txt:1: there is a CR"),
        ("B-X a O\nO b O\n", (), "column 1 holds tags; give --text_column"),
        ("a B-X\nNew York B-X\nc O\n", (), r"txt:2: .*'New York B-X'; .* tabs"),
        ("a B-X\nb O\n# New York B-X\n", (), r"txt:3: .*'# New York B-X'"),
        ("a B-X\n", (None, "3"), r"^--label_column=3: .* 1 to 2"),
        ("a B-X\n", ("0", None), r"^--text_column=0: .* 1 to 2"),
        ("a B-X\n", (None, "ner"), r"^--label_column=ner: .*'a B-X'"),
        ("word tag\na B-X\n", (None, "tags"), r"last\); did you mean tag\?$"),
        ("a B-X\n", ("1", "1"), "both column 1"),
        ("text,tag\n\"['a', 'b']\",\"['O', 'O']\"\n", (), r"txt:2: found a list"),
        ("a\tO\u200b\n", (), r"txt:1: the tag 'O\\u200b' has an invisible"),
    ],
)
def test_columns_that_are_not_clear_are_asked_for(read, content, columns, message):
    with pytest.raises(InputError, match=message):
        read(content, *columns)


@pytest.mark.parametrize(
    ("content", "is_said"),
    [(CONLL_2003, True), ("B-X a\nO b\n", True), ("a B-X\n", False), ("a\tX\n", False)],
)
def test_columns_are_said_in_one_line_unless_they_are_plain(
    read, caplog, content, is_said
):
    caplog.set_level("INFO")
    read(content)
    flags = "--text_column and --label_column choose others"
    assert [flags in message for message in caplog.messages] == [True] * is_said


@pytest.mark.parametrize(
    ("has_header", "expected"), [(True, "a:O"), (False, "tokens:tags a:O")]
)
def test_a_header_by_flag(read, has_header, expected):
    assert read("tokens\ttags\na\tO\n", has_header=has_header) == expected
    content = "Wort\tEtikett\na\tO\n"
    assert read(content, has_header=has_header) == expected.replace(
        "tokens:tags", "Wort:Etikett"
    )


INDEXED = Layout("\t", num_columns=4, token=1, tag=2, index=0)


@pytest.mark.parametrize(
    ("like", "content", "expected"),
    [
        (Layout(" ", num_columns=4, tag=3), "a NN I-NP\nb NN I-NP\n", "a b"),
        (Layout(" ", num_columns=4, tag=3), "a N I-NP O\n", "a:O"),
        (Layout(" ", num_columns=3, token=2, tag=0), "N a\n\nV b\nN a\n", "a / b a"),
        (INDEXED, "#\thttp://x\n1\ta\n2\tb\n\n#\tx\n1\tc\n", "a b / c"),
        (Layout(" ", num_columns=2, tag=1), "-DOCSTART-\n\na\nb\n", "a b"),
        (Layout(" ", num_columns=2, tag=1), "a -\nb -\n", "a:- b:-"),
        (Layout(" ", num_columns=2, tag=1), "a \nb \n", "a b"),
        (Layout(" ", num_columns=2, token=1, tag=0), "B-X a\nO b\n", "a:B-X b:O"),
        (Layout("\t"), "a\tb\tO\n", "a:O"),  # a model from before columns were kept
    ],
)
def test_columns_are_those_of_the_train_file(read, like, content, expected):
    tags = ("O", "B-X")
    assert read(content, needs_tags=False, like=like, tags=tags) == expected


@pytest.mark.parametrize("needs_tags", [True, False])
def test_more_columns_than_in_the_train_file_are_an_error(read, needs_tags):
    like = Layout(" ", num_columns=2, tag=1)
    with pytest.raises(InputError, match=r"txt:1: 3 columns, but the train file has 2"):
        read("a N O\nb N O\n", needs_tags=needs_tags, like=like, tags=("O",))
