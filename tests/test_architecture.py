"""The layers of the project: who may import whom, and no copied code."""

import ast
import subprocess

import pytest

from tests import helpers

pytestmark = pytest.mark.once

# Each part may import itself and those named; arrows point down only.
ALLOWED = {
    "modeling": (),
    "tokenization": (),
    "optimization": (),
    "custom_optimization": ("optimization",),
    "bert_my.common": (),
    "bert_my.text": ("bert_my.common", "tokenization"),
    "bert_my.metrics": ("bert_my.text",),
    "bert_my.data": ("bert_my.text", "bert_my.common"),
    "bert_my.pretrain": (
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
        "tokenization",
    ),
    "bert_my.model": ("bert_my.text", "bert_my.common", "modeling"),
    "bert_my.tasks": (
        "bert_my.model",
        "bert_my.metrics",
        "bert_my.pretrain",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
        "modeling",
        "tokenization",
    ),
    "bert_my.engine": (
        "bert_my.model",
        "bert_my.metrics",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
        "modeling",
        "optimization",
        "custom_optimization",
    ),
    "bert_my.serving": (
        "bert_my.engine",
        "bert_my.model",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
    ),
    "bert_my.report": (
        "bert_my.engine",
        "bert_my.metrics",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
    ),
    "bert_my.cli": (
        "bert_my.report",
        "bert_my.serving",
        "bert_my.engine",
        "bert_my.tasks",
        "bert_my.metrics",
        "bert_my.model",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
        "tokenization",
    ),
    "bert_my.tools": (
        "bert_my.cli",
        "bert_my.report",
        "bert_my.engine",
        "bert_my.tasks",
        "bert_my.metrics",
        "bert_my.model",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
        "modeling",
        "tokenization",
    ),
    "scripts": (
        "bert_my.tools",
        "bert_my.cli",
        "bert_my.report",
        "bert_my.model",
        "bert_my.common",
    ),
    "entry": ("bert_my.cli",),
    # Upstream's scripts that are more than an entry: create_pretraining_data, ...
    "drop-in script": (
        "bert_my.cli",
        "bert_my.pretrain",
        "bert_my.data",
        "bert_my.text",
        "bert_my.common",
        "modeling",
        "tokenization",
    ),
}
# These modules see less than their part.
NARROWER = {
    "bert_my/engine/hooks.py": (),  # knows sessions only
    "bert_my/tools/benchmark/hf_worker.py": (),  # runs in another Python
    "bert_my/tools/project/hidden_worker.py": (),
}
# What texts become and what comes back is known without TensorFlow.
WITHOUT_TENSORFLOW = ("bert_my.common", "bert_my.text", "bert_my.metrics")


def sources():
    """Returns the paths of all Python files of the product, from the root."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=str(helpers.ROOT),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    return [
        path
        for path in files
        if (helpers.ROOT / path).exists()
        and not path.startswith(("tests/", "examples/"))
    ]


def part_of(path):
    """Returns the part that a file belongs to."""
    pieces = path.split("/")
    if pieces[0] == "scripts":
        return "scripts"
    if pieces[0] == "bert_my":
        is_script = len(pieces) == 2 and pieces[1] != "__init__.py"
        return "entry" if is_script else own_part(".".join(pieces)) or "bert_my"
    name = pieces[0][: -len(".py")]
    if name in ALLOWED:
        return name
    return "entry" if name.startswith("run_") else "drop-in script"


def own_part(module):
    """Returns the part of this project that a module belongs to, or None."""
    matches = [p for p in ALLOWED if module == p or module.startswith(p + ".")]
    return max(matches, key=len) if matches else None


def imported_modules(path):
    """Yields the dotted names that a file imports."""
    for node in ast.walk(ast.parse((helpers.ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_point_down():
    wrong = []
    for path in sources():
        part = part_of(path)
        allowed = NARROWER.get(path, (*ALLOWED.get(part, ()), part))
        wrong += [
            f"{path} imports {module}"
            for module in imported_modules(path)
            if own_part(module) not in (None, *allowed)
        ]
    assert not wrong


def test_one_spelling_of_tensorflow():
    refused = ("tensorflow.python", "tensorflow.contrib", "tensorflow.keras")
    wrong = [
        f"{path} imports {module}"
        for path in sources()
        if path != "bert_my/cli/compat.py"  # brings the versions into one mode
        for module in imported_modules(path)
        if module == "tensorflow" or module.startswith(refused)
    ]
    assert not wrong, "import tensorflow.compat.v1 as tf"


def test_texts_need_no_tensorflow():
    wrong = [
        f"{path} imports {module}"
        for path in sources()
        if part_of(path) in WITHOUT_TENSORFLOW
        for module in imported_modules(path)
        if module.startswith("tensorflow")
    ]
    assert not wrong


def test_no_six_lines_stand_twice():
    """Blank lines and imports do not count."""
    seen, twice = {}, []
    for path in sources():
        text = (helpers.ROOT / path).read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines()]
        lines = [x for x in lines if x and not x.startswith(("import ", "from "))]
        for start, run in enumerate(zip(*(lines[start:] for start in range(6)))):
            if seen.setdefault(run, (path, start)) != (path, start):
                twice.append((seen[run], (path, start), run))
    assert not twice
