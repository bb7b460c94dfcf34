"""The family of tasks that give one or two texts a number."""

from bert_my import metrics
from bert_my.data import labels
from bert_my.tasks import base
from bert_my.tasks.text import TextTask
from bert_my.text import postprocessor


class RegressionTask(TextTask):
    """Texts with a number each; the loss is the squared error."""

    objectives = ("mse",)
    labels_class = labels.Number
    postprocessor_class = postprocessor.Number
    scored_output = "prediction"
    meaningless_options = ("labels", "num_labels")
    main_metric = "spearman"
    metrics = (metrics.correlations, metrics.errors)


@base.register("regression")
class TableRegressionTask(RegressionTask):
    """Any texts or pairs with a number: a click-through rate, a similarity.

    Rows are `id,text,number`, `text,number`, `id,text_a,text_b,number` or
    `text_a,text_b,number`, or have a header with these names.
    """

    has_pairs = None
    column_names = {
        "guid": ("id", "guid", "index"),
        "text_a": ("text_a", "text", "title", "sentence", "sentence1", "content"),
        "text_b": ("text_b", "sentence2"),
        "label": ("label", "score", "ctr", "target", "value"),
    }
    layouts = (
        ("guid", "text_a", "text_b", "label"),
        ("guid", "text_a", "label"),
        ("text_a", "text_b", "label"),
        ("text_a", "label"),
        ("guid", "text_a", "text_b"),
        ("guid", "text_a"),
        ("text_a", "text_b"),
        ("text_a",),
    )
