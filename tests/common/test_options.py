"""Options: values out of range are refused by the name of their flag."""

import dataclasses
from typing import NamedTuple, Optional

import pytest

from bert_my.common import options
from bert_my.common.errors import InputError
from bert_my.common.options import Options, option

NAN, INF = float("nan"), float("inf")


@dataclasses.dataclass(frozen=True)
class Sizes(Options):
    rows: int = option(3, "Rows.", check=options.count)
    limit: Optional[int] = option(None, "Limit.", check=options.count)

    def __post_init__(self):
        super().__post_init__()
        if self.limit is not None and self.limit < self.rows:
            raise InputError(f"--limit={self.limit} contradicts --rows={self.rows}")


@dataclasses.dataclass(frozen=True)
class Names(Options):
    mode: str = option("auto", "Mode.", check=options.one_of("auto", "off"))


@dataclasses.dataclass(frozen=True)
class Both(Sizes, Names):
    seed: int = option(1, "Seed.")


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (options.rate, [1, 1e-9], [0, -1, 1e-40, 1e39, NAN, INF]),
        (options.below_one, [0, 0.99, 0.9999999], [1, 0.99999999, -0.1, NAN]),
        (options.share, [0, 0.5, 1], [-0.1, 1.1, NAN]),
        (options.positive_share, [0.1, 1], [0, 1e-40, 1.1, NAN]),
        (options.between(4, 6), [4, 5.5, 6], [3, 7, NAN, INF, 10**400]),
        (options.one_of("a", "b"), ["a", "b"], ["", "A", "c"]),
    ],
)
def test_checks(check, right, wrong):
    assert all(map(check.holds, right))
    assert not any(map(check.holds, wrong))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rows": 0}, "--rows=0: "),
        ({"limit": -2}, "--limit=-2: "),
        ({"mode": "on"}, "--mode=on: .* auto, off"),
        ({"limit": 2}, "--limit=2 contradicts --rows=3"),
    ],
)
def test_a_joined_class_checks_the_options_of_all_groups(values, named):
    with pytest.raises(InputError, match=f"^{named}"):
        Both(**values)
    with pytest.raises(InputError, match=f"^{named}"):
        dataclasses.replace(Both(), **values)


def test_an_option_that_is_not_given_is_not_checked():
    assert Both().limit is None


def test_groups_are_selected_from_a_joined_class():
    both = Both(rows=2, limit=5, mode="off", seed=9)
    assert both.select(Names) == Names("off")

    class Part(NamedTuple):
        limit: int
        place: str

    assert both.select(Part, place="here") == Part(5, "here")
    with pytest.raises(AttributeError, match="place"):
        both.select(Part)


def test_names_of_options():
    assert set(options.names(Both)) == {"rows", "limit", "mode", "seed"}
