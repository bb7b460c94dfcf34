"""Hidden states of a project's own modeling.py and of ours, compared."""

import os
import subprocess
import sys
import tempfile

import numpy as np

from bert_my.common.errors import InputError
from bert_my.model import folders
from bert_my.text import vocabulary
from bert_my.tools.project import sources

_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hidden_worker.py")
# Environments that scripts/setup.sh makes: TensorFlow 1.15 and 2.
_PYTHONS = (".venv-tf1/bin/python", ".venv/bin/python")
LINES = (
    "how are you today?",
    "The cat sleeps.",
    "a",
    "Why is 7 more than 5, and less than 11?",
    "今天天气很好。",
    "A house, a tree and a dog.",
    "An unbelievable, never-ending story!",
    "again and again and again and again",
)
_MAX_SEQ_LENGTH = 32


def pythons(given=None):
    """Returns the paths of the Pythons to try, this one and our environments.

    Args:
      given: (optional) path of the only one to try.
    """
    if given:
        return [given]
    found = [os.path.join(sources.ROOT, path) for path in _PYTHONS]
    return [sys.executable, *filter(os.path.exists, found)]


def features_of(model):
    """Returns dict name -> int32 `[8, seq_length]` of `LINES` for a `models.Model`."""
    case = folders.find(model.checkpoint, None).do_lower_case
    tokenizer = vocabulary.read_tokenizer(model.vocab_file, case is not False)
    rows = [
        ["[CLS]", *tokenizer.tokenize(line)[: _MAX_SEQ_LENGTH - 2], "[SEP]"]
        for line in LINES
    ]
    shape = len(rows), max(map(len, rows))
    names = ("input_ids", "input_mask", "segment_ids")
    features = {name: np.zeros(shape, np.int32) for name in names}
    for row, tokens in enumerate(rows):
        features["input_ids"][row, : len(tokens)] = tokenizer.convert_tokens_to_ids(
            tokens
        )
        features["input_mask"][row, : len(tokens)] = 1
    return features


def compare(path, model, python=None):
    """Returns the largest difference of the hidden states, as text.

    Args:
      path: of the project's modeling.py.
      model: `models.Model`.
      python: (optional) path of the Python that runs the project's; see `pythons`.
    """
    features = features_of(model)
    with tempfile.TemporaryDirectory() as folder:
        inputs = os.path.join(folder, "inputs.npz")
        np.savez(inputs, **features)
        ours = os.path.join(sources.ROOT, "modeling.py")
        expected, _, error = _compute([sys.executable], ours, model, inputs)
        if error:
            return f"ours fails: {error}"
        found, used, error = _compute(pythons(python), path, model, inputs)
    if error:
        return f"not computed: {error}; --python=PATH names a Python for it"
    is_token = features["input_mask"].astype(bool)
    difference = np.abs(found - expected)[is_token].max()
    largest = np.abs(expected[is_token]).max()
    return (
        f"largest difference of the hidden states {difference:.1e}, of values up to "
        f"{largest:.3g}; {len(LINES)} lines, by {used}"
    )


def _compute(executables, path, model, inputs):
    """Returns (hidden states, Python, None), or (None, None, errors as text)."""
    errors = []
    output = f"{inputs}.npy"
    for python in executables:
        # -B writes no __pycache__ into the project.
        command = [python, "-B", _WORKER, path, model.config, model.checkpoint]
        try:
            ran = subprocess.run(
                [*command, inputs, output],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise InputError(f"--python={python}: {error.strerror}") from error
        if ran.returncode == 0:
            return np.load(output), python, None
        last = (ran.stderr.strip().splitlines() or ["no output"])[-1]
        errors.append(f"{python}: {last}")
    return None, None, "; ".join(errors)
