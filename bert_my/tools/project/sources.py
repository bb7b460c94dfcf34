"""Sources of a project: upstream's files, and names that ours lack; none is run."""

import ast
import hashlib
import json
import os
from typing import Dict, List, NamedTuple, Optional

from bert_my.common.errors import InputError

MODULES = ("modeling", "tokenization", "optimization", "custom_optimization")
# Upstream's scripts, which other programs import too.
_SCRIPTS = (
    "run_classifier",
    "run_classifier_with_tfhub",
    "run_pretraining",
    "run_squad",
    "extract_features",
    "create_pretraining_data",
)
ROOT = os.path.dirname(os.path.abspath(os.path.join(__file__, "../../..")))
# Folders that hold no part of a project.
_NOT_READ = {"__pycache__", "node_modules", "site-packages", "venv", "env"}
_PACKAGE = "bert-tensorflow"
# Digest of a file of google-research/bert -> its origin; see `digest`. The file of
# bert-tensorflow 1.0.0 is the one on GitHub, but for modeling.py.
_UPSTREAM = {
    **dict.fromkeys(
        (
            "2b2b82472ede188e",  # modeling
            "8997a5ae19c50c5c",  # tokenization
            "75349fd98c294aac",  # tokenization, later
            "29464a4df2fecf3f",  # optimization
            "fad867eec8e1b506",  # create_pretraining_data
            "9e7ac5d9e3e34662",  # run_squad
        ),
        "GitHub, November 2018",
    ),
    "613a65c2392ccb08": "GitHub, 2019 to 2020",
    **dict.fromkeys(
        (
            "abad6e96184dd4b0",  # modeling
            "2b89c2517762f036",  # tokenization
            "59ae3ad170d31c0d",  # optimization
            "e1ef76b5e6dc05c0",  # run_classifier
            "7c1dfa481a2d37b2",  # run_pretraining
            "560c83f10dda90a9",  # run_squad
            "b1abad0468bd4764",  # extract_features
            "a470184bc8f3552d",  # create_pretraining_data
        ),
        f"GitHub and {_PACKAGE} 1.0.0",
    ),
    **dict.fromkeys(
        (
            "3078c0a1e31d6282",  # modeling
            "1dedb40bafdd35e2",  # run_classifier
            "f41388a8f4ffedbb",  # run_pretraining
            "831d19db85dbcff0",  # run_squad
            "86d37994dc7835a9",  # extract_features
            "7768a6ee8ed065ec",  # create_pretraining_data
        ),
        f"{_PACKAGE} 1.0.1",
    ),
    **dict.fromkeys(
        (
            "762c2816f3298793",  # modeling
            "ac1e337b5e49772c",  # tokenization
            "257aaa7ace817614",  # optimization
            "ef1b0d35f4e25fb1",  # run_classifier
            "4a8c780b23d66dcd",  # run_pretraining
            "9a2a8db50ab19e47",  # run_squad
            "ac0b49e404edc8bf",  # extract_features
            "c3137a8c66b07af6",  # create_pretraining_data
        ),
        f"{_PACKAGE} 1.0.4",
    ),
}


def digest(text):
    """Returns the hex digest of a source without white space and licence header."""
    lines = text.lstrip("\ufeff").splitlines()
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("#")):
        del lines[0]
    code = "".join("".join(lines).split())
    return hashlib.blake2b(code.encode("utf-8"), digest_size=8).hexdigest()


def upstream_version(text):
    """Returns the origin of one of upstream's files as it stands, or None."""
    return _UPSTREAM.get(digest(text))


def walk(folder):
    """Yields the paths of a project's files from its folder, in order."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NOT_READ
            and not name.endswith((".egg-info", ".dist-info"))
            and not os.path.exists(os.path.join(path, name, "pyvenv.cfg"))
        )
        found = (os.path.join(path, name) for name in sorted(names))
        yield from filter(os.path.isfile, found)  # a link may lead nowhere


class Source(NamedTuple):
    """A Python file or the code of a notebook."""

    path: str
    text: str
    tree: Optional[ast.AST]  # None if it is no valid Python 3
    error: str = ""

    @property
    def module(self):
        """Name of the module."""
        return os.path.splitext(os.path.basename(self.path))[0]


def read_text(path):
    """Returns the text of a file, or of the code cells of a notebook.

    Raises:
      InputError: if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as reader:
            text = reader.read()
        return _cells_of(json.loads(text)) if path.endswith(".ipynb") else text
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no notebook: {error}") from error


