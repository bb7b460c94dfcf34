"""The family of tasks that give a text any number of labels.

A row's label cell is read by `labels.AnyLabels`. Or each label has a column of its own,
with a 0 or 1.
"""

from bert_my import metrics
from bert_my.data import labels
from bert_my.tasks import base
from bert_my.tasks.text import SINGLE_TEXT_LAYOUTS, TextTask
from bert_my.text import postprocessor


class MultiLabelTask(TextTask):
    """Texts with any number of labels; `metrics` are given zeros and ones."""

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
    layouts = SINGLE_TEXT_LAYOUTS
