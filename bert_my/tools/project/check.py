"""The report on a project: one section for each kind of file."""

import os

from bert_my.common.errors import InputError
from bert_my.tools.project import sources


def report(folder):
    """Yields the lines of the report on a project; changes and runs nothing in it.

    Raises:
      InputError: if there is no such folder.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder")
    paths = list(sources.walk(folder))
    read = [sources.read(path) for path in paths if path.endswith((".py", ".ipynb"))]
    for title, lines in (("Modules", _modules(read)),):
        yield title
        yield from (f"  {line.replace(folder + os.sep, '')}" for line in lines)


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
            yield f"{source.path}: not upstream's, or changed"
        if found.added and not found.version:
            yield f"  defines, and ours lacks: {', '.join(found.added)}"
        for name in found.members:
            yield f"  other files use .{name}, which ours lacks"
    for source in read:
        if source.module in sources.MODULES:
            continue
        if source.tree is None:
            yield f"{source.path}: not read: {source.error}"
            continue
        for line, text in sources.missing(source, ours):
            yield f"{source.path}:{line}: needs {text}, which ours lacks"
