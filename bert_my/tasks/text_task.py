"""`TextTask`: a task that learns from rows of text, by a head on the encoder."""

import itertools
import os

from bert_my.common.errors import InputError
from bert_my.data import holdout, readers, record_cache
from bert_my.data.features import TEXT_SPECS
from bert_my.tasks import base, heads, loss_options
from bert_my.tasks.base import DEV, TEST, TRAIN
from bert_my.tasks.objectives import OBJECTIVES, LossSettings
from bert_my.tasks.options import OF_PRETRAINING, check_meaning


class TextTask(base.Task):
    """What is learnt from texts with labels.

    default_head: the representation that is used without `--head`.
    objectives: those that `--objective` may choose from, the default first.
    files: split -> names of its file, without suffix.
    """

    default_head = None
    objectives = ()
    files = {TRAIN: ("train",), DEV: ("dev",), TEST: ("test",)}
    scored_targets = ("label_ids",)

    def __init__(self, *args, **kwargs):
        """Builds a task; see `Task`."""
        super().__init__(*args, **kwargs)
        self._chosen = {}
        self.objective_class = self._choose("objective", OBJECTIVES, self.objectives)
        representations = self.objective_class.representations
        self.represent = self._choose(
            "head", representations, (self.default_head, *representations)
        )
        self._loss_settings = None
        self._label_map = None
        check_meaning(self.options, OF_PRETRAINING, self.who)
        loss_options.check(self.options, self.objective_class, self.who)

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
        return {
            **super().description,
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
        return record_cache.Source(
            name=split,
            read_examples=lambda: self.read_examples(split),
            encode_batch=self.encode_batch,
            specs=self.feature_specs,
            seq_length=self.max_seq_length,
            paths=self.find_files(split),
            settings=self.encoding_settings,
        )

    def load_records(self, split, record_dir):
        return record_cache.load_or_convert(self.record_source(split), record_dir)

    def build(self, features, is_training, ops=None):
        if is_training and self._loss_settings is None:
            self._loss_settings = loss_options.read(
                self.options, self.objective_class, self.label_list, self.count_labels
            )
        losses, predictions = heads.build(
            self.bert_config,
            features,
            is_training,
            self.represent,
            self.objective,
            ops,
        )
        return base.TaskOutputs(losses, predictions)
