"""docs/flags.md holds the tables that the code gives."""

import pytest

from bert_my.cli import flag_table, flags
from bert_my.common import options
from tests import helpers

pytestmark = pytest.mark.once

DOC = (helpers.ROOT / "docs" / "flags.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_code():
    assert flag_table.with_tables(DOC) == DOC, "run scripts/write_flag_table.py"


def test_every_other_name_is_in_a_table():
    names = {
        x for name in options.names(flags.RunConfig) for x in flags.same_setting(name)
    }
    for name in names - set(options.names(flags.RunConfig)):
        assert f"| `--{name}` |" in DOC
    assert "| `--lr` | use --learning_rate |" in DOC
