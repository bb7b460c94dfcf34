"""Metrics of tags: values by hand, all schemes alike, equality with seqeval."""

import random

import numpy as np
import pytest
from seqeval import metrics as seqeval_metrics

from bert_my import metrics

# What is undefined is NaN without a word on the screen.
pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("error::UserWarning"),
]

# The letters for the first, the inner and the last token, and for one that is alone.
SCHEMES = {"BIO": "BIIB", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}
TYPES = ("PER", "LOC", "ORG-X")


def random_spans(rng, num_tokens):
    """Returns (type, first token, last token) of entities that do not overlap."""
    spans, start = [], 0
    while start < num_tokens:
        length = min(rng.randint(1, 4), num_tokens - start)
        if rng.random() < 0.6:
            spans.append((rng.choice(TYPES), start, start + length - 1))
        start += length
    return spans


def encode(spans, num_tokens, scheme):
    """Returns the tags of a sentence."""
    first, inner, last, alone = SCHEMES[scheme]
    tags = ["O"] * num_tokens
    for kind, start, end in spans:
        letters = first + inner * (end - start - 1) + last if end > start else alone
        tags[start : end + 1] = [f"{letter}-{kind}" for letter in letters]
    return tags


def shares(expected, found):
    """Returns precision, recall and F1 of two sets, by the definitions."""
    num_right = len(expected & found)
    f1 = 2 * num_right / (len(expected) + len(found))
    return num_right / len(found), num_right / len(expected), f1


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_all_schemes_score_as_the_sets_of_entities(scheme):
    rng = random.Random(3)
    expected, found, targets, predictions = set(), set(), [], []
    for sentence, num_tokens in enumerate([1, 0, 13, 29, 17]):
        spans, guessed = (random_spans(rng, num_tokens) for _ in range(2))
        guessed = spans[::2] if num_tokens > 15 else guessed
        targets.append(encode(spans, num_tokens, scheme))
        predictions.append(encode(guessed, num_tokens, scheme))
        expected |= {(sentence, *span) for span in spans}
        found |= {(sentence, *span) for span in guessed}
    scores = metrics.entities(targets, predictions)
    names = ("precision", "recall", "f1")
    assert [scores[name] for name in names] == pytest.approx(shares(expected, found))
    for kind in TYPES:
        ours = [scores[f"{name}_{kind}"] for name in names]
        of_kind = [
            {each for each in side if each[1] == kind} for side in (expected, found)
        ]
        assert ours == pytest.approx(shares(*of_kind))
    assert len(scores) == 4 + 3 * len(TYPES)


