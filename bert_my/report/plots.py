"""What all pictures have in common: sizes, colours, legends, and writing them.

Figures are made without pyplot, so nothing needs a display and threads do not meet.
"""

import io
import itertools
from typing import NamedTuple, Optional

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bert_my.report import curves, fonts

DPI = 110
SIZE = (5.8, 4.3)  # inches
# Okabe and Ito's colours, which people with any colour vision tell apart; without
# their yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
GREY = "#767676"
LEGEND = {"frameon": False, "fontsize": 9, "handlelength": 2.8, "borderaxespad": 0}
# Half-width columns of text in 9 points that fit into an inch.
COLUMNS_PER_INCH = 11.3


class Picture(NamedTuple):
    """A picture of the page."""

    name: str  # of the file, without suffix
    png: bytes
    alt: str  # what it shows, in words
    note: str = ""  # below it


class Line(NamedTuple):
    """A line of a picture; x and y are arrays of one length."""

    name: str
    x: np.ndarray
    y: np.ndarray
    faint: Optional[np.ndarray] = None  # drawn behind it: y before smoothing
    faint_name: Optional[str] = None


def new(title, size=SIZE, rows=1, columns=1, **kwargs):
    """Returns (figure, axes): an empty figure with its title.

    The axes are an array if there is more than one row or column.
    """
    figure = Figure(figsize=size, dpi=DPI, constrained_layout=True)
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    axes = figure.subplots(rows, columns, **kwargs)
    for each in np.atleast_1d(axes).ravel():
        each.grid(True, color="#e0e0e0", linewidth=0.7)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=9)
    return figure, axes


def styles(number):
    """Returns (colour, line style) for each of a number of lines."""
    # Both change from line to line, so that one that lies on another is seen.
    pairs = zip(itertools.cycle(COLORS), itertools.cycle(LINE_STYLES))
    return list(itertools.islice(pairs, number))


def in_legend(name):
    """Returns a name as a legend shows it: one with `_` in front it would leave out."""
    return f" {name}" if name.startswith("_") else name


def legend_above(axes):
    """Puts the legend between title and axes, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    widest = max(map(fonts.width, labels)) + 6
    fitting = int(axes.figure.get_figwidth() * COLUMNS_PER_INCH / widest)
    columns = max(1, min(len(labels), fitting))
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncol=columns,
        **LEGEND,
    )


def legend_beside(axes):
    """Puts the legend to the right of the axes, for many names."""
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        **LEGEND,
    )


def lines(title, x_label, y_label, many, **axes_settings):
    """Draws lines over steps or the like; returns the figure.

    Args:
      title, x_label, y_label: texts; labels with their unit.
      many: list of `Line`. A single point, which no line can show, becomes a dot.
      axes_settings: for `Axes.set`, such as `ylim`.
    """
    figure, axes = new(title)
    for line, (color, style) in zip(many, styles(len(many))):
        points = len(line.x)
        if line.faint is not None:
            x, faint = curves.thin((line.x, line.faint))
            axes.plot(
                x,
                faint,
                color=color,
                alpha=0.35,
                linewidth=0.8,
                label=in_legend(line.faint_name),
            )
        x, y = curves.thin((line.x, line.y))
        marker = "o" if points <= 30 else None
        axes.plot(
            x,
            y,
            style,
            color=color,
            label=in_legend(line.name),
            marker=marker,
            markersize=4,
            linewidth=1.6,
        )
    axes.set(xlabel=x_label, ylabel=y_label, **axes_settings)
    # With less than two ticks to ask for, a single step gets no tick beside it.
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    # By themselves axes put a power of ten, or an offset, where the legend is.
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    if max(np.nan_to_num(np.abs(line.y)).max() for line in many) < 1e-3:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if len(many) > 1 or many[0].faint is not None:
        legend_above(axes)
    return figure


def png(figure, font=None):
    """Returns the PNG file of a figure, as bytes.

    Args:
      figure: `Figure`.
      font: path of the font for texts that the usual one cannot write, or None.
    """
    if font is not None:
        for axes in figure.axes:  # ticks make their texts when they are asked for
            axes.get_xticklabels()
            axes.get_yticklabels()
        for text in figure.findobj(Text):
            if fonts.missing(text.get_text().replace("\n", " ")):
                size, weight = text.get_fontsize(), text.get_fontweight()
                text.set_fontproperties(
                    FontProperties(fname=font, size=size, weight=weight)
                )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
