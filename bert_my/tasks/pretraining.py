"""Pretraining: masked LM, and next sentence or sentence order.

Source: Devlin et al. 2019, section 3.1. The variables are those of published
checkpoints, so training goes on from one, and its result is fine-tuned.
"""

import glob
import logging
import os

import tensorflow.compat.v1 as tf

import modeling
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.data import row_order
from bert_my.model import encoders
from bert_my.pretrain import builds, records
from bert_my.tasks import base
from bert_my.tasks.objectives import project
from bert_my.tasks.options import OF_TEXTS
from bert_my.text import vocabulary

logger = logging.getLogger(__name__)

SHARD_PATTERNS = ("*.tfrecord*", "*.record*", "*.hdf5", "*.h5")


def _find_shards(value, flag):
    """Returns the paths of the shards that a flag names, each once.

    Args:
      value: of the flag: paths, globs and folders, separated by commas.
      flag: its name.

    Raises:
      InputError: naming what is not there.
    """
    patterns = []
    for pattern in filter(None, value.split(",")):
        patterns += _in_folder(pattern, flag) if os.path.isdir(pattern) else [pattern]
    found = _whole(files.find(",".join(patterns), flag))
    if not found:
        raise InputError(f"--{flag}={value}: there are only files of unfinished builds")
    return found


def _whole(paths):
    """Returns the paths without those that a build that was killed left behind."""
    return [path for path in paths if not path.endswith(".tmp")]


def _in_folder(folder, flag):
    """Returns the sorted paths of the shards in a folder."""
    patterns = [os.path.join(glob.escape(folder), name) for name in SHARD_PATTERNS]
    found = {path for pattern in patterns for path in glob.glob(pattern)}
    found = _whole(found)
    if not found:
        raise InputError(
            f"--{flag}={folder}: there is no file {' or '.join(SHARD_PATTERNS)}"
        )
    return sorted(filter(os.path.isfile, found))


