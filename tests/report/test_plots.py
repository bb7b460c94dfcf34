"""Names in pictures, lines, and the SVG of a figure."""

import numpy as np
import pytest

from bert_my.report import plots


@pytest.mark.parametrize(
    "name,shown",
    [
        ("two\n lines", "two lines"),
        ("x" * 26, "x" * 26),
        ("x" * 27, "x" * 25 + "…"),
        ("costs $5 or $6", r"costs \$5 or \$6"),
        ("", "(empty)"),
        ("a\x07\ud800", "a\ufffd\ufffd"),
    ],
)
def test_names_fit_into_a_picture(name, shown):
    assert plots.shown(name) == shown


def test_chinese_is_twice_as_wide():
    assert plots.width("体育ab") == 6
    assert plots.shown("体育" * 9).strip() == "体育" * 6 + "…"


def test_matplotlib_leaves_room_for_wide_characters():
    # An em for each, whatever its fonts have for them.
    name = plots.shown("体育新闻时尚")
    assert name.strip() == "体育新闻时尚"
    assert plots._measure(name) >= 6 * plots._measure("—")


def test_names_that_matplotlib_would_hide_are_in_the_legend():
    points = np.arange(3.0)
    lines = [plots.Line(plots.shown(name), points, points) for name in ("_a", "b")]
    (axes,) = plots.lines("title", "x", "y", lines).axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [" _a", "b"]


def test_a_single_step_has_a_tick_of_its_own():
    line = plots.Line("", np.array([15]), np.array([0.5]))
    (axes,) = plots.lines("title", "step", "loss", [line]).axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [15]


def test_style_stays_inside():
    before = dict(plots.matplotlib.rcParams)
    figure, axes = plots.new("title")
    plots.svg(figure, "name")
    assert dict(plots.matplotlib.rcParams) == before
    assert not axes.spines["top"].get_visible()


def test_svg_keeps_texts_and_escapes_them():
    figure, axes = plots.new("体育 <b>")
    axes.set_xlabel(plots.shown("costs $5 & $6"))
    source = plots.svg(figure, "name")
    assert ">体育 &lt;b&gt;</text>" in source
    assert ">costs $5 &amp; $6</text>" in source
    assert "<b>" not in source and "<?xml" not in source
