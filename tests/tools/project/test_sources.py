"""Sources of a project: upstream's files by digest, and names that ours lack."""

import ast

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
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "modeling.py").write_text("")
    before = sorted(tmp_path.rglob("*"))
    text = "\n".join(check.report(str(tmp_path)))
    assert "  bert/modeling.py: not upstream's, or changed\n" in text
    assert "run.py:7: needs modeling.own_layer, which ours lacks" in text
    assert "old.py: not read: line 1: " in text
    assert "venv" not in text
    assert sorted(tmp_path.rglob("*")) == before
