"""Pretraining: masked tokens, and whether or in which order two segments follow.

Source: Devlin et al. 2019, section 3.1. The variables are those of published
checkpoints, so such a checkpoint can be trained on, and its product fine-tuned.
"""

import glob
import os

import tensorflow.compat.v1 as tf

import modeling
from bert_my.data import corpus, pretraining_data, pretraining_shards, shard_checks
from bert_my.data.errors import InputError
from bert_my.tasks import base
from bert_my.tasks.objectives import project
from bert_my.tasks.options import OF_TEXTS

SHARD_PATTERNS = ("*.tfrecord*", "*.record*", "*.hdf5", "*.h5")


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

    def __init__(self, *args, **kwargs):
        """Builds the task; see `Task`."""
        super().__init__(*args, **kwargs)
        known = pretraining_data.NEXT_SENTENCE
        if self.options.next_sentence not in known:
            raise InputError(
                f"--next_sentence={self.options.next_sentence}: it must be one of "
                f"{', '.join(known)}"
            )
        if not 0 <= self.options.process_index < self.options.num_processes:
            raise InputError(
                f"--process_index={self.options.process_index}: it must be from 0 to "
                f"--num_processes - 1 = {self.options.num_processes - 1}"
            )

    @property
    def _sizes(self):
        return pretraining_shards.Sizes(
            self.max_seq_length,
            self.options.max_predictions_per_seq,
            self.bert_config.vocab_size,
            self.bert_config.type_vocab_size,
        )

    @property
    def feature_specs(self):
        return self._sizes.specs

    def find_files(self, split):
        """Returns the shards of a split; without `--dev_file` they serve for both.

        That is what upstream's script does.
        """
        options = self.options
        own = {base.TRAIN: "train_file", base.DEV: "dev_file"}.get(split)
        if own is None:
            return []
        if getattr(options, own):
            return corpus.find_inputs(getattr(options, own), own)
        if options.input_file:
            return corpus.find_inputs(options.input_file, "input_file")
        if options.input_dir:
            return self._list_dir(options.input_dir)
        raise InputError("--input_file or --input_dir is needed")

    def _list_dir(self, folder):
        """Returns the shards in a folder."""
        patterns = [os.path.join(glob.escape(folder), name) for name in SHARD_PATTERNS]
        found = {path for pattern in patterns for path in glob.glob(pattern)}
        if not found:
            raise InputError(
                f"--input_dir={folder}: there is no file {' or '.join(SHARD_PATTERNS)}"
            )
        return sorted(found)

    def load_records(self, split, record_dir):
        options = self.options
        return shard_checks.load(
            self.find_files(split),
            self._sizes,
            record_dir,
            pretraining_shards.Part(options.process_index, options.num_processes),
        )

    def build(self, features, is_training):
        encoder = modeling.BertModel(
            config=self.bert_config,
            is_training=is_training,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
        )
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
                _masked_lm_logits(self.bert_config, encoder, features),
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

    def score(self, targets, predictions):
        return {}

    @property
    def metric_names(self):
        names = ["masked_lm"]
        if self.options.next_sentence != "none":
            names.append("next_sentence")
        return {f"{name}_{what}" for name in names for what in ("loss", "accuracy")}

    @property
    def prediction_headers(self):
        return {}


def _masked_lm_logits(config, encoder, features):
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
        vectors = tf.nn.bias_add(tf.matmul(vectors, kernel), bias)
        activation = modeling.get_activation(config.hidden_act)
        vectors = activation(vectors) if activation else vectors
        vectors = modeling.layer_norm(vectors)
    bias = tf.get_variable(
        "output_bias", [config.vocab_size], initializer=tf.zeros_initializer()
    )
    logits = tf.matmul(vectors, encoder.get_embedding_table(), transpose_b=True)
    return tf.nn.bias_add(logits, bias)
