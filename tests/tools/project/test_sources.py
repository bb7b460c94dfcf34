"""Sources of a project: upstream's files by digest, and names that ours lack."""

import ast
import json

from bert_my.tools.project import check, sources

MODELING = """
import six
EPSILON = 1

class BertModel(object):
    def __init__(self, config, is_training, input_ids, use_fast=False):
        self.extra_output = config

def gelu(x):
    return x

def own_layer(x):
    return six.moves.reduce(x)
"""
SCRIPT = """
from bert import modeling
import bert.tokenization as tok
from optimization import create_optimizer as create, create_nothing

modeling.BertModel(config=1, use_fast=True).extra_output
modeling.own_layer(1)
modeling.gelu(x=1)
tok.FullTokenizer(vocab_file="x").tokenize("x")
create(loss=1, init_lr=1, num_train_steps=1, num_warmup_steps=0, use_tpu=False)
"""


def test_digest_leaves_header_and_white_space_out(monkeypatch):
    code = '"""Doc."""\n\nimport six\n\n\ndef f(x):\n  return x\n'
    with_header = "# coding=utf-8\n# Licence.\r\n\n" + code.replace("  ", "    ")
    assert sources.digest(with_header) == sources.digest(code)
    assert sources.digest(code.replace("six", "sys")) != sources.digest(code)
    assert sources.upstream_version(code) is None
    monkeypatch.setitem(sources._UPSTREAM, sources.digest(code), "1.0")
    assert sources.upstream_version(with_header) == "1.0"


def test_names_and_arguments_that_ours_lack():
    ours = sources.our_definitions()
    script = sources.Source("run.py", SCRIPT, ast.parse(SCRIPT))
    assert [text for _, text in sources.missing(script, ours)] == [
        "optimization.create_nothing",
        "modeling.BertModel(use_fast=)",
        "modeling.own_layer",
    ]
    module = sources.Source("modeling.py", MODELING, ast.parse(MODELING))
    found = sources.compare(module, [script], ours)
    assert found.added == ["EPSILON", "own_layer", "BertModel(use_fast=)"]
    assert found.members == ["extra_output"]
    assert found.version is None
    assert not found.has_gelu_by_erf
    text = "def gelu(x):\n    return x * 0.5 * (1.0 + tf.erf(x / tf.sqrt(2.0)))"
    module = sources.Source("modeling.py", text, ast.parse(text))
    assert sources.compare(module, [], ours).has_gelu_by_erf


def test_names_of_a_star_import():
    ours = sources.our_definitions()
    text = "from bert.modeling import *\ndef gelu(x): pass\nown_layer(six, gelu)"
    script = sources.Source("run.py", text, ast.parse(text))
    module = sources.Source("modeling.py", MODELING, ast.parse(MODELING))
    assert list(sources.missing(script, ours)) == []
    found = sorted(sources.missing(script, ours, [script, module]))
    assert found == [(3, "modeling.own_layer"), (3, "modeling.six")]


def test_names_of_scripts_that_are_imported():
    ours = sources.our_definitions()
    text = """
from bert import run_classifier, extract_features
import bert.run_squad as squad
run_classifier.InputExample(guid=None, text_a="x", label=0, weight=1)
run_classifier.model_fn_builder
extract_features.read_examples("x")
squad.write_predictions
"""
    script = sources.Source("run.py", text, ast.parse(text))
    own = sources.Source("run_squad.py", "", ast.parse(""))
    assert [name for _, name in sources.missing(script, ours, [script, own])] == [
        "run_classifier.InputExample(weight=)",
        "extract_features.read_examples",
    ]


def test_code_of_a_notebook(tmp_path):
    code = "import x\n!python run.py \\\n  --task_name=cola\n%matplotlib inline\nx.y"
    cells = [
        {"cell_type": "markdown", "source": ["no code"]},
        {"cell_type": "code", "source": code.splitlines(True)},
    ]
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    source = sources.read(str(path))
    assert source.text == code
    assert ast.dump(source.tree) == ast.dump(ast.parse("import x\n\n\n\nx.y"))
    path.write_text("{")
    assert "is no notebook" in sources.read(str(path)).error


def test_own_modules_lack_nothing():
    ours = sources.our_definitions()
    for name in sources.MODULES:
        source = sources.read(f"{sources.ROOT}/{name}.py")
        assert sources.compare(source, [], ours).added == []


def test_report_names_files_and_lines(tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "modeling.py").write_text(MODELING)
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / "old.py").write_text("print 'x'\n")
    (tmp_path / "run.sh").write_text("python run.py --task_name=cola\n")
    (tmp_path / "bert.egg-info").mkdir()
    (tmp_path / "bert.egg-info" / "train.txt").write_text("x\n")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "modeling.py").write_text("")
    before = sorted(tmp_path.rglob("*"))
    text = "\n".join(check.report(str(tmp_path)))
    assert "  bert/modeling.py: not upstream's, or changed\n" in text
    assert "run.py:7: needs modeling.own_layer, which ours lacks" in text
    assert "old.py: not read: line 1: " in text
    assert "run.sh:1: runs run.py" in text
    assert "venv" not in text
    assert "egg-info" not in text
    assert sorted(tmp_path.rglob("*")) == before
