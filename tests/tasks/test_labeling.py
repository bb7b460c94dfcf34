"""Tagging: windows, alignment with the original tokens, scores of whole sentences."""

import csv
import io
import json
import random

import numpy as np
import pytest
from seqeval import metrics as seqeval_metrics

from bert_my.common.errors import InputError
from bert_my.tasks import base
from bert_my.text.preprocessor import Sentence
from tests import helpers

TAGS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
# Without pieces, of one, of several, and unknown.
TOKENS = [
    "cat",
    "cats",
    "sleepsing",
    "\u3000",
    " ",
    "\u2028",
    "\x07",
    "👍🏽",
    "你",
    "zzz",
]


def make_sentences(lengths, seed=3):
    rng = random.Random(seed)
    return [
        Sentence(
            tuple(rng.choices(TOKENS, k=length)),
            tuple(rng.choices(TAGS, k=length)),
            f"dev-{index}",
            0,
        )
        for index, length in enumerate(lengths)
    ]


@pytest.fixture
def task(make_named_task):
    return make_named_task("ner", labels=",".join(TAGS))


def outputs_for(task, sentences, tags):
    """Returns the outputs of a model that predicts some tags of some sentences.

    The tags stand where tokens are scored; anything else that is predicted must not
    matter.

    Args:
      tags: list with a list of tags for each sentence.

    Returns:
      list with the rows of each sentence, as a `Postprocessor` takes them.
    """
    rng = random.Random(9)
    outputs = []
    for rows, wanted in zip(task.encode(sentences), tags):
        wanted, found = iter(wanted), []
        for row in rows:
            labels = np.array([rng.randrange(len(task.labels)) for _ in range(12)])
            for place, label_id in enumerate(row.features["label_ids"]):
                if label_id:
                    labels[place] = task.label_map[next(wanted)]
            found.append({"label": labels, **row.about})
        assert next(wanted, None) is None
        outputs.append(found)
    return outputs


def results_of(task, sentences, tags):
    """Returns the results of the sentences with these predictions."""
    outputs = outputs_for(task, sentences, tags)
    return [task.postprocessor(*pair) for pair in zip(sentences, outputs)]


def written(writer, sentences, results):
    """Returns the text that a writer makes of results."""
    stream = io.StringIO()
    writer.begin(stream)
    for index, (sentence, result) in enumerate(zip(sentences, results)):
        writer.add(stream, index, sentence, result)
    writer.end(stream)
    return stream.getvalue()


def test_encoding_of_a_short_sentence(task):
    sentence = Sentence(("cats", " ", "你", "zzz"), TAGS[:4], "g", 1)
    ((row,),) = task.encode([sentence])
    tokens = task.preprocessor.tokenizer.convert_ids_to_tokens(
        row.features["input_ids"]
    )
    assert tokens == ["[CLS]", "cat", "##s", "[UNK]", "你", "[UNK]", "[SEP]"]
    assert row.features["label_ids"] == [0, 1, 0, 2, 3, 4, 0]
    assert row.features["token_mask"] == [0, 1, 0, 1, 1, 1, 0]
    assert row.features["input_mask"] == [1] * 7


def test_windows_hold_every_token_once_and_with_its_tag(task):
    sentences = make_sentences([1, 50, 7, 123, 10])
    encoded = task.encode(sentences)
    rows = [row for rows in encoded for row in rows]
    label_ids = [x - 1 for row in rows for x in row.features["label_ids"] if x]
    tags = [tag for sentence in sentences for tag in sentence.tags]
    assert [task.labels[x] for x in label_ids] == tags
    assert [len(rows) > 1 for rows in encoded] == [False, True, False, True, True]
    assert max(len(row.features["input_ids"]) for row in rows) <= task.max_seq_length
    assert {row.num_cut_tokens for row in rows} == {0}
    assert all(
        mask >= (label > 0)
        for row in rows
        for mask, label in zip(row.features["token_mask"], row.features["label_ids"])
    )


def test_sentences_without_tags_are_encoded_alike(task):
    tagged = make_sentences([1, 50])
    untagged = [each._replace(tags=None) for each in tagged]
    for name in ("input_ids", "token_mask"):
        found, expected = (
            [row.features[name] for rows in task.encode(each) for row in rows]
            for each in (untagged, tagged)
        )
        assert found == expected


