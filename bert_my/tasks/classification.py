"""The family of tasks that give one or two texts one of several labels."""

from bert_my import metrics
from bert_my.data import labels
from bert_my.tasks import base
from bert_my.tasks.text import TextTask
from bert_my.text import postprocessor

# With more labels than this their own scores would hide the others.
MAX_SCORED_LABELS = 50


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


@base.register("csv")
class CsvTask(ClassificationTask):
    """Any csv, tsv or JSON lines: texts, or pairs, with the labels of the train file.

    `--text_column`, `--text_pair_column` and `--label_column` name the columns, or
    number them from 1, where names or contents do not tell.
    """
