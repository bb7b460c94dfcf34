"""Sentence pairs with one of three labels, as in sentiment towards a target.

Rows are `id<TAB>text_a<TAB>text_b<TAB>label`, or the same without `id`.
"""

from bert_my.tasks import base
from bert_my.tasks.classification import ClassificationTask


@base.register("sentiment")
class SentimentTask(ClassificationTask):
    """Pairs with three labels; `--labels` names others."""

    # "negtive" is how the files of this task spell it.
    labels = ("positive", "negtive", "neutral")
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
