"""The usual Chinese data sets, in the columns of their files."""

from bert_my.tasks import base
from bert_my.tasks.classification import NLI_LABELS, ClassificationTask
from bert_my.tasks.labeling import LabelingTask


class _Pairs:
    """Columns of the data sets of pairs."""

    has_pairs = True
    column_names = {
        "guid": ("id", "guid", "index"),
        "text_a": ("text_a", "sentence1", "premise", "question1", "query1"),
        "text_b": ("text_b", "sentence2", "hypo", "hypothesis", "question2", "query2"),
        "label": ("label", "gold_label"),
    }
    layouts = (("text_a", "text_b", "label"), ("text_a", "text_b"))


@base.register("chnsenticorp")
class ChnSentiCorpTask(ClassificationTask):
    """Sentiment of reviews of hotels, books and computers (Tan and Zhang 2008)."""

    labels = ("0", "1")
    column_names = {
        "guid": ("qid", "id"),
        "text_a": ("text_a", "sentence", "text", "review", "title"),
        "label": ("label",),
    }
    layouts = (("label", "text_a"), ("text_a",))


@base.register("thucnews")
class ThucNewsTask(ClassificationTask):
    """News titles of ten sections (Li et al. 2006).

    Rows are `title<TAB>number`, or, in the whole articles of cnews, `name<TAB>text`;
    the labels are those of the train file.
    """

    files = {
        base.TRAIN: ("train", "cnews.train"),
        base.DEV: ("dev", "cnews.val"),
        base.TEST: ("test", "cnews.test"),
    }


@base.register("lcqmc")
class LcqmcTask(_Pairs, ClassificationTask):
    """Paraphrases of questions (Liu et al. 2018)."""

    labels = ("0", "1")


@base.register("atec")
class AtecTask(_Pairs, ClassificationTask):
    """Paraphrases of questions to a bank's service. Few are: F1 counts."""

    labels = ("0", "1")
    main_metric = "f1"
    files = {**ClassificationTask.files, base.TRAIN: ("train", "atec_nlp_sim_train")}
    layouts = (("guid", "text_a", "text_b", "label"), ("guid", "text_a", "text_b"))


@base.register("ocnli")
class OcnliTask(_Pairs, ClassificationTask):
    """Natural language inference (Hu et al. 2020); `-` is no label."""

    labels = NLI_LABELS
    files = {
        base.TRAIN: ("train", "train.50k", "train.30k", "train.10k"),
        base.DEV: ("dev",),
        base.TEST: ("test",),
    }
    left_out_labels = ("-",)
    # The official folder has the train set in all sizes; the first is whole.
    preferred_files = (base.TRAIN,)


@base.register("xnli")
class XnliTask(_Pairs, ClassificationTask):
    """Natural language inference in Chinese (Conneau et al. 2018).

    The dev and test files hold all languages, of which Chinese is read.
    """

    labels = NLI_LABELS
    files = {
        base.TRAIN: ("multinli/multinli.train.zh", "multinli.train.zh", "train"),
        base.DEV: ("xnli.dev", "dev"),
        base.TEST: ("xnli.test", "test"),
    }
    column_names = {**_Pairs.column_names, "language": ("language",)}
    # The spelling of the translated train file.
    label_aliases = {"contradictory": "contradiction"}
    left_out_labels = ("-",)
    kept_rows = ("language", "zh")
    # The translated train file has a folder of its own; the first name found is read.
    preferred_files = (base.TRAIN,)


@base.register("dbqa")
class DbqaTask(_Pairs, ClassificationTask):
    """Candidate sentences that answer a question or not (NLPCC-ICCPOL 2016 DBQA).

    Candidates are ranked within their question, by the probability of label 1.
    """

    labels = ("0", "1")
    main_metric = "mrr"
    column_names = {
        "group": ("qid", "question_id"),
        "text_a": ("text_a", "question"),
        "text_b": ("text_b", "answer", "sentence"),
        "label": ("label",),
    }
    group_field = "group"


@base.register("msra_ner")
class MsraNerTask(LabelingTask):
    """Persons, places and organisations in Chinese news (Levow 2006).

    There is no dev set: by default the last 2,000 sentences of the train file are it.
    """

    defaults = {"num_dev_examples": 2000}
    dev_is_last = True
    files = {
        **LabelingTask.files,
        base.TRAIN: ("train", "msra_train_bio"),
        base.TEST: ("test", "msra_test_bio"),
    }
