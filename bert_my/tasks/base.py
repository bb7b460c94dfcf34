"""`Task`: one replica's view of what is learnt, and the registry of tasks.

A task never sees devices, sessions, flags or paths beyond its data folder.
"""

import importlib
import pkgutil
from typing import Dict, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.tasks.options import TaskOptions, check_meaning

TRAIN, DEV, TEST = "train", "dev", "test"


class TaskOutputs(NamedTuple):
    """What a task builds from one batch.

    losses: name -> (weighted sum, weight), two float32 scalars. Not means: towers
      divide by the weight of all towers, so that N towers equal one exactly. Empty if
      the features hold no labels.
    predictions: name -> tensor `[batch_size, ...]`.
    means: name -> (weighted sum, weight), as `losses`: what is reported besides them,
      in training and evaluation.
    """

    losses: Dict[str, Tuple[tf.Tensor, tf.Tensor]]
    predictions: Dict[str, tf.Tensor]
    means: Dict[str, Tuple[tf.Tensor, tf.Tensor]] = {}  # only read


class Task:
    """What is learnt. Subclasses are registered with `@register("name")`.

    name: set by `register`.
    kind: "classification", "multilabel", "regression", "labeling" or "pretraining":
      what the rows of the prediction file look like, for the report.
    jobs: what a run may do with it, as names of flags.
    needs_vocab: whether there must be a vocabulary.
    adds_words: whether words may be added to it.
    defaults: flag -> value, for flags that the user did not give.
    main_metric: the one that `--keep_best=auto` watches.
    meaningless_options: names of `TaskOptions` that are refused.
    required_tokens: what the vocabulary must hold.
    scored_targets, scored_predictions: names of the features and of the predictions
      that `score` needs.
    """

    name = None
    kind = None
    jobs = ("do_train", "do_eval", "do_predict", "save_for_serving")
    needs_vocab = True
    adds_words = False
    defaults = {}
    main_metric = "eval_accuracy"
    meaningless_options = ()
    required_tokens = ("[UNK]", "[CLS]", "[SEP]")
    scored_targets = ()
    scored_predictions = ()

    def __init__(
        self, data_dir, tokenizer, bert_config, max_seq_length, options=None, saved=None
    ):
        """Builds a task; reads nothing yet.

        Args:
          data_dir: folder with the data set, or None if nothing will be read from it.
          tokenizer: `tokenization.FullTokenizer`; may be None without `needs_vocab`.
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
        check_meaning(self.options, self.meaningless_options, self.who)

    @property
    def who(self):
        """The task's name, for errors."""
        return f"task {self.name}"

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
        return {}

    @property
    def description(self):
        """What a later run and the report must know of this one: a JSON-able dict."""
        return {
            "task": self.name,
            "kind": self.kind,
            "labels": list(self.label_list),
            "main_metric": self.main_metric,
        }

    @property
    def feature_specs(self):
        """The tuple of `FeatureSpec` of one example."""
        raise NotImplementedError

    def find_files(self, split):
        """Returns the list of files of a split (`TRAIN`, `DEV`, `TEST`), or none.

        Raises:
          InputError: if the file that a flag names does not exist.
        """
        raise NotImplementedError

    def load_records(self, split, record_dir):
        """Returns the records of a split, see `input_pipeline`, after checking them.

        Args:
          split: one that has files.
          record_dir: folder for what is to be made only once.

        Raises:
          InputError: naming what is wrong with a file.
        """
        raise NotImplementedError

    def read_examples(self, split):
        """Yields what the prediction files tell of each record, in their order."""
        return iter(())

    def build(self, features, is_training, ops=None):
        """Builds the model on one batch; returns `TaskOutputs`.

        Args:
          features: dict name -> tensor `[batch_size, ...]`, one for each spec. With
            `is_real_example` (float32 `[batch_size]`) in training and evaluation,
            without it and without labels in an exported model.
          is_training: bool.
          ops: (optional) how the tower computes its encoder, see `modeling.BertModel`
            and the presets in `bert_my.model.ops`.

        Raises:
          InputError: if an option of the training loss does not suit the labels.
        """
        raise NotImplementedError

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