def test_scores_are_those_of_whole_sentences(task):
    sentences = make_sentences([1, 40, 7, 123, 10, 64])
    guesses = [each.tags for each in make_sentences([1, 40, 7, 123, 10, 64], seed=4)]
    # Some of it right, or there would be next to no entity in common.
    predicted = [
        [tag if i % 3 else guess for i, (tag, guess) in enumerate(zip(each.tags, row))]
        for each, row in zip(sentences, guesses)
    ]
    scores = task.score(zip(sentences, results_of(task, sentences, predicted)))
    tags = [list(each.tags) for each in sentences]
    for name in ("f1", "precision", "recall"):
        expected = getattr(seqeval_metrics, f"{name}_score")(tags, predicted)
        assert 0.1 < scores[name] < 0.9
        assert scores[name] == pytest.approx(expected)
    accuracy = seqeval_metrics.accuracy_score(tags, predicted)
    assert scores["token_accuracy"] == pytest.approx(accuracy)
    assert {"f1_PER", "f1_LOC"} < set(scores) == set(task.metric_names)


@pytest.mark.parametrize("has_tags", [True, False])
def test_predictions_stand_beside_the_original_tokens(task, has_tags):
    sentences = make_sentences([3, 61, 1, 13])
    predicted = [each.tags for each in make_sentences([3, 61, 1, 13], 8)]
    results = results_of(task, sentences, predicted)
    given = [each if has_tags else each._replace(tags=None) for each in sentences]
    assert written(task.writers["predict.txt"], given, results) == "".join(
        "".join(f"{pair[0]}\t{pair[1]}\n" for pair in zip(each.tokens, tags)) + "\n"
        for each, tags in zip(sentences, predicted)
    )
    table = written(task.writers["predictions.tsv"], given, results)
    rows = list(csv.reader(io.StringIO(table, newline=""), delimiter="\t"))
    assert rows[0] == ["index", "guid", "token", "label", "predicted_label"]
    assert rows[1:] == [
        [str(index), each.guid, token, tag if has_tags else "", guess]
        for index, (each, tags) in enumerate(zip(sentences, predicted))
        for token, tag, guess in zip(each.tokens, each.tags, tags)
    ]


def test_tags_are_those_of_the_train_file(make_named_task):
    train = "a S-PER\nb O\n\nc B-LOC\nd E-LOC\n"
    flags = {"class_weights": "auto", "objective": "token"}
    task = make_named_task("ner", train=train, **flags)
    types = ("LOC", "PER")
    # Those that a type may have in other files, too.
    expected = [f"{mark}-{each}" for mark in "BEI" for each in types]
    assert task.labels == (*expected, "O", "S-LOC", "S-PER")
    counts, total = task.schema.counts
    seen = {tag: count for tag, count in counts.items() if count is not None}
    assert (seen, total) == (dict.fromkeys(("S-PER", "O", "B-LOC", "E-LOC"), 1), 4)
    assert set(counts) == set(task.labels)


def test_punctuation_of_a_fork(make_named_task):
    task = make_named_task("PUNCT", train="how are you\tO O Q\nno no\tD P\n")
    assert sorted(task.labels) == ["D", "O", "P", "Q"]
    assert task.main_metric == "token_accuracy"
    first, second = task.read_examples(base.TRAIN)
    assert (first.tokens, first.tags) == (("how", "are", "you"), ("O", "O", "Q"))
    assert second.tags == ("D", "P")


def test_tags_that_mark_no_entities_are_scored_by_token(make_named_task):
    task = make_named_task("ner", labels="NN,VB")
    sentence = Sentence(("a", "b"), ("VB", "NN"))
    result = {"tokens": ["a", "b"], "tags": ["VB", "VB"]}
    assert task.main_metric == "token_accuracy"
    assert task.score([(sentence, result)]) == {"token_accuracy": 0.5}
    assert task.metric_names == ("token_accuracy",)


@pytest.mark.parametrize(
    ("split", "content", "message"),
    [
        (base.DEV, "a O\nb I-Y\n", r"dev\.tsv:2: .*'I-Y'.*--labels"),
        (base.DEV, "a b\tO I-Y\n", r"dev\.tsv:1: .*'I-Y'.*--labels"),
        (base.DEV, "a\nb\n", r"dev\.tsv:1: .*'a'"),
    ],
)
def test_unknown_tags_are_named(make_named_task, split, content, message):
    task = make_named_task("ner", **{"train": "a B-X\nb O\n", split: content})
    with pytest.raises(InputError, match=message):
        list(task.read_examples(split))


