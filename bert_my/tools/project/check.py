"""The report on a project: one section for each kind of file."""

import itertools
import os

from bert_my.common.errors import InputError
from bert_my.model import folders
from bert_my.tools.project import commands, data_files, hidden_states, models, sources


def report(folder, runs=False, python=None):
    """Yields the lines of the report on a project; changes nothing in it.

    Args:
      folder: path.
      runs: whether the hidden states of its modeling.py are compared with ours.
      python: see `hidden_states.compare`.

    Raises:
      InputError: if there is no such folder.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder")
    folder = os.path.abspath(folder)
    paths = list(sources.walk(folder))
    read = [sources.read(path) for path in paths if path.endswith((".py", ".ipynb"))]
    own = [x for x in read if x.tree is not None and x.module not in sources.MODULES]
    scripts = {os.path.basename(x.path): x for x in own}
    shells = [x for x in paths if x.endswith(commands.SHELL_SCRIPTS)]
    shells += [x.path for x in read if x.path.endswith(".ipynb") and x.text]
    found = models.find_files(paths)
    usable = []  # `models.Model`s
    indices = [x for x in paths if x.endswith(".index")]
    hf_configs = [x for x in paths if os.path.basename(x) == folders.HF_CONFIG]
    sections = {
        "Modules": _modules(read),
        "Checkpoints": itertools.chain(
            _all(models.describe, indices, found, usable),
            _all(models.describe_hf, hf_configs),
        ),
        "Scripts": _all(commands.describe, own),
        "Commands": _all(commands.describe_commands, shells, scripts),
        "Data files": _all(data_files.describe, filter(data_files.is_data, paths)),
    }
    if runs:
        sections["Hidden states"] = _hidden_states(read, usable, python)
    for title, lines in sections.items():
        yield title
        for line in lines:
            yield f"  {line.replace(os.path.join(folder, ''), '')}"


def _all(describe, things, *others):
    """Yields the lines of all things."""
    for thing in things:
        yield from describe(thing, *others)


def _modules(read):
    """Yields lines on the vendored modules, and on the names that ours lack."""
    ours = sources.our_definitions()
    vendored = [source for source in read if source.module in sources.MODULES]
    if not vendored:
        yield f"none of {', '.join(f'{name}.py' for name in sources.MODULES)}"
    for source in vendored:
        found = sources.compare(source, [x for x in read if x is not source], ours)
        if source.tree is None:
            yield f"{source.path}: not read: {source.error}"
        elif found.version:
            yield f"{source.path}: upstream's as it stands ({found.version})"
        else:
            lacks = found.added or found.members
            yield f"{source.path}: not upstream's, or changed" + (
                "" if lacks else "; ours has all its names"
            )
        if found.added and not found.version:
            yield f"  defines, and ours lacks: {', '.join(found.added)}"
        if found.has_gelu_by_erf:
            yield '  its gelu is by erf: "hidden_act": "gelu_erf" in the config here'
        for name in found.members:
            yield f"  other files use .{name}, which ours lacks"
    for source in read:
        if source.module in sources.MODULES:
            continue
        if source.tree is None:
            yield f"{source.path}: not read: {source.error}"
            continue
        for line, text in sources.missing(source, ours, read):
            yield f"{source.path}:{line}: needs {text}, which ours lacks"


def _hidden_states(read, usable, python):
    """Yields lines on the difference of the project's modeling.py to ours."""
    paths = [x.path for x in read if os.path.basename(x.path) == "modeling.py"]
    if not paths or not usable:
        yield "not compared: a modeling.py and a checkpoint with its files are needed"
    for path in paths:
        for model in usable:
            compared = hidden_states.compare(path, model, python)
            yield f"{path} with {model.checkpoint}: {compared}"
