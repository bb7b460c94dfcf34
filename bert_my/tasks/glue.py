"""The GLUE tasks (Wang et al. 2019).

In the columns of their official files, in which quotes are characters and the test
sets have no labels; or as csv, tsv or JSON lines with the columns of the `glue` sets of
Hugging Face, whose labels are ids or names, and -1 in the test sets.
"""

from bert_my.data.tables import TABS
from bert_my.tasks import base
from bert_my.tasks.classification import NLI_LABELS, ClassificationTask
from bert_my.tasks.regression import RegressionTask

_BINARY = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")
# The official files have no such column, and those of Hugging Face do.
_EXPORT_NAMES = ("idx",)


def _pair(text_a, text_b, label="label"):
    """Returns `column_names`; texts may have the names of Hugging Face's, too."""
    return {
        "guid": ("index", "id", "idx"),
        "text_a": (text_a, "sentence1", "premise", "text1", "text_a"),
        "text_b": (text_b, "sentence2", "hypothesis", "text2", "text_b"),
        "label": (label, "label"),
    }


def _numbered(*names):
    """Returns `label_aliases` of names whose numbers from 0 are in the files too."""
    return {str(number): name for number, name in enumerate(names)}


def _named(*names):
    """Returns `label_aliases` of numbers from 0 whose names are in the files too."""
    return {name: str(number) for number, name in enumerate(names)}


class _Sentences:
    """Columns of the data sets of single sentences."""

    table_dialect = TABS
    export_names = _EXPORT_NAMES
    column_names = {
        "guid": ("index", "id", "idx"),
        "text_a": ("sentence", "text", "text_a"),
        "label": ("label",),
    }


class _Pairs:
    """Columns of the data sets of pairs."""

    table_dialect = TABS
    export_names = _EXPORT_NAMES
    has_pairs = True
    column_names = _pair("sentence1", "sentence2")


@base.register("cola")
class ColaTask(_Sentences, ClassificationTask):
    """Grammatical acceptability of a sentence (Warstadt et al. 2018)."""

    labels = _BINARY
    label_aliases = _named("unacceptable", "acceptable")
    main_metric = "mcc"
    layouts = ((None, "label", None, "text_a"),)


class _Mnli(_Pairs):
    """Natural language inference over genres."""

    labels = NLI_LABELS
    label_aliases = _numbered("entailment", "neutral", "contradiction")
    column_names = _pair("sentence1", "sentence2", "gold_label")
    left_out_labels = ("-",)


@base.register("mnli")
class MnliTask(_Mnli, ClassificationTask):
    """Natural language inference, matched genres (Williams et al. 2018)."""

    files = {
        **ClassificationTask.files,
        base.DEV: ("dev_matched", "validation_matched", "dev"),
        base.TEST: ("test_matched", "test"),
    }


@base.register("mnli-mm")
class MnliMismatchedTask(_Mnli, ClassificationTask):
    """Natural language inference, mismatched genres (Williams et al. 2018)."""

    files = {
        **ClassificationTask.files,
        base.DEV: ("dev_mismatched", "validation_mismatched", "dev"),
        base.TEST: ("test_mismatched", "test"),
    }


@base.register("mrpc")
class MrpcTask(_Pairs, ClassificationTask):
    """Paraphrases of sentences (Dolan and Brockett 2005)."""

    labels = _BINARY
    label_aliases = _named("not_equivalent", "equivalent")
    column_names = _pair("#1 string", "#2 string", "quality")
    main_metric = "f1"
    files = {**ClassificationTask.files, base.TEST: ("test", "test_labelled")}


@base.register("qqp")
class QqpTask(_Pairs, ClassificationTask):
    """Paraphrases of questions on Quora. Line ends break some of its rows."""

    labels = _BINARY
    label_aliases = _named("not_duplicate", "duplicate")
    column_names = _pair("question1", "question2", "is_duplicate")
    main_metric = "f1"
    leaves_out_broken_rows = True


@base.register("sst2")
class Sst2Task(_Sentences, ClassificationTask):
    """Sentiment of phrases of film reviews (Socher et al. 2013)."""

    labels = _BINARY
    label_aliases = _named("negative", "positive")
    files = {**ClassificationTask.files, base.TEST: ("test", "test_labelled")}


@base.register("qnli")
class QnliTask(_Pairs, ClassificationTask):
    """Answers to questions, as entailment (Rajpurkar et al. 2016)."""

    labels = _ENTAILMENT
    label_aliases = _numbered(*_ENTAILMENT)
    column_names = _pair("question", "sentence")


@base.register("rte")
class RteTask(_Pairs, ClassificationTask):
    """Textual entailment (Bentivogli et al. 2009)."""

    labels = _ENTAILMENT
    label_aliases = _numbered(*_ENTAILMENT)


@base.register("wnli")
class WnliTask(_Pairs, ClassificationTask):
    """Resolution of pronouns (Levesque et al. 2012)."""

    labels = _BINARY
    label_aliases = _named("not_entailment", "entailment")


@base.register("stsb")
class StsbTask(_Pairs, RegressionTask):
    """Similarity of two sentences, 0 to 5 (Cer et al. 2017)."""

    column_names = _pair("sentence1", "sentence2", "score")
    main_metric = "pearson"
