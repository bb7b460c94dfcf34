"""The house: which part may import which, and how long files and functions may be."""

import ast
import subprocess

import pytest

from tests import helpers

# Each part may import itself and those named; arrows point down only.
ALLOWED = {
    "computing": (),
    "lean_ops": ("computing",),
    "modeling": ("computing", "lean_ops"),
    "tokenization": (),
    "optimization": ("computing",),
    "custom_optimization": ("optimization",),
    "bert_my.data": ("tokenization",),
    "bert_my.reports": ("bert_my.data",),
    "bert_my.tasks": ("bert_my.data", "bert_my.reports", "modeling"),
    "bert_my.engine": (
        "bert_my.data",
        "computing",
        "modeling",
        "tokenization",
        "optimization",
        "custom_optimization",
    ),
    "bert_my.serving": ("bert_my.engine", "bert_my.data"),
    "bert_my.cli": (
        "bert_my.serving",
        "bert_my.engine",
        "bert_my.reports",
        "bert_my.tasks",
        "bert_my.data",
        "modeling",
        "tokenization",
    ),
    "bert_my.benchmarks": (
        "bert_my.cli",
        "bert_my.engine",
        "bert_my.tasks",
        "bert_my.data",
        "modeling",
        "tokenization",
    ),
    "scripts": (
        "bert_my.benchmarks",
        "bert_my.cli",
        "bert_my.engine",
        "bert_my.data",
        "bert_my.reports",
    ),
    "entry": ("bert_my.cli",),
    # Upstream's scripts that are more than an entry: create_pretraining_data, ...
    "drop-in script": (
        "bert_my.cli",
        "bert_my.data",
        "bert_my.engine",
        "modeling",
        "tokenization",
    ),
}
# A few modules see less than their part.
NARROWER = {
    "bert_my/serving/predictor.py": (),  # scores without any training code
    "bert_my/engine/hooks.py": (),  # is given callables
    "bert_my/benchmarks/hf_worker.py": (),  # runs in another Python
}
LINE_LIMITS = {"modeling.py": 800, "tokenization.py": 500}


def sources():
    """Returns the paths of all Python files, from the root, that are not tests."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=str(helpers.ROOT),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    return [path for path in files if (helpers.ROOT / path).exists()]


PRODUCT = [p for p in sources() if not p.startswith(("tests/", "examples/"))]


def part_of(path):
    """Returns the part a file belongs to."""
    pieces = path.split("/")
    if pieces[0] == "scripts":
        return "scripts"
    if pieces[0] == "bert_my":
        is_script = len(pieces) == 2 and pieces[1] != "__init__.py"
        return "entry" if is_script else ".".join(pieces[:-1])
    name = pieces[0][: -len(".py")]
    if name in ALLOWED:
        return name
    return "entry" if name.startswith("run_") else "drop-in script"


def imported_modules(path):
    """Yields the dotted names that a file imports."""
    for node in ast.walk(ast.parse((helpers.ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_part(module):
    """Returns the part of this project that a module belongs to, or None."""
    matches = [p for p in ALLOWED if module == p or module.startswith(p + ".")]
    return max(matches, key=len) if matches else None


@pytest.mark.parametrize("path", PRODUCT)
def test_imports_point_down(path):
    part = part_of(path)
    allowed = NARROWER.get(path, (*ALLOWED.get(part, ()), part))
    for module in imported_modules(path):
        imported = own_part(module)
        assert imported is None or imported in allowed, f"{path} imports {module}"


def test_no_six_lines_stand_twice():
    """Blank lines and imports do not count."""
    seen = {}
    for path in PRODUCT:
        text = (helpers.ROOT / path).read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines()]
        lines = [x for x in lines if x and not x.startswith(("import ", "from "))]
        for start, run in enumerate(zip(*(lines[start:] for start in range(6)))):
            place = (path, start)
            assert seen.setdefault(run, place) == place, (*place, run)


@pytest.mark.parametrize("path", PRODUCT)
def test_one_spelling_of_tensorflow(path):
    for module in imported_modules(path):
        assert module != "tensorflow", "import tensorflow.compat.v1 as tf"
        assert not module.startswith(
            ("tensorflow.python", "tensorflow.contrib", "tensorflow.keras")
        )


@pytest.mark.parametrize("path", sources())
def test_files_are_short(path):
    num_lines = len((helpers.ROOT / path).read_text(encoding="utf-8").splitlines())
    limit = LINE_LIMITS.get(path, 400)
    if part_of(path) == "entry" and path in PRODUCT:
        limit = 60
    assert num_lines <= limit


@pytest.mark.parametrize("path", sources())
def test_functions_are_short(path):
    """40 lines of code, 60 with arguments and docstring; upstream's are as they are."""
    for node in ast.walk(ast.parse((helpers.ROOT / path).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        if not body:
            continue
        last = max(n.lineno for n in ast.walk(node) if hasattr(n, "lineno"))
        assert last - body[0].lineno < 40, f"{path}: {node.name}"
        if path != "modeling.py":
            assert last - node.lineno < 60, f"{path}: {node.name}"
