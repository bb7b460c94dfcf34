"""Any csv, tsv or JSON lines without code: what a file is like is found out."""

from bert_my.tasks import base
from bert_my.tasks.classification import ClassificationTask


@base.register("csv")
class CsvTask(ClassificationTask):
    """Texts, or pairs, with the labels that the train file has.

    `--text_column`, `--text_pair_column` and `--label_column` name the columns, or
    number them from 1, where names or contents do not tell.
    """