@base.register("pretraining")
class PretrainingTask(base.Task):
    """Masked LM and next sentence, on shards of instances."""

    kind = "pretraining"
    jobs = ("do_train", "do_eval")
    needs_vocab = False
    adds_words = True
    defaults = {
        "num_train_steps": 100000,
        "num_warmup_steps": 10000,
        "max_eval_steps": 100,
    }
    main_metric = "masked_lm_loss"
    meaningless_options = OF_TEXTS
    required_tokens = ("[UNK]", "[CLS]", "[SEP]", "[MASK]")

    def __init__(self, inputs):
        """Builds the task; see `Task`."""
        super().__init__(inputs)
        self._tokenizer = inputs.tokenizer
        if inputs.data_dir:
            raise InputError(
                f"--data_dir={inputs.data_dir}: task {self.name} has no use for it; a "
                "folder of shards is --input_dir"
            )

    @classmethod
    def find_train_files(cls, inputs):
        return cls(inputs).find_files(base.TRAIN)

    @property
    def _sizes(self):
        return records.Sizes(
            self.max_seq_length,
            self.options.max_predictions_per_seq,
            self.bert_config.vocab_size,
            self.bert_config.type_vocab_size,
            has_pairs=self.options.next_sentence != "none",
        )

    @property
    def feature_specs(self):
        return self._sizes.specs

    def find_files(self, split):
        """Returns the shards of a split; without `--dev_file` both splits share them.

        Upstream's script evaluates the train shards too. Files that `--dev_file` names
        are not trained on.
        """
        dev_file = self.options.dev_file
        held_back = _find_shards(dev_file, "dev_file") if dev_file else []
        if split == base.TEST:
            return []
        if split == base.DEV and held_back:
            return held_back
        names = set(map(os.path.realpath, held_back))
        found = self._find_input()
        kept = [path for path in found if os.path.realpath(path) not in names]
        if not kept:
            raise InputError("--dev_file: it names all of the input, nothing is left")
        return kept

    def _find_input(self):
        """Returns the shards of `--input_file` or `--input_dir`."""
        folder = self.options.input_dir
        if self.options.input_file:
            return _find_shards(self.options.input_file, "input_file")
        if not folder:
            raise InputError("--input_file or --input_dir is needed")
        if not os.path.isdir(folder):
            raise InputError(f"--input_dir={folder}: there is no such folder")
        return _find_shards(folder, "input_dir")

    def load_records(self, split, record_dir):
        paths = self.find_files(split)
        self._check_vocabulary(paths)
        if split == base.DEV and self.options.dev_file:
            builds.warn_of_other_builds(paths, self.find_files(base.TRAIN))
        logger.info("%s: %d file(s), %s, ...", split, len(paths), paths[0])
        # The blocks of a window, and of the next one while a batch has rows of both.
        num_held = row_order.WINDOW_BLOCKS + 50 if split == base.TRAIN else 2
        return records.load(paths, self._sizes, record_dir, num_held)

    def _check_vocabulary(self, paths):
        """Raises an `InputError` if the shards lie beside another vocabulary.

        `create_pretraining_data.py` writes `vocab.txt` there when it adds words.
        """
        if not self._tokenizer:
            return
        for folder in sorted({os.path.dirname(path) for path in paths}):
            path = os.path.join(folder, vocabulary.VOCAB)
            if os.path.exists(path) and not vocabulary.is_that_of(
                path, self._tokenizer
            ):
                raise InputError(
                    f"{path}: the data beside it was built with another vocabulary; "
                    "give the same --vocab_file, --vocab_add and --do_lower_case"
                )

    def build(self, features, is_training, ops=None):
        encoder = encoders.of(self.bert_config).build(features, is_training, ops=ops)
        losses, means = {}, {}

        def add(name, logits, labels, weights):
            per_label = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=logits
            )
            is_right = tf.equal(
                tf.argmax(logits, axis=-1, output_type=tf.int32), labels
            )
            weight = tf.reduce_sum(weights)
            losses[f"{name}_loss"] = tf.reduce_sum(per_label * weights), weight
            right = tf.reduce_sum(tf.cast(is_right, tf.float32) * weights)
            means[f"{name}_accuracy"] = right, weight

        with tf.variable_scope("cls/predictions"):
            add(
                "masked_lm",
                _masked_lm_logits(self.bert_config, encoder, features, ops),
                tf.reshape(features["masked_lm_ids"], [-1]),
                tf.reshape(features["masked_lm_weights"], [-1]),
            )
        if self.options.next_sentence != "none":
            with tf.variable_scope("cls/seq_relationship"):
                add(
                    "next_sentence",
                    project(encoder.get_pooled_output(), 2, dropout_prob=0.0),
                    features["next_sentence_labels"][:, 0],
                    features["is_real_example"],
                )
        return base.TaskOutputs(losses, {}, {**losses, **means})

    @property
    def metric_names(self):
        names = ["masked_lm"]
        if self.options.next_sentence != "none":
            names.append("next_sentence")
        return tuple(
            f"{name}_{what}" for name in names for what in ("loss", "accuracy")
        )


def _masked_lm_logits(config, encoder, features, ops):
    """Returns float32 `[batch_size * num_predictions, vocab_size]`.

    The decoder is the table of word embeddings.
    """
    sequence = encoder.get_sequence_output()
    batch_size, seq_length, width = modeling.get_shape_list(sequence, expected_rank=3)
    offsets = tf.range(batch_size)[:, None] * seq_length
    positions = tf.reshape(features["masked_lm_positions"] + offsets, [-1])
    init = modeling.create_initializer(config.initializer_range)
    # [batch_size * num_predictions, hidden_size]
    vectors = tf.gather(modeling.reshape_to_matrix(sequence), positions)
    with tf.variable_scope("transform"):
        with tf.variable_scope("dense"):
            kernel = tf.get_variable("kernel", [width, width], initializer=init)
            bias = tf.get_variable("bias", [width], initializer=tf.zeros_initializer())
        activation = modeling.get_activation(config.hidden_act)
        dense = (ops or modeling.REFERENCE_OPS).dense
        vectors = dense(vectors, kernel, bias, activation)
        vectors = modeling.layer_norm(vectors, ops=ops)
    bias = tf.get_variable(
        "output_bias", [config.vocab_size], initializer=tf.zeros_initializer()
    )
    logits = tf.matmul(vectors, encoder.get_embedding_table(), transpose_b=True)
    return tf.nn.bias_add(logits, bias)
