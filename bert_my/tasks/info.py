"""CTR titles: is a title clicked? Rows `id,title,label`; metric AUC.

The files are `train`, `eval` (or `dev`) and, if there is one, `test`, as csv or tsv.
They need no header; with one, the columns may stand in any order. Two columns are title
and label. `test` may leave the label out: `id,title`, or `title` alone.
"""

from bert_my.tasks import base
from bert_my.tasks.classification import ClassificationTask
from bert_my.tasks.text import SINGLE_TEXT_LAYOUTS


@base.register("info")
class InfoTask(ClassificationTask):
    """Click-through rate of titles as a two-class problem."""

    labels = ("0", "1")
    main_metric = "auc"
    files = {base.TRAIN: ("train",), base.DEV: ("eval", "dev"), base.TEST: ("test",)}
    column_names = {
        "guid": ("id", "guid", "index", "编号"),
        "text_a": ("title", "text", "text_a", "sentence", "content", "标题"),
        "label": ("label", "click", "clicked", "is_click", "标签"),
    }
    layouts = SINGLE_TEXT_LAYOUTS
