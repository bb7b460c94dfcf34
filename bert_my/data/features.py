"""Examples, the features made of them, and the records that store features.

A `FeatureSpec` states a feature once; writing, parsing, padding and the inputs of an
exported model are derived from it.
"""

import hashlib
import json
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import tensorflow.compat.v1 as tf

from bert_my.data.errors import InputError
from bert_my.data.packing import lengths_within

# Part of every cache name: raise it when the content of records changes.
FORMAT_VERSION = 2
# Sequences of a batch are padded to a multiple of this.
LENGTH_STEP = 8


class Example(NamedTuple):
    """One row of a data set, as text."""

    text_a: str
    text_b: Optional[str] = None
    label: Optional[str] = None
    guid: str = ""
    group: Union[int, str] = ""  # of tasks that rank rows within groups


class FeatureSpec(NamedTuple):
    """One feature of an example.

    name: key in records and in the dict of tensors.
    shape: of one example; None is the sequence, padded with 0 to its longest.
    dtype: "int32" or "float32".
    is_input: whether a served model asks for it (labels are not asked for).
    """

    name: str
    shape: Tuple[Optional[int], ...]
    dtype: str = "int32"
    is_input: bool = True


class EncodedExample(NamedTuple):
    """Features of one example, not padded, and how much text did not fit."""

    features: Dict[str, Union[int, float, List[int], List[float]]]
    num_cut_tokens: int


TEXT_SPECS = (
    FeatureSpec("input_ids", (None,)),
    FeatureSpec("input_mask", (None,)),
    FeatureSpec("segment_ids", (None,)),
)


def pack(ids_a, ids_b, max_seq_length, cls_id, sep_id):
    """Packs one or two texts: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].

    Too long pairs lose tokens at the end, see `packing.lengths_within`. Source: Devlin
    et al. 2019, figure 2.

    Args:
      ids_a: ids of the first text.
      ids_b: ids of the second text; None or empty for a single text.
      max_seq_length: with the special tokens.
      cls_id, sep_id: ids of [CLS] and [SEP].

    Returns:
      `EncodedExample` with input_ids, input_mask and segment_ids.
    """
    has_pair = bool(ids_b)
    room = max_seq_length - (3 if has_pair else 2)
    lengths = len(ids_a), len(ids_b) if has_pair else 0
    length_a, length_b = lengths_within(*lengths, room)
    input_ids = [cls_id, *ids_a[:length_a], sep_id]
    segment_ids = [0] * len(input_ids)
    if has_pair:
        input_ids += [*ids_b[:length_b], sep_id]
        segment_ids += [1] * (length_b + 1)
    return EncodedExample(
        {
            "input_ids": input_ids,
            "input_mask": [1] * len(input_ids),
            "segment_ids": segment_ids,
        },
        sum(lengths) - length_a - length_b,
    )


def serialize(features, specs):
    """Returns the record (a serialized `tf.train.Example`) of one example."""
    example = tf.train.Example()
    for spec in specs:
        values = features[spec.name]
        values = values if isinstance(values, list) else [values]
        feature = example.features.feature[spec.name]
        if spec.dtype == "float32":
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return example.SerializeToString()


def parse_batch(records, specs, seq_length):
    """Parses records into tensors, padded to the longest record of the batch.

    Padding changes no result and costs as much time as text. The length is rounded up
    to a multiple of `LENGTH_STEP`, so that there are few different ones.

    Args:
      records: string `[batch_size]`.
      specs: list of `FeatureSpec`.
      seq_length: the most that the sequence axis may have; no record may be longer.

    Returns:
      dict name -> tensor `[batch_size, ...]` of the spec's dtype.
    """
    readers = {}
    for spec in specs:
        dtype = tf.float32 if spec.dtype == "float32" else tf.int64
        is_sequence = None in spec.shape
        readers[spec.name] = (
            tf.io.VarLenFeature(dtype)
            if is_sequence
            else tf.io.FixedLenFeature(spec.shape, dtype)
        )
    parsed = tf.io.parse_example(records, readers)
    lengths = [parsed[spec.name].dense_shape[1] for spec in specs if None in spec.shape]
    if lengths:
        longest = tf.cast(tf.reduce_max(tf.stack(lengths)), tf.int32)
        rounded = -(-longest // LENGTH_STEP) * LENGTH_STEP
        shape = tf.stack([tf.size(records), tf.minimum(rounded, seq_length)])
    output = {}
    for spec in specs:
        value = parsed[spec.name]
        if None in spec.shape:
            value = tf.sparse.to_dense(tf.sparse.reset_shape(value, shape))
        output[spec.name] = tf.cast(value, spec.dtype)
    return output


def fingerprint(paths, settings):
    """Returns 16 hex digits that change with the content of files or with settings.

    Args:
      paths: files whose bytes count; their names do not.
      settings: JSON-able; tuples and lists are the same.

    Raises:
      InputError: if a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps([FORMAT_VERSION, settings], sort_keys=True).encode())
    for path in paths:
        try:
            with open(path, "rb") as reader:
                for block in iter(lambda: reader.read(1 << 20), b""):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        digest.update(b"\0end of file\0")
    return digest.hexdigest()