def test_unknown_tags_of_a_test_file_are_shown(make_named_task, caplog):
    task = make_named_task("ner", train="a B-X\nb O\n", test="a O\n\nb B-Z\nc Y\n")
    examples = list(task.read_examples(base.TEST))
    assert [each.tags for each in examples] == [("O",), ("B-Z", "Y")]
    (warning,) = caplog.records
    assert "B-Z, Y" in warning.getMessage()
    results = results_of(task, examples, [["O"], ["I-X", "B-X"]])
    table = written(task.writers["predictions.tsv"], examples, results)
    assert [line.split("\t")[2:] for line in table.splitlines()[1:]] == [
        ["a", "O", "O"],
        ["b", "B-Z", "I-X"],
        ["c", "Y", "B-X"],
    ]


def test_other_splits_are_read_like_the_train_file(make_named_task):
    contents = {"train": "New York\tB-X\n", "test": "New York\n"}
    task = make_named_task("ner", **contents)
    (example,) = task.read_examples(base.TEST)
    assert (example.tokens, example.tags) == (("New York",), None)
    saved = json.loads(json.dumps(task.description))
    later = make_named_task("ner", saved=saved, test="New York\n")
    assert list(later.read_examples(base.TEST)) == [example]


def test_tags_behind_another_separator_are_no_tokens(make_named_task):
    task = make_named_task("ner", train="a\tB-X\nb\tO\n", test="a B-X\nb O\n")
    with pytest.raises(InputError, match=r"test\.tsv:1: 'a B-X'"):
        list(task.read_examples(base.TEST))


@pytest.mark.parametrize("has_tags", [True, False])
def test_lines_of_predictions_are_those_of_the_file(make_named_task, has_tags):
    document = ["-DOCSTART- O", "", "a O"]
    lines = [*document, "b B-X", "", "", "", *document, "", ""]
    predicted = [["B-X", "I-X"], ["O"]]
    if not has_tags:
        lines = [line.partition(" ")[0] for line in lines]
    test = "\n".join(lines)
    task = make_named_task("ner", train="a B-X\nb O\n", test=test)
    # As they come back from the file that they are kept in.
    examples = [
        Sentence(*json.loads(json.dumps(each)))
        for each in task.read_examples(base.TEST)
    ]
    results = results_of(task, examples, predicted)
    found = written(task.writers["predict.txt"], examples, results)
    tags = iter(["O", "B-X", "I-X", "O", "O"])
    assert found == "".join(
        f"{line.partition(' ')[0]}\t{next(tags)}\n" if line else "\n"
        for line in lines[:-1]
    )


def test_marks_of_documents_are_neither_trained_on_nor_scored(make_named_task):
    content = "-DOCSTART- -X- O\na NN B-X\n-DOCSTART- -X- O\nb NN O\n\n"
    flags = {"class_weights": "auto", "objective": "token"}
    task = make_named_task("ner", train=content, dev=content, **flags)
    for split in (base.TRAIN, base.DEV):
        tokens = [each.tokens for each in task.read_examples(split)]
        assert tokens == [("a",), ("b",)]
    assert task.schema.counts.total == 2


def test_entities_of_small_marks_are_scored(make_named_task):
    task = make_named_task("ner", labels="b-per,i-per,o")
    pair = Sentence(("a", "b"), ("b-per", "o")), {"tags": ["b-per", "b-per"]}
    scores = task.score([pair])
    assert task.main_metric == "f1"
    assert set(scores) == set(task.metric_names)
    assert (scores["recall_per"], scores["precision_per"]) == (1, 0.5)


def test_columns_of_flags_hold_for_all_files(make_named_task):
    content = "1 a B-X NN\n2 b O VB\n\n1 c O NN\n"
    flags = {"text_column": "2", "label_column": "-1"}
    contents = dict.fromkeys(("train", "dev", "test"), content)
    task = make_named_task("ner", **contents, **flags)
    assert task.labels == ("NN", "VB")
    for split in (base.TRAIN, base.DEV, base.TEST):
        first, _ = task.read_examples(split)
        assert (first.tokens, first.tags) == (("a", "b"), ("NN", "VB"))
    later = make_named_task("ner", saved=task.description, dev=content)
    assert list(later.read_examples(base.DEV)) == list(task.read_examples(base.DEV))


