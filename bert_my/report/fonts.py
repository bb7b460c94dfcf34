"""Fonts for pictures: names in Chinese, Japanese or Korean need one that has them.

matplotlib brings DejaVu Sans, which has none of these characters. What a font holds is
asked from the font itself (its character map), not guessed from its name.
"""

import functools
import logging
import unicodedata

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

logger = logging.getLogger(__name__)

# Parts of the names of files that are looked at first; any font may do.
LIKELY = ("noto", "cjk", "wqy", "sourcehan", "simhei", "msyh", "pingfang", "gothic")
# Fonts that claim all characters, and draw a box or nothing for each.
EMPTY = ("lastresort", "adobeblank")
# Half-width columns that a name may take in a picture.
MAX_WIDTH = 26
HOW_TO_INSTALL = "sudo apt-get install fonts-wqy-microhei (or fonts-noto-cjk)"


@functools.lru_cache(maxsize=None)
def _characters_of(path):
    """Returns the characters of a font file as a set; empty if it is not readable."""
    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


def missing(text, path=None):
    """Returns the characters of a text that a font lacks, as a set.

    Args:
      text: string.
      path: file of the font; None for the one that pictures use by themselves.
    """
    path = path or font_manager.findfont(font_manager.FontProperties())
    return set(text) - _characters_of(str(path))


def _installed():
    """Returns the paths of all fonts, the likely ones first.

    Asks the system too: matplotlib's own list is kept in a file, and does not know a
    font that was installed after it was made.
    """
    known = {each.fname for each in font_manager.fontManager.ttflist}
    return sorted(
        (
            path
            for path in known.union(font_manager.findSystemFonts())
            if not any(part in path.lower() for part in EMPTY)
        ),
        key=lambda path: (not any(part in path.lower() for part in LIKELY), path),
    )


@functools.lru_cache(maxsize=None)
def find(characters):
    """Returns the path of the font that has most of a frozenset of characters.

    None if there is none that has any of them.
    """
    best, best_number = None, 0
    for path in _installed():
        number = len(characters & _characters_of(path))
        if number > best_number:
            best, best_number = path, number
        if number == len(characters):
            break
    return best


def width(text):
    """Returns how many half-width columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text, max_width=MAX_WIDTH):
    """Returns a text in one line, cut with an ellipsis if it is too wide."""
    text = " ".join(text.split())
    if width(text) <= max_width:
        return text
    while width(text) > max_width - 1:
        text = text[:-1]
    return text + "…"


class Names:
    """How names (of labels, tags, runs) are written in pictures.

    shown: the names as pictures have them, in order.
    font: path of the font that they need; None if the usual one does.
    legend: pairs (number in the picture, name) of those no font can write.
    """

    def __init__(self, names, find_font=find):
        """Chooses a font.

        Args:
          names: list of strings.
          find_font: function from a frozenset of characters to the path of a font, or
            None.
        """
        short = [shorten(name) for name in names]
        needed = frozenset().union(*map(missing, short))
        self.font = find_font(needed) if needed else None
        self.shown, self.legend = [], []
        for number, (name, text) in enumerate(zip(names, short)):
            if missing(text) and (self.font is None or missing(text, self.font)):
                text = f"#{number}"
                self.legend.append((text, name))
            # A dollar would begin a formula.
            self.shown.append(text.replace("$", r"\$") or "(empty)")
        if self.legend:
            logger.warning(
                "No font for %s: pictures show numbers instead. To install one: %s",
                ", ".join(repr(name) for _, name in self.legend[:3]),
                HOW_TO_INSTALL,
            )
