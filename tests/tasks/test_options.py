"""Options that would be without effect are refused."""

import pytest

from bert_my.common.errors import InputError

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("name", "flag", "value"),
    [
        ("ner", "text_pair_column", "b"),
        ("regression", "labels", "0,1"),
        ("stsb", "num_labels", 1),
    ],
)
def test_options_that_a_task_cannot_use_are_named(make_named_task, name, flag, value):
    with pytest.raises(InputError, match=f"^--{flag}={value}: task {name} "):
        make_named_task(name, **{flag: value})
