"""The drop-in modules in another program: copied alone, or the project as a package.

Each test runs in a Python that knows the installed packages but not this project.
"""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests import helpers

MODULES = ("modeling", "tokenization", "optimization", "custom_optimization")
TRAIN = """
import functools
import importlib
import importlib.util
import site
import sys

site.getusersitepackages()  # TensorFlow 1.15 reads the result
package, *paths = sys.argv[1:]
sys.path[:0] = paths
for name in ("bert_my", "create_pretraining_data"):
    assert importlib.util.find_spec(name) is None, name

import tensorflow.compat.v1 as tf

if package:
    exec(f"from {package} import modeling, tokenization, optimization")
    exec(f"from {package} import custom_optimization")
else:
    import custom_optimization, modeling, optimization, tokenization

def train(create_optimizer):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        config = modeling.BertConfig(
            20,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=12,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        ids = tf.constant([[2, 5, 3], [2, 7, 3]])
        model = modeling.BertModel(config, True, ids)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=[0, 1], logits=model.get_pooled_output()
        )
        loss = tf.reduce_mean(losses)
        train_op = create_optimizer(loss, 0.01, 20, 0, False)
        session.run(tf.global_variables_initializer())
        before = session.run(loss)
        for _ in range(10):
            session.run(train_op)
        assert session.run(tf.train.get_global_step()) == 10
        assert session.run(loss) < 0.5 * before

tf.disable_v2_behavior()
if not package:  # the path of an import changes nothing in these
    train(optimization.create_optimizer)
    train(custom_optimization.create_optimizer)
tf.enable_resource_variables()
train(custom_optimization.create_optimizer)
train(functools.partial(optimization.create_optimizer, fp16=True))
assert tokenization.BasicTokenizer().tokenize("a b") == ["a", "b"]
print("trained")
"""
# Run after `TRAIN`, in a clone of the project whose folder is the package.
IMPORT_SCRIPTS = """
import os

folder = os.path.dirname(modeling.__file__)
scripts = [name[:-3] for name in os.listdir(folder) if name.endswith(".py")]
assert "create_pretraining_data" in scripts
for name in sorted(scripts):
    importlib.import_module(f"{package}.{name}")
from bert_my.cli import runner

assert runner.__file__.startswith(os.path.join(folder, "bert_my"))
assert modeling.__name__ == f"{package}.modeling"
run_classifier = importlib.import_module(f"{package}.run_classifier")
with tf.Graph().as_default():
    ids = tf.constant([[2, 5, 3]])
    config = modeling.BertConfig(20, 8, 1, 2, 12)
    run_classifier.create_model(config, True, ids, None, None, [1], 2, False)
    assert tf.trainable_variables()
"""


@pytest.mark.parametrize(
    ("package", "has_init"),
    [
        ("", False),
        pytest.param("bert", False, marks=pytest.mark.slow),
        pytest.param("bert_base.bert", True, marks=pytest.mark.once),
        pytest.param("bert_base.bert", False, marks=pytest.mark.slow),
    ],
)
def test_copies_train_in_another_program(tmp_path, package, has_init):
    root = tmp_path / "x"
    folder = root.joinpath(*(package or "bert").split("."))
    folder.mkdir(parents=True)
    for name in MODULES:
        shutil.copy(str(helpers.ROOT / f"{name}.py"), str(folder))
    if has_init:
        for each in (folder, folder.parent):
            (each / "__init__.py").touch()
    run_alone(TRAIN, package, root if package else folder)


@pytest.mark.once
@pytest.mark.parametrize(
    "package", ["bert", pytest.param("third_party.bert", marks=pytest.mark.slow)]
)
def test_the_project_is_a_package(tmp_path, package):
    """Its scripts import too, and another `bert` that is installed is not found."""
    folder = tmp_path.joinpath("x", *package.split("."))
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    paths = subprocess.check_output(command, cwd=str(helpers.ROOT), text=True)
    for path in paths.splitlines():
        if not path.startswith(("tests/", "docs/")) and (helpers.ROOT / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(helpers.ROOT / path), str(folder / path))
    installed = tmp_path / "installed"
    (installed / "bert").mkdir(parents=True)
    (installed / "bert" / "__init__.py").touch()
    run_alone(TRAIN + IMPORT_SCRIPTS, package, tmp_path / "x", installed)


def run_alone(program, package, *folders):
    """Runs a program that trains, in a Python that cannot see the project.

    Args:
      program: its text.
      package: name of the package with the modules; "" for none.
      folders: on the path before the installed packages.
    """
    # -S: the links to this project in site-packages are not followed.
    site_packages = {
        os.path.dirname(os.path.dirname(module.__file__))
        for module in (np, sys.modules[tf.__name__.split(".")[0]])
    }
    paths = [*map(str, folders), *site_packages]
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, package, *paths],
        cwd=paths[0],
        capture_output=True,
        text=True,
    )
    assert found.stdout == "trained\n", found.stderr
