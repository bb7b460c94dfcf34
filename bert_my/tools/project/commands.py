"""Scripts of a project: their flags, and the command here that does the same."""

import ast
import dataclasses
import os
import re
import shlex
from typing import Any, Dict, NamedTuple

from bert_my.cli import flags
from bert_my.cli.other_flags import OTHERS
from bert_my.common.errors import InputError
from bert_my.tools.project import sources

_ANY_TASK = "run_classifier_mgpu.py"
_PRETRAINING = "run_pretraining_mgpu.py"
_PRETRAINING_DATA = "create_pretraining_data.py"
# Pattern of the name of a script, in small letters -> the script here.
_BY_NAME = {
    "mlabel|multi_?label": "bert_my/run_classifier_mlabel.py",
    r"label|tagg|(\b|_)(ner|pos|cws|tag|crf)(\b|_)": "bert_my/run_seq_labeling.py",
    "regress": "bert_my/run_regressor_lr.py",
}
# Upstream's scripts that have no counterpart.
_NOT_HERE = ("extract_features.py", "run_classifier_with_tfhub.py", "run_squad.py")
SHELL_SCRIPTS = (".sh", ".bash", ".bat", ".cmd")
# A call of Python, with the rest of its line; the ends of a command.
_CALL = re.compile(r"\bpython[\d.]*(?:\.exe)?\s+(?:-\w+\s+)*(\S+\.py)\b(.*)")
_END = re.compile(r"\s\d?>|[;|&]|\s#")
_CONTINUED = ("\\", "^")  # in a shell script, in a batch file
_COMMENTS = ("#", "REM ", "rem ", "::")


class Flag(NamedTuple):
    """A flag that a script defines."""

    default: Any = None  # None if it is no literal
    is_required: bool = False


def flags_of(source):
    """Returns dict name -> `Flag` of a script, by absl, TensorFlow or argparse."""
    found = {}
    for call in (x for x in ast.walk(source.tree) if isinstance(x, ast.Call)):
        function = getattr(call.func, "attr", getattr(call.func, "id", ""))
        words = [_literal(x) for x in call.args]
        keywords = {x.arg: _literal(x.value) for x in call.keywords}
        names = [x for x in words if isinstance(x, str)]
        if function.startswith("DEFINE_") and names[:1] == words[:1]:
            default = words[1] if len(words) > 1 else keywords.get("default")
            found[str(words[0])] = Flag(default) if words else Flag()
        elif function == "add_argument":
            # Of several names the longest; argparse takes long ones with one dash too.
            name = max(
                (x.lstrip("-") for x in names if x[:1] == "-"), key=len, default=""
            )
            if name and keywords.get("action") != "version":
                is_required = bool(keywords.get("required"))
                found[name.replace("-", "_")] = Flag(
                    keywords.get("default"), is_required
                )
        elif function == "mark_flag_as_required" and names and names[0] in found:
            found[names[0]] = found[names[0]]._replace(is_required=True)
    return found


def _literal(node):
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None


def counterpart(path, names):
    """Returns the path of the script here that does the same, or None.

    Args:
      path: of the script.
      names: of its flags.
    """
    name = os.path.basename(path)
    for ours in (name, f"bert_my/{name}"):
        if os.path.exists(os.path.join(sources.ROOT, ours)):
            return ours
    if {"masked_lm_prob", "dupe_factor"} <= set(names):
        return _PRETRAINING_DATA
    is_run = not {"learning_rate", "task_name"}.isdisjoint(names)
    if name in _NOT_HERE or "doc_stride" in names or not is_run:
        return None
    if "max_predictions_per_seq" in names:
        return _PRETRAINING
    found = [x for pattern, x in _BY_NAME.items() if re.search(pattern, name.lower())]
    return found[0] if found else _ANY_TASK


def _options_here(script):
    """Returns dicts flag -> description, and flag -> default, of a script here."""
    if script == _PRETRAINING_DATA:
        tree = sources.read(os.path.join(sources.ROOT, script)).tree
        fields = [x for x in ast.walk(tree) if isinstance(x, ast.AnnAssign)]
        defaults = {x.target.id: _literal(x.value.args[0]) for x in fields}
        return dict.fromkeys(defaults, script), defaults
    found = {name: other.help for name, other in OTHERS.converted.items()}
    defaults = {}
    for field in dataclasses.fields(flags.RunConfig):
        meta = field.metadata
        for name in (field.name, *meta["aliases"], *meta["older_forms"]):
            found[name] = f"--{field.name}"
            defaults[name] = field.default
    return found, defaults


