"""Tagging: windows, alignment with the original tokens, scores of whole sentences."""

import json
import random

import numpy as np
import pytest
from seqeval import metrics as seqeval_metrics

from bert_my.common.errors import InputError
from bert_my.data.features import pack
from bert_my.data.tagged import Sentence
from bert_my.tasks import base
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


def encode(task, sentences):
    return [each.features for each in task.encode_batch(sentences)]


def rows_for(task, features, tags):
    """Returns what a model would predict for windows: `tags` where they are scored.

    Anything else it predicts must not matter.
    """
    rng, tags = random.Random(9), iter(tags)
    rows = []
    for each in features:
        labels = np.array([rng.randrange(len(TAGS)) for _ in range(12)])
        for place, label_id in enumerate(each["label_ids"]):
            if label_id:
                labels[place] = task.label_map[next(tags)]
        rows.append({"label": labels})
    assert next(tags, None) is None
    return rows


def test_encoding_of_a_short_sentence(task):
    sentence = Sentence(("cats", " ", "你", "zzz"), TAGS[:4], "g", 1)
    (features,) = encode(task, [sentence])
    tokens = task.tokenizer.convert_ids_to_tokens(features["input_ids"])
    assert tokens == ["[CLS]", "cat", "##s", "[UNK]", "你", "[UNK]", "[SEP]"]
    assert features["label_ids"] == [0, 1, 0, 2, 3, 4, 0]
    assert features["token_mask"] == [0, 1, 0, 1, 1, 1, 0]
    assert features["input_mask"] == [1] * 7
    assert features["starts_sentence"] == 1


def test_windows_hold_every_token_once_and_with_its_tag(task):
    sentences = make_sentences([1, 50, 7, 123, 10])
    features = encode(task, sentences)
    label_ids = [x - 1 for each in features for x in each["label_ids"] if x]
    tags = [tag for sentence in sentences for tag in sentence.tags]
    assert [task.label_list[x] for x in label_ids] == tags
    assert sum(each["starts_sentence"] for each in features) == len(sentences)
    assert max(len(each["input_ids"]) for each in features) <= task.max_seq_length
    assert all(
        mask >= (label > 0)
        for each in features
        for mask, label in zip(each["token_mask"], each["label_ids"])
    )


def test_nothing_is_said_to_be_cut(task):
    encoded = task.encode_batch(make_sentences([99]))
    assert {each.num_cut_tokens for each in encoded} == {0}
    assert pack([5] * 99, None, 12, 1, 2).num_cut_tokens  # As other tasks would do.


def test_scores_are_those_of_whole_sentences(task):
    sentences = make_sentences([1, 40, 7, 123, 10, 64])
    guesses = [each.tags for each in make_sentences([1, 40, 7, 123, 10, 64], seed=4)]
    # Some of it right, or there would be next to no entity in common.
    predicted = [
        [tag if i % 3 else guess for i, (tag, guess) in enumerate(zip(each.tags, row))]
        for each, row in zip(sentences, guesses)
    ]
    features = encode(task, sentences)
    rows = rows_for(task, features, [tag for tags in predicted for tag in tags])
    label_ids = np.zeros((len(rows), 12), int)
    for row, each in zip(label_ids, features):
        row[: len(each["label_ids"])] = each["label_ids"]
    starts = np.array([each["starts_sentence"] for each in features])
    kept = [
        task.scored(
            {"label_ids": label_ids[i : i + 5], "starts_sentence": starts[i : i + 5]},
            {"label": np.array([row["label"] for row in rows[i : i + 5]])},
        )
        for i in range(0, len(rows), 5)
    ]
    targets, predictions = (
        {name: np.concatenate([part[name] for part in side]) for name in side[0]}
        for side in zip(*kept)
    )
    scores = task.score(targets, predictions)
    tags = [list(each.tags) for each in sentences]
    for name in ("f1", "precision", "recall"):
        expected = getattr(seqeval_metrics, f"{name}_score")(tags, predicted)
        assert 0.1 < scores[name] < 0.9
        assert scores[name] == pytest.approx(expected)
    accuracy = seqeval_metrics.accuracy_score(tags, predicted)
    assert scores["token_accuracy"] == pytest.approx(accuracy)
    assert {"f1_PER", "f1_LOC"} < set(scores) == task.metric_names


