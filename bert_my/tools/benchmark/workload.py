"""The work that is measured: models, lengths of rows, records of random tokens.

All of it is the same every time: the seeds are fixed.
"""

import os
from typing import NamedTuple, Sequence

import numpy as np

import modeling
from bert_my.common.errors import InputError
from bert_my.data import record_cache
from bert_my.data.features import EncodedExample, FeatureSpec
from bert_my.model import pretrained
from bert_my.pretrain import shards
from bert_my.tasks import base

MODELS = {
    # The size of MiniLM-L6-H384 (Wang et al. 2020).
    "mini": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    # BERT-base and BERT-large (Devlin et al. 2019, section 3).
    "base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}
VOCAB_SIZE = 30522
TITLES, FULL = "titles", "full"
LENGTHS = (TITLES, FULL)
SHORTEST = 5  # tokens of a row
MASKED_SHARE = 0.15
_MEAN_LENGTH = 20
_SIGMA = 0.4  # of the logarithm
_SEED = 2019
_FIRST_ID = 5  # those before are special tokens


def bert_config(model, seq_length, vocab_size=None):
    """Returns the `modeling.BertConfig` of a benchmark.

    Args:
      model: key of `MODELS`, or the path of a `bert_config.json`.
      seq_length: what it must hold.
      vocab_size: (optional) instead of the model's own.

    Raises:
      InputError: if it is too short, or the file is not right.
    """
    if model in MODELS:
        config = modeling.BertConfig(
            VOCAB_SIZE, **MODELS[model], max_position_embeddings=max(seq_length, 512)
        )
    else:
        config = pretrained.read_bert_config(model)
    if seq_length > config.max_position_embeddings:
        raise InputError(
            f"--seq_length={seq_length} is over max_position_embeddings="
            f"{config.max_position_embeddings} in {model}"
        )
    config.vocab_size = vocab_size or config.vocab_size
    return config


def row_lengths(kind, num_rows, seq_length):
    """Returns how many tokens each row has, int32 `[num_rows]`.

    Titles have log-normal lengths: rounded, from `SHORTEST` to `seq_length`, with a
    mean of about 20 and a standard deviation of about 8; one of 32 has about 40.

    Args:
      kind: one of `LENGTHS`.
      num_rows: int.
      seq_length: the most tokens.
    """
    if kind == FULL:
        return np.full(num_rows, seq_length, np.int32)
    random = np.random.RandomState(_SEED)
    center = np.log(_MEAN_LENGTH) - _SIGMA**2 / 2
    lengths = np.rint(random.lognormal(center, _SIGMA, num_rows))
    return np.clip(lengths, SHORTEST, seq_length).astype(np.int32)


class _Row(NamedTuple):
    """A row of random tokens."""

    number: int  # its seed
    length: int


class _Encoder(NamedTuple):
    """Makes features of `_Row`s; can be sent to another process."""

    specs: Sequence[FeatureSpec]
    vocab_size: int

    def __call__(self, rows):
        return [EncodedExample(self._features(row), 0) for row in rows]

    def _features(self, row):
        random = np.random.RandomState(row.number)
        ids = random.randint(_FIRST_ID, self.vocab_size, row.length)
        features = {
            "input_ids": ids.tolist(),
            "input_mask": [1] * row.length,
            "segment_ids": [0] * row.length,
        }
        for spec in self.specs:
            if spec.name not in features:
                features[spec.name] = random.randint(0, 2, spec.shape or None)
        return features


def title_records(task, lengths, folder):
    """Returns the records of random rows for a task on texts.

    Args:
      task: `Task`.
      lengths: of the rows, int `[num_rows]`.
      folder: for their file.
    """
    config = task.bert_config
    source = record_cache.Source(
        name="random",
        read_examples=lambda: map(_Row, range(len(lengths)), lengths.tolist()),
        encode_batch=_Encoder(task.feature_specs, config.vocab_size),
        specs=task.feature_specs,
        seq_length=task.max_seq_length,
        paths=(),
        settings={"lengths": lengths.tolist(), "vocab_size": config.vocab_size},
    )
    return record_cache.load_or_convert(source, folder, num_processes=1)


def num_masked(seq_length):
    """Returns how many tokens of a row of pretraining are masked."""
    return max(round(MASKED_SHARE * seq_length), 1)


def write_instances(path, num_rows, seq_length, config):
    """Writes a file of pretraining instances of random tokens without padding.

    Args:
      path: to write.
      num_rows, seq_length: ints.
      config: `modeling.BertConfig`.
    """
    random = np.random.RandomState(_SEED)
    shape, width = (num_rows, seq_length), num_masked(seq_length)
    # Positions without repetition, and none of the first token.
    places = random.rand(num_rows, seq_length - 1).argsort(axis=1)[:, :width] + 1
    instances = {
        "input_ids": random.randint(_FIRST_ID, config.vocab_size, shape),
        "input_mask": np.ones(shape, np.int64),
        "segment_ids": np.tile(np.arange(seq_length) * 2 // seq_length, (num_rows, 1)),
        "masked_lm_positions": np.sort(places, axis=1),
        "masked_lm_ids": random.randint(
            _FIRST_ID, config.vocab_size, (num_rows, width)
        ),
        "masked_lm_weights": np.ones((num_rows, width), np.float32),
        "next_sentence_labels": random.randint(0, 2, (num_rows, 1)),
    }
    tfrecord = shards.FORMATS["tfrecord"]
    with shards.open_shards([path], tfrecord) as write:
        write(tfrecord.encode(instances), num_rows)


def pretraining_records(task, num_rows, folder):
    """Returns the records of a pretraining task.

    Args:
      task: `Task`, whose `input_file` is written here.
      num_rows: int.
      folder: for what is found out about it.
    """
    path = task.options.input_file
    write_instances(path, num_rows, task.max_seq_length, task.bert_config)
    return task.load_records(base.TRAIN, os.path.join(folder, "cache"))
