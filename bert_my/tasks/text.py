"""`TextTask`: a task that learns from labelled texts, by a head on the encoder."""

import collections
import functools
import itertools
import logging

import numpy as np

from bert_my import metrics as metrics_lib
from bert_my.common.errors import InputError
from bert_my.data import dev_sets, record_checks, record_files
from bert_my.data.columns import TableSpec
from bert_my.data.features import TEXT_SPECS
from bert_my.data.labels import OneLabel
from bert_my.data.schema import TableSchema
from bert_my.data.splits import DEV, STEMS, TEST, TRAIN, Splits
from bert_my.model import encoders
from bert_my.tasks import base, heads
from bert_my.tasks.loss_options import PLAIN_LOSS
from bert_my.tasks.objectives import OBJECTIVES
from bert_my.tasks.options import OF_PRETRAINING, check_meaning
from bert_my.text import vocabulary
from bert_my.text.preprocessor import TextPreprocessor

logger = logging.getLogger(__name__)

# Options that decide what is read from a file.
_OF_READING = ("encoding", "quoting", "header")


class TextTask(TableSpec, base.Task):
    """Texts, or pairs of texts, with a label each, in tables.

    A data set declares its columns, or `parse_row` and `has_header`. Otherwise, or if
    the train file does not have the declared columns and there is no `table_dialect`,
    they are inferred from the train file, `--text_column` and its like.

    default_head: the representation that is used without `--head`.
    objectives: those that `--objective` may choose from, the default first.
    files: split -> names of its file, without suffix.
    preferred_files: splits whose names are in the order of preference, so that there
      may be files of several names.
    dev_is_last: whether `num_dev_examples` are the last of the train file, and no
      random sample.
    schema_class: infers what the files hold.
    postprocessor_class: of `text.postprocessor`.
    scored_output: key of a result that the metrics are given.

    The other attributes, and the method `parse_row`, are those of `TableSpec`.
    Within the groups of `group_field` rows are ranked by the probability of label 1.
    """

    default_head = "cls"
    objectives = ()
    files = STEMS
    preferred_files = ()
    dev_is_last = False
    schema_class = TableSchema
    postprocessor_class = None
    scored_output = "probabilities"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.postprocessor_class:
            cls.kind = cls.postprocessor_class.kind

    def __init__(self, inputs, schema, splits, chosen, loss):
        """Builds a task.

        Args:
          inputs: `TaskInputs`.
          schema: `schema_class`, of the files.
          splits: `Splits`.
          chosen: dict with the names of the `head` and the `objective`.
          loss: `loss_options.LossSettings` of training.
        """
        super().__init__(inputs)
        self.schema = schema
        self.splits = splits
        self.labels = schema.labels.names
        # A model that is only computed, as by the benchmark, has no vocabulary.
        self.preprocessor = inputs.tokenizer and self.make_preprocessor(inputs)
        self.postprocessor = self.postprocessor_class(self.labels)
        self._chosen = chosen
        objective_class = OBJECTIVES[chosen["objective"]]
        self._represent = objective_class.representations[chosen["head"]]
        # Dropout of the head is the encoder's: 0.1 in published models, as upstream's.
        dropout_prob = inputs.bert_config.hidden_dropout_prob
        self.objective = objective_class(max(len(self.labels), 1), dropout_prob, loss)

    @classmethod
    def load(cls, inputs):
        options, who = inputs.options, f"task {cls.name}"
        check_meaning(options, (*cls.meaningless_options, *OF_PRETRAINING), who)
        chosen = cls._choose(options, inputs.saved)
        objective_class = OBJECTIVES[chosen["objective"]]
        options.check_loss(objective_class, who)
        splits = cls._find_splits(inputs)
        needs_counts = inputs.is_trained and options.needs_label_counts
        # Labels are read from rows, so rows are parsed before the task is made:
        # `parse_row(self, row)` gets an instance without `__init__`, which has what the
        # class declares, attributes and methods.
        spec = object.__new__(cls)
        schema = cls.schema_class(splits, spec, options, inputs.saved, needs_counts)
        loss = PLAIN_LOSS
        if inputs.is_trained:
            loss = options.loss_settings(
                objective_class, schema.labels.names, schema.counts
            )
        return cls(inputs, schema, splits, chosen, loss)

    @classmethod
    def _find_splits(cls, inputs):
        """Returns the `Splits` of `TaskInputs`."""
        options, saved = inputs.options, inputs.saved
        return Splits(
            inputs.data_dir,
            cls.files,
            options,
            _setting(options, saved, "num_dev_examples") or 0,
            cls.preferred_files,
            saved,
            cls.dev_is_last,
            is_stratified=cls.labels_class is OneLabel,
        )

    @classmethod
    def find_train_files(cls, inputs):
        path = cls._find_splits(inputs).path(TRAIN)
        return [path] if path else []

    @classmethod
    def _choose(cls, options, saved):
        """Returns the names of head and objective: given, or as trained, or default."""
        name = _setting(options, saved, "objective") or cls.objectives[0]
        _check_choice("objective", name, cls.objectives, cls.name)
        heads_known = OBJECTIVES[name].representations
        head = _setting(options, saved, "head") or cls.default_head
        _check_choice("head", head, (cls.default_head, *heads_known), cls.name)
        return {"objective": name, "head": head}

    def make_preprocessor(self, inputs):
        """Returns the `Preprocessor` of the task's texts."""
        has_pair = self.schema.has_pair
        if has_pair and inputs.bert_config.type_vocab_size < 2:
            raise InputError(
                "--bert_config_file: type_vocab_size is 1, and task "
                f"{self.name} has pairs of texts, which need 2 segments"
            )
        return TextPreprocessor(inputs.tokenizer, inputs.max_seq_length, has_pair)

    @property
    def description(self):
        return {
            **super().description,
            **self.splits.description,
            **self._chosen,
            **self.schema.description,
        }

    @property
    def num_held_out(self):
        return self.splits.num_dev_examples * self.splits.is_held_out(DEV)

    @property
    def feature_specs(self):
        objective = self.objective
        return (*TEXT_SPECS, *objective.input_specs, objective.label_spec)

    def find_files(self, split):
        path = self.splits.path(split)
        return [path] if path else []

    def read_examples(self, split):
        """Yields the examples of a split, in their order.

        Raises:
          InputError: naming file and line, if a row is wrong.
        """
        path = self.splits.path(split)
        return self.splits.select(split, lambda: self.schema.read(path, split), path)

    def encode(self, examples):
        """Returns for each example of a list the list of its rows, each `Encoded`."""
        encoded = self.preprocessor.encode(examples)
        for example, (row,) in zip(examples, encoded):
            # A row without a label can only be predicted, where the id is not used.
            row.features["label_ids"] = self.schema.labels.value(example.label)
        return encoded

    def load_records(self, split, record_dir):
        if split == TRAIN or self.splits.is_held_out(split):
            path = self.splits.path(TRAIN)
            # The run keeps the rows of its dev set, also if all records are cached.
            self.splits.draw(lambda: self.schema.read(path, TRAIN), path)
        source = record_files.Source(
            name=split,
            read_examples=lambda: self._read_compared(split),
            encode=self.encode,
            specs=self.feature_specs,
            seq_length=self.max_seq_length,
            paths=self.find_files(split),
            settings={
                "task": self.name,
                "vocab": list(self.preprocessor.tokenizer.vocab),
                "preprocessor": self.preprocessor.settings,
                "labels": list(self.labels),
                "reading": [getattr(self.options, name) for name in _OF_READING],
                **self.splits.settings,
                **self.schema.settings,
            },
            keeps_examples=split != TRAIN,
        )
        return record_files.load_or_convert(source, record_dir)

    def check_records(self, records):
        """Warns of sets that teach or tell little, and of an option without effect."""
        names = [split for split in self.dev_splits if split in records]
        used = {self.splits.path(split): records[split] for split in names}
        if len(names) > 1:
            logger.info("Dev sets: %s", ", ".join(map(self._described, names)))
        num_held_out = self.splits.num_dev_examples
        if num_held_out and TRAIN in records and not self.splits.is_held_out(DEV):
            logger.warning(
                "--num_dev_examples=%d is without effect, as there is the dev file %s",
                num_held_out,
                self.splits.path(DEV),
            )
        scored = dict(used)
        if TEST in records:
            scored[self.splits.path(TEST)] = records[TEST]
        for path, each in scored.items():
            labels = (
                self.labels_of(example)
                for example, _ in each.examples()
                if self.has_label(example)
            )
            dev_sets.warn_of_one_label(itertools.chain.from_iterable(labels), path)
        # Train records that are new were compared while they were made.
        is_cached = TRAIN in records and not records[TRAIN].is_new
        if is_cached and any(each.is_new for each in used.values()):
            collections.deque(self._read_compared(TRAIN), maxlen=0)
        doubts = [*self._unknown_words(records), *self._uniform_rows(records)]
        for doubt in doubts:
            logger.warning("%s", doubt)
        return doubts

    def _unknown_words(self, records):
        """Logs the share of [UNK] in each split; yields warnings of large shares."""
        tokenizer = self.preprocessor.tokenizer
        unknown = tokenizer.wordpiece_tokenizer.unk_token
        special = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
        shares = {
            split: record_checks.unknown_share(each, tokenizer.vocab[unknown], special)
            for split, each in records.items()
        }
        told = {split: f"{100 * share:.1f} %" for split, share in shares.items()}
        listed = ", ".join(map(" ".join, told.items()))
        logger.info("%s among the tokens: %s", unknown, listed)
        is_lowered = tokenizer.basic_tokenizer.do_lower_case
        for split, share in shares.items():
            if share > vocabulary.MOST_UNKNOWN:
                yield (
                    f"{split} ({', '.join(self.find_files(split))}): {told[split]} of "
                    f"the tokens are {unknown}; does the model's vocabulary suit the "
                    f"text, and is --do_lower_case={is_lowered} right?"
                )

    def _uniform_rows(self, records):
        """Yields warnings of a train set from which nothing can be learnt."""
        if TRAIN not in records:
            return
        train, path = records[TRAIN], self.splits.path(TRAIN)
        if train.num_examples == 1:
            yield f"{path}: the train set is one row, from which a model learns nothing"
            return
        rows = f"{path}: all {train.num_examples} rows of the train set have the same"
        if record_checks.has_one_text(train):
            yield f"{rows} text for the model, so it learns nothing of others"
        if record_checks.has_one_label(train, self.objective.label_spec):
            yield f"{rows} label, so the model learns nothing of others"

    def _read_compared(self, split):
        """Yields the examples of a split; warns if a dev set has those to train."""
        examples = self.read_examples(split)
        if split != TRAIN or self.splits.is_held_out(DEV):
            return examples
        read = {
            self.splits.path(dev): functools.partial(self.read_examples, dev)
            for dev in filter(self.find_files, self.dev_splits)
        }
        return dev_sets.compared(examples, read)

    def _described(self, split):
        """Returns the words for one of several dev sets."""
        path = self.splits.path(split)
        if split == DEV:
            return f"{path}, which decides the best weights"
        return f"{path}, whose scores are called {metrics_lib.of_set('metric', split)}"

    def build(self, features, is_training, ops=None):
        encoder = encoders.of(self.bert_config).build(
            features, is_training, self._represent in heads.OF_FIRST_TOKEN, ops
        )
        representation = self._represent(encoder, features)
        return base.TaskOutputs(
            *self.objective.build(representation, features, is_training, ops)
        )

    @property
    def writers(self):
        return self.postprocessor.writers(self.preprocessor.has_pair)

    @property
    def dev_splits(self):
        return self.splits.dev_splits

    def labels_of(self, example):
        """Returns the labels of an example, an iterable."""
        return (example.label,)

    def has_label(self, example):
        return example.label is not None

    def score(self, pairs):
        targets, predictions, groups = [], [], []
        value, output = self.schema.labels.value, self.scored_output
        for example, result in pairs:
            targets.append(value(example.label))
            predictions.append(result[output])
            if self.group_field:
                groups.append(example.group)
        targets = np.array(targets, self.objective.label_spec.dtype)
        predictions = np.array(predictions, np.float32)
        scores = metrics_lib.score(self.metrics, targets, predictions, self.labels)
        if self.group_field:
            scores.update(metrics_lib.ranking(targets, predictions[:, 1], groups))
        return scores

    @property
    def metric_names(self):
        ranking = metrics_lib.ranking.names() if self.group_field else ()
        return (*super().metric_names, *ranking)


def _setting(options, saved, name):
    """Returns an option, or its value when the model was trained.

    Raises:
      InputError: if both are there and differ.
    """
    given, trained = getattr(options, name), saved.get(name)
    if given and trained is not None and given != trained:
        raise InputError(
            f"--{name}={given}: the model in --output_dir was trained with "
            f"--{name}={trained}; leave the flag out, or choose another folder"
        )
    return given or trained


def _check_choice(flag, name, allowed, task_name):
    if name not in allowed:
        raise InputError(
            f"--{flag}={name}: for task {task_name} it must be one of "
            f"{', '.join(sorted(set(allowed)))}"
        )