def describe(source):
    """Yields lines on a script; none if it defines no flags."""
    given = flags_of(source)
    if not given:
        return
    script = counterpart(source.path, given)
    upstream = sources.upstream_version(source.text)
    origin = f", upstream's as it stands ({upstream})" if upstream else ""
    yield f"{source.path}: {len(given)} flags{origin}"
    if script is None:
        yield "  there is no script here that does the same"
        return
    known, defaults = _options_here(script)
    words = [
        f"--{name}={_value(name, flag)}"
        for name, flag in given.items()
        if name in known
        and (
            flag.is_required
            or flag.default not in (None, False, "", defaults.get(name))
        )
    ]
    yield f"  python {' '.join([script, *words])}"
    yield from _left_out(script, [name for name in given if name not in known])


def _left_out(script, names):
    """Yields lines on flags that a script here does not have."""
    groups = {"without effect": [], "refused": [], "not known here": []}
    for name in names:
        if script != _PRETRAINING_DATA and name in OTHERS.without_effect:
            groups["without effect"].append(f"--{name}")
        elif script != _PRETRAINING_DATA and name in OTHERS.refused:
            groups["refused"].append(f"--{name} ({OTHERS.refused[name]})")
        else:
            groups["not known here"].append(f"--{name}")
    for title, listed in groups.items():
        if listed:
            yield f"  {title}: {', '.join(listed)}"


class Command(NamedTuple):
    """A call of Python in a shell script."""

    line: int
    script: str
    given: Dict[str, str]  # flag -> the words that give it, "--x=1" or "--x 1"


def commands_in(text):
    """Yields the `Command`s with flags in the text of a shell script."""
    for number, line in _logical_lines(text):
        call = _CALL.search(line)
        if call and not line.lstrip().startswith(_COMMENTS):
            given = _given(_END.split(call.group(2))[0])
            if given:
                yield Command(number, call.group(1).strip("\"'"), given)


def _logical_lines(text):
    """Yields (number of its first line, line) with continued lines joined."""
    first, parts = 1, []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.rstrip()
        is_continued = line.endswith(_CONTINUED)
        parts.append(line[:-1] if is_continued else line)
        if not is_continued:
            yield first, " ".join(parts)
            first, parts = number + 1, []
    yield first, " ".join(parts)


def _given(text):
    """Returns dict flag -> the word that gives it, of the flags of a command."""
    given, name = {}, None
    try:
        words = shlex.split(text, posix=False)  # with their quotes
    except ValueError:
        words = text.split()
    for word in words:
        if re.match(r"--?[A-Za-z]", word):
            name, equals, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            given[name] = f"--{name}{equals}{value}"
        elif name:
            given[name] += f" {word}"
    return given


def describe_commands(path, scripts):
    """Yields lines on the commands in a shell script or a notebook.

    Args:
      path: of it.
      scripts: dict name of a file -> `Source`, the project's scripts.
    """
    try:
        text = sources.read_text(path)
    except InputError as error:
        yield str(error)
        return
    for command in commands_in(text):
        name = os.path.basename(command.script)
        defined = flags_of(scripts[name]) if name in scripts else command.given
        script = counterpart(command.script, defined)
        yield f"{path}:{command.line}: runs {command.script}"
        if script is None:
            yield "  there is no script here that does the same"
            continue
        known, _ = _options_here(script)
        words = [word for flag, word in command.given.items() if _is_in(flag, known)]
        yield f"  python {' '.join([script, *words])}"
        yield from _left_out(script, [x for x in command.given if not _is_in(x, known)])


def _is_in(flag, known):
    """Returns whether a flag, also as "nodo_train", is one of those known."""
    return flag in known or (flag.startswith("no") and flag[2:] in known)


def _value(name, flag):
    if flag.default in (None, ""):
        return name.upper()
    return str(flag.default).lower() if flag.default is True else flag.default
