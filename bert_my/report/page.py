"""The page: its sections, pictures and tables, rendered by the template `page.html`.

A page needs no other file, and any text is safe in it.
"""

import contextlib
import itertools
import logging
import math
import numbers
import os
import re
from typing import Any, Dict, NamedTuple, Optional, Sequence

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from bert_my.common import files
from bert_my.report import plots

logger = logging.getLogger(__name__)

INDEX = "index.html"
WIDE = 820  # pixels from which a picture takes a line of its own
BOLD = Markup("<b>{}</b>")


class Picture(NamedTuple):
    """A picture of the page.

    name: id on the page, and name of the PNG file without suffix.
    figure: its texts are also what a screen reader says.
    note: text below the picture.
    """

    name: str
    figure: Figure
    note: str = ""
    kind = "picture"


class Table(NamedTuple):
    """A table of the page.

    header: texts.
    rows: sequences of cells: texts, `Markup` and numbers.
    summary: of a table that opens at a click; None for one that is open.
    classes: of the columns: "number", "text", "key", "value" or ""; the last one is
      also that of the columns that follow.
    is_stacked: whether a narrow screen shows the cells of a row below one another.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    summary: Optional[str] = None
    classes: Sequence[str] = ("key", "number")
    is_stacked: bool = False
    kind = "table"


class Tiles(NamedTuple):
    """Metrics as a dict name -> number or None, and the name of the main one."""

    scores: Dict[str, Optional[float]]
    main: Optional[str]
    kind = "tiles"


def number(value):
    """Returns a number as text: four decimals, or digits; a dash without a value.

    Texts are returned as they are.
    """
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, numbers.Integral):
        return f"{value:,}"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.4g}"


def _printable(value):
    return value.translate(plots.UNPRINTABLE) if isinstance(value, str) else value


_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("bert_my.report"),
    autoescape=True,
    finalize=_printable,
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_templates.filters.update(number=number, svg=plots.svg, texts_of=plots.texts_of)
_templates.globals.update(dpi=plots.DPI, wide=WIDE)


@plots.styled
def write(folder, flag, title, sections, lead="", with_png=False):
    """Writes index.html.

    Args:
      folder: path, made if missing.
      flag: name of the flag that gives the folder, for errors.
      title: text.
      sections: dict heading -> iterable of paragraphs, `Picture`s, `Table`s, `Tiles`.
      lead: paragraph below the title.
      with_png: whether to write <name>.png of each picture, too. Those of the page that
        is replaced are deleted.

    Returns:
      path of the page.

    Raises:
      InputError: if the folder cannot be written.
    """
    sections = {heading: list(parts) for heading, parts in sections.items()}
    html = _templates.get_template("page.html").render(
        title=title, lead=lead, sections=sections
    )
    files.make_folder(folder, flag)
    path = os.path.join(folder, INDEX)
    _delete_pngs(path)
    with files.replacing(path) as writer:
        writer.write(html)
    if with_png:
        _write_pngs(folder, itertools.chain.from_iterable(sections.values()))
    return path


def _delete_pngs(path):
    """Deletes the PNG files of the pictures of a page, if there is one."""
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8", errors="replace") as page:
        for name in re.findall('<figure id="([^"]*)"', page.read()):
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(os.path.dirname(path), f"{name}.png"))


def _write_pngs(folder, parts):
    """Writes the PNG files of the pictures among the parts of a page."""
    have_fonts = True
    for part in parts:
        if isinstance(part, Picture):
            path = os.path.join(folder, f"{part.name}.png")
            with files.replacing_path(path) as temporary:
                have_fonts &= plots.write_png(part.figure, temporary)
    if not have_fonts:
        logger.warning(
            "%s: no installed font has all characters of the PNG files. To install "
            "one: sudo apt-get install fonts-wqy-microhei (or fonts-noto-cjk), and "
            "delete matplotlib's list of fonts in %s",
            folder,
            matplotlib.get_cachedir(),
        )