def _cells_of(notebook):
    """Returns the text of the code cells of a notebook, in the order of the cells."""
    cells = notebook.get("cells") or notebook["worksheets"][0]["cells"]
    return "\n".join(
        "".join(cell.get("source", cell.get("input", "")))
        for cell in cells
        if cell.get("cell_type") == "code"
    )


def read(path):
    """Returns the `Source` of a .py or .ipynb file."""
    try:
        text = read_text(path)
    except InputError as error:
        return Source(path, "", None, str(error).replace(f"{path}: ", ""))
    try:
        return Source(path, text, ast.parse(_python_of(path, text)))
    except SyntaxError as error:
        place = f"line {error.lineno}: " if error.lineno else ""
        return Source(path, text, None, f"{place}{error.msg}")
    except ValueError as error:  # a NUL, in older Pythons
        return Source(path, text, None, str(error))


def _python_of(path, text):
    """Returns a text without the lines of a notebook that IPython or a shell runs."""
    text = text.lstrip("\ufeff")
    if not path.endswith(".ipynb"):
        return text
    kept, is_continued = [], False
    for line in text.splitlines():
        is_command = is_continued or line.lstrip()[:1] in ("!", "%", "?")
        is_continued = is_command and line.rstrip().endswith("\\")
        kept.append("" if is_command else line)
    return "\n".join(kept)


class Signature(NamedTuple):
    """Arguments of a function."""

    names: List[str]
    takes_any: bool  # by name

    def lacks(self, keyword):
        """Returns whether there is no argument of that name."""
        return keyword not in self.names and not self.takes_any


class Definitions(NamedTuple):
    """Names that a module defines."""

    names: set
    signatures: Dict[str, Signature]  # of functions and, by their names, of classes
    members: set  # methods and attributes of all classes