def test_a_test_file_with_placeholders_has_no_tags(make_named_task, caplog):
    caplog.set_level("INFO")
    task = make_named_task("ner", train="a B-X\nb O\n", test="a ?\n\nb ?\n")
    found = [(each.tokens, each.tags) for each in task.read_examples(base.TEST)]
    assert found == [(("a",), None), (("b",), None)]
    assert sum("'?'" in message for message in caplog.messages) == 1


@pytest.mark.parametrize(
    ("train", "text", "tokens"),
    [
        ("a\tB-X\nb\tO\n", "He lives  in New York .", "He lives in New York ."),
        ("a B-X\nb O\n", "Anna went to Oslo .", "Anna went to Oslo ."),
        ("a B-X\nb O\n", "New York", "New York"),
        ("a\tB-X\nb\tO\n", "我住在北京的东城区", "我 住 在 北 京 的 东 城 区"),
        ("a b\tB-X O\n", "我住在北京的东城区", "我 住 在 北 京 的 东 城 区"),
        ("我\tB-X\n1\tO\n", "我爱 Oslo,1.5", "我 爱 O s l o , 1 . 5"),
        ("我\tB-X\nOslo\tO\n", "我爱 Oslo,1.5\u3000e", "我 爱 Oslo , 1.5 e"),
        ("我\tB-X\n爱\tO\n", "我爱", "我 爱"),
    ],
)
def test_all_words_of_sentences_without_tags_come_back(
    make_named_task, caplog, train, text, tokens
):
    caplog.set_level("INFO")
    task = make_named_task("ner", train=train, test=f"{text}\n{text}\n\n好\n")
    first, second, last = task.read_examples(base.TEST)
    assert first.tokens == second.tokens == tuple(tokens.split())
    assert (last.tokens, second.line_of(1)) == (("好",), 2)
    assert sum("each line is a sentence" in each for each in caplog.messages) == 1


def test_one_long_word_is_a_token(make_named_task):
    test = "全国人民代表大会\n\n我\n住\n在\n这里\n"
    task = make_named_task("ner", train="a\tB-X\nb\tO\n", test=test)
    assert len(list(task.read_examples(base.TEST))) == 2


def test_an_odd_tag_that_costs_the_scores_of_entities_is_named(make_named_task, caplog):
    task = make_named_task("ner", train="a B-X\nb I-X\nc O\n# remark\n")
    assert task.main_metric == "token_accuracy"
    (warning,) = (x for x in caplog.records if x.levelname == "WARNING")
    assert "'remark'" in warning.getMessage()


def test_tags_of_several_in_one_are_a_warning(make_named_task, caplog):
    make_named_task("ner", train="a B-X|B-Y\nb O\n")
    (warning,) = (x for x in caplog.records if x.levelname == "WARNING")
    assert "'B-X|B-Y'" in warning.getMessage()


def test_header_by_flag_and_no_quoting(make_named_task):
    train = "Wort\tEtikett\na\tB-X\nb\tO\n"
    task = make_named_task("ner", train=train, header=True)
    assert task.labels == ("B-X", "I-X", "O")
    with pytest.raises(InputError, match=r"^--quoting=none: task ner has no use"):
        make_named_task("ner", train=train, quoting="none")


def test_a_column_of_words_is_not_taken_for_tags(make_named_task):
    train = "".join(f"word{index}\tlemma{index}\n" for index in range(21))
    with pytest.raises(InputError, match=r"21 different tags.*--label_column"):
        make_named_task("ner", train=train)


def test_without_a_train_file_tags_must_be_given(make_named_task):
    with pytest.raises(InputError, match=r"^task ner: .*--labels"):
        make_named_task("ner", test="a\n")


def test_trains_evaluates_predicts_and_exports(one_layer_model, tmp_path):
    sentences = make_sentences([3, 17, 40, 5, 1])
    contents = {
        "train": [[*zip(each.tokens, each.tags), ()] for each in sentences],
        "dev": [[*zip(each.tokens, each.tags), ()] for each in sentences[1:4]],
        "test": [[*([token] for token in each.tokens), ()] for each in sentences],
    }
    for name, parts in contents.items():
        rows = [row for part in parts for row in part]
        helpers.write_rows(tmp_path / "data" / f"{name}.txt", rows)
    helpers.check_task(
        "ner", one_layer_model, tmp_path / "data", tmp_path / "out", 66 + 5
    )
    lines = helpers.read_lines(tmp_path / "out" / "predict.txt")
    tokens = [line.split("\t")[0] for line in lines]
    assert tokens == [token for each in sentences for token in [*each.tokens, ""]]
