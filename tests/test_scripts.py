"""The scripts name a task and nothing else; what they name exists."""

import ast

import pytest

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
    task = helpers.make_task(
        tiny_model, None, SCRIPTS[name][0], options=TaskOptions(**found)
    )
    assert task.represent.__name__ == (found.get("head") or task.default_head)
