"""Names in pictures, points of lines, and the SVG of a figure."""

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


def test_thin_keeps_the_ends():
    x, y = plots.thin((np.arange(5003), -np.arange(5003)), max_points=11)
    assert len(x) == 11 and x[0] == 0 and x[-1] == 5002
    np.testing.assert_array_equal(y, -x)
