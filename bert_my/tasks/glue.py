"""The GLUE tasks (Wang et al. 2019) in the columns of their official files.

Their test files have no labels. Quotes in them are characters.
"""

from bert_my.data.tables import TABS
from bert_my.tasks import base
from bert_my.tasks.classification import ClassificationTask
from bert_my.tasks.regression import RegressionTask

_PAIR = {"has_pairs": True}
_NLI = ("contradiction", "entailment", "neutral")
_NOT_ENTAILED = ("entailment", "not_entailment")


def _names(text_a, text_b=None, label="label", guid="index"):
    """Returns `column_names` for a header with these names."""
    names = {"guid": (guid, "id"), "text_a": (text_a,), "label": (label, "label")}
    return {**names, "text_b": (text_b,)} if text_b else names


def _files(**stems):
    return {**ClassificationTask.files, **stems}


def _register(name, family, doc, **attributes):
    """Registers a task that only differs from its family in what it declares."""
    body = {"__doc__": doc, "__module__": __name__, "table_dialect": TABS, **attributes}
    class_name = name.replace("-", " ").title().replace(" ", "") + "Task"
    return base.register(name)(type(class_name, (family,), body))


_register(
    "cola",
    ClassificationTask,
    "Is a sentence grammatical? (Warstadt et al. 2018)",
    labels=("0", "1"),
    main_metric="mcc",
    column_names=_names("sentence"),
    layouts=((None, "label", None, "text_a"),),
)
for _name, _suffix in (("mnli", "matched"), ("mnli-mm", "mismatched")):
    _register(
        _name,
        ClassificationTask,
        f"Does a text entail another, {_suffix} genres? (Williams et al. 2018)",
        **_PAIR,
        labels=_NLI,
        files=_files(dev=(f"dev_{_suffix}", "dev"), test=(f"test_{_suffix}", "test")),
        column_names=_names("sentence1", "sentence2", "gold_label"),
        left_out_labels=("-",),
    )
_register(
    "mrpc",
    ClassificationTask,
    "Do two sentences say the same? (Dolan and Brockett 2005)",
    **_PAIR,
    labels=("0", "1"),
    main_metric="f1",
    files=_files(test=("test", "test_labelled")),
    column_names=_names("#1 string", "#2 string", "quality"),
)
_register(
    "qqp",
    ClassificationTask,
    "Do two questions on Quora ask the same? Line ends break some of its rows.",
    **_PAIR,
    leaves_out_broken_rows=True,
    labels=("0", "1"),
    main_metric="f1",
    column_names=_names("question1", "question2", "is_duplicate", "id"),
)
_register(
    "sst2",
    ClassificationTask,
    "Is a phrase of a film review positive? (Socher et al. 2013)",
    labels=("0", "1"),
    files=_files(test=("test", "test_labelled")),
    column_names=_names("sentence"),
)
_register(
    "qnli",
    ClassificationTask,
    "Does a sentence answer a question? (Rajpurkar et al. 2016)",
    **_PAIR,
    labels=_NOT_ENTAILED,
    column_names=_names("question", "sentence"),
)
_register(
    "rte",
    ClassificationTask,
    "Does a text entail another? (Bentivogli et al. 2009)",
    **_PAIR,
    labels=_NOT_ENTAILED,
    column_names=_names("sentence1", "sentence2"),
)
_register(
    "wnli",
    ClassificationTask,
    "Is a pronoun resolved rightly? (Levesque et al. 2012)",
    **_PAIR,
    labels=("0", "1"),
    column_names=_names("sentence1", "sentence2"),
)
_register(
    "stsb",
    RegressionTask,
    "How similar are two sentences, 0 to 5? (Cer et al. 2017)",
    **_PAIR,
    main_metric="pearson",
    column_names=_names("sentence1", "sentence2", "score"),
)