def definitions(tree):
    """Returns the `Definitions` of a module's tree."""
    found = Definitions(set(), {}, set())
    classes = {x.name: x for x in tree.body if isinstance(x, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.members.add(node.attr)
    for node in tree.body:
        found.names.update(_bound_names(node))
        if isinstance(node, ast.FunctionDef):
            found.signatures[node.name] = _signature(node)
        elif isinstance(node, ast.ClassDef):
            methods = [x for x in node.body if isinstance(x, ast.FunctionDef)]
            found.members.update(method.name for method in methods)
            found.signatures[node.name] = _constructor(node, classes)
    return found


def _bound_names(node):
    """Yields the names that a statement at the top of a module binds."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((x.asname or x.name).partition(".")[0] for x in node.names)
    else:
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                yield each.id
            elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
                yield each.name  # under `if` or `try`


def _signature(function):
    arguments = function.args
    names = [*arguments.args, *arguments.kwonlyargs]
    return Signature([x.arg for x in names], arguments.kwarg is not None)


def _constructor(node, classes):
    """Returns the `Signature` of a class; `**kwargs` are those of its base."""
    names = []
    while node is not None:
        made = [x for x in node.body if getattr(x, "name", "") == "__init__"]
        if made:
            signature = _signature(made[0])
            names += signature.names[1:]
            if not signature.takes_any:
                return Signature(names, False)
        bases = [x.id for x in node.bases if isinstance(x, ast.Name)]
        node = next((classes[name] for name in bases if name in classes), None)
    return Signature(names, bool(names))


class Use(NamedTuple):
    """A use of one of the modules in another file."""

    path: str
    line: int
    module: str
    name: str
    keywords: tuple = ()  # arguments by name, of a call


def uses(source, modules, theirs):
    """Yields the `Use`s of modules in a `Source`.

    Args:
      source: `Source`, with a tree.
      modules: names of the modules.
      theirs: dict module -> `Definitions`, of which `import *` gives the names.
    """
    aliases, names = {}, {}  # local name -> module; local name -> (module, name)
    own = definitions(source.tree).names
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                module = each.name.rpartition(".")[2]
                if module in modules:
                    aliases[each.asname or each.name] = module
        elif isinstance(node, ast.ImportFrom):
            more_aliases, more_names = _bound_by(node, modules, theirs, own)
            aliases.update(more_aliases)
            names.update(more_names)
            if node.names[0].name != "*":
                for each in more_names.values():
                    yield Use(source.path, node.lineno, *each)
    for node in ast.walk(source.tree):
        called = node.func if isinstance(node, ast.Call) else node
        found = names.get(called.id) if isinstance(called, ast.Name) else None
        if isinstance(called, ast.Attribute):
            owner = _dotted(called.value)
            found = (aliases[owner], called.attr) if owner in aliases else None
        if found and (called is node or node.keywords):
            keywords = () if called is node else tuple(x.arg for x in node.keywords)
            yield Use(source.path, node.lineno, *found, keywords)


def _bound_by(node, modules, theirs, own):
    """Returns the (aliases, names) that `from ... import ...` binds, see `uses`.

    Args:
      own: names that the file binds, too: they are not those of `import *`.
    """
    module = (node.module or "").rpartition(".")[2]
    aliases, names = {}, {}
    for each in node.names:
        local = each.asname or each.name
        if each.name == "*" and module in theirs:
            public = {name for name in theirs[module].names if name[:1] != "_"}
            names.update({name: (module, name) for name in public - own})
        elif module in modules:
            names[local] = module, each.name
        elif each.name in modules:
            aliases[local] = each.name
    return aliases, names


def _dotted(node):
    """Returns a name with dots, or None for another expression."""
    if isinstance(node, ast.Name):
        return node.id
    owner = _dotted(node.value) if isinstance(node, ast.Attribute) else None
    return owner and f"{owner}.{node.attr}"


def our_definitions():
    """Returns dict module -> `Definitions` of the modules and scripts here."""
    found = {}
    for name in (*MODULES, *_SCRIPTS):
        path = os.path.join(ROOT, f"{name}.py")
        is_here = os.path.exists(path)
        found[name] = definitions(read(path).tree if is_here else ast.parse(""))
    return found


def missing(source, ours, project=()):
    """Yields (line, text) for each name and argument that a file needs and ours lack.

    Args:
      source: `Source`, with a tree.
      ours: see `our_definitions`.
      project: the `Source`s of the project. What it takes from scripts of its own is
        not missing.
    """
    own = {x.module: x.tree for x in project if x.tree is not None}
    modules = [x for x in ours if x in MODULES or x not in own]
    theirs = {x: definitions(tree) for x, tree in own.items() if x in MODULES}
    reported = set()
    for use in uses(source, modules, theirs):
        known = ours[use.module]
        name = f"{use.module}.{use.name}"
        lacking = []
        if use.name not in known.names:
            lacking.append(name)
        elif use.name in known.signatures:
            signature = known.signatures[use.name]
            lacking += [
                f"{name}({keyword}=)"
                for keyword in use.keywords
                if keyword and signature.lacks(keyword)
            ]
        for text in lacking:
            if text not in reported:
                reported.add(text)
                yield use.line, text


class Vendored(NamedTuple):
    """A file of a project with the name of one of the modules."""

    source: Source
    version: Optional[str]  # of upstream, if the file stands as it was
    added: List[str]  # names and arguments that ours lack
    members: List[str]  # methods and attributes that ours lack, in use in other files
    has_gelu_by_erf: bool = False  # as that of upstream's first releases


def compare(source, others, ours):
    """Returns the `Vendored` of a file with the name of a module.

    Args:
      source: `Source`.
      others: the other `Source`s of the project.
      ours: see `our_definitions`.
    """
    version = upstream_version(source.text)
    if source.tree is None:
        return Vendored(source, version, [], [])
    theirs, known = definitions(source.tree), ours[source.module]
    imported = {
        name
        for node in source.tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in _bound_names(node)
    }
    added = sorted(theirs.names - known.names - imported)
    added += [
        f"{name}({argument}=)"
        for name, signature in sorted(theirs.signatures.items())
        # A function of one argument is called without its name.
        if name in known.signatures and len(signature.names) > 1
        for argument in signature.names
        if argument != "self" and known.signatures[name].lacks(argument)
    ]
    attributes = {
        node.attr
        for other in others
        if other.tree is not None and other.module not in MODULES
        for node in ast.walk(other.tree)
        if isinstance(node, ast.Attribute)
    }
    members = sorted((theirs.members - known.members) & attributes)
    members = [name for name in members if not name.startswith("__")]
    has_erf = any(
        getattr(node, "attr", "") == "erf"
        for function in source.tree.body
        if getattr(function, "name", "") == "gelu"
        for node in ast.walk(function)
    )
    return Vendored(source, version, added, members, has_erf)
