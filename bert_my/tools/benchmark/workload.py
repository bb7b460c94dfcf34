"""The work that is measured: models, lengths of rows, random tokens and random titles.

The seeds are fixed, so every benchmark has the same rows.
"""

import csv
import itertools
import os
import string

import numpy as np

import modeling
import tokenization
from bert_my.common import files
from bert_my.data import record_files
from bert_my.model import pretrained
from bert_my.text import vocabulary

MODES = TRAIN, PREDICT, ENCODE = "train", "predict", "encode"

# (hidden size, layers, attention heads); feed-forward layers are four times as wide.
MODELS = {
    "mini": (384, 6, 12),  # MiniLM-L6-H384 (Wang et al. 2020)
    # BERT-base and BERT-large (Devlin et al. 2019, section 3).
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
VOCAB_SIZE = 30522
LENGTHS = TITLES, FULL = "titles", "full"
SHORTEST = 5  # tokens of a row
_MEAN_LENGTH = 20
_SIGMA = 0.4  # of the logarithm of a length
_SEED, _SEED_OF_TEXTS = 2019, 1907
_FIRST_ID = 5  # after the special tokens
_ROWS_AT_ONCE = 1000
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_REQUIRED = ("[UNK]", "[CLS]", "[SEP]")
_MARKS = (",", ":", " -", "?", "!", ".")
_PIECES_PER_WORD = 1.3  # about; punctuation counts for its word
# Shares of the words of a title with each of these.
_WITH_END, _WITH_MARK, _CAPITAL, _NUMBER = 0.15, 0.1, 0.3, 0.03


def bert_config(settings):
    """Returns the `modeling.BertConfig` of `main.Settings`.

    Raises:
      InputError: if the file is wrong.
    """
    if settings.model not in MODELS:
        return pretrained.read_bert_config(settings.model)
    hidden_size, num_layers, num_heads = MODELS[settings.model]
    return modeling.BertConfig(
        VOCAB_SIZE,
        hidden_size,
        num_layers,
        num_heads,
        intermediate_size=4 * hidden_size,
        max_position_embeddings=max(settings.max_seq_length, 512),
    )


def bert_config_file(settings, folder, vocab_size=None):
    """Returns the path of the config of the model of `main.Settings`.

    Args:
      settings: `main.Settings`; its model may be the path of a file.
      folder: for a file that is to be written.
      vocab_size: (optional) instead of the model's own.
    """
    if settings.model not in MODELS and vocab_size is None:
        return settings.model
    config = bert_config(settings)
    config.vocab_size = vocab_size or config.vocab_size
    path = os.path.join(folder, "bert_config.json")
    files.write_json(path, config.to_dict())
    return path


def row_lengths(settings):
    """Returns the number of tokens of each row, int32 `[num_rows]`.

    Titles have log-normal lengths: rounded, from `SHORTEST` to the maximum, with a
    mean of about 20 and a standard deviation of about 8; the longest of 32 rows has
    about 40.

    settings: `main.Settings`.
    """
    num_rows, longest = settings.num_rows, settings.max_seq_length
    if settings.lengths == FULL:
        return np.full(num_rows, longest, np.int32)
    random = np.random.RandomState(_SEED)
    center = np.log(_MEAN_LENGTH) - _SIGMA**2 / 2
    lengths = np.rint(random.lognormal(center, _SIGMA, num_rows))
    return np.clip(lengths, SHORTEST, longest).astype(np.int32)


def random_records(task, lengths, folder):
    """Returns the records of rows of random tokens, for a task on texts with labels.

    Args:
      task: `Task`.
      lengths: of the rows in tokens, int `[num_rows]`.
      folder: for their file.
    """
    path, specs = os.path.join(folder, "random.rows"), task.feature_specs
    vocab_size = task.bert_config.vocab_size
    with record_files.creating(path) as write:
        for first in range(0, len(lengths), _ROWS_AT_ONCE):
            chunk = enumerate(lengths[first : first + _ROWS_AT_ONCE].tolist(), first)
            rows = [_random_row(*row, vocab_size) for row in chunk]
            write(record_files.Chunk(*record_files.encode(rows, specs)))
    return record_files.Records(path, specs, task.max_seq_length)


def _random_row(seed, length, vocab_size):
    """Returns the features of a row of random tokens, as a dict name -> value."""
    random = np.random.RandomState(seed)
    return {
        "input_ids": random.randint(_FIRST_ID, vocab_size, length).tolist(),
        "input_mask": [1] * length,
        "segment_ids": [0] * length,
        "label_ids": random.randint(2),
    }


def write_vocabulary(path, num_lines):
    """Writes a vocabulary: special tokens, characters, random words and word ends.

    Args:
      path: to write.
      num_lines: int.
    """
    random = np.random.RandomState(_SEED_OF_TEXTS)
    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    lines = dict.fromkeys([*_SPECIAL, *characters, *(f"##{x}" for x in characters)])
    letters = list(string.ascii_lowercase)
    while len(lines) < num_lines:
        word = "".join(random.choice(letters, random.randint(2, 10)))
        # As in published vocabularies, one of five is a continuation.
        lines[f"##{word}" if random.rand() < 0.2 else word] = None
    vocabulary.write(path, list(itertools.islice(lines, num_lines)))


def make_titles(vocab, lengths):
    """Yields titles of words of a vocabulary.

    A few words are frequent and most are rare, as in real text. A vocabulary with more
    Chinese characters than words gives characters without spaces.

    Args:
      vocab: dict token -> id.
      lengths: of the titles in tokens, about, int `[num_titles]`.
    """
    random = np.random.RandomState(_SEED_OF_TEXTS)
    words = [x for x in vocab if x.isalpha() and len(x) > 1] or ["a"]
    ends = [x[2:] for x in vocab if x.startswith("##") and x[2:].isalpha()] or ["s"]
    chinese = [x for x in vocab if len(x) == 1 and "\u4e00" <= x <= "\u9fff"]
    is_chinese = len(chinese) > len(words)
    words = chinese if is_chinese else words
    shares = 1.0 / (np.arange(len(words)) + 10.0)
    cumulative = np.cumsum(random.permutation(shares) / shares.sum())
    pieces = 1.0 if is_chinese else _PIECES_PER_WORD
    for length in lengths.tolist():
        num_words = max(round((length - 2) / pieces), 1)
        chosen = [words[i] for i in _draw(cumulative, num_words, random)]
        if is_chinese:
            yield "".join(chosen)
        else:
            yield " ".join(_decorate(chosen, ends, random))


def _draw(cumulative, number, random):
    """Returns random indices, int `[number]`, by the cumulative shares of the words."""
    drawn = np.searchsorted(cumulative, random.rand(number))
    return np.minimum(drawn, len(cumulative) - 1)  # the last sum is rounded


def _decorate(words, ends, random):
    """Yields words with capitals, punctuation and numbers, as titles have them."""
    for word, share in zip(words, random.rand(len(words), 4)):
        if share[0] < _WITH_END:
            word += ends[random.randint(len(ends))]
        if share[1] < _NUMBER:
            word = str(random.randint(3000))
        if share[2] < _CAPITAL:
            word = word.capitalize()
        if share[3] < _WITH_MARK:
            word += _MARKS[random.randint(len(_MARKS))]
        yield word


def write_text_files(settings, folder):
    """Writes rows `id,title,label`, and vocabulary and config of a model.

    Args:
      settings: `main.Settings`.
      folder: for the files.

    Returns:
      dict of the options of a run that name these files.
    """
    vocab_file, vocab_size = settings.vocab_file, None
    if vocab_file:
        known = vocabulary.read_tokenizer(vocab_file, True, required_tokens=_REQUIRED)
        vocab_size = max(known.inv_vocab) + 1
    else:
        vocab_file = os.path.join(folder, vocabulary.VOCAB)
        write_vocabulary(vocab_file, bert_config(settings).vocab_size)
    titles = make_titles(tokenization.load_vocab(vocab_file), row_lengths(settings))
    path = os.path.join(folder, "titles.csv")
    with files.replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, title in enumerate(titles):
            writer.writerow([number, title, number % 2])
    return {
        "test_file": path,
        "bert_config_file": bert_config_file(settings, folder, vocab_size),
        "vocab_file": vocab_file,
    }
