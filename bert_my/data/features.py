"""Features of examples, as records store them and models take them.

A `FeatureSpec` states a feature once; writing, reading, padding and the inputs of an
exported model are derived from it.
"""

import hashlib
import json
from typing import NamedTuple, Optional, Tuple

from bert_my.common import files
from bert_my.text.examples import Example  # noqa: F401 (tasks import it from here)

# Part of every cache name: raise it when the content of records changes.
FORMAT_VERSION = 4
# Sequences of a batch are padded to a multiple of this.
LENGTH_STEP = 8


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


TEXT_SPECS = (
    FeatureSpec("input_ids", (None,)),
    FeatureSpec("input_mask", (None,)),
    FeatureSpec("segment_ids", (None,)),
)


def fingerprint(paths, settings):
    """Returns 16 hex digits that change with the content of files or with settings.

    Args:
      paths: files whose bytes count; their names do not.
      settings: JSON-able; tuples and lists are the same.

    Raises:
      InputError: if a file cannot be read.
    """
    content = [FORMAT_VERSION, settings, [files.digest(path) for path in paths]]
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
