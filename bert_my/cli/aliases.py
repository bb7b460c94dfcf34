"""The names under which an option can be given. Needs no TensorFlow."""

import dataclasses

from bert_my.cli.flags import RunConfig


def same_setting(flag):
    """Returns all flags that set what a flag sets, the option of `RunConfig` first."""
    for field in dataclasses.fields(RunConfig):
        others = (*field.metadata["aliases"], *field.metadata["older_forms"])
        if flag in others or flag == field.name:
            return (field.name, *others)
    return (flag,)
