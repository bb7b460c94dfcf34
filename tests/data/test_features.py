"""Packing, records and fingerprints."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.data import features
from bert_my.data.features import FeatureSpec

CLS, SEP = 101, 102


@pytest.mark.parametrize(
    ("ids_a", "ids_b", "max_length", "input_ids", "segment_ids", "num_cut"),
    [
        ([7, 8], None, 8, [CLS, 7, 8, SEP], [0] * 4, 0),
        ([], None, 8, [CLS, SEP], [0, 0], 0),
        ([7, 8, 9], None, 4, [CLS, 7, 8, SEP], [0] * 4, 1),
        ([7, 8], [5], 8, [CLS, 7, 8, SEP, 5, SEP], [0, 0, 0, 0, 1, 1], 0),
        # The longer text loses its end first; of equal ones the second.
        ([1, 2, 3, 4], [5], 6, [CLS, 1, 2, SEP, 5, SEP], [0] * 4 + [1] * 2, 2),
        ([1, 2, 3], [4, 5, 6], 7, [CLS, 1, 2, SEP, 4, 5, SEP], [0] * 4 + [1] * 3, 2),
        ([1, 2], [4, 5], 6, [CLS, 1, 2, SEP, 4, SEP], [0] * 4 + [1] * 2, 1),
        ([7, 8], [], 8, [CLS, 7, 8, SEP], [0] * 4, 0),
    ],
)
def test_pack(ids_a, ids_b, max_length, input_ids, segment_ids, num_cut):
    encoded = features.pack(ids_a, ids_b, max_length, CLS, SEP)
    assert encoded.features["input_ids"] == input_ids
    assert encoded.features["segment_ids"] == segment_ids
    assert encoded.features["input_mask"] == [1] * len(input_ids)
    assert encoded.num_cut_tokens == num_cut


def test_records_round_trip_padded():
    specs = [
        FeatureSpec("input_ids", (None,)),
        FeatureSpec("label_ids", (), is_input=False),
        FeatureSpec("weights", (2,), "float32"),
    ]
    rows = [
        {"input_ids": [3, 4, 5], "label_ids": 1, "weights": [0.5, 2.0]},
        {"input_ids": [6], "label_ids": 0, "weights": [1.0, -1.0]},
    ]
    records = [features.serialize(row, specs) for row in rows]
    parsed = features.parse_batch(tf.constant(records), specs, seq_length=5)
    with tf.Session() as session:
        values = session.run(parsed)
    np.testing.assert_array_equal(
        values["input_ids"], [[3, 4, 5, 0, 0], [6, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(values["label_ids"], [1, 0])
    np.testing.assert_array_equal(values["weights"], [[0.5, 2.0], [1.0, -1.0]])
    assert values["input_ids"].dtype == values["label_ids"].dtype == np.int32


@pytest.mark.parametrize(("longest", "length"), [(1, 8), (8, 8), (9, 13), (13, 13)])
def test_batches_are_padded_to_their_longest_record(longest, length):
    specs = [FeatureSpec("input_ids", (None,)), FeatureSpec("label_ids", (None,))]
    rows = [{"input_ids": [5] * n, "label_ids": [6] * n} for n in (1, longest)]
    records = [features.serialize(row, specs) for row in rows]
    parsed = features.parse_batch(tf.constant(records), specs, seq_length=13)
    with tf.Session() as session:
        values = session.run(parsed)
    for name, token in (("input_ids", 5), ("label_ids", 6)):
        assert values[name].shape == (2, length)
        assert values[name].sum(-1).tolist() == [token, token * longest]


def test_fingerprint_follows_content_not_names(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("rows")
    second.write_text("rows")
    base = features.fingerprint([str(first)], {"lower": True})
    assert features.fingerprint([str(second)], {"lower": True}) == base
    assert features.fingerprint([str(first)], {"lower": False}) != base
    second.write_text("rows!")
    assert features.fingerprint([str(second)], {"lower": True}) != base
    assert features.fingerprint([str(first), str(first)], {"lower": True}) != base
