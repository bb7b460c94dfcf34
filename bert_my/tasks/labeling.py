"""The family of tasks that give each token of a sentence a tag: NER and its like.

Sentences that are longer than `max_seq_length` are read in overlapping windows, so no
token is lost: each is tagged in the window in which it has the most context.
"""

import logging

from bert_my import metrics
from bert_my.data.tagged import TaggedSchema
from bert_my.tasks import base
from bert_my.tasks.text import TextTask
from bert_my.text import postprocessor, tag_schemes
from bert_my.text.preprocessor import TokenPreprocessor

logger = logging.getLogger(__name__)


class LabelingTask(TextTask):
    """Sentences with a tag for each token; the tags are those of the train file.

    In `label_ids` 0 stands for tokens that are not scored: special ones, the later
    pieces of a token, and tokens that belong to another window. Tag number n is n + 1.
    """

    objectives = ("crf", "token")
    default_head = "sequence"
    schema_class = TaggedSchema
    postprocessor_class = postprocessor.Tags
    metrics = (metrics.entities,)
    meaningless_options = ("text_pair_column", "quoting")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        scheme, types = tag_schemes.find_scheme(self.labels)
        # Entities decide, if the tags mark some.
        self.main_metric = "f1" if scheme else "token_accuracy"
        logger.info(
            "Tags: %s; %s",
            ", ".join(self.labels),
            f"{scheme} with the types {', '.join(types) or '(none)'}"
            if scheme
            else "they do not mark entities",
        )
        odd = tag_schemes.odd_tags(self.labels)
        if odd:
            logger.warning(
                "Task %s: most tags look like those of entities, but %s do not fit "
                "with the others into BIO, BIOES, BMES or BILOU; so there are NO "
                "SCORES OF ENTITIES, only of tokens",
                self.name,
                ", ".join(map(repr, odd)),
            )
        nested = tag_schemes.nested_tags(self.labels)
        if nested:
            logger.warning(
                "Task %s: %d tags, such as %r, are several in one, as of nested "
                "entities; each is learnt and scored as a tag of its own",
                self.name,
                len(nested),
                nested[0],
            )

    def make_preprocessor(self, inputs):
        return TokenPreprocessor(inputs.tokenizer, inputs.max_seq_length)

    def encode(self, examples):
        encoded = self.preprocessor.encode(examples)
        for example, rows in zip(examples, encoded):
            # Without a tag it can only be predicted, where the id is not used.
            tags = iter(example.tags or [None] * len(example.tokens))
            for row in rows:
                label_ids = [0] * len(row.features["input_ids"])
                for position in row.about["positions"]:
                    label_ids[position] = self.schema.labels.value(next(tags)) + 1
                row.features["label_ids"] = label_ids
        return encoded

    def labels_of(self, example):
        return example.tags

    def has_label(self, example):
        return bool(example.tags) and set(example.tags) <= set(self.labels)

    def score(self, pairs):
        targets, predictions = zip(
            *((list(example.tags), result["tags"]) for example, result in pairs)
        )
        return metrics.entities(targets, predictions, self.labels)


@base.register("punct")
class PunctTask(LabelingTask):
    """Punctuation: the tag of a token is the mark behind it; files as for `ner`."""


@base.register("ner")
class NerTask(LabelingTask):
    """Any entities, in files `train`, `dev` and `test` of tagged tokens."""
