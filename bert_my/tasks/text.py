"""`TextTask`: a task that learns from labelled texts, by a head on the encoder."""

import numpy as np

from bert_my import metrics as metrics_lib
from bert_my.common.errors import InputError
from bert_my.data import record_cache
from bert_my.data.columns import TableSpec
from bert_my.data.features import TEXT_SPECS
from bert_my.data.schema import TableSchema
from bert_my.data.splits import DEV, STEMS, TRAIN, Splits
from bert_my.tasks import base, heads, loss_options
from bert_my.tasks.objectives import OBJECTIVES, PLAIN_LOSS
from bert_my.tasks.options import OF_PRETRAINING, check_meaning
from bert_my.text.preprocessor import TextPreprocessor

SINGLE_TEXT_LAYOUTS = (
    ("guid", "text_a", "label"),
    ("text_a", "label"),
    ("guid", "text_a"),
    ("text_a",),
)


class TextTask(base.Task):
    """Texts, or pairs of texts, with a label each, in tables.

    A data set declares its columns, or `parse_row` and `has_header`; otherwise they are
    told by the train file, with the help of `--text_column` and its like. They are told
    by the file as well if it does not have the declared columns and there is no
    `table_dialect`.

    default_head: the representation that is used without `--head`.
    objectives: those that `--objective` may choose from, the default first.
    files: split -> names of its file, without suffix.
    preferred_files: splits whose names are in the order of preference, so that there
      may be files of several names.
    labels: names in the order of their ids; empty if the train file tells.
    labels_class: of `data.labels`.
    postprocessor_class: of `text.postprocessor`.
    scored_output: key of a result that the metrics are given.
    has_pairs: whether there is a text_b; None if the columns tell.
    column_names, layouts, has_header, table_dialect, label_aliases, left_out_labels,
      kept_rows, leaves_out_broken_rows, group_field: see `columns.TableSpec`. Within
      groups rows are ranked by the probability of label 1.
    """

    default_head = "cls"
    objectives = ()
    files = STEMS
    preferred_files = ()
    labels_class = None
    postprocessor_class = None
    scored_output = "probabilities"
    has_pairs = False
    column_names = None
    layouts = ()
    has_header = False
    table_dialect = None
    label_aliases = {}
    left_out_labels = ()
    kept_rows = None
    leaves_out_broken_rows = False
    group_field = None

    def __init__(
        self,
        schema,
        splits,
        tokenizer,
        bert_config,
        max_seq_length,
        options,
        chosen,
        loss,
    ):
        """Builds a task.

        Args:
          schema: `TableSchema`.
          splits: `Splits`.
          tokenizer: `tokenization.FullTokenizer`.
          bert_config, max_seq_length, options: see `Task`.
          chosen: dict with the names of the `head` and the `objective`.
          loss: `objectives.LossSettings` of training.
        """
        super().__init__(bert_config, max_seq_length, options)
        self.schema = schema
        self.splits = splits
        self.labels = schema.labels.names
        self.preprocessor = self.make_preprocessor(tokenizer, max_seq_length)
        self.postprocessor = self.postprocessor_class(self.labels)
        self._chosen = chosen
        objective_class = OBJECTIVES[chosen["objective"]]
        self._represent = objective_class.representations[chosen["head"]]
        # Dropout of the head is the encoder's: 0.1 in published models, as upstream's.
        self.objective = objective_class(
            max(len(self.labels), 1), bert_config.hidden_dropout_prob, loss
        )

    @classmethod
    def load(
        cls, data_dir, tokenizer, bert_config, max_seq_length, options, saved, do_train
    ):
        saved, who = saved or {}, f"task {cls.name}"
        check_meaning(options, (*cls.meaningless_options, *OF_PRETRAINING), who)
        chosen = cls._choose(options, saved)
        objective_class = OBJECTIVES[chosen["objective"]]
        loss_options.check(options, objective_class, who)
        num_dev_examples = _setting(options, saved, "num_dev_examples") or 0
        splits = Splits(
            data_dir, cls.files, options, num_dev_examples, cls.preferred_files
        )
        needs_counts = do_train and loss_options.needs_counts(options)
        schema = cls.inspect(splits, options, saved, needs_counts)
        loss = PLAIN_LOSS
        if do_train:
            loss = loss_options.read(
                options, objective_class, schema.labels.names, schema.counts
            )
        return cls(
            schema=schema,
            splits=splits,
            tokenizer=tokenizer,
            bert_config=bert_config,
            max_seq_length=max_seq_length,
            options=options,
            chosen=chosen,
            loss=loss,
        )

    @classmethod
    def _choose(cls, options, saved):
        """Returns the names of head and objective: given, or as trained, or default."""
        name = _setting(options, saved, "objective") or cls.objectives[0]
        _check_choice("objective", name, cls.objectives, cls.name)
        heads_known = OBJECTIVES[name].representations
        head = _setting(options, saved, "head") or cls.default_head
        _check_choice("head", head, (cls.default_head, *heads_known), cls.name)
        return {"objective": name, "head": head}

    @classmethod
    def inspect(cls, splits, options, saved, needs_counts):
        """Returns the schema of the files; see `TableSchema.inspect`."""
        # Rows are parsed before there is a task: what the class declares is known.
        declared = object.__new__(cls)
        spec = TableSpec(
            names=cls.column_names,
            layouts=cls.layouts,
            has_pair=cls.has_pairs,
            dialect=cls.table_dialect,
            parse_row=declared.parse_row if cls.parse_row else None,
            has_header=cls.has_header,
            label_aliases=cls.label_aliases,
            left_out_labels=cls.left_out_labels,
            kept_rows=cls.kept_rows,
            leaves_out_broken_rows=cls.leaves_out_broken_rows,
            group_field=cls.group_field,
        )
        return TableSchema.inspect(
            splits,
            spec,
            cls.labels_class,
            cls.labels,
            options,
            saved,
            f"task {cls.name}",
            needs_counts,
        )

    # A method from a list of cells to an `Example`, for tables without columns by name.
    # It sees what the class declares, for rows are parsed before there is a task.
    parse_row = None

    def make_preprocessor(self, tokenizer, max_seq_length):
        """Returns the `Preprocessor` of the task's texts."""
        return TextPreprocessor(tokenizer, max_seq_length, self.schema.has_pair)

    @property
    def description(self):
        return {
            **super().description,
            "num_dev_examples": self.splits.num_dev_examples,
            **self._chosen,
            **self.schema.description,
        }

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
        return self.splits.select(split, self.schema.read(path, split), path)

    def encode(self, examples):
        """Returns for each example of a list the list of its rows, each `Encoded`."""
        encoded = self.preprocessor.encode(examples)
        for example, (row,) in zip(examples, encoded):
            # A row without a label can only be predicted, where the id is not used.
            row.features["label_ids"] = self.schema.labels.value(example.label)
        return encoded

    def record_source(self, split):
        """Returns the `record_cache.Source` of a split."""
        return record_cache.Source(
            name=split,
            read_examples=lambda: self.read_examples(split),
            encode=self.encode,
            specs=self.feature_specs,
            seq_length=self.max_seq_length,
            paths=self.find_files(split),
            settings={
                "task": self.name,
                "vocab": list(self.preprocessor.tokenizer.vocab),
                "preprocessor": self.preprocessor.settings,
                "labels": list(self.labels),
                "num_held_out": self.splits.num_dev_examples
                * self.splits.is_held_out(DEV),
                "max_train_examples": self.options.max_train_examples,
                **self.schema.settings,
            },
            keeps_examples=split != TRAIN,
        )

    def load_records(self, split, record_dir):
        return record_cache.load_or_convert(self.record_source(split), record_dir)

    def build(self, features, is_training):
        losses, predictions = heads.build(
            self.bert_config, features, is_training, self._represent, self.objective
        )
        return base.TaskOutputs(losses, predictions)

    @property
    def writers(self):
        return self.postprocessor.writers(self.preprocessor.has_pair)

    def score(self, pairs):
        targets, predictions, groups = [], [], []
        value, output = self.schema.labels.value, self.scored_output
        for example, result in pairs:
            targets.append(value(example.label))
            predictions.append(result[output])
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
    if given and trained and given != trained:
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
