"""Families of tasks that give texts one of several labels, or any number of them.

Tables of users are the tasks `csv`, `info`, `sentiment` and `mlabel`. Published data
sets are in `glue.py` and `chinese.py`.
"""

from bert_my import metrics
from bert_my.data import labels
from bert_my.tasks import base
from bert_my.tasks.text import TextTask
from bert_my.text import postprocessor

# With more labels than this their own scores would hide the others.
MAX_SCORED_LABELS = 50
# Natural language inference: what one text says of another.
NLI_LABELS = ("contradiction", "entailment", "neutral")
_SINGLE_TEXT_LAYOUTS = (
    ("guid", "text_a", "label"),
    ("text_a", "label"),
    ("guid", "text_a"),
    ("text_a",),
)


class ClassificationTask(TextTask):
    """Texts with one of several labels."""

    objectives = ("softmax",)
    labels_class = labels.OneLabel
    postprocessor_class = postprocessor.OneLabel
    metrics = (
        metrics.accuracy,
        metrics.precision_recall_f1,
        metrics.f1_averages,
        metrics.auc,
        metrics.average_precision,
        metrics.log_loss,
        metrics.mcc,
        metrics.per_label,
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if len(self.labels) > MAX_SCORED_LABELS:
            self.metrics = [each for each in self.metrics if not each.is_by_label]


class MultiLabelTask(TextTask):
    """Texts with any number of labels; `metrics` are given zeros and ones.

    A row's label cell is read by `labels.AnyLabels`. Or each label has a column of its
    own, with a 0 or 1.
    """

    objectives = ("sigmoid",)
    labels_class = labels.AnyLabels
    postprocessor_class = postprocessor.AnyLabels
    main_metric = "f1_micro"
    metrics = (
        metrics.accuracy,
        metrics.multilabel_f1,
        metrics.multilabel_auc,
        metrics.multilabel_average_precision,
        metrics.multilabel_log_loss,
        metrics.per_label,
    )


@base.register("csv")
class CsvTask(ClassificationTask):
    """Any csv, tsv or JSON lines: texts, or pairs, with the labels of the train file.

    `--text_column`, `--text_pair_column` and `--label_column` name the columns, or
    number them from 1, where names and contents are not clear.
    """


@base.register("info")
class InfoTask(ClassificationTask):
    """Click-through rate (CTR) of titles as a two-class problem: is a title clicked?

    Rows are `id,title,label`; the metric is AUC. The files are `train`, `eval` (or
    `dev`) and, if there is one, `test`, as csv or tsv. They need no header; with one,
    the columns may stand in any order. Two columns are title and label. `test` may
    leave the label out: `id,title`, or `title` alone.
    """

    labels = ("0", "1")
    main_metric = "auc"
    files = {base.TRAIN: ("train",), base.DEV: ("eval", "dev"), base.TEST: ("test",)}
    column_names = {
        "guid": ("id", "guid", "index", "编号"),
        "text_a": ("title", "text", "text_a", "sentence", "content", "标题"),
        "label": ("label", "click", "clicked", "is_click", "标签"),
    }
    layouts = _SINGLE_TEXT_LAYOUTS


@base.register("sentiment")
class SentimentTask(ClassificationTask):
    """Pairs with one of three labels, as in sentiment towards a target.

    Rows are `id<TAB>text_a<TAB>text_b<TAB>label`, or the same without `id`. `--labels`
    names other labels.
    """

    labels = ("positive", "negative", "neutral")
    # The files of this task, and models that were trained on them, spell it "negtive".
    label_aliases = {"negtive": "negative", "negative": "negtive"}
    has_pairs = True
    column_names = {
        "guid": ("id", "guid", "index"),
        "text_a": ("text_a", "sentence1", "premise"),
        "text_b": ("text_b", "sentence2", "hypothesis"),
        "label": ("label", "gold_label"),
    }
    layouts = (
        ("guid", "text_a", "text_b", "label"),
        ("text_a", "text_b", "label"),
        ("guid", "text_a", "text_b"),
        ("text_a", "text_b"),
    )


@base.register("mlabel")
class MlabelTask(MultiLabelTask):
    """Any texts with any number of labels: `--num_labels` or `--labels`.

    Rows are `id,text,labels` or `text,labels`; quote labels that hold commas in a csv.
    Or a header names a column for each label, `id,text,toxic,threat`, with a 0 or 1 in
    each row: those of `--labels`, or the `--num_labels` columns behind the text.
    """

    column_names = {
        "guid": ("id", "guid", "index", "idx"),
        "text_a": (
            "text",
            "text_a",
            "content",
            "sentence",
            "title",
            "comment_text",
            "comment",
        ),
        "label": ("labels", "label", "tags"),
    }
    layouts = _SINGLE_TEXT_LAYOUTS
