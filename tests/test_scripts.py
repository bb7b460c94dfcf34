"""The scripts name a task and nothing else; what they name exists."""

import ast
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from bert_my.cli import runner
from bert_my.common.errors import InputError
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions
from tests import helpers

# Script -> (task, head, kind); without a task it is asked for.
SCRIPTS = {
    "bert_my/run_classifier_cnn": ("info", "cnn", None),
    "bert_my/run_classifier_lr": ("info", None, None),
    "bert_my/run_classifier_mlabel": ("mlabel", None, None),
    "bert_my/run_classifier_rcnn": ("info", "rcnn", None),
    "bert_my/run_classifier_sentiment": ("sentiment", None, None),
    "bert_my/run_custom_classifier": (None, None, "classification"),
    "bert_my/run_custom_classifier_mlabel": ("mlabel", None, None),
    "bert_my/run_regression_lr": ("regression", None, None),
    "bert_my/run_regressor_lr": ("regression", None, None),
    "bert_my/run_seq_labeling": ("ner", None, None),
    "run_classifier": (None, None, None),
    "run_classifier_mgpu": (None, None, None),
    "run_pretraining": ("pretraining", None, None),
    "run_pretraining_mgpu": ("pretraining", None, None),
    "run_seq_labeling": ("ner", None, None),
}
# Of those that do not declare any; without a train file.
LABELS = {"mlabel": "a,b", "ner": "O,B-PER,I-PER"}


def arguments(name):
    """Returns the keyword arguments of `runner.main` in a script."""
    source = (helpers.ROOT / f"{name}.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if type(node) is ast.Call]
    (call,) = [x for x in calls if getattr(x.func, "attr", None) == "main"]
    assert call.func.value.id == "runner"
    return {each.arg: ast.literal_eval(each.value) for each in call.keywords}


def test_every_script_is_known():
    files = [*helpers.ROOT.glob("run_*.py"), *helpers.ROOT.glob("bert_my/run_*.py")]
    names = {str(path.relative_to(helpers.ROOT))[: -len(".py")] for path in files}
    assert names == set(SCRIPTS)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_script(tiny_model, name):
    found = arguments(name)
    task_name, head, kind = SCRIPTS[name]
    assert found.pop("task_name", None) == task_name
    assert (found.get("head"), found.pop("kind", None)) == (head, kind)
    if task_name not in (None, "pretraining"):
        options = TaskOptions(labels=LABELS.get(task_name), **found)
        task = helpers.make_task(tiny_model, None, task_name, options=options)
        assert task.description["head"] == (head or task.default_head)


@pytest.mark.parametrize(
    ("name", "task_name", "script"),
    [
        ("bert_my/run_regressor_lr", "info", "bert_my/run_custom_classifier.py"),
        ("bert_my/run_classifier_lr", "STS-B", "bert_my/run_regressor_lr.py"),
        ("bert_my/run_custom_classifier", "ner", "bert_my/run_seq_labeling.py"),
        ("bert_my/run_custom_classifier", "mlabel", "bert_my/run_classifier_mlabel.py"),
        ("run_seq_labeling", "pretraining", "run_pretraining_mgpu.py"),
    ],
)
def test_a_script_refuses_tasks_of_another_kind(name, task_name, script):
    assert (helpers.ROOT / script).exists()
    argv = ["program", f"--task_name={task_name}", "--model=m"]
    with pytest.raises(InputError, match=f"^--task_name=.*; use {script}, or"):
        runner.parse(argv, **arguments(name))


def test_a_script_takes_other_tasks_of_its_kind(tiny_model):
    argv = helpers.command(tiny_model, "d", "o", "do_train", task_name="SST-2")
    for name in ("bert_my/run_classifier_lr", "bert_my/run_custom_classifier"):
        assert runner.parse(argv, **arguments(name)).task_name == "sst2"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("SST-2", "sst2"),
        ("MNLI-mm", "mnli-mm"),
        ("mnli_mm", "mnli-mm"),
        ("STS-B", "stsb"),
        ("msra-ner", "msra_ner"),
        ("PUNCT", "punct"),
    ],
)
def test_names_of_tasks_in_other_spellings(name, found):
    assert base.get_task_class(name).name == found


def test_an_unknown_task_is_told_of_those_for_any_file():
    with pytest.raises(InputError, match=r"no such task. For files of your own.*csv"):
        base.get_task_class("high_level")
    with pytest.raises(InputError, match=r"did you mean mrpc\?"):
        base.get_task_class("mprc")


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


@pytest.mark.once
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
