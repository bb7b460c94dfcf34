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
    @plots.styled
    def draw():
        figure, axes = plots.new("title")
        plots.svg(figure, "name")
        assert not axes.spines["top"].get_visible()

    before = dict(plots.matplotlib.rcParams)
    draw()
    assert dict(plots.matplotlib.rcParams) == before


@plots.styled
def test_svg_keeps_texts_and_escapes_them():
    figure, axes = plots.new("体育 <b>")
    axes.set_xlabel(plots.shown("costs $5 & $6"))
    source = plots.svg(figure, "name")
    assert ">体育 &lt;b&gt;</text>" in source
    assert ">costs $5 &amp; $6</text>" in source
    assert "<b>" not in source and "<?xml" not in source


@plots.styled
def test_lines_of_many_points_are_simplified():
    figure, axes = plots.new("title")
    axes.plot(np.random.RandomState(0).randn(500000))
    assert len(plots.svg(figure, "name")) < 500000


def test_texts_of_a_figure_are_title_axes_and_legend():
    figure, axes = plots.new("My title")
    axes.plot([1, 2], label=plots.shown("costs $5"))
    axes.set(xlabel="x axis", ylabel="y axis")
    plots.legend_above(axes)
    assert plots.texts_of(figure) == "My title; y axis; x axis; costs $5"
