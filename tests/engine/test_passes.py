"""Results of a pass: each row belongs to its example, and nothing is left half done."""

import errno
import os
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.engine import evaluation, forward
from bert_my.text.writers import Lines
from tests import helpers

EXAMPLES = [(f"example {i}", [{"place": i}] * (i % 3)) for i in range(8)]
NUM_ROWS = 7  # 0, 1, 2, 0, 1, 2, 0 and 1 of the examples


class JoiningTask:
    """The result of an example is the list of its rows: (output, place)."""

    def __init__(self):
        self.postprocessor = self._join
        self.results = []

    @staticmethod
    def _join(example, rows):
        return [(int(row["number"]), row["place"]) for row in rows]

    def score(self, pairs):
        self.results = list(pairs)
        return {"num_examples": len(self.results)}


def records(examples=EXAMPLES, num_examples=NUM_ROWS):
    return types.SimpleNamespace(
        path="dev-0123.rows",
        num_examples=num_examples,
        examples=lambda: iter(examples),
    )


def batches(*sizes, first=0):
    """Returns batches of these sizes, whose outputs are the numbers of their rows."""
    found = []
    for size in sizes:
        numbers = np.arange(first, first + size)
        losses = {"loss": (float(numbers.sum()), float(size))}
        found.append(forward.Batch({"number": numbers}, losses, {}, first))
        first += size
    return found


@pytest.mark.parametrize("sizes", [(7,), (3, 3, 1), (1,) * 7])
def test_each_example_gets_all_its_rows(sizes):
    task, written = JoiningTask(), []
    scores = evaluation.scores(
        task, records(), batches(*sizes), lambda *each: written.append(each)
    )
    assert task.results == [
        ("example 0", []),
        ("example 1", [(0, 1)]),
        ("example 2", [(1, 2), (2, 2)]),
        ("example 3", []),
        ("example 4", [(3, 4)]),
        ("example 5", [(4, 5), (5, 5)]),
        ("example 6", []),
        ("example 7", [(6, 7)]),
    ]
    assert written == [(i, *pair) for i, pair in enumerate(task.results)]
    assert scores == {"num_examples": 8, "loss": 3.0, "eval_loss": 3.0}


@pytest.mark.parametrize(
    ("examples", "num_examples", "found"),
    [
        pytest.param(EXAMPLES, 7, batches(3, 3), id="rows are missing"),
        pytest.param(EXAMPLES, 7, batches(7, 7), id="twice as many rows"),
        pytest.param(EXAMPLES, 7, batches(8), id="a row too many"),
        pytest.param(EXAMPLES, 7, [*batches(3), *batches(3, first=4)], id="a gap"),
        pytest.param(EXAMPLES, 7, batches(3, 4)[::-1], id="in another order"),
        pytest.param(EXAMPLES, 7, [], id="no rows"),
        pytest.param(EXAMPLES[:-1], 7, batches(7), id="an example is missing"),
        pytest.param([*EXAMPLES, EXAMPLES[1]], 7, batches(7), id="an example too many"),
        pytest.param(EXAMPLES, 8, batches(7), id="records with more rows"),
        pytest.param(EXAMPLES[:-1], 7, batches(6), id="both are short"),
    ],
)
def test_rows_that_are_not_those_of_the_examples(examples, num_examples, found):
    with pytest.raises(InputError, match=r"^dev-0123\.rows: "):
        evaluation.scores(JoiningTask(), records(examples, num_examples), found)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder of a tiny model, folder of titles, folder of a short run on them)."""
    folder = tmp_path_factory.mktemp("passes")
    model = helpers.write_tiny_model(folder / "model", num_hidden_layers=1)
    data = helpers.write_titles(folder / "data", test=40)
    helpers.run(helpers.command(model, data, folder / "out", "do_train"))
    return model, data, folder / "out"


def full_disk(index, example, result):
    if index == 5:
        raise OSError(errno.ENOSPC, "no space left")
    return [[index]]


@pytest.mark.once
def test_a_full_disk_leaves_no_half_file(trained, monkeypatch, tmp_path):
    model, data, out = trained
    argv = helpers.command(
        model, data, out, "do_predict", more={"predict_batch_size": 2}
    )
    writers = {"predict.txt": Lines(full_disk)}
    task_class = type(helpers.make_task(model, data))
    monkeypatch.setattr(task_class, "writers", property(lambda task: writers))
    before = set(os.listdir(str(out)))
    with pytest.raises(InputError, match="cannot be written: no space left"):
        helpers.run(argv)
    assert set(os.listdir(str(out))) == before


@pytest.mark.once
def test_a_full_disk_ends_the_process(trained):
    """A session that stays open would keep the process from its end."""
    model, data, out = trained
    argv = helpers.command(
        model, data, out, "do_predict", more={"predict_batch_size": 2}
    )
    code = """
        import sys
        from bert_my.cli import runner
        from bert_my.text.writers import Tsv
        from tests.engine.test_passes import full_disk

        Tsv.add = lambda writer, stream, index, *more: full_disk(index, *more)
        runner.main(argv=sys.argv)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, argv[1:])],
        cwd=str(helpers.ROOT),
        timeout=300,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode != 0
    assert "no space left" in done.stdout
    assert not [name for name in os.listdir(str(out)) if name.endswith(".tmp")]
    assert not (out / "predictions.tsv").exists()


def test_a_damaged_file_of_examples_is_named(trained, tmp_path):
    """Its examples are those of the rows, or nothing is written."""
    model, data, out = trained
    task = helpers.make_task(model, data)
    damaged = helpers.make_records(task, "test", tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.examples")
    settings = forward.EvalSettings(
        tf.train.latest_checkpoint(str(out)), helpers.cpu_devices(1), 4, "fp32"
    )
    (tmp_path / "out").mkdir()
    text = path.read_bytes()
    for wrong in (text[:-9], text + text):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=r"test-.*\.examples"):
            evaluation.predict(task, damaged, settings, str(tmp_path / "out"))
        assert not list((tmp_path / "out").iterdir())
