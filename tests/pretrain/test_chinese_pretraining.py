"""Real Chinese text: jieba's words are masked as a whole."""

import itertools

import numpy as np
import pytest

import create_pretraining_data
import tokenization
from tests import helpers
from tests.pretrain import made_instances

VOCAB = helpers.SHARED_DATA / "vocab" / "chinese_21128.txt"
CORPUS = helpers.SHARED_DATA / "corpus" / "zh_wiki_passages.txt"


@pytest.fixture
def passages(tmp_path):
    """A part of the corpus: (path, its lines)."""
    with open(str(CORPUS), encoding="utf-8") as stream:
        lines = [line.strip() for line in itertools.islice(stream, 600)]
    path = tmp_path / "part.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, [line for line in lines if line]


def chinese_words(tokenizer, lines):
    """Returns (ids of all tokens, words): bounds of words of several characters.

    A second way to them: word by word, without the offsets of a whole line.
    """
    import jieba

    ids, words = [], []
    for line in lines:
        for word in jieba.cut(line):
            start = len(ids)
            ids += tokenizer.convert_tokens_to_ids(tokenizer.tokenize(word))
            is_chinese = all("\u4e00" <= char <= "\u9fff" for char in word)
            if is_chinese and len(word) > 1:
                words.append((start, len(ids)))
    return ids, words


@helpers.needs_shared_data
@pytest.mark.parametrize("masking", ["whole_word", "ngram"])
def test_no_word_is_half_masked(passages, tmp_path, masking):
    path, lines = passages
    argv = [
        "program",
        f"--input_file={path}",
        f"--output_file={tmp_path / 'train'}",
        f"--vocab_file={VOCAB}",
        f"--masking={masking}",
        "--next_sentence=none",
        "--dupe_factor=1",
    ]
    create_pretraining_data.run(create_pretraining_data.parse(argv))
    instances = made_instances.read_tfrecords([tmp_path / "train"])
    ids, words = chinese_words(tokenization.FullTokenizer(str(VOCAB)), lines)
    text = np.array(ids, "<i4").tobytes()
    is_masked, is_end = np.zeros((2, len(ids)), bool)
    sep = tokenization.load_vocab(str(VOCAB))["[SEP]"]
    num_found = 0
    for row, (tokens, _) in enumerate(made_instances.segments(instances, sep)):
        place = text.find(np.array(tokens, "<i4").tobytes())
        if place % 4:  # not in the text, or only by chance: the two ways differ there
            continue
        num_found += 1
        weights = instances["masked_lm_weights"][row]
        positions = instances["masked_lm_positions"][row][weights > 0]
        is_masked[place // 4 + positions - 1] = True
        is_end[[place // 4, place // 4 + len(tokens) - 1]] = True
    assert num_found > 0.9 * len(instances["input_ids"])
    # A word may be cut where a sequence ends.
    counts = [is_masked[a:b].mean() for a, b in words if not is_end[a:b].any()]
    assert set(counts) == {0.0, 1.0}
    assert sum(counts) > 500
