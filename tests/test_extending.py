"""docs/extending.md is true: its diffs apply, and the parts that they add work."""

import re
import shutil
import subprocess
import sys

import pytest

from tests import helpers

DOC = (helpers.ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
# A line of each section's title -> statements that use the new part.
USES = {
    "loss option": """
import numpy as np
import tensorflow.compat.v1 as tf
from bert_my.tasks import loss_options, objectives, options
assert options.TaskOptions(smooths_wrong_only=True).smooths_wrong_only
loss = loss_options.LossSettings(label_smoothing=0.3, smooths_wrong_only=True)
assert "smooths_wrong_only" in objectives.Softmax.loss_options
logits = np.array([[1.0, -0.5, 2.0]], np.float32)
with tf.Graph().as_default(), tf.Session() as session:
    found = session.run(
        objectives._cross_entropy(tf.constant(logits), [2], loss)[0]
    )
log_p = logits - np.log(np.exp(logits).sum())
np.testing.assert_allclose(found, [-log_p[0].dot([0.15, 0.15, 0.7])], rtol=1e-5)
""",
    "kind of column": """
from bert_my.data import labels
from bert_my.tasks import base
assert labels.Percentage().check("12.5 %") == "0.125"
assert base.get_task_class("percentage").labels_class is labels.Percentage
""",
    "metric": """
from bert_my import metrics
from bert_my.tasks import base
assert metrics.balanced_accuracy in base.get_task_class("csv").metrics
probabilities = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]]
scores = metrics.balanced_accuracy([0, 0, 0, 1], probabilities)
assert scores == {"balanced_accuracy": 1 / 3}, scores
""",
    "writer": """
import io, json
from bert_my.data.features import Example
from bert_my.text import postprocessor
kind = postprocessor.OneLabel(["no", "yes"])
writer = kind.writers()["predictions.jsonl"]
stream = io.StringIO()
example = Example(guid="7", text_a="a")
writer.add(stream, 0, example, {"label": "yes", "probabilities": [0.25, 0.75]})
found = {"guid": "7", "label": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}
assert json.loads(stream.getvalue()) == found
""",
    "encoder family": """
import modeling
from bert_my.model import encoders
config = modeling.BertConfig(20)
config.model_type = "electra"
shapes = encoders.of(config).variable_shapes()
assert list(shapes["electra/embeddings/word_embeddings"]) == [20, 768], shapes
""",
}


def diffs():
    """Returns dict title of a section -> its diff."""
    sections = re.split(r"^## ", DOC, flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        (diff,) = re.findall(r"```diff\n(.*?)```", section, re.DOTALL)
        found[section.split("\n")[0]] = diff
    return found


def apply(diff, root):
    """Applies a diff without line numbers: its context is looked for in order.

    Raises:
      ValueError: if a line of the context is not below the one before it.
    """
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, *changes = part.rstrip("\n").split("\n")
        lines = (root / name).read_text(encoding="utf-8").split("\n")
        context = next(each for each in changes if not each.startswith("+"))
        place = lines.index(context[1:])
        for change in changes:
            mark, text = change[:1], change[1:]
            if mark == "+":
                lines.insert(place, text)
            else:
                place = lines.index(text, place)
            if mark == "-":
                del lines[place]
            else:
                place += 1
        (root / name).write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the project with all diffs applied."""
    root = tmp_path_factory.mktemp("extended") / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        str(helpers.ROOT / "bert_my"), str(root / "bert_my"), ignore=ignored
    )
    for path in helpers.ROOT.glob("*.py"):
        shutil.copy(str(path), str(root))
    for diff in diffs().values():
        apply(diff, root)
    return root


@pytest.mark.once
def test_every_diff_works(extended):
    titles = list(diffs())
    assert len(titles) == len(USES)
    for title, name in zip(titles, USES):
        assert name in title
    code = "\n".join(USES.values())
    subprocess.run([sys.executable, "-c", code], cwd=str(extended), check=True)
