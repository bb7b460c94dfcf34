"""The tables of flags of other projects, for docs/flags.md."""

import dataclasses

from bert_my.cli import flags
from bert_my.cli.other_flags import OTHERS

_BEGIN = "<!-- Written by scripts/write_flag_table.py -->\n"
_END = "<!-- End -->\n"


def _aliases():
    """Yields (other name, name here) of flags that differ in their names only."""
    for field in dataclasses.fields(flags.RunConfig):
        for name in (*field.metadata["aliases"], *field.metadata["older_forms"]):
            yield name, f"--{field.name}"


def tables():
    """Returns the three tables as Markdown."""
    converted = ((name, other.help) for name, other in OTHERS.converted.items())
    parts = [
        ("flag", "here", sorted([*_aliases(), *converted])),
        ("flag without effect", "why", sorted(OTHERS.without_effect.items())),
        ("flag that is refused", "what to do", sorted(OTHERS.refused.items())),
    ]
    lines = []
    for left, right, rows in parts:
        lines += [f"| {left} | {right} |", "|---|---|"]
        lines += [f"| `--{name}` | {text} |" for name, text in rows]
        lines.append("")
    return "\n".join(lines)


def with_tables(text):
    """Returns the text of the document with the tables between its two marks."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{tables()}\n{_END}{rest.partition(_END)[2]}"