@pytest.mark.parametrize("has_tags", [True, False])
def test_predictions_stand_beside_the_original_tokens(task, has_tags):
    sentences = make_sentences([3, 61, 1, 13])
    predicted = [tag for each in make_sentences([3, 61, 1, 13], 8) for tag in each.tags]
    rows = rows_for(task, encode(task, sentences), predicted)
    given = [each if has_tags else each._replace(tags=None) for each in sentences]
    lines = list(task.format_predictions(iter(given), iter(rows)))
    plain = [line["predict.txt"] for line in lines]
    tokens = [token for each in sentences for token in each.tokens]
    assert [line for line in plain if line] == list(map(list, zip(tokens, predicted)))
    assert [i for i, line in enumerate(plain) if not line] == [3, 65, 67, 81]
    table = [line["predictions.tsv"] for line in lines if "predictions.tsv" in line]
    assert table[2:4] == [
        [0, "dev-0", tokens[2], sentences[0].tags[2] if has_tags else "", predicted[2]],
        [1, "dev-1", tokens[3], sentences[1].tags[0] if has_tags else "", predicted[3]],
    ]


def test_tags_are_those_of_the_train_file(make_named_task):
    task = make_named_task("ner", train="a S-PER\nb O\n\nc B-LOC\nd E-LOC\n")
    types = ("LOC", "PER")
    # Those that a type may have in other files, too.
    expected = [f"{mark}-{each}" for mark in "BEI" for each in types]
    assert task.label_list == (*expected, "O", "S-LOC", "S-PER")
    counts, total = task.count_labels()
    seen = {tag: count for tag, count in counts.items() if count is not None}
    assert (seen, total) == (dict.fromkeys(("S-PER", "O", "B-LOC", "E-LOC"), 1), 4)
    assert set(counts) == set(task.label_list)


def test_tags_that_mark_no_entities_are_scored_by_token(make_named_task):
    task = make_named_task("ner", labels="NN,VB")
    targets, predictions = task.perfect_scored()
    assert task.main_metric == "token_accuracy"
    assert task.score(targets, predictions) == {"token_accuracy": 1.0}


@pytest.mark.parametrize(
    ("split", "content", "message"),
    [
        (base.DEV, "a O\nb I-Y\n", r"dev\.tsv:2: tag 'I-Y' is not one of .*; --labels"),
        (base.DEV, "a b\tO I-Y\n", r"dev\.tsv:1: tag 'I-Y' is not one of .*; --labels"),
        (base.DEV, "a\nb\n", r"dev\.tsv:1: there is no tag after 'a'"),
    ],
)
def test_unknown_tags_are_named(make_named_task, split, content, message):
    task = make_named_task("ner", **{"train": "a B-X\nb O\n", split: content})
    with pytest.raises(InputError, match=message):
        list(task.read_examples(split))


def test_unknown_tags_of_a_test_file_are_shown(make_named_task, caplog):
    task = make_named_task("ner", train="a B-X\nb O\n", test="a O\n\nb B-Z\nc Y\n")
    examples = list(task.read_examples(base.TEST))
    list(task.read_examples(base.TEST))
    assert [each.tags for each in examples] == [("O",), ("B-Z", "Y")]
    assert caplog.text.count("2 tokens have tags that the model does not") == 1
    rows = rows_for(task, encode(task, examples), ["O", "I-X", "B-X"])
    lines = list(task.format_predictions(iter(examples), iter(rows)))
    table = [line["predictions.tsv"] for line in lines if "predictions.tsv" in line]
    assert [row[2:] for row in table] == [
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
    with pytest.raises(InputError, match=r"test\.tsv:1: 'a B-X' looks like a token"):
        list(task.read_examples(base.TEST))


@pytest.mark.parametrize("text", ["He lives in New York now", "我住在北京的东城区"])
def test_sentences_are_not_read_as_tokens(make_named_task, text):
    task = make_named_task("ner", train="a\tB-X\nb\tO\n", test=f"{text}\n{text}\n\nb\n")
    message = rf"test\.tsv:1: '{text}' would be one .* a token on each line"
    with pytest.raises(InputError, match=message):
        list(task.read_examples(base.TEST))


def test_texts_that_are_not_cut_into_tokens_are_named(make_named_task):
    test = "我住在北京的东城区\n"
    task = make_named_task("ner", train="a b\tB-X O\n", test=test)
    with pytest.raises(InputError, match=r"would be one token; .* a blank between tok"):
        list(task.read_examples(base.TEST))


def test_one_long_word_is_a_token(make_named_task):
    test = "全国人民代表大会\n\n我\n住\n在\n这里\n"
    task = make_named_task("ner", train="a\tB-X\nb\tO\n", test=test)
    assert len(list(task.read_examples(base.TEST))) == 2


def test_an_odd_tag_that_costs_the_scores_of_entities_is_named(make_named_task, caplog):
    task = make_named_task("ner", train="a B-X\nb I-X\nc O\n# remark\n")
    assert task.main_metric == "token_accuracy"
    assert "but 'remark' do not fit with the others" in caplog.text
    assert "NO SCORES OF ENTITIES" in caplog.text


def test_without_a_train_file_tags_must_be_given(make_named_task):
    with pytest.raises(InputError, match=r"no train file to find the tags .*--labels"):
        make_named_task("ner", test="a\n").find_labels()


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
