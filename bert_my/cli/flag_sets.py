"""Command lines whose flags are derived from a dataclass of options.

The flags are defined in a set of their own, so that importing a script defines nothing.
"""

import dataclasses

from absl import flags as absl_flags

from bert_my.common.errors import InputError

_DEFINERS = {
    bool: absl_flags.DEFINE_bool,
    int: absl_flags.DEFINE_integer,
    float: absl_flags.DEFINE_float,
    str: absl_flags.DEFINE_string,
}


class CommandLine:
    """A command line, parsed."""

    def __init__(
        self, argv, options_class, defaults=None, without_effect=None, removed=None
    ):
        """Parses a command line.

        Args:
          argv: list of arguments, with the name of the program first.
          options_class: dataclass whose fields were made by `options.option`; the type
            `Optional[x]` is x for the flag.
          defaults: (optional) dict name -> value, over those of the fields.
          without_effect: (optional) dict name -> help text of flags that are accepted
            and not used.
          removed: (optional) dict name of a flag that is gone -> the reason.

        Raises:
          InputError: naming the flag that is unknown or wrong.
          ValueError: if a default is not the name of an option.
        """
        self._class = options_class
        self._fields = {
            field.name: field for field in dataclasses.fields(options_class)
        }
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
                text = f"Same as --{field.name}."
                _DEFINERS[kind](alias, None, text, flag_values=flags)
        for name, text in (without_effect or {}).items():
            absl_flags.DEFINE_string(name, None, text, flag_values=flags)
        absl_flags.DEFINE_bool("help", False, "Show the flags.", flag_values=flags)
        try:
            rest = flags(argv)[1:]
        except absl_flags.UnrecognizedFlagError as error:
            reason = (removed or {}).get(error.flagname)
            raise InputError(
                f"--{error.flagname}: {reason}" if reason else f"{error} (see --help)"
            ) from error
        except absl_flags.Error as error:
            raise InputError(f"{error} (see --help)") from error
        if rest:
            raise InputError(f"argument {rest[0]!r} is not a flag (see --help)")

    def given(self):
        """Returns a dict name -> value of the options that are given, by any name.

        Raises:
          InputError: if two names of an option have different values.
        """
        values = {}
        for name, field in self._fields.items():
            found = {
                each: self._flags[each].value
                for each in (name, *field.metadata["aliases"])
                if self._flags[each].present
            }
            if len(set(found.values())) > 1:
                flags = " and ".join(f"--{each}={x}" for each, x in found.items())
                raise InputError(
                    f"{flags} contradict one another: they are the same setting"
                )
            if found:
                values[name] = next(iter(found.values()))
        return values

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
            if name in given and overridden in given:
                raise InputError(f"--{name} and --{overridden} contradict one another")
            if overridden in given:
                values[name] = None  # the default of the one that overrides
        return self._class(**{**values, **given})
