"""Examples, the features made of them, and the records that store features.

A `FeatureSpec` states a feature once; writing, reading, padding and the inputs of an
exported model are derived from it.
"""

import hashlib
import json
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

from bert_my.common.errors import InputError
from bert_my.text.packing import lengths_within

# Part of every cache name: raise it when the content of records changes.
FORMAT_VERSION = 3
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
    shape: of one example; (None,) is a sequence, padded with 0. All sequences of an
      example have one length.
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
    num_tokens = len(ids_a) + (len(ids_b) if has_pair else 0)
    if num_tokens > room:
        length_a, length_b = lengths_within(len(ids_a), num_tokens - len(ids_a), room)
        ids_a, ids_b = ids_a[:length_a], ids_b[:length_b] if has_pair else None
    input_ids = [cls_id, *ids_a, sep_id]
    segment_ids = [0] * len(input_ids)
    if has_pair:
        input_ids += [*ids_b, sep_id]
        segment_ids += [1] * (len(ids_b) + 1)
    return EncodedExample(
        {
            "input_ids": input_ids,
            "input_mask": [1] * len(input_ids),
            "segment_ids": segment_ids,
        },
        max(num_tokens - room, 0),
    )


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
