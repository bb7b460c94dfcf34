"""Blocks in which each token tells its place, and shards of made-up instances."""

import collections
import dataclasses

import numpy as np
import tensorflow.compat.v1 as tf

from bert_my.pretrain import shards
from bert_my.pretrain.corpus import Block
from bert_my.pretrain.instances import Vocabulary
from bert_my.pretrain.records import Sizes
from create_pretraining_data import DataConfig

CLS, SEP, MASK, FIRST = 1, 2, 3, 5  # FIRST: id of the first token of text
SIZES = Sizes(
    max_seq_length=11,
    max_predictions_per_seq=3,
    vocab_size=90000,
    type_vocab_size=2,
    has_pairs=True,
)


def make_block(documents, numbers=None, first=FIRST, continues=(), max_length=20):
    """Returns a `Block` whose tokens are all different: `first`, `first` + 1, ...

    Args:
      documents: list of lists of the lengths of sentences.
      numbers: of the documents; default: 0, 1, ...
      first: id of the first token.
      continues: ids of the tokens that continue a word.
      max_length: longer sentences are cut into pieces, as `corpus.encode` does.
    """
    documents = [
        [min(max_length, n - i) for n in document for i in range(0, n, max_length)]
        for document in documents
    ]
    lengths = [length for document in documents for length in document]
    tokens = np.arange(first, first + sum(lengths), dtype=np.int32)
    counts = [len(document) for document in documents]
    return Block(
        tokens=tokens,
        is_word_start=~np.isin(tokens, list(continues)),
        sentences=np.cumsum([0, *lengths]),
        documents=np.cumsum([0, *counts]),
        numbers=np.array(range(len(documents)) if numbers is None else numbers),
    )


def random_documents(num_documents, max_sentences, max_tokens, seed=7):
    """Returns random lengths of sentences, for `make_block`."""
    rng = np.random.RandomState(seed)
    return [
        rng.randint(1, max_tokens + 1, rng.randint(1, max_sentences + 1)).tolist()
        for _ in range(num_documents)
    ]


def instance_settings(**changes):
    """Returns the `DataConfig` of short sequences, all as long as they may be."""
    settings = DataConfig(
        max_seq_length=23,
        max_predictions_per_seq=7,
        masked_lm_prob=0.15,
        short_seq_prob=0.0,
        masking="wordpiece",
        next_sentence="nsp",
    )
    return dataclasses.replace(settings, **changes)


def vocabulary_of(*blocks):
    """Returns the `Vocabulary` of blocks; random tokens are none of theirs."""
    end = 1 + max(int(block.tokens.max()) for block in blocks)
    return Vocabulary(CLS, SEP, MASK, np.arange(end, end + 50))


def random_instances(num_rows, first_row=0, sizes=SIZES):
    """Returns instances as `make_instances` does; input_ids[:, 1] counts the rows."""
    rng = np.random.RandomState(first_row)
    length, width = sizes.max_seq_length, sizes.max_predictions_per_seq
    lengths = rng.randint(width + 2, length + 1, num_rows)
    is_real = np.arange(length) < lengths[:, None]
    ids = rng.randint(FIRST, sizes.vocab_size, is_real.shape)
    ids[:, 1] = FIRST + first_row + np.arange(num_rows)
    is_used = np.arange(width) < rng.randint(1, width + 1, num_rows)[:, None]
    positions = np.arange(1, width + 1) * is_used
    is_second = np.arange(length) >= lengths[:, None] // 2
    return {
        "input_ids": (ids * is_real).astype(np.int32),
        "input_mask": is_real.astype(np.int32),
        "segment_ids": (is_second & is_real).astype(np.int32),
        "masked_lm_positions": positions.astype(np.int32),
        "masked_lm_ids": np.where(
            is_used, rng.randint(FIRST, sizes.vocab_size, is_used.shape), 0
        ).astype(np.int32),
        "masked_lm_weights": is_used.astype(np.float32),
        "next_sentence_labels": rng.randint(0, 2, (num_rows, 1)).astype(np.int32),
    }


def write_shard(path, instances, name="tfrecord"):
    """Writes instances with our writer; returns the path as str."""
    shard_format = shards.FORMATS[name]
    with shards.writing([str(path)], shard_format) as write:
        write(shard_format.encode(instances))
    return str(path)


def write_as_upstream(path, instances):
    """Writes instances as google-research/bert's script does."""
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        for row in range(len(instances["input_ids"])):
            features = collections.OrderedDict()
            for name, values in instances.items():
                feature = tf.train.Feature()
                if name == "masked_lm_weights":
                    feature.float_list.value.extend(values[row])
                else:
                    feature.int64_list.value.extend(map(int, values[row]))
                features[name] = feature
            message = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(message.SerializeToString())
    return str(path)


def rows_of(dataset):
    """Returns all elements of a dataset, a list of dicts or arrays."""
    iterator = tf.data.make_initializable_iterator(dataset)
    following, elements = iterator.get_next(), []
    with tf.Session() as session:
        session.run(iterator.initializer)
        while True:
            try:
                elements.append(session.run(following))
            except tf.errors.OutOfRangeError:
                return elements


def read_records(records, rows=None, batch_size=4):
    """Returns the parsed batches of some rows of `Instances`, a list of dicts.

    Args:
      records: `Instances`.
      rows: numbers of rows; default: all.
      batch_size: int.
    """
    numbers = np.arange(records.num_examples) if rows is None else rows
    dataset = tf.data.Dataset.from_tensor_slices(numbers).batch(batch_size)
    return rows_of(dataset.map(records.parse))


def row_numbers(batches):
    """Returns the number of each row of `read_records`, see `random_instances`."""
    return [int(row) - FIRST for batch in batches for row in batch["input_ids"][:, 1]]


def read_tfrecords(paths):
    """Returns all instances of TFRecord files, dict name -> array."""
    columns = collections.defaultdict(list)
    for path in paths:
        for record in tf.python_io.tf_record_iterator(str(path)):
            example = tf.train.Example.FromString(record)
            for name, feature in example.features.feature.items():
                values = feature.float_list.value or feature.int64_list.value
                columns[name].append(list(values))
    return {name: np.array(values) for name, values in columns.items()}


def unmasked(instances):
    """Returns input_ids with what stood in the place of the predicted tokens."""
    ids = np.array(instances["input_ids"])
    rows, columns = np.nonzero(instances["masked_lm_weights"])
    positions = np.asarray(instances["masked_lm_positions"])[rows, columns]
    ids[rows, positions] = np.asarray(instances["masked_lm_ids"])[rows, columns]
    return ids


def segments(instances, sep=SEP):
    """Returns the two segments of each instance, without special tokens, unmasked."""
    pairs = []
    lengths = np.asarray(instances["input_mask"]).sum(axis=1)
    for row, segment_ids, length in zip(
        unmasked(instances), np.asarray(instances["segment_ids"]), lengths
    ):
        num_second = int(segment_ids[:length].sum())
        middle = length - num_second
        pairs.append((row[1 : middle - 1].tolist(), row[middle : length - 1].tolist()))
        assert row[middle - 1] == sep
    return pairs
