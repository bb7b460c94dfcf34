"""`Task`: one replica's view of what is learnt, and the registry of tasks.

A task never sees devices, sessions, flags or paths beyond its data folder.
"""

import importlib
import itertools
import os
import pkgutil
from typing import Dict, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from bert_my.data import holdout, readers
from bert_my.data.errors import InputError
from bert_my.data.features import TEXT_SPECS
from bert_my.data.record_cache import Source
from bert_my.tasks import heads, loss_options
from bert_my.tasks.objectives import OBJECTIVES, LossSettings
from bert_my.tasks.options import TaskOptions, check_meaning

TRAIN, DEV, TEST = "train", "dev", "test"


class TaskOutputs(NamedTuple):
    """What a task builds from one batch.

    losses: name -> (weighted sum, weight), two float32 scalars. Not means: towers
      divide by the weight of all towers, so that N towers equal one exactly. Empty if
      the features hold no labels.
    predictions: name -> tensor `[batch_size, ...]`.
    """

    losses: Dict[str, Tuple[tf.Tensor, tf.Tensor]]
    predictions: Dict[str, tf.Tensor]


class Task:
    """What is learnt. Subclasses are registered with `@register("name")`.

    name: set by `register`.
    kind: "classification", "multilabel", "regression" or "labeling": what the rows of
      the prediction file look like, for the report.
    defaults: flag -> value, for flags that the user did not give.
    default_head: the representation that is used without `--head`.
    objectives: those that `--objective` may choose from, the default first.
    main_metric: the one that `--keep_best=auto` watches.
    meaningless_options: names of `TaskOptions` that are refused.
    required_tokens: what the vocabulary must hold.
    files: split -> names of its file, without suffix.
    scored_targets, scored_predictions: names of the features and of the predictions
      that `score` needs.
    """

    name = None
    kind = None
    defaults = {}
    default_head = None
    objectives = ()
    main_metric = "eval_accuracy"
    meaningless_options = ()
    required_tokens = ("[UNK]", "[CLS]", "[SEP]")
    files = {TRAIN: ("train",), DEV: ("dev",), TEST: ("test",)}
    scored_targets = ("label_ids",)
    scored_predictions = ()

    def __init__(
        self, data_dir, tokenizer, bert_config, max_seq_length, options=None, saved=None
    ):
        """Builds a task; reads nothing yet.

        Args:
          data_dir: folder with the data set, or None if nothing will be read from it.
          tokenizer: `tokenization.FullTokenizer`.
          bert_config: `modeling.BertConfig`.
          max_seq_length: longest sequence, with special tokens.
          options: `TaskOptions`, or None for the task's own choices.
          saved: dict that `description` gave when the model was trained, or None for a
            model that is yet to be trained.

        Raises:
          InputError: naming an option that does not suit the task.
        """
        self.data_dir = data_dir
        self.tokenizer = tokenizer
        self.bert_config = bert_config
        self.max_seq_length = max_seq_length
        self.options = options or TaskOptions()
        self.saved = saved or {}  # only read
        self._chosen = {}
        self.objective_class = self._choose("objective", OBJECTIVES, self.objectives)
        representations = self.objective_class.representations
        self.represent = self._choose(
            "head", representations, (self.default_head, *representations)
        )
        self._loss_settings = None
        self._label_map = None
        who = f"task {self.name}"
        check_meaning(self.options, self.meaningless_options, who)
        loss_options.check(self.options, self.objective_class, who)

    def _choose(self, flag, known, allowed):
        """Returns the piece that a flag names, or the first of those allowed."""
        name = self._setting(flag) or allowed[0]
        if name not in allowed:
            raise InputError(
                f"--{flag}={name}: for task {self.name} it must be one of "
                f"{', '.join(sorted(set(allowed)))}"
            )
        self._chosen[flag] = name
        return known[name]

    def _setting(self, name):
        """Returns an option, or what it was when the model was trained.

        Raises:
          InputError: if both are there and differ.
        """
        given, saved = getattr(self.options, name), self.saved.get(name)
        if given and saved and given != saved:
            raise InputError(
                f"--{name}={given}: the model in --output_dir was trained with "
                f"--{name}={saved}; leave the flag out, or choose another folder"
            )
        return given or saved

    @property
    def label_list(self):
        """Tuple of the labels in the order of their ids; empty without labels."""
        return tuple(self.label_map)

    @property
    def label_map(self):
        """Dict label -> id, in the order of the ids."""
        if self._label_map is None:
            self._label_map = {x: index for index, x in enumerate(self.find_labels())}
        return self._label_map

    def find_labels(self):
        """Returns the labels: declared, chosen, or collected from the train file."""
        return ()

    @property
    def description(self):
        """What a later run and the report must know of this one: a JSON-able dict."""
        return {
            "task": self.name,
            "kind": self.kind,
            "labels": list(self.label_list),
            "main_metric": self.main_metric,
            "num_dev_examples": self.num_dev_examples,
            **self._chosen,
        }

    @property
    def num_dev_examples(self):
        """How many examples at the end of the train file are the dev set."""
        return self._setting("num_dev_examples") or 0

    @property
    def objective(self):
        """The objective, with the options of its loss once training has been built.

        Its dropout is the encoder's: 0.1 in published models, as upstream has it.
        """
        return self.objective_class(
            max(len(self.label_list), 1),
            self.bert_config.hidden_dropout_prob,
            self._loss_settings or LossSettings(),
        )

    @property
    def feature_specs(self):
        """The tuple of `FeatureSpec` of one example."""
        objective = self.objective
        return (*TEXT_SPECS, *objective.input_specs, objective.label_spec)

    def find_files(self, split):
        """Returns the list of files of a split (`TRAIN`, `DEV`, `TEST`), or none.

        Raises:
          InputError: if the file that a flag names does not exist.
        """
        source = TRAIN if self._is_held_out(split) else split
        path = self._find_file(source)
        return [path] if path else []

    def _find_file(self, split):
        flag = f"{split}_file"
        given = getattr(self.options, flag)
        if given is None and self.data_dir:
            return readers.find_file(self.data_dir, self.files[split])
        if given is not None and not os.path.isfile(given):
            raise InputError(f"--{flag}={given}: there is no such file")
        return given

    def _is_held_out(self, split):
        """Whether a split is the end of the train file."""
        return (
            split == DEV and self.num_dev_examples > 0 and self._find_file(DEV) is None
        )

    def read_file(self, path, split):
        """Yields the examples of a file, in their order; `label` is None if unknown.

        Args:
          path: str.
          split: the examples of all splits but `TEST` must have labels.

        Raises:
          InputError: naming file and line, if a row is wrong.
        """
        raise NotImplementedError

    def read_examples(self, split):
        """Yields the examples of a split, in their order.

        Without a dev file the last `num_dev_examples` of the train file are the dev
        set, and not part of the train set.

        Raises:
          InputError: see `find_files` and `read_file`.
        """
        (path,) = self.find_files(split)
        examples = self.read_file(path, split)
        num_held_out = self.num_dev_examples
        if self._is_held_out(split):
            examples = holdout.last(examples, num_held_out, path)
        elif split == TRAIN and self._is_held_out(DEV):
            examples = holdout.all_but_last(examples, num_held_out, path)
        limit = self.options.max_train_examples if split == TRAIN else 0
        return itertools.islice(examples, limit or None)

    def count_labels(self):
        """Returns (number of train examples or tokens with each label, of all).

        A label that no example can be expected to have may have the count None.
        """
        raise NotImplementedError

    def encode_batch(self, examples):
        """Returns the `EncodedExample` of each example of a list."""
        raise NotImplementedError

    @property
    def encoding_settings(self):
        """What encoded examples depend on besides the files, as a JSON-able dict."""
        return {
            "task": self.name,
            "vocab": list(self.tokenizer.vocab),
            "do_lower_case": self.tokenizer.basic_tokenizer.do_lower_case,
            "labels": list(self.label_list),
            "num_held_out": self.num_dev_examples * self._is_held_out(DEV),
            "max_train_examples": self.options.max_train_examples,
        }

    def record_source(self, split):
        """Returns the `record_cache.Source` of a split."""
        return Source(
            name=split,
            read_examples=lambda: self.read_examples(split),
            encode_batch=self.encode_batch,
            specs=self.feature_specs,
            seq_length=self.max_seq_length,
            paths=self.find_files(split),
            settings=self.encoding_settings,
        )

    def build(self, features, is_training):
        """Builds the model on one batch; returns `TaskOutputs`.

        Args:
          features: dict name -> tensor `[batch_size, ...]`, one for each spec. With
            `is_real_example` (float32 `[batch_size]`) in training and evaluation,
            without it and without labels in an exported model.
          is_training: bool.

        Raises:
          InputError: if an option of the training loss does not suit the labels.
        """
        if is_training and self._loss_settings is None:
            self._loss_settings = loss_options.read(
                self.options, self.objective_class, self.label_list, self.count_labels
            )
        losses, predictions = heads.build(
            self.bert_config, features, is_training, self.represent, self.objective
        )
        return TaskOutputs(losses, predictions)

    def scored(self, targets, predictions):
        """Returns what is kept of a batch until `score`; as little as that needs.

        Args:
          targets, predictions: dicts name -> array `[num_rows, ...]`, of the names in
            `scored_targets` and `scored_predictions`.

        Returns:
          two such dicts, whose arrays of all batches can be concatenated.
        """
        return targets, predictions

    def score(self, targets, predictions):
        """Returns the metrics of a whole set as a dict name -> float.

        Args:
          targets, predictions: what `scored` returned, of all batches.
        """
        raise NotImplementedError

    @property
    def metric_names(self):
        """The names that `score` gives, known before anything is evaluated."""
        return set(self.score(*self.perfect_scored()))

    def perfect_scored(self):
        """Returns arguments for `score`: a small set in which all is right."""
        raise NotImplementedError

    @property
    def prediction_headers(self):
        """Dict file name -> first line as a list of cells.

        None for a file of plain lines, whose cells are joined by tabs and not quoted.
        """
        raise NotImplementedError

    def format_predictions(self, examples, rows):
        """Yields dicts file name -> list of cells, one for each line to write.

        For a task in which an example has several rows, or none, to override.

        Args:
          examples: iterator over `Example`.
          rows: iterator over dicts prediction name -> array of one record.
        """
        for index, (example, row) in enumerate(zip(examples, rows)):
            yield self.format_prediction(index, example, row)

    def format_prediction(self, index, example, row):
        """Returns a dict file name -> list of cells, one line for each file.

        Args:
          index: of the example, from 0.
          example: `Example`.
          row: dict prediction name -> array of one example.
        """
        raise NotImplementedError


_tasks = {}


def register(name):
    """Returns a decorator that registers a `Task` subclass; the case does not count."""

    def decorate(task_class):
        if not (isinstance(task_class, type) and issubclass(task_class, Task)):
            raise TypeError(f"task {name!r}: {task_class!r} is not a subclass of Task")
        known = _tasks.setdefault(name.lower(), task_class)
        if known is not task_class:
            raise ValueError(
                f"task {name!r} is registered twice: {known}, {task_class}"
            )
        task_class.name = name.lower()
        return task_class

    return decorate


def get_task_class(name):
    """Returns the `Task` subclass of that name; the case does not count.

    Raises:
      InputError: if there is none.
    """
    package = importlib.import_module("bert_my.tasks")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"bert_my.tasks.{module.name}")
    if name.lower() not in _tasks:
        raise InputError(
            f"--task_name={name}: there is no such task; known: "
            f"{', '.join(sorted(_tasks))}. A task of your own must be imported first."
        )
    return _tasks[name.lower()]
