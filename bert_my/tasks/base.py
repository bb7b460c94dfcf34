"""`Task`: one replica's view of a learning problem, and the registry of tasks.

A task never sees devices, sessions or flags. It is made once, by `Task.load`, and does
not change afterwards.
"""

import importlib
import pkgutil
from typing import Dict, NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

from bert_my import metrics as metrics_lib
from bert_my.common.errors import InputError, did_you_mean
from bert_my.data.splits import DEV, TEST, TRAIN  # noqa: F401 (for the tasks)
from bert_my.tasks.options import TaskOptions, check_meaning
from modeling import BertConfig
from tokenization import FullTokenizer

# Signatures of an exported model.
SERVING_DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
WITH_LABEL_IDS = "with_label_ids"


class TaskOutputs(NamedTuple):
    """Result of `Task.build` for one batch.

    losses: name -> (weighted sum, weight), two float32 scalars. Not means: towers
      divide by the weight of all towers, so that N towers equal one exactly. Empty if
      the features hold no labels.
    predictions: name -> tensor `[batch_size, ...]`.
    means: name -> (weighted sum, weight), as `losses`: reported besides the losses, in
      training and evaluation.
    """

    losses: Dict[str, Tuple[tf.Tensor, tf.Tensor]]
    predictions: Dict[str, tf.Tensor]
    means: Dict[str, Tuple[tf.Tensor, tf.Tensor]] = {}  # only read


class TaskInputs(NamedTuple):
    """All that a task is made from.

    options: `TaskOptions`.
    bert_config: `modeling.BertConfig`.
    max_seq_length: longest sequence, with special tokens.
    tokenizer: `tokenization.FullTokenizer`; None without a vocabulary.
    data_dir: folder with the data set, or None.
    saved: dict that `Task.description` gave when the model was trained; {} for a model
      that is yet to be trained.
    is_trained: whether the task will be trained, so that the options of its loss count.
    """

    options: TaskOptions
    bert_config: BertConfig
    max_seq_length: int
    tokenizer: Optional[FullTokenizer] = None
    data_dir: Optional[str] = None
    saved: dict = {}  # only read
    is_trained: bool = True


