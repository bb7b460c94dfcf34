"""Fingerprints of the inputs of a record file."""

from bert_my.data import features


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
