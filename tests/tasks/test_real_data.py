"""Real data: every task reads as many rows and labels as the data sets have."""

import collections
import csv

import pytest
from seqeval.metrics import sequence_labeling

from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from tests import helpers

pytestmark = pytest.mark.once

pytestmark = helpers.needs_shared_data

NLI = ("entailment", "neutral", "contradiction")
# Task, folder, split, number of rows with each label.
COUNTS = [
    ("chnsenticorp", "chnsenticorp", "train", {"0": 4801, "1": 4799}),
    ("chnsenticorp", "chnsenticorp", "dev", {"0": 607, "1": 593}),
    ("chnsenticorp", "chnsenticorp", "test", {"0": 592, "1": 608}),
    ("lcqmc", "lcqmc", "dev", {"0": 4400, "1": 4402}),
    ("lcqmc", "lcqmc", "test", {"0": 6250, "1": 6250}),
    ("atec", "atec", "train", {"0": 30797, "1": 8549}),
    ("xnli", "xnli_zh", "dev", dict.fromkeys(NLI, 830)),
    ("xnli", "xnli_zh", "test", dict.fromkeys(NLI, 1670)),
    ("ocnli", "ocnli", "train", dict(zip(NLI, (3309, 3434, 3242)))),
    ("ocnli", "ocnli", "dev", dict(zip(NLI, (947, 1103, 900)))),
    ("thucnews", "thucnews_title", "dev", {str(i): 1000 for i in range(10)}),
    ("thucnews", "thucnews_title", "test", {str(i): 1000 for i in range(10)}),
    ("sst2", "sst2", "train", {"0": 29780, "1": 37569}),
    ("sst2", "sst2", "dev", {"0": 428, "1": 444}),
    ("sst2", "sst2", "test", {"0": 912, "1": 909}),
    ("qnli", "qnli", "train", {"entailment": 4523, "not_entailment": 4476}),
    ("qnli", "qnli", "dev", {"entailment": 2702, "not_entailment": 2761}),
    ("mrpc", "mrpc", "train", {"0": 1194, "1": 2474}),
    ("mrpc", "mrpc", "dev", {"0": 129, "1": 279}),
    ("mrpc", "mrpc", "test", {"0": 578, "1": 1147}),
    ("mnli", "mnli_sample", "train", dict(zip(NLI, (3061, 2980, 2958)))),
    ("mnli", "mnli_sample", "dev", dict(zip(NLI, (347, 333, 320)))),
    ("dbqa", "wikiqa", "train", {"0": 20360 - 1040, "1": 1040}),
    ("dbqa", "wikiqa", "dev", {"0": 2733 - 140, "1": 140}),
    ("dbqa", "wikiqa", "test", {"0": 6165 - 293, "1": 293}),
]
# Files of which `csv` must tell the columns by itself; it reads every row.
TOLD_BY_CONTENTS = [
    *[row for row in COUNTS if row[1] in ("chnsenticorp", "atec", "mnli_sample")],
    *[row for row in COUNTS if row[1] in ("thucnews_title", "wikiqa", "qnli")],
]


def make_task(tiny_model, name, folder, **options):
    return helpers.make_task(
        tiny_model,
        helpers.SHARED_DATA / folder,
        name,
        options=TaskOptions(**options),
    )


@pytest.mark.parametrize(("name", "folder", "split", "counts"), COUNTS)
def test_counts(tiny_model, name, folder, split, counts):
    examples = make_task(tiny_model, name, folder).read_examples(split)
    assert collections.Counter(each.label for each in examples) == counts


@pytest.mark.parametrize(("name", "folder", "split", "counts"), TOLD_BY_CONTENTS)
def test_csv_tells_the_same(tiny_model, name, folder, split, counts):
    found = make_task(tiny_model, "csv", folder)
    declared = make_task(tiny_model, name, folder)
    assert [each[:3] for each in found.read_examples(split)] == [
        each[:3] for each in declared.read_examples(split)
    ]


def test_csv_reads_what_ocnli_leaves_out(tiny_model):
    path = str(helpers.SHARED_DATA / "ocnli" / "train.10k.json.gz")
    task = make_task(tiny_model, "csv", "ocnli", train_file=path)
    labels = collections.Counter(e.label for e in task.read_examples(base.TRAIN))
    assert labels == {"-": 15, **dict(zip(NLI, (3309, 3434, 3242)))}


def test_clickbait_titles(tiny_model):
    task = make_task(tiny_model, "info", "clickbait_titles")
    splits = (base.TRAIN, base.DEV, base.TEST)
    labels = [each.label for split in splits for each in task.read_examples(split)]
    assert collections.Counter(labels) == {"1": 15999, "0": 16001}


def test_thucnews_train_file(tiny_model):
    flags = {"class_weights": "auto"}
    task = make_task(tiny_model, "thucnews", "thucnews_title", **flags)
    counts, total = task.schema.counts
    assert total == 33590
    assert task.labels == tuple(str(index) for index in range(10))
    assert (min(counts.values()), max(counts.values())) == (3304, 3445)


@pytest.mark.parametrize(
    ("name", "folder", "split", "order", "settings"),
    [
        ("chnsenticorp", "chnsenticorp", "test", "lt", {"delimiter": ";"}),
        ("chnsenticorp", "chnsenticorp", "dev", "tl", {"lineterminator": "\r\n"}),
        ("mrpc", "mrpc", "train", "tpl", {"quoting": csv.QUOTE_ALL}),
        ("qnli", "qnli", "dev", "ltp", {"delimiter": "|"}),
        ("info", "clickbait_titles", "dev", "lt", {}),
        ("xnli", "xnli_zh", "test", "tlp", {"delimiter": "\t"}),
    ],
)
@pytest.mark.parametrize("header", [None, {"t": "甲", "p": "乙", "l": "label"}])
def test_other_layouts(
    tiny_model, tmp_path, name, folder, split, order, settings, header
):
    examples = list(make_task(tiny_model, name, folder).read_examples(split))
    path = tmp_path / "train.csv"
    with open(str(path), "w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, **{"lineterminator": "\n", **settings})
        if header:
            writer.writerow([header[role] for role in order])
        for each in examples:
            cells = {"t": each.text_a, "p": each.text_b, "l": each.label}
            writer.writerow([cells[role] for role in order])
    task = make_task(tiny_model, "csv", folder, train_file=str(path))
    found = [each[:3] for each in task.read_examples(base.TRAIN)]
    assert found == [each[:3] for each in examples]


def test_msra_ner(tiny_model):
    tags = ["O", *(f"{part}-{kind}" for part in "BI" for kind in ("PER", "LOC", "ORG"))]
    task = make_task(tiny_model, "msra_ner", "msra_ner", labels=",".join(tags))
    lengths = [len(each.tokens) for each in task.read_examples(base.TRAIN)]
    assert (len(lengths), max(lengths)) == (50658, 100)
    assert round(sum(lengths) / 1e6, 2) == 2.17
    sentences = list(task.read_examples(base.TEST))
    lengths = [len(each.tokens) for each in sentences]
    assert (len(lengths), sum(lengths), max(lengths)) == (3442, 172601, 2427)
    entities = sequence_labeling.get_entities([list(each.tags) for each in sentences])
    counts = collections.Counter(kind for kind, _, _ in entities)
    assert counts == {"PER": 1973, "LOC": 2886, "ORG": 1331}
    longest = max(sentences, key=lambda each: len(each.tokens))
    (windows,) = task.encode([longest])
    found = [
        tags[label_id - 1]
        for row in windows
        for label_id in row.features["label_ids"]
        if label_id
    ]
    assert found == list(longest.tags)
