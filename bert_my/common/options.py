"""Options: fields of frozen dataclasses with a help text, a check and other names.

An option is declared once, in the group of the code that uses it:

    @dataclasses.dataclass(frozen=True)
    class ScheduleOptions(Options):
        learning_rate: float = option(5e-5, "Peak learning rate.", check=rate)

Groups are joined by inheritance. The flags of a command line are derived from the
fields of the joined class (`bert_my.cli.flags`).
"""

import dataclasses
from typing import Any, Callable, NamedTuple

from bert_my.common.errors import InputError


class Check(NamedTuple):
    """A condition on the value of one option; None, for "not given", is not checked."""

    holds: Callable[[Any], bool]
    must: str  # the rest of "it must ...", for the error


# Models compute in float32, in which much smaller numbers are 0.
_LEAST = 1e-30
_BELOW_ONE = 1 - 2.0**-24

below_one = Check(
    lambda value: 0 <= value <= _BELOW_ONE,
    "be at least 0 and less than 1, in float32 too",
)
share = Check(lambda value: 0 <= value <= 1, "be a share, 0 to 1")
positive_share = Check(lambda value: _LEAST <= value <= 1, f"be from {_LEAST} to 1")


def between(least, most):
    """Returns the `Check` of a number that has a minimum and a maximum."""
    return Check(lambda value: least <= value <= most, f"be from {least} to {most}")


# Bounds of options of one kind: more rows of a batch, tokens of a text, masked tokens
# or labels fit in no memory, and no machine runs more threads.
MOST_ROWS, MOST_TOKENS, MOST_MASKED, MOST_LABELS = 10**6, 1 << 16, 1 << 13, 10**6
MOST_THREADS = 1024
# Of steps, and of all else that is counted.
MOST = (1 << 31) - 1

count = between(1, MOST)
count_or_zero = between(0, MOST)
rate = between(_LEAST, 1000)
# Generators of random numbers take 32 bits; TensorFlow takes all seeds below 0 as one.
seed = between(0, (1 << 32) - 1)


def one_of(*known):
    """Returns the `Check` of a name that must be one of those known."""
    return Check(lambda value: value in known, f"be one of {', '.join(known)}")


# What becomes of a run that is resumed with another value of an option.
REFUSED = "refused"  # the result would be that of neither run
APPLIED = "applied"  # the rest of the run follows the new value, and a line says so
FREE = "free"  # the weights do not depend on it, or what it names is compared


def option(
    default,
    help,
    check=None,
    aliases=(),
    older_forms=(),
    instead_of=None,
    on_resume=REFUSED,
):
    """Returns a dataclass field that is an option.

    Args:
      default: value of an option that is not given.
      help: one sentence, shown by `--help`.
      check: (optional) `Check`.
      aliases: other names of the flag, with the same kind of value.
      older_forms: other options of the group that set the same thing with another kind
        of value.
      instead_of: (optional) name of an option that this one overrides. To give both is
        a contradiction; if only the overridden one is given, a default of this one
        does not count.
      on_resume: `REFUSED`, `APPLIED` or `FREE`.
    """
    metadata = {
        "help": help,
        "check": check,
        "aliases": tuple(aliases),
        "older_forms": tuple(older_forms),
        "instead_of": instead_of,
        "on_resume": on_resume,
    }
    return dataclasses.field(default=default, metadata=metadata)


def names(options_class, on_resume=None):
    """Returns the tuple of the names of the options of a class.

    Args:
      options_class: dataclass.
      on_resume: (optional) only of those of which this becomes, see `option`.
    """
    return tuple(
        field.name
        for field in dataclasses.fields(options_class)
        if on_resume in (None, field.metadata["on_resume"])
    )


class Options:
    """Base class of groups of options, which are frozen dataclasses.

    Values are checked when an object is made; an `InputError` names the first option
    whose value is out of range. A group that knows of contradictions
    between its options extends `__post_init__` and calls `super().__post_init__()`.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check, value = field.metadata.get("check"), getattr(self, field.name)
            if check is not None and value is not None and not check.holds(value):
                raise InputError(f"--{field.name}={value}: it must {check.must}")

    def select(self, settings_class, **more):
        """Returns an object of a class with fewer fields.

        Args:
          settings_class: dataclass whose options, or named tuple whose fields, take the
            values of the options of the same names.
          **more: values of fields; they override options of the same name.

        Raises:
          AttributeError: naming a field with neither an option nor a value in `more`.
        """
        fields = getattr(settings_class, "_fields", None) or [
            # Only options have metadata.
            field.name
            for field in dataclasses.fields(settings_class)
            if field.metadata
        ]
        known = {name: getattr(self, name) for name in fields if name not in more}
        return settings_class(**known, **more)
