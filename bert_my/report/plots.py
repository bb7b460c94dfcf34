"""Style of all pictures, names and legends in them, SVG and PNG.

Figures belong to no window, so nothing needs a display. Functions that make a page are
`styled`: the settings of matplotlib outside of them stay as they are.
"""

import io
import math
import re
import unicodedata
import warnings

import matplotlib
from cycler import cycler
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.textpath import text_to_path

DPI = 110
SIZE = (5.8, 4.3)  # inches
# Okabe and Ito's colours, which people with any colour vision tell apart; without
# their yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
# (colour, line style) of each line: both change, so that one on top of another is seen.
STYLES = tuple(zip(len(LINE_STYLES) * COLORS, len(COLORS) * LINE_STYLES))
GREY = "#767676"
PALE = "#A6CEE8"
# Half-width columns of text in 9 points that fit into an inch.
COLUMNS_PER_INCH = 11.3
MAX_WIDTH = 26  # columns of a name
# For `str.translate`: control characters and surrogates, which HTML does not allow.
UNPRINTABLE = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)} - {*b"\t\n\r"}, "\ufffd"
)
# Fonts of PNG files for Chinese, Japanese and Korean. A browser finds one by itself.
EAST_ASIAN_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
)
_installed = {font.name for font in font_manager.fontManager.ttflist}

# Decorator of functions within which pictures are drawn and written.
styled = matplotlib.rc_context(
    {
        "axes.axisbelow": True,
        # A power of ten or an offset would stand where the legend is.
        "axes.formatter.limits": (-99, 99),
        "axes.formatter.useoffset": False,
        "axes.grid": True,
        "axes.prop_cycle": cycler("color", [color for color, _ in STYLES])
        + cycler("linestyle", [style for _, style in STYLES]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.use": True,
        "figure.dpi": DPI,
        "font.family": [
            *(name for name in EAST_ASIAN_FONTS if name in _installed),
            "DejaVu Sans",
        ],
        "grid.color": "#e0e0e0",
        "grid.linewidth": 0.7,
        "legend.borderaxespad": 0,
        "legend.columnspacing": 1.2,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "legend.handlelength": 2.8,
        "lines.linewidth": 1.6,
        "svg.fonttype": "none",  # texts stay texts
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
    }
)


def width(text):
    """Returns the width of a text without outer spaces, in half-width columns."""
    is_wide = [unicodedata.east_asian_width(c) in "WF" for c in text.strip()]
    return len(is_wide) + sum(is_wide)


def shown(name):
    """Returns the name of a label, metric or run for pictures.

    The name is in one line; a name wider than `MAX_WIDTH` is cut with an ellipsis.
    """
    text = " ".join(name.translate(UNPRINTABLE).split()) or "(empty)"
    if width(text) > MAX_WIDTH:
        while width(text) > MAX_WIDTH - 1:
            text = text[:-1]
        text += "…"
    if text.startswith("_"):  # matplotlib would leave the name out of legends
        text = f" {text}"
    # A dollar would begin a formula.
    return _padding(text) + text.replace("$", r"\$")


def _padding(text):
    """Returns spaces that widen a text with wide characters to its width in a browser.

    Without a font for these characters matplotlib measures less than an em. Browsers
    do not show spaces at the ends of SVG texts.
    """
    wide = "".join(character for character in text if width(character) > 1)
    if not wide:
        return ""
    missing = len(wide) * _measure("—") - _measure(wide)  # an em dash is an em wide
    return " " * max(math.ceil(missing / (_measure("- -") - _measure("--"))), 0)


@styled
def _measure(text):
    font = font_manager.FontProperties(size=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing characters
        return text_to_path.get_text_width_height_descent(text, font, False)[0]


def new(title, size=SIZE, rows=1, columns=1, **kwargs):
    """Returns (figure, axes): an empty figure with its title.

    The axes are an array if there is more than one row or column.
    """
    figure = Figure(figsize=size)
    # Fonts with Chinese are seldom bold.
    font = {"fontfamily": "DejaVu Sans", "fontsize": 12, "fontweight": "bold"}
    figure.suptitle(title, x=0.01, ha="left", **font)
    return figure, figure.subplots(rows, columns, **kwargs)


def legend_above(axes):
    """Puts the legend between title and axes, in as many columns as fit."""
    _, labels = axes.get_legend_handles_labels()
    widest = max(map(width, labels)) + 6
    columns = int(axes.figure.get_figwidth() * COLUMNS_PER_INCH / widest)
    columns = max(1, min(len(labels), columns))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncol=columns)


def legend_beside(axes):
    """Puts the legend to the right of the axes, for many names."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1))


def texts_of(figure):
    """Returns the texts of a figure in one line: title, labels of axes, legends."""
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [axes.yaxis.label, axes.xaxis.label]
        if axes.get_legend():
            texts += axes.get_legend().get_texts()
    lines = [" ".join(text.get_text().split()) for text in texts]
    return "; ".join(filter(None, lines)).replace(r"\$", "$")


def svg(figure, name):
    """Returns the elements within the `<svg>` of a figure.

    name: of the picture, unique on the page. The ids of elements are hashes with this
      salt.
    """
    stream = io.BytesIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": name}):
        warnings.simplefilter("ignore")  # of characters that the browser does have
        figure.savefig(stream, format="svg", metadata=metadata)
    text = stream.getvalue().decode("utf-8")
    (elements,) = re.findall("<svg[^>]*>(.*)</svg>", text, re.DOTALL)
    # Groups are numbered in each picture anew, and nothing refers to their ids.
    return re.sub('<g id="[^"]*">', "<g>", elements)


def write_png(figure, path):
    """Writes a figure as PNG; returns whether a font has all its characters."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metadata = {"Software": None}
        figure.savefig(path, format="png", dpi=2 * DPI, metadata=metadata)
    return not any("missing from" in str(each.message) for each in caught)