@pytest.mark.parametrize("letters", ["BI", "BIES", "BMES"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_tags_score_as_in_seqeval(letters, seed):
    # Mostly not well-formed: what conlleval makes of that is part of the metric.
    rng = random.Random(seed)
    tags = ["O", *(f"{letter}-{kind}" for letter in letters for kind in TYPES)]
    targets = [[rng.choice(tags) for _ in range(n)] for n in (11, 23, 7)]
    predictions = [
        [tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence]
        for sentence in targets
    ]
    scores = metrics.entities(targets, predictions)
    as_bioes = [
        [[tag.replace("M-", "I-") for tag in sentence] for sentence in side]
        for side in (targets, predictions)
    ]
    for name in ("precision", "recall", "f1"):
        score = getattr(seqeval_metrics, f"{name}_score")
        assert scores[name] == pytest.approx(score(*as_bioes))
        by_type = [scores[f"{name}_{kind}"] for kind in sorted(TYPES)]
        assert by_type == pytest.approx(list(score(*as_bioes, average=None)))
    assert scores["token_accuracy"] == seqeval_metrics.accuracy_score(*as_bioes)


def test_tags_that_look_like_marks_are_not_the_same():
    scores = metrics.entities([["M", "N", "L"]], [["I", "N", "E"]])
    assert scores["token_accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("sentences", [[], [["B-PER"]]])
def test_types_that_do_not_occur_are_undefined(sentences):
    labels = ["O", "B-LOC", "B-PER", "I-PER"]
    scores = metrics.entities(sentences, sentences, labels)
    assert tuple(scores) == metrics.names_of([metrics.entities], labels)
    assert np.isnan(
        [scores[f"{name}_LOC"] for name in ("precision", "recall", "f1")]
    ).all()
    assert scores["f1_PER"] == 1 or not sentences


def test_labels_that_mark_no_entities_have_the_token_accuracy_only():
    scores = metrics.entities([["NN", "VB"]], [["NN", "NN"]], ["NN", "VB"])
    assert scores == {"token_accuracy": 0.5}
    assert metrics.names_of([metrics.entities], ["NN", "VB"]) == ("token_accuracy",)


def test_golden_values_with_recall_unlike_precision():
    # PER is right; of two LOC one is found, with a wrong end; ORG is not there.
    targets = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC", "I-LOC", "O", "O"]]
    predictions = [["B-PER", "I-PER", "O", "O"], ["O", "B-LOC", "O", "O", "B-ORG"]]
    assert metrics.entities(targets, predictions) == pytest.approx(
        {
            "token_accuracy": 6 / 9,
            **{"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3},
            **{"precision_PER": 1, "recall_PER": 1, "f1_PER": 1},
            **{"precision_LOC": 0, "recall_LOC": 0, "f1_LOC": 0},
            **{"precision_ORG": 0, "recall_ORG": 0, "f1_ORG": 0},
        }
    )


def test_recall_is_not_precision():
    scores = metrics.entities([["B-A", "B-A", "B-A"]], [["O", "B-A", "O"]])
    assert scores["precision"] == scores["precision_A"] == 1.0
    assert scores["recall"] == scores["recall_A"] == pytest.approx(1 / 3)
    assert scores["f1"] == scores["f1_A"] == pytest.approx(1 / 2)


def test_word_segmentation_has_no_types():
    # Words: 0-1, 2, 3-5 are wanted; 0-1, 2-3, 4-5 are found.
    scores = metrics.entities([list("BESBME")], [list("BEBEBE")])
    assert scores == pytest.approx(
        {"token_accuracy": 3 / 6, "precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3}
    )


def test_untyped_words_of_several_tokens_end_before_the_next():
    scores = metrics.entities([list("BIIBOB")], [list("BIIBOB")])
    assert set(scores.values()) == {1.0}


def test_sentences_are_apart():
    scores = metrics.entities([["B-A"], ["I-A"]], [["B-A"], ["O"]])
    assert (scores["precision"], scores["recall"]) == (1.0, 0.5)


@pytest.mark.parametrize("is_target", [True, False])
def test_entities_on_one_side_only_score_zero(is_target):
    sides = [["O", "B-A"]], [["O", "O"]]
    scores = metrics.entities(*(sides if is_target else reversed(sides)))
    assert scores.pop("token_accuracy") == 0.5
    assert set(scores.values()) == {0.0}


@pytest.mark.parametrize(
    ("sentences", "token_accuracy"), [([["O", "O"]], 1), ([[]], 0)]
)
def test_no_entity_is_undefined(sentences, token_accuracy):
    scores = metrics.entities(sentences, sentences)
    found = scores.pop("token_accuracy")
    assert found == token_accuracy if token_accuracy else np.isnan(found)
    assert all(np.isnan(value) for value in scores.values())
    assert set(scores) == {"precision", "recall", "f1"}


def test_tags_outside_the_schemes_make_no_noise():
    scores = metrics.entities([["B-A", "[PAD]"]], [["B-A", "O"]])
    assert scores["precision_A"] == scores["recall_A"] == 1.0


def test_sentences_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="numbers of tags"):
        metrics.entities([["O"], ["O"]], [["O"], ["O", "O"]])


@pytest.mark.parametrize(
    "tags,spans",
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("O I-PER I-LOC", [("PER", 1, 2), ("LOC", 2, 3)]),
        ("S-PER B-LOC M-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 4)]),
        ("O O", []),
    ],
)
def test_entity_spans(tags, spans):
    assert metrics.entity_spans(tags.split()) == spans
