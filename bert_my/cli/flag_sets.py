"""Command lines whose flags are derived from a dataclass of options.

The flags are defined in a set of their own, so that importing a script defines nothing.
"""

import contextlib
import dataclasses
from typing import Any, Callable, NamedTuple

from absl import flags as absl_flags

from bert_my.common.errors import InputError, did_you_mean

# Values of a switch that may stand behind it as an argument of its own, as in argparse.
_SWITCH_VALUES = {
    **dict.fromkeys(("true", "t", "1", "yes", "y"), "true"),
    **dict.fromkeys(("false", "f", "0", "no", "n"), "false"),
}
# The hyphen, and what text processors make of two of them.
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


class _WholeNumber(absl_flags.IntegerParser):
    """Takes whole numbers of 64 bits, in the form of floats too: 1e5, 100.0."""

    def convert(self, argument):
        number = None
        try:
            number = int(argument)
        except ValueError:
            with contextlib.suppress(ValueError):
                if float(argument).is_integer():
                    number = int(float(argument))
        if number is None:
            raise ValueError("it must be a whole number")
        if abs(number) >= 1 << 63:
            raise ValueError("it must be a whole number of at most 64 bits")
        return number


class _Number(absl_flags.FloatParser):
    """Names what is wanted in its error."""

    def convert(self, argument):
        try:
            return float(argument)
        except (TypeError, ValueError):
            raise ValueError("it must be a number") from None


def _with_parser(parser):
    def define(name, default, text, flag_values):
        absl_flags.DEFINE(
            parser, name, default, text, flag_values, absl_flags.ArgumentSerializer()
        )

    return define


_DEFINERS = {
    bool: absl_flags.DEFINE_bool,
    int: _with_parser(_WholeNumber()),
    float: _with_parser(_Number()),
    str: absl_flags.DEFINE_string,
}


class Converted(NamedTuple):
    """A flag of another project whose value has another form here.

    kind: type of its value: bool for a switch, int, float or str.
    help: the flags that do the same, for `--help` and the docs.
    options: names of the options that it stands for.
    convert: function from (value, dict of all flags that are given) to a dict of values
      of these options. Raises an `InputError` with the rest of "--flag=value: ..." if a
      value has no counterpart.
    """

    kind: type
    help: str
    options: tuple
    convert: Callable[[Any, dict], dict]


class Others(NamedTuple):
    """Flags of other projects that are no options, by name.

    converted: `Converted`, which stand for options.
    without_effect: help text of those that are accepted and not used.
    refused: reason and the flag to use instead, for the error.
    """

    converted: dict
    without_effect: dict
    refused: dict


