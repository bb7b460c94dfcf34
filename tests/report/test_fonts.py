"""Names in pictures: fonts for Chinese, cutting, and what no font has."""

import os

import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from bert_my.report import fonts, plots

CHINESE = "体育新闻"


def test_plain_names_need_no_font():
    names = fonts.Names(["sport", "économie"], find_font=None)
    assert names.shown == ["sport", "économie"] and names.font is None


def test_without_a_font_only_names_that_need_one_become_numbers():
    names = fonts.Names(["a", "体育", "b", "财经"], find_font=lambda characters: None)
    assert names.shown == ["a", "#1", "b", "#3"]
    assert names.legend == [("#1", "体育"), ("#3", "财经")]


def test_a_font_that_lacks_characters_leaves_numbers():
    default = font_manager.findfont(font_manager.FontProperties())
    names = fonts.Names(["体育"], find_font=lambda characters: default)
    assert names.shown == ["#0"]


def test_an_installed_font_is_chosen_by_what_it_holds():
    path = fonts.find(frozenset(CHINESE))
    if path is None:
        pytest.skip(
            "no font with Chinese is installed: apt-get install fonts-wqy-microhei"
        )
    charmap = FT2Font(path).get_charmap()
    assert all(ord(character) in charmap for character in CHINESE)
    assert fonts.Names([CHINESE]).shown == [CHINESE]


def test_pictures_with_chinese_are_drawn_without_missing_glyphs(recwarn):
    names = fonts.Names([CHINESE, "plain"])
    if names.font is None:
        pytest.skip(
            "no font with Chinese is installed: apt-get install fonts-wqy-microhei"
        )
    figure, axes = plots.new("title")
    axes.set_yticks([0, 1])
    axes.set_yticklabels(names.shown)
    axes.plot([0, 1], [0, 1], label=f"AUC 0.5  {names.shown[0]}")
    axes.set_xlabel(names.shown[0])
    plots.legend_above(axes)
    plots.png(figure, names.font)
    assert not [each for each in recwarn if "lyph" in str(each.message)]


def test_fonts_that_claim_all_characters_are_not_taken():
    unassigned = "\U000e0fff"
    assert fonts.find(frozenset(unassigned)) is None


@pytest.mark.parametrize(
    "name,shown",
    [
        ("two\n lines", "two lines"),
        ("x" * 26, "x" * 26),
        ("x" * 27, "x" * 25 + "…"),
        ("costs $5 or $6", r"costs \$5 or \$6"),
        ("", "(empty)"),
    ],
)
def test_names_fit_into_a_picture(name, shown):
    assert fonts.Names([name]).shown == [shown]


def test_chinese_is_twice_as_wide():
    assert fonts.width("体育ab") == 6
    assert fonts.shorten("体育" * 9, max_width=9) == "体育体育…"


def test_the_usual_font_is_there():
    path = font_manager.findfont(font_manager.FontProperties())
    assert os.path.exists(path) and not fonts.missing("abc 0.5")
    assert fonts.missing("a体") == {"体"}
