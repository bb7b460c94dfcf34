"""`Task`: one replica's view of what is learnt, and the registry of tasks.

A task never sees devices, sessions, flags or paths beyond its data folder.
"""

import importlib
import pkgutil
from typing import Dict, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from bert_my.data.errors import InputError
from bert_my.data.record_cache import Source

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
    defaults: flag -> value, for flags that the user did not give.
    representations: those that `--head` may choose from, by name.
    default_head: the one that is used without `--head`.
    required_tokens: what the vocabulary must hold.
    label_map: label -> id, saved as `label_map.json`; empty without labels.
    scored_targets, scored_predictions: names of the features and of the predictions
      that `score` needs.
    """

    name = None
    defaults = {}
    representations = ()
    default_head = None
    required_tokens = ("[UNK]", "[CLS]", "[SEP]")
    label_map = {}
    scored_targets = ()
    scored_predictions = ()

    def __init__(self, data_dir, tokenizer, bert_config, max_seq_length, head=None):
        """Builds a task; reads nothing yet.

        Args:
          data_dir: folder with the data set, or None if nothing will be read.
          tokenizer: `tokenization.FullTokenizer`.
          bert_config: `modeling.BertConfig`.
          max_seq_length: longest sequence, with special tokens.
          head: name of a representation, or None for the task's default.
        """
        self.data_dir = data_dir
        self.tokenizer = tokenizer
        self.bert_config = bert_config
        self.max_seq_length = max_seq_length
        self.head = head or self.default_head

    @property
    def feature_specs(self):
        """The tuple of `FeatureSpec` of one example."""
        raise NotImplementedError

    def find_files(self, split):
        """Returns the list of files of a split (`TRAIN`, `DEV`, `TEST`), or none."""
        raise NotImplementedError

    def read_examples(self, split):
        """Yields the `Example` of each row of a split, in their order.

        Raises:
          InputError: naming file and line, if a row is wrong. No row is left out.
        """
        raise NotImplementedError

    def encode_batch(self, examples):
        """Returns the `EncodedExample` of each example of a list."""
        raise NotImplementedError

    def encode(self, example):
        """Returns the `EncodedExample` of one example."""
        return self.encode_batch([example])[0]

    @property
    def encoding_settings(self):
        """What encoded examples depend on besides the files, as a JSON-able dict."""
        return {
            "task": self.name,
            "vocab": list(self.tokenizer.vocab),
            "do_lower_case": self.tokenizer.basic_tokenizer.do_lower_case,
            "labels": self.label_map,
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
        """
        raise NotImplementedError

    def score(self, targets, predictions):
        """Returns the metrics of a whole set as a dict name -> float.

        Args:
          targets, predictions: dict name -> array `[num_examples, ...]`.
        """
        raise NotImplementedError

    @property
    def prediction_headers(self):
        """Dict file name -> first line as a list of cells, or None for no such line."""
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
