"""Scripts of a project: their flags, and the command here that does the same."""

import ast
import dataclasses
import os
from typing import Any, NamedTuple

from bert_my.cli import flags
from bert_my.cli.other_flags import OTHERS
from bert_my.tools.project import sources

_ANY_TASK = "run_classifier_mgpu.py"
_PRETRAINING = "run_pretraining_mgpu.py"
_PRETRAINING_DATA = "create_pretraining_data.py"
# Parts of the name of a script -> the script here.
_BY_NAME = {
    "mlabel": "bert_my/run_classifier_mlabel.py",
    "multi_label": "bert_my/run_classifier_mlabel.py",
    "multilabel": "bert_my/run_classifier_mlabel.py",
    "ner": "bert_my/run_seq_labeling.py",
    "label": "bert_my/run_seq_labeling.py",
    "regress": "bert_my/run_regressor_lr.py",
}


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
            long_names = [x[2:] for x in names if x.startswith("--")]
            if long_names:
                is_required = bool(keywords.get("required"))
                name = long_names[0].replace("-", "_")
                found[name] = Flag(keywords.get("default"), is_required)
        elif function == "mark_flag_as_required" and names and names[0] in found:
            found[names[0]] = found[names[0]]._replace(is_required=True)
    return found


def _literal(node):
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None


def counterpart(source, names):
    """Returns the path of the script here that does the same, or None.

    Args:
      source: `Source` of the script.
      names: of its flags.
    """
    name = os.path.basename(source.path)
    for path in (name, f"bert_my/{name}"):
        if os.path.exists(os.path.join(sources.ROOT, path)):
            return path
    if {"masked_lm_prob", "dupe_factor"} <= set(names):
        return _PRETRAINING_DATA
    if "doc_stride" in names or "learning_rate" not in names:
        return None
    if "max_predictions_per_seq" in names:
        return _PRETRAINING
    paths = [path for part, path in _BY_NAME.items() if part in source.module]
    return paths[0] if paths else _ANY_TASK


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
    script = counterpart(source, given)
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
    groups = {"without effect": [], "refused": [], "not known here": []}
    for name in given:
        if name in known:
            continue
        if script != _PRETRAINING_DATA and name in OTHERS.without_effect:
            groups["without effect"].append(f"--{name}")
        elif script != _PRETRAINING_DATA and name in OTHERS.refused:
            groups["refused"].append(f"--{name} ({OTHERS.refused[name]})")
        else:
            groups["not known here"].append(f"--{name}")
    for title, names in groups.items():
        if names:
            yield f"  {title}: {', '.join(names)}"


def _value(name, flag):
    if flag.default in (None, ""):
        return name.upper()
    return str(flag.default).lower() if flag.default is True else flag.default
