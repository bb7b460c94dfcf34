"""Features of examples, as records store them and models take them.

A `FeatureSpec` states a feature once; writing, reading, padding and the inputs of an
exported model are derived from it.
"""

from typing import NamedTuple, Optional, Tuple

from bert_my.text.preprocessor import Example  # noqa: F401 (tasks import it from here)

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
