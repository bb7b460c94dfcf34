"""The scripts name a task and nothing else; what they name exists."""

import ast
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from bert_my.tasks.options import TaskOptions
from tests import helpers

SCRIPTS = {
    "run_classifier_cnn": ("info", "cnn"),
    "run_classifier_lr": ("info", None),
    "run_classifier_mlabel": ("mlabel", None),
    "run_classifier_rcnn": ("info", "rcnn"),
    "run_classifier_sentiment": ("sentiment", None),
    "run_regressor_lr": ("regression", None),
    "run_seq_labeling": ("ner", None),
}
# Of those that do not declare any; without a train file.
LABELS = {"run_classifier_mlabel": "a,b", "run_seq_labeling": "O,B-PER,I-PER"}


def arguments(name):
    """Returns the keyword arguments of `runner.main` in a script of `bert_my/`."""
    source = (helpers.ROOT / "bert_my" / f"{name}.py").read_text(encoding="utf-8")
    (call,) = (node for node in ast.walk(ast.parse(source)) if type(node) is ast.Call)
    assert (call.func.value.id, call.func.attr) == ("runner", "main")
    return {each.arg: ast.literal_eval(each.value) for each in call.keywords}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_script(tiny_model, name):
    found = arguments(name)
    assert (found.pop("task_name"), found.get("head")) == SCRIPTS[name]
    options = TaskOptions(labels=LABELS.get(name), **found)
    task = helpers.make_task(tiny_model, None, SCRIPTS[name][0], options=options)
    assert task.description["head"] == (found.get("head") or task.default_head)


def pretrain_domain(*argv):
    """Runs the script; returns (exit status, what it printed)."""
    tf1 = ["--tf1"] if sys.version_info < (3, 8) else []
    found = subprocess.run(
        ["bash", str(helpers.ROOT / "scripts/pretrain_domain.sh"), *tf1, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return found.returncode, found.stdout


def test_pretraining_of_a_domain_in_one_command(tiny_model, tmp_path):
    """With a head that is there, and words that are not; the second call resumes."""
    task = helpers.make_task(tiny_model, name="pretraining")
    features = {s.name: tf.ones([1, 1], s.dtype) for s in task.feature_specs}
    task.build({**features, "is_real_example": tf.ones([1])}, is_training=False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tiny_model / "bert_model.ckpt"))
    text, words = tmp_path / "titles of today.txt", tmp_path / "words.txt"
    text.write_text("\n".join(helpers.make_texts(200)), encoding="utf-8")
    words.write_text("cats\n", encoding="utf-8")
    argv = [str(text), "--line_documents", f"--model={tiny_model}", "--dev_share=0.2"]
    argv += [f"--output_dir={tmp_path / 'out'}", f"--vocab_add={words}"]
    argv += ["--max_seq_length=12", "--train_batch_size=4"]
    status, printed = pretrain_domain(*argv, "--num_train_steps=2")
    assert status == 0, printed
    assert "== Evaluating the model as it is" in printed
    assert "\nPerplexity: " in printed
    assert f"{tmp_path}/out/model/model.ckpt-2\n" in printed
    assert helpers.read_lines(tmp_path / "out" / "model" / "vocab.txt")[-1] == "cats"
    text.write_text("the cat\n", encoding="utf-8")
    status, printed = pretrain_domain(*argv, "--num_train_steps=3")
    assert status and f"{tmp_path}/out/made_of.txt" in printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "scripts/pretrain_domain.sh TEXT..."),
        (["--num_train_steps", "20"], " 20 "),
        ([__file__, "--max_steps=2k"], "--num_train_steps=2k"),
        ([__file__, "--input_file=x"], "--input_file"),
        ([__file__, "--model=/nowhere"], "/nowhere/vocab.txt"),
    ],
)
def test_pretraining_of_a_domain_is_refused(argv, message):
    status, printed = pretrain_domain(*argv)
    assert status and message in printed