class Task:
    """A learning problem. Subclasses are registered with `@register("name")`.

    name: set by `register`.
    kind: "classification", "multilabel", "regression", "labeling" or "pretraining":
      the kind of rows in the prediction files, for the report.
    jobs: names of the flags of the jobs that a run may do with it.
    needs_vocab: whether there must be a vocabulary.
    adds_words: whether words may be added to it.
    defaults: flag -> value, for flags that the user did not give.
    main_metric: the one that `--keep_best=auto` watches.
    metrics: of `metrics`, those that `score` computes.
    meaningless_options: names of `TaskOptions` that are refused.
    required_tokens: tokens that the vocabulary must hold.
    labels: names in the order of their ids; () without labels.
    preprocessor, postprocessor: see `text`; None for a task without texts.
    """

    name = None
    kind = None
    jobs = ("do_train", "do_eval", "do_predict", "save_for_serving")
    needs_vocab = True
    adds_words = False
    defaults = {}
    main_metric = "eval_accuracy"
    metrics = ()
    meaningless_options = ()
    required_tokens = ("[UNK]", "[CLS]", "[SEP]")
    labels = ()
    preprocessor = None
    postprocessor = None

    def __init__(self, inputs):
        """Builds a task of `TaskInputs`; subclasses take more, see `load`."""
        self.options = inputs.options
        self.bert_config = inputs.bert_config
        self.max_seq_length = inputs.max_seq_length

    @classmethod
    def load(cls, inputs):
        """Returns the task of `TaskInputs`, whose train file is inspected if need be.

        Raises:
          InputError: naming the file, row or flag that is wrong.
        """
        check_meaning(inputs.options, cls.meaningless_options, f"task {cls.name}")
        return cls(inputs)

    @classmethod
    def find_train_files(cls, inputs):
        """Returns the list of the train files of `TaskInputs`, before `load`.

        Raises:
          InputError: see `find_files`.
        """
        raise NotImplementedError

    @property
    def num_held_out(self):
        """Number of examples of the train file that are the dev set."""
        return 0

    @property
    def label_map(self):
        """Dict label -> id, in the order of the ids."""
        return {label: index for index, label in enumerate(self.labels)}

    @property
    def description(self):
        """JSON-able dict that a later run and the report read; see `load`."""
        return {
            "task": self.name,
            "kind": self.kind,
            "labels": list(self.labels),
            "main_metric": self.main_metric,
        }

    @property
    def writers(self):
        """Dict file name -> `text.writers.Writer` of the prediction files."""
        return {}

    @property
    def feature_specs(self):
        """The tuple of `FeatureSpec` of one row."""
        raise NotImplementedError

    @property
    def signatures(self):
        """Dict name -> tuple of the `FeatureSpec` of the inputs of an exported model.

        The second takes the labels too and ignores them, for clients of models which
        asked for them.
        """
        inputs = tuple(spec for spec in self.feature_specs if spec.is_input)
        return {SERVING_DEFAULT: inputs, WITH_LABEL_IDS: self.feature_specs}

    def find_files(self, split):
        """Returns the list of files of a split (`TRAIN`, `DEV`, `TEST`), or none.

        Raises:
          InputError: if the file that a flag names does not exist.
        """
        raise NotImplementedError

    def load_records(self, split, record_dir):
        """Returns the records of a split after checking them, see `data.batches`.

        Args:
          split: one that has files.
          record_dir: folder for files that are to be made only once.

        Raises:
          InputError: naming the file that is wrong, and its line.
        """
        raise NotImplementedError

    def check_records(self, records):
        """Warns of records that tell little.

        Args:
          records: dict split -> its records.

        Returns:
          list of the warnings that are worth seeing again at the end of the run.
        """
        return []

    def build(self, features, is_training, ops=None):
        """Builds the model on one batch; returns `TaskOutputs`.

        Args:
          features: dict name -> tensor `[batch_size, ...]`, one for each spec. With
            `is_real_example` (float32 `[batch_size]`) in training and evaluation,
            without it and without labels in an exported model.
          is_training: bool.
          ops: (optional) operations of the encoder and state of the tower, see
            `modeling.BertModel` and the presets in `bert_my.model.ops`.
        """
        raise NotImplementedError

    @property
    def dev_splits(self):
        """The names of the splits that are dev sets; the first decides the best."""
        return (DEV,)

    def has_label(self, example):
        """Returns whether an example of a test file has a label, by which to score."""
        return False

    def score(self, pairs):
        """Returns the metrics of a whole set as a dict name -> float.

        Args:
          pairs: iterable over (example, result) of all examples, see `postprocessor`.
        """
        return {}

    @property
    def metric_names(self):
        """The tuple of names that `score` gives, known before anything is evaluated."""
        return metrics_lib.names_of(self.metrics, self.labels)


_tasks = {}


def _key(name):
    """Returns a task's name without what does not count: case, dashes, underscores."""
    return name.lower().replace("-", "").replace("_", "")


def register(name):
    """Returns a decorator that registers a `Task` subclass.

    Neither case nor dashes and underscores of the name count.
    """

    def decorate(task_class):
        if not (isinstance(task_class, type) and issubclass(task_class, Task)):
            raise TypeError(f"task {name!r}: {task_class!r} is not a subclass of Task")
        known = _tasks.setdefault(_key(name), task_class)
        if known is not task_class:
            raise ValueError(
                f"task {name!r} is registered twice: {known}, {task_class}"
            )
        task_class.name = name.lower()
        return task_class

    return decorate


def get_task_class(name):
    """Returns the `Task` subclass of that name, see `register`.

    Raises:
      InputError: if there is none.
    """
    package = importlib.import_module("bert_my.tasks")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"bert_my.tasks.{module.name}")
    if _key(name) not in _tasks:
        known = sorted(task.name for task in _tasks.values())
        hint = did_you_mean(name, known) or "."
        raise InputError(
            f"--task_name={name}: there is no such task{hint} For files of your "
            "own give csv (a label), mlabel (several labels), regression (a "
            "number) or ner (a tag for each token) with --data_dir or --train_file; "
            f"known: {', '.join(known)}"
        )
    return _tasks[_key(name)]