class CommandLine:
    """A command line, parsed."""

    def __init__(self, argv, options_class, defaults=None, others=None):
        """Parses a command line.

        Args:
          argv: list of arguments, with the name of the program first.
          options_class: dataclass whose fields were made by `options.option`; the type
            `Optional[x]` is x for the flag.
          defaults: (optional) dict name -> value, over those of the fields.
          others: (optional) `Others`.

        Raises:
          InputError: naming the flag that is unknown or wrong.
          ValueError: if a default is not the name of an option.
        """
        self._class = options_class
        self._fields = {
            field.name: field for field in dataclasses.fields(options_class)
        }
        self._others = others or Others({}, {}, {})
        defaults = defaults or {}
        unknown = set(defaults) - set(self._fields)
        if unknown:
            raise ValueError(f"defaults for flags that do not exist: {sorted(unknown)}")
        self._flags = flags = absl_flags.FlagValues()
        for field in self._fields.values():
            kind = getattr(field.type, "__args__", (field.type,))[0]
            text = field.metadata["help"]
            default = defaults.get(field.name, field.default)
            _DEFINERS[kind](field.name, default, text, flag_values=flags)
            for alias in field.metadata["aliases"]:
                _DEFINERS[kind](
                    alias, None, f"Same as --{field.name}.", flag_values=flags
                )
        for name, other in self._others.converted.items():
            _DEFINERS[other.kind](
                name, None, f"Of other projects: {other.help}.", flag_values=flags
            )
        for name, text in self._others.without_effect.items():
            _DEFINERS[str](name, None, f"Without effect: {text}.", flag_values=flags)
        _DEFINERS[bool]("help", False, "Show the flags.", flag_values=flags)
        self._parse(argv)

    def _parse(self, argv):
        flags = self._flags
        try:
            rest = flags([argv[0], *self._arguments(argv[1:])])[1:]
        except absl_flags.UnrecognizedFlagError as error:
            raise self._unknown(error.flagname) from error
        except absl_flags.Error as error:
            text = str(error)
            text = text[len("flag ") :] if text.startswith("flag ") else text
            if "Non-boolean" in text:
                text = text.partition(":")[0] + ": it must be true or false"
            raise InputError(f"{text} (see --help)") from error
        if rest:
            raise self._stray(rest[0])

    def _arguments(self, words):
        """Yields the arguments in the form that absl's parser takes.

        A dash in the name of a flag is an underscore; a value behind a switch is part
        of it; a flag without effect needs no value.
        """
        words = list(words)
        while words:
            word = words.pop(0)
            if word == "--":
                raise self._stray(word)
            if not word.startswith("-") or word == "-":
                yield word
                continue
            name, sign, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            if name.startswith("no") and name[2:] in self._others.without_effect:
                name = name[2:]
            flag = self._flags[name] if name in self._flags else None  # noqa: SIM401
            if flag is None or sign:
                yield f"--{name}{sign}{value}"
                continue
            following = words[0] if words else ""
            is_flag = following.startswith("--")
            if flag.boolean:
                value = _SWITCH_VALUES.get(following.lower())
                if value:
                    words.pop(0)
                elif self._is_value(following):
                    other = self._others.converted.get(name)
                    raise InputError(
                        f"--{name} {following}: it must be true or false"
                        f"{f' ({other.help})' if other else ''}"
                    )
                yield f"--{name}={value or 'true'}"
            elif name in self._others.without_effect:
                if words and not is_flag:
                    words.pop(0)
                yield f"--{name}="
            elif not words or is_flag:
                raise InputError(
                    f"--{name}: its value is missing; write --{name}=VALUE"
                )
            else:
                yield f"--{name}={words.pop(0)}"

    def _is_value(self, word):
        """Returns whether a word behind a switch was meant as its value."""
        return (
            bool(word.strip())
            and word[0] not in _DASHES
            and word.partition("=")[0] not in self._flags
        )

    def _unknown(self, name):
        """Returns the error for a flag that does not exist."""
        reason = self._others.refused.get(name)
        if reason:
            return InputError(f"--{name}: {reason}")
        useful = [x for x in self._flags if self._sets_something(x)]
        near = did_you_mean(name, useful, "--{}")
        return InputError(f"--{name}: there is no such flag{near} (--help lists all)")

    def _sets_something(self, name):
        """Returns whether a flag can change a run."""
        other = self._others.converted.get(name)
        is_unused = name in self._others.without_effect
        return not is_unused and (other is None or bool(other.options))

    def _stray(self, word):
        """Returns the error for an argument that is not a flag."""
        name = word.lstrip(_DASHES).partition("=")[0]
        if not word.strip():
            hint = "is there a blank behind a backslash at the end of a line?"
        elif name in self._flags:
            hint = f"write --{word.lstrip(_DASHES)}"
        else:
            hint = "flags begin with --, and a value with blanks needs quotes"
        return InputError(f"argument {word!r} is not a flag; {hint} (see --help)")

    def given(self):
        """Returns a dict name -> value of the options that are given, by any name.

        Raises:
          InputError: if two names of an option have different values.
        """
        return {
            name: next(iter(values.values())) for name, values in self._found().items()
        }

    def _found(self):
        """Returns a dict option -> flag -> value of what is given; see `given`."""
        found = {}  # option -> flag -> value
        for name, field in self._fields.items():
            for flag in (name, *field.metadata["aliases"]):
                if self._flags[flag].present:
                    found.setdefault(name, {})[flag] = self._flags[flag].value
        all_given = {
            x: self._flags[x].value for x in self._flags if self._flags[x].present
        }
        for flag, other in self._others.converted.items():
            if flag not in all_given:
                continue
            try:
                meant = other.convert(all_given[flag], all_given)
            except InputError as error:
                raise InputError(f"--{flag}={all_given[flag]}: {error}") from error
            for name, value in meant.items():
                found.setdefault(name, {})[flag] = value
        for values in found.values():
            if len(set(values.values())) > 1:
                flags = " and ".join(f"--{each}={all_given[each]}" for each in values)
                raise InputError(
                    f"{flags} contradict one another: they are the same setting"
                )
        return found

    def notes(self):
        """Returns lines on flags that are given and not used."""
        notes, given = [], self.given()
        for name, field in self._fields.items():
            overridden = field.metadata["instead_of"]
            if name in given and overridden in given:
                notes.append(
                    f"--{name}={given[name]} is used, and --{overridden}="
                    f"{given[overridden]} is not"
                )
        unused = [x for x in self._others.without_effect if self._flags[x].present]
        if unused:
            notes.append("Without effect: " + ", ".join(f"--{x}" for x in unused))
        return notes

    def options(self):
        """Returns the options, given or by default, as an object of the dataclass.

        With `--help` all flags are printed, and None is returned.

        Raises:
          InputError: if a value is out of range, or options contradict one another.
        """
        if self._flags["help"].value:
            print(self._flags.get_help())
            return None
        given = self.given()
        values = {name: self._flags[name].value for name in self._fields}
        for name, field in self._fields.items():
            overridden = field.metadata["instead_of"]
            if overridden in given and name not in given:
                values[name] = None  # the default of the one that overrides
        try:
            return self._class(**{**values, **given})
        except InputError as error:
            raise InputError(self._as_typed(str(error))) from error

    def _as_typed(self, message):
        """Returns a message with the flag that was typed, if it names its option."""
        for name, by_flag in self._found().items():
            flag = next(iter(by_flag))
            beginning = f"--{name}={by_flag[flag]}:"
            if flag != name and message.startswith(beginning):
                shown = f"--{flag}={self._flags[flag].value}:"
                return shown + message[len(beginning) :]
        return message
