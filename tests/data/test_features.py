"""Packing and fingerprints."""

import pytest

from bert_my.data import features

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
