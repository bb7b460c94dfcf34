"""Flags that are derived from the fields of a dataclass.

They are defined in a set of their own, so that importing a script defines nothing.
"""

import dataclasses

from absl import flags as absl_flags

from bert_my.cli.aliases import REMOVED
from bert_my.common.errors import InputError


def setting(default, help_text):
    """Returns a field that is a flag."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def define(config_class, defaults, aliases):
    """Returns a new set of flags, with `--help`.

    Args:
      config_class: dataclass whose fields were made by `setting`; `Optional[x]` is x
        for a flag.
      defaults: dict name -> value, over those of the fields.
      aliases: dict name -> tuple of other names.

    Raises:
      ValueError: if a default is not the name of a flag.
    """
    flag_values = absl_flags.FlagValues()
    definers = {
        bool: absl_flags.DEFINE_bool,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        str: absl_flags.DEFINE_string,
    }
    fields = dataclasses.fields(config_class)
    unknown = set(defaults) - {field.name for field in fields}
    if unknown:
        raise ValueError(f"defaults for flags that do not exist: {sorted(unknown)}")
    for field in fields:
        kind = getattr(field.type, "__args__", (field.type,))[0]
        default = defaults.get(field.name, field.default)
        text = field.metadata["help"]
        definers[kind](field.name, default, text, flag_values=flag_values)
        for alias in aliases.get(field.name, ()):
            text = f"Same as --{field.name}."
            definers[kind](alias, None, text, flag_values=flag_values)
    absl_flags.DEFINE_bool("help", False, "Show the flags.", flag_values=flag_values)
    return flag_values


def read(flag_values, argv):
    """Reads a command line, with the name of the program first, into a set of flags.

    Raises:
      InputError: naming the flag that is unknown, removed or wrong.
    """
    try:
        rest = flag_values(argv)[1:]
    except absl_flags.UnrecognizedFlagError as error:
        reason = REMOVED.get(error.flagname)
        problem = f"--{error.flagname}: {reason}" if reason else f"{error} (see --help)"
        raise InputError(problem) from error
    except absl_flags.Error as error:
        raise InputError(f"{error} (see --help)") from error
    if rest:
        raise InputError(f"argument {rest[0]!r} is not a flag (see --help)")


def value_of(flag_values, name, aliases):
    """Returns a setting, given by its flag or by one of its aliases.

    Raises:
      InputError: if two of them contradict one another.
    """
    names = _given_names(flag_values, name, aliases)
    given = {n: flag_values[n].value for n in names}
    if len(set(given.values())) > 1:
        flags = " and ".join(f"--{n}={value}" for n, value in given.items())
        raise InputError(f"{flags} contradict one another: they are the same setting")
    return given[names[0]] if names else flag_values[name].value


def is_given(flag_values, name, aliases):
    """Whether a setting stands on the command line."""
    return bool(_given_names(flag_values, name, aliases))


def _given_names(flag_values, name, aliases):
    return [n for n in (name, *aliases.get(name, ())) if flag_values[n].present]


def check_values(config, rules):
    """Raises an `InputError` naming the first flag whose value breaks a rule.

    Args:
      config: object with an attribute for each flag.
      rules: list of (names, function of a value that tells if it is right, what it must
        be in words).
    """
    for names, is_right, what in rules:
        for name in names:
            value = getattr(config, name)
            if not is_right(value):
                raise InputError(f"--{name}={value}: it must be {what}")
