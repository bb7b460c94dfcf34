"""The HTML of the report: one page that needs nothing else, safe for any text."""

import base64
import html
import itertools
import math
import re
from typing import Any, List, NamedTuple

from bert_my.report.plots import Picture

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 84rem; color: #1a1a1a;
  background: #fff; font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC",
  "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid #ddd; }
p { margin: .4rem 0; max-width: 60rem; overflow-wrap: anywhere; }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: #0059a8; }
.tiles { display: grid; gap: .6rem; margin: .6rem 0;
  grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.tile { border: 1px solid #ddd; border-radius: .4rem; padding: .5rem .7rem;
  overflow-wrap: anywhere; }
.tile b { display: block; font-size: 1.4rem; line-height: 1.3; }
.tile.main { border: 2px solid #0072b2; background: #f0f7fc; }
.figures { display: grid; gap: 1.2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
figure { margin: 0; break-inside: avoid; }
figure.wide { grid-column: 1 / -1; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .9rem; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .93rem; }
th, td { border-bottom: 1px solid #e4e4e4; padding: .3rem .7rem .3rem 0;
  text-align: left; vertical-align: top; }
th { background: #fff; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 14rem; }
td hr { border: 0; border-top: 1px dashed #999; margin: .2rem 0; }
td.key { white-space: nowrap; }
td.value { overflow-wrap: anywhere; min-width: 5.5rem; }
mark { color: inherit; border-radius: .2rem; padding: 0 .15rem; border: 1px solid; }
mark small { font-size: .7em; font-weight: 600; padding-left: .25em; }
summary { cursor: pointer; margin: .6rem 0; }
@media (max-width: 40rem) {
  body { padding: .7rem; }
  table.stack, table.stack tbody, table.stack tr, table.stack td { display: block; }
  table.stack thead { display: none; }
  table.stack tr { border-bottom: 2px solid #bbb; padding: .4rem 0; }
  table.stack td { border: 0; min-width: 0; padding: .1rem 0; text-align: left; }
  table.stack td::before { content: attr(data-head) ": "; color: #555; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 12px; }
  nav { display: none; }
  .figures { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  tr, .tile { break-inside: avoid; }
}
"""

# Light tints of the colours of `plots`, for types of entities.
TINTS = ("#CFE6F5", "#FBDCC6", "#CDEEDF", "#F3DDEA", "#FBEAC4", "#DDF0FB", "#E6E6E6")
WIDE = 800  # pixels from which a picture takes a line of its own


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


class Section(NamedTuple):
    """A part of the page.

    parts: list of `Html` and of `Picture`s.
    """

    title: str
    parts: List[Any]


def escape(value):
    """Returns the `Html` of any text; what no page may hold becomes U+FFFD."""
    if isinstance(value, Html):
        return value
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]", "�", str(value))
    return Html(html.escape(text))


def number(value):
    """Returns a metric as text: four decimals, or digits; a dash without a value."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.4g}"


def sentence(text):
    """Returns a paragraph."""
    return Html(f"<p>{escape(text)}</p>")


def tiles(values, main):
    """Returns the metrics as tiles.

    values: list of (name, number or None).
    main: name of the one that stands out.
    """
    boxes = [
        f'<div class="tile{" main" if name == main else ""}">{escape(name)}'
        f"<b>{number(value)}</b></div>"
        for name, value in values
    ]
    return Html(f'<div class="tiles">{"".join(boxes)}</div>')


def table(header, rows, classes, stacks=False):
    """Returns a table.

    Args:
      header: list of texts.
      rows: lists of cells, texts or `Html`.
      classes: class of each column: "number", "text", "key", "value" or "".
      stacks: whether a narrow screen shows the cells of a row below one another.
    """
    head = "".join(
        f'<th scope="col"{_class_of(each)}>{escape(cell)}</th>'
        for cell, each in zip(header, classes)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td{_class_of(each)} data-head="{escape(name)}">{escape(cell)}</td>'
            for name, cell, each in zip(header, row, classes)
        )
        + "</tr>"
        for row in rows
    )
    kind = ' class="stack"' if stacks else ""
    return Html(
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _class_of(name):
    return f' class="{name}"' if name else ""


def details(summary, content):
    """Returns something that opens at a click."""
    return Html(f"<details><summary>{escape(summary)}</summary>{content}</details>")


def bold(text):
    """Returns a text in bold."""
    return Html(f"<b>{escape(text)}</b>")


def name_legend(names):
    """Returns a list with what the numbers of a picture stand for; empty without.

    names: `fonts.Names`.
    """
    if not names.legend:
        return []
    pairs = "; ".join(f"{shown} = {name}" for shown, name in names.legend)
    return [sentence(f"No installed font has these names; in pictures: {pairs}")]


def marked(pieces, types):
    """Returns a text with entities in colour.

    Args:
      pieces: list of (text, type of the entity or None).
      types: all types, each of which has its colour by its place.
    """
    output = []
    for text, kind in pieces:
        if kind is None:
            output.append(escape(text))
            continue
        color = TINTS[types.index(kind) % len(TINTS)]
        output.append(
            f'<mark style="background:{color}">{escape(text)}'
            f"<small>{escape(kind)}</small></mark>"
        )
    return Html("".join(output))


def _figure(picture):
    data = base64.b64encode(picture.png).decode("ascii")
    # A PNG's width and height stand at bytes 16 and 20; the browser keeps their place.
    width, height = (int.from_bytes(picture.png[k : k + 4], "big") for k in (16, 20))
    note = f"<figcaption>{escape(picture.note)}</figcaption>" if picture.note else ""
    return (
        f"<figure{_class_of('wide' if width > WIDE else '')}>"
        f'<img width="{width}" height="{height}" alt="{escape(picture.alt)}" '
        f'src="data:image/png;base64,{data}">{note}</figure>'
    )


def _body(parts):
    """Yields the HTML of parts; neighbouring pictures share a grid."""
    for is_picture, group in itertools.groupby(
        parts, lambda part: isinstance(part, Picture)
    ):
        if is_picture:
            yield '<div class="figures">'
            yield from map(_figure, group)
            yield "</div>"
        else:
            yield from group


def render(title, lead, sections):
    """Returns the page.

    Args:
      title: text.
      lead: list of `Html` below the title.
      sections: list of `Section`.
    """
    links = "".join(
        f'<a href="#part{index}">{escape(section.title)}</a> '
        for index, section in enumerate(sections)
    )
    blocks = []
    for index, section in enumerate(sections):
        blocks.append(f'<section id="part{index}"><h2>{escape(section.title)}</h2>')
        blocks.extend(_body(section.parts))
        blocks.append("</section>")
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>",
        *lead,
        f"<nav>{links}</nav>",
        *blocks,
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)
