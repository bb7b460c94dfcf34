"""The family of tasks that give each token of a sentence a tag: NER and its like.

Sentences that are longer than `max_seq_length` are read in overlapping windows, so no
token is lost: each is tagged in the window in which it has the most context.
"""

import collections
import itertools
import logging

import numpy as np

from bert_my import metrics
from bert_my.common.errors import InputError
from bert_my.data import column_roles, tagged
from bert_my.data.features import EncodedExample, FeatureSpec
from bert_my.tasks import base, text_task
from bert_my.tasks import labels as labels_lib
from bert_my.text import tag_schemes, windows

logger = logging.getLogger(__name__)

SAMPLE_SIZE = 50  # sentences of an untagged file that are looked at first


class LabelingTask(text_task.TextTask):
    """Sentences with a tag for each token; the tags are those of the train file.

    In `label_ids` 0 stands for what is not scored: special tokens, the later pieces of
    a token, and tokens that belong to another window. Tag number n is n + 1.
    """

    kind = "labeling"
    objectives = ("crf", "token")
    default_head = "sequence"
    meaningless_options = ("text_column", "text_pair_column", "label_column")
    labels = ()
    scored_targets = ("label_ids", "starts_sentence")
    scored_predictions = ("label",)
    start_spec = FeatureSpec("starts_sentence", (), is_input=False)
    _found_layout = None
    _warned_of_unknown = False

    @property
    def feature_specs(self):
        return (*super().feature_specs, self.start_spec)

    def find_labels(self):
        labels = labels_lib.choose(self, self.labels, self._collect)
        scheme, types = tag_schemes.find_scheme(labels)
        logger.info(
            "Tags: %s; %s",
            ", ".join(labels),
            f"{scheme} with the types {', '.join(types) or '(none)'}"
            if scheme
            else "they do not mark entities",
        )
        odd = tag_schemes.odd_tags(labels)
        if odd:
            logger.warning(
                "Task %s: most tags look like those of entities, but %s do not fit "
                "with the others into BIO, BIOES, BMES or BILOU; so there are NO "
                "SCORES OF ENTITIES, only of tokens",
                self.name,
                ", ".join(map(repr, odd)),
            )
        return labels

    @property
    def layout(self):
        """`tagged.Layout` of the train file, or of that of the trained model, or None.

        Files of other splits are read like it, as some could be read in two ways.
        """
        if self._found_layout is None and self.saved.get("layout") is not None:
            self._found_layout = tagged.Layout(**self.saved["layout"])
        if self._found_layout is None:
            paths = self.find_files(base.TRAIN)
            if paths:
                self._found_layout = tagged.find_layout(paths[0], needs_tags=True)
        return self._found_layout

    @property
    def description(self):
        layout = self.layout and self.layout._asdict()
        return {**super().description, "layout": layout}

    @property
    def encoding_settings(self):
        return {**super().encoding_settings, "layout": self.layout}

    @property
    def main_metric(self):
        """Entities decide, if the tags mark some."""
        return "f1" if tag_schemes.find_scheme(self.label_list)[0] else "token_accuracy"

    def _collect(self):
        path = labels_lib.train_file(self, "tags", "labels")
        sentences = tagged.read_sentences(path, True, base.TRAIN)
        return tag_schemes.complete({tag for each in sentences for tag in each.tags})

    def read_file(self, path, split):
        """Yields the `tagged.Sentence`s of a file; see `Task.read_file`.

        A test file may have tags that are no labels: it is only predicted.
        """
        unknown = collections.Counter()
        sentences = tagged.read_sentences(path, split != base.TEST, split, self.layout)
        sample = list(itertools.islice(sentences, SAMPLE_SIZE))
        self._check_untagged(path, [each for each in sample if each.tags is None])
        for sentence in itertools.chain(sample, sentences):
            for offset, tag in enumerate(sentence.tags or ()):
                if tag in self.label_map:
                    continue
                if split != base.TEST:
                    raise InputError(
                        f"{path}:{sentence.line_of(offset)}: tag {tag!r} is not one of "
                        f"{', '.join(self.label_list)}; --labels can name them all"
                    )
                unknown[tag] += 1
            yield sentence
        if unknown and not self._warned_of_unknown:
            self._warned_of_unknown = True
            logger.warning(
                "%s: %d tokens have tags that the model does not know: %s",
                path,
                sum(unknown.values()),
                ", ".join(sorted(unknown)),
            )

    def _check_untagged(self, path, sentences):
        """Refuses tags that another separator hides, and texts read as one token.

        Args:
          path: for errors.
          sentences: the first `tagged.Sentence`s, if they have no tags.
        """
        tokens = [token for each in sentences for token in each.tokens]
        if not tokens:
            return
        where = f"{path}:{sentences[0].line}: {tokens[0]!r}"
        if column_roles.num_words(tokens) >= column_roles.WORDS_OF_A_TEXT:
            way = "a token on each line, and an empty line between sentences"
            if self.layout and self.layout.is_by_sentence:
                way = "a blank between tokens, and a sentence on each line"
            raise InputError(
                f"{where} would be one token; a file without tags needs {way}"
            )
        words = [token.split(" ") for token in sentences[0].tokens]
        if all(len(parts) > 1 and parts[-1] in self.label_map for parts in words):
            raise InputError(
                f"{where} looks like a token and its tag, but in the train file a tab "
                "separates them"
            )

    def count_labels(self):
        """Returns (counts, number of tokens); see `Task.count_labels`.

        The count is None for a tag that no token has, but others of its scheme.
        """
        counts = collections.Counter()
        for sentence in self.read_examples(base.TRAIN):
            counts.update(sentence.tags)
        total = sum(counts.values())
        return {**dict.fromkeys(tag_schemes.complete(counts)), **counts}, total

    def encode_batch(self, examples):
        """Returns the `EncodedExample` of each window of each sentence, in order."""
        tokens = list(dict.fromkeys(t for each in examples for t in each.tokens))
        (unknown,) = self.tokenizer.convert_tokens_to_ids(["[UNK]"])
        room = self.max_seq_length - 2
        # A blank or a control character has no pieces, yet it has a tag.
        pieces = {
            token: ids[:room] or [unknown]
            for token, ids in zip(tokens, self.tokenizer.encode_ids(tokens))
        }
        return [
            self._encode_window(example, pieces, window)
            for example in examples
            for window in windows.cut(
                [len(pieces[token]) for token in example.tokens], room, room // 4
            )
        ]

    def _encode_window(self, example, pieces, window):
        cls_id, sep_id = self.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
        input_ids, token_mask, label_ids = [cls_id], [0], [0]
        for index in range(window.begin, window.end):
            ids = pieces[example.tokens[index]]
            label_id = 0
            if window.first <= index < window.last:
                # Without a tag it can only be predicted, where the id is not used.
                tag = example.tags[index] if example.tags else None
                label_id = self.label_map.get(tag, 0) + 1
            rest = [0] * (len(ids) - 1)
            input_ids += ids
            token_mask += [1, *rest]
            label_ids += [label_id, *rest]
        input_ids.append(sep_id)
        features = {
            "input_ids": input_ids,
            "input_mask": [1] * len(input_ids),
            "segment_ids": [0] * len(input_ids),
            "token_mask": [*token_mask, 0],
            "label_ids": [*label_ids, 0],
            "starts_sentence": int(window.first == 0),
        }
        return EncodedExample(features, num_cut_tokens=0)

    def scored(self, targets, predictions):
        label_ids = targets["label_ids"]
        is_scored = label_ids > 0
        # [number of tokens]: whether a token is the first of its sentence.
        is_first = np.zeros(is_scored.sum(), bool)
        row_starts = np.cumsum([0, *is_scored.sum(-1)[:-1]])
        is_first[row_starts[targets["starts_sentence"] > 0]] = True
        return (
            {"label_ids": label_ids[is_scored] - 1, "is_first": is_first},
            {"label": predictions["label"][is_scored]},
        )

    def score(self, targets, predictions):
        borders = np.flatnonzero(targets["is_first"])[1:]
        names = np.array(self.label_list, object)
        sentences = [
            [part.tolist() for part in np.split(names[label_ids], borders)]
            for label_ids in (targets["label_ids"], predictions["label"])
        ]
        return metrics.entities(*sentences, self.label_list)

    def perfect_scored(self):
        label_ids = np.arange(len(self.label_list))
        return {"label_ids": label_ids, "is_first": label_ids == 0}, {
            "label": label_ids
        }

    @property
    def prediction_headers(self):
        return {
            "predict.txt": None,
            "predictions.tsv": ["index", "guid", "token", "label", "predicted_label"],
        }

    def format_predictions(self, examples, rows):
        """Yields a line for each token; sentences are parted by blank ones.

        The blank lines are in predict.txt only. See `Task.format_predictions`.
        """
        for index, example in enumerate(examples):
            predicted = []
            for encoded in self.encode_batch([example]):
                label_ids = next(rows)["label"]
                predicted += [
                    self.label_list[label_ids[position]]
                    for position, scored in enumerate(encoded.features["label_ids"])
                    if scored
                ]
            tags = example.tags or [""] * len(example.tokens)
            for token, tag, predicted_tag in zip(example.tokens, tags, predicted):
                known = [index, example.guid, token, tag]
                yield {
                    "predict.txt": [token, predicted_tag],
                    "predictions.tsv": [*known, predicted_tag],
                }
            yield {"predict.txt": []}


@base.register("ner")
class NerTask(LabelingTask):
    """Any entities, in files `train`, `dev` and `test` of tagged tokens."""
