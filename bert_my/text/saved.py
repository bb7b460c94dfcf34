"""Settings of an object in a JSON file that names its class by `kind`."""

import os

from bert_my.common import files
from bert_my.common.errors import InputError


def read(path, classes, untold):
    """Returns the class of a saved object and the other settings, a dict.

    Args:
      path: of the file.
      classes: the classes that it may name; each has a `kind`.
      untold: what is not known of a model without the file, for the error.

    Raises:
      InputError: if the file is missing, cannot be read or names no such class.
    """
    if not os.path.exists(path):
        raise InputError(
            f"{path}: there is no such file; models that were trained or exported "
            f"before it was written do not tell {untold}"
        )
    settings = files.read_json(path)
    kind = settings.pop("kind", None) if isinstance(settings, dict) else None
    found = {each.kind: each for each in classes}
    if kind not in found:
        raise InputError(
            f"{path}: kind is {kind!r}; it must be one of {', '.join(sorted(found))}"
        )
    return found[kind], settings
